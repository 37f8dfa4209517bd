"""Retrieval tasks: a folder in BEIR's layout to evaluate on, and how every encoder fared."""

from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.evaluation.retrieval_tasks import find_retrieval
from workbench import state
from workbench.actions.evaluation import start_evaluate
from workbench.components.encoder_names import scored_name
from workbench.components.notice import empty_state, errors_shown
from workbench.components.text import plain
from workbench.workspace import Workspace


def retrieval_view(workspace: Workspace, names: dict[str, str]) -> None:
    """Draw the folder, the start of an evaluation of the encoder chosen above, and the table of scores."""
    _start(workspace, names)
    scores = workspace.store.scores.retrieval()
    if scores.empty:
        empty_state(
            "No retrieval scores yet",
            hint="Name a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, or one that holds such folders.",
            icon=":material/manage_search:",
        )
        return
    table = retrieval_table(scores, names)
    st.dataframe(
        table.style.format("{:.2f}", na_rep="–"), placeholder="–", alt="nDCG at 10 by encoder and retrieval task"
    )
    queries = scores.drop_duplicates("task").set_index("task")["queries"]
    counts = ", ".join(f"{task}: {number:,} queries" for task, number in queries.items())
    st.caption(plain(f"nDCG@10 x 100, by cosine; every relevant grade counts alike. {counts}."))


def retrieval_table(scores: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Turn (encoder_id, task, ndcg) into a row per encoder, x 100, best mean first; a missing score stays missing."""
    wide = scores.pivot(index="encoder_id", columns="task", values="ndcg") * 100
    wide.insert(0, "Mean", wide.mean(axis=1, skipna=False))
    wide = wide.sort_values("Mean", ascending=False)
    wide.index = pd.Index([scored_name(str(key), names) for key in wide.index], name="Encoder")
    return wide.rename_axis(columns=None)


def _start(workspace: Workspace, names: dict[str, str]) -> None:
    encoder = state.recall(state.CANDIDATE) or next(iter(names))
    typed, button = st.columns([5, 1], vertical_alignment="bottom")
    with typed:
        folder = state.folder_input(
            "Retrieval folder", name=state.RETRIEVAL_FOLDER, help="Retrieval tasks in BEIR's layout, one or several."
        )
    pressed = button.button("Search it", icon=":material/manage_search:", disabled=not folder, width="stretch")
    if folder:
        with errors_shown():
            found = find_retrieval(Path(folder).expanduser())
            st.caption(plain(f"{len(found)} tasks in this folder: {', '.join(found)}"))
            if pressed:
                start_evaluate(workspace, encoder=str(encoder), retrieval_dir=folder)
                st.rerun()
