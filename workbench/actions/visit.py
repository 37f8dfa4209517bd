"""The guided visit of a workspace: the step somebody is at. Apart from the other actions, which touch its data."""

import json
from pathlib import Path
from typing import Final

from pipeline.durable import write_json
from pipeline.records import InputError
from workbench.actions.call import Answer, action
from workbench.workspace import Workspace

_FILE: Final = "visit.json"


def visit_step(root: Path) -> int | None:
    """Return the step of the visit, from 1; 0 once it was closed, None where it has never begun."""
    try:
        return int(json.loads((root / _FILE).read_bytes())["step"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return 0


@action
def set_visit(workspace: Workspace, *, step: int) -> Answer:
    """Go to a step of the guided visit, from 1; 0 closes it."""
    if not 0 <= step <= 1000:
        raise InputError(f"A step of the visit is 0 or more, got {step}.")
    write_json(workspace.root / _FILE, {"step": step})
    return {"step": step}
