"""Retrieval and transfer tasks: a folder to evaluate on, how every encoder fared, and the rows behind a score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.evaluation.retrieval_tasks import find_retrieval
from pipeline.evaluation.transfer_tasks import TRANSFER_TASKS, find_transfer
from workbench import state
from workbench.actions.evaluation import start_evaluate
from workbench.components.encoder_names import scored_name
from workbench.components.evaluate.fetch_tasks import fetch_popover
from workbench.components.notice import empty_state, errors_shown
from workbench.components.text import plain
from workbench.components.wording import counted
from workbench.workspace import Workspace

_SHOWN = 200
MEAN = "Mean"


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What differs between the two kinds of tasks."""

    kind: str
    measure: str
    """Column of the scores, a fraction."""
    label: str
    button: str
    folder_state: str
    folder_help: str
    empty_hint: str
    note: str
    find: Callable[[Path], dict[str, Path]]
    order: tuple[str, ...] = ()
    """Tasks in the order of published tables; others follow by name."""


RETRIEVAL = TaskKind(
    kind="retrieval",
    measure="ndcg",
    label="Retrieval folder",
    button="Search it",
    folder_state=state.RETRIEVAL_FOLDER,
    folder_help="Retrieval tasks in BEIR's layout, one or several.",
    empty_hint="Name a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, or one that holds such folders.",
    note="nDCG@10 x 100, by cosine; every relevant grade counts alike.",
    find=find_retrieval,
)
TRANSFER = TaskKind(
    kind="transfer",
    measure="accuracy",
    label="Transfer folder",
    button="Classify",
    folder_state=state.TRANSFER_FOLDER,
    folder_help="SentEval's data folder: MR, CR, SUBJ, MPQA, SST2, TREC and MRPC, those that are there.",
    empty_hint="Name SentEval's data folder: a logistic regression is fitted on the frozen embeddings of each task.",
    note="Accuracy x 100 of a logistic regression on frozen embeddings; the mean wants every task shown.",
    find=find_transfer,
    order=TRANSFER_TASKS,
)


def folder_tasks_view(workspace: Workspace, names: dict[str, str], kind: TaskKind) -> None:
    """Draw the folder, the start of an evaluation of the encoder chosen above, the scores, and a score's rows."""
    _start(workspace, names, kind)
    scores = workspace.store.scores.retrieval() if kind is RETRIEVAL else workspace.store.scores.transfer()
    if scores.empty:
        empty_state(f"No {kind.kind} scores yet", hint=kind.empty_hint, icon=":material/manage_search:")
        return
    table = task_table(scores, kind)
    shown = table.copy()
    shown.index = pd.Index([scored_name(str(key), names) for key in table.index], name="Encoder")
    event = st.dataframe(
        shown.reset_index(),
        key=f"{kind.kind}_scores",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="–",
        alt=f"Scores by encoder and {kind.kind} task",
        column_config={name: st.column_config.NumberColumn(format="%.2f") for name in table.columns},
    )
    st.caption(plain(f"{kind.note} Choose a cell to see what it is made of."))
    if event.selection.cells:
        row, column = event.selection.cells[0]
        cell = scores[(scores["encoder_id"] == table.index[row]) & (scores["task"] == column)]
        if not cell.empty:
            _rows(workspace, str(cell["job_id"].iloc[0]), str(column), kind)


def task_table(scores: pd.DataFrame, kind: TaskKind) -> pd.DataFrame:
    """Turn scores into a row per encoder, x 100, best mean first; a missing score stays missing, and so its mean."""
    wide = scores.pivot(index="encoder_id", columns="task", values=kind.measure) * 100
    tasks = [task for task in kind.order if task in wide] + sorted(set(wide) - set(kind.order))
    wide = wide[tasks].rename_axis(columns=None)
    wide.insert(0, MEAN, wide.mean(axis=1, skipna=False))
    return wide.sort_values(MEAN, ascending=False)


def _start(workspace: Workspace, names: dict[str, str], kind: TaskKind) -> None:
    encoder = state.recall(state.CANDIDATE) or next(iter(names))
    typed, button = st.columns([5, 1], vertical_alignment="bottom")
    with typed:
        folder = state.folder_input(kind.label, name=kind.folder_state, help=kind.folder_help)
    pressed = button.button(kind.button, icon=":material/manage_search:", disabled=not folder, width="stretch")
    if kind is RETRIEVAL:
        fetch_popover(workspace, kind.kind, folder_state=kind.folder_state)
    if folder:
        with errors_shown():
            found = kind.find(Path(folder).expanduser())
            st.caption(plain(f"{counted(len(found), 'task')} in this folder: {', '.join(found)}"))
            if pressed:
                where = {f"{kind.kind}_dir": folder}
                start_evaluate(workspace, encoder=str(encoder), **where)
                st.rerun()


def _rows(workspace: Workspace, job_id: str, task: str, kind: TaskKind) -> None:
    path = workspace.jobs.output(job_id, f"{kind.kind}-{task}.parquet")
    if not path.exists():
        st.caption("The rows behind this score are no longer in the workspace: evaluate again to see them.")
        return
    frame = _read(str(path), path.stat().st_mtime)
    if kind is RETRIEVAL:
        failing, told = frame[frame["ndcg"] < 1], f"of {counted(len(frame), 'query', 'queries')} fall short"
        config = _QUERY_COLUMNS
    else:
        failing, told = frame[frame["label"] != frame["predicted"]], f"of {counted(len(frame), 'text')} are wrong"
        config = _EXAMPLE_COLUMNS
        if not frame["sentence2"].any():
            failing = failing.drop(columns="sentence2")
    st.subheader(plain(task), anchor=False)
    st.caption(f"{len(failing):,} {told}; the first {min(_SHOWN, len(failing)):,} of them.")
    st.dataframe(
        failing.head(_SHOWN), hide_index=True, row_height=38, column_config=config, alt="Rows behind the score"
    )


@st.cache_data(max_entries=16, show_spinner=False)
def _read(path: str, modified: float) -> pd.DataFrame:
    del modified
    return pd.read_parquet(Path(path))


_QUERY_COLUMNS = {
    "query": st.column_config.TextColumn("Query", width="large"),
    "ndcg": st.column_config.NumberColumn("nDCG@10", format="%.2f", width="small"),
    "first_rank": st.column_config.NumberColumn(
        "First at", help="Rank of the first relevant document.", width="small"
    ),
    "found": st.column_config.TextColumn("Found first", width="large"),
    "wanted": st.column_config.TextColumn("Relevant", width="large"),
}
_EXAMPLE_COLUMNS = {
    "sentence1": st.column_config.TextColumn("Text", width="large"),
    "sentence2": st.column_config.TextColumn("Second text", width="large"),
    "label": st.column_config.TextColumn("Class", width="small"),
    "predicted": st.column_config.TextColumn("Given", width="small"),
}
