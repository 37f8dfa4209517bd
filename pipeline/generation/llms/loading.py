"""Opening an LLM of any kind: an engine of its own, a transformers folder, or a server."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.encoder_folders import check_tokenizer, resolve_device
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.registry import EMBEDDED, LLMEntry, architecture
from pipeline.generation.llms.templates import form_for
from pipeline.generation.llms.torch_llm import BatchLimits, TorchLLM, is_out_of_memory
from pipeline.records import InputError, WeightsError
from pipeline.weights import cache_dir

if TYPE_CHECKING:
    from pipeline.generation.engines.engine import Engine


def open_llm(entry: LLMEntry, *, device: str = "auto", threads: int | None = None, for_many: bool = False) -> LLM:
    """Load an LLM, or get ready to call it; close it after use.

    for_many: take the engine that is fastest over many rows here, which a trial finds out the first time, rather than
    the one that is loaded soonest.

    Raises WeightsError if its weights are missing or damaged, InputError if it is not allowed or not configured.
    """
    if entry.kind in ("embedded", "gguf"):
        from pipeline.generation.engines.fastest import load_llama
        from pipeline.generation.llms.gguf import GgufLLM

        if for_many and entry.kind == "embedded":
            from pipeline.generation.engines.fastest import load_fastest

            engine: Engine = load_fastest(entry.name, threads)
        else:
            where = EMBEDDED if entry.kind == "embedded" else entry.location
            engine = load_llama(where, name=entry.name, threads=threads)
        return GgufLLM(engine, form_for(entry, engine, engine.start))
    if entry.kind in ("decoder", "encoder-decoder"):
        return _open_folder(entry, device=device, threads=threads)
    from pipeline.generation.llms.remote import RemoteLLM

    return RemoteLLM(entry)


def _open_folder(entry: LLMEntry, *, device: str = "auto", threads: int | None = None) -> TorchLLM:
    """Load a decoder or encoder-decoder. Raises WeightsError or InputError with one sentence."""
    import torch

    from pipeline.generation.llms.transformers_llm import DecoderLLM, EncoderDecoderLLM

    folder = Path(entry.location)
    kind = DecoderLLM if architecture(folder) == "decoder" else EncoderDecoderLLM
    device = resolve_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        limits = BatchLimits(cache_dir(), f"{folder}|{device}")
        form_of = partial(form_for, entry)
        llm = kind.load(folder, name=entry.name, device=device, limits=limits, form_of=form_of)
    except InputError:
        raise
    except Exception as error:  # whatever transformers, tokenizers and safetensors say about a damaged folder
        if is_out_of_memory(error):
            raise InputError(f"The model {folder} does not fit into memory; choose a smaller one.") from error
        message = " ".join(str(error).split())[:200]
        raise WeightsError(f"transformers cannot load {folder} ({type(error).__name__}: {message}).") from error
    check_tokenizer(llm.tokenizer, folder)
    _probe(llm, folder)
    return llm


def _probe(llm: TorchLLM, folder: Path) -> None:
    """Weights that are damaged inside show as answers that are not finite."""
    import numpy as np

    row = llm.next_log_probabilities("A sentence", [])[0]
    if not np.isfinite(row).all():
        raise WeightsError(f"The weights in {folder} are damaged: the model's logits are not finite numbers.")
