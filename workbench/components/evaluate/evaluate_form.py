"""Starting evaluations on STS, transfer and retrieval tasks or own pairs, and the scores of the latter two."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.evaluation.hub_tasks import ON_HUB, fetched
from pipeline.evaluation.own_pairs import PairFile, guess_columns, pair_columns, read_pairs
from pipeline.evaluation.retrieval import find_retrieval
from pipeline.evaluation.sts import find_tasks
from pipeline.evaluation.transfer import TRANSFER_TASKS, find_transfer
from pipeline.files.rows import LISTED_ROWS
from workbench import state
from workbench.actions.evaluation import keep_pairs, start_evaluate, start_fetch, tasks_folder
from workbench.actions.models import LONGEST_NAME, add_encoder
from workbench.components.elements import count, counted, empty_state, errors_shown, plain, read_table
from workbench.components.encoder_comparison import encoder_names, scored_name
from workbench.components.imports import PACKED, encoding_of, read_badges, rejected_table
from workbench.components.job_progress import job_strip
from workbench.jobs.kinds import EvaluateSpec, FetchSpec
from workbench.workspace import Workspace

MEAN = "Mean"
_SHOWN = 200
_ENDINGS = ["csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet", "pq", *PACKED]
_LABELS = ("First text", "Second text", "Score")
_NOTES = {
    "sts": "STS12 to STS16, STS-B and SICK-R at pinned revisions. SICK-R has its 4,927 test pairs only, as in "
    "published tables; the Hub's copy adds train and trial.",
    "retrieval": "NanoBEIR tasks of 50 queries each, and two full BEIR tasks, at pinned revisions.",
}
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
    "predicted": st.column_config.TextColumn("Predicted", width="small"),
}


@dataclass(frozen=True, slots=True)
class TaskKind:
    """The differences between transfer and retrieval tasks."""

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
    button="Evaluate retrieval",
    folder_state=state.RETRIEVAL_FOLDER,
    folder_help="Retrieval tasks in BEIR's layout, one or several.",
    empty_hint="Enter a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, or one of such folders.",
    note="nDCG@10 x 100, by cosine; all relevance grades count the same.",
    find=find_retrieval,
)
TRANSFER = TaskKind(
    kind="transfer",
    measure="accuracy",
    label="Transfer folder",
    button="Evaluate transfer",
    folder_state=state.TRANSFER_FOLDER,
    folder_help="SentEval's data folder with any of MR, CR, SUBJ, MPQA, SST2, TREC and MRPC.",
    empty_hint="Enter SentEval's data folder; each task fits a logistic regression on the frozen embeddings.",
    note="Accuracy x 100 of a logistic regression on frozen embeddings; the mean needs a score on every task.",
    find=find_transfer,
    order=TRANSFER_TASKS,
)


def evaluate_form(workspace: Workspace) -> None:
    """Draw encoder, folder, start, and running evaluations."""
    names = encoder_names(workspace)
    encoder, folder, start = st.columns([4, 6, 3], vertical_alignment="bottom")
    with encoder:
        chosen = state.pick("Encoder", list(names), name=state.CANDIDATE, names=names)
    with folder:
        sts_dir = state.folder_input(
            "STS folder",
            name=state.STS_FOLDER,
            help="Files such as STSB-test.tsv, or tasks in SentEval's layout.",
        )
    pressed = start.button(
        "Evaluate", type="primary", icon=":material/play_arrow:", disabled=not sts_dir, width="stretch"
    )
    with st.container(horizontal=True):
        if st.button("Evaluate on my own pairs", icon=":material/upload_file:", type="tertiary"):
            own_pairs_dialog(workspace, str(chosen))
        add_encoder_popover(workspace)
        fetch_popover(workspace, "sts", folder_state=state.STS_FOLDER)
    if sts_dir:
        with errors_shown():
            tasks = find_tasks(Path(sts_dir).expanduser())
            st.caption(plain(f"{counted(len(tasks), 'task')} in this folder: {', '.join(tasks)}"))
            if pressed:
                start_evaluate(workspace, encoder=str(chosen), sts_dir=sts_dir)
                st.rerun()
    job_strip(workspace, EvaluateSpec, FetchSpec, key="evaluating")


def folder_tasks_view(workspace: Workspace, names: dict[str, str], kind: TaskKind) -> None:
    """Draw the evaluation of the encoder chosen above, all scores, and the rows behind the selected one."""
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
    st.caption(plain(f"{kind.note} Select a cell to see its errors."))
    if event.selection.cells:
        row, column = event.selection.cells[0]
        cell = scores[(scores["encoder_id"] == table.index[row]) & (scores["task"] == column)]
        if not cell.empty:
            _rows(workspace, str(cell["job_id"].iloc[0]), str(column), kind)


def task_table(scores: pd.DataFrame, kind: TaskKind) -> pd.DataFrame:
    """Return a row per encoder, x 100, best mean first; a missing score leaves the mean missing too."""
    wide = scores.pivot(index="encoder_id", columns="task", values=kind.measure) * 100
    tasks = [task for task in kind.order if task in wide] + sorted(set(wide) - set(kind.order))
    wide = wide[tasks].rename_axis(columns=None)
    wide.insert(0, MEAN, wide.mean(axis=1, skipna=False))
    return wide.sort_values(MEAN, ascending=False)


def _start(workspace: Workspace, names: dict[str, str], kind: TaskKind) -> None:
    encoder = state.recall(state.CANDIDATE) or next(iter(names))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folder = state.folder_input(kind.label, name=kind.folder_state, help=kind.folder_help)
        pressed = st.button(kind.button, icon=":material/manage_search:", disabled=not folder)
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
    frame = read_table(path)
    if kind is RETRIEVAL:
        failing, fault = frame[frame["ndcg"] < 1], f"of {counted(len(frame), 'query', 'queries')} fall short"
        config = _QUERY_COLUMNS
    else:
        failing, fault = frame[frame["label"] != frame["predicted"]], f"of {counted(len(frame), 'text')} are wrong"
        config = _EXAMPLE_COLUMNS
        if not frame["sentence2"].any():
            failing = failing.drop(columns="sentence2")
    st.subheader(plain(task), anchor=False)
    st.caption(f"{len(failing):,} {fault}; the first {min(_SHOWN, len(failing)):,} are shown.")
    st.dataframe(
        failing.head(_SHOWN), hide_index=True, row_height=38, column_config=config, alt="Rows behind the score"
    )


def add_encoder_popover(workspace: Workspace) -> None:
    """Draw the form for a model folder; a new encoder becomes the selected one."""
    with st.popover("Add an encoder", icon=":material/add:", type="tertiary"):
        folder = st.text_input(
            "Folder, or name on the Hub",
            key="add_encoder_folder",
            placeholder="BAAI/bge-small-en-v1.5",
            help="A sentence-transformers or transformers folder on this machine, or OWNER/NAME on the Hub, pinned "
            "at its commit and fetched where it is first used; safetensors weights. @REVISION may follow a name.",
        )
        name = st.text_input(
            "Name (optional)", key="add_encoder_name", max_chars=LONGEST_NAME, placeholder="as above"
        )
        st.caption("The encoder can then be evaluated, compared, mapped, and selected in new runs.")
        if st.button("Add", type="primary", key="add_encoder_start", disabled=not folder.strip()):
            with errors_shown():
                made = add_encoder(workspace, folder=folder, name=name)
                state.select(state.CANDIDATE, made["encoder_id"])
                st.rerun()


def fetch_popover(workspace: Workspace, kind: str, *, folder_state: str) -> None:
    """Offer to download missing tasks, and to use those already downloaded."""
    folder = tasks_folder(workspace, kind)
    here = fetched(folder)
    missing = [name for name in ON_HUB[kind] if name not in here]
    with st.popover("Tasks from the Hub", icon=":material/cloud_download:", type="tertiary"):
        st.caption(_NOTES[kind])
        if here:
            st.button(
                f"Use the {counted(len(here), 'task')} in this workspace",
                icon=":material/folder_open:",
                on_click=state.set_folder,
                args=(folder_state, str(folder)),
                key=f"use_fetched_{kind}",
            )
        if not missing:
            return
        chosen = st.multiselect("Download", missing, default=missing, key=f"fetch_{kind}")
        if st.button(f"Fetch {count(len(chosen))}", type="primary", disabled=not chosen, key=f"start_fetch_{kind}"):
            with errors_shown():
                start_fetch(workspace, kind=kind, tasks=chosen)
                st.rerun()


@st.dialog("Evaluate on my own pairs", width="large")
def own_pairs_dialog(workspace: Workspace, encoder: str) -> None:
    """Draw the import of a table with two texts and a score per row as a task, and start its evaluation."""
    file = st.file_uploader("A table with two texts and a score", type=_ENDINGS, key="own_pairs_file")
    if not file:
        return
    with errors_shown():
        encoding = encoding_of(file.getvalue(), file.name)
        offered = pair_columns(file.getvalue(), file.name, encoding)
        guessed = guess_columns(file.getvalue(), file.name, encoding)
        chosen = [
            st.selectbox(label, offered, index=offered.index(guess) if guess else min(place, len(offered) - 1))
            for place, (label, guess) in enumerate(zip(_LABELS, guessed, strict=True))
        ]
        first, second, score = chosen
        read = _read(file.getvalue(), file.name, first, second, score, encoding)
        read_badges(len(read.pairs), rejected=len(read.rejected))
        if read.rejected:
            rejected_table([row.as_dict() for row in read.rejected[:LISTED_ROWS]], read.reasons())
        name = st.text_input("Name of the task", value=file.name.rsplit(".", 1)[0], max_chars=60)
        if st.button("Evaluate", type="primary", icon=":material/play_arrow:", key="own_pairs_start"):
            made = keep_pairs(
                workspace, file.getvalue(), file.name, first, second, score, name=name.strip(), encoding=encoding
            )
            start_evaluate(workspace, encoder=encoder, sts_dir=made["folder"])
            st.toast(plain(f"{counted(made['pairs'], 'pair')}, {made['rejected']} rejected"))
            st.rerun()


@st.cache_data(max_entries=2, show_spinner="Reading the file …")
def _read(data: bytes, filename: str, first: str, second: str, score: str, encoding: str) -> PairFile:
    return read_pairs(data, name=filename, first=first, second=second, score=score, encoding=encoding)
