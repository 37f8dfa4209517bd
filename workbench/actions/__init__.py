"""Use cases: what pages and the command line ask of a workspace.

Each is a function of a workspace and plain arguments that answers with a JSON-able dict: the command line calls it in
its own process or, while a server owns the workspace, over HTTP. ACTIONS is all that can be asked.
"""

# Each of these modules enters its actions into the table.
from workbench.actions import analysis, curation, data, decisions, evaluation, generation, jobs, models, training  # noqa: F401
from workbench.actions.call import ACTIONS

__all__ = ["ACTIONS"]
