"""The exact text that a prompt set gives the LLM for one premise, and how many tokens it has."""

from typing import Any, Final

import streamlit as st

from pipeline.generation.prompts import PromptSet
from pipeline.records import Side
from workbench import theme
from workbench.actions.previews import count_tokens
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.short_job import result_of
from workbench.components.job_progress import is_live, while_live
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.workspace import Workspace

_PREMISES: Final = 50
Asked = list[tuple[str, str, str]]
"""Title, shared part, part of the premise."""


def prompt_text(workspace: Workspace, prompts: PromptSet, choice: GenerationChoice) -> None:
    """Draw both prompts of a side as the LLM reads them, with their tokens once they are counted."""
    st.markdown("**What the LLM reads**")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    premise = left.selectbox(
        "For the premise",
        workspace.store.premises.page(choice.corpus_id, limit=_PREMISES)["text"].tolist(),
        accept_new_options=True,
        key=f"prompt_for_{choice.corpus_id}",
    )
    chosen = right.selectbox(
        "Side", list(Side), format_func=lambda side: theme.ROLE_NAMES[side], key="prompt_text_side"
    )
    side = Side(str(chosen))
    pair = (("Own prompt, l", prompts.own(side)), ("Opposite prompt, l̂", prompts.opposite(side)))
    asked: Asked = [(title, prompt.prefix(), prompt.tail(str(premise or ""))) for title, prompt in pair]
    with errors_shown():
        texts = [part for _, shared, own in asked for part in (shared, own)]
        job_id = count_tokens(workspace, llm=choice.config["llm"], texts=texts)["job_id"]
        _texts(workspace, asked, job_id, reply=choice.config["max_new_tokens"])


def _texts(workspace: Workspace, asked: Asked, job_id: str, *, reply: int) -> None:
    def draw() -> bool:
        job = workspace.jobs.get(job_id)
        found = result_of(workspace, job, "tokens.json")
        for place, (column, (title, shared, own)) in enumerate(zip(st.columns(2), asked, strict=True)):
            with column:
                st.markdown(f"{title} · {said(found, place, reply=reply)}")
                st.code(shared + own, language=None, wrap_lines=True)
        if job.state == "failed":
            st.error(plain(job.message), icon=":material/error:")
        return is_live(job)

    while_live(draw, live=is_live(workspace.jobs.get(job_id)))


def said(found: dict[str, Any] | None, place: int, *, reply: int) -> str:
    """The token count of one prompt in words, and whether prompt and reply fit the LLM's window."""
    if found is None:
        return ":gray[counting tokens …]"
    shared, own = found["counts"][2 * place : 2 * place + 2]
    words = f"**{shared + own} tokens**, {shared} of them shared by all premises"
    needed = shared + own + reply
    if found["window"] and needed > found["window"]:
        return f"{words}; :red[with a reply of {reply} they do not fit the window of {found['window']:,}]"
    return words
