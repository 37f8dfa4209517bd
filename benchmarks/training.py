"""Training on a CPU: the static encoder on 12,000 triplets for 6 epochs, and what its parts cost.

Baseline of the same run: the same trainer, data and batches with sentence-transformers' own loss and collator
(MultipleNegativesRankingLoss, no mask). Run: python -m benchmarks.training
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import PrinterCallback, TrainerCallback

from benchmarks.triplet_texts import captions
from pipeline.analysis.worst_pairs import validation
from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.train_config import TrainConfig
from pipeline.training.guide import guide_table
from pipeline.training.run import train

TRIPLETS, EPOCHS, BATCH = 12_000, 6, 512
STEPS = TRIPLETS * EPOCHS // BATCH
BASELINE_STEPS = 12
EVAL_EVERY = 25


def ours(triplets: list[Triplet], sts_dir: Path | None) -> Any:
    """Train with the mask on and a dev score every 25 steps."""
    followed = validation(sts_dir, captions(1_000))
    assert followed is not None
    config = TrainConfig(
        steps=STEPS, batch_size=BATCH, mask_threshold=0.95, guide="static-minilm", eval_every=EVAL_EVERY, device="cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        return train(triplets, config, output_dir=Path(folder), dev=lambda encoder: followed(encoder).score)


class Clock(TrainerCallback):
    """Times the steps after the first."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start after the first step, stop at the last."""
        if state.global_step == 1:
            self.started = time.perf_counter()
        self.ended = time.perf_counter()


def theirs(triplets: list[Triplet]) -> float:
    """Seconds of a step with the library's loss and collator."""
    encoder = load_encoder("static-minilm", device="cpu")
    columns = {name: [getattr(t, name) for t in triplets] for name in ("premise", "positive", "hard_negative")}
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=BASELINE_STEPS,
            per_device_train_batch_size=BATCH,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=encoder,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            loss=MultipleNegativesRankingLoss(encoder),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return (clock.ended - clock.started) / (BASELINE_STEPS - 1)


def guide_seconds(texts: int) -> float:
    """Seconds to embed texts with MiniLM, per text."""
    triplets = captions(texts // 3)
    guide = load_encoder("all-MiniLM-L6-v2", device="cpu")
    since = time.perf_counter()
    table = guide_table(triplets, guide)
    return (time.perf_counter() - since) / len(table.unit_ud)


def main() -> None:
    """Print the run's time, its parts, and the ratio to the baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sts-dir", type=Path, help="folder with STSB-dev; without it 1,000 triplets are the dev set"
    )
    options = parser.parse_args()
    triplets = captions(TRIPLETS)
    result = ours(triplets, options.sts_dir)
    trained = result.seconds - result.guide_s
    per_step = (trained - result.dev_s) / STEPS
    baseline = theirs(triplets)
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print(
        f"{TRIPLETS:,} triplets x {EPOCHS} epochs, {STEPS} steps of {BATCH}, mask on: {trained:.1f} s (wanted: 30 s)"
    )
    print(f"  a step {1000 * per_step:.0f} ms, {BATCH / per_step:,.0f} triplets/s, saving and scoring left out")
    print(f"  {STEPS // EVAL_EVERY + 1} dev scores {result.dev_s:.1f} s, {result.dev_s / trained:.1%} (wanted: 10 %)")
    print(
        f"baseline, the library's loss and collator: {1000 * baseline:.0f} ms a step; ours x{baseline / per_step:.2f}"
    )
    print(f"guide: MiniLM embeds a text in {1000 * guide_seconds(600):.1f} ms, once per snapshot, then from disk")
    print("Limit: a step reads and writes the table, its gradient and Adam's two moments, 8 x 47 MB.")


if __name__ == "__main__":
    main()
