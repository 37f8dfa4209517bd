"""What premises from scratch are about and who writes them; says what a start will do, and starts it."""

from dataclasses import fields, replace
from typing import Any

import streamlit as st

from pipeline.config import CELLS, SAMPLING, ScratchConfig, from_fields
from pipeline.errors import InputError
from pipeline.generation.premise_filing import cells, chosen_genres, chosen_lengths
from pipeline.generation.premise_prompts import GENRES, TOPICS
from pipeline.settings import settings_of
from workbench import state
from workbench.actions.premises import start_write_premises
from workbench.components.generate.generation_form import estimate
from workbench.components.generate.llm_choice import budget_settings, llm_picker
from workbench.components.notice import errors_shown
from workbench.components.settings_form import group_of, settings_form
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.jobs.kinds import WritePremisesSpec
from workbench.workspace import Workspace

PREMISES: str = "Premises"
"""The view of the page where this stands."""


def scratch_form(workspace: Workspace) -> None:
    """Draw the form; a start shows the new corpus."""
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
            made = start_write_premises(workspace, config=given, name=name)
            state.select(state.SCRATCH, made["corpus_id"])
            state.select(state.GENERATE_VIEW, PREMISES)
            st.rerun()


def plan(config: ScratchConfig) -> str:
    """What will happen, in numbers."""
    topics, genres = len(config.topics or TOPICS), len(chosen_genres(config))
    lengths, total = len(chosen_lengths(config)), len(cells(config))
    parts = [counted(topics, "topic"), counted(genres, "genre"), counted(lengths, "length")]
    wanted = total * config.per_cell
    grid = f"{' × '.join(parts)} = {counted(total, 'cell')} of {count(config.per_cell)}"
    return f"{grid}: {counted(wanted, 'premise')}, in at most {counted(wanted * config.tries, 'attempt')}."
