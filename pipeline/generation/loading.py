"""Loading llama.cpp's own handle, which the judges use directly."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.generation.llama import LlamaLLM
from pipeline.names import BUILT_IN_LLMS
from pipeline.weights import fast_gguf


def load_llama(
    name_or_path: str, *, name: str = "", cache: Path | None = None, threads: int | None = None
) -> LlamaLLM:
    """Load the embedded LLM by name or any decoder from a GGUF file; close it after use.

    name: what it is called, by default the name of the file; cache: folder for the faster copy of the embedded
    weights; threads: cores to use, None for all. Raises WeightsError if the weights are missing, damaged or of
    another kind, InputError for an unknown name.
    """
    if name_or_path in BUILT_IN_LLMS:
        return LlamaLLM(fast_gguf(cache), name=name or name_or_path, threads=threads)
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() != ".gguf" and not path.exists():
        raise InputError(f"There is no LLM {name_or_path!r}: name {BUILT_IN_LLMS[0]} or the path of a GGUF file.")
    return LlamaLLM(path, name=name or path.stem, threads=threads)
