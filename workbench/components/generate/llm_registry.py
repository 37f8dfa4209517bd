"""The registry of LLMs on the Generate page: what each can do; adding, checking and removing one."""

import pandas as pd
import streamlit as st

from pipeline.generation.llms.presets import PRESETS
from pipeline.generation.llms.registry import EMBEDDED, LOCAL_SETTINGS, SERVER_SETTINGS, LLMEntry
from workbench.actions.models import add_llm, check_llm, remove_llm
from workbench.components.elements import ago, errors_shown, plain
from workbench.components.job_progress import job_strip
from workbench.components.settings_form import settings_form
from workbench.jobs.kinds import CheckSpec
from workbench.store.models import RegisteredLLM
from workbench.workspace import Workspace

LLMS = "LLMs"
"""The view of the page with the registry."""
CONTRAST_WORDS = {
    "token": "token by token",
    "token-top20": "token by token, best 20",
    "sequence": "whole replies, reranked",
    "none": "none: plain replies",
}
KIND_WORDS = {
    "embedded": "embedded (llama.cpp or torch)",
    "gguf": "GGUF file (llama.cpp)",
    "decoder": "decoder (transformers)",
    "encoder-decoder": "encoder-decoder (transformers)",
    "remote": "server",
}
_HERE, _SERVER, _HUB = "On this machine", "Server", "Hub"
_FIRST = ("model", "form", "key_variable", "price_in", "price_out")
"""Settings of a server that are shown at once."""


def llm_registry(workspace: Workspace) -> None:
    """Draw the LLMs of this workspace, running checks and the forms."""
    st.subheader("LLMs", anchor=False)
    st.caption(
        "The contrast needs token probabilities. Models on this machine provide them; a server returns at most the "
        "log-probabilities of whole replies. Every triplet records which contrast was used."
    )
    llm_table(workspace.store.llms.list())
    job_strip(workspace, CheckSpec, key="llm_check")
    adding, checking = st.columns([2, 1], gap="large")
    with adding, st.expander("Add an LLM", icon=":material/add:"):
        add_form(workspace)
    with checking, st.expander("Check or remove one", icon=":material/tune:"):
        _check_or_remove(workspace)


def _check_or_remove(workspace: Workspace) -> None:
    names = [llm.entry.name for llm in workspace.store.llms.list()]
    name = st.selectbox("LLM", names, key="llms_check_name")
    with st.container(horizontal=True):
        if st.button("Check again", key="llms_check", icon=":material/refresh:"):
            with errors_shown():
                check_llm(workspace, name=name)
                st.rerun()
        if st.button("Remove", key="llms_remove", icon=":material/delete:", disabled=name == EMBEDDED):
            with errors_shown():
                remove_llm(workspace, name=name)
                st.rerun()
    st.caption("Removing an LLM only takes it off this list; its files and triplets are kept.")


def llm_table(llms: list[RegisteredLLM]) -> None:
    """Draw one line per LLM."""
    table = pd.DataFrame(
        [
            {
                "name": llm.entry.name,
                "state": llm.state,
                "contrast": CONTRAST_WORDS.get(llm.contrast, "unknown"),
                "tokens_per_s": llm.tokens_per_s,
                "context": llm.context_length,
                "form": _form(llm),
                "kind": KIND_WORDS[llm.entry.kind],
                "weights": _weights(llm),
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
        column_config={
            "name": st.column_config.TextColumn("LLM", width=130),
            "state": st.column_config.TextColumn("State", width=60),
            "contrast": st.column_config.TextColumn("Contrast", width=150),
            "tokens_per_s": st.column_config.NumberColumn(
                "Tokens/s", format="%.0f", width=70, help="Reply tokens per second in the check, 8 replies at once."
            ),
            "context": st.column_config.NumberColumn(
                "Context",
                format="localized",
                width=70,
                help="Context window in tokens, for prompt and reply together.",
            ),
            "form": st.column_config.TextColumn(
                "Form", width=80, help="Form of its prompts: one text that it goes on from, or turns of a chat."
            ),
            "kind": st.column_config.TextColumn("Kind", width=150),
            "weights": st.column_config.TextColumn(
                "Weights or model", help="First 12 digits of the weights' sha256, or the server's name of the model."
            ),
            "checked": "Checked",
        },
    )
    for llm in llms:
        if llm.state == "failed":
            st.caption(plain(f"{llm.entry.name} failed its last check: {llm.message}"))
        elif llm.entry.left_out:
            names = ", ".join(llm.entry.left_out)
            st.caption(plain(f"The server of {llm.entry.name} rejects {names} and uses its own defaults."))
        if llm.entry.reasons:
            st.caption(plain(f"{llm.entry.name} thinks before each reply, within the longest thought of the run."))


def add_form(workspace: Workspace) -> None:
    """Ask where the LLM runs and start its check."""
    places = [_HERE, _SERVER, _HUB]
    where = st.segmented_control("Where it runs", places, default=_HERE, required=True, key="llms_where")
    name = st.text_input("Name", key="llms_name", max_chars=80, placeholder="flan-t5-small")
    path = url = hub = None
    revision = preset = ""
    declared: tuple[str, ...] = LOCAL_SETTINGS
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
        is_all = st.toggle("All settings of the server", key="llms_more")
        declared = SERVER_SETTINGS if is_all else _FIRST
    base = PRESETS[preset].settings if preset else {}
    values = base | settings_form(LLMEntry, declared, base, key=f"llms_{preset}" if preset else "llms")
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


def _preset_words(name: str) -> str:
    return PRESETS[name].title if name else "any other"


def _form(llm: RegisteredLLM) -> str:
    entry = llm.entry
    return entry.form if entry.form != "auto" else entry.speaks or "completion"


def _weights(llm: RegisteredLLM) -> str:
    if llm.entry.kind == "remote":
        return plain(llm.entry.model)
    digest = llm.entry.digest.removeprefix("sha256:")
    return digest[:12] if digest else ("shipped" if llm.entry.name == EMBEDDED else "")
