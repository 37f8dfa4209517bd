"""Studies: arms x seeds from a YAML file, as one job."""

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.durable import write_bytes
from pipeline.errors import InputError
from pipeline.studies.spec import Study
from pipeline.studies.spec_file import read_study
from workbench.actions.evaluation import checked_folder, find_snapshot
from workbench.jobs.kinds import StudySpec
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import SHIPPED
from workbench.workspace import Workspace

LARGEST_STUDY_BYTES = 1 << 20


def start_study(
    workspace: Workspace, *, file: str, sts_dir: str | None = None, download: bool = False
) -> dict[str, Any]:
    """Queue a study; what is there of it is not run again. `file` is a path or the name of a shipped study."""
    path = study_path(file)
    folder = checked_folder(sts_dir) if sts_dir else None
    study = read_study(path, sample=SAMPLE_CORPUS, sts_dir=folder)
    live = workspace.jobs.latest(StudySpec, lambda spec: spec.study == study.name, states=("queued", "running"))
    if live:
        raise InputError(f"The study {study.name} is {live.state} already.")
    spec = StudySpec(study.name, str(path), str(folder) if folder else None, download, study_command(path, sts_dir))
    job_id = workspace.jobs.submit(spec, snapshot_rows(workspace, study), title=f"Study: {study.title}")
    return {"job_id": job_id, "study": study.name}


def study_path(file: str) -> Path:
    """Return the file of a study by path or by the name of a shipped one."""
    shipped = SHIPPED / f"{file}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", file) and shipped.is_file():
        return shipped
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"There is no study file {path}: check the name.")
    return path


def study_command(path: Path, sts_dir: str | None) -> str:
    """Return the command that does the same."""
    named = path.stem if path.parent == SHIPPED else str(path)
    words = ["python -m workbench study", shlex.quote(named)]
    return " ".join([*words, "--sts-dir", shlex.quote(sts_dir)] if sts_dir else words)


def keep_study_file(workspace: Workspace, content: bytes) -> Path:
    """Keep an uploaded study in the workspace under its own name; one that cannot be used is refused and not kept."""
    if len(content) > LARGEST_STUDY_BYTES:
        raise InputError(f"A study file has at most {LARGEST_STUDY_BYTES >> 10} KB; this one is no study.")
    folder = study_files(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "uploaded-study.yaml"
    write_bytes(draft, content)
    try:
        study = read_study(draft, sample=SAMPLE_CORPUS)
        kept = folder / f"{study.name}.yaml"
        write_bytes(kept, content)
        return kept
    finally:
        draft.unlink(missing_ok=True)


def study_files(workspace: Workspace) -> Path:
    """Return the folder of uploaded study files."""
    return workspace.root / "studies" / "files"


def snapshot_rows(workspace: Workspace, study: Study) -> pd.DataFrame | None:
    """Return the triplets of all snapshots that the arms name, with the column snapshot; None if they name none."""
    names = list(dict.fromkeys(arm.snapshot for arm in study.arms if arm.snapshot))
    frames = [
        workspace.store.snapshots.rows(find_snapshot(workspace, name).snapshot_id).assign(snapshot=name)
        for name in names
    ]
    return pd.concat(frames, ignore_index=True) if frames else None
