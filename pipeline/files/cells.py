"""Cells of files: numbers read by one rule, and texts that no spreadsheet runs and no reader of Markdown parses."""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Final

NOT_A_NUMBER = "is not a number"
AMBIGUOUS = "may be thousands or decimals: write it with a decimal point and without a thousands separator"

_FORM = r"[+-]?(?:[0-9]+|[1-9][0-9]{0,2}(?:%s[0-9]{3})+)?(?:%s[0-9]*)?(?:[eE][+-]?[0-9]+)?"
_POINT, _COMMA = re.compile(_FORM % (",", r"\.")), re.compile(_FORM % (r"\.", ","))


def read_numbers(cells: Sequence[str]) -> list[float | str]:
    """Return the number in each cell of a column, or the reason why it is not a number.

    The decimal mark may be a point or a comma, and the other one may group thousands: 1,000.5 equals 1.000,5.
    A cell that can be read both ways (1,000; 1.000) is read like the rest of its column. Where the rest does
    not decide, 1.000 is 1 and 1,000 is refused.
    """
    both = [(_value(cell, _POINT, ","), _value(cell, _COMMA, ".")) for cell in cells]
    points = any(point is not None and comma is None for point, comma in both)
    commas = any(comma is not None and point is None for point, comma in both)
    return [_chosen(point, comma, points=points, commas=commas) for point, comma in both]


def _chosen(point: float | None, comma: float | None, *, points: bool, commas: bool) -> float | str:
    if point is None or comma is None or point == comma:
        value = comma if point is None else point
        return NOT_A_NUMBER if value is None else value
    if points != commas:
        return point if points else comma
    return point if point < comma else AMBIGUOUS


def _value(cell: str, form: re.Pattern[str], grouping: str) -> float | None:
    text = cell.strip().replace("\N{MINUS SIGN}", "-")
    if not form.fullmatch(text) or not any(sign.isdigit() for sign in text):
        return None
    value = float(text.replace(grouping, "").replace(",", "."))
    return value if isfinite(value) else None


EXPORT_COLUMNS: Final = ("sent0", "sent1", "hard_neg")
"""Header of the csv files written here, with SimCSE's and SynCSE's names; only these files have marks to remove."""

MISSING: Final = frozenset(("nan", "NaN", "None", "null", "NULL", "NA", "N/A", "#N/A", "<NA>"))
"""What pandas, R, spreadsheets and databases write into a csv or tsv file for a missing value, as the whole cell."""

# A spreadsheet runs a cell that starts with one of = + - @ TAB CR as a formula; a leading ' makes it text. A cell
# that already starts with such a ' gets another, and reading removes exactly one: every text survives the round trip.
_MARKED = rf"(?:[=+\-@\t\r]|(?:{'|'.join(re.escape(word) for word in sorted(MISSING))})\Z)"
_NEEDS_MARK, _HAS_MARK = re.compile(rf"'*{_MARKED}"), re.compile(rf"'+{_MARKED}")


def formula_safe(text: str) -> str:
    """Return the cell to write, prefixed with ' where it would be read as a formula or a missing value."""
    return "'" + text if _NEEDS_MARK.match(text) else text


def formula_restored(cell: str) -> str:
    """Undo `formula_safe`, for any text."""
    return cell[1:] if _HAS_MARK.match(cell) else cell


def escape_markdown(text: str) -> str:
    """Escape a text for a line or a table cell of a Markdown file: no HTML, no link, no formula, one line."""
    one_line = " ".join(text.split())
    return "".join(f"\\{mark}" if mark in "\\|*_`<>[]~$&#" else mark for mark in one_line)
