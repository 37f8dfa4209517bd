"""Reading fields out of YAML one by one; whatever does not fit is refused with its place in the file."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError


def read_yaml(text: str) -> Any:
    """Read YAML (JSON is some). Raises yaml.YAMLError, also where a key is written twice."""
    return yaml.load(text, Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice: the later one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


class FileFields:
    """One reading of one file: where paths start, and how errors name the place."""

    def __init__(self, where: str, folder: Path) -> None:
        self.where, self.folder = where, folder

    def mapping(self, value: Any, known: tuple[str, ...], place: str) -> dict[str, Any]:
        """Return a block of settings that has no unknown one."""
        if not isinstance(value, Mapping):
            self.refuse(place or "the file", f"must be a block of settings, got {value!r}")
        unknown = [str(key) for key in value if key not in known]
        if unknown:
            self.refuse(place, f"has no setting {', '.join(unknown)}; it has {', '.join(known)}")
        return dict(value)

    def list_of(self, fields: dict[str, Any], key: str, place: str = "") -> list[Any]:
        """Return a list; empty where the field is left out."""
        value = fields.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(", ".join(filter(None, (place, key))), f"must be a list, got {value!r}")
        return value

    def text(self, fields: dict[str, Any], key: str, default: str, place: str = "") -> str:
        """Return a text on one line."""
        # A name such as 1 or 1.5 is read as a number by YAML and meant as text.
        value = fields.get(key, default)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            self.refuse(", ".join(filter(None, (place, key))), f"must be text, got {value!r}; put it in quotes")
        return " ".join(str(value).split())

    def optional(self, fields: dict[str, Any], key: str, kind: type, place: str = "") -> Any:
        """Return a value of exactly this type, or None where the field is left out."""
        value = fields.get(key)
        if value is not None and type(value) is not kind:
            self.refuse(", ".join(filter(None, (place, key))), f"must be {kind.__name__}, got {value!r}")
        return value

    def path(self, text: str) -> Path:
        """Return a path, relative ones from the folder of the file."""
        return (self.folder / Path(text).expanduser()).resolve()

    def refuse(self, place: str, why: str) -> Any:
        """Raise the InputError for a place."""
        raise InputError(f"{', '.join(filter(None, (self.where, place)))}: {why}.")
