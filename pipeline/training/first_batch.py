"""The first batch of a run as a person can check it: its texts, and what the guide says about them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config import TrainConfig
from pipeline.records import Triplet


def first_batch(
    triplets: Sequence[Triplet],
    rows: Sequence[int],
    config: TrainConfig,
    guide_nm: np.ndarray | None,
    *,
    phi: float | None = None,
    most: int = 32,
) -> list[dict[str, Any]]:
    """Describe the first rows of a batch, JSON values.

    Args:
        triplets: the training set.
        rows: row numbers of the batch, in its order.
        config: settings of the run.
        guide_nm: float (N, 2N), guide cosines of premise i with [positives | hard negatives]; None without a guide.
        phi: the threshold as a cosine, where the settings give it in another unit.
        most: how many rows are described.
    """
    described = []
    for place, row in enumerate(rows[:most]):
        triplet = triplets[row]
        item: dict[str, Any] = {
            "row": int(row),
            "premise": triplet.premise,
            "positive": triplet.positive,
            "hard_negative": triplet.hard_negative,
        }
        if guide_nm is not None:
            item |= _guided(guide_nm[place], place, config, config.mask_threshold if phi is None else phi)
            nearest = item.pop("nearest_candidate")
            other = triplets[rows[nearest % len(rows)]]
            item["nearest"] = other.positive if nearest < len(rows) else other.hard_negative
        described.append(item)
    return described


def _guided(cosine_m: np.ndarray, place: int, config: TrainConfig, phi: float) -> dict[str, Any]:
    """Cosines of a row with its own texts and its nearest other candidate, and how many candidates are masked."""
    rows = len(cosine_m) // 2
    own = float(cosine_m[place])
    margin = config.mask_threshold
    threshold = {
        "none": np.inf,
        "gist_absolute": own - margin,
        "gist_relative": own - abs(own) * margin,
    }.get(config.mask_rule, phi)
    masked_m = cosine_m > threshold
    masked_m[place] = False
    if config.protect_own_hard_negative:
        masked_m[rows + place] = False
    others = cosine_m.copy()
    others[[place, rows + place]] = -np.inf
    nearest = int(np.argmax(others))
    return {
        "cos_positive": own,
        "cos_hard_negative": float(cosine_m[rows + place]),
        "own_masked": bool(masked_m[rows + place]),
        "masked": int(masked_m.sum()),
        "cos_nearest": float(others[nearest]) if rows > 1 else None,
        "nearest_candidate": nearest,
    }
