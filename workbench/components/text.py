"""People's and models' sentences on screen: never parsed as HTML, Markdown or a Streamlit directive."""

import html
import re
from collections.abc import Collection
from typing import Final

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
