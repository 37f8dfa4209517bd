"""Own scored pairs: upload, name the columns, evaluate."""

import streamlit as st

from pipeline.evaluation.own_pairs import PairFile, guess_columns, pair_columns, read_pairs
from pipeline.files.rows import LISTED_ROWS
from workbench.actions.evaluation import keep_pairs, start_evaluate
from workbench.components.file_rows import PACKED, encoding_of, rejected_table
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import counted
from workbench.workspace import Workspace

_ENDINGS = ["csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet", "pq", *PACKED]
_LABELS = ("First text", "Second text", "Score")


@st.dialog("Evaluate on my own pairs", width="large")
def own_pairs_dialog(workspace: Workspace, encoder: str) -> None:
    """Ask for a file with two texts and a score per row, keep it as a task, evaluate."""
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
        st.badge(f"{counted(len(read.pairs), 'pair')} kept", color="green", icon=":material/check:")
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
