"""How a command reaches a workspace: through the server that owns it, or by owning it for the command's time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Call = Callable[..., dict[str, Any]]
"""call(action_name, **arguments) -> the action's answer."""


@contextmanager
def access(root: Path) -> Iterator[Call]:
    """Yield a function that runs an action on this workspace, wherever its owner lives."""
    from workbench.client import RemoteWorkspace

    remote = RemoteWorkspace.find(root)
    if remote is not None:
        yield remote.call
        return
    from workbench.actions import ACTIONS
    from workbench.actions.call import call_action
    from workbench.workspace import Workspace

    with Workspace(root) as workspace:
        yield lambda name, /, **arguments: call_action(workspace, name, ACTIONS[name], arguments)
