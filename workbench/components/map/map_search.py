"""Finding sentences on a map: by what they say, word for word, or by meaning under the map's encoder."""

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.neighbours import nearest
from workbench.actions.maps import start_search
from workbench.components.job_progress import is_live
from workbench.components.map import map_selection
from workbench.components.notice import errors_shown
from workbench.components.text import plain, shorten
from workbench.components.wording import counted
from workbench.map_files import SentenceMap
from workbench.workspace import Workspace

_FOUND = 50
_POLL_S = 0.5


def search(workspace: Workspace, map_id: str, drawn: SentenceMap) -> None:
    """Draw the search; what it finds becomes the selection, nearest first, and the map goes to the first."""
    pending = st.session_state.get(_pending(map_id))
    with st.form(f"map_search_{map_id}", border=False):
        text = st.text_input("Find sentences", placeholder="A sentence, or part of one", key=f"map_query_{map_id}")
        with st.container(horizontal=True):
            by_words = st.form_submit_button("Containing this text", icon=":material/match_word:")
            by_meaning = st.form_submit_button(
                "Nearest in meaning",
                icon=":material/near_me:",
                disabled=drawn.vectors() is None,
                help="Encodes the sentence in the background and compares it with every sentence, in the full space.",
            )
    if by_words and text.strip():
        _found(map_id, containing(drawn, text), f"containing “{shorten(text, 40)}”")
        st.rerun(scope="fragment")
    if by_meaning and text.strip():
        with errors_shown():
            started = start_search(workspace, projection_id=map_id, text=text, count=_FOUND)
            st.session_state[_pending(map_id)] = (started["job_id"], text)
            pending = st.session_state[_pending(map_id)]
    if pending:
        _wait(workspace, map_id, *pending)


def containing(drawn: SentenceMap, text: str) -> np.ndarray:
    """Points whose sentence contains the text, in any case."""
    return np.flatnonzero(drawn.points["text"].str.contains(text.strip(), case=False, regex=False).to_numpy())


def like_point(drawn: SentenceMap, point: int, count: int = _FOUND) -> np.ndarray:
    """The points nearest to one of them in the full space, itself first."""
    vectors = drawn.vectors()
    if vectors is None:
        return np.array([point])
    rows, _ = nearest(vectors, vectors[point], count=count + 1)
    return np.concatenate([[point], rows[rows != point][:count]])


def _wait(workspace: Workspace, map_id: str, job_id: str, text: str) -> None:
    """Look after the search without holding up the page."""

    def look() -> None:
        job = workspace.jobs.get(job_id)
        if is_live(job):
            st.caption(f"Looking for sentences like “{plain(shorten(text, 40))}” …")
            return
        st.session_state.pop(_pending(map_id), None)
        found = workspace.jobs.output(job_id, "found.parquet")
        if job.state != "finished" or not found.exists():
            st.error(plain(job.message or "The search was stopped."), icon=":material/error:")
            return
        points = pd.read_parquet(found)["point"].to_numpy()
        _found(map_id, points, f"nearest to “{shorten(text, 40)}”")
        st.rerun()

    st.fragment(look, run_every=_POLL_S)()


def _found(map_id: str, points: np.ndarray, what: str) -> None:
    map_selection.select(map_id, points, note=f"{counted(len(points), 'sentence')} {what}")
    map_selection.show(map_id, "Selected")
    if len(points):
        map_selection.focus(map_id, int(points[0]))


def _pending(map_id: str) -> str:
    return f"map_search_job_{map_id}"
