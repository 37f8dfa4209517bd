"""Any config as form fields: a widget per setting, chosen by its type, range, step and suggestions."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from pipeline.settings import MOST, MOST_CHARACTERS, Setting, settings_of

_LEAST = 1e-9
"""Distance to an exclusive bound, as number fields include theirs."""
_KEPT: dict[str, Any] = {"persist_state": "session"}


def group_of(kind: type, group: str) -> list[str]:
    """Return the fields of one group of a form, in their order."""
    return [name for name, declared in settings_of(kind).items() if declared.group == group]


def settings_form(
    kind: type,
    names: Sequence[str],
    base: Mapping[str, Any],
    *,
    key: str,
    columns: int = 2,
    declared: Mapping[str, Setting] | None = None,
    offered: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Draw a widget per named field, switches last; return their values.

    Args:
        kind: the config.
        names: fields to draw, in this order.
        base: values to start from; a field that it lacks starts from its default.
        key: start of the widgets' keys, which end in _FIELD.
        columns: fields side by side.
        declared: declarations that replace a field's own, for those that depend on another field.
        offered: field -> its possible values with their labels.
    """
    known = {field.name: field for field in fields(kind)}
    settings = settings_of(kind) | dict(declared or {})
    narrow = [name for name in names if known[name].type is not bool]
    wide = [name for name in names if known[name].type is bool]  # the label of a toggle needs the whole width
    values = {}
    for start in range(0, len(narrow), columns):
        row = narrow[start : start + columns]
        places = st.columns(columns) if columns > 1 else [st.container()]
        for place, name in zip(places, row, strict=False):
            field, choices = known[name], (offered or {}).get(name)
            with place:
                value = base.get(name, field.default)
                values[name] = _field(field.type, name, value, settings[name], f"{key}_{name}", choices)
    for name in wide:
        value = base.get(name, known[name].default)
        values[name] = _field(bool, name, value, settings[name], f"{key}_{name}", None)
    return values


def label_of(name: str, declared: Setting) -> str:
    """Return the declared label of a field, or its name as words."""
    return declared.label or name.replace("_", " ").capitalize()


def _field(
    annotation: Any, name: str, value: Any, declared: Setting, key: str, offered: Mapping[str, str] | None
) -> Any:
    label = label_of(name, declared)
    shared: dict[str, Any] = {"key": key, "help": declared.help, **_KEPT}
    if get_origin(annotation) is tuple:
        return st.multiselect(
            label,
            [*declared.suggestions, *declared.words],
            list(value),
            format_func=lambda part: declared.words.get(part, part),
            placeholder=declared.empty,
            accept_new_options=bool(declared.suggestions),
            **shared,
        )
    if offered or get_origin(annotation) is Literal:
        words = offered or {part: declared.words.get(part, part) for part in get_args(annotation)}
        options = list(words)
        return st.selectbox(label, options, index=options.index(value), format_func=words.__getitem__, **shared)
    if annotation is bool:
        return st.toggle(label, value, **shared)
    if annotation is str:
        return _text(label, str(value), declared, shared)
    return _number(annotation, label, value, declared, shared)


def _text(label: str, value: str, declared: Setting, shared: dict[str, Any]) -> str:
    if not declared.suggestions:
        return st.text_input(label, value, max_chars=MOST_CHARACTERS, placeholder=declared.empty, **shared)
    options = list(declared.suggestions)
    options = options if value in options else [value, *options]
    chosen = st.selectbox(label, options, index=options.index(value), accept_new_options=True, **shared)
    return chosen or value


def _number(annotation: Any, label: str, value: Any, declared: Setting, shared: dict[str, Any]) -> Any:
    is_whole = annotation is int
    if declared.slider is not None:
        low, high = declared.slider
        return st.slider(label, min(low, value), max(high, value), value, declared.step, **shared)
    least, most = declared.ge, declared.le
    if declared.gt is not None:
        least = declared.gt + _LEAST
    if declared.lt is not None:
        most = declared.lt - _LEAST
    if is_whole:
        most = MOST if most is None else most
        return int(st.number_input(label, least, most, value, int(declared.step or 1), **shared))
    return st.number_input(
        label,
        None if least is None else float(least),
        None if most is None else float(most),
        value,
        declared.step,
        format="%g",
        placeholder=declared.empty or None,
        **shared,
    )
