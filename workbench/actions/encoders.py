"""The encoders of a workspace: those there are, and those trained elsewhere, taken in by their folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.names import BUILT_IN_ENCODERS
from pipeline.settings import checked_name
from pipeline.training.encoder_folders import check_folder, model_folder
from workbench.ids import new_id, now
from workbench.workspace import Workspace

LONGEST_NAME = 80


def encoders(workspace: Workspace) -> dict[str, Any]:
    """Return every encoder that can be named: the built-in ones, then the workspace's, newest first."""
    built_in = [{"encoder_id": name, "name": name, "origin": "built in"} for name in BUILT_IN_ENCODERS]
    stored = [
        asdict(encoder) | {"origin": "trained here" if encoder.run_id else "added"}
        for encoder in workspace.store.encoders.list()
    ]
    return {"encoders": [*built_in, *stored]}


def add_encoder(workspace: Workspace, *, folder: str, name: str = "") -> dict[str, Any]:
    """Add a local folder of sentence-transformers or transformers as an encoder; its files stay where they are.

    The folder is looked at, not loaded. Raises InputError or WeightsError where it holds no model, code of its own or
    a pickle, and for a name that is taken.
    """
    named = Path(folder).expanduser().resolve()
    if not folder.strip() or not named.is_dir():
        raise InputError(f"There is no folder {folder or '(empty)'}; name the folder that holds the model's files.")
    path = model_folder(named)
    check_folder(path)
    known = workspace.store.encoders.list()
    for encoder in known:
        if encoder.folder == str(path):
            return {"encoder_id": encoder.encoder_id, "name": encoder.name}
    called = checked_name(name or named.name, "an encoder")[:LONGEST_NAME]
    if called in BUILT_IN_ENCODERS or called in {encoder.name for encoder in known}:
        raise InputError(f"There is an encoder called {called} already; give this one another name.")
    encoder_id = new_id("encoder")
    row = {
        "table": "encoders",
        "encoder_id": encoder_id,
        "name": called,
        "folder": str(path),
        "created_at": now(),
    }
    header = {"kind": "encoder", "name": called, "origin": str(path), "duplicates": 0, "rejected": {}}
    workspace.store.imports.add(encoder_id, lambda: header, [row])
    return {"encoder_id": encoder_id, "name": called}
