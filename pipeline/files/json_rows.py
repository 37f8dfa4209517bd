"""Records of JSON files: an object per line, or one array of objects, whatever the ending of the name says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.errors import InputError
from pipeline.files.source import Source, lines

_SAMPLE_ROWS = 200
_MAX_ARRAY_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that could not even be split into cells."""

    reason: str
    content: bytes


def json_fields(source: Source) -> list[str]:
    """Names of the fields of the first 200 records."""
    fields: dict[str, None] = {}
    for _, record in islice(json_records(source), _SAMPLE_ROWS):
        if isinstance(record, dict):
            fields.update(dict.fromkeys(record))
    return list(fields)


def json_records(source: Source) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    """Yield (line, record); the records of an array are counted from 1. Raises InputError for a huge array."""
    array = _array(source)
    if array is not None:
        yield from ((place, _checked(record)) for place, record in enumerate(array, start=1))
        return
    for line in lines(source):
        yield line.number, Broken("line too long", line.data) if line.is_overlong else _parsed(line.data)


def _parsed(data: bytes) -> dict[str, Any] | Broken:
    if not data.strip():
        return Broken("empty", data)
    try:
        return _checked(json.loads(data.decode("utf-8")))
    except UnicodeDecodeError:
        return Broken("not UTF-8", data)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return Broken("malformed JSON", data)


def _checked(record: Any) -> dict[str, Any] | Broken:
    return record if isinstance(record, dict) else Broken("not a JSON object", repr(record)[:200].encode())


def _array(source: Source) -> list[Any] | None:
    """The records of a file that is one JSON value: an array, or an object with one array of objects in it."""
    first = next(lines(source), None)
    start = b"" if first is None else first.data.lstrip()[:1]
    is_line = start == b"{" and first is not None and (first.is_overlong or isinstance(_parsed(first.data), dict))
    if is_line or start not in (b"[", b"{"):
        return None
    with source.open() as stream:
        data = stream.read(_MAX_ARRAY_BYTES + 1)
    if len(data) > _MAX_ARRAY_BYTES:
        if start == b"{":
            return None
        raise InputError(f"{source.name} is one JSON array of more than 1 GB; write one object per line.")
    try:
        whole = json.loads(data.decode("utf-8-sig" if source.encoding == "utf-8" else source.encoding))
    except (ValueError, RecursionError):
        return None
    if isinstance(whole, dict):
        arrays = [value for value in whole.values() if isinstance(value, list) and value and _holds_objects(value)]
        return arrays[0] if len(arrays) == 1 else None
    return whole if isinstance(whole, list) else None


def _holds_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)
