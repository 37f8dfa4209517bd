"""Own scored pairs: upload, name the columns, evaluate."""

import streamlit as st

from pipeline.evaluation.own_pairs import guess_columns, pair_columns
from workbench.actions.evaluation import keep_pairs, start_evaluate
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import counted
from workbench.workspace import Workspace

_ENDINGS = ["csv", "tsv", "tab", "jsonl", "ndjson", "parquet", "pq"]
_LABELS = ("First text", "Second text", "Score")


@st.dialog("Evaluate on my own pairs", width="large")
def own_pairs_dialog(workspace: Workspace, encoder: str) -> None:
    """Ask for a file with two texts and a score per row, keep it as a task, evaluate."""
    file = st.file_uploader("A table with two texts and a score", type=_ENDINGS, key="own_pairs_file")
    if not file:
        return
    with errors_shown():
        offered = pair_columns(file.getvalue(), file.name)
        guessed = guess_columns(file.getvalue(), file.name)
        chosen = [
            st.selectbox(label, offered, index=offered.index(guess) if guess else min(place, len(offered) - 1))
            for place, (label, guess) in enumerate(zip(_LABELS, guessed, strict=True))
        ]
        name = st.text_input("Name of the task", value=file.name.rsplit(".", 1)[0], max_chars=60)
        if st.button("Evaluate", type="primary", icon=":material/play_arrow:", key="own_pairs_start"):
            made = keep_pairs(workspace, file.getvalue(), file.name, *chosen, name=name.strip())
            start_evaluate(workspace, encoder=encoder, sts_dir=made["folder"])
            st.toast(plain(f"{counted(made['pairs'], 'pair')}, {made['rejected']} rejected"))
            st.rerun()
