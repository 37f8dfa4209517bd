"""How a token is chosen, as settings and for a single row of logits; token_choice does it for whole batches."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Sampling


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """How a token is chosen from two rows of logits; the fields are those of GenerationConfig."""

    omega: float = 0.0
    plausibility: float = 0.1
    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    damping: float = 0.0

    @classmethod
    def of(cls, config: Sampling) -> "TokenChoice":
        """Take a config's share in the choice of tokens; one without omega has no opposite prompt."""
        return cls(**{item.name: getattr(config, item.name) for item in fields(cls) if hasattr(config, item.name)})


MOST_DAMPED = 0.01
"""The least share that DINO's rule leaves of a probability."""


def pick(z_v: NDArray[np.floating], how: TokenChoice, draw: float | None) -> int:
    """Choose an index of one row z_v: float (v,), minus infinity where excluded; see token_choice.choose."""
    if how.temperature == 0:
        return int(np.argmax(z_v))
    if draw is None:
        raise ValueError("sampling (temperature above 0) needs one uniform draw per row")
    order = np.argsort(-z_v, kind="stable")
    mass = np.exp((z_v[order].astype(np.float64) - float(z_v.max())) / how.temperature)
    mass /= mass.sum()
    cumulative = np.cumsum(mass)
    kept = int(np.searchsorted(cumulative, how.top_p, side="left")) + 1  # the token that reaches top_p is kept
    kept = min(kept, int(np.count_nonzero(mass >= how.min_p * mass[0])))
    chosen = int(np.searchsorted(cumulative[:kept], draw * cumulative[kept - 1], side="right"))
    return int(order[min(chosen, kept - 1)])
