"""The machine: Python, processor, graphics card, memory, disk."""

import os
import platform
import shutil
import sys
from pathlib import Path

import psutil

from workbench.doctor.finding import Finding, State
from workbench.doctor.probe import ProbeResult, run_probe
from workbench.preflight import NEWEST, OLDEST

NEEDED_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""Instructions that the portable build of llama.cpp uses on x86-64."""

LEAST_DISK_GB, GOOD_DISK_GB = 0.5, 5.0
GOOD_MEMORY_GB = 4.0


def examine_machine(workspace_root: Path) -> list[Finding]:
    """Look at everything that is not ours."""
    return [
        python_version(sys.version_info[:2]),
        cpu_features(platform.machine(), _cpu_flags()),
        bfloat16(run_probe("bfloat16")),
        gpu(run_probe("torch")),
        memory(psutil.virtual_memory().available),
        disk(workspace_root, shutil.disk_usage(_existing(workspace_root)).free),
    ]


def python_version(version: tuple[int, ...]) -> Finding:
    """Python 3.11 to 3.13."""
    text = ".".join(map(str, version))
    if OLDEST <= version <= NEWEST:
        return Finding("Python", "ok", text)
    return Finding("Python", "error", text, "Run make with PYTHON=python3.11, 3.12 or 3.13.")


def cpu_features(machine: str, flags: set[str]) -> Finding:
    """Instructions that llama.cpp was compiled for; on other processors than x86-64 there is nothing to check."""
    cores = f"{machine}, {len(os.sched_getaffinity(0))} cores usable"
    if machine.lower() not in ("x86_64", "amd64") or not flags:
        return Finding("CPU", "ok", cores)
    missing = [flag for flag in NEEDED_FLAGS if flag not in flags]
    if not missing:
        extra = ", ".join(flag for flag in (*NEEDED_FLAGS, "avx512f", "avx512_bf16", "amx_tile") if flag in flags)
        return Finding("CPU", "ok", f"{cores}; {extra}")
    off = " ".join(f"-DGGML_{flag.upper()}=OFF" for flag in missing)
    return Finding(
        "CPU",
        "error",
        f"{cores}; without {', '.join(missing)}",
        f"Build llama-cpp-python again with CMAKE_ARGS='-DGGML_NATIVE=OFF {off}', or use a newer processor.",
    )


def bfloat16(result: ProbeResult) -> Finding:
    """Whether bfloat16 products work on the CPU; the workbench itself stays in float32 there."""
    if result.answer.get("is_right"):
        return Finding("bfloat16 on the CPU", "ok", "products are right (the workbench uses float32 on CPUs)")
    return Finding(
        "bfloat16 on the CPU",
        "warning",
        result.failure or "products are wrong",
        "The workbench stays in float32 on CPUs; for your own scripts set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16."
        if result.is_illegal_instruction or result.answer
        else "Run `make install` again: torch does not answer.",
    )


def gpu(result: ProbeResult) -> Finding:
    """GPUs that torch can use; none is fine."""
    if result.failure:
        return Finding("GPU", "error", f"torch: {result.failure}", "Run `make install` again: torch does not load.")
    gpus = result.answer["gpus"]
    if not gpus:
        return Finding("GPU", "ok", f"none; torch {result.answer['version']} runs on the CPU")
    listed = (f"{card['name']} ({card['free'] / 1e9:.0f} of {card['total'] / 1e9:.0f} GB free)" for card in gpus)
    return Finding("GPU", "ok", ", ".join(listed))


def memory(available_bytes: int) -> Finding:
    """Memory for one model at work beside the server."""
    detail = f"{available_bytes / 1e9:.1f} GB available"
    if available_bytes >= GOOD_MEMORY_GB * 1e9:
        return Finding("Memory", "ok", detail)
    return Finding(
        "Memory", "warning", detail, f"Close other programs: training is at ease with {GOOD_MEMORY_GB:.0f} GB."
    )


def disk(folder: Path, free_bytes: int) -> Finding:
    """Space where the workspace lies: journals, checkpoints, snapshots."""
    detail = f"{free_bytes / 1e9:.1f} GB free for {folder}"
    if free_bytes >= GOOD_DISK_GB * 1e9:
        return Finding("Disk", "ok", detail)
    state: State = "warning" if free_bytes >= LEAST_DISK_GB * 1e9 else "error"
    return Finding("Disk", state, detail, "Free some space, or choose another folder with --workspace.")


def _cpu_flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return set()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    return set(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), []))


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
