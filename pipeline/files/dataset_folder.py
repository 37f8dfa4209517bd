"""Folders as the `datasets` library reads and writes them: which of their files hold the rows."""

from pathlib import Path

from pipeline.errors import InputError

_ENDINGS = (".parquet", ".arrow", ".jsonl", ".csv", ".tsv")
"""In this order: a folder that holds the same rows in two formats is read once."""
_TRAINING = "train"


def data_files(folder: Path) -> list[Path]:
    """Return the files with the rows of a datasets folder, in order of their names.

    Both layouts are known: the one of a dataset repository (data/train-00000-of-00001.parquet, train.csv, ...) and
    the one that `save_to_disk` writes (data-00000-of-00001.arrow). Where files or folders are named after splits,
    those of the training split are taken. Hidden files, caches, and links that lead out of the folder are not.

    Raises:
        InputError: when there is no such file.
    """
    root = folder.resolve()
    found = [path for path in sorted(folder.rglob("*")) if _holds_rows(path, root)]
    ending = next((ending for ending in _ENDINGS if any(path.suffix == ending for path in found)), None)
    if ending is None:
        raise InputError(
            f"{folder.name} holds no data file; a datasets folder has one of {', '.join(_ENDINGS)} in it."
        )
    chosen = [path for path in found if path.suffix == ending]
    training = [path for path in chosen if _is_training(path.relative_to(folder))]
    return training or chosen


def _holds_rows(path: Path, root: Path) -> bool:
    is_plain = path.suffix in _ENDINGS and not path.name.startswith((".", "cache-")) and path.is_file()
    return is_plain and path.resolve().is_relative_to(root)


def _is_training(path: Path) -> bool:
    return any(part == _TRAINING or part.startswith((f"{_TRAINING}-", f"{_TRAINING}.")) for part in path.parts)
