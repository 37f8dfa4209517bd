"""A study as a job: what is missing of it is run, its grid and report lie in the workspace's folder of studies."""

from pathlib import Path

from pipeline.records import Triplet
from pipeline.studies.spec_file import read_study
from workbench.jobs.context import JobContext
from workbench.jobs.handlers.evaluate import triplets_of
from workbench.jobs.kinds import StudySpec
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import alone_in, run_in, write_report


def run(context: JobContext[StudySpec]) -> None:
    """Run the study of the spec; stopped anywhere, it goes on with the cells that are missing."""
    spec = context.spec
    sts_dir = Path(spec.sts_dir) if spec.sts_dir else None
    study = read_study(Path(spec.file), sample=SAMPLE_CORPUS, sts_dir=sts_dir)
    steps_in_all = len(study.arms) * len(study.seeds) * study.steps
    in_cells = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal in_cells
        context.stop_if_asked()  # in the middle of a cell, which goes on from its newest checkpoint
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
