"""The settings of generation, which all views of the page share, the start of a run, and the preview.

The preview shows a few premises at several values of omega. Below it stands what it shares with the contrast lens and
the free prompt: short jobs whose result only the page shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.config import BUDGET, SAMPLING, GenerationConfig
from pipeline.generation.prompts import PromptSet
from pipeline.records import Outcome, Side
from workbench import state, theme
from workbench.actions.generation import (
    PREVIEW_OMEGAS,
    PREVIEW_PREMISES,
    generation_cost,
    start_generate,
    start_grid,
)
from workbench.actions.jobs import cancel
from workbench.components.elements import count, counted, duration, empty_state, errors_shown, plain, press, read_json
from workbench.components.job_progress import follow, is_live, job_card, show_engine
from workbench.components.settings_form import group_of, settings_form
from workbench.jobs.folder import JobView, S
from workbench.jobs.kinds import GenerateSpec, GridSpec, JobSpec
from workbench.store.files import PromptSets
from workbench.store.models import RegisteredLLM
from workbench.workspace import Workspace

RUN: Final = "Run"
"""The view that a start opens."""
_DEFAULT: Final = GenerationConfig()
_ROWS: Final = 100
_OMEGAS: Final = tuple(round(0.05 * step, 2) for step in range(20))
_COLOURS: Final = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}


def llm_picker(workspace: Workspace, *, key: str) -> tuple[str, RegisteredLLM | None]:
    """Draw the picker; return the name or path, and the entry of a registered LLM."""
    known = {llm.entry.name: llm for llm in workspace.store.llms.list() if llm.state == "ok"}
    name = st.selectbox(
        "LLM",
        list(known),
        accept_new_options=True,
        key=key,
        persist_state="session",
        help="One listed under LLMs, or the path of a GGUF file or of a transformers folder.",
    )
    return name or _DEFAULT.llm, known.get(name or "")


def llm_choice(workspace: Workspace) -> tuple[str, RegisteredLLM | None]:
    """Draw the picker of a run, with a note if the chosen LLM allows no contrast token by token."""
    name, chosen = llm_picker(workspace, key="generate_llm")
    if chosen is not None and chosen.contrast == "sequence":
        st.caption("This server returns no token probabilities; with several candidates, ω reranks whole replies.")
    elif chosen is not None and chosen.contrast == "token-top20":
        st.caption("ω chooses among the best 20 tokens that the server shows, with two calls for each token.")
    elif chosen is not None and chosen.contrast == "none":
        st.caption("This server returns no log-probabilities of prompts: replies are plain and ω has no effect.")
    return name, chosen


def candidate_settings(llm: RegisteredLLM | None, *, temperature: float) -> dict[str, Any]:
    """Draw the number of replies to sample and the choice among them."""
    if temperature == 0:
        st.caption("Several candidates need a temperature above 0.")
        return {}
    name = llm.entry.name if llm is not None else ""
    base = {"candidates": 4} if llm is not None and llm.contrast == "sequence" else {}
    values = settings_form(GenerationConfig, ["candidates"], base, key=f"generate_{name}", columns=1)
    if values["candidates"] > 1:
        values |= settings_form(GenerationConfig, ["choice"], {}, key="generate", columns=1)
    return values


def budget_settings(llm: RegisteredLLM | None, *, part: str = "generate") -> dict[str, Any]:
    """Draw the spending limits of a server; nothing for LLMs on this machine."""
    if llm is None or llm.entry.kind != "remote":
        return {}
    return settings_form(GenerationConfig, group_of(GenerationConfig, BUDGET), {}, key=part)


@dataclass(frozen=True, slots=True)
class GenerationChoice:
    """The content of the form: corpus, fields of a GenerationConfig, and the named prompt set."""

    corpus_id: str
    config: dict[str, Any]
    prompts: PromptSet


def generation_form(workspace: Workspace) -> GenerationChoice:
    """Draw the form; a start selects the new run and opens its view. Needs a corpus."""
    corpora = {corpus.corpus_id: corpus for corpus in workspace.store.premises.corpora() if corpus.premises}
    corpus_id = state.pick(
        "Premises",
        list(corpora),
        name=state.CORPUS,
        names={key: f"{corpus.name} ({count(corpus.premises)})" for key, corpus in corpora.items()},
    )
    assert corpus_id is not None, "the page asks for premises first"
    llm, known = llm_choice(workspace)
    prompts = _prompt_set(workspace)
    config = {"llm": llm, "prompt_set": prompts.ref} | _settings(known)
    premises = corpora[corpus_id].premises
    start, key = min(_ROWS, premises), f"generate_limit_{corpus_id}"
    limit = st.number_input("Number of premises", 1, premises, start, key=key, persist_state="session")
    label = f"Generate {counted(limit, 'triplet')}"
    if st.button(label, type="primary", icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            made = start_generate(workspace, corpus_id=corpus_id, config=config, limit=int(limit))
            state.select(state.ATTEMPT, made["attempt_id"])
            state.select(state.GENERATE_VIEW, RUN)
            st.rerun()
    st.caption(estimate(workspace.jobs.of(GenerateSpec), limit))
    if known is not None and known.entry.kind == "remote":
        with errors_shown():
            cost = generation_cost(workspace, corpus_id=corpus_id, config=config, limit=int(limit))
            tokens = f"{count(cost['prompt_tokens'])} prompt and {count(cost['reply_tokens'])} reply tokens"
            money = f", {cost['money']:.2f} money" if cost["money"] else ""
            st.caption(f"About {count(cost['calls'])} calls: {tokens}{money}.")
    return GenerationChoice(corpus_id, config, prompts)


def side_switch(*, key: str) -> Side:
    """Draw the choice between positive and hard negative."""
    chosen = st.segmented_control(
        "Side",
        list(Side),
        default=Side.POSITIVE,
        required=True,
        format_func=theme.ROLE_NAMES.__getitem__,
        key=key,
        label_visibility="collapsed",
    )
    return Side(str(chosen))


def _prompt_set(workspace: Workspace) -> PromptSet:
    sets = {prompts.ref: prompts for prompts in PromptSets(workspace.root).newest()}
    wanted = state.recall(state.PROMPT_SET)
    if wanted and wanted not in sets:  # an earlier version, from a link
        with errors_shown():
            sets[wanted] = PromptSets(workspace.root).find(wanted)
    chosen = state.pick(
        "Prompts",
        list(sets),
        name=state.PROMPT_SET,
        names={ref: f"{prompts.prompt_set_id} · version {prompts.version}" for ref, prompts in sets.items()},
        help="Instructions, examples and opposite prompts; edit them under Prompts.",
    )
    found = sets[str(chosen)]
    if found.about:
        st.caption(plain(found.about))
    return found


def _settings(llm: RegisteredLLM | None) -> dict[str, Any]:
    base = asdict(_DEFAULT)
    values = settings_form(GenerationConfig, ["omega", "plausibility"], base, key="generate", columns=1)
    with st.expander("Sampling and batch"):
        names = group_of(GenerationConfig, SAMPLING)
        values |= settings_form(GenerationConfig, names, base, key="generate", columns=1)
        values |= candidate_settings(llm, temperature=values["temperature"]) | budget_settings(llm)
    return values


def estimate(jobs: Sequence[JobView[JobSpec]], limit: int) -> str:
    """Return the expected time by the last measured rate, or that there is none yet."""
    rate = next((job.rate for job in jobs if job.rate), None)
    if not rate:
        return "No speed measured on this machine yet; the time left appears with the first rows."
    speed = f"{rate:.1f} premises per second" if rate >= 0.1 else f"{rate * 60:.1f} premises per minute"
    return f"About {duration(limit / rate)} at the last measured speed of {speed}."


def grid_preview(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the choices, the start, and the grid of the latest preview."""
    premises, omegas = _choices(workspace, choice)
    side = side_switch(key="preview_side")
    asked: dict[str, Any] = {"premises": premises, "omegas": omegas, "config": choice.config}
    label = f"Preview {counted(len(premises), 'premise')}"
    if st.button(label, type="primary", icon=":material/visibility:", disabled=not premises):
        with errors_shown():
            started = start_grid(workspace, **asked)
            cancel_others(workspace, GridSpec, started["job_id"])
            state.remember(state.GRID, started["job_id"])
    job = chosen_job(workspace, state.GRID, GridSpec)
    if job is None:
        empty_state(
            "No preview yet",
            hint="Five premises at four values of ω, side by side. Takes seconds and stores no triplets.",
            icon=":material/grid_on:",
        )
        return
    if is_other(job.spec, asked):
        cancel_others(workspace, GridSpec, None)
        st.caption(":material/info: The settings have changed since this preview; run it again to see the effect.")
    spec = job.spec
    short_job(workspace, job, file="grid.json", show=lambda cells, live: grid(cells, spec, side, live=live))


def grid(cells: list[dict[str, Any]], spec: GridSpec, side: Side, *, live: bool) -> None:
    """Draw a row per premise and a column per omega; words that the lowest omega lacks are highlighted."""
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
    """Whether a preview was made with other settings than the page shows; the omega of the form does not matter."""
    same = all(getattr(spec.config, name) == value for name, value in asked["config"].items() if name != "omega")
    texts, omegas = list(spec.premises), list(spec.omegas)
    return not (same and texts == asked["premises"] and omegas == sorted(asked["omegas"]))


def _choices(workspace: Workspace, choice: GenerationChoice) -> tuple[list[str], list[float]]:
    left, right = st.columns(2, vertical_alignment="bottom")
    total = workspace.store.premises.corpus(choice.corpus_id).premises
    label, key = f"First premise (of {total:,})", f"preview_from_{choice.corpus_id}"
    first = left.number_input(label, 1, max(1, total), 1, PREVIEW_PREMISES, key=key)
    rows: pd.DataFrame = workspace.store.premises.page(choice.corpus_id, int(first) - 2, PREVIEW_PREMISES)
    omega = choice.config["omega"]
    start = sorted({0.0, omega, *(value for value in (0.3, 0.6, 0.9) if value != omega)})[:PREVIEW_OMEGAS]
    omegas = right.multiselect(
        "Values of ω", _OMEGAS, start, max_selections=PREVIEW_OMEGAS, key="preview_omegas", format_func="{:g}".format
    )
    return rows["text"].tolist(), sorted(omegas) or [0.0]


def changed_words(text: str, base: str) -> list[tuple[str, bool]]:
    """Return the words of a sentence, each with whether it lies outside the longest blocks shared with `base`.

    Words are compared without case and surrounding punctuation.
    """
    words = text.split()
    matcher = SequenceMatcher(None, [_bare(w) for w in words], [_bare(w) for w in base.split()], autojunk=False)
    shared = {start + offset for start, _, size in matcher.get_matching_blocks() for offset in range(size)}
    return [(word, place not in shared) for place, word in enumerate(words)]


def marked(text: str, base: str, *, colour: str) -> str:
    """Return a sentence as Markdown with its differing words highlighted, adjacent ones together."""
    parts = []
    for changed, group in groupby(changed_words(text, base), key=lambda pair: pair[1]):
        words = plain(" ".join(word for word, _ in group))
        parts.append(f":{colour}-background[{words}]" if changed else words)
    return " ".join(parts)


def _bare(word: str) -> str:
    return word.casefold().strip(".,;:!?\"'“”‘’()[]") or word


def chosen_job(workspace: Workspace, name: str, kind: type[S]) -> JobView[S] | None:
    """Return the job that URL or session names under `name`; None if it is gone or of another kind."""
    job_id = state.recall(name)
    return next((job for job in workspace.jobs.of(kind) if job.job_id == job_id), None)


def short_job(workspace: Workspace, job: JobView[JobSpec], *, file: str, show: Callable[[Any, bool], None]) -> None:
    """Draw a job's card until it has finished, and what it has written so far; redraws itself until it ends.

    show: draws the content of the job's JSON file; its second argument is whether more is to come.
    """

    def draw(now: JobView) -> None:
        if now.state != "finished":
            job_card(workspace, now, key="short")
        result = read_json(workspace.jobs.output(now.job_id, file))
        if result is not None:
            show(result, is_live(now))
            show_engine(now)

    follow(lambda: workspace.jobs.get(job.job_id), draw)


def cancel_others(workspace: Workspace, kind: type[JobSpec], keep: str | None) -> None:
    """Cancel live jobs of this kind whose settings the page no longer shows."""
    for job in workspace.jobs.of(kind):
        if is_live(job) and job.job_id != keep:
            press(cancel, workspace, job_id=job.job_id)
