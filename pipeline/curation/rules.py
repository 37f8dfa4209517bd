"""The curation rule of stage 2: which triplets are kept, and what each condition costs."""

from dataclasses import dataclass

import numpy as np

from pipeline.config import CurationRule


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts of one rule over judged triplets; the three losses overlap, since each condition is counted alone."""

    judged: int
    kept: int
    lost_by_alpha: int
    """a below alpha: the positive is too far."""
    lost_by_beta: int
    """b above beta: the hard negative is too near."""
    lost_by_gamma: int
    """a - b below gamma: the two are not far enough apart."""
    unjudged: int
    """A score is missing (NaN): neither kept nor lost."""


def keeps(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Decide triplets: a >= alpha and b <= beta and a >= b + gamma (MultiCSR, arXiv 2310.10962, stage 2).

    Args:
        rule: the thresholds, on the scale 0..5.
        a: float (n,), scores of (premise, positive).
        b: float (n,), scores of (premise, hard negative).

    Returns:
        bool (n,); False where a score is NaN.
    """
    a, b = _scores(a, b)
    # Comparisons with NaN are False, so an unjudged triplet is never kept.
    return (a >= rule.alpha) & (b <= rule.beta) & _gap_holds(rule, a, b)


def funnel(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> Funnel:
    """Count what a rule keeps and what each condition by itself would lose; a, b as in `keeps`."""
    a, b = _scores(a, b)
    judged = np.isfinite(a) & np.isfinite(b)
    return Funnel(
        judged=int(judged.sum()),
        kept=int(keeps(rule, a, b).sum()),
        lost_by_alpha=int((judged & (a < rule.alpha)).sum()),
        lost_by_beta=int((judged & (b > rule.beta)).sum()),
        lost_by_gamma=int((judged & ~_gap_holds(rule, a, b)).sum()),
        unjudged=int((~judged).sum()),
    )


def _gap_holds(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # The sum as it is written in the paper: SQL and this function must agree in the last bit.
    return a >= b + rule.gamma


def _scores(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"expected as many scores a as b, got shapes {a.shape} and {b.shape}")
    return a, b
