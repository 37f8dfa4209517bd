"""What every page begins with: page config, navigation, workspace, sidebar, title.

Streamlit may run a file of pages/ without the entry script, when the page is opened by its own address first. Each
page therefore calls `begin`, which relies on nothing that the entry script did.
"""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from pipeline.records import InputError, StorageError
from workbench import state
from workbench.components import elements
from workbench.components.elements import plain
from workbench.components.job_progress import running_now
from workbench.components.keys import keys_button
from workbench.components.loop import loop_strip
from workbench.components.train.run_alerts import alerts_in_sidebar
from workbench.components.visit import visit_card
from workbench.paths import ASSETS
from workbench.workspace import Workspace, current_workspace


@dataclass(frozen=True, slots=True)
class PageEntry:
    """One page: its file, title and icon, and a line on its purpose."""

    file: str
    title: str
    icon: str
    purpose: str
    choices: tuple[str, ...] = ()
    """Names in its address of what may be chosen before, here or on another page; links to it carry them."""


PAGES: Final[tuple[PageEntry, ...]] = (
    PageEntry(
        elements.HOME, "Home", ":material/home:", "Contents of this workspace, running jobs, and the next step."
    ),
    PageEntry(
        elements.GENERATE,
        "Generate",
        ":material/edit_note:",
        "Write a positive and a hard negative for each premise, refined against the opposite instruction.",
        (state.CORPUS, state.ATTEMPT, state.GENERATE_VIEW),
    ),
    PageEntry(
        elements.CURATE,
        "Curate",
        ":material/rule:",
        "Judge triplets, set the rule that keeps them, accept or reject single ones, freeze a snapshot.",
        (state.ATTEMPT, state.JUDGE, state.AMONG, state.VIEW, state.RULE, state.FILTER),
    ),
    PageEntry(
        elements.TRAIN,
        "Train",
        ":material/model_training:",
        "Train an encoder on a snapshot, with false negatives masked by a guide model.",
        (state.SNAPSHOT, state.RUN, state.COMPARED_RUNS, state.STUDY, state.TRAIN_VIEW),
    ),
    PageEntry(
        elements.EVALUATE,
        "Evaluate",
        ":material/leaderboard:",
        "Compare encoders on semantic textual similarity, on transfer tasks and in retrieval.",
        (state.CANDIDATE, state.ENCODER, state.TASK, state.BASELINE, state.COMPARED, state.EVALUATE_VIEW),
    ),
    PageEntry(
        elements.EMBEDDING_MAP,
        "Embedding map",
        ":material/scatter_plot:",
        "See where an encoder puts premises, positives and hard negatives.",
        (state.MAP, state.TRIPLET),
    ),
    PageEntry(
        elements.ERRORS,
        "Errors",
        ":material/troubleshoot:",
        "Find the sentence pairs that an encoder ranks most differently from people.",
        (state.ENCODER, state.TASK, state.SLICE, state.BASELINE, state.ERRORS_VIEW),
    ),
)
_SIDEBAR_PX: Final = 210
_BY_TITLE: Final = {page.title: page for page in PAGES}


def navigation() -> st.Page:
    """Declare the pages and return the current one.

    Streamlit's own menu is hidden because it fetches each page's icon from the network; the links in the sidebar use
    the bundled font.
    """
    pages = [
        # Without help: a link's tooltip would lie on its neighbour, and the page says the same below its title.
        st.Page(page.file, title=page.title, default=page.file == elements.HOME)
        for page in PAGES
    ]
    return st.navigation(pages, position="hidden")


def begin(title: str) -> Workspace:
    """Set up the page of this title and return the workspace; the first call of every page.

    If the workspace cannot be opened, the page shows why and stops.
    """
    page = _BY_TITLE[title]
    st.set_page_config(
        page_title=f"{title} · MultiCSR",
        page_icon=str(ASSETS / "icon.svg"),
        layout="wide",
        initial_sidebar_state=_SIDEBAR_PX,
    )
    st.html(ASSETS / "app.css")
    navigation()
    state.follow_address(title)
    dark = st.context.theme.type == "dark"
    st.logo(ASSETS / ("logo-dark.svg" if dark else "logo.svg"), icon_image=ASSETS / "icon.svg", size="large")
    try:
        workspace = current_workspace()
    except (InputError, StorageError, OSError) as error:
        st.title(title)
        st.error(plain(str(error)), icon=":material/lock:", title="The workspace could not be opened")
        st.stop()
    with st.sidebar:
        with st.container(gap="xxsmall"):
            for entry in PAGES:
                chosen = state.chosen(entry.choices)
                st.page_link(entry.file, label=entry.title, icon=entry.icon, width="stretch", query_params=chosen)
        st.caption(f"Workspace **{plain(workspace.root.name)}**", help=plain(str(workspace.root)))
        running_now(workspace)
        alerts_in_sidebar(workspace)
    keys_button(workspace, title)
    st.title(title, anchor=False)
    st.caption(page.purpose)
    if page.file != elements.HOME:
        loop_strip(workspace, title)
    visit_card(workspace, title)
    return workspace
