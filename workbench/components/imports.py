"""Imports with a preview: premises from a file, pasted text or the Hub, triplets from a file or folder."""

from itertools import islice
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.exchange import TripletReading, triplet_columns
from pipeline.files.rows import LISTED_ROWS, column_names
from pipeline.files.source import Source, encoding_offer, make_source
from pipeline.premises import PremiseFile, read_premises, usual_column
from pipeline.records import InputError
from workbench import state
from workbench.actions import data as data_actions
from workbench.components.elements import GENERATE, count, counted, errors_shown, plain
from workbench.components.visit import offer_visit
from workbench.workspace import Workspace

PACKED = ["gz", "bz2", "xz", "zst"]
"""Endings of compressed files, for the uploaders."""
_PREMISE_FILES = ["txt", "csv", "tsv", "jsonl", "json", "parquet", "xlsx", *PACKED]
_TRIPLET_FILES = ["csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", *PACKED]
_PREMISES_SHOWN, _TRIPLETS_SHOWN = 8, 6
_SIDES = {"premise": "Premise", "positive": "Positive", "hard_negative": "Hard negative"}


def welcome(workspace: Workspace) -> None:
    """Draw the ways to start: the sample, your own premises, or premises written by an LLM."""
    with st.container(border=True):
        st.subheader("Start with premises", icon=":material/notes:", anchor=False)
        st.markdown(
            "A premise is a plain sentence. For each premise, the workbench writes a :green[**positive**] that it "
            "entails and a :red[**hard negative**] that contradicts it, keeps the good triplets, and trains a "
            "sentence encoder on them."
        )
        with st.container(horizontal=True):
            if st.button("Open the sample corpus", type="primary", icon=":material/library_books:"):
                with errors_shown():
                    made = data_actions.open_sample(workspace)
                    state.select(state.CORPUS, made["corpus_id"])
                    offer_visit(workspace)
                    st.rerun()
            if st.button("Import my premises", icon=":material/upload_file:"):
                import_dialog(workspace)
            if st.button("Let an LLM write premises", icon=":material/grid_on:"):
                _open_scratch()


def _open_scratch() -> None:
    """Open the view in which an LLM writes premises."""
    state.select(state.GENERATE_VIEW, "Premises")
    st.switch_page(GENERATE)


@st.dialog("Import premises", width="large")
def import_dialog(workspace: Workspace) -> None:
    """Offer a file, pasted text, the Hub, or an LLM as the source of premises."""
    upload, paste, hub, scratch = st.tabs(["Upload a file", "Paste text", "From the Hub", "From scratch"])
    with upload:
        file = st.file_uploader(
            "One premise per line, or a table with a column of sentences", type=_PREMISE_FILES, key="import_file"
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
        st.markdown("Without a corpus: an LLM writes premises for every topic, genre and length that you choose.")
        if st.button("Choose topics and genres", icon=":material/grid_on:", key="import_scratch"):
            _open_scratch()


def _hub(workspace: Workspace) -> None:
    """Download a corpus used in papers, or any file of a data set; the job shows in the sidebar."""
    name = st.selectbox(
        "Corpus",
        list(data_actions.KNOWN_CORPORA),
        accept_new_options=True,
        key="import_hub",
        help="SimCSE's Wikipedia or NLI sentences, or OWNER/NAME/FILE of a data set on the Hub.",
    )
    left, right = st.columns(2)
    revision = left.text_input(
        "Revision", key="import_revision", placeholder="main", help="Pinned to its current commit."
    )
    limit = right.number_input("Premises to keep", 1, 10_000_000, 10_000, key="import_limit")
    st.caption("This needs a network connection; everything else here works offline.")
    if st.button("Fetch", type="primary", icon=":material/cloud_download:", key="import_fetch"):
        with errors_shown():
            data_actions.start_fetch_premises(workspace, hub=name or "", revision=revision.strip(), limit=int(limit))
            st.rerun()


def _offer_premises_import(workspace: Workspace, data: bytes, filename: str) -> None:
    encoding = encoding_of(data, filename)
    column = _choose_column(data, filename, encoding)
    read = _read_premises(data, filename, column, encoding)
    _preview_premises(read)
    name = st.text_input("Name of the corpus", value=filename.rsplit(".", 1)[0], max_chars=80, key=f"name_{filename}")
    label = f"Import {counted(len(read.premises), 'premise')}"
    if st.button(label, type="primary", disabled=not read.premises, key=f"import_{filename}"):
        with errors_shown():
            made = data_actions.import_upload(
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
def _read_premises(data: bytes, filename: str, column: str | None, encoding: str) -> PremiseFile:
    return read_premises(data, name=filename, column=column, encoding=encoding)


def _preview_premises(read: PremiseFile) -> None:
    read_badges(len(read.premises), read.duplicates, len(read.rejected))
    first = pd.DataFrame({"premise": [premise.text for premise in read.premises[:_PREMISES_SHOWN]]})
    st.dataframe(first, hide_index=True, alt="First premises of the file")
    if read.rejected:
        rejected_table([row.as_dict() for row in read.rejected[:LISTED_ROWS]], read.reasons())


def import_button(workspace: Workspace, *, key: str) -> None:
    """Draw the button that opens the import of triplets."""
    if st.button("Import triplets", icon=":material/upload_file:", key=key):
        import_triplets_dialog(workspace)


@st.dialog("Import triplets", width="large")
def import_triplets_dialog(workspace: Workspace) -> None:
    """Offer an uploaded file or a path on this machine as the source of triplets."""
    upload, folder = st.tabs(["Upload a file", "Folder on this machine"])
    with upload:
        file = st.file_uploader(
            "Columns sent0, sent1, hard_neg (SimCSE, SynCSE, MultiCSR), premise, positive, hard_negative, "
            "anchor, positive, negative or query, pos, neg; of other names you choose",
            type=_TRIPLET_FILES,
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
    columns = chosen_columns(make_source(data, name=filename, encoding=encoding))
    read = _read_triplets(data, filename, encoding, columns)
    read_badges(read["kept"], read["duplicates"], read["rejected"])
    st.dataframe(read["first"], hide_index=True, alt="First triplets of the file")
    if read["rejected"]:
        rejected_table(read["examples"], read["reasons"])
    name = st.text_input("Name", value=Path(filename).stem, max_chars=80, key=f"triplets_name_{filename}")
    label = f"Import {counted(read['kept'], 'triplet')}"
    if st.button(label, type="primary", disabled=not read["kept"], key="triplets_import"):
        with errors_shown():
            reading = TripletReading(data, name=filename, encoding=encoding, columns=columns)
            _opened(data_actions.keep_triplets(workspace, reading, filename, name=name.strip() or filename))


def chosen_columns(source: Source) -> tuple[str, ...]:
    """Let a person say which columns hold the sides of a file whose names do not tell; empty where they do."""
    try:
        triplet_columns(source)
        return ()
    except InputError:
        offered = column_names(source)
        if len(offered) < len(_SIDES):
            raise
    st.caption("The names of these columns do not say which side they hold: choose. The preview follows your choice.")
    with st.container(horizontal=True):
        return tuple(
            st.selectbox(label, offered, index=place, key=f"side_{side}_{source.name}")
            for place, (side, label) in enumerate(_SIDES.items())
        )


def _offer_path(workspace: Workspace, path: str) -> None:
    reading = TripletReading(Path(path).expanduser())
    first = pd.DataFrame([_row(triplet) for triplet in islice(iter(reading), _TRIPLETS_SHOWN)])
    st.caption(f"{counted(len(reading.sources), 'file')}; first rows:")
    st.dataframe(first, hide_index=True, alt="First triplets")
    name = st.text_input("Name", value=Path(path).stem, max_chars=80, key="triplets_name_folder")
    if st.button("Import", type="primary", disabled=first.empty, key="triplets_import_folder"):
        with errors_shown(), st.spinner("Importing …"):
            _opened(data_actions.import_triplets(workspace, path=path, name=name.strip() or Path(path).stem))


@st.cache_data(max_entries=2, show_spinner="Reading the file …")
def _read_triplets(data: bytes, filename: str, encoding: str, columns: tuple[str, ...]) -> dict:
    reading = TripletReading(data, name=filename, encoding=encoding, columns=columns)
    stream = iter(reading)
    first = pd.DataFrame([_row(triplet) for triplet in islice(stream, _TRIPLETS_SHOWN)])
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


def _row(triplet: object) -> dict[str, str]:
    return {label: getattr(triplet, side) for side, label in _SIDES.items()}


def _opened(made: dict) -> None:
    """Select the imported triplets."""
    state.select(state.ATTEMPT, made["attempt_id"])
    st.toast(
        f"{counted(made['triplets'], 'triplet')} imported, {count(made['duplicates'])} duplicates dropped, "
        f"{count(made['rejected'])} rejected."
    )
    st.rerun()


def encoding_of(data: bytes, filename: str) -> str:
    """Offer the likely encoding of a file that is not UTF-8, with a sample; return it if accepted, else ""."""
    offer = _offer(data, filename)
    if offer is None:
        return ""
    encoding, sample = offer
    st.caption(plain(f"This file is not entirely UTF-8. Read as {encoding}, its first such line is: {sample[:120]}"))
    return encoding if st.checkbox(f"Read it as {encoding}", key=f"encoding_{filename}") else ""


def read_badges(kept: int, duplicates: int = 0, rejected: int = 0) -> None:
    """Draw how many rows of a file were kept, were duplicates, and were rejected."""
    with st.container(horizontal=True):
        st.badge(f"{count(kept)} kept", color="green", icon=":material/check:")
        if duplicates:
            st.badge(f"{counted(duplicates, 'duplicate')} dropped", color="gray")
        if rejected:
            st.badge(f"{count(rejected)} rejected", color="orange", icon=":material/warning:")


def rejected_table(rows: list[dict], reasons: dict[str, int]) -> None:
    """Draw the reasons for rejections and the first rejected rows."""
    with st.expander(f"Rejected rows ({count(sum(reasons.values()))})"):
        st.caption(plain(", ".join(f"{number} {reason}" for reason, number in reasons.items())))
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Rejected rows with reasons")


@st.cache_data(max_entries=4, show_spinner=False)
def _offer(data: bytes, filename: str) -> tuple[str, str] | None:
    return encoding_offer(make_source(data, filename))
