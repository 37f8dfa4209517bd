"""Session keys and URL parameters that pages share: their names, and the only code that reads or sets them."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
LENS: Final = "lens"
STEP: Final = "step"
OMEGA: Final = "omega"
GRID: Final = "grid"
ASKED: Final = "asked"
OUTCOME: Final = "outcome"
SLICE: Final = "slice"
BASELINE: Final = "baseline"
COMPARED: Final = "compared"
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
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def keep(name: str, value: str) -> None:
    """Keep a value that does not belong in the URL, such as a folder on this machine."""
    st.session_state[_PREFIX + name] = value


def select(name: str, value: str) -> None:
    """Make the picker or tabs of this name show the value in the next run of the page."""
    st.session_state[f"{_PREFIX}next_{name}"] = value
    st.session_state[_PREFIX + name] = value


def pick(
    label: str,
    options: Sequence[str],
    *,
    name: str,
    names: Mapping[str, str] | None = None,
    help: str | None = None,
) -> str | None:
    """Draw a selectbox over ids whose choice is kept in the URL; an unknown id falls back to the first option."""
    ids = list(options)
    if not ids:
        return None
    key = f"pick_{name}"
    coming = st.session_state.pop(f"{_PREFIX}next_{name}", None)
    if coming in ids:
        st.session_state[key] = coming
    elif st.session_state.get(key) not in ids:
        st.session_state.pop(key, None)
    wanted = recall(name)
    # A selectbox answers with the chosen words: of two equal names it would always mean the first.
    titles = dict(zip(ids, numbered([(names or {}).get(option, option) for option in ids]), strict=True))
    chosen = st.selectbox(
        label,
        ids,
        ids.index(wanted) if wanted in ids else 0,
        format_func=titles.__getitem__,
        key=key,
        help=help,
    )
    remember(name, chosen)
    return chosen


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
    wanted = recall(name)
    coming = st.session_state.pop(f"{_PREFIX}next_{name}", None)
    if coming in options:
        st.session_state[key] = coming
    start = wanted if wanted in options else first or options[0]
    chosen = st.segmented_control(name, options, default=start, key=key, required=True, label_visibility="collapsed")
    remember(name, chosen)
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
