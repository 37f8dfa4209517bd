"""Bringing premises in: the shipped sample, a file with a preview of what will be kept, or pasted text."""

import pandas as pd
import streamlit as st

from pipeline.files.rows import LISTED_ROWS, column_names
from pipeline.files.source import make_source
from pipeline.premises import PremiseFile, read_premises, usual_column
from workbench import state
from workbench.actions.premises import KNOWN_CORPORA, import_upload, start_fetch_premises
from workbench.actions.sample import open_sample
from workbench.components import links
from workbench.components.file_rows import PACKED, encoding_of, rejected_table
from workbench.components.notice import errors_shown
from workbench.components.wording import count, counted
from workbench.workspace import Workspace

FILE_TYPES = ["txt", "csv", "tsv", "jsonl", "json", "parquet", *PACKED]
_SHOWN = 8


def welcome(workspace: Workspace) -> None:
    """First visit: one click to something alive, one's own sentences, or sentences that an LLM writes."""
    with st.container(border=True):
        st.subheader("Start with premises", icon=":material/notes:", anchor=False)
        st.markdown(
            "A premise is a plain sentence. For each one the workbench writes a :green[**positive**] that it entails "
            "and a :red[**hard negative**] that contradicts it, keeps the good triplets, and trains a sentence "
            "encoder on them."
        )
        with st.container(horizontal=True):
            if st.button("Open the sample corpus", type="primary", icon=":material/library_books:"):
                with errors_shown():
                    made = open_sample(workspace)
                    state.select(state.CORPUS, made["corpus_id"])
                    st.rerun()
            if st.button("Import my premises", icon=":material/upload_file:"):
                import_dialog(workspace)
            if st.button("Let an LLM write premises", icon=":material/grid_on:"):
                _to_scratch()


def _to_scratch() -> None:
    """Go where an LLM writes premises."""
    state.select(state.GENERATE_VIEW, "Premises")
    st.switch_page(links.GENERATE)


@st.dialog("Import premises", width="large")
def import_dialog(workspace: Workspace) -> None:
    """Upload or paste, look at what would be kept, import."""
    upload, paste, hub, scratch = st.tabs(["Upload a file", "Paste text", "From the hub", "From scratch"])
    with upload:
        file = st.file_uploader(
            "One premise per line, or a table with a column of sentences", type=FILE_TYPES, key="import_file"
        )
        if file:
            with errors_shown():
                _offer(workspace, file.getvalue(), file.name)
    with paste:
        text = st.text_area("One premise per line", height=180, key="import_text")
        if text.strip():
            with errors_shown():
                _offer(workspace, text.encode(), "pasted.txt")
    with hub:
        _hub(workspace)
    with scratch:
        st.markdown("An LLM writes premises for every topic, genre and length that you choose, without a corpus.")
        if st.button("Choose topics and genres", icon=":material/grid_on:", key="import_scratch"):
            _to_scratch()


def _hub(workspace: Workspace) -> None:
    """Fetch a corpus that papers use, or any file of a data set; its job shows in the sidebar."""
    name = st.selectbox(
        "Corpus",
        list(KNOWN_CORPORA),
        accept_new_options=True,
        key="import_hub",
        help="SimCSE's sentences of Wikipedia or of NLI, or type OWNER/NAME/FILE of a data set on the hub.",
    )
    left, right = st.columns(2)
    revision = left.text_input("Revision", key="import_revision", placeholder="main", help="Pinned at its commit.")
    limit = right.number_input("Premises to keep", 1, 10_000_000, 10_000, key="import_limit")
    st.caption("This is fetched over the network; everything else here works without one.")
    if st.button("Fetch", type="primary", icon=":material/cloud_download:", key="import_fetch"):
        with errors_shown():
            start_fetch_premises(workspace, hub=name or "", revision=revision.strip(), limit=int(limit))
            st.rerun()


def _offer(workspace: Workspace, data: bytes, filename: str) -> None:
    encoding = encoding_of(data, filename)
    column = _choose_column(data, filename, encoding)
    read = _read(data, filename, column, encoding)
    _preview(read)
    name = st.text_input("Name of the corpus", value=filename.rsplit(".", 1)[0], max_chars=80, key=f"name_{filename}")
    label = f"Import {counted(len(read.premises), 'premise')}"
    if st.button(label, type="primary", disabled=not read.premises, key=f"import_{filename}"):
        with errors_shown():
            made = import_upload(
                workspace,
                data=data,
                filename=filename,
                column=column,
                name=name.strip() or filename,
                encoding=encoding,
            )
            state.select(state.CORPUS, made["corpus_id"])
            st.rerun()


def _choose_column(data: bytes, filename: str, encoding: str) -> str | None:
    columns = column_names(make_source(data, filename, encoding=encoding))
    if len(columns) < 2:
        return columns[0] if columns and not filename.endswith(".txt") else None
    usual = usual_column(columns)
    likely = columns.index(usual) if usual else 0
    return st.selectbox("Column with the premises", columns, index=likely, key=f"column_{filename}")


@st.cache_data(max_entries=4, show_spinner="Reading the file …")
def _read(data: bytes, filename: str, column: str | None, encoding: str) -> PremiseFile:
    return read_premises(data, name=filename, column=column, encoding=encoding)


def _preview(read: PremiseFile) -> None:
    with st.container(horizontal=True):
        st.badge(f"{count(len(read.premises))} kept", color="green", icon=":material/check:")
        if read.duplicates:
            st.badge(f"{counted(read.duplicates, 'duplicate')} dropped", color="gray")
        if read.rejected:
            st.badge(f"{count(len(read.rejected))} rejected", color="orange", icon=":material/warning:")
    first = pd.DataFrame({"premise": [premise.text for premise in read.premises[:_SHOWN]]})
    st.dataframe(first, hide_index=True, alt="First premises of the file")
    if read.rejected:
        rejected_table([row.as_dict() for row in read.rejected[:LISTED_ROWS]], read.reasons())
