"""How encoders are called on screen."""

from pathlib import PurePath

from pipeline.names import BUILT_IN_ENCODERS
from workbench.workspace import Workspace


def encoder_names(workspace: Workspace) -> dict[str, str]:
    """Id -> name of every encoder that can be loaded here: trained ones first, newest first, then the built-in."""
    names = {encoder.encoder_id: encoder.name for encoder in workspace.store.encoders.list()}
    return names | {name: name for name in BUILT_IN_ENCODERS if name not in names}


def scored_name(encoder_id: str, names: dict[str, str]) -> str:
    """Name for a row of scores; an encoder that is only a folder goes by the folder's name."""
    return names.get(encoder_id) or PurePath(encoder_id).name or encoder_id
