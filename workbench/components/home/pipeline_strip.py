"""The five boxes of Home: what each stage holds, its state, and its next action."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from workbench import theme
from workbench.actions.jobs import overview
from workbench.components import links
from workbench.components.home.best_encoder import best_encoder
from workbench.components.text import plain
from workbench.components.wording import count, counted, spearman
from workbench.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Box:
    """One stage: headline figure, a line on its state, and where to go next."""

    name: str
    icon: str
    figure: str
    state: str
    page: str
    action: str
    reached: bool


def boxes(workspace: Workspace) -> list[Box]:
    """Lay the counts of a workspace out as the five stages."""
    held = overview(workspace)
    snapshots = workspace.store.snapshots.list()
    best = best_encoder(workspace)
    return [
        Box(
            "Premises",
            ":material/notes:",
            count(held["premises"]),
            f"in {counted(held['corpora'], 'corpus', 'corpora')}",
            links.HOME,
            "Import more",
            held["premises"] > 0,
        ),
        Box(
            "Triplets",
            ":material/edit_note:",
            count(held["triplets"]),
            f"{count(held['ok_triplets'])} with both sides ok",
            links.GENERATE,
            "Generate more" if held["triplets"] else "Generate triplets",
            held["triplets"] > 0,
        ),
        Box(
            "Curated",
            ":material/rule:",
            count(snapshots[0].rows) if snapshots else "0",
            f"in snapshot {plain(snapshots[0].name)}"
            if snapshots
            else f"{counted(held['judgements'], 'judgement')} so far",
            links.CURATE,
            "Review the rule" if snapshots else "Curate triplets",
            bool(snapshots),
        ),
        Box(
            "Runs",
            ":material/model_training:",
            count(held["runs"]),
            f"on {counted(len(snapshots), 'snapshot')}",
            links.TRAIN,
            "Train again" if held["runs"] else "Train an encoder",
            held["runs"] > 0,
        ),
        Box(
            "Best encoder",
            ":material/leaderboard:",
            spearman(best.average) if best else "–",
            f"{plain(best.name)}, mean of {counted(best.tasks, 'task')}" if best else "no STS score yet",
            links.EVALUATE,
            "Compare encoders" if best else "Evaluate an encoder",
            best is not None,
        ),
    ]


def pipeline_strip(workspace: Workspace, *, on_import: Callable[[], None] | None) -> None:
    """Draw the boxes; the first stage that holds nothing is the one whose button stands out.

    Without a way to import nothing can be done yet and the boxes carry no buttons.
    """
    drawn = boxes(workspace)
    waiting = next((box.name for box in drawn if not box.reached), None)
    with st.grid(5, min_column_width=165):
        for box in drawn:
            with st.container(border=True, height="stretch", gap="xsmall", vertical_alignment="distribute"):
                _figures(box)
                if on_import is not None:
                    _action(box, on_import, stands_out=box.name == waiting)


def _figures(box: Box) -> None:
    with st.container(gap="xsmall"):
        st.markdown(f"{box.icon} **{box.name}**")
        st.metric(box.name, box.figure, label_visibility="collapsed")
        st.caption(box.state)


def _action(box: Box, on_import: Callable[[], None], *, stands_out: bool) -> None:
    if st.button(box.action, key=f"strip_{box.name}", type=theme.button_kind(stands_out), width="stretch"):
        on_import() if box.page == links.HOME else st.switch_page(box.page)
