"""Session keys and URL parameters that pages share: their names, and the only code that reads or sets them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench.login import ROLE_HEADER

CORPUS: Final = "corpus"
ATTEMPT: Final = "attempt"
JUDGE: Final = "judge"
SNAPSHOT: Final = "snapshot"
RUN: Final = "run"
ENCODER: Final = "encoder"
CANDIDATE: Final = "candidate"
TASK: Final = "task"
MAP: Final = "map"
MAPPED: Final = "sentences"
TRIPLET: Final = "triplet"
VIEW: Final = "view"
ERRORS_VIEW: Final = "errors"
EVALUATE_VIEW: Final = "evaluation"
TRAIN_VIEW: Final = "training"
STUDY: Final = "study"
GENERATE_VIEW: Final = "generation"
SCRATCH: Final = "scratch"
PROMPT_SET: Final = "prompts"
CONTRAST: Final = "contrast"
BLIND: Final = "compare"
LENS: Final = "lens"
STEP: Final = "step"
OMEGA: Final = "omega"
GRID: Final = "grid"
ASKED: Final = "asked"
OUTCOME: Final = "outcome"
RULE: Final = "rule"
FILTER: Final = "filter"
SLICE: Final = "slice"
BASELINE: Final = "baseline"
COMPARED: Final = "compared"
COMPARED_RUNS: Final = "runs"
CAPABILITY: Final = "capability"
TRIPLETS: Final = "triplets"
AMONG: Final = "among"

ANNOTATOR: Final = "annotator"
STS_FOLDER: Final = "sts_folder"
GOLD_FOLDER: Final = "gold_folder"
RETRIEVAL_FOLDER: Final = "retrieval_folder"
TRANSFER_FOLDER: Final = "transfer_folder"

_LONGEST_NAME: Final = 40
"""Characters of an annotator's name; a longer one in a URL is cut as the field would cut it."""
_PREFIX: Final = "shared_"
_NEXT: Final = f"{_PREFIX}next_"
_ADDRESS: Final = f"{_PREFIX}address"
_CHOSEN: Final = f"{_PREFIX}chosen"


@dataclass(frozen=True, slots=True)
class _Address:
    """The address of a page as this session left it."""

    page: str
    query: dict[str, str]
    before: dict[str, str]
    """The query before the last change that a page made."""


def follow_address(page: str) -> None:
    """Make the pickers and views show what the address says, where it is not what this page left there.

    That is so after Back and behind a link. Otherwise the widgets would keep their choice and put it into the address
    again, and Back would lead nowhere.
    """
    now, left = st.query_params.to_dict(), st.session_state.get(_ADDRESS)
    known = left.query if isinstance(left, _Address) and left.page == page else {}
    if isinstance(left, _Address) and left.page == page and now == left.before != left.query and not _is_back():
        return  # a click that overtakes the change of the address comes with the old one
    for name in sorted(known.keys() | now.keys()):
        if known.get(name) != now.get(name):
            st.session_state[_PREFIX + name] = now.get(name)
            st.session_state[_NEXT + name] = now.get(name, "")
            st.session_state[_CHOSEN] = {**st.session_state.get(_CHOSEN, {}), name: now.get(name)}
    st.session_state[_ADDRESS] = _Address(page, now, now)


def _is_back() -> bool:
    """Whether Back or Forward leads here."""
    ctx = get_script_run_ctx(suppress_warning=True)
    return ctx is not None and ctx.is_history_navigation


def acknowledge_address() -> None:
    """Note that the page has taken in the last change of its address: an earlier one is from now on what is meant.

    For parts that redraw themselves, whose messages bring the address that the browser shows.
    """
    left = st.session_state.get(_ADDRESS)
    if isinstance(left, _Address) and st.query_params.to_dict() == left.query:
        st.session_state[_ADDRESS] = _Address(left.page, left.query, left.query)


def role() -> str:
    """Return the role of whoever opened this session, "owner" or "annotator"; outside of pages the owner's."""
    if not runtime.exists() or get_script_run_ctx(suppress_warning=True) is None:
        return "owner"
    return st.context.headers.get(ROLE_HEADER, "annotator")


def recall(name: str) -> str | None:
    """Return the value in the URL, else the last choice of this session on any page."""
    return st.query_params.get(name) or st.session_state.get(_PREFIX + name)


def remember(name: str, value: str | None) -> None:
    """Keep a choice for this session and put it into the URL: a copied link opens the same view."""
    st.session_state[_PREFIX + name] = value
    st.session_state.pop(_NEXT + name, None)
    before = st.query_params.to_dict()
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value
    st.session_state[_CHOSEN] = {**st.session_state.get(_CHOSEN, {}), name: value}
    left, now = st.session_state.get(_ADDRESS), st.query_params.to_dict()
    if isinstance(left, _Address) and now != before:
        st.session_state[_ADDRESS] = _Address(left.page, now, before)


def chosen(names: Sequence[str]) -> dict[str, str]:
    """Return what was chosen under these names, for the address of a link."""
    made = st.session_state.get(_CHOSEN, {})
    return {name: made[name] for name in names if made.get(name)}


def coming(name: str) -> str | None:
    """Return, once, what Back, a link or `select` has set; "" where it was taken out, None where nothing was set."""
    return st.session_state.pop(_NEXT + name, None)


def keep(name: str, value: str) -> None:
    """Keep a value that does not belong in the URL, such as a folder on this machine."""
    st.session_state[_PREFIX + name] = value


def select(name: str, value: str) -> None:
    """Make the picker or tabs of this name show the value in the next run of the page."""
    st.session_state[_NEXT + name] = value
    st.session_state[_PREFIX + name] = value


def pick(
    label: str,
    options: Sequence[str],
    *,
    name: str,
    names: Mapping[str, str] | None = None,
    help: str | None = None,
    first: str = "",
) -> str | None:
    """Draw a selectbox over ids; a choice that somebody makes is kept in the URL.

    An id of the URL that is not among them falls back to the one to begin with, with a note.
    first: the id to begin with when neither URL nor session names one; by default the first.
    """
    ids = list(options)
    if not ids:
        return None
    key = f"pick_{name}"
    is_unknown = key not in st.session_state and st.query_params.get(name, ids[0]) not in ids
    shown, is_set = _start(name, key, ids, first if first in ids else ids[0])
    # A selectbox answers with the chosen words: of two equal names it would always mean the first.
    titles = dict(zip(ids, numbered([(names or {}).get(option, option) for option in ids]), strict=True))
    chosen = st.selectbox(label, ids, ids.index(shown), format_func=titles.__getitem__, key=key, help=help)
    if is_unknown:
        st.caption("The address names one that is not in this workspace; this one is shown instead.")
    _take(name, chosen, is_new=is_set or chosen != shown)
    return chosen


def _start(name: str, key: str, options: Sequence[str], first: str) -> tuple[str, bool]:
    """Return the option that a picker begins with, and whether a page has just set it."""
    found = coming(name)
    if found in options:
        st.session_state[key] = found
    elif found == "":
        st.session_state[key] = first
    elif st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    wanted = recall(name)
    return (wanted if wanted is not None and wanted in options else first), found in options


def _take(name: str, chosen: str, *, is_new: bool) -> None:
    """Put a choice into the URL; what a page begins with stays out of it, as each change is a step of Back."""
    if is_new:
        remember(name, chosen)
    else:
        st.session_state[_PREFIX + name] = chosen


def numbered(names: Sequence[str]) -> list[str]:
    """Make names unique: the second of two equal ones gets (2) behind it, and so on."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def annotator() -> str:
    """Return the name under which this session's decisions are stored."""
    return " ".join((recall(ANNOTATOR) or "").split())[:_LONGEST_NAME] or "me"


def tabs(options: Sequence[str], *, name: str, first: str = "") -> str:
    """Draw the views of a page as a segmented control whose choice is kept in the URL; return the chosen view.

    first: the view to begin with when neither URL nor session names one.
    """
    key = f"tabs_{name}"
    start, is_set = _start(name, key, options, first or options[0])
    chosen = st.segmented_control(
        name, options, default=start, key=key, required=True, label_visibility="collapsed", wrap=True
    )
    _take(name, str(chosen), is_new=is_set or chosen != start)
    return str(chosen)


def show_tab(name: str, value: str) -> None:
    """Open this view when another page is drawn next; on the page being drawn, use `select`."""
    st.session_state[_PREFIX + name] = value
    st.session_state[f"tabs_{name}"] = value


def folder_input(label: str, *, name: str, help: str, part: str = "") -> str:
    """Draw a field for a folder on this machine; it is remembered for the session but never put into the URL.

    part: distinguishes two fields on one page that ask for the same folder.
    """
    typed = st.text_input(
        label,
        st.session_state.get(_PREFIX + name, ""),
        key=f"folder_{name}_{part}" if part else f"folder_{name}",
        help=help,
        placeholder="/path/to/folder",
    )
    keep(name, typed.strip())
    return typed.strip()


def set_folder(name: str, folder: str) -> None:
    """Fill in a folder field. Only from a callback: Streamlit does not let a drawn field be changed."""
    st.session_state[f"folder_{name}"] = folder
    keep(name, folder)
