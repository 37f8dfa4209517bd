"""Premises from scratch: the form, and a corpus as it grows with its coverage and its sentences."""

from dataclasses import fields, replace
from typing import Any, Final

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from pipeline.config import CELLS, SAMPLING, ScratchConfig
from pipeline.generation.premise_prompts import GENRES, TOPICS
from pipeline.generation.written_premises import PremiseOutcome, cells, chosen_genres, chosen_lengths
from pipeline.records import InputError
from pipeline.settings import from_fields, settings_of
from workbench import state, theme
from workbench.actions.data import start_write_premises
from workbench.components.elements import count, counted, empty_state, errors_shown, percent, plain
from workbench.components.generate.form import RUN, budget_settings, estimate
from workbench.components.generate.generation_runs import outcome_pills
from workbench.components.generate.llm_card import llm_picker
from workbench.components.job_progress import follow, is_live, job_card, show_charges, show_engine
from workbench.components.place_picker import place_picker
from workbench.components.settings_form import group_of, settings_form
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import WritePremisesSpec
from workbench.workspace import Workspace

PREMISES: Final = "Premises"
"""The view of the page for premises from scratch."""
MEANINGS: Final = {
    PremiseOutcome.OK: "premises of the corpus",
    PremiseOutcome.DUPLICATE: "same words as an earlier premise or an example of the prompt",
    PremiseOutcome.NEAR_DUPLICATE: "almost the same words as an earlier premise",
    PremiseOutcome.CELL_FULL: "valid, but its cell of topic, genre and length was already full",
    PremiseOutcome.OTHER_LENGTH: "of a length that was not wanted",
    PremiseOutcome.MALFORMED: "not a whole sentence, or no question where one was asked for",
    PremiseOutcome.LOOP: "repeats itself",
    PremiseOutcome.REFUSED: "talks about the task instead of doing it",
    PremiseOutcome.EMPTY: "no letters or digits",
    PremiseOutcome.TRUNCATED: "cut off at the maximum length",
    PremiseOutcome.FAILED: "could not be written",
}
_ROW: Final = 35
_ROWS_SHOWN: Final = 14
_SENTENCES_SHOWN: Final = 200


def scratch_view(workspace: Workspace) -> None:
    """Draw the form on the left and the chosen corpus on the right."""
    with st.container(key="scratch_beside"):
        settings, result = st.columns([1, 2], gap="large")
    with settings:
        scratch_form(workspace)
    with result:
        jobs = {job.job_id: job for job in workspace.jobs.of(WritePremisesSpec)}
        chosen = state.pick(
            "Corpus written from scratch",
            list(jobs),
            name=state.SCRATCH,
            names={job_id: f"{job.spec.corpus} ({counted(job.done, 'premise')})" for job_id, job in jobs.items()},
        )
        if chosen is None:
            empty_state(
                "No premises from scratch yet",
                hint="An LLM writes premises for every topic, genre and length. Start with a handful of topics.",
                icon=":material/grid_on:",
            )
            return
        _corpus(workspace, jobs[chosen])


def _corpus(workspace: Workspace, job: JobView[WritePremisesSpec]) -> None:
    config = job.spec.config

    def draw(now: JobView) -> None:
        if now.state != "finished":
            job_card(workspace, now, key="scratch")
        _figures(now, config)
        _facts(now)
        st.markdown("**Premises by topic and genre, written / wanted**")
        st.caption(
            f"{count(wanted_each(config))} wanted for each, {count(config.per_cell)} per length. "
            "Click a cell to read its sentences."
        )
        counts = workspace.store.premise_attempts.coverage(job.job_id)
        clicked = coverage_table(counts, config, is_live=is_live(now), key=f"coverage_{job.job_id}")
        scratch_outcomes(workspace, job.job_id, config, clicked)

    follow(lambda: workspace.jobs.get(job.job_id), draw)
    _next(job)


def _figures(job: JobView, config: ScratchConfig) -> None:
    outcomes: dict[str, int] = job.details.get("outcomes", {})
    attempts = sum(outcomes.values())
    figures = (
        ("Premises", f"{count(job.done)} / {count(len(cells(config)) * config.per_cell)}"),
        ("Full cells", f"{count(job.details.get('full_cells', 0))} / {count(len(cells(config)))}"),
        ("Attempts", count(attempts)),
        ("Kept", percent(outcomes.get("ok", 0), attempts)),
    )
    with st.container(horizontal=True, gap="large"):
        for label, value in figures:
            st.metric(label, value, width="content")


def _facts(job: JobView) -> None:
    """Say why a run ended with gaps, what a server charged, and why attempts failed."""
    if job.state == "finished" and job.message:
        st.caption(plain(job.message))
    show_charges(job)
    show_engine(job)
    for reason, number in (job.details.get("reasons") or {}).items():
        st.caption(plain(f"{counted(number, 'attempt')} failed: {reason}"))


def _next(job: JobView) -> None:
    if job.done and st.button(
        f"Generate triplets from {counted(job.done, 'premise')}",
        icon=":material/arrow_forward:",
        key="scratch_next",
    ):
        state.select(state.CORPUS, job.job_id)
        state.select(state.GENERATE_VIEW, RUN)
        st.rerun()


def scratch_form(workspace: Workspace) -> None:
    """Draw the form; a start selects the new corpus."""
    name = st.text_input(
        "Name of the corpus", "from scratch", max_chars=80, key="scratch_name", persist_state="session"
    )
    declared = settings_of(ScratchConfig)
    declared["topics"] = replace(declared["topics"], suggestions=TOPICS)
    declared["genres"] = replace(declared["genres"], words={genre.name: genre.name for genre in GENRES})
    names = group_of(ScratchConfig, CELLS)
    config = settings_form(ScratchConfig, names, {}, key="scratch", columns=1, declared=declared)
    topics = [part.strip() for topic in config["topics"] for part in topic.split(",")]  # typed with commas
    llm, known = llm_picker(workspace, key="scratch_llm")
    with st.expander("Sampling and filters"):
        names = group_of(ScratchConfig, SAMPLING)
        config |= settings_form(ScratchConfig, names, {}, key="scratch", columns=1)
    _start(workspace, config | {"topics": topics, "llm": llm} | budget_settings(known, part="scratch"), name)


def _start(workspace: Workspace, config: dict[str, Any], name: str) -> None:
    try:
        settings = from_fields(ScratchConfig, config)
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    wanted = len(cells(settings)) * settings.per_cell
    on = place_picker(workspace, WritePremisesSpec)
    pressed = st.button(
        f"Write {counted(wanted, 'premise')}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="scratch_start",
    )
    st.caption(plan(settings))
    st.caption(estimate(workspace.jobs.of(WritePremisesSpec), wanted))
    if pressed:
        with errors_shown():
            given = {field.name: getattr(settings, field.name) for field in fields(settings)}
            made = start_write_premises(workspace, config=given, name=name, on=on)
            state.select(state.SCRATCH, made["corpus_id"])
            state.select(state.GENERATE_VIEW, PREMISES)
            st.rerun()


def plan(config: ScratchConfig) -> str:
    """Return cells, premises and the most attempts of a run in words."""
    topics, genres = len(config.topics or TOPICS), len(chosen_genres(config))
    lengths, total = len(chosen_lengths(config)), len(cells(config))
    parts = [counted(topics, "topic"), counted(genres, "genre"), counted(lengths, "length")]
    wanted = total * config.per_cell
    grid = f"{' × '.join(parts)} = {counted(total, 'cell')} of {count(config.per_cell)}"
    return f"{grid}: {counted(wanted, 'premise')}, in at most {counted(wanted * config.tries, 'attempt')}."


def coverage_frame(counts: pd.DataFrame, config: ScratchConfig) -> pd.DataFrame:
    """Return premises by topic (rows) and genre (columns), zeros included, in the order of the config.

    counts: topic, genre, length, premises.
    """
    wide = counts.pivot_table(index="topic", columns="genre", values="premises", aggfunc="sum")
    genres = [genre.name for genre in chosen_genres(config)]
    frame = wide.reindex(index=list(config.topics or TOPICS), columns=genres).fillna(0).astype(int)
    frame.index.name = "Topic"
    return frame


def wanted_each(config: ScratchConfig) -> int:
    """Return how many premises are wanted per topic and genre, over all lengths."""
    return config.per_cell * len(chosen_lengths(config))


def coverage_style(frame: pd.DataFrame, wanted: int, *, is_live: bool) -> Styler:
    """Show written and wanted premises per cell, tinted by share; amber where a finished run left a gap."""

    def tint(had: int) -> str:
        share = min(1.0, had / wanted)
        if share < 1 and not is_live:
            return f"background-color: {theme.see_through(theme.WARNING, 0.15 + 0.45 * (1 - share))}"
        return f"background-color: {theme.see_through(theme.POSITIVE, 0.4 * share)}" if had else ""

    return frame.style.format(lambda had: f"{count(had)} / {count(wanted)}").map(tint)


def coverage_table(counts: pd.DataFrame, config: ScratchConfig, *, is_live: bool, key: str) -> tuple[str, str] | None:
    """Draw the table; return topic and genre of the selected cell."""
    frame, wanted = coverage_frame(counts, config), wanted_each(config)
    columns: dict[str, Any] = {name: st.column_config.NumberColumn(name, width=73) for name in frame.columns}
    event = st.dataframe(
        coverage_style(frame, wanted, is_live=is_live),
        key=key,
        height=_ROW * (min(len(frame), _ROWS_SHOWN) + 1) + 2,
        row_height=_ROW,
        on_select="rerun",
        selection_mode="single-cell",
        column_config=columns | {"Topic": st.column_config.TextColumn("Topic", width=100, pinned=True)},
        alt="Premises written and wanted, by topic and genre",
    )
    if not event.selection.cells:
        return None
    row, column = event.selection.cells[0]
    is_cell = column in frame.columns and row < len(frame)
    return (str(frame.index[row]), str(column)) if is_cell else None


def scratch_outcomes(
    workspace: Workspace, corpus_id: str, config: ScratchConfig, clicked: tuple[str, str] | None
) -> None:
    """Draw filters by topic and genre, which a click on a cell sets, then outcomes and sentences."""
    topic, genre = _filters(corpus_id, config, clicked)
    counts = workspace.store.premise_attempts.outcome_counts(corpus_id, topic=topic, genre=genre)
    if not counts:
        st.caption("Nothing has been written here yet.")
        return
    key = f"scratch_outcome_{corpus_id}"
    if st.session_state.get(key) not in counts:
        st.session_state[key] = "ok" if "ok" in counts else next(iter(counts))
    label = f"{counted(sum(counts.values()), 'attempt')} by outcome"
    outcome = PremiseOutcome(outcome_pills(label, counts, key=key))
    rows = workspace.store.premise_attempts.page(
        corpus_id, outcome=outcome, topic=topic, genre=genre, limit=_SENTENCES_SHOWN
    )
    more = f" The first {count(_SENTENCES_SHOWN)} are shown." if counts[outcome] > _SENTENCES_SHOWN else ""
    st.caption(plain(f"{outcome.replace('_', ' ')}: {MEANINGS[outcome]}.{more}"))
    _sentences(rows, outcome)


def _filters(corpus_id: str, config: ScratchConfig, clicked: tuple[str, str] | None) -> tuple[str, str]:
    keys = f"scratch_topic_{corpus_id}", f"scratch_genre_{corpus_id}"
    seen = f"scratch_clicked_{corpus_id}"
    if clicked != st.session_state.get(seen):
        st.session_state[seen] = clicked
        for key, value in zip(keys, clicked or ("", ""), strict=True):
            st.session_state[key] = value
    left, right = st.columns(2)
    topics = ["", *(config.topics or TOPICS)]
    genres = ["", *(genre.name for genre in chosen_genres(config))]
    topic = left.selectbox("Topic", topics, format_func=lambda name: name or "All topics", key=keys[0])
    genre = right.selectbox("Genre", genres, format_func=lambda name: name or "All genres", key=keys[1])
    return str(topic), str(genre)


def _sentences(rows: pd.DataFrame, outcome: PremiseOutcome) -> None:
    shown = ["text", "topic", "genre", "length", "asked"]
    if outcome is PremiseOutcome.FAILED:
        shown = ["reason", "topic", "genre", "asked"]
    st.dataframe(
        rows[shown],
        hide_index=True,
        key=f"scratch_rows_{outcome}",
        alt=f"Sentences that are {outcome}",
        column_config={
            "text": st.column_config.TextColumn("Sentence", width=330),
            "reason": st.column_config.TextColumn("Why", width=330),
            "topic": st.column_config.TextColumn("Topic", width=100),
            "genre": st.column_config.TextColumn("Genre", width=80),
            "length": st.column_config.TextColumn("Length", width=70),
            "asked": st.column_config.TextColumn("Asked for", width=80),
        },
    )
