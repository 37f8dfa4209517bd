"""Rows of xlsx files through openpyxl: the first sheet with a header, as stored texts; no formula is computed."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from pipeline.files.source import Source
from pipeline.records import InputError

_MAX_UNPACKED_BYTES = 2_000_000_000
"""Size above which a file is refused: a small one can unpack to any size."""
_LONGEST_CELL = 32_767
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, ParseError, LookupError, ValueError, OSError, EOFError),
    *(
        TypeError,
        AttributeError,
        NotImplementedError,
        RuntimeError,
    ),  # openpyxl on a sheet of another form; a password
)
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def xlsx_columns(source: Source) -> list[str]:
    """Names of the columns: the texts of the first row. Raises InputError when the file cannot be read."""
    header = next(_rows(source), ())
    return [str(name) for name in header if name is not None]


def xlsx_records(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row of the sheet, cells by column) of every row that is not empty; a formula is its stored result."""
    rows = _rows(source)
    header = next(rows, ())
    places = [(place, str(name)) for place, name in enumerate(header) if name is not None]
    for number, row in enumerate(rows, start=2):
        if any(cell is not None for cell in row):
            yield number, {name: row[place] if place < len(row) else None for place, name in places}


def _rows(source: Source) -> Iterator[Sequence[Any]]:
    import openpyxl

    try:
        with source.open() as stream:
            content = io.BytesIO(stream.read())
        with zipfile.ZipFile(content) as parts:
            if sum(part.file_size for part in parts.infolist()) > _MAX_UNPACKED_BYTES:
                raise InputError(f"{source.name} unpacks to more than 2 GB; save its table as csv and import that.")
        book = openpyxl.load_workbook(content, read_only=True, data_only=True)
        sheet = next(filter(_is_filled, book.worksheets), book.worksheets[0])
        for row in sheet.iter_rows(values_only=True):
            yield [_unescaped(cell) if isinstance(cell, str) else cell for cell in row]
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(
            f"{source.name} cannot be read as xlsx; save its table as csv (UTF-8) and import that."
        ) from error


def _is_filled(sheet: Any) -> bool:
    return any(cell is not None for row in sheet.iter_rows(values_only=True, max_row=1) for cell in row)


def write_xlsx(stream: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a sheet of texts and return the number of rows; nothing in it is a formula.

    Raises InputError for a text that a cell cannot hold.
    """
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("triplets")

    def cell(text: str) -> Any:
        escaped = _LOOKS_ESCAPED.sub("_x005F_", text).replace("\r", "_x000D_")
        if len(escaped) > _LONGEST_CELL:
            raise InputError(f"A text of {len(text):,} characters does not fit a cell of xlsx; export jsonl instead.")
        made = WriteOnlyCell(sheet, value=escaped)
        made.data_type = "s"  # a text that begins with = stays a text
        return made

    sheet.append(list(columns))
    count = 0
    try:
        for count, row in enumerate(rows, start=1):  # noqa: B007  (the count is the answer)
            sheet.append([cell(text) for text in row])
    except BaseException:
        sheet.close()  # else its writer complains at the end of the process
        raise
    book.save(stream)
    return count


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
