"""The registry of LLMs on the Generate page: what each can do; adding, checking and removing one."""

from typing import Any

import pandas as pd
import streamlit as st

from pipeline.generation.llms.presets import PRESETS
from pipeline.generation.llms.registry import EMBEDDED, LOCAL_SETTINGS, SERVER_SETTINGS, LLMEntry
from workbench.actions.models import add_llm, check_llm, remove_llm
from workbench.components.elements import ago, errors_shown, plain
from workbench.components.generate.llm_card import (
    CONTRAST_WORDS,
    KIND_WORDS,
    form_words,
    llm_card,
    llm_details,
    price_words,
    weights_words,
)
from workbench.components.job_progress import job_strip
from workbench.components.settings_form import settings_form
from workbench.jobs.kinds import CheckSpec
from workbench.store.models import RegisteredLLM
from workbench.workspace import Workspace

_HERE, _SERVER, _HUB = "On this machine", "Server", "Hub"
_FIRST = ("model", "key_variable")
"""Settings of a server that are shown at once."""


def llm_registry(workspace: Workspace) -> None:
    """Draw the LLMs of this workspace, the card of one, running checks and the form for another."""
    st.subheader("LLMs", anchor=False)
    st.caption(
        "The contrast needs token probabilities. Models on this machine provide them; a server provides at most its "
        "best 20 tokens, or the log-probabilities of whole replies. Every triplet records which contrast was used."
    )
    llms = workspace.store.llms.list()
    llm_table(llms)
    job_strip(workspace, CheckSpec, key="llm_check")
    with st.container(key="llms_beside"):
        chosen, adding = st.columns(2, gap="large")
    with chosen:
        _one(workspace, {llm.entry.name: llm for llm in llms})
    with adding, st.container(border=True):
        st.markdown("**Add an LLM**")
        add_form(workspace)


def _one(workspace: Workspace, llms: dict[str, RegisteredLLM]) -> None:
    """Draw the card of one LLM with its check and its removal."""
    name = st.selectbox("LLM", list(llms), key="llms_check_name")
    llm_card(llms[name])
    with st.container(horizontal=True):
        llm_details(llms[name])
        if st.button("Check again", key="llms_check", icon=":material/refresh:"):
            with errors_shown():
                check_llm(workspace, name=name)
                st.rerun()
        words = "Takes it off this list; its files and triplets are kept."
        is_fixed = name == EMBEDDED
        if st.button("Remove", key="llms_remove", icon=":material/delete:", disabled=is_fixed, help=words):
            with errors_shown():
                remove_llm(workspace, name=name)
                st.rerun()


def llm_table(llms: list[RegisteredLLM]) -> None:
    """Draw one line per LLM; its card has the rest."""
    table = pd.DataFrame(
        [
            {
                "name": llm.entry.name,
                "state": llm.state,
                "kind": KIND_WORDS[llm.entry.kind],
                "form": form_words(llm.entry),
                "contrast": CONTRAST_WORDS.get(llm.contrast, "unknown"),
                "price": price_words(llm.entry),
                "tokens_per_s": llm.tokens_per_s,
                "weights": weights_words(llm.entry),
                "checked": ago(llm.checked_at) if llm.checked_at else "not yet",
            }
            for llm in llms
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        alt="LLMs of this workspace",
        placeholder="–",
        column_order=["name", "state", "form", "contrast", "price", "tokens_per_s", "checked"],
        column_config={
            "name": st.column_config.TextColumn("LLM", width=130),
            "state": st.column_config.TextColumn("State", width=60),
            "form": st.column_config.TextColumn("Form", width=180),
            "contrast": st.column_config.TextColumn("Contrast", width=160),
            "price": st.column_config.TextColumn("Price", width=240),
            "tokens_per_s": st.column_config.NumberColumn(
                "Tokens/s", format="%.0f", width=70, help="Reply tokens per second in the check, 8 replies at once."
            ),
            "checked": "Checked",
        },
    )
    for llm in llms:
        if llm.state == "failed":
            st.caption(plain(f"{llm.entry.name} failed its last check: {llm.message}"))


def add_form(workspace: Workspace) -> None:
    """Ask where the LLM runs and start its check."""
    places = [_HERE, _SERVER, _HUB]
    where = st.segmented_control("Where it runs", places, default=_HERE, required=True, key="llms_where", wrap=True)
    name = st.text_input("Name", key="llms_name", max_chars=80, placeholder="flan-t5-small")
    path = url = hub = None
    revision = preset = ""
    base: dict[str, Any] = {}
    values: dict[str, Any] = {}
    if where == _HERE:
        path = st.text_input(
            "Path of a GGUF file or of a transformers folder",
            key="llms_path",
            help="A decoder or encoder-decoder with safetensors weights. Code in the folder is never run.",
        )
    elif where == _HUB:
        hub = st.text_input(
            "Model on the hub",
            key="llms_hub",
            placeholder="google/flan-t5-small",
            help="OWNER/NAME of a model with safetensors weights, or OWNER/NAME/FILE.gguf. Fetched over the network.",
        )
        revision = st.text_input(
            "Revision", key="llms_revision", placeholder="main", help="A branch is pinned to its current commit."
        )
    else:
        preset = st.selectbox("Kind of server", ["", *PRESETS], format_func=_preset_words, key="llms_preset")
        known = PRESETS.get(preset)
        url = st.text_input(
            "Base URL",
            key="llms_url",
            placeholder=known.url if known else "http://127.0.0.1:8000/v1",
            help="Any OpenAI-compatible server; empty takes the usual address of its kind. Hosts other than this "
            "machine and api.openai.com must be listed in MULTICSR_ENDPOINTS when the workbench starts.",
        )
        if known:
            st.caption(plain(known.about))
        base = known.settings if known else {}
        values = base | settings_form(LLMEntry, _FIRST, base, key=_key(preset))
    rest = [name for name in (SERVER_SETTINGS if where == _SERVER else LOCAL_SETTINGS) if name not in _FIRST]
    with st.expander("More settings"):
        values |= settings_form(LLMEntry, rest, base, key=_key(preset))
    settings = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    if st.button("Check and add", type="primary", key="llms_add", icon=":material/add:"):
        with errors_shown():
            add_llm(
                workspace,
                name=name,
                path=path,
                url=url,
                hub=hub,
                revision=revision,
                preset=preset,
                settings=settings,
            )
            st.rerun()


def _key(preset: str) -> str:
    """Return the beginning of the widgets' keys: another preset starts from its own values."""
    return f"llms_{preset}" if preset else "llms"


def _preset_words(name: str) -> str:
    return PRESETS[name].title if name else "any other"
