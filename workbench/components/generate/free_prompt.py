"""The free prompt: any text, and how the LLM goes on from it."""

from typing import Any

import streamlit as st

from workbench import state
from workbench.actions.previews import start_ask
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.short_job import cancel_others, chosen_job, short_job
from workbench.components.notice import empty_state, errors_shown
from workbench.components.text import plain
from workbench.components.wording import counted
from workbench.jobs.kinds import AskSpec
from workbench.workspace import Workspace

_EXAMPLE = "Sentence: Two kids are playing chess in the park.\nThe same in other words:"


def free_prompt(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the box, the start and the answer as it grows."""
    prompt = st.text_area(
        "Prompt",
        _EXAMPLE,
        height=180,
        key="free_prompt",
        help="Sent to the LLM as it stands, without examples, template or clean-up.",
    )
    left, right = st.columns(2, vertical_alignment="bottom")
    limit = left.number_input("Longest answer (tokens)", 1, 512, 64, key="free_prompt_tokens")
    config = choice.config
    if right.button("Ask", type="primary", icon=":material/send:", width="stretch", key="free_prompt_ask"):
        with errors_shown():
            started = start_ask(workspace, prompt=prompt, config=config | {"max_new_tokens": int(limit)})
            cancel_others(workspace, AskSpec, started["job_id"])
            state.remember(state.ASKED, started["job_id"])
    st.caption(f"LLM, temperature {config['temperature']:g} and all sampling settings are those of the form.")
    job = chosen_job(workspace, state.ASKED, AskSpec)
    if job is None:
        empty_state(
            "Nothing asked yet",
            hint="See how an LLM answers before you design a prompt set for it.",
            icon=":material/forum:",
        )
        return
    spec = job.spec

    def show(answer: dict[str, Any], live: bool) -> None:
        with st.container(border=True):
            st.caption(plain(f"{spec.llm.name} goes on from: … {spec.prompt[-80:]}"))
            st.code(answer["text"] or " ", language=None, wrap_lines=True)
            st.caption(facts(answer, live=live))

    short_job(workspace, job, file="answer.json", show=show)


def facts(answer: dict[str, Any], *, live: bool) -> str:
    """How long prompt and answer are and how the answer ended."""
    ended = "writing …" if live else "the LLM ended it" if answer["ended"] else "cut at the limit"
    asked = f"Prompt {counted(answer['prompt_tokens'], 'token')} · answer" if answer["prompt_tokens"] else "Answer"
    return f"{asked} {counted(answer['tokens'], 'token')} in {answer['seconds']:.1f} s · {ended}"
