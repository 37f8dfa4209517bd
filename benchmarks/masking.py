"""What phi masks where half of a batch's candidates are known false negatives: a table over phi.

Known duplicates are texts of STS-B that people scored as equivalent (4.8 or more of 5), joined into groups of three
or more; known others are texts of another group. Run: python -m benchmarks.masking --sts-dir FOLDER
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pipeline.encoders import load_encoder
from pipeline.evaluation.sts import find_tasks, read_task
from pipeline.training.guide import phi_for_share
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


EQUIVALENT = 4.8
PHIS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
SHARES = (0.01, 0.001, 0.0001)
BATCHES = 2_000


def groups_of(sts_dir: Path) -> list[list[str]]:
    """Texts that say the same, joined over pairs that share a text; groups of three and more."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    tasks = find_tasks(sts_dir, for_tuning=True)
    for name in ("STSB-train", "STSB-dev"):
        task = read_task(name, tasks[name])
        for first, second, gold in zip(task.sentence1, task.sentence2, task.gold, strict=True):
            if gold >= EQUIVALENT:
                leader[find(first)] = find(second)
    members: dict[str, list[str]] = defaultdict(list)
    for text in leader:
        members[find(text)].append(text)
    return [texts for texts in members.values() if len(texts) >= 3]


def main() -> None:
    """Print the table for MiniLM and for the static encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sts-dir", type=Path, required=True)
    sts_dir = parser.parse_args().sts_dir
    groups = groups_of(sts_dir)
    dev = read_task("STSB-dev", find_tasks(sts_dir, for_tuning=True)["STSB-dev"])
    any_texts = list(dict.fromkeys(dev.sentence1))[:600]
    print(f"{len(groups)} groups, {sum(map(len, groups))} texts")
    for name in ("all-MiniLM-L6-v2", "static-minilm-unweighted"):
        guide = load_encoder(name, device="cpu")
        vectors = [guide.encode(texts, normalize_embeddings=True, show_progress_bar=False) for texts in groups]
        unit_ud = guide.encode(any_texts, normalize_embeddings=True, show_progress_bar=False)
        random_phi = {share: phi_for_share(unit_ud, share, seed=0) for share in SHARES}
        thresholds = (*PHIS, *random_phi.values())
        table = masking_table(vectors, LossSettings(), thresholds, batches=BATCHES, seed=0)
        print(f"\n{name}\n| phi | duplicates masked | others masked |\n|---|---:|---:|")
        names = [*map(str, PHIS), *(f"{phi:.2f} ({share:.2%} of random pairs)" for share, phi in random_phi.items())]
        for told, row in zip(names, table, strict=True):
            print(f"| {told} | {row.duplicates:.1%} | {row.others:.2%} |")


if __name__ == "__main__":
    main()
