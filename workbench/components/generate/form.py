"""The settings of generation, which all views of the page share, and the start of a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import streamlit as st

from pipeline.config import BUDGET, SAMPLING, GenerationConfig
from pipeline.generation.prompts import PromptSet
from pipeline.records import Contrast
from workbench import state
from workbench.actions.generation import generation_cost, start_generate
from workbench.components.elements import count, counted, duration, errors_shown, plain
from workbench.components.generate.llm_card import llm_picker
from workbench.components.place_picker import place_picker
from workbench.components.settings_form import group_of, settings_form
from workbench.jobs.folder import JobView
from workbench.jobs.kinds import GenerateSpec, JobSpec
from workbench.store.files import PromptSets
from workbench.store.models import RegisteredLLM
from workbench.store.premises import Corpus
from workbench.workspace import Workspace

RUN: Final = "Run"
"""The view that starts runs and shows them."""
_DEFAULT: Final = GenerationConfig()
_ROWS: Final = 100


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
    has_contrast: bool
    """Whether omega has an effect."""


def generation_form(workspace: Workspace, *, starts: bool) -> GenerationChoice:
    """Draw the form. Needs a corpus.

    starts: whether it ends in the start of a run, which selects the new run.
    """
    corpora = {corpus.corpus_id: corpus for corpus in workspace.store.premises.corpora() if corpus.premises}
    corpus_id = state.pick(
        "Premises",
        list(corpora),
        name=state.CORPUS,
        names={key: f"{corpus.name} ({count(corpus.premises)})" for key, corpus in corpora.items()},
    )
    assert corpus_id is not None, "the page asks for premises first"
    llm, known = llm_picker(workspace, key="generate_llm")
    prompts = _prompt_set(workspace)
    config = {"llm": llm, "prompt_set": prompts.ref} | _settings(known)
    if starts:
        _start(workspace, corpora[corpus_id], config, known)
    return GenerationChoice(corpus_id, config, prompts, has_contrast=_has_contrast(known))


def _start(workspace: Workspace, corpus: Corpus, config: dict[str, Any], llm: RegisteredLLM | None) -> None:
    """Draw the number of premises, the place, the start, and what it will take."""
    premises, key = corpus.premises, f"generate_limit_{corpus.corpus_id}"
    limit = st.number_input("Number of premises", 1, premises, min(_ROWS, premises), key=key, persist_state="session")
    on = place_picker(workspace, GenerateSpec)
    label = f"Generate {counted(limit, 'triplet')}"
    if st.button(label, type="primary", icon=":material/play_arrow:", width="stretch"):
        with errors_shown():
            made = start_generate(workspace, corpus_id=corpus.corpus_id, config=config, limit=int(limit), on=on)
            state.select(state.ATTEMPT, made["attempt_id"])
            st.rerun()
    alike = [job for job in workspace.jobs.of(GenerateSpec) if job.spec.config.llm == config["llm"]]
    st.caption(estimate(alike, limit))
    if llm is not None and llm.entry.kind == "remote":
        with errors_shown():
            cost = generation_cost(workspace, corpus_id=corpus.corpus_id, config=config, limit=int(limit))
            tokens = f"{count(cost['prompt_tokens'])} prompt and {count(cost['reply_tokens'])} reply tokens"
            money = f", {cost['money']:.2f} money" if cost["money"] else ""
            st.caption(f"About {count(cost['calls'])} calls: {tokens}{money}.")


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
    base, values = asdict(_DEFAULT), {"omega": 0.0}
    if _has_contrast(llm):
        values = settings_form(GenerationConfig, ["omega", "plausibility"], base, key="generate", columns=1)
    with st.expander("Sampling and batch"):
        names = group_of(GenerationConfig, SAMPLING)
        values |= settings_form(GenerationConfig, names, base, key="generate", columns=1)
        values |= candidate_settings(llm, temperature=values["temperature"]) | budget_settings(llm)
    return values


def _has_contrast(llm: RegisteredLLM | None) -> bool:
    return llm is None or llm.contrast != Contrast.NONE


def estimate(jobs: Sequence[JobView[JobSpec]], limit: int) -> str:
    """Return the expected time by the last measured rate, or that there is none yet."""
    rate = next((job.rate for job in jobs if job.rate), None)
    if not rate:
        return "No speed measured on this machine yet; the time left appears with the first rows."
    speed = f"{rate:.1f} premises per second" if rate >= 0.1 else f"{rate * 60:.1f} premises per minute"
    return f"About {duration(limit / rate)} at the last measured speed of {speed}."
