"""Stage 3: `train` in a workspace or from a file to a folder, `study`, and the list of encoders."""

import argparse
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from pipeline.analysis.worst_pairs import validation
from pipeline.exchange import read_triplets
from pipeline.hub import is_hub_name
from pipeline.records import InputError, Triplet
from pipeline.settings import from_fields
from pipeline.studies.report import Report
from pipeline.studies.run import dry_run
from pipeline.studies.spec import Study, curation_text, mask_text, source_text
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import score_text, setting_line, verdict_line
from pipeline.train_config import TrainConfig
from workbench.cli.main import (
    Answer,
    access,
    ask,
    following,
    print_line,
    print_table,
    require_file,
    require_here,
    settings,
    watch,
    write_json,
)
from workbench.paths import SAMPLE_CORPUS, SAMPLE_PREMISES
from workbench.study_runs import alone_in, run_in, study_command, study_file, write_report
from workbench.workspace import workspace_root


def run_train(options: argparse.Namespace) -> None:
    """Train from a file to a folder, or as a job of the workspace."""
    config = from_fields(TrainConfig, settings(options))
    answer = to_folder(options, config) if options.triplets is not None else in_workspace(options)
    if answer:
        write_json(options.json, answer)


def in_workspace(options: argparse.Namespace) -> Answer:
    """Queue the run, follow it and print its scores."""
    if options.snapshot is None:
        raise InputError("train needs --snapshot NAME of the workspace, or --triplets FILE with --out DIR.")
    sts_dir = str(options.sts_dir.resolve()) if options.sts_dir else None
    with access(options) as call:
        held_out = options.snapshot if options.hold_out else None
        started = call(
            "start_train",
            snapshot_id=options.snapshot,
            config=settings(options),
            sts_dir=sts_dir,
            held_out=held_out,
            on=options.on,
        )
        watch(call, started["job_id"], label="Training")
        scores = [row for row in call("scores")["scores"] if row["encoder_id"] == started["run_id"]]
    rows = [(row["task"], f"{100 * row['spearman']:.2f}", row["pairs"]) for row in scores]
    print_table("Spearman x100", ("task", "score", "pairs"), rows)
    return {**started, "scores": scores}


def to_folder(options: argparse.Namespace, config: TrainConfig) -> Answer:
    """Train without a workspace; the folder gets the encoder itself.

    Started by `torchrun --nproc-per-node GPUS -m workbench train ...` the processes share every batch, and the first
    one prints and writes.
    """
    if options.out is None:
        raise InputError("train --triplets needs --out DIR.")
    require_here(options, "--triplets")
    from pipeline.training import distributed
    from pipeline.training.progress import StepEvent
    from pipeline.training.run import train

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
            f"{result.smaller_batches} of {config.steps} batches were smaller than {config.batch_size}, because all "
            "other rows repeat one of their premises or positives"
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


def show_encoders(options: argparse.Namespace) -> None:
    """Print every encoder that can be used by name."""
    answer = ask(options, "encoders")
    rows = [(row["name"], row["origin"], row.get("base"), row.get("folder")) for row in answer["encoders"]]
    print_table("Encoders", ("name", "origin", "trained from", "folder"), rows)
    write_json(options.json, answer)


def add_encoder(options: argparse.Namespace) -> None:
    """Add the encoder of a folder or of the hub; one added before is printed again."""
    folder = options.folder.strip()
    if folder and not is_hub_name(folder):
        # Made absolute here: the server that owns the workspace runs in another folder.
        folder = str(Path(folder).expanduser().resolve())
    answer = ask(options, "add_encoder", folder=folder, name=options.name)
    print_line(f"{answer['name']} is an encoder of the workspace, from {folder}.")
    write_json(options.json, answer)


def delete_weights(options: argparse.Namespace) -> None:
    """Delete the weights of a run; its figures stay."""
    answer = ask(options, "delete_weights", run_id=options.run)
    print_line(f"{answer['freed_bytes'] / 1e6:,.1f} MB freed; curve, scores and settings of {options.run} are kept.")
    write_json(options.json, answer)


def print_plan(study: Study) -> None:
    """Print the arms and the size of the study."""
    rows = [
        (arm.name, source_text(arm), curation_text(arm), mask_text(arm), arm.train.batch_size) for arm in study.arms
    ]
    print_table(study.title, ("arm", "triplets", "curation", "mask", "batch"), rows)
    batch = max(arm.train.batch_size for arm in study.arms)
    halves = f" and {study.halves} halves of the corpus" if study.halves else ""
    print_line(
        f"{len(study.arms)} arms x {len(study.seeds)} seeds{halves} = {study.runs} training runs of "
        f"{study.steps:,} steps; "
        f"up to {2 * batch - 1} negatives per premise; encoder {study.arm(study.baseline).train.encoder}; "
        f"baseline {study.baseline}."
    )
    where = study.evaluation.sts_dir
    if study.search_on:
        needs = "" if where else " It needs an STS folder: give --sts-dir FOLDER."
        print_line(f"A search: the arm that is best on {', '.join(study.search_on)} meets the test tasks.{needs}")
        return
    tasks = ", ".join(study.evaluation.tasks) or "every test task of the folder"
    print_line(f"Scored on {tasks} in {where}." if where else "Scored on held-out triplets: no STS folder is named.")


def run_study(options: argparse.Namespace) -> None:
    """Run what is missing of a study, print its tables, write its report."""
    sts_dir = options.sts_dir.resolve() if options.sts_dir else None
    study = read_study(study_file(options.file), sample=SAMPLE_CORPUS, sts_dir=sts_dir)
    if options.seeds:
        study = replace(study, seeds=tuple(range(options.seeds)))
    if options.halves is not None:
        study = replace(study, halves=options.halves)
    if options.dry_run:
        print_plan(study)
        checks = [(check.part, check.told) for check in dry_run(study, SAMPLE_PREMISES)]
        print_table("Tried", ("part", "result"), checks)
        return
    root = workspace_root(options.workspace)
    folder = options.out.resolve() if options.out else root / "studies"
    with alone_in(folder):
        report = follow(folder, study, root, options)
    print_report(report)
    command = study_command(
        options.file, str(options.sts_dir) if options.sts_dir else None, options.seeds, options.halves
    )
    written = write_report(report, folder / study.name, command=command)
    print_line("Report: " + ", ".join(str(path) for path in written))
    write_json(options.json, report.to_json())


def follow(folder: Path, study: Study, root: Path, options: argparse.Namespace) -> Report:
    """Run the study with its parts in this folder, drawing its progress, and return its report."""
    with following(f"Study: {study.title}") as progress:
        origin = {"file": str(study_file(options.file)), "sts_dir": str(study.evaluation.sts_dir or "")}
        return run_in(
            folder,
            study,
            vectors=None if options.out else root / "vectors",
            snapshot=lambda name: snapshot(root, name),
            progress=progress.show,
            download=options.download,
            origin=origin,
        )


def snapshot(root: Path, name: str) -> list[Triplet]:
    """Read a snapshot of the workspace, through its server when one owns it."""
    with tempfile.TemporaryDirectory() as folder, access(root) as call:
        path = Path(folder) / "snapshot.jsonl"
        call("export_triplets", path=str(path), snapshot_id=name)
        return read_triplets(path).triplets


def print_report(report: Report) -> None:
    """Print scores and differences."""
    print_line(setting_line(report))
    rows = [(row.arm, row.triplets, *(score_text(row.scores[task]) for task in report.tasks)) for row in report.rows]
    print_table(report.title, ("arm", "triplets", *report.tasks), rows)
    last = report.tasks[-1]
    for title, effects in ((f"Against {report.baseline}", report.against_baseline), ("Contrasts", report.contrasts)):
        if effects:
            verdicts = [(item.name, verdict_line(item, last), item.verdict(last)) for item in effects]
            print_table(title, ("", last, "verdict"), verdicts)


def push(options: argparse.Namespace) -> None:
    """Push a copy of an encoder, or a snapshot, with its card completed; nothing of the workspace changes."""
    from pipeline import hub
    from pipeline.training.model_card import complete_card

    with tempfile.TemporaryDirectory() as scratch, access(options) as call:
        folder = Path(scratch) / "pushed"
        if options.snapshot:
            call("export_triplets", path=str(folder), snapshot_id=options.snapshot)
        else:
            known = {row["name"]: row for row in call("encoders")["encoders"] if row.get("folder")}
            by_id = {row["encoder_id"]: row for row in known.values()}
            found = known.get(options.encoder) or by_id.get(options.encoder)
            if found is None or not any(Path(found["folder"]).rglob("*.safetensors")):
                names = ", ".join(known) or "none yet"
                raise InputError(f"There is no encoder {options.encoder!r} with weights to push (there are {names}).")
            shutil.copytree(found["folder"], folder)
        complete_card(folder, licence=options.licence, datasets=options.dataset or ())
        kind: Literal["model", "dataset"] = "dataset" if options.snapshot else "model"
        url = hub.push(folder, options.repository, kind=kind, private=not options.public)
    print_line(f"Pushed: {url}")
    write_json(options.json, {"repository": options.repository, "kind": kind, "commit": url})
