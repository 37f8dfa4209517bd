"""Actions: everything that pages and the command line can do to a workspace, listed in ACTIONS.

An action is a function of a workspace and plain arguments that returns a dict of JSON values. The command line calls
it in its own process or, while a server owns the workspace, over HTTP.
"""

# Importing these modules registers their actions.
from workbench.actions import (  # noqa: F401
    analysis,
    curation,
    data,
    decisions,
    evaluation,
    generation,
    jobs,
    models,
    training,
    visit,
)
from workbench.actions.call import ACTIONS, call_action

__all__ = ["ACTIONS", "call_action"]
