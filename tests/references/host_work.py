"""Counts what makes a GPU wait for the host or the other way round, whatever device computes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

WAITS = ("tolist", "item", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__index__", "__float__")
"""Methods of tensors that need their values on the host."""


class HostWork(TorchFunctionMode):
    """While it is entered: `waits` for the device, and `copies` of tensors from the host to it (`Tensor.to`)."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    @property
    def waits(self) -> int:
        """How often values were needed on the host."""
        return sum(self.counts[name] for name in WAITS)

    @property
    def copies(self) -> int:
        """How often something was moved to a device, whether it was there already or not."""
        return self.counts["to device"]

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count a call and make it."""
        name = getattr(function, "__name__", "")
        is_move = name == "to" and len(args) > 1 and isinstance(args[1], torch.device)
        self.counts["to device" if is_move else name] += 1
        return function(*args, **kwargs or {})
