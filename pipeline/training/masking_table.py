"""Whether a mask takes what it should: batches in which half the candidates are known false negatives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline.training.losses import LossSettings, false_negatives


@dataclass(frozen=True, slots=True)
class MaskedShares:
    """What one threshold masks."""

    threshold: float
    duplicates: float
    """Share of the candidates known to say what the anchor's positive says."""
    others: float
    """Share of the candidates known to say something else."""


def masking_table(
    groups: Sequence[np.ndarray], settings: LossSettings, thresholds: Sequence[float], *, batches: int, seed: int
) -> list[MaskedShares]:
    """Mask batches of known duplicates and known others at every threshold.

    A batch is made of two groups of texts. Every text is an anchor, its positive is the next text of its group; so
    half of its candidates are texts of its own group, false negatives, and half are texts of the other, true ones.
    Its own positive, which is never masked, and its own text are not counted.

    Args:
        groups: per group the guide's vectors of texts that say the same, float (texts, d), rows of length one.
        settings: rule of the mask; its threshold is replaced.
        thresholds: phi, or the GIST margin.
        batches: pairs of groups drawn.
        seed: of the draw.

    Raises ValueError for fewer than two groups, or a group of fewer than three texts.
    """
    if len(groups) < 2 or min(map(len, groups)) < 3:
        raise ValueError("the table needs at least two groups of at least three texts each")
    generator = np.random.default_rng(seed)
    counts = np.zeros((len(thresholds), 2))
    candidates = np.zeros(2)
    for _ in range(batches):
        pair = [groups[place] for place in generator.choice(len(groups), 2, replace=False)]
        cosine_nn, duplicate_nn, other_nn = _batch(*(group[: min(map(len, pair))] for group in pair))
        candidates += duplicate_nn.sum(), other_nn.sum()
        for place, threshold in enumerate(thresholds):
            rule = replace(settings, mask_threshold=threshold)
            mask_nn = false_negatives(cosine_nn, rule, like=cosine_nn, columns=1).numpy()
            counts[place] += mask_nn[duplicate_nn].sum(), mask_nn[other_nn].sum()
    shares = counts / candidates
    return [
        MaskedShares(float(phi), float(row[0]), float(row[1])) for phi, row in zip(thresholds, shares, strict=True)
    ]


def _batch(first_kd: np.ndarray, second_kd: np.ndarray) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Return guide cosines of 2k anchors with 2k positives, which of them are duplicates, and which are others."""
    count = len(first_kd)
    anchor_nd = np.concatenate([first_kd, second_kd])
    positive_nd = np.concatenate([np.roll(first_kd, -1, axis=0), np.roll(second_kd, -1, axis=0)])
    group = np.repeat([0, 1], count)
    is_same_nn = group[:, None] == group
    own = np.arange(count)
    is_counted = np.ones((count, count), dtype=bool)
    is_counted[own, own] = False  # the own positive
    is_counted[own, own - 1] = False  # the anchor's own text, which is the positive of the row before
    duplicate_nn = is_same_nn & np.block([[is_counted, is_counted], [is_counted, is_counted]])
    return torch.from_numpy(anchor_nd @ positive_nd.T), duplicate_nn, ~is_same_nn
