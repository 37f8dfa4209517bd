"""Bringing triplets in from elsewhere: a file with a preview of what will be kept, or a folder of this machine."""

from itertools import islice
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.exchange import TripletReading
from workbench import state
from workbench.actions.exchange import import_triplets, keep_triplets
from workbench.components.file_rows import PACKED, encoding_of, rejected_table
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.workspace import Workspace

FILE_TYPES = ["csv", "tsv", "jsonl", "json", "parquet", "arrow", *PACKED]
_SHOWN = 6


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
            type=FILE_TYPES,
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
    read = _read(data, filename, encoding)
    _preview(read)
    name = st.text_input("Name", value=Path(filename).stem, max_chars=80, key=f"triplets_name_{filename}")
    label = f"Import {counted(read['kept'], 'triplet')}"
    if st.button(label, type="primary", disabled=not read["kept"], key="triplets_import"):
        with errors_shown():
            reading = TripletReading(data, name=filename, encoding=encoding)
            _opened(keep_triplets(workspace, reading, filename, name=name.strip() or filename))


def _offer_path(workspace: Workspace, path: str) -> None:
    reading = TripletReading(Path(path).expanduser())
    first = pd.DataFrame([_row(triplet) for triplet in islice(iter(reading), _SHOWN)])
    st.caption(plain(f"{len(reading.sources)} file(s); the first rows:"))
    st.dataframe(first, hide_index=True, alt="First triplets")
    name = st.text_input("Name", value=Path(path).stem, max_chars=80, key="triplets_name_folder")
    if st.button("Import", type="primary", disabled=first.empty, key="triplets_import_folder"):
        with errors_shown(), st.spinner("Importing …"):
            _opened(import_triplets(workspace, path=path, name=name.strip() or Path(path).stem))


@st.cache_data(max_entries=2, show_spinner="Reading the file …")
def _read(data: bytes, filename: str, encoding: str) -> dict:
    reading = TripletReading(data, name=filename, encoding=encoding)
    stream = iter(reading)
    first = pd.DataFrame([_row(triplet) for triplet in islice(stream, _SHOWN)])
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


def _preview(read: dict) -> None:
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
