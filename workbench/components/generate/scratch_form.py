"""What premises from scratch are about and who writes them; says what a start will do, and starts it."""

from dataclasses import fields
from typing import Any

import streamlit as st

from pipeline.config import ScratchConfig, from_fields
from pipeline.errors import InputError
from pipeline.generation.premise_filing import cells, chosen_genres, chosen_lengths
from pipeline.generation.premise_prompts import GENRES, TOPICS, Length
from workbench import state
from workbench.actions.premises import start_write_premises
from workbench.components.generate.generation_form import estimate
from workbench.components.generate.llm_choice import budget_settings, llm_picker
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.wording import count, counted
from workbench.jobs.kinds import WritePremisesSpec
from workbench.workspace import Workspace

PREMISES: str = "Premises"
"""The view of the page where this stands."""
_DEFAULT = ScratchConfig()
_LENGTHS = {Length.SHORT: "short: up to 7 words", Length.MEDIUM: "medium: 8 to 12", Length.LONG: "long: 13 and more"}


def scratch_form(workspace: Workspace) -> None:
    """Draw the form; a start shows the new corpus."""
    name = st.text_input(
        "Name of the corpus", "from scratch", max_chars=80, key="scratch_name", persist_state="session"
    )
    topics = st.multiselect(
        "Topics",
        TOPICS,
        accept_new_options=True,
        placeholder=f"All {len(TOPICS)} built-in topics",
        key="scratch_topics",
        persist_state="session",
        help="Choose some, or type your own in a word or two each; several at once with commas between them.",
    )
    genres = st.multiselect(
        "Genres",
        [genre.name for genre in GENRES],
        placeholder=f"All {len(GENRES)} genres",
        key="scratch_genres",
        persist_state="session",
        help="Each genre has its own prompt of five examples.",
    )
    lengths = st.multiselect(
        "Lengths",
        list(Length),
        format_func=_LENGTHS.__getitem__,
        placeholder="All: short, medium, long",
        key="scratch_lengths",
        persist_state="session",
        help="A sentence is filed under the length that it has, whatever was asked for.",
    )
    per_cell = st.number_input(
        "Premises per cell",
        1,
        10_000,
        _DEFAULT.per_cell,
        key="scratch_per_cell",
        persist_state="session",
        help="A cell is one of each above.",
    )
    llm, known = llm_picker(workspace, key="scratch_llm")
    own = [part.strip() for topic in topics for part in str(topic).split(",")]
    config: dict[str, Any] = {"topics": own, "genres": genres, "lengths": [str(length) for length in lengths]}
    config |= {"per_cell": int(per_cell), "llm": llm} | _sampling() | budget_settings(known, part="scratch")
    _start(workspace, config, name)


def _sampling() -> dict[str, Any]:
    with st.expander("Sampling and filters"):
        temperature = st.slider(
            "Temperature",
            0.0,
            1.5,
            _DEFAULT.temperature,
            0.1,
            key="scratch_temperature",
            persist_state="session",
            help="At 0 every attempt at a cell gives the same text.",
        )
        top_p = st.slider(
            "Nucleus mass (top p)", 0.05, 1.0, _DEFAULT.top_p, 0.05, key="scratch_top_p", persist_state="session"
        )
        near = st.slider(
            "Near duplicate from",
            0.3,
            1.0,
            _DEFAULT.near_duplicate,
            0.05,
            key="scratch_near",
            persist_state="session",
            help="A premise that shares this part of all words with an earlier one is left out.",
        )
        tries = st.number_input(
            "Attempts per wanted premise",
            1,
            100,
            _DEFAULT.tries,
            key="scratch_tries",
            persist_state="session",
            help="At most, in each cell.",
        )
        seed = st.number_input("Seed", 0, 2**31 - 1, _DEFAULT.seed, key="scratch_seed", persist_state="session")
        tokens = st.number_input(
            "Longest premise (tokens)", 8, 256, _DEFAULT.max_new_tokens, key="scratch_tokens", persist_state="session"
        )
        batch = st.number_input(
            "Premises side by side",
            0,
            4096,
            _DEFAULT.batch_size,
            key="scratch_batch",
            persist_state="session",
            help="0: as many as the LLM writes fastest on this machine.",
        )
    chosen = {"temperature": temperature, "top_p": top_p, "near_duplicate": near, "tries": int(tries)}
    return chosen | {"seed": int(seed), "max_new_tokens": int(tokens), "batch_size": int(batch)}


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
