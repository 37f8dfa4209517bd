"""Checks of the machine, of what is installed, and of a workspace; each gives one finding."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from pipeline.records import WeightsError
from pipeline.weights import WEIGHTS, WeightFile, embedded_gguf, verify
from workbench.doctor.probe import ProbeResult, run_probe
from workbench.jobs import places
from workbench.jobs.folder import JobFolder, read_jobs
from workbench.paths import IS_CHECKOUT, REQUIREMENTS, install_advice
from workbench.preflight import NEWEST, OLDEST

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, its state, what was found, and what to do (empty when all is well)."""

    name: str
    state: State
    detail: str
    advice: str = ""


_PIN = re.compile(r"^\s*([A-Za-z0-9._-]+)==([^\s;#]+)")
NEEDED_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""Instructions that the portable build of llama.cpp uses on x86-64."""

LEAST_DISK_GB, GOOD_DISK_GB = 0.5, 5.0
GOOD_MEMORY_GB = 4.0


def examine_machine(workspace_root: Path) -> list[Finding]:
    """Check the machine itself."""
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
    """Whether bfloat16 products work on the CPU, where only generation takes them, if they are faster."""
    if result.answer.get("is_right"):
        return Finding("bfloat16 on the CPU", "ok", "products are right (used by generation if faster)")
    return Finding(
        "bfloat16 on the CPU",
        "warning",
        result.failure or "products are wrong",
        "The workbench stays in float32 here; for your own scripts set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16."
        if result.is_illegal_instruction or result.answer
        else f"{install_advice()} again: torch does not answer.",
    )


def gpu(result: ProbeResult) -> Finding:
    """GPUs that torch can use; a machine without one is fine."""
    if result.failure:
        return Finding("GPU", "error", f"torch: {result.failure}", f"{install_advice()} again: torch does not load.")
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
        "Memory", "warning", detail, f"Close other programs: training needs about {GOOD_MEMORY_GB:.0f} GB."
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


def examine_software(requirements: Path = REQUIREMENTS) -> list[Finding]:
    """Check packages and weights."""
    weight_findings = [weights(file) for file in WEIGHTS]
    findings = [versions(read_pins(requirements)), beyond_one_machine(places.missing("ray")), *weight_findings]
    if all(finding.state == "ok" for finding in weight_findings):
        findings.append(llama(run_probe("llama", str(embedded_gguf()))))
    return findings


def read_pins(requirements: Path) -> dict[str, str]:
    """Return package -> exact version of a requirements file; empty when there is none."""
    if not requirements.exists():
        return {}
    pins = (_PIN.match(line) for line in requirements.read_text(encoding="utf-8").splitlines())
    return {pin[1]: pin[2] for pin in pins if pin}


def versions(pins: dict[str, str], installed: Callable[[str], str] = metadata.version) -> Finding:
    """Compare what is installed with the pins; a local build suffix such as +cpu does not count."""
    missing, different = [], []
    for package, wanted in pins.items():
        try:
            found = installed(package)
        except metadata.PackageNotFoundError:
            missing.append(package)
            continue
        if found.split("+")[0] != wanted:
            different.append(f"{package} {found} instead of {wanted}")
    if not missing and not different:
        return Finding("Packages", "ok", f"all {len(pins)} as pinned in requirements.txt")
    detail = "; ".join([*(f"{package} is missing" for package in missing), *different])
    advice = f"{install_advice()}, or use the environment that has them."
    return Finding("Packages", "error" if missing else "warning", detail, advice)


def beyond_one_machine(lacks: str) -> Finding:
    """Whether runs can be spread over a cluster; lacks: what is missing for it, as a sentence."""
    if lacks:
        return Finding("Several machines", "ok", lacks)
    return Finding("Several machines", "ok", f"Ray {metadata.version('ray')}: generate and judge take --on ray")


def weights(file: WeightFile) -> Finding:
    """Whether this file of weights is there and is the original."""
    name = f"Weights: {file.role}"
    try:
        path = file.find()
        verify(path, file.sha256)
    except WeightsError as error:
        advice = f"{install_advice(_pinned(file.package))}."
        return Finding(name, "error", str(error), advice)
    size_mb = path.stat().st_size / 1e6
    return Finding(name, "ok", f"{path.name}, {size_mb:.0f} MB, {file.licence}, sha256 {file.sha256[:12]}… checked")


def llama(result: ProbeResult) -> Finding:
    """Whether llama.cpp loads the embedded LLM and evaluates a few tokens."""
    if not result.failure:
        return Finding("llama.cpp", "ok", f"llama-cpp-python {result.answer['version']} loads and runs")
    rebuild = (
        "Build it portably again: remove .venv/.installed and run `make install`"
        if IS_CHECKOUT
        else install_advice(_pinned("llama-cpp-python"), "--no-binary", "llama-cpp-python")
    )
    cause = " (it was built for another processor)" if result.is_illegal_instruction else ""
    return Finding("llama.cpp", "error", f"{result.failure}{cause}", f"{rebuild} with PIP_NO_CACHE_DIR=1.")


def _pinned(package: str) -> str:
    known = read_pins(REQUIREMENTS)
    return f"{package}=={known[package]}" if package in known else package


def examine_workspace(root: Path) -> list[Finding]:
    """Check the folder without becoming its owner."""
    if not root.exists():
        return [Finding("Workspace", "ok", f"{root} does not exist yet; the first command creates it")]
    findings = [folder(root)]
    database_file = root / "state.duckdb"
    if database_file.exists():
        findings.append(database(root, run_probe("database", str(database_file))))
    findings.append(jobs(root))
    if any((root / "snapshots").glob("*.json")):
        findings.append(snapshots(run_probe("snapshots", str(root / "snapshots"))))
    return findings


def folder(root: Path) -> Finding:
    """Whether the folder can be used."""
    if not root.is_dir():
        return Finding("Workspace", "error", f"{root} is not a folder", "Choose a folder with --workspace.")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "Workspace",
            "error",
            f"{root} cannot be written",
            "Change its permissions, or choose another --workspace.",
        )
    return Finding("Workspace", "ok", str(root))


def database(root: Path, result: ProbeResult) -> Finding:
    """Whether the database opens, or which process has it open."""
    error = str(result.answer.get("error", "")) or result.failure
    if not error:
        return Finding("Database", "ok", f"opens; tables: {result.answer['tables']}")
    if holder := re.search(r"lock.*\(PID (\d+)\)", error, re.DOTALL):
        return Finding("Database", "ok", f"in use by process {holder[1]}; commands go through it")
    return Finding(
        "Database",
        "error",
        error.splitlines()[0],
        f"Run `python -m workbench rebuild --workspace {root}`: it rebuilds the database from the journals.",
    )


def jobs(root: Path) -> Finding:
    """How many jobs run, and which were interrupted: their status says running, but no worker holds their lock."""
    records, set_aside = read_jobs(root / "jobs") if (root / "jobs").is_dir() else ({}, {})
    states = {job_id: _job_state(JobFolder(root / "jobs" / job_id)) for job_id in records}
    interrupted = [name for name, state in states.items() if state == "interrupted"]
    unreadable = [name for name, state in states.items() if state == "unreadable"]
    running = sum(state == "running" for state in states.values())
    detail = f"{len(states)} in all, {running} running"
    if set_aside:
        advice = "Other jobs are not affected; restore these files from a backup or move them out of the folder jobs."
        return Finding("Jobs", "warning", f"{detail}; set aside: {' '.join(set_aside.values())}", advice)
    if unreadable:
        advice = "Their journals are whole; resume them, or restore status.json from a backup."
        return Finding("Jobs", "warning", f"{detail}; status unreadable: {', '.join(unreadable)}", advice)
    if interrupted:
        advice = "Resume them on the Home page or with `python -m workbench jobs`; no saved row was lost."
        return Finding("Jobs", "warning", f"{detail}; interrupted: {', '.join(interrupted)}", advice)
    return Finding("Jobs", "ok", detail)


def snapshots(result: ProbeResult) -> Finding:
    """How many snapshots can be read, and whether their files are there."""
    if result.failure:
        return Finding("Snapshots", "error", result.failure, f"{install_advice()} again: the store does not load.")
    detail = f"{result.answer['snapshots']} in all"
    if not (wrong := result.answer["wrong"]):
        return Finding("Snapshots", "ok", detail)
    advice = "Other snapshots are not affected; restore these files from a backup, or remove them and freeze again."
    return Finding("Snapshots", "warning", f"{detail}; set aside: {' '.join(wrong)}", advice)


def _job_state(folder: JobFolder) -> str:
    try:
        state = folder.status().state
    except (OSError, ValueError, TypeError):  # no file, no JSON, other fields
        return "unreadable"
    return "interrupted" if state == "running" and not folder.is_alive() else state
