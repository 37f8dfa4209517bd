"""What all pages share: escaped sentences, numbers and times in words, errors and empty states, tables read once."""

import html
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from pipeline.durable import os_error_sentence
from pipeline.records import InputError, StorageError
from workbench.paths import PROJECT

HOME: Final = str(PROJECT / "pages" / "home.py")
GENERATE: Final = str(PROJECT / "pages" / "generate.py")
CURATE: Final = str(PROJECT / "pages" / "curate.py")
TRAIN: Final = str(PROJECT / "pages" / "train.py")
EVALUATE: Final = str(PROJECT / "pages" / "evaluate.py")
EMBEDDING_MAP: Final = str(PROJECT / "pages" / "embedding_map.py")
ERRORS: Final = str(PROJECT / "pages" / "error_analysis.py")

_MARKS: Final = re.compile(r"([!-/:-@\[-`{-~])")
_REPLACED: Final = re.compile(r"(?<=:)(?=[\w/])|(?<=[-<>~])(?=[->=])|(?<=www)(?=\.)|(?<=@)(?=\w)", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+(?:['’]\w+)*")
_LINE_PX: Final = 600
_JOINER: Final = "\u2060"


def plain(text: str) -> str:
    """Escape a sentence for a Markdown element.

    Every ASCII mark gets a backslash. Streamlit also replaces :icons:, arrows, web and mail addresses in the rendered
    text, where the backslashes are gone: an invisible word joiner breaks those up.
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
    """Return the lower-case words of a sentence."""
    return {word.lower() for word in _WORD.findall(text)}


def changes_marked(text: str, *, shared: Collection[str], colour: str | None = None) -> str:
    """Return a sentence as Markdown: words missing from `shared` in bold, in `colour` if given; the others grey."""
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


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an expected error as its sentence; anything else is a defect and stays an exception."""
    try:
        yield
    except (InputError, StorageError) as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:
        st.error(plain(os_error_sentence(error)), icon=":material/error:")


def press(act: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call an action from a button's callback and show an expected error."""
    with errors_shown():
        act(*arguments, **named)


def empty_state(what: str, *, hint: str, icon: str, page: str | None = None, action: str = "") -> None:
    """Say what is missing and offer the page that provides it."""
    with st.container(border=True, horizontal_alignment="center"):
        with st.container(width=_LINE_PX, gap="xsmall"):  # app.css ends lines of text before the width of the page
            st.subheader(what, icon=icon, anchor=False, text_alignment="center")
            st.caption(hint, text_alignment="center")
        if page and st.button(action, type="primary", icon=":material/arrow_forward:", key="empty_state"):
            st.switch_page(page)


def no_chart(title: str, hint: str, *, height: int = 220) -> None:
    """Fill the place of a chart that has no data yet; about as high as the chart, to keep the page from jumping."""
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
    """Return part of whole as a whole percentage; a dash when whole is 0."""
    return f"{part / whole:.0%}" if whole else "–"


def duration(seconds: float) -> str:
    """Return a length of time in at most two units: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def ago(moment: datetime | str | float | None, *, now: datetime | None = None) -> str:
    """Return the time since a moment; naive times are UTC, as in the store."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - _utc(moment)).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < 86_400:
        return f"{duration(seconds - seconds % 60 if seconds >= 60 else seconds)} ago"
    return f"{counted(seconds // 86_400, 'day')} ago"


def clock(moment: datetime | str | None) -> str:
    """Return day and time in this machine's time zone, 25 Nov 09:08:21; empty for None and for pandas' NaT."""
    if moment is None or moment != moment:
        return ""
    # Through seconds: a pandas Timestamp does not convert to the local time zone.
    return f"{datetime.fromtimestamp(_utc(moment).timestamp(), UTC).astimezone():%-d %b %H:%M:%S}"


def moment(seconds: float) -> str:
    """Return seconds since 1970 as the ISO time of UTC that jobs note."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _utc(moment: datetime | str | float) -> datetime:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def spearman(value: float | None) -> str:
    """Return Spearman times 100 with two decimals; a dash when it is missing."""
    return "–" if value is None or value != value else f"{value * 100:.2f}"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; None while it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def read_table(path: Path) -> pd.DataFrame:
    """Return a Parquet file, read once for all sessions until the file changes."""
    return _table(str(path), path.stat().st_mtime)


@st.cache_data(max_entries=32, show_spinner=False)
def _table(path: str, modified: float) -> pd.DataFrame:
    del modified  # part of the cache key
    return pd.read_parquet(path)


def text_columns(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration of text columns of medium width: column -> its label."""
    return {name: st.column_config.TextColumn(label, width="medium") for name, label in labels.items()}
