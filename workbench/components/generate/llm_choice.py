"""Choosing the LLM of a run, and the settings that depend on what it is capable of."""

from typing import Any

import streamlit as st

from pipeline.config import GenerationConfig
from workbench.store.llms import RegisteredLLM
from workbench.workspace import Workspace

_DEFAULT = GenerationConfig()
_CHOICES = {
    "contrast": "greatest log p(own) - ω log p(opposite)",
    "contrast_per_token": "the same, per token",
    "least_overlap": "fewest words of the premise",
    "first": "first usable one",
}


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
    standard = 4 if llm is not None and llm.contrast == "sequence" else _DEFAULT.candidates
    name = llm.entry.name if llm is not None else ""
    candidates = st.number_input(
        "Candidates per side",
        1,
        64,
        standard,
        key=f"generate_candidates_{name}",
        persist_state="session",
        help="Replies drawn; one is kept.",
    )
    if candidates == 1:
        return {}
    choice = st.selectbox(
        "Candidate kept",
        list(_CHOICES),
        format_func=lambda rule: _CHOICES[rule],
        key="generate_choice",
        persist_state="session",
    )
    return {"candidates": int(candidates), "choice": choice}


def budget_settings(llm: RegisteredLLM | None, *, part: str = "generate") -> dict[str, Any]:
    """Draw the limits of what a server may charge; nothing for LLMs on this machine."""
    if llm is None or llm.entry.kind != "remote":
        return {}
    left, right = st.columns(2)
    tokens = left.number_input(
        "Token budget",
        0,
        10**12,
        0,
        step=10_000,
        key=f"{part}_token_budget",
        persist_state="session",
        help="Prompts and replies; 0: no limit.",
    )
    money = right.number_input(
        "Money budget",
        0.0,
        1e6,
        0.0,
        step=0.1,
        key=f"{part}_money_budget",
        persist_state="session",
        help="At the LLM's prices; 0: no limit.",
    )
    return {"token_budget": int(tokens), "money_budget": float(money)}
