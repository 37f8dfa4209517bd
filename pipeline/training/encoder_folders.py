"""Look at a model folder before anything of it is loaded: what kind it is and whether it is safe to load."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, WeightsError

_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_STOCK_MODULES = "sentence_transformers."


def is_sentence_transformer(folder: Path) -> bool:
    """Whether the folder was saved by sentence-transformers (it then names its own modules and pooling)."""
    return (folder / "modules.json").is_file()


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be loaded safely.

    Raises:
        InputError: if the folder is no model, or its modules or architecture come with code of their own.
        WeightsError: if weights are in a pickle file, which runs code when opened, or are missing.
    """
    if is_sentence_transformer(folder):
        _refuse_custom_modules(folder)
    elif not (folder / "config.json").is_file():
        raise InputError(f"The folder {folder} holds no model; expected modules.json or config.json in it.")
    for path in sorted(folder.rglob("config.json")):
        if "auto_map" in _read_json(path):
            raise InputError(f"{path} asks to run code of its own (auto_map); use a model with a stock architecture.")
    _refuse_pickles(folder)


def _refuse_custom_modules(folder: Path) -> None:
    modules = _read_json(folder / "modules.json")
    for module in modules if isinstance(modules, list) else [modules]:
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        if not kind.startswith(_STOCK_MODULES):
            raise InputError(f"{folder / 'modules.json'} names the module {kind!r}; only stock modules are loaded.")


def _refuse_pickles(folder: Path) -> None:
    weights = [path for path in folder.rglob("*") if path.is_file()]
    safe_folders = {path.parent for path in weights if path.suffix == ".safetensors"}
    for path in weights:
        if path.suffix in _PICKLE_SUFFIXES and path.stem != "training_args" and path.parent not in safe_folders:
            raise WeightsError(
                f"{path} keeps weights in a pickle file, which can run code when opened; convert it to safetensors."
            )
    if not safe_folders:
        raise WeightsError(f"The folder {folder} holds no .safetensors file; copy the weights there.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not readable JSON ({error}); copy the model folder again.") from error
