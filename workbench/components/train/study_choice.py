"""The choice of a study, shipped or of the workspace, its plan and its start."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.records import InputError
from pipeline.studies.hub import hub_names
from pipeline.studies.spec import Study, curation_text, mask_text, source_text
from pipeline.studies.spec_file import read_study
from workbench import state
from workbench.actions.training import keep_study_file, start_study, study_files
from workbench.components.elements import count, counted, errors_shown, plain, read_json
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import SHIPPED, study_command
from workbench.workspace import Workspace

_FIRST = "stages"
"""Listed first, as it needs no LLM, GPU or download."""
_STS_HELP = "Folder with STS tasks; without it, arms are scored on held-out triplets."


@dataclass(frozen=True, slots=True)
class ChosenStudy:
    """A study file and its study, or the problem that makes the file unusable."""

    path: Path
    study: Study | None
    problem: str = ""


def known_studies(workspace: Workspace) -> dict[str, Path]:
    """Return name -> file of every study: those of the workspace, then the shipped ones."""
    found: dict[str, Path] = {}
    for grid in sorted((workspace.root / "studies").glob("*/grid.json")):
        file = Path(str((read_json(grid) or {}).get("file") or ""))
        if file.is_file():
            found[grid.parent.name] = file
    found |= {path.stem: path for path in sorted(study_files(workspace).glob("*.yaml"))}
    shipped = sorted(SHIPPED.glob("*.yaml"), key=lambda path: (path.stem != _FIRST, path.stem))
    return found | {path.stem: path for path in shipped}


def study_choice(workspace: Workspace) -> ChosenStudy | None:
    """Draw the choice, the plan of the chosen study, and its start."""
    known = known_studies(workspace)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = state.pick("Study", list(known), name=state.STUDY, names=_titles(known))
        with st.popover("Add a study file", icon=":material/add:"):
            _add(workspace)
    if name is None:
        return None
    sts_dir = state.folder_input("STS folder (optional)", name=state.STS_FOLDER, help=_STS_HELP)
    chosen = _read(known[name], sts_dir)
    if chosen.study is None:
        st.error(plain(chosen.problem), icon=":material/error:")
        return chosen
    _plan(chosen.study)
    _start(workspace, chosen, sts_dir)
    return chosen


def _read(path: Path, sts_dir: str = "") -> ChosenStudy:
    try:
        folder = Path(sts_dir).expanduser() if sts_dir else None
        return ChosenStudy(path, read_study(path, sample=SAMPLE_CORPUS, sts_dir=folder))
    except InputError as error:
        return ChosenStudy(path, None, str(error))


def _titles(known: dict[str, Path]) -> dict[str, str]:
    found = {name: _read(path).study for name, path in known.items()}
    return {name: f"{study.title} ({name})" for name, study in found.items() if study}


def _add(workspace: Workspace) -> None:
    upload = st.file_uploader(
        "Study file", type=["yaml", "yml"], key="study_upload", help="Use absolute paths, or `sample`."
    )
    st.caption("Arms, seeds and settings in YAML; docs/studies.md describes every field.")
    if upload is not None and st.button("Add", type="primary", key="study_add"):
        with errors_shown():
            kept = keep_study_file(workspace, upload.getvalue())
            state.select(state.STUDY, kept.stem)
            st.rerun()


def _plan(study: Study) -> None:
    if study.about:
        st.caption(plain(study.about))
    runs = len(study.arms) * len(study.seeds)
    where = "STS tasks" if study.evaluation.sts_dir else "held-out triplets"
    st.markdown(
        f"**{counted(len(study.arms), 'arm')} x {counted(len(study.seeds), 'seed')} = {counted(runs, 'run')}** of "
        f"{count(study.steps)} steps each, scored on {where}; baseline: {plain(study.baseline)}."
    )
    with st.expander("Arms"):
        rows = [
            (arm.name, source_text(arm), curation_text(arm), mask_text(arm), arm.train.encoder, arm.train.batch_size)
            for arm in study.arms
        ]
        st.dataframe(
            pd.DataFrame(rows, columns=["Arm", "Triplets", "Curation", "Mask", "Encoder", "Batch"]),
            hide_index=True,
            alt="Arms of the study",
        )


def _start(workspace: Workspace, chosen: ChosenStudy, sts_dir: str) -> None:
    from_hub = hub_names(chosen.study) if chosen.study else []
    download = False
    if from_hub:
        st.caption(plain(f"Needs from the Hub: {', '.join(from_hub)}. A GPU is recommended."))
        download = st.toggle("Download them from the Hub", key=f"study_download_{chosen.path}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Run the study", type="primary", icon=":material/play_arrow:", key="study_run"):
            with errors_shown():
                start_study(workspace, file=str(chosen.path), sts_dir=sts_dir or None, download=download)
                st.rerun()
        with st.popover("Without a browser", icon=":material/terminal:"):
            command = study_command(chosen.path, sts_dir or None) + (" --download" if download else "")
            st.code(command, language="bash", wrap_lines=True)
    st.caption("Cells that an earlier run has finished are kept.")
