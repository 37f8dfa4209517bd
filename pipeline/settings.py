"""A setting is declared once: range, step, label and help stand on the field of its config.

Configs check themselves against it, and forms, the options of the command line and docs/settings.md are made from it.
Values that arrive as JSON are checked against type annotations by the same rules.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.records import InputError

MOST = 10**9
"""Largest whole number where a setting names no other: more is a typing error, and would overflow later."""
MOST_CHARACTERS = 4096
LONGEST_NAME = 255
"""Characters in the name of a corpus, snapshot or the like: as many as a file name has."""
_SHOWN = 80
_LARGEST_WHOLE = 2**63
"""Whole numbers are kept in 64 bits, in the database as well as in NumPy."""
_TYPE_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a field's own type does not say; ge, gt, le and lt bound a number as they do in pydantic."""

    help: str
    """Sentences: the tooltip, the help of the option and the meaning in docs/settings.md."""
    label: str = ""
    """Name on a form; empty takes the field's name in words."""
    unit: str = ""
    """What is counted or measured, or what kind of text is meant."""
    group: str = ""
    """Part of a form that holds it; empty is the main part."""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    step: float | None = None
    slider: tuple[float, float] | None = None
    """The usual part of the range: a form draws a slider over it, or a longer one for a value outside."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Choices in words; one without an entry is shown as it is."""
    suggestions: tuple[str, ...] = ()
    """Values that a form offers beside typing one."""
    pattern: str = ""
    """What a text must match as a whole."""
    empty: str = ""
    """What None or an empty list stands for."""

    def range(self) -> str:
        """Return the bounds in words, such as "at least 0 and below 1"; empty without any."""
        if self.ge is not None and self.le is not None:
            return f"from {_number(self.ge)} to {_number(self.le)}"
        bounds = {"at least": self.ge, "above": self.gt, "at most": self.le, "below": self.lt}
        return " and ".join(f"{word} {_number(bound)}" for word, bound in bounds.items() if bound is not None)

    def check(self, name: str, value: Any) -> None:
        """Raise InputError for a number outside the bounds, or a text that is empty, too long or of another form."""
        if isinstance(value, str):
            if self.pattern and not re.fullmatch(self.pattern, value):
                raise InputError(f"{name} must be {self.unit}, got {shown(value)}.")
            if not value.strip() or not value.isprintable() or len(value) > MOST_CHARACTERS:
                raise InputError(f"{name} must have 1 to {MOST_CHARACTERS:,} visible characters, got {shown(value)}.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        is_inside = (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )
        if not is_inside:
            raise InputError(f"{name} must be {self.range()}, got {shown(value)}.")
        if isinstance(value, int) and self.le is None and self.lt is None and value > MOST:
            raise InputError(f"{name} must be at most {MOST:,}, got {shown(value)}.")


def setting(default: Any, help: str, **details: Any) -> Any:
    """Declare a field of a config: its default, its help and the other parts of its Setting."""
    return field(default=default, metadata={"setting": Setting(help, **details)})


def seed_setting(help: str, **details: Any) -> Any:
    """Declare a seed: what numpy and torch both take."""
    return setting(0, help, unit="integer", ge=0, le=2**32 - 1, **details)


def redeclared(kind: type, name: str, default: Any, **changes: Any) -> Any:
    """Redeclare an inherited field with another default and other parts of its Setting."""
    return field(default=default, metadata={"setting": replace(setting_of(kind, name), **changes)})


def settings_of(kind: type) -> dict[str, Setting]:
    """Return the declared settings of a config by field name, in their order."""
    return {item.name: item.metadata["setting"] for item in fields(kind) if "setting" in item.metadata}


def setting_of(kind: type, name: str) -> Setting:
    """Return one declared setting."""
    return settings_of(kind)[name]


class Settings:
    """Base of configs: frozen dataclasses whose fields are checked when one is made, whoever makes it."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = typed(item.name, item.type, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
            declared = item.metadata.get("setting")
            if declared is not None and (value != item.default or item.default is MISSING):
                declared.check(item.name, value)
        self.check_together()

    def check_together(self) -> None:
        """Raise InputError for values that do not go together."""


def require(holds: bool, message: str) -> None:
    """Raise InputError with this sentence unless the condition holds."""
    if not holds:
        raise InputError(message)


def typed(name: str, annotation: Any, value: Any) -> Any:
    """Return a value as the type of its field: whole numbers as floats where a float is meant, lists as tuples.

    Raises InputError for a value of another type, and for NaN and infinity.
    """
    if not fits(value, annotation):
        raise InputError(f"{name} must be {type_words(annotation)}, got {shown(value)}.")
    if isinstance(value, list) and get_origin(annotation) is tuple:
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    kinds = (annotation, *get_args(annotation))
    return float(value) if float in kinds else int(value)  # 3 and 3.0 are one setting, so one hash


def shown(value: Any) -> str:
    """Return a value as a message can show it, however long it is."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**_SHOWN else "a number of many digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def checked_name(name: str, of: str) -> str:
    """Return the name of something without spaces around it; `of` says of what, such as "a corpus".

    Raises InputError for one that a list could not show.
    """
    found = " ".join(name.split())
    require(
        bool(found) and len(found) <= LONGEST_NAME and found.isprintable(),
        f"The name of {of} must have 1 to {LONGEST_NAME} visible characters, got {shown(name)}.",
    )
    return found


def check_types(values: Mapping[str, Any], source: Any, *, of: str) -> None:
    """Raise InputError for the first value that is not of the type its annotation names.

    source: the function or dataclass with the annotations; names it lacks are skipped. of: what the names belong to.
    """
    hints = get_type_hints(source)
    for name, value in values.items():
        if name not in hints:
            continue
        if not fits(value, hints[name]):
            raise InputError(f"{name} of {of} must be {type_words(hints[name])}, got {shown(value)}.")
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(number, int) and abs(number) >= _LARGEST_WHOLE for number in numbers):
            raise InputError(f"{name} of {of} must be a number of at most 64 bits, got {shown(value)}.")


def type_words(annotation: Any) -> str:
    """Return a type in plain words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(map(type_words, parts))
    if origin is Literal:
        return f"one of {', '.join(part or 'an empty text' for part in parts)}"
    if origin in (list, tuple, Sequence):
        return "a list of texts" if parts[0] is str else f"a list, each item {type_words(parts[0])}"
    return _TYPE_WORDS.get(origin or annotation, getattr(annotation, "__name__", str(annotation)))


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of a type: a list may stand for any sequence, a whole number for a float.

    True and false are not numbers. NaN and infinity fit no type, nor does a whole number too large for a float where
    a float is meant.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is Any:
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
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


Config = TypeVar("Config", bound=Settings)


def from_fields(kind: type[Config], given: dict[str, Any]) -> Config:
    """Build a config of this kind from stored or typed fields; an unknown field is an InputError that names it."""
    known = kind.__dataclass_fields__.keys()  # type: ignore[attr-defined]
    unknown = sorted(set(given) - set(known))
    require(not unknown, f"{kind.__name__} has no setting {', '.join(unknown)}; it has {', '.join(known)}.")
    return kind(**given)
