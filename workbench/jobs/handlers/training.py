"""Stage 3 as a job: train on a snapshot, keep the curve, register the encoder, score it when STS data is named."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time
from typing import Any

import psutil
import torch

from pipeline.analysis.masks import KINDS, preview_mask
from pipeline.analysis.worst_pairs import Validation, validation
from pipeline.durable import write_json
from pipeline.encoder_folders import resolve_device
from pipeline.encoders import load_encoder
from pipeline.records import Triplet
from pipeline.studies.spec_file import read_study
from pipeline.train_config import TrainConfig
from pipeline.training import batches, model_card, run
from pipeline.training.guide import guide_table, phi_for_share, random_pair_cosines
from pipeline.training.progress import StepEvent
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.evaluation import evaluate_folder, evaluate_held_out, held_out_of, triplets_of
from workbench.jobs.kinds import PreviewSpec, StudySpec, TrainSpec
from workbench.journal import read_rows
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import alone_in, run_in, write_report

FIRST_BATCH, DEV_ROWS, COST = "first_batch.json", "dev_rows.json", "cost.json"
BASELINE = "baseline.json"
"""The untrained encoder's dev score."""


def write_first_batch(context: JobContext, triplets: Sequence[Triplet], config: TrainConfig) -> None:
    """Write out/first_batch.json before training; the guide's vectors are then on disk for the run."""
    if not triplets or (context.out / FIRST_BATCH).exists():
        return
    rows = next(iter(batches.StepSampler.of(triplets, config)))
    cosines = None
    phi = None
    if config.needs_guide and config.positives == "written":
        context.progress(0, config.steps, message=f"Embedding the texts with the guide {config.guide}")
        guide = load_encoder(config.guide, device=resolve_device(config.device))
        since = perf_counter()
        table = guide_table(
            triplets,
            guide,
            per_row=config.hard_negatives_per_row,
            cache=context.vectors,
            should_stop=lambda: context.stop_requested() in _AT_ONCE,
        )
        if table.computed:  # cached vectors say nothing about the time per text
            add_cost(context, guide_s=perf_counter() - since, embedded_texts=table.computed)
        cosines = table.cosines(torch.tensor(rows)).cpu().numpy()
        if config.threshold_unit == "random_pairs":
            phi = phi_for_share(table.unit_ud.cpu().numpy(), config.mask_threshold, seed=0)
    described = batches.first_batch(triplets, rows, config, cosines, phi=phi)
    write_json(context.out / FIRST_BATCH, {"rows": described, "batch_size": len(rows), "mask_rule": config.mask_rule})


_AT_ONCE = ("pause", "cancel")


@dataclass(slots=True)
class DevWatch:
    """The dev score as training asks for it; each time the worst rows are written for the page."""

    context: JobContext
    validation: Validation
    scores: int = 0
    """Number of scores so far."""

    def __call__(self, encoder: Any) -> float:
        """Score the encoder."""
        self.scores += 1
        found = self.validation(encoder)
        write_json(
            self.context.out / DEV_ROWS, {"name": self.validation.name, "score": found.score, "rows": found.worst}
        )
        return found.score


def add_cost(context: JobContext, **seconds: float) -> None:
    """Add the time of a part of the run to out/cost.json; a paused and resumed run adds several times."""
    try:
        spent = json.loads((context.out / COST).read_bytes())
    except (OSError, ValueError):
        spent = {}
    write_json(context.out / COST, spent | {name: spent.get(name, 0) + value for name, value in seconds.items()})


def run_train(context: JobContext[TrainSpec]) -> None:
    """Train, then evaluate; a paused run continues from its last checkpoint."""
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

    untrained_s = 0.0

    def untrained(encoder: Any) -> None:
        nonlocal untrained_s
        since = perf_counter()
        if followed and not (context.out / BASELINE).exists():
            write_json(context.out / BASELINE, {"name": followed.name, "score": followed(encoder).score})
        untrained_s = perf_counter() - since

    def kept(step: int, folder: Path) -> None:
        register(context, config, folder, step=step)

    prepared_s = time() - process.create_time()  # from the start of this worker: importing torch takes its time too
    result = run.train(
        triplets,
        config,
        output_dir=context.out,
        dev=dev,
        on_event=record,
        on_kept=kept,
        on_untrained=untrained,
        should_stop=context.stop_requested,
        cache=context.vectors,
        data=context.spec.data,
    )
    add_cost(
        context,
        guide_s=0.0,  # present even if nothing was embedded
        prepare_s=prepared_s + result.guide_s + untrained_s,
        steps_s=result.seconds - result.guide_s - result.dev_s - untrained_s,
        dev_s=result.dev_s,
        dev_scores=dev.scores if dev else 0,
    )
    done = max(recorded, default=0)
    context.progress(done, config.steps, message="Training", smaller_batches=result.smaller_batches)
    if result.status == "paused":
        context.stop_seen = "pause"  # also when it should finish, and no step was taken that could be kept
    if result.encoder_folder is not None:
        register(context, config, result.encoder_folder)
        since = perf_counter()
        if sts_dir:
            still(0, 0, "Evaluating")
            evaluate_folder(context, str(result.encoder_folder), context.job_id, sts_dir, report=still)
            model_card.add_scores(result.encoder_folder, _scores(context))
        elif held_out:
            evaluate_held_out(context, str(result.encoder_folder), context.job_id, held_out, report=still)
        add_cost(context, evaluate_s=perf_counter() - since)


def follow_train(context: JobContext[TrainSpec]) -> None:
    """Share every batch with the process that runs `run_train`, which decides, reports and writes."""
    frame = context.input()
    run.train(
        triplets_of(frame[frame["split"] == "train"]),
        context.spec.config,
        output_dir=context.out,
        cache=context.vectors,
        data=context.spec.data,
    )


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


RANDOM_PAIRS = 200_000


def run_preview(context: JobContext[PreviewSpec]) -> None:
    """Write out/preview.json; the guide's vectors stay in the workspace for the run that follows."""
    frame = context.input()
    triplets = triplets_of(frame[frame["split"] == "train"])
    context.progress(0, 3, message=f"Loading the guide {context.spec.guide}")
    guide = load_encoder(context.spec.guide, device=resolve_device("auto"))
    context.progress(1, 3, message="Embedding the texts, once for this snapshot and guide")
    table = guide_table(triplets, guide, cache=context.vectors, should_stop=context.stop_requested)
    context.progress(2, 3, message="Comparing premises with candidates")
    unit_ud, rows_n3 = table.unit_ud.numpy(), table.rows_nc.numpy()
    random_cosines = random_pair_cosines(unit_ud, pairs=RANDOM_PAIRS, seed=0)
    premise_nd, positive_nd, hard_negative_nd = (unit_ud[rows_n3[:, column]] for column in range(3))
    found = preview_mask(premise_nd, positive_nd, hard_negative_nd, random_cosines, seed=0)
    text: dict[str, Callable[[Triplet], str]] = {KINDS[0]: lambda t: t.positive}
    for example in found.examples:
        premise, candidate = triplets[example["premise"]], triplets[example["candidate"]]
        example["candidate"] = text.get(example["kind"], lambda t: t.hard_negative)(candidate)
        example["own_positive"] = premise.positive
        example["premise"] = premise.premise
    write_json(context.out / "preview.json", found.to_json() | {"triplets": len(triplets)})
    context.progress(3, 3, message="Done")


def run_study(context: JobContext[StudySpec]) -> None:
    """Run the study of the spec; stopped anywhere, it continues with the missing cells."""
    spec = context.spec
    sts_dir = Path(spec.sts_dir) if spec.sts_dir else None
    study = read_study(Path(spec.file), sample=SAMPLE_CORPUS, sts_dir=sts_dir)
    steps_in_all = study.runs * study.steps
    in_cells = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal in_cells
        context.stop_if_asked()  # in the middle of a cell, which continues from its newest checkpoint
        is_cell = total == steps_in_all
        if is_cell and not in_cells:
            context.restart_clock()
        in_cells = is_cell
        if is_cell:
            context.progress(max(done, 0), total, message=what)
        else:
            context.progress(0, steps_in_all, message=f"{what}: {done:,} of {total:,}")

    def snapshot(name: str) -> list[Triplet]:
        frame = context.input()
        return triplets_of(frame[frame["snapshot"] == name])

    folder = context.folder.path.parent.parent / "studies"
    origin = {"file": spec.file, "sts_dir": spec.sts_dir or "", "job_id": context.job_id}
    with alone_in(folder):
        report = run_in(
            folder,
            study,
            vectors=context.vectors,
            snapshot=snapshot,
            progress=progress,
            download=spec.download,
            origin=origin,
        )
    write_report(report, folder / study.name, command=spec.command)
    context.progress(steps_in_all, steps_in_all, message="Report written")
