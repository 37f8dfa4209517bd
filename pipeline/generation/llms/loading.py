"""Opening an LLM of any kind: in an engine of this process, in transformers, or on a server."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import Precision
from pipeline.encoder_folders import resolve_device
from pipeline.generation.engines.engine import is_out_of_memory
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.registry import EMBEDDED, LLMEntry, architecture
from pipeline.generation.llms.templates import form_for
from pipeline.generation.llms.torch_llm import BatchLimits, TorchLLM
from pipeline.records import InputError, WeightsError
from pipeline.weights import cache_dir

if TYPE_CHECKING:
    from pipeline.generation.engines.engine import Engine


def open_llm(
    entry: LLMEntry,
    *,
    device: str = "auto",
    threads: int | None = None,
    for_many: bool = False,
    precision: Precision = "auto",
) -> LLM:
    """Load an LLM, or get ready to call it; close it after use.

    for_many: take the engine that is fastest over many rows here, which a trial finds out the first time, rather than
    the one that is loaded soonest. precision: see GenerationConfig.

    Raises WeightsError if its weights are missing or damaged, InputError if it is not allowed or not configured.
    """
    if entry.kind in ("embedded", "gguf"):
        from pipeline.generation.engines.fastest import load_llama
        from pipeline.generation.llms.gguf import GgufLLM

        if for_many and entry.kind == "embedded":
            from pipeline.generation.engines.fastest import load_fastest

            engine: Engine = load_fastest(entry.name, threads, precision)
        else:
            where = EMBEDDED if entry.kind == "embedded" else entry.location
            engine = load_llama(where, name=entry.name, threads=threads)
        return GgufLLM(engine, form_for(entry, engine, engine.start))
    if entry.kind in ("decoder", "encoder-decoder"):
        return _open_folder(entry, device=device, threads=threads, for_many=for_many, precision=precision)
    from pipeline.generation.llms.remote import RemoteLLM

    return RemoteLLM(entry)


def tries_engines(entry: LLMEntry) -> bool:
    """Whether opening an LLM for many rows begins with the trial of engines, about a minute."""
    from pipeline.generation.engines.fastest import is_tried

    return entry.kind in ("embedded", "decoder") and not is_tried()


def loading_words(entry: LLMEntry, what: str) -> str:
    """Say what is loaded for many rows, and that engines are tried before."""
    if tries_engines(entry):
        return f"Trying which engine is fastest on this machine, once; then loading {what}"
    return f"Loading {what}"


def runs_in_engine(entry: LLMEntry) -> bool:
    """Whether an LLM of this machine is computed by an engine of ours; transformers' own code computes the others."""
    if entry.kind != "decoder":
        return entry.kind in ("embedded", "gguf")
    from pipeline.generation.engines.folder_weights import computes

    return computes(Path(entry.location))


def _open_folder(entry: LLMEntry, *, device: str, threads: int | None, for_many: bool, precision: Precision) -> LLM:
    """Load a decoder or encoder-decoder. Raises WeightsError or InputError with one sentence."""
    folder = Path(entry.location)
    kind, device = architecture(folder), resolve_device(device)
    try:
        if runs_in_engine(entry):
            from pipeline.generation.engines.fastest import cpu_precision, is_tried
            from pipeline.generation.engines.torch_llama import TorchLlama
            from pipeline.generation.llms.gguf import GgufLLM

            if device == "cpu" and precision == "auto" and not for_many and not is_tried(threads):
                precision = "fp32"  # a single answer is not worth a trial
            chosen = cpu_precision(precision, threads) if device == "cpu" else precision
            engine = TorchLlama(folder, name=entry.name, threads=threads, device=device, precision=chosen)
            return GgufLLM(engine, form_for(entry, engine, engine.start))
        llm = _in_transformers(entry, kind, device, threads)
    except InputError:
        raise
    except Exception as error:  # whatever transformers, tokenizers and safetensors say about a damaged folder
        if is_out_of_memory(error):
            raise InputError(f"The model {folder} does not fit into memory; choose a smaller one.") from error
        message = " ".join(str(error).split())[:200]
        raise WeightsError(f"transformers cannot load {folder} ({type(error).__name__}: {message}).") from error
    _probe(llm, folder)
    return llm


def _in_transformers(entry: LLMEntry, kind: str, device: str, threads: int | None) -> TorchLLM:
    """Load a folder that the engine does not compute."""
    import torch

    from pipeline.generation.llms.transformers_llm import DecoderLLM, EncoderDecoderLLM

    if threads is not None:
        torch.set_num_threads(threads)
    folder = Path(entry.location)
    limits = BatchLimits(cache_dir(), f"{folder}|{device}")
    made = DecoderLLM if kind == "decoder" else EncoderDecoderLLM
    return made.load(folder, name=entry.name, device=device, limits=limits, form_of=partial(form_for, entry))


def _probe(llm: TorchLLM, folder: Path) -> None:
    """Weights that are damaged inside show as answers that are not finite."""
    import numpy as np

    row = llm.next_log_probabilities("A sentence", [])[0]
    if not np.isfinite(row).all():
        raise WeightsError(f"The weights in {folder} are damaged: the model's logits are not finite numbers.")
