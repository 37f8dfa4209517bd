"""Choose the engine that generates fastest on this machine, by a short trial whose result is kept.

Each engine runs in a process of its own; one that crashes on this processor simply loses. Rates are per second of
processor time, which is steadier than wall-clock time on a busy machine.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pipeline.config import Precision
from pipeline.durable import write_json
from pipeline.generation.engines.engine import Engine, usable_threads
from pipeline.generation.engines.llama import LlamaLLM
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.records import InputError
from pipeline.weights import BUILT_IN_LLMS, cache_dir, embedded_gguf, fast_gguf

FORCED: Final = "MULTICSR_ENGINE"
"""Environment variable that names an engine and skips the trial."""
LLAMA, TORCH, TORCH_BF16 = "llama.cpp", "torch", "torch-bf16"
ENGINES: Final[dict[str, Callable[[str, int | None], Engine]]] = {
    LLAMA: lambda name, threads: LlamaLLM(fast_gguf(), name=name, threads=threads),
    TORCH: lambda name, threads: TorchLlama(embedded_gguf(), name=name, threads=threads),
    TORCH_BF16: lambda name, threads: TorchLlama(embedded_gguf(), name=name, threads=threads, precision="bf16"),
}
_TRIAL_TIMEOUT_S = 900
"""On the clock, for what hangs; a trial ends itself when it has taken too much of the processor."""
_PROJECT = Path(__file__).resolve().parents[3]


def load_fastest(name: str, threads: int | None = None, precision: Precision = "auto") -> Engine:
    """Load the embedded LLM in the fastest engine; close it after use."""
    return ENGINES[fastest(threads, precision)](name, threads)


def fastest(threads: int | None = None, precision: Precision = "auto") -> str:
    """Return the fastest engine for this number of threads, after a trial if this machine has no result yet.

    precision: bf16 is computed by one engine only, fp32 leaves that one out. If every trial fails,
    llama.cpp is returned and no result is kept. Raises InputError for a precision that only GPUs compute.
    """
    if precision != "auto" and cpu_precision(precision) == "bf16":
        return TORCH_BF16
    allowed = [engine for engine in ENGINES if precision == "auto" or engine != TORCH_BF16]
    forced = os.environ.get(FORCED, "")
    if forced in allowed:
        return forced
    rates = _rates(threads or usable_threads())
    return max(allowed, key=rates.__getitem__)


def cpu_precision(wanted: Precision, threads: int | None = None) -> Precision:
    """Return the precision of the engine in torch on this CPU; InputError for one that only GPUs compute."""
    if wanted == "fp16":
        raise InputError("The precision fp16 is for GPUs; choose fp32, bf16 or auto.")
    if wanted != "auto":
        return wanted
    forced = os.environ.get(FORCED, "")
    if forced in ENGINES:
        return "bf16" if forced == TORCH_BF16 else "fp32"
    rates = _rates(threads or usable_threads())
    return "bf16" if rates[TORCH_BF16] > rates[TORCH] else "fp32"


def is_tried(threads: int | None = None) -> bool:
    """Whether the fastest engine is known here without a trial, which takes about a minute."""
    return os.environ.get(FORCED, "") in ENGINES or bool(_known(threads or usable_threads()))


def _rates(threads: int) -> dict[str, float]:
    """Return sentences per second of processor time by engine, from the record or from trials; 0 where one failed."""
    if known := _known(threads):
        return known
    rates = {engine: trial(engine, threads) for engine in ENGINES}
    if any(rates.values()):
        with contextlib.suppress(OSError):  # with a full disk the next start repeats the trial
            write_json(_record(threads), {"sentences_per_processor_s": rates}, indent=1)
    return rates


def _known(threads: int) -> dict[str, float]:
    """Return what an earlier trial found; empty for none of all engines."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_record(threads).read_text(encoding="utf-8"))["sentences_per_processor_s"]
        if set(known) == set(ENGINES):
            return {str(engine): float(rate) for engine, rate in known.items()}
    return {}


def trial(engine: str, threads: int) -> float:
    """Return an engine's sentences per second of processor time, measured in a child process; 0 if it failed.

    bfloat16 is tried only where the processor announces it: others need minutes for what it takes seconds.
    """
    if engine == TORCH_BF16 and "bf16" not in _cpu_field("flags", "Features"):
        return 0.0
    command = [sys.executable, "-m", "pipeline.generation.trial", engine, str(threads)]
    try:
        done = subprocess.run(
            command, cwd=_PROJECT, capture_output=True, text=True, timeout=_TRIAL_TIMEOUT_S, check=False
        )
        return float(json.loads(done.stdout.splitlines()[-1])["sentences_per_processor_s"])
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError, KeyError):
        return 0.0


def _record(threads: int) -> Path:
    """Return the result file for this processor, these library versions and this number of threads."""
    parts = (_processor(), version("torch"), version("llama-cpp-python"), f"{threads}-threads")
    name = "-".join("".join(sign if sign.isalnum() else "_" for sign in part) for part in parts)
    return cache_dir() / f"engines-{name}.json"


def _processor() -> str:
    return _cpu_field("model name", "model", "stepping") or platform.machine()


def _cpu_field(*names: str) -> str:
    """Return what Linux says of the first core; empty elsewhere."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        known = {name.strip(): value.strip() for name, value in fields.items()}
        return " ".join(known.get(name, "") for name in names)
    return ""


def load_llama(
    name_or_path: str, *, name: str = "", cache: Path | None = None, threads: int | None = None
) -> LlamaLLM:
    """Load the embedded LLM by name or any decoder from a GGUF file; close it after use.

    name: its display name, by default that of the file; cache: folder for the faster copy of the embedded weights;
    threads: cores to use, None for all. Raises WeightsError if the weights are missing, damaged or of another kind,
    InputError for an unknown name.
    """
    if name_or_path in BUILT_IN_LLMS:
        return LlamaLLM(fast_gguf(cache), name=name or name_or_path, threads=threads)
    path = Path(name_or_path).expanduser()
    if path.suffix.lower() != ".gguf" and not path.exists():
        raise InputError(f"There is no LLM {name_or_path!r}: name {BUILT_IN_LLMS[0]} or the path of a GGUF file.")
    return LlamaLLM(path, name=name or path.stem, threads=threads)
