"""The prompt editor: both sides of a set, what each is contrasted with, the exact text, and saving a version."""

from dataclasses import fields, replace
from typing import Final

import pandas as pd
import streamlit as st

from pipeline.errors import InputError
from pipeline.generation.prompt_sets import PROMPT_SETS
from pipeline.generation.prompts import CleanUp, PromptSet, SidePrompt
from pipeline.records import Side
from workbench import state, theme
from workbench.actions.prompts import save_prompt_set
from workbench.components.generate.generation_form import GenerationChoice
from workbench.components.generate.prompt_text import prompt_text
from workbench.components.notice import errors_shown
from workbench.components.text import plain
from workbench.components.triplet_rows import WRAPPED_ROW
from workbench.workspace import Workspace

_OTHER, _REPEAT, _OWN = "The other side's prompt", "Repeating the sentence", "A prompt of its own"
_AGAINST: Final = (_OTHER, _REPEAT, _OWN)
_CLEAN_UP: Final = {
    "bullets": "bullets and list numbers",
    "labels": "the prompt's own labels",
    "preambles": "announcements before a colon",
    "quotes": "quotes around the whole",
}
_BADGES: Final[dict[Side, theme.BadgeColour]] = {Side.POSITIVE: "green", Side.HARD_NEGATIVE: "orange"}


def prompt_editor(workspace: Workspace, choice: GenerationChoice) -> None:
    """Draw the chosen set as fields; a save makes another version and chooses it."""
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
        help="Small letters, digits, spaces, - and _. Under a name you saved before, it becomes the next version.",
    )
    about = right.text_input("What it is for", kept.about, key=f"prompt_about_{kept.ref}")
    return name.strip(), about.strip()


def _save(workspace: Workspace, draft: PromptSet, kept: PromptSet) -> None:
    changed = replace(draft, prompt_set_id=kept.prompt_set_id) != kept
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Save as a new version", type="primary", icon=":material/save:", key="prompt_save", disabled=not changed
        )
        st.caption(
            "Preview, lens and runs use the saved version chosen in the form."
            if changed
            else f"This is {plain(kept.ref)} as it is kept; change something to save another version."
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
            _AGAINST,
            index=_place(kept, side),
            key=f"prompt_against_{kept.ref}_{side}",
            help="The opposite prompt, l̂ in z = l - ω l̂. The other side's prompt costs nothing extra.",
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
    """What copies are written from: the prompt of the shipped set against copying."""
    found = PROMPT_SETS["against copying"].against_positive
    assert found is not None
    return found


def _fields(kept: SidePrompt, *, key: str) -> SidePrompt:
    """The fields of one prompt; InputError when they make none."""
    left, right = st.columns([2, 3], gap="medium")
    instruction = left.text_area("Instruction", kept.instruction, key=f"prompt_instruction_{key}", height=110)
    premise_label = left.text_input("Label of the premise", kept.premise_label, key=f"prompt_premise_{key}")
    reply_label = left.text_input("Label of the reply", kept.reply_label, key=f"prompt_reply_{key}")
    right.markdown("Examples", help="A premise and its reply per row; the empty row at the end takes another one.")
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
            "Further stop strings, separated by blanks",
            " ".join(kept.stop),
            key=f"prompt_stop_{key}",
            help="A reply always ends at its first line break; it is also cut before any of these.",
        )
        off = st.multiselect(
            "Taken off around the sentence",
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
    )


def _pairs(table: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Rows of the editor; one that is still being typed has an empty cell and waits."""
    cells = table.fillna("").astype(str)
    pairs = zip(cells["premise"].str.strip(), cells["reply"].str.strip(), strict=True)
    return tuple((premise, reply) for premise, reply in pairs if premise and reply)
