"""Bringing premises in: the shipped sample, a file with a preview of what will be kept, or pasted text."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.exchange import TripletReading
from pipeline.files.rows import LISTED_ROWS, column_names
from pipeline.files.source import encoding_offer, make_source
from pipeline.premises import PremiseFile, read_premises, usual_column
from workbench import state
from workbench.actions.data import (
    KNOWN_CORPORA,
    import_triplets,
    import_upload,
    keep_triplets,
    open_sample,
    start_fetch_premises,
)
from workbench.components import elements
from workbench.components.elements import count, counted, errors_shown, plain
from workbench.workspace import Workspace

PACKED = ["gz", "bz2", "xz", "zst"]
"""Endings of packed text files, for the uploaders."""


def encoding_of(data: bytes, filename: str) -> str:
    """Offer the encoding that a file which is not UTF-8 is likely in, with a sample; empty for UTF-8."""
    offer = _offer(data, filename)
    if offer is None:
        return ""
    encoding, sample = offer
    st.caption(plain(f"Not all of this file is UTF-8. In {encoding}, its first such line is: {sample[:120]}"))
    return encoding if st.checkbox(f"Read it as {encoding}", key=f"encoding_{filename}") else ""


def rejected_table(rows: Sequence[Mapping[str, object]], reasons: Mapping[str, int]) -> None:
    """Draw the reasons and the first rows that were rejected."""
    with st.expander(f"Rejected rows ({count(sum(reasons.values()))})"):
        st.caption(plain(", ".join(f"{number} {reason}" for reason, number in reasons.items())))
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Rejected rows with reasons")


@st.cache_data(max_entries=4, show_spinner=False)
def _offer(data: bytes, filename: str) -> tuple[str, str] | None:
    return encoding_offer(make_source(data, filename))


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
    st.switch_page(elements.GENERATE)


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
                _offer_premises_import(workspace, file.getvalue(), file.name)
    with paste:
        text = st.text_area("One premise per line", height=180, key="import_text")
        if text.strip():
            with errors_shown():
                _offer_premises_import(workspace, text.encode(), "pasted.txt")
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


def _offer_premises_import(workspace: Workspace, data: bytes, filename: str) -> None:
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


FILE_TYPES_TRIPLETS_IMPORT = ["csv", "tsv", "jsonl", "json", "parquet", "arrow", *PACKED]
_SHOWN_TRIPLETS_IMPORT = 6


def import_button(workspace: Workspace, *, key: str) -> None:
    """Draw the button that opens the dialog."""
    if st.button("Import triplets", icon=":material/upload_file:", key=key):
        import_triplets_dialog(workspace)


@st.dialog("Import triplets", width="large")
def import_triplets_dialog(workspace: Workspace) -> None:
    """Upload, or name a folder; look at what would be kept; import."""
    upload, folder = st.tabs(["Upload a file", "Folder on this machine"])
    with upload:
        file = st.file_uploader(
            "Columns sent0, sent1, hard_neg (SimCSE, SynCSE, MultiCSR), premise, positive, hard_negative, "
            "anchor, positive, negative or query, pos, neg",
            type=FILE_TYPES_TRIPLETS_IMPORT,
            key="triplets_file",
        )
        if file:
            with errors_shown():
                _offer_upload(workspace, file.getvalue(), file.name)
    with folder:
        path = st.text_input(
            "File or datasets folder", key="triplets_folder", placeholder="/path/to/folder",
            help="A folder that datasets.load_dataset loads, or one that save_to_disk wrote.",
        ).strip()  # fmt: skip
        if path:
            with errors_shown():
                _offer_path(workspace, path)


def _offer_upload(workspace: Workspace, data: bytes, filename: str) -> None:
    encoding = encoding_of(data, filename)
    read = _read_triplets_import(data, filename, encoding)
    _preview_triplets_import(read)
    name = st.text_input("Name", value=Path(filename).stem, max_chars=80, key=f"triplets_name_{filename}")
    label = f"Import {counted(read['kept'], 'triplet')}"
    if st.button(label, type="primary", disabled=not read["kept"], key="triplets_import"):
        with errors_shown():
            reading = TripletReading(data, name=filename, encoding=encoding)
            _opened(keep_triplets(workspace, reading, filename, name=name.strip() or filename))


def _offer_path(workspace: Workspace, path: str) -> None:
    reading = TripletReading(Path(path).expanduser())
    first = pd.DataFrame([_row(triplet) for triplet in islice(iter(reading), _SHOWN_TRIPLETS_IMPORT)])
    st.caption(plain(f"{len(reading.sources)} file(s); the first rows:"))
    st.dataframe(first, hide_index=True, alt="First triplets")
    name = st.text_input("Name", value=Path(path).stem, max_chars=80, key="triplets_name_folder")
    if st.button("Import", type="primary", disabled=first.empty, key="triplets_import_folder"):
        with errors_shown(), st.spinner("Importing …"):
            _opened(import_triplets(workspace, path=path, name=name.strip() or Path(path).stem))


@st.cache_data(max_entries=2, show_spinner="Reading the file …")
def _read_triplets_import(data: bytes, filename: str, encoding: str) -> dict:
    reading = TripletReading(data, name=filename, encoding=encoding)
    stream = iter(reading)
    first = pd.DataFrame([_row(triplet) for triplet in islice(stream, _SHOWN_TRIPLETS_IMPORT)])
    for _ in stream:
        pass
    return {
        "first": first,
        "kept": reading.kept,
        "duplicates": reading.duplicates,
        "rejected": reading.rejected,
        "reasons": dict(reading.reasons.most_common()),
        "examples": [row.as_dict() for row in reading.examples],
    }


def _preview_triplets_import(read: dict) -> None:
    with st.container(horizontal=True):
        st.badge(f"{count(read['kept'])} kept", color="green", icon=":material/check:")
        if read["duplicates"]:
            st.badge(f"{counted(read['duplicates'], 'duplicate')} dropped", color="gray")
        if read["rejected"]:
            st.badge(f"{count(read['rejected'])} rejected", color="orange", icon=":material/warning:")
    st.dataframe(read["first"], hide_index=True, alt="First triplets of the file")
    if read["rejected"]:
        rejected_table(read["examples"], read["reasons"])


def _row(triplet: object) -> dict[str, str]:
    names = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}
    return {label: getattr(triplet, side) for side, label in names.items()}


def _opened(made: dict) -> None:
    """Show the imported triplets."""
    state.select(state.ATTEMPT, made["attempt_id"])
    st.toast(
        f"{counted(made['triplets'], 'triplet')} imported, {count(made['duplicates'])} duplicates dropped, "
        f"{count(made['rejected'])} rejected."
    )
    st.rerun()
