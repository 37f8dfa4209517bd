"""The grid preview: a few premises at several values of omega, with the words marked that plain generation lacks."""

import json
from collections.abc import Callable
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import PREVIEW_OMEGAS, PREVIEW_PREMISES, start_grid
from workbench.actions.jobs import cancel
from workbench.components.elements import empty_state, errors_shown, plain
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.job_progress import is_live, progress_words, share, while_live
from workbench.jobs.folder import JobView, S
from workbench.jobs.kinds import GridSpec, JobSpec
from workbench.workspace import Workspace

Result = Any
"""What the job's file holds: values of JSON."""


def chosen_job(workspace: Workspace, name: str, kind: type[S]) -> JobView[S] | None:
    """Return the job that URL or session names under `name`; None for one that is gone or of another kind."""
    job_id = state.recall(name)
    return next((job for job in workspace.jobs.of(kind) if job.job_id == job_id), None)


def result_of(workspace: Workspace, job: JobView[JobSpec], file: str) -> Result | None:
    """Return what the job has written so far; None before its first word."""
    path = workspace.jobs.output(job.job_id, file)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def short_job(
    workspace: Workspace, job: JobView[JobSpec], *, file: str, show: Callable[[Result, bool], None]
) -> None:
    """Draw what the job has given so far and, while it runs, how far it is; redraws itself until it ends.

    `show` gets the result and whether more is to come.
    """

    def draw() -> bool:
        now = workspace.jobs.get(job.job_id)
        live = is_live(now)
        if live:
            with st.container(horizontal=True, vertical_alignment="center"):
                with st.container(width="stretch"):
                    st.progress(share(now), text=plain(f"{now.message or 'Waiting'} · {progress_words(now)}"))
                if st.button("Cancel", icon=":material/close:", key=f"cancel_{job.job_id}"):
                    with errors_shown():
                        cancel(workspace, job_id=job.job_id)
        elif now.state == "failed":
            st.error(plain(now.message), icon=":material/error:")
        elif now.state != "finished":
            st.caption(f"This was {now.state}; what it had written is shown.")
        result = result_of(workspace, now, file)
        if result is not None:
            show(result, live)
        return live

    while_live(draw, live=is_live(job))


def cancel_others(workspace: Workspace, kind: type[JobSpec], keep: str | None) -> None:
    """Cancel live jobs of this kind whose settings are no longer what the page shows."""
    for job in workspace.jobs.of(kind):
        if is_live(job) and job.job_id != keep:
            with errors_shown():
                cancel(workspace, job_id=job.job_id)


def changed_words(text: str, base: str) -> list[tuple[str, bool]]:
    """Split a sentence into its words, each with whether it is not part of what it shares with the other, in order.

    Words are compared in any case and without the marks around them.
    """
    words = text.split()
    matcher = SequenceMatcher(None, [_bare(w) for w in words], [_bare(w) for w in base.split()], autojunk=False)
    shared = {start + offset for start, _, size in matcher.get_matching_blocks() for offset in range(size)}
    return [(word, place not in shared) for place, word in enumerate(words)]


def marked(text: str, base: str, *, colour: str) -> str:
    """Markdown of a sentence whose differing words stand out, those in a row together."""
    parts = []
    for changed, group in groupby(changed_words(text, base), key=lambda pair: pair[1]):
        words = plain(" ".join(word for word, _ in group))
        parts.append(f":{colour}-background[{words}]" if changed else words)
    return " ".join(parts)


def _bare(word: str) -> str:
    return word.casefold().strip(".,;:!?\"'“”‘’()[]") or word


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
