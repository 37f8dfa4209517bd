"""Stage 3 as a job: train on a snapshot, keep the curve, register the encoder, score it when STS data is named."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time

import psutil

from pipeline.analysis.validation import validation
from pipeline.config import TrainConfig
from pipeline.training.model_card import add_scores
from pipeline.training.train import StepEvent, train
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.evaluate import evaluate_folder, evaluate_held_out, held_out_of, triplets_of
from workbench.jobs.handlers.run_details import DevWatch, add_cost, write_first_batch
from workbench.jobs.kinds import TrainSpec
from workbench.journal import read_rows


def run(context: JobContext[TrainSpec]) -> None:
    """Train, then evaluate; a paused run goes on from its last checkpoint."""
    config = context.spec.config
    sts_dir = Path(context.spec.sts_dir) if context.spec.sts_dir else None
    recorded = {int(step) for step in context.done("train_steps", "step")}
    process = psutil.Process()

    def record(event: StepEvent) -> None:
        # A resumed run repeats the steps after its last checkpoint with the same values: one row each is enough.
        if event.step not in recorded:
            recorded.add(event.step)
            measured = asdict(event) | {"memory_mb": process.memory_info().rss / 2**20}
            context.write([{"table": "train_steps", "run_id": context.job_id, **measured}])
        context.progress(event.step, config.steps, message="Training", loss=event.loss, dev_score=event.dev_score)

    def still(_done: int, _total: int, message: str) -> None:
        # The job's progress stays in steps, and at the step where the run ended: pages say so.
        context.progress(max(recorded, default=0), config.steps, message=message)

    frame = context.input()
    held_out = held_out_of(frame)
    triplets = triplets_of(frame[frame["split"] == "train"])
    write_first_batch(context, triplets, config)
    followed = validation(sts_dir, held_out, config.dev_metric)
    dev = DevWatch(context, followed) if followed else None

    def kept(step: int, folder: Path) -> None:
        register(context, config, folder, step=step)

    prepared_s = time() - process.create_time()  # from the start of this worker: importing torch takes its time too
    result = train(
        triplets,
        config,
        output_dir=context.out,
        dev=dev,
        on_event=record,
        on_kept=kept,
        should_stop=context.stop_requested,
        cache=context.vectors,
        data=context.spec.data,
    )
    add_cost(
        context,
        guide_s=0.0,  # there is this part, also where nothing was embedded
        prepare_s=prepared_s + result.guide_s,
        steps_s=result.seconds - result.guide_s - result.dev_s,
        dev_s=result.dev_s,
        dev_scores=dev.scores if dev else 0,
    )
    if result.status == "paused":
        context.stop_seen = "pause"  # also when it should finish, and no step was taken that could be kept
    if result.encoder_folder is not None:
        register(context, config, result.encoder_folder)
        since = perf_counter()
        if sts_dir:
            still(0, 0, "Evaluating")
            evaluate_folder(context, str(result.encoder_folder), context.job_id, sts_dir, report=still)
            add_scores(result.encoder_folder, _scores(context))
        elif held_out:
            evaluate_held_out(context, str(result.encoder_folder), context.job_id, held_out, report=still)
        add_cost(context, evaluate_s=perf_counter() - since)


def _scores(context: JobContext) -> dict[str, tuple[float, int]]:
    """Return task -> (Spearman, pairs) of what this job has evaluated."""
    rows = [row for row in read_rows(context.folder.journal) if row["table"] == "scores" and row.get("spearman")]
    return {row["task"]: (row["spearman"], row["pairs"]) for row in rows}


def register(context: JobContext[TrainSpec], config: TrainConfig, folder: Path, *, step: int | None = None) -> None:
    """Add the trained encoder to the workspace, or its copy after a step; the trained one's id is the run's."""
    spec = context.spec
    encoder = {
        "encoder_id": context.job_id if step is None else f"{context.job_id}-step-{step}",
        "name": spec.name if step is None else f"{spec.name}, step {step}",
        "folder": str(folder),
        "run_id": context.job_id,
        "snapshot_id": spec.snapshot_id or None,
        "base": config.encoder,
        "created_at": datetime.now(UTC).isoformat(),
    }
    if encoder["encoder_id"] not in context.done("encoders", "encoder_id"):
        context.write([{"table": "encoders", **encoder}])
