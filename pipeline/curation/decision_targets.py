"""What people's decisions on triplets say about single pairs: gold for a calibration where no scored pairs exist.

A decision is about a triplet, a judge scores pairs. An accepted triplet has a positive that means the same (5) and a
hard negative that does not (0); a swapped one the other way round. A rejection counts for the side its reason names,
and for none without such a reason: the other side may have been fine.
"""

from collections.abc import Sequence

import numpy as np

SAME, OTHER = 5.0, 0.0
_BY_REASON = {"positive not entailed": ("a", OTHER), "negative not contradicted": ("b", SAME)}
"""Reason -> which pair it is about (a: premise and positive, b: premise and hard negative) and its gold."""


def decision_targets(
    actions: Sequence[str], reasons: Sequence[str | None], a_raw: np.ndarray, b_raw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return raw values and gold, float64 (pairs,) each, of the pairs that decisions say something about.

    Args:
        actions: accept, reject, swap or edit per triplet, (n,).
        reasons: why it was rejected, (n,).
        a_raw: float (n,), the judge's raw values of (premise, positive) as they were judged.
        b_raw: float (n,), those of (premise, hard negative).
    """
    raw: list[float] = []
    gold: list[float] = []
    for action, reason, a, b in zip(actions, reasons, a_raw, b_raw, strict=True):
        if action == "accept":
            raw += [a, b]
            gold += [SAME, OTHER]
        elif action == "swap":
            raw += [a, b]
            gold += [OTHER, SAME]
        elif action == "reject" and reason in _BY_REASON:
            side, target = _BY_REASON[reason]
            raw.append(a if side == "a" else b)
            gold.append(target)
    return np.array(raw, dtype=np.float64), np.array(gold, dtype=np.float64)
