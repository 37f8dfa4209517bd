"""Dataclasses built from stored JSON values, those of another version too, as far as this version knows the fields.

Stands apart from kinds.py because it knows no kind of job: it goes by the field types of any dataclass.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.records import InputError

T = TypeVar("T")


def from_plain_values(kind: type[T], stored: Mapping[str, Any]) -> T:
    """Build a dataclass of this type from stored values.

    Fields that this version does not know are left out. One that is missing takes its default, and the empty value of
    its type where it has none. Values are not checked against today's ranges: they were good when they were written.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    known = [field for field in fields(kind) if field.init]  # type: ignore[arg-type]
    values = {
        field.name: _value(hints[field.name], stored[field.name]) if field.name in stored else _missing(field, hints)
        for field in known
    }
    try:
        return kind(**values)
    except InputError:
        built = object.__new__(kind)
        for name, value in values.items():
            object.__setattr__(built, name, value)
        return built


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _missing(field: "Field[Any]", hints: Mapping[str, Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return _empty(hints[field.name])


def _empty(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        return None
    kind = get_origin(hint) or hint
    if kind is Literal:
        return get_args(hint)[0]
    if is_dataclass(kind):
        return from_plain_values(kind, {})  # type: ignore[arg-type]
    return next(iter(kind)) if issubclass(kind, Enum) else kind()


def _value(hint: Any, stored: Any) -> Any:
    """Return a stored value as its type has it; one of another type is a ValueError."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if stored is None:
            return None
        return _value(next(part for part in parts if part is not NoneType), stored)
    if origin is tuple:
        if not isinstance(stored, list | tuple):
            raise ValueError(f"{stored!r} is no list")
        of = [parts[0]] * len(stored) if parts[1:] == (...,) else parts
        return tuple(_value(part, item) for part, item in zip(of, stored, strict=True))
    if origin is dict:
        return {name: _value(parts[1], item) for name, item in dict(stored).items()}
    if is_dataclass(hint):
        if not isinstance(stored, Mapping):
            raise ValueError(f"{stored!r} is no object")
        return from_plain_values(hint, stored)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(stored)
    return stored
