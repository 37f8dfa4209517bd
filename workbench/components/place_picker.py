"""Where a run takes place: one field that the pages with long runs share."""

from typing import Final

import streamlit as st

from workbench.jobs import places
from workbench.jobs.kinds import JobSpec, kind_of
from workbench.workspace import Workspace

_HELP: Final = (
    "local: one process on this machine. gpu:2: on that GPU, beside runs on others. torchrun:4: four processes that "
    "share every batch. gpu:0,1 and ray: a model on each of these GPUs, or on each GPU of this machine; "
    "ray:10.0.0.1:6379: on the nodes of a cluster (docs/scale.md)."
)


def place_picker(workspace: Workspace, spec: type[JobSpec]) -> str:
    """Draw the choice, which starts from the newest run of its kind; nothing where there is only this machine."""
    kind = kind_of(spec)
    newest = workspace.jobs.latest(spec)
    options = list(dict.fromkeys([newest.spec.on if newest else places.LOCAL, *places.offered(kind.name)]))
    if options == [places.LOCAL]:
        return places.LOCAL
    chosen = st.selectbox(
        "Runs on",
        options,
        accept_new_options=True,
        key=f"{kind.name}_place",
        help=_HELP,
        persist_state="session",
    )
    return str(chosen or places.LOCAL)
