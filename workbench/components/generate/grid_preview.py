"""The grid preview: a few premises at several values of omega, with the words marked that plain generation lacks."""

from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.previews import PREVIEW_OMEGAS, PREVIEW_PREMISES, start_grid
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.short_job import cancel_others, chosen_job, short_job
from workbench.components.generate.word_changes import marked
from workbench.components.notice import empty_state, errors_shown
from workbench.components.text import plain
from workbench.jobs.kinds import GridSpec
from workbench.workspace import Workspace

_OMEGAS: Final = tuple(round(0.05 * step, 2) for step in range(20))
_COLOURS: Final = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}


def grid_preview(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the choices, the start, and the grid of the latest preview."""
    premises, omegas = _choices(workspace, choice)
    side = _side()
    asked: dict[str, Any] = {"premises": premises, "omegas": omegas, "config": choice.config}
    if st.button(
        f"Preview {len(premises)} premises", type="primary", icon=":material/visibility:", disabled=not premises
    ):
        with errors_shown():
            started = start_grid(workspace, **asked)
            cancel_others(workspace, GridSpec, started["job_id"])
            state.remember(state.GRID, started["job_id"])
    job = chosen_job(workspace, state.GRID, GridSpec)
    if job is None:
        empty_state(
            "No preview yet",
            hint="Five premises at four values of ω, side by side. It takes seconds and stores no triplets.",
            icon=":material/grid_on:",
        )
        return
    if is_other(job.spec, asked):
        cancel_others(workspace, GridSpec, None)
        st.caption(
            ":material/info: The settings have changed since this preview; start it again to see their effect."
        )
    spec = job.spec
    short_job(workspace, job, file="grid.json", show=lambda cells, live: grid(cells, spec, side, live=live))


def grid(cells: list[dict[str, Any]], spec: GridSpec, side: Side, *, live: bool) -> None:
    """Draw a row per premise and a column per omega; the lowest omega is what the others are held against."""
    omegas, base = spec.omegas, spec.omegas[0]
    found = {(cell["premise"], cell["omega"]): cell[side] for cell in cells}
    for premise in spec.premises:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f":gray[Premise] **{plain(premise)}**")
            plain_text = found.get((premise, base), {}).get("text", "")
            for column, omega in zip(st.columns(len(omegas)), omegas, strict=True):
                with column:
                    _cell(found.get((premise, omega)), plain_text, side, omega=omega, base=base, live=live)


def _cell(
    result: dict[str, Any] | None, plain_text: str, side: Side, *, omega: float, base: float, live: bool
) -> None:
    st.caption("ω 0, plain" if omega == 0 else f"ω {omega:g}")
    if result is None:
        st.markdown(":gray[writing …]" if live else ":gray[not written]")
        return
    text = result["text"] or result["raw"].strip()
    st.markdown(plain(text) if omega == base else marked(text, plain_text, colour=_COLOURS[side]))
    if result["outcome"] != Outcome.OK:
        st.badge(result["outcome"].replace("_", " "), color="orange")


def is_other(spec: GridSpec, asked: dict[str, Any]) -> bool:
    """Whether a preview was made with other settings than the page shows; omega of the form plays no part in it."""
    same = all(getattr(spec.config, name) == value for name, value in asked["config"].items() if name != "omega")
    texts, omegas = list(spec.premises), list(spec.omegas)
    return not (same and texts == asked["premises"] and omegas == sorted(asked["omegas"]))


def _choices(workspace: Workspace, choice: GenerationChoice) -> tuple[list[str], list[float]]:
    offset_key = f"preview_from_{choice.corpus_id}"
    left, right = st.columns(2, vertical_alignment="bottom")
    total = workspace.store.premises.corpus(choice.corpus_id).premises
    first = left.number_input(
        f"Premises from number (of {total:,})", 1, max(1, total), 1, PREVIEW_PREMISES, key=offset_key
    )
    rows: pd.DataFrame = workspace.store.premises.page(choice.corpus_id, int(first) - 2, PREVIEW_PREMISES)
    omega = choice.config["omega"]
    start = sorted({0.0, omega, *(value for value in (0.3, 0.6, 0.9) if value != omega)})[:PREVIEW_OMEGAS]
    omegas = right.multiselect(
        "Values of ω", _OMEGAS, start, max_selections=PREVIEW_OMEGAS, key="preview_omegas", format_func="{:g}".format
    )
    return rows["text"].tolist(), sorted(omegas) or [0.0]


def _side() -> Side:
    chosen = st.segmented_control(
        "Side",
        list(Side),
        default=Side.POSITIVE,
        required=True,
        format_func=lambda side: theme.ROLE_NAMES[side],
        key="preview_side",
        label_visibility="collapsed",
    )
    return Side(str(chosen))
