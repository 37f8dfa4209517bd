"""Values out of a file or a text against the types of a settings class: what does not fit is one sentence."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pipeline.errors import InputError


def typed_fields(kind: type, fields: dict[str, Any], *, where: str = "") -> dict[str, Any]:
    """Return the fields with whole numbers made floats where a float is meant.

    `where` opens the sentence of the InputError that is raised for a value of another type.
    """
    found = dict(fields)
    for name, value in fields.items():
        annotation = kind.__dataclass_fields__[name].type  # type: ignore[attr-defined]
        if not fits(value, annotation):
            raise InputError(f"{where}{name}: must be {told(annotation)}, got {value!r}.")
        if type(value) is int and float in (annotation, *get_args(annotation)):
            found[name] = float(value)  # 3 and 3.0 are one setting, so one hash
    return found


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of a type; a whole number is a number, but true is none."""
    if get_origin(annotation) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(annotation))
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if annotation is float:
        return type(value) in (int, float)
    return type(value) is annotation


def told(annotation: Any) -> str:
    """Return a type in plain words."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(told(part) for part in get_args(annotation))
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    words = {float: "a number", int: "a whole number", str: "text", bool: "true or false", NoneType: "null"}
    return words.get(annotation, str(annotation))
