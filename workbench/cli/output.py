"""What a command prints: a table for people, JSON for machines."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.durable import write_text
from pipeline.errors import InputError


class _Output(Console):
    """Standard output; a reader that has enough (`| head`) ends the command quietly, see main."""

    def on_broken_pipe(self) -> None:
        """Raise what a plain print raises: Rich's own way out is exit status 1."""
        raise BrokenPipeError


def write_json(path: Path | None, answer: Any) -> None:
    """Write the answer to the file that --json names, whole or not at all.

    A link or a device (/dev/stdout, a FIFO) is written through and stays what it is.
    """
    if path is None:
        return
    text = json.dumps(answer, indent=2, ensure_ascii=False) + "\n"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    try:
        write_text(path, text)
    except OSError as error:  # it names the draft beside the file, which nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_target(path: Path | None) -> None:
    """Raise InputError for a --json that cannot be a file, before a long command computes what it should hold."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder; --json needs the name of a file.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; create it first.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: the system gives no permission; name another file.")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; texts are shown as they are, never read as markup."""
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=position == 0)
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    _Output().print(table)


def print_line(text: str) -> None:
    """Print one plain line; only a terminal breaks it."""
    _Output(highlight=False).print(text, markup=False, soft_wrap=True)
