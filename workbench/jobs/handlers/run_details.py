"""What a run leaves beside its curve: its first batch, and the validation rows it gets most wrong."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from pipeline.analysis.validation import Validation
from pipeline.config import TrainConfig
from pipeline.durable import write_json
from pipeline.records import Triplet
from pipeline.training.batches import StepSampler
from pipeline.training.encoders import load_encoder, resolve_device
from pipeline.training.first_batch import first_batch
from pipeline.training.guide import guide_table, phi_for_share
from workbench.jobs.context import JobContext

FIRST_BATCH, DEV_ROWS, COST = "first_batch.json", "dev_rows.json", "cost.json"


def write_first_batch(context: JobContext, triplets: Sequence[Triplet], config: TrainConfig) -> None:
    """Write out/first_batch.json before training; the guide's vectors are then on disk for the run."""
    if not triplets or (context.out / FIRST_BATCH).exists():
        return
    rows = next(iter(StepSampler.of(triplets, config)))
    cosines = None
    phi = None
    if config.mask_rule != "none" and config.positives == "written":
        context.progress(0, config.steps, message=f"Embedding the texts with the guide {config.guide}")
        guide = load_encoder(config.guide, device=resolve_device(config.device))
        since = perf_counter()
        table = guide_table(
            triplets, guide, cache=context.vectors, should_stop=lambda: context.stop_requested() in _AT_ONCE
        )
        if table.computed:  # reading kept vectors says nothing of what a text takes
            add_cost(context, guide_s=perf_counter() - since, embedded_texts=table.computed)
        cosines = table.cosines(torch.tensor(rows)).cpu().numpy()
        if config.threshold_unit == "random_pairs":
            phi = phi_for_share(table.unit_ud.cpu().numpy(), config.mask_threshold, seed=0)
    described = first_batch(triplets, rows, config, cosines, phi=phi)
    write_json(context.out / FIRST_BATCH, {"rows": described, "batch_size": len(rows), "mask_rule": config.mask_rule})


_AT_ONCE = ("pause", "cancel")


@dataclass(slots=True)
class DevWatch:
    """The dev score as training asks for it; each time the worst rows are written for the page."""

    context: JobContext
    validation: Validation
    scores: int = 0
    """How many were asked for."""

    def __call__(self, encoder: Any) -> float:
        """Score the encoder."""
        self.scores += 1
        found = self.validation(encoder)
        write_json(
            self.context.out / DEV_ROWS, {"name": self.validation.name, "score": found.score, "rows": found.worst}
        )
        return found.score


def add_cost(context: JobContext, **seconds: float) -> None:
    """Add to out/cost.json what a part of the run took; a run that was paused has spent in several calls."""
    try:
        spent = json.loads((context.out / COST).read_bytes())
    except (OSError, ValueError):
        spent = {}
    write_json(context.out / COST, spent | {name: spent.get(name, 0) + value for name, value in seconds.items()})
