"""Cells of csv files that must not be taken for something else: formulas, and spellings of a missing value."""

import re
from typing import Final

EXPORT_COLUMNS: Final = ("sent0", "sent1", "hard_neg")
"""Header of the csv files that we write, which are SimCSE's and SynCSE's names: only in these is a mark taken off."""

MISSING: Final = frozenset(("nan", "NaN", "None", "null", "NULL", "NA", "N/A", "#N/A", "<NA>"))
"""What pandas, R, spreadsheets and databases write into a csv or tsv file for a missing value, as the whole cell."""

# A spreadsheet runs a cell that starts with one of = + - @ TAB CR as a formula. One ' in front makes it text. A cell
# that already has such a ' gets another, so that taking one away on reading always gives the text back.
_MARKED = rf"(?:[=+\-@\t\r]|(?:{'|'.join(re.escape(word) for word in sorted(MISSING))})\Z)"
_NEEDS_MARK, _HAS_MARK = re.compile(rf"'*{_MARKED}"), re.compile(rf"'+{_MARKED}")


def formula_safe(text: str) -> str:
    """Return the cell to write: with a ' in front where it would be read as a formula or as a missing value."""
    return "'" + text if _NEEDS_MARK.match(text) else text


def formula_restored(cell: str) -> str:
    """Undo `formula_safe`; restoring a cell made safe gives the text back, whatever the text."""
    return cell[1:] if _HAS_MARK.match(cell) else cell
