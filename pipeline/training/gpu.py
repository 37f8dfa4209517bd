"""What the GPU of a run holds and does, for its curves."""

import time

import torch

_EVERY_S = 1.0


class GpuMeter:
    """Reads memory and use at most once a second: the driver's answer takes longer than a small step."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device) if device.startswith("cuda") else None
        self._read_at = -_EVERY_S
        self._last: tuple[float | None, float | None] = (None, None)

    def read(self) -> tuple[float | None, float | None]:
        """Return the most memory held since the start in MB, and the share of time at work; None where unknown."""
        if self.device is None or time.monotonic() - self._read_at < _EVERY_S:
            return self._last
        self._read_at = time.monotonic()
        try:
            use: float | None = torch.cuda.utilization(self.device) / 100
        except (ModuleNotFoundError, RuntimeError):
            use = None  # NVIDIA's management library is not installed here
        self._last = (torch.cuda.max_memory_reserved(self.device) / 2**20, use)
        return self._last
