"""The table of actions, and calling one by name with arguments from JSON, checked against its signature."""

import inspect
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.records import InputError
from pipeline.settings import check_types
from workbench.workspace import Workspace

Answer = dict[str, Any]
"""Names and JSON values."""
Action = Callable[..., Answer]
A = TypeVar("A", bound=Action)
ACTIONS: dict[str, Action] = {}


def action(function: A) -> A:
    """Register a function of a workspace as an action under its own name."""
    ACTIONS[function.__name__] = function
    return function


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
