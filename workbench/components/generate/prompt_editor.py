"""The prompt editor, with the text exactly as the LLM reads it."""

from dataclasses import fields, replace
from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.generation.llms.registry import FormChoice
from pipeline.generation.prompt_sets import PROMPT_SETS
from pipeline.generation.prompts import CleanUp, PromptSet, SidePrompt
from pipeline.records import InputError, Side
from workbench import state, theme
from workbench.actions.generation import count_tokens, save_prompt_set
from workbench.components.elements import errors_shown, plain, read_json
from workbench.components.generate.form import GenerationChoice
from workbench.components.job_progress import follow
from workbench.components.triplet_card import WRAPPED_ROW
from workbench.jobs.folder import JobView
from workbench.workspace import Workspace

Prompts = list[tuple[str, str, str]]
"""Title, the part shared by all premises, the part with the premise."""
_PREMISES: Final = 50
_OTHER, _REPEAT, _OWN = "The other side's prompt", "Repeating the sentence", "A prompt of its own"
_CLEAN_UP: Final = {
    "bullets": "bullets and list numbers",
    "labels": "the prompt's own labels",
    "preambles": "announcements before a colon",
    "quotes": "quotes around the whole",
}
_FORMS: Final[dict[FormChoice, str]] = {
    "auto": "as this LLM is asked",
    "completion": "one text",
    "chat": "turns of a chat",
}
_BORDER: Final = "│"
_BADGES: Final[dict[Side, theme.BadgeColour]] = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}


def prompt_editor(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the chosen set as fields; saving makes a new version and selects it."""
    kept = choice.prompts
    name, about = _name(kept)
    try:
        sides = {side: _side(side, kept) for side in Side}
        draft = replace(
            kept,
            prompt_set_id=name,
            about=about,
            positive=sides[Side.POSITIVE][0],
            hard_negative=sides[Side.HARD_NEGATIVE][0],
            against_positive=sides[Side.POSITIVE][1],
            against_hard_negative=sides[Side.HARD_NEGATIVE][1],
        )
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    _save(workspace, draft, kept)
    prompt_text(workspace, draft, choice)


def _name(kept: PromptSet) -> tuple[str, str]:
    left, right = st.columns([1, 2])
    is_shipped = kept.prompt_set_id in PROMPT_SETS
    name = left.text_input(
        "Name",
        f"{kept.prompt_set_id} edited" if is_shipped else kept.prompt_set_id,
        key=f"prompt_name_{kept.ref}",
        help="Lower-case letters, digits, spaces, - and _. A name you used before gets its next version.",
    )
    about = right.text_input("Purpose", kept.about, key=f"prompt_about_{kept.ref}")
    return name.strip(), about.strip()


def _save(workspace: Workspace, draft: PromptSet, kept: PromptSet) -> None:
    changed = replace(draft, prompt_set_id=kept.prompt_set_id) != kept
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Save as a new version", type="primary", icon=":material/save:", key="prompt_save", disabled=not changed
        )
        st.caption(
            "Preview, lens and runs use the saved version that is chosen in the field Prompts."
            if changed
            else f"This is {plain(kept.ref)} as saved; edit it to save a new version."
        )
    if pressed:
        with errors_shown():
            saved = save_prompt_set(workspace, prompts=draft.to_json())
            state.select(state.PROMPT_SET, saved["prompt_set"])
            st.rerun()


def _side(side: Side, kept: PromptSet) -> tuple[SidePrompt, SidePrompt | None]:
    with st.container(border=True):
        st.badge(theme.ROLE_NAMES[side], color=_BADGES[side])
        own = _fields(kept.own(side), key=f"{kept.ref}_{side}")
        chosen = st.selectbox(
            "Contrasted with",
            [_OTHER, _REPEAT, _OWN],
            index=_place(kept, side),
            key=f"prompt_against_{kept.ref}_{side}",
            help="The opposite prompt, l̂ in z = l − ω l̂. The other side's prompt adds no computation.",
        )
        if chosen == _OTHER:
            return own, None
        if chosen == _REPEAT:
            return own, _repeating()
        return own, _fields(kept.against(side) or _repeating(), key=f"{kept.ref}_against_{side}")


def _place(kept: PromptSet, side: Side) -> int:
    against = kept.against(side)
    return 0 if against is None else 1 if against == _repeating() else 2


def _repeating() -> SidePrompt:
    """Return the prompt that asks for the sentence again, from the shipped set against copying."""
    found = PROMPT_SETS["against copying"].against_positive
    assert found is not None
    return found


def _fields(kept: SidePrompt, *, key: str) -> SidePrompt:
    """Draw the fields of one prompt; raises InputError if they do not make a valid one."""
    left, right = st.columns([2, 3], gap="medium")
    instruction = left.text_area("Instruction", kept.instruction, key=f"prompt_instruction_{key}", height=110)
    premise_label = left.text_input("Label of the premise", kept.premise_label, key=f"prompt_premise_{key}")
    reply_label = left.text_input("Label of the reply", kept.reply_label, key=f"prompt_reply_{key}")
    right.markdown("Examples", help="A premise and its reply per row; add one in the empty row.")
    examples = right.data_editor(
        pd.DataFrame(list(kept.examples), columns=["premise", "reply"], dtype="str"),
        num_rows="dynamic",
        hide_index=True,
        row_height=WRAPPED_ROW,
        key=f"prompt_examples_{key}",
        column_config={
            "premise": st.column_config.TextColumn("Premise", required=True, width=150),
            "reply": st.column_config.TextColumn("Reply", required=True, width=150),
        },
    )
    with st.expander("Stop strings and clean-up"):
        stop = st.text_input(
            "Additional stop strings, separated by spaces",
            " ".join(kept.stop),
            key=f"prompt_stop_{key}",
            help="A reply ends at its first line break, and before any of these.",
        )
        prefill = st.text_input(
            "Beginning of the reply in a chat",
            kept.prefill,
            key=f"prompt_prefill_{key}",
            help="Chat form: the assistant's turn starts with these words, which belong to the reply.",
        )
        off = st.multiselect(
            "Removed around the sentence",
            list(_CLEAN_UP),
            [field.name for field in fields(CleanUp) if getattr(kept.clean_up, field.name)],
            format_func=_CLEAN_UP.__getitem__,
            key=f"prompt_clean_{key}",
        )
    return SidePrompt(
        instruction.strip(),
        premise_label.strip(),
        reply_label.strip(),
        _pairs(examples),
        tuple(stop.split()),
        CleanUp(**{name: name in off for name in _CLEAN_UP}),
        prefill.strip(),
    )


def _pairs(table: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Return the complete rows of the editor; one being typed still has an empty cell."""
    cells = table.fillna("").astype(str)
    pairs = zip(cells["premise"].str.strip(), cells["reply"].str.strip(), strict=True)
    return tuple((premise, reply) for premise, reply in pairs if premise and reply)


def prompt_text(workspace: Workspace, prompts: PromptSet, choice: GenerationChoice) -> None:
    """Draw both prompts of a side as the LLM reads them, with their numbers of tokens once counted."""
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
    with st.container(horizontal=True, vertical_alignment="center"):
        form: FormChoice | None = st.segmented_control(
            "Form",
            list(_FORMS),
            default="auto",
            required=True,
            format_func=_FORMS.__getitem__,
            key="prompt_form",
            label_visibility="collapsed",
            wrap=True,
        )
        by_token = st.toggle("Token by token", key="prompt_tokens", help="A line stands between two tokens.")
    pair = (("Own prompt, l", prompts.own(side)), ("Opposite prompt, l̂", prompts.opposite(side)))
    text = str(premise or "")
    asked: Prompts = [(title, prompt.prefix(), prompt.tail(text)) for title, prompt in pair]
    with errors_shown():
        counting = {"llm": choice.config["llm"], "prompts": prompts.to_json(), "premise": text, "side": side}
        job_id = count_tokens(workspace, form=form or "auto", **counting)["job_id"]
        _texts(workspace, asked, job_id, reply=choice.config["max_new_tokens"], by_token=by_token)


def _texts(workspace: Workspace, asked: Prompts, job_id: str, *, reply: int, by_token: bool) -> None:
    """Draw the prompts: as plain text until the job knows the form in which the LLM reads them."""

    def draw(job: JobView) -> None:
        found = read_json(workspace.jobs.output(job_id, "tokens.json"))
        for place, (column, (title, shared, own)) in enumerate(zip(st.columns(2), asked, strict=True)):
            with column:
                st.markdown(f"{title} · {token_words(found, place, reply=reply)}")
                read = found["prompts"][place] if found else {"shared": shared, "own": own}
                pieces = read.get("pieces") if by_token else None
                shown = _BORDER.join(pieces) if pieces else read["shared"] + read["own"]
                st.code(shown, language=None, wrap_lines=True)
        if job.state == "failed":
            st.error(plain(job.message), icon=":material/error:")

    follow(lambda: workspace.jobs.get(job_id), draw)


def token_words(found: dict[str, Any] | None, place: int, *, reply: int) -> str:
    """Return the token count of a prompt in words, with a warning if prompt and reply exceed the context window."""
    if found is None:
        return ":gray[counting tokens …]"
    if found["prompts"][place]["counts"] is None:
        return ":gray[a server counts its own tokens]"
    shared, own = found["prompts"][place]["counts"]
    words = f"**{shared + own} tokens**, {shared} of them shared by all premises"
    needed = shared + own + reply
    if found["window"] and needed > found["window"]:
        return f"{words}; :red[with a reply of {reply} they do not fit the context window of {found['window']:,}]"
    return words
