"""What a command prints: a table for people, JSON for machines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.durable import write_text


def write_json(path: Path | None, answer: Any) -> None:
    """Write the answer to the file that --json names, whole or not at all."""
    if path is None:
        return
    write_text(path, json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; texts are shown as they are, never read as markup."""
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=position == 0)
    for row in rows:
        table.add_row(*(Text("-" if value is None else str(value)) for value in row))
    Console().print(table)


def print_line(text: str) -> None:
    """Print one plain line; only a terminal breaks it."""
    Console(highlight=False).print(text, markup=False, soft_wrap=True)
