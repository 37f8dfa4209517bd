"""The card of an LLM: what it is, its form, the contrast it allows, price and speed; the rest in a popover."""

import json
from typing import Final

import streamlit as st

from pipeline.config import GenerationConfig
from pipeline.generation.llms.registry import EMBEDDED, LLMEntry
from workbench import state
from workbench.components.elements import ago, count, counted, plain, shorten
from workbench.store.models import RegisteredLLM
from workbench.workspace import Workspace

_MORE: Final = "Add another LLM, or check one."
LLMS: Final = "LLMs"
"""The view of the page with the registry."""
CONTRAST_WORDS: Final = {
    "token": "token by token",
    "token-top20": "token by token, best 20",
    "sequence": "whole replies, reranked",
    "none": "none: plain replies",
}
_CONTRAST_MEANS: Final = {
    "sequence": "With several candidates ω reranks whole replies; it chooses no tokens.",
    "token-top20": "ω chooses among the best 20 tokens that the server shows, with two calls for each token.",
    "none": "It shows no log-probabilities of prompts: ω has no effect.",
}
KIND_WORDS: Final = {
    "embedded": "embedded (llama.cpp or torch)",
    "gguf": "GGUF file (llama.cpp)",
    "decoder": "decoder (transformers)",
    "encoder-decoder": "encoder-decoder (transformers)",
    "remote": "server",
}
_FORM_WORDS: Final = {"completion": "one text", "chat": "turns of a chat"}


def llm_picker(workspace: Workspace, *, key: str) -> tuple[str, RegisteredLLM | None]:
    """Draw the picker with the card of its choice; return the name or path, and the entry of a registered LLM."""
    known = {llm.entry.name: llm for llm in workspace.store.llms.list() if llm.state == "ok"}
    name = st.selectbox(
        "LLM",
        list(known),
        accept_new_options=True,
        key=key,
        persist_state="session",
        help="One listed under LLMs, or the path of a GGUF file or of a transformers folder.",
    )
    chosen = known.get(name or "")
    if chosen is None:
        st.caption("Not checked yet: add it under LLMs to see its form, contrast and speed.")
    else:
        llm_card(chosen)
    with st.container(horizontal=True, gap="small"):
        if chosen is not None:
            llm_details(chosen)
        if st.button("Other LLMs", key=f"{key}_more", type="tertiary", icon=":material/tune:", help=_MORE):
            state.select(state.GENERATE_VIEW, LLMS)
            st.rerun()
    return name or GenerationConfig().llm, chosen


def llm_card(llm: RegisteredLLM) -> None:
    """Draw what a person chooses by, a line each."""
    entry = llm.entry
    lines = (
        ("Form", form_words(entry)),
        ("Contrast", CONTRAST_WORDS.get(llm.contrast, "unknown before a check")),
        ("Price", price_words(entry)),
        ("Speed", speed_words(llm)),
    )
    rows = [f"**{_what(entry)}**", *(f":gray[{label}:] {plain(words)}" for label, words in lines)]
    with st.container(border=True, gap="xsmall"):
        st.markdown("  \n".join(rows))
        if llm.contrast in _CONTRAST_MEANS:
            st.caption(_CONTRAST_MEANS[llm.contrast])


def llm_details(llm: RegisteredLLM) -> None:
    """Draw what else is known of an LLM, folded away."""
    with st.popover("Details", type="tertiary", icon=":material/info:"):
        for label, words in details(llm):
            st.markdown(f":gray[{label}:] {plain(words)}")


def _what(entry: LLMEntry) -> str:
    if entry.kind != "remote":
        return plain(KIND_WORDS[entry.kind])
    return f"server · {plain(shorten(entry.model or 'unknown model', 40))}"


def form_words(entry: LLMEntry) -> str:
    """Return how an LLM is asked, and whether it thinks first."""
    form = entry.form if entry.form != "auto" else entry.speaks or "completion"
    thinks = ", thinks first" if entry.reasons else ", thinking off" if entry.thinking else ""
    return _FORM_WORDS[form] + thinks


def price_words(entry: LLMEntry) -> str:
    """Return what a million tokens cost."""
    if entry.kind != "remote":
        return "nothing, it runs here"
    if not entry.price_in and not entry.price_out:
        return "not entered"
    half = ", half of it in batches" if entry.batch_api else ""
    return f"{entry.price_in:g} in, {entry.price_out:g} out per million tokens{half}"


def speed_words(llm: RegisteredLLM) -> str:
    """Return the speed that the check measured."""
    if llm.tokens_per_s is None:
        return "not measured yet"
    return f"{count(llm.tokens_per_s)} tokens/s in its check"


def details(llm: RegisteredLLM) -> list[tuple[str, str]]:
    """Return what else is known of an LLM, as labels and words."""
    entry = llm.entry
    found = [("Context", f"{count(llm.context_length)} tokens" if llm.context_length else "")]
    if entry.kind == "remote":
        limits = ((entry.requests_per_minute, "call"), (entry.tokens_per_minute, "token"))
        pace = [f"{counted(most, unit)} a minute" for most, unit in limits if most]
        found += [
            ("Address", ", ".join((entry.location, *entry.replicas))),
            ("Pace", ", ".join([f"{entry.concurrency} at a time", *pace])),
            ("Refused by the server", ", ".join(entry.left_out)),
            ("Thinking switched by", _switch(entry.thinking)),
            ("Exact opposite scores", {"vllm": "as in vLLM", "sglang": "as in SGLang"}.get(entry.token_ids, "")),
            ("Key in", entry.key_variable),
        ]
    else:
        found += [("Path", entry.location), ("From", entry.source), ("Weights", weights_words(entry))]
    found += [("Checked", ago(llm.checked_at) if llm.checked_at else ""), ("It wrote", shorten(llm.sample, 160))]
    return [(label, words) for label, words in found if words]


def weights_words(entry: LLMEntry) -> str:
    """Return the model's name at its server, or the beginning of the weights' sha256."""
    if entry.kind == "remote":
        return entry.model
    digest = entry.digest.removeprefix("sha256:")
    return digest[:12] if digest else ("shipped" if entry.name == EMBEDDED else "")


def _switch(thinking: str) -> str:
    """Return the JSON of a switch in short: reasoning_effort minimal."""
    if not thinking:
        return ""
    return json.dumps(json.loads(thinking)).strip("{}").replace('"', "")
