"""A settings class as form fields: one widget per field, chosen by its type, its own sentence as help."""

from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from pipeline.field_docs import field_docs


def config_fields(kind: type, names: Sequence[str], base: dict[str, Any], *, key: str) -> dict[str, Any]:
    """Draw a widget per named field, switches last; returns their values."""
    wanted = [field for field in fields(kind) if field.name in names]
    docs = field_docs(kind)
    values = {}

    def draw(field: Field) -> None:
        values[field.name] = _field(field.type, field.name, base[field.name], docs[field.name], f"{key}_{field.name}")

    narrow = [field for field in wanted if field.type is not bool]
    for start in range(0, len(narrow), 2):
        for column, field in zip(st.columns(2), narrow[start : start + 2], strict=False):
            with column:
                draw(field)
    for field in wanted:
        if field.type is bool:  # the label of a toggle needs the whole width
            draw(field)
    return values


def label_of(name: str) -> str:
    """Field name as words."""
    return name.replace("_", " ").capitalize()


def _field(annotation: Any, name: str, value: Any, help: str, key: str) -> Any:
    label = label_of(name)
    if get_origin(annotation) is Literal:
        options = list(get_args(annotation))
        return st.selectbox(label, options, index=options.index(value), key=key, help=help, persist_state="session")
    if annotation is bool:
        return st.toggle(label, value, key=key, help=help, persist_state="session")
    if annotation is int:
        return int(st.number_input(label, value=int(value), step=1, key=key, help=help, persist_state="session"))
    if annotation is float:
        return float(
            st.number_input(label, value=float(value), format="%g", key=key, help=help, persist_state="session")
        )
    if float in get_args(annotation):
        return st.number_input(
            label,
            value=value,
            format="%g",
            key=key,
            help=help,
            persist_state="session",
            placeholder="the encoder's own default",
        )
    return st.text_input(label, str(value), key=key, help=help, persist_state="session")
