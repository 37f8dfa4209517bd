"""People's and models' sentences on screen: never parsed as HTML, Markdown or a Streamlit directive."""

import html
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from pipeline.durable import os_error_sentence
from pipeline.records import InputError, StorageError
from workbench.paths import PROJECT

_MARKS: Final = re.compile(r"([!-/:-@\[-`{-~])")
_REPLACED: Final = re.compile(r"(?<=:)(?=[\w/])|(?<=[-<>~])(?=[->=])|(?<=www)(?=\.)|(?<=@)(?=\w)", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+(?:['’]\w+)*")
_JOINER: Final = "\u2060"


def plain(text: str) -> str:
    """Escape a sentence for a Markdown element.

    Every ASCII mark gets a backslash. Streamlit also replaces :icons:, arrows, web and mail addresses in the finished
    text, where the backslash is gone, so an invisible joiner splits those.
    """
    one_line = " ".join(text.split())
    split = _REPLACED.sub(_JOINER, one_line)
    return _MARKS.sub(r"\\\1", split)


def for_chart(text: str, width: int = 60) -> str:
    """Escape a sentence for Plotly, which reads some HTML, and break it into lines of about `width` characters."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "<br>".join(html.escape(part[: 4 * width]) for part in [*lines, line][:6])


def words(text: str) -> set[str]:
    """Lower-case words of a sentence, for comparing two."""
    return {word.lower() for word in _WORD.findall(text)}


def changes_marked(text: str, *, shared: Collection[str], colour: str | None = None) -> str:
    """Markdown of a sentence: words missing from `shared` bold (in a colour if named), the others grey."""
    parts: list[str] = []
    for piece in text.split():
        known = words(piece) <= set(shared)
        bold = f"**{plain(piece)}**"
        parts.append(f":gray[{plain(piece)}]" if known else f":{colour}[{bold}]" if colour else bold)
    return " ".join(parts)


def shorten(text: str, length: int = 80) -> str:
    """Cut a sentence for a label, at a word, with an ellipsis."""
    if len(text) <= length:
        return text
    return text[:length].rsplit(" ", 1)[0] + " …"


HOME: Final = str(PROJECT / "pages" / "home.py")
GENERATE: Final = str(PROJECT / "pages" / "generate.py")
CURATE: Final = str(PROJECT / "pages" / "curate.py")
TRAIN: Final = str(PROJECT / "pages" / "train.py")
EVALUATE: Final = str(PROJECT / "pages" / "evaluate.py")
EMBEDDING_MAP: Final = str(PROJECT / "pages" / "embedding_map.py")
ERRORS: Final = str(PROJECT / "pages" / "error_analysis.py")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an expected error as its one sentence; anything else is a defect and stays an exception."""
    try:
        yield
    except (InputError, StorageError) as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:
        st.error(plain(os_error_sentence(error)), icon=":material/error:")


def empty_state(what: str, *, hint: str, icon: str, page: str | None = None, action: str = "") -> None:
    """Say what is missing and lead to the page that provides it."""
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader(what, icon=icon, anchor=False, text_alignment="center")
        st.caption(hint, text_alignment="center")
        if page and st.button(action, type="primary", icon=":material/arrow_forward:", key="empty_state"):
            st.switch_page(page)


def no_chart(title: str, hint: str, *, height: int = 220) -> None:
    """Stand in for a chart that has nothing to draw yet, at about its size so that the page does not jump."""
    with st.container(border=True, height=height, vertical_alignment="center", horizontal_alignment="center"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(hint, text_alignment="center")


def count(number: float) -> str:
    """12345 -> 12,345."""
    return f"{int(number):,}"


def counted(number: float, noun: str, plural: str = "") -> str:
    """(1, 'triplet') -> 1 triplet; (2, 'triplet') -> 2 triplets."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def percent(part: float, whole: float) -> str:
    """Share as whole percent; a dash when there is nothing to share."""
    return f"{part / whole:.0%}" if whole else "–"


def duration(seconds: float) -> str:
    """Length of time with two units at most: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def ago(moment: datetime | str | float | None, *, now: datetime | None = None) -> str:
    """Time since a moment; naive times count as UTC, which is how the store keeps them."""
    if moment is None:
        return ""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < 86_400:
        return f"{duration(seconds - seconds % 60 if seconds >= 60 else seconds)} ago"
    days = int(seconds // 86_400)
    return f"{days} day{'s' if days > 1 else ''} ago"


def clock(moment: datetime | str | None) -> str:
    """Day and time on this machine: 25 Nov 09:08:21; naive times count as UTC, as in `ago`."""
    if moment is None or moment != moment:  # NaT of a table is no time either
        return ""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # By way of seconds: a table's own kind of time does not turn into the machine's zone.
    return f"{datetime.fromtimestamp(moment.timestamp(), UTC).astimezone():%-d %b %H:%M:%S}"


def spearman(value: float | None) -> str:
    """Spearman as the field writes it: times 100, two decimals; a dash when missing."""
    return "–" if value is None or value != value else f"{value * 100:.2f}"
