"""`study`: arms x seeds at equal steps on one evaluation, from a YAML file; stopped, it goes on where it was."""

import argparse
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.errors import InputError
from pipeline.records import Triplet
from workbench.cli.access import access
from workbench.cli.output import print_line, print_table, write_json
from workbench.cli.study_plan import print_plan, try_parts
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import SHIPPED, alone_in, run_in, write_report
from workbench.workspace import workspace_root

if TYPE_CHECKING:
    from pipeline.studies.report import Report
    from pipeline.studies.spec import Study


def run(options: argparse.Namespace) -> None:
    """Run what is missing of a study, print its tables, write its report."""
    from pipeline.studies.spec_file import read_study

    sts_dir = options.sts_dir.resolve() if options.sts_dir else None
    study = read_study(study_file(options.file), sample=SAMPLE_CORPUS, sts_dir=sts_dir)
    if options.dry_run:
        print_plan(study)
        try_parts(study)
        return
    root = workspace_root(options.workspace)
    folder = options.out.resolve() if options.out else root / "studies"
    with alone_in(folder):
        report = follow(folder, study, root, options)
    print_report(report)
    written = write_report(report, folder / study.name, command=repeat_command(options))
    print_line("Report: " + ", ".join(str(path) for path in written))
    write_json(options.json, report.to_json())


def repeat_command(options: argparse.Namespace) -> str:
    """Return the command that makes the report again, with the names of folders as they were given."""
    words = ["python -m workbench study", shlex.quote(str(options.file))]
    if options.sts_dir:
        words += ["--sts-dir", shlex.quote(str(options.sts_dir))]
    return " ".join(words)


def study_file(named: Path) -> Path:
    """Return the named file, or the shipped study of that name."""
    shipped = SHIPPED / f"{named}.yaml"
    if not named.exists() and named.name == str(named) and shipped.is_file():
        return shipped
    if not named.is_file():
        names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
        raise InputError(f"There is no study file {named}: check the name, or take a shipped study ({names}).")
    return named.resolve()


def follow(folder: Path, study: "Study", root: Path, options: argparse.Namespace) -> "Report":
    """Run the study with its parts in this folder, drawing its progress, and return its report."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(study.title, total=None)

        def show(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total)

        origin = {"file": str(study_file(options.file)), "sts_dir": str(study.evaluation.sts_dir or "")}
        return run_in(
            folder,
            study,
            vectors=None if options.out else root / "vectors",
            snapshot=lambda name: snapshot(root, name),
            progress=show,
            download=options.download,
            origin=origin,
        )


def snapshot(root: Path, name: str) -> list[Triplet]:
    """Read a snapshot of the workspace, through its server when one owns it."""
    from pipeline.exchange import read_triplets

    with tempfile.TemporaryDirectory() as folder, access(root) as call:
        path = Path(folder) / "snapshot.jsonl"
        call("export_triplets", path=str(path), snapshot_id=name)
        return read_triplets(path).triplets


def print_report(report: "Report") -> None:
    """Print scores and differences."""
    from pipeline.studies.markdown import score_text, setting_line, verdict_line

    print_line(setting_line(report))
    rows = [(row.arm, row.triplets, *(score_text(row.scores[task]) for task in report.tasks)) for row in report.rows]
    print_table(report.title, ("arm", "triplets", *report.tasks), rows)
    last = report.tasks[-1]
    for title, effects in ((f"Against {report.baseline}", report.against_baseline), ("Contrasts", report.contrasts)):
        if effects:
            told = [(item.name, verdict_line(item, last), item.verdict(last)) for item in effects]
            print_table(title, ("", last, "verdict"), told)
