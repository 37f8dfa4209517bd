"""The registry of LLMs on the Generate page: what each is capable of, adding, checking and removing one."""

import pandas as pd
import streamlit as st

from pipeline.generation.llms.entries import EMBEDDED, SERVER_SETTINGS, LLMEntry
from workbench.actions.models import add_llm, check_llm, remove_llm
from workbench.components.elements import ago, errors_shown, plain
from workbench.components.job_progress import job_strip
from workbench.components.settings_form import settings_form
from workbench.jobs.kinds import CheckSpec
from workbench.store.llms import RegisteredLLM
from workbench.workspace import Workspace

LLMS: str = "LLMs"
"""The view of the page where this stands."""
CONTRAST_WORDS = {"token": "token by token", "sequence": "whole replies, reranked", "none": "none: plain replies"}
KIND_WORDS = {
    "embedded": "embedded (llama.cpp or torch)",
    "gguf": "GGUF file (llama.cpp)",
    "decoder": "decoder (transformers)",
    "encoder-decoder": "encoder-decoder (transformers)",
    "remote": "server",
}
_HERE, _SERVER, _HUB = "On this machine", "Server", "Hub"


def llm_registry(workspace: Workspace) -> None:
    """Draw the section; redraws itself while a check runs."""
    st.subheader("LLMs", anchor=False)
    st.caption(
        "The contrast needs token probabilities. Models on this machine have them; a server at most returns "
        "log-probabilities of whole replies, and a row always says which was used."
    )
    llm_table(workspace.store.llms.list())
    checks(workspace)
    adding, checking = st.columns([2, 1], gap="large")
    with adding, st.expander("Add an LLM", icon=":material/add:"):
        add_form(workspace)
    with checking, st.expander("Check or remove one", icon=":material/tune:"):
        _keep_or_not(workspace)


def _keep_or_not(workspace: Workspace) -> None:
    """Check an LLM again, or take it out of the list."""
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
    st.caption("Removing takes it out of this list; its files and what it wrote stay.")


def llm_table(llms: list[RegisteredLLM]) -> None:
    """Draw one line per LLM."""
    table = pd.DataFrame(
        [
            {
                "name": llm.entry.name,
                "state": llm.state,
                "contrast": CONTRAST_WORDS.get(llm.contrast, "not known"),
                "tokens_per_s": llm.tokens_per_s,
                "context": llm.context_length,
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
                "Tokens/s",
                format="%.0f",
                width=70,
                help="Reply tokens per second in its check, 8 replies at once.",
            ),
            "context": st.column_config.NumberColumn(
                "Context", format="localized", width=70, help="Longest prompt and reply together, in tokens."
            ),
            "kind": st.column_config.TextColumn("Kind", width=150),
            "weights": st.column_config.TextColumn(
                "Weights or model", help="First digits of the sha256 of the weights, or the server's id of the model."
            ),
            "checked": "Checked",
        },
    )
    for llm in llms:
        if llm.state == "failed":
            st.caption(plain(f"{llm.entry.name} failed its last check: {llm.message}"))
        elif llm.entry.left_out:
            names = ", ".join(llm.entry.left_out)
            st.caption(plain(f"The server of {llm.entry.name} refuses {names}: its own defaults are used instead."))


def checks(workspace: Workspace) -> None:
    """Show checks that run, and the last one when it failed; the table follows when it has ended."""
    job_strip(workspace, CheckSpec, key="llm_check")


def add_form(workspace: Workspace) -> None:
    """Ask where the LLM is and start its check."""
    places = [_HERE, _SERVER, _HUB]
    where = st.segmented_control("Where it runs", places, default=_HERE, required=True, key="llms_where")
    name = st.text_input("Name", key="llms_name", max_chars=80, placeholder="flan-t5-small")
    path = url = hub = None
    revision = ""
    settings: dict[str, object] = {}
    if where == _HERE:
        path = st.text_input(
            "Path of a GGUF file or of a transformers folder",
            key="llms_path",
            help="Decoders and encoder-decoders with safetensors weights. No code of a model folder is ever run.",
        )
    elif where == _HUB:
        hub = st.text_input(
            "Model on the hub",
            key="llms_hub",
            placeholder="google/flan-t5-small",
            help="OWNER/NAME of a model with safetensors weights, or OWNER/NAME/FILE.gguf. Fetched over the network.",
        )
        revision = st.text_input(
            "Revision", key="llms_revision", placeholder="main", help="A branch is pinned at the commit it is at now."
        )
    else:
        url = st.text_input(
            "Base URL",
            key="llms_url",
            placeholder="http://127.0.0.1:8000/v1",
            help="Any OpenAI-compatible server: vLLM, llama.cpp's, Ollama, OpenAI. Hosts other than this machine and "
            "api.openai.com have to be named in MULTICSR_ENDPOINTS before the start.",
        )
        settings = _server_settings()
    if st.button("Check and add", type="primary", key="llms_add", icon=":material/add:"):
        with errors_shown():
            add_llm(workspace, name=name, path=path, url=url, hub=hub, revision=revision, settings=settings)
            st.rerun()


def _server_settings() -> dict[str, object]:
    values = settings_form(LLMEntry, SERVER_SETTINGS, {}, key="llms")
    return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def _weights(llm: RegisteredLLM) -> str:
    if llm.entry.kind == "remote":
        return plain(llm.entry.model)
    digest = llm.entry.digest.removeprefix("sha256:")
    return digest[:12] if digest else ("shipped" if llm.entry.name == EMBEDDED else "")
