"""The trained encoder as a folder: its model card, its files, and how to push it."""

import re
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.errors import InputError
from workbench.components.notice import no_chart
from workbench.workspace import Workspace

_HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def model_card_view(workspace: Workspace, run_id: str) -> None:
    """Draw the card as it reads on a hub, the files, and the command that pushes them."""
    try:
        folder = Path(workspace.store.encoders.get(run_id).folder)
    except InputError:
        no_chart("Model card", "It is written with the encoder, when the run ends.")
        return
    card = folder / "README.md"
    if not card.is_file():
        no_chart("Model card", "The folder of this encoder is no longer in the workspace.")
        return
    with st.container(border=True):
        st.markdown(card_body(card.read_text(encoding="utf-8")))
    st.markdown("**The folder, ready to push**")
    st.code(str(folder), language=None, wrap_lines=True)
    files = [
        (str(path.relative_to(folder)), path.stat().st_size) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    st.dataframe(
        pd.DataFrame(files, columns=["File", "Size"]),
        hide_index=True,
        alt="Files of the encoder",
        column_config={"Size": st.column_config.NumberColumn(format="bytes")},
    )
    st.code(f"hf upload YOUR-NAME/YOUR-MODEL {folder}", language="bash", wrap_lines=True)
    st.caption("SentenceTransformer and transformers load the folder as it is; pooling is stored in it.")


def card_body(card: str) -> str:
    """Return the card below its head, without its comments.

    Pictures are not loaded, as a name in it could ask for one from elsewhere.
    """
    return _COMMENT.sub("", _HEAD.sub("", card)).replace("![", "!\\[")
