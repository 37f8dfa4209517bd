"""The table of actions, and calling one by name with arguments from JSON, checked against its signature."""

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from pipeline.records import InputError
from pipeline.settings import Setting, check_types, settings_of
from workbench.workspace import Workspace

Answer = dict[str, Any]
"""Names and JSON values."""
Action = Callable[..., Answer]
A = TypeVar("A", bound=Action)
F = TypeVar("F", bound=Callable[..., Any])
ACTIONS: dict[str, Action] = {}


READING = frozenset(
    "attempts curation_notes decision_history encoders generation_cost job jobs list_triplets llms overview "
    "prompt_sets queue review_gate score_intervals scores worst_slices".split()
)
"""Actions that change nothing."""
_OPEN_TO_ANNOTATORS = READING | frozenset(
    "add_note count_tokens decide decide_all keep_one redo reject_all retract_vote save_slice undo vote".split()
)


def role_of_caller() -> str:
    """Return "owner" or "annotator"; the server puts a function in this place that reads the session of a page."""
    return "owner"


def guarded(function: F) -> F:
    """Let the owner alone call this function, unless it is open to annotators."""

    @wraps(function)
    def checked(*values: Any, **arguments: Any) -> Any:
        if function.__name__ not in _OPEN_TO_ANNOTATORS and role_of_caller() != "owner":
            raise InputError("Annotators decide triplets; starting jobs, imports and settings are for the owner.")
        if values and isinstance(values[0], Workspace):
            values[0].lock.require_in_place()
        return function(*values, **arguments)

    return checked  # type: ignore[return-value]


def action(function: A) -> A:
    """Register a function of a workspace as an action under its own name."""
    ACTIONS[function.__name__] = guarded(function)
    return ACTIONS[function.__name__]  # type: ignore[return-value]


def call_action(workspace: Workspace, name: str, called: Action, arguments: dict[str, Any]) -> Answer:
    """Check the arguments against the signature and annotations of an action, then run it.

    Raises InputError for an unknown, missing or mistyped argument, and for text that is not valid UTF-8.
    """
    try:
        inspect.signature(called).bind(workspace, **arguments)
    except TypeError as error:
        raise InputError(f"The action {name} cannot be called like this: {error}.") from error
    check_types(arguments, called, of=f"the action {name}")
    _refuse_non_finite(arguments)
    try:
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"The arguments of {name} cannot be written as JSON in UTF-8: {error}.") from error
    if "\\u0000" in text:
        raise InputError(f"The arguments of {name} contain the character NUL, which texts and names must not.")
    return called(workspace, **arguments)


def _refuse_non_finite(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _refuse_non_finite(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} must be a number, got {value}.")


def argument_schema(called: Action) -> dict[str, Any]:
    """Return the JSON Schema of an action's arguments: of their types, or of the fields of the config they name."""
    hints = get_type_hints(called, include_extras=True)
    parameters = {name: one for name, one in inspect.signature(called).parameters.items() if name != "workspace"}
    properties = {
        name: _schema(hints[name]) | ({} if one.default in (one.empty, None, "") else {"default": one.default})
        for name, one in parameters.items()
    }
    required = [name for name, one in parameters.items() if one.default is one.empty]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _schema(annotation: Any) -> dict[str, Any]:
    from pydantic import TypeAdapter  # takes a moment, and only agents ask for schemas

    kind: Any = next((part for part in getattr(annotation, "__metadata__", ()) if is_dataclass(part)), None)
    if kind is None:
        return TypeAdapter(annotation).json_schema()
    declared, hints = settings_of(kind), get_type_hints(kind)
    if not declared:
        return TypeAdapter(kind).json_schema()
    fields = {
        name: TypeAdapter(hints[name]).json_schema() | _bounds(one) | {"description": one.help}
        for name, one in declared.items()
    }
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _bounds(declared: Setting) -> dict[str, float]:
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    return {word: bound for name, word in words.items() if (bound := getattr(declared, name)) is not None}
