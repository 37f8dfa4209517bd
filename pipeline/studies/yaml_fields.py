"""Read YAML safely, with typed access to its fields and errors that name their place."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.records import InputError
from pipeline.settings import shown

MOST_DEPTH, MOST_NODES = 30, 20_000
"""Levels and values of a file, with every alias written out: nine nested aliases can stand for a billion values."""


def read_yaml(text: str) -> Any:
    """Read YAML, of which JSON is a part; its size is checked before anything is built.

    Raises yaml.YAMLError, also for duplicate keys and for numbers and dates that Python cannot hold.
    """
    _check_size(text)
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, TypeError, OverflowError) as error:
        raise yaml.YAMLError(str(error)) from error


def _check_size(text: str) -> None:
    sizes: dict[str, int] = {}
    open_blocks: list[tuple[str | None, int]] = []  # anchor, and the values before the block
    values = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_blocks.pop()
            sizes[anchor or ""] = values - before
        elif isinstance(event, yaml.NodeEvent):
            values += sizes.get(anchor or "", 1) if isinstance(event, yaml.AliasEvent) else 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_blocks.append((anchor, values - 1))
        if len(open_blocks) > MOST_DEPTH or values > MOST_NODES:
            raise yaml.YAMLError(f"more than {MOST_DEPTH} levels or {MOST_NODES:,} values, aliases written out")


class _Loader(yaml.SafeLoader):
    """Safe YAML without duplicate keys, of which the last would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable) and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{shown(name)} is written twice", node.start_mark
                )
            seen |= {name} if isinstance(name, Hashable) else set()  # one that is not is refused below
        return super().construct_mapping(node, deep)


class FileFields:
    """Typed access to a file's fields: resolves relative paths and names the place in errors."""

    def __init__(self, where: str, folder: Path) -> None:
        self.where, self.folder = where, folder

    def mapping(self, value: Any, known: tuple[str, ...], place: str) -> dict[str, Any]:
        """Return a block of settings; InputError if one is unknown."""
        if not isinstance(value, Mapping):
            self.refuse(place or "the file", f"must be a block of settings, got {shown(value)}")
        unknown = [shown(key).strip("'") for key in value if key not in known]
        if unknown:
            some = f"{', '.join(unknown[:5])}{' and others' * (len(unknown) > 5)}"
            self.refuse(place, f"has no setting {some}; it has {', '.join(known)}")
        return dict(value)

    def list_of(self, fields: dict[str, Any], key: str, place: str = "") -> list[Any]:
        """Return a list, empty if the field is missing."""
        value = fields.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(", ".join(filter(None, (place, key))), f"must be a list, got {shown(value)}")
        return value

    def text(self, fields: dict[str, Any], key: str, default: str, place: str = "") -> str:
        """Return a text as one line."""
        # YAML reads a name such as 1 or 1.5 as a number.
        value = fields.get(key, default)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            self.refuse(", ".join(filter(None, (place, key))), f"must be text, got {shown(value)}; put it in quotes")
        return " ".join(str(value).split())

    def optional(self, fields: dict[str, Any], key: str, kind: type, place: str = "") -> Any:
        """Return a value of exactly this type, or None if the field is missing."""
        value = fields.get(key)
        if value is not None and type(value) is not kind:
            self.refuse(", ".join(filter(None, (place, key))), f"must be {kind.__name__}, got {shown(value)}")
        return value

    def path(self, text: str) -> Path:
        """Return an absolute path; relative ones start at the file's folder."""
        return (self.folder / Path(text).expanduser()).resolve()

    def refuse(self, place: str, why: str) -> Any:
        """Raise the InputError for a place."""
        raise InputError(f"{', '.join(filter(None, (self.where, place)))}: {why}.")
