"""Choosing the LLM of a run, and the settings that depend on what it is capable of."""

from typing import Any

import streamlit as st

from pipeline.config import BUDGET, GenerationConfig
from workbench.components.settings_form import group_of, settings_form
from workbench.store.llms import RegisteredLLM
from workbench.workspace import Workspace

_DEFAULT = GenerationConfig()


def llm_picker(workspace: Workspace, *, key: str) -> tuple[str, RegisteredLLM | None]:
    """Draw the picker; returns the name or path, and the entry where it is registered."""
    known = {llm.entry.name: llm for llm in workspace.store.llms.list() if llm.state == "ok"}
    name = st.selectbox(
        "LLM",
        list(known),
        accept_new_options=True,
        key=key,
        persist_state="session",
        help="One of the view LLMs, or type the path of a GGUF file or of a transformers folder.",
    )
    return name or _DEFAULT.llm, known.get(name or "")


def llm_choice(workspace: Workspace) -> tuple[str, RegisteredLLM | None]:
    """Draw the picker of a run, and what the chosen one is not capable of."""
    name, chosen = llm_picker(workspace, key="generate_llm")
    if chosen is not None and chosen.contrast == "sequence":
        st.caption(
            "This server has no token probabilities: with several candidates, whole replies are reranked by ω."
        )
    elif chosen is not None and chosen.contrast == "none":
        st.caption("This server returns no log-probabilities of prompts: replies are plain, and ω has no effect.")
    return name, chosen


def candidate_settings(llm: RegisteredLLM | None, *, temperature: float) -> dict[str, Any]:
    """Draw how many replies are drawn and which is kept."""
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
    """Draw the limits of what a server may charge; nothing for LLMs on this machine."""
    if llm is None or llm.entry.kind != "remote":
        return {}
    return settings_form(GenerationConfig, group_of(GenerationConfig, BUDGET), {}, key=part)
