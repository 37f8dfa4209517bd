"""A snapshot as a file: made when it is asked for, never kept in memory before."""

import io
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import streamlit as st

from workbench.actions.exchange import export_triplets
from workbench.store.snapshots import Snapshot
from workbench.workspace import Workspace

_FORMATS = {
    "csv": (
        "csv",
        "text/csv",
        "Columns sent0, sent1, hard_neg, as SimCSE reads them; safe in a spreadsheet.",
    ),
    "jsonl": ("jsonl", "application/jsonl", "One object per line."),
    "Parquet": ("parquet", "application/vnd.apache.parquet", "Texts to the letter, the smallest file."),
    "datasets folder": ("zip", "application/zip", "What datasets.load_dataset loads, with a card, as a zip file."),
}


def snapshot_download(workspace: Workspace, snapshot: Snapshot) -> None:
    """Draw a button per format."""
    with st.popover("Download", icon=":material/download:"):
        for label, (ending, mime, told) in _FORMATS.items():
            st.download_button(
                label,
                data=partial(packed, workspace, snapshot, ending),
                file_name=f"{snapshot.name}.{ending}",
                mime=mime,
                help=told,
                on_click="ignore",
                key=f"download_{ending}",
                width="stretch",
            )


def packed(workspace: Workspace, snapshot: Snapshot, ending: str) -> bytes:
    """Return the file of a snapshot; with `zip` its datasets folder."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / ("triplets" if ending == "zip" else f"triplets.{ending}")
        export_triplets(workspace, path=str(target), snapshot_id=snapshot.snapshot_id)
        if ending != "zip":
            return target.read_bytes()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(target.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(target))
        return buffer.getvalue()
