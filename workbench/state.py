"""The only names of shared session keys and URL parameters, and the only code that touches either."""

from collections.abc import Mapping, Sequence
from typing import Final

import streamlit as st

CORPUS: Final = "corpus"
ATTEMPT: Final = "attempt"
JUDGE: Final = "judge"
SNAPSHOT: Final = "snapshot"
RUN: Final = "run"
ENCODER: Final = "encoder"
CANDIDATE: Final = "candidate"
TASK: Final = "task"
PROJECTION: Final = "map"
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
"""Characters of an annotator's name: what a URL brings is cut, as the field would."""
_PREFIX: Final = "shared_"


def recall(name: str) -> str | None:
    """What the URL says, else what this session chose last, on whichever page."""
    return st.query_params.get(name) or st.session_state.get(_PREFIX + name)


def remember(name: str, value: str | None) -> None:
    """Keep a choice for this session and put it into the URL, so that a copied link opens the same view."""
    st.session_state[_PREFIX + name] = value
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def keep(name: str, value: str) -> None:
    """Keep a value that is not for the URL, such as a folder on this machine."""
    st.session_state[_PREFIX + name] = value


def select(name: str, value: str) -> None:
    """Make the picker or tabs of this name show the value in the next run; a drawn widget stays as it is."""
    st.session_state[f"{_PREFIX}next_{name}"] = value
    st.session_state[_PREFIX + name] = value


def pick(
    label: str,
    options: Sequence[str],
    *,
    name: str,
    names: Mapping[str, str] | None = None,
    help: str | None = None,
    visible_label: bool = True,
) -> str | None:
    """Selectbox over ids that lives in the URL; an id that no longer exists falls back to the first option."""
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
    titles = _told_apart(ids, names or {})
    chosen = st.selectbox(
        label,
        ids,
        ids.index(wanted) if wanted in ids else 0,
        format_func=titles.__getitem__,
        key=key,
        help=help,
        label_visibility="visible" if visible_label else "collapsed",
    )
    remember(name, chosen)
    return chosen


def _told_apart(ids: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Number equal names: a selectbox answers with the words that were chosen, and of equal ones with one for all."""
    seen: dict[str, int] = {}
    titles = {}
    for option in ids:
        name = names.get(option, option)
        seen[name] = seen.get(name, 0) + 1
        titles[option] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return titles


def annotator() -> str:
    """Name under which this session's decisions are kept."""
    return " ".join((recall(ANNOTATOR) or "").split())[:_LONGEST_NAME] or "me"


def tabs(options: Sequence[str], *, name: str, first: str = "") -> str:
    """Views of one page as a segmented control that lives in the URL; only the chosen view is computed.

    `first` is the view to begin with where neither URL nor session names one.
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
    """Open this view the next time its page is drawn. Not for the page that is being drawn."""
    st.session_state[_PREFIX + name] = value
    st.session_state[f"tabs_{name}"] = value


def folder_input(label: str, *, name: str, help: str, part: str = "") -> str:
    """Text field for a folder of this machine, remembered for the session but never put into the URL.

    part: tells two fields of one page apart that ask for the same folder.
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
    """Put a folder into its field. For callbacks: a field that is already drawn cannot be changed in the same run."""
    st.session_state[f"folder_{name}"] = folder
    keep(name, folder)
