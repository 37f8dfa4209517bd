"""`train`: stage 3, in a workspace or from a file to a folder."""

import argparse
import os
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import Progress

from pipeline.config import TrainConfig, from_fields
from pipeline.errors import InputError
from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.parser import settings
from workbench.cli.watch import require_file, watch


def run(options: argparse.Namespace) -> None:
    """Train from a file to a folder, or as a job of the workspace."""
    config = from_fields(TrainConfig, settings(options))
    answer = to_folder(options, config) if options.triplets is not None else in_workspace(options)
    if answer:
        write_json(options.json, answer)


def in_workspace(options: argparse.Namespace) -> dict[str, Any]:
    """Queue the run, follow it, print its scores."""
    if options.snapshot is None:
        raise InputError("train needs --snapshot NAME of the workspace, or --triplets FILE with --out DIR.")
    sts_dir = str(options.sts_dir.resolve()) if options.sts_dir else None
    from workbench.workspace import workspace_root

    with access(workspace_root(options.workspace)) as call:
        held_out = options.snapshot if options.hold_out else None
        started = call(
            "start_train", snapshot_id=options.snapshot, config=settings(options), sts_dir=sts_dir, held_out=held_out
        )
        watch(call, started["job_id"], label="Training")
        scores = [row for row in call("scores")["scores"] if row["encoder_id"] == started["run_id"]]
    rows = [(row["task"], f"{100 * row['spearman']:.2f}", row["pairs"]) for row in scores]
    print_table("Spearman x100", ("task", "score", "pairs"), rows)
    return {**started, "scores": scores}


def to_folder(options: argparse.Namespace, config: TrainConfig) -> dict[str, Any]:
    """Train without a workspace; the folder gets the encoder itself.

    Started by `torchrun --nproc-per-node GPUS -m workbench train ...` the processes share every batch, and the first
    one prints and writes.
    """
    if options.out is None:
        raise InputError("train --triplets needs --out DIR.")
    from pipeline.analysis.validation import validation
    from pipeline.exchange import read_triplets
    from pipeline.training import distributed
    from pipeline.training.train import StepEvent, train

    read = read_triplets(require_file(options.triplets))
    left_out = {"duplicate": read.duplicates, **read.reasons()}
    followed = validation(options.sts_dir, [], config.dev_metric)
    is_first = os.environ.get("RANK", "0") == "0"
    with Progress(console=Console(stderr=True), disable=not is_first) as progress:
        bar = progress.add_task("Training", total=config.steps)

        def show(event: StepEvent) -> None:
            progress.update(bar, completed=event.step, description=f"Training, loss {event.loss:.3f}")

        result = train(
            read.triplets,
            config,
            output_dir=options.out,
            encoder_dir=options.out,
            dev=(lambda encoder: followed(encoder).score) if followed else None,
            on_event=show,
        )
    distributed.stop()
    if not is_first:
        return {}
    early = ", ended early" if result.ended_early else ""
    print_line(f"{len(read.triplets)} triplets, {result.step} steps{early}: {result.encoder_folder}")
    if read.lines > len(read.triplets):
        reasons = ", ".join(f"{reason} {rows}" for reason, rows in left_out.items() if rows)
        print_line(f"Left out of {read.lines} rows: {reasons}")
    if result.smaller_batches:
        print_line(
            f"{result.smaller_batches} of {config.steps} batches were smaller than {config.batch_size}, since every "
            "other row repeats one of their premises or positives"
        )
    return {
        "model": str(result.encoder_folder),
        "triplets": len(read.triplets),
        "rows": read.lines,
        "left_out": {reason: rows for reason, rows in left_out.items() if rows},
        "smaller_batches": result.smaller_batches,
        "step": result.step,
        "kept_step": result.kept_step,
        "dev_score": result.dev_score,
        "config": asdict(config),
    }
