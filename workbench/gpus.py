"""Which GPUs this machine has, from the driver's own files: the server never loads torch."""

from pathlib import Path

_CARDS = Path("/proc/driver/nvidia/gpus")


def gpu_names(folder: Path = _CARDS) -> list[str]:
    """Return the model of every NVIDIA card, in the driver's order; empty without a driver."""
    names = []
    for card in sorted(folder.glob("*/information")):
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("Model")), "NVIDIA GPU")
        names.append(model)
    return names


def devices() -> dict[str, str]:
    """Return the devices a run can be given, with their names on screen."""
    cards = {f"cuda:{number}": f"GPU {number}, {name}" for number, name in enumerate(gpu_names())}
    return {"auto": "auto: the first GPU, or the CPU" if cards else "auto: the CPU", "cpu": "CPU"} | cards
