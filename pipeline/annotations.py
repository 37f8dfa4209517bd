"""Whether a value from JSON is what a type annotation says, and the annotation in words."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.records import InputError

_LARGEST_WHOLE = 2**63
"""Whole numbers are kept in 64 bits, in the database as well as in NumPy."""
_SHOWN_CHARS = 60
_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    dict: "an object",
}


def check_types(values: Mapping[str, Any], source: Any, *, of: str) -> None:
    """Raise InputError for the first value whose type is not that of the annotation of its name.

    source: a function or dataclass with the annotations; names it lacks are left alone. of: what the names belong to.
    """
    hints = get_type_hints(source)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            shown = repr(value)
            shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
            raise InputError(f"{name} of {of} must be {in_words(hints[name])}, got {shown}.")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of this type; lists stand for sequences, whole numbers for floats; a bool is no number."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple and Ellipsis not in parts:
        return isinstance(value, list | tuple) and len(value) == len(parts) and all(map(fits, value, parts))
    if origin in (list, tuple, Sequence):
        return isinstance(value, list | tuple) and all(fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(key, parts[0]) and fits(value[key], parts[1]) for key in value)
    if kind is float:
        return fits(value, int) or (isinstance(value, float) and math.isfinite(value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_WHOLE
    return isinstance(value, kind)


def in_words(kind: Any) -> str:
    """Say what an annotation asks for."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(in_words(part) for part in parts)
    if origin is Literal:
        return f"one of {', '.join(part or 'an empty text' for part in parts)}"
    if origin in (list, tuple, Sequence):
        return f"a list, each item {in_words(parts[0])}"
    return _WORDS.get(origin or kind, getattr(kind, "__name__", str(kind)))
