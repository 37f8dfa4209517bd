"""Home's result card."""

import streamlit as st

from workbench.components import links
from workbench.components.home.best_encoder import best_encoder
from workbench.components.text import plain
from workbench.components.wording import counted, spearman
from workbench.workspace import Workspace


def last_result(workspace: Workspace) -> None:
    """Best encoder, its average, its gain over the encoder it started from, and the snapshot it came from."""
    best = best_encoder(workspace)
    if best is None:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.metric(
                f"STS average x 100, {counted(best.tasks, 'task')}",
                spearman(best.average),
                None if best.gain is None else f"{best.gain * 100:+.2f} over {plain(best.base or '')}",
                width="content",
            )
            with st.container():
                st.markdown(f"**{plain(best.name)}**")
                origin = (
                    f"trained on snapshot {plain(best.snapshot)}"
                    if best.snapshot
                    else "as it came, without training here"
                )
                st.caption(f"Best encoder so far, {origin}.")
                st.page_link(links.EVALUATE, label="All scores", icon=":material/leaderboard:")
