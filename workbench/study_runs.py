"""Finding a study file and running it in the folder of studies, for the command line and for jobs."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.curation.calibration import read_calibrations
from pipeline.durable import write_text
from pipeline.hub import Hub
from pipeline.records import InputError, Triplet
from pipeline.studies import data, html_report, run, spec
from pipeline.studies.cache import Progress, StudyCache
from pipeline.studies.report import Report, make_report
from pipeline.studies.wording import as_markdown
from workbench.journal import FileLock
from workbench.paths import ASSETS

SHARED = "shared"
"""Folder, beside the studies, of what several of them use: generated triplets, judgements, cells."""
SHIPPED = ASSETS / "studies"


def study_file(named: Path) -> Path:
    """Return the named file, or the shipped study of that name."""
    path, shipped = named.expanduser().resolve(), SHIPPED / f"{named}.yaml"
    if path.is_file():
        return path
    if named.name == str(named) and shipped.is_file():
        return shipped
    names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
    raise InputError(f"There is no study file {named}: check the name, or use a shipped study ({names}).")


def study_command(path: Path, sts_dir: str | None, seeds: int | None = None, halves: int | None = None) -> str:
    """Return the command that runs this study, with file, folder, seeds and halves as they were given."""
    named = path.stem if path.parent == SHIPPED else str(path)
    words = ["python -m workbench study", shlex.quote(named)]
    words += ["--sts-dir", shlex.quote(sts_dir)] if sts_dir else []
    words += ["--seeds", str(seeds)] if seeds else []
    return " ".join([*words, "--halves", str(halves)] if halves is not None else words)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against a second study, which would write the same cells."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "study.lock")
    if not lock.acquire():
        raise InputError(f"Another study runs in {folder}; wait for it, or give another folder with --out.")
    try:
        yield
    finally:
        lock.release()


def run_in(
    folder: Path,
    study: spec.Study,
    *,
    snapshot: Callable[[str], list[Triplet]],
    progress: Progress,
    vectors: Path | None = None,
    download: bool = False,
    origin: dict[str, Any] | None = None,
) -> Report:
    """Run what is missing of a study with its parts in this folder and return its report.

    snapshot: reads the triplets of a snapshot by name. vectors: where the vectors of texts are kept, if not in the
    folder. `origin` is kept with the study's grid.
    """
    cache = StudyCache(folder / SHARED, vectors or folder / SHARED / "vectors")
    grid = run.StudyGrid(study, folder / study.name, origin or {})
    grid.begin()
    hub = Hub(download)
    study = spec.localised(study, hub)
    source = data.DataSource(study, cache, read_calibrations(ASSETS), snapshot=snapshot, hub=hub)
    finished = (run.run_search if study.search_on else run.run_study)(
        study, source, cache, progress=progress, watch=grid
    )
    progress("Resampling for the intervals", 0, 1)
    return make_report(finished)


def write_report(report: Report, folder: Path, *, command: str = "") -> list[Path]:
    """Write the report in every form and return the files."""
    contents = {
        "report.html": html_report.as_page(report, command=command),
        "report.md": as_markdown(report),
        "report.json": json.dumps(report.to_json(), indent=2, ensure_ascii=False),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_text(folder / name, content)
    return [folder / name for name in contents]
