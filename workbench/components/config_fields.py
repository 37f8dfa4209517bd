"""A settings class as form fields: one widget per field, chosen by its type, its own sentence as help."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import streamlit as st

from pipeline.field_docs import field_docs


def config_fields(kind: type, names: Sequence[str], base: dict[str, Any], *, key: str) -> dict[str, Any]:
    """Draw a widget per named field, in the class's order; returns their values."""
    wanted = [field for field in fields(kind) if field.name in names]
    docs = field_docs(kind)
    values = {}
    for start in range(0, len(wanted), 2):
        for column, field in zip(st.columns(2), wanted[start : start + 2], strict=False):
            with column:
                values[field.name] = _field(
                    field.type, field.name, base[field.name], docs[field.name], f"{key}_{field.name}"
                )
    return values


def label_of(name: str) -> str:
    """Field name as words."""
    return name.replace("_", " ").capitalize()


def _field(annotation: Any, name: str, value: Any, help: str, key: str) -> Any:
    label = label_of(name)
    if get_origin(annotation) is Literal:
        options = list(get_args(annotation))
        return st.selectbox(label, options, index=options.index(value), key=key, help=help)
    if annotation is bool:
        return st.toggle(label, value, key=key, help=help)
    if annotation is int:
        return int(st.number_input(label, value=int(value), step=1, key=key, help=help))
    if annotation is float:
        return float(st.number_input(label, value=float(value), format="%g", key=key, help=help))
    if float in get_args(annotation):
        return st.number_input(
            label, value=value, format="%g", key=key, help=help, placeholder="the encoder's own default"
        )
    return st.text_input(label, str(value), key=key, help=help)
