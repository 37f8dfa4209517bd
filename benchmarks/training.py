"""Time of a training step of the static encoder: no mask, guide vectors looked up, guide run in every step.

The last is how the published code works and the baseline here; all three run in this process, on the same batches.
Run: python -m benchmarks.training
"""

import time
from collections.abc import Sequence
from typing import Any

import torch

from pipeline.records import Triplet
from pipeline.training.batches import RowCollator, StepSampler
from pipeline.training.encoders import load_encoder
from pipeline.training.guide import guide_table
from pipeline.training.losses import GuideMaskedLoss, LossSettings

TRIPLETS = 600
BATCH = 128
STEPS = {"no mask": 20, "guide looked up": 20, "guide in every step": 3}
SUBJECTS = ("A dog", "The old teacher", "My neighbour", "A small boat", "The orchestra", "Her brother")
VERBS = ("finds", "paints", "forgets", "carries", "repairs", "sells", "draws", "hides", "admires", "follows")
OBJECTS = ("a red kite", "the broken clock", "two wooden chairs", "a map of the town", "the last letter")
PLACES = ("by the river", "in the rain", "after lunch", "behind the station", "on a quiet morning")


class GuideEveryStep:
    """The baseline: the guide encodes the texts of every batch again."""

    def __init__(self, guide: Any, triplets: Sequence[Triplet]) -> None:
        self.guide, self.triplets = guide, triplets

    def cosines(self, rows: torch.Tensor) -> torch.Tensor:
        """Cosines of premises with candidates, (N, 2N)."""
        batch = [self.triplets[row] for row in rows.tolist()]
        texts = [t.premise for t in batch] + [t.positive for t in batch] + [t.hard_negative for t in batch]
        unit = torch.from_numpy(self.guide.encode(texts, batch_size=64, normalize_embeddings=True))
        return unit[: len(batch)] @ unit[len(batch) :].T


def sentences(count: int) -> list[str]:
    """Plain sentences of four parts, all different."""
    every = [f"{s} {v} {o} {p}." for v in VERBS for o in OBJECTS for p in PLACES for s in SUBJECTS]
    return every[:count]


def seconds_per_step(triplets: Sequence[Triplet], guide: Any, steps: int) -> float:
    """Train a fresh static encoder and return the mean time of a step, the first one left out."""
    encoder = load_encoder("static-minilm")
    loss = GuideMaskedLoss(encoder, LossSettings(mask_rule="none" if guide is None else "phi"), guide)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.05, fused=True)
    collate = RowCollator.of(encoder, triplets, 64)
    columns = ("anchor", "positive", "negative")
    started = 0.0
    for step, rows in enumerate(StepSampler(len(triplets), batch_size=BATCH, steps=steps + 1, seed=0)):
        if step == 1:
            started = time.perf_counter()
        batch = collate([{"label": row} for row in rows])
        features = [{key: batch[f"{c}_{key}"] for key in ("input_ids", "offsets")} for c in columns]
        optimizer.zero_grad()
        loss(features, batch["label"]).backward()
        optimizer.step()
    return (time.perf_counter() - started) / steps


def main() -> None:
    """Print one line per arm and the ratios."""
    texts = sentences(2 * TRIPLETS)
    triplets = [Triplet(a, a.replace(".", " again."), b) for a, b in zip(texts[::2], texts[1::2], strict=True)]
    guide = load_encoder("all-MiniLM-L6-v2")
    started = time.perf_counter()
    table = guide_table(triplets, guide)
    once = time.perf_counter() - started
    arms = {"no mask": None, "guide looked up": table, "guide in every step": GuideEveryStep(guide, triplets)}
    times = {name: seconds_per_step(triplets, arm, STEPS[name]) for name, arm in arms.items()}
    for name, seconds in times.items():
        print(f"{name:20s} {1 / seconds:8.2f} steps/s {BATCH / seconds:9.0f} triplets/s")
    print(f"guide vectors once   {once:8.2f} s for {len(table.unit_ud)} texts")
    print(f"the mask costs x{times['guide looked up'] / times['no mask']:.2f} of a step without it")
    print(f"looking up is x{times['guide in every step'] / times['guide looked up']:.1f} faster than the baseline")
    print(
        "Limit: reading and writing the whole table and Adam's two moments, 3 x 47 MB a step; "
        "looking up pays once a text is seen more than once."
    )


if __name__ == "__main__":
    main()
