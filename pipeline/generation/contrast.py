"""The contrast of two instructions over next-token logits: pure functions on rows of a batch.

MultiCSR (arXiv 2310.10962), stage 1:  z_t = l_t - omega * l^_t , with l_t and l^_t the next-token log-probabilities
under the own and the opposite prompt, both continued by the tokens chosen so far. Adding a constant to a row of
logits changes no choice below, so raw logits serve as well as log-probabilities and no full softmax is ever taken.
"""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Sampling

Logits = NDArray[np.float32]


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


def contrast(own_nv: Logits, opposite_nv: Logits | None, *, omega: float, plausibility: float = 0.0) -> Logits:
    """Combine rows of logits: z = l - omega * l^, minus infinity where a token is implausible.

    A token is implausible when p < plausibility * max p under the own prompt; 0 cuts nothing, as in the paper.
    own_nv, opposite_nv: float32 (n, vocabulary); opposite_nv may be None when omega is 0. Returns float32
    (n, vocabulary), equal to the formula up to a constant per row. Greedy choice equals classifier-free guidance
    at gamma = 1 / (1 - omega). Raises ValueError if omega lies outside [0, 1) or the opposite rows are missing.
    """
    _check(omega, opposite_nv)
    z_nv = own_nv - np.float32(omega) * opposite_nv if omega > 0 and opposite_nv is not None else own_nv.copy()
    if plausibility > 0:
        z_nv[own_nv < _floor(own_nv, plausibility)] = -np.inf
    return z_nv


def damped(own_nv: Logits, opposite_nv: Logits, *, damping: float) -> Logits:
    """Combine rows of logits as DINO does: a token that the opposite prompt makes likelier loses probability.

    z = l + log max(exp(-damping * max(0, p^ - p)), 0.01) with p and p^ the probabilities under the own and the
    opposite prompt: self-debiasing (Schick, Udupa, Schuetze, arXiv 2103.00453, eq. 3) as Schick and Schuetze (arXiv
    2104.07540) write sentence pairs with it. Takes and returns float32 (n, vocabulary).
    """
    more_nv = np.maximum(_softmax(opposite_nv) - _softmax(own_nv), 0)
    return own_nv - np.minimum(np.float32(damping) * more_nv, np.float32(-np.log(MOST_DAMPED)))


def _softmax(logits_nv: Logits) -> Logits:
    mass_nv = np.exp(logits_nv - logits_nv.max(axis=1, keepdims=True))
    return mass_nv / mass_nv.sum(axis=1, keepdims=True)


def choose(
    own_nv: Logits, opposite_nv: Logits | None, how: TokenChoice, draws_n: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Choose one token per row from the contrast of the two prompts; returns int64 (n,).

    Greedy at temperature 0. Otherwise one sample per row from softmax(z / temperature), cut to the tokens with at
    least min_p of the best one's mass and to the smallest set of best tokens whose mass reaches top_p, by inverting
    its cumulative mass at draws_n: uniform in [0, 1), (n,), one draw per pair of rows, because both prompts are
    continued by the same token.
    """
    _check(how.omega, opposite_nv)
    if how.plausibility <= 0 or (how.damping > 0 and how.omega > 0):
        return _choose_dense(own_nv, opposite_nv, how, draws_n)
    # With the cut a handful of tokens per row survive: the contrast is taken on those alone.
    rows_c, tokens_c = np.nonzero(own_nv >= _floor(own_nv, how.plausibility))
    z_c = own_nv[rows_c, tokens_c]
    if how.omega > 0 and opposite_nv is not None:
        z_c = z_c - np.float32(how.omega) * opposite_nv[rows_c, tokens_c]
    starts = np.searchsorted(rows_c, np.arange(len(own_nv) + 1))
    return np.array(
        [
            tokens_c[lo:hi][pick(z_c[lo:hi], how, None if draws_n is None else draws_n[row])]
            for row, (lo, hi) in enumerate(pairwise(starts))
        ],
        dtype=np.int64,
    )


def pick(z_v: Logits, how: TokenChoice, draw: float | None) -> int:
    """Choose an index of one row z_v: float32 (v,), minus infinity where excluded; see choose."""
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


def _choose_dense(
    own_nv: Logits, opposite_nv: Logits | None, how: TokenChoice, draws_n: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    if how.damping > 0 and how.omega > 0 and opposite_nv is not None:
        z_nv = damped(own_nv, opposite_nv, damping=how.damping)
        if how.plausibility > 0:
            z_nv[own_nv < _floor(own_nv, how.plausibility)] = -np.inf
    else:
        z_nv = contrast(own_nv, opposite_nv, omega=how.omega)
    if how.temperature == 0:
        return z_nv.argmax(axis=1)
    draws = [None] * len(z_nv) if draws_n is None else list(draws_n)
    return np.array([pick(z_v, how, draw) for z_v, draw in zip(z_nv, draws, strict=True)], dtype=np.int64)


def _floor(own_nv: Logits, plausibility: float) -> Logits:
    return own_nv.max(axis=1, keepdims=True) + np.float32(np.log(plausibility))


def _check(omega: float, opposite_nv: Logits | None) -> None:
    if not 0 <= omega < 1:
        raise ValueError(f"omega must be at least 0 and below 1, got {omega}")
    if omega > 0 and opposite_nv is None:
        raise ValueError("omega above 0 needs the logits under the opposite prompt")
