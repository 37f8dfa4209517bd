"""Options of commands: one for each declared setting of a config, checked words and numbers, files in the shell."""

import argparse
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import shtab

from pipeline.settings import Setting, settings_of, shown
from workbench.jobs.places import LOCAL

OPTION_ALIASES = {"mask_threshold": ("--mask-phi",)}
CREATING = frozenset(
    (
        *("demo", "serve", "mcp", "doctor", "study", "fetch", "import", "import-premises", "import-pairs"),
        *("write-premises", "generate", "evaluate", "add", "save"),
    )
)
"""Commands that bring something in and so may create the workspace that --workspace names."""


def command(commands: Any, name: str, target: str, help: str) -> argparse.ArgumentParser:
    """Add a command run by workbench.cli.<module>:<function>, imported only when it is used."""
    parser = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    parser.add_argument("--workspace", type=Path, help="folder of the workspace (default: in the user's data folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    module, function = target.split(":")

    def run(options: argparse.Namespace) -> int | None:
        return getattr(import_module(f"workbench.cli.{module}"), function)(options)

    parser.set_defaults(run=run, needs_workspace=name not in CREATING)
    return parser


def add_settings(parser: argparse.ArgumentParser, kind: type, *, on: str = "") -> None:
    """Add one option per declared setting of a config; options left out keep the config's defaults.

    on: the places where its jobs run besides local, which makes --on an option.
    """
    if on:
        add_place(parser, on)
    declared = settings_of(kind)
    for field in fields(kind):
        if field.name not in declared:
            continue
        names = [f"--{field.name.replace('_', '-')}", *OPTION_ALIASES.get(field.name, ())]
        help = option_help(declared[field.name], field.default).replace("%", "%%")
        options: dict[str, Any] = {"dest": f"setting_{field.name}", "default": None, "help": help}
        if field.type is bool:
            parser.add_argument(*names, action=argparse.BooleanOptionalAction, **options)
        elif get_origin(field.type) is tuple:
            parser.add_argument(*names, type=words_between_commas, metavar="A,B", **options)
        elif get_origin(field.type) is Literal:
            parser.add_argument(*names, choices=get_args(field.type), **options)
        else:
            parser.add_argument(*names, type=plain_type(field.type), metavar=field.name.upper(), **options)


def add_place(parser: argparse.ArgumentParser, others: str) -> None:
    """Add --on; the job keeps it, so a resumed one runs where it ran."""
    parser.add_argument(
        "--on",
        default=LOCAL,
        metavar="PLACE",
        help=f"where a job of the workspace runs: local, {others} (default: local)",
    )


def option_help(declared: Setting, default: Any) -> str:
    """Return the help of a setting with its unit, range and default, as docs/settings.md has them."""
    facts = [part for part in (declared.unit, declared.range()) if part]
    shown = declared.empty if default in (None, ()) else default
    return f"{declared.help} ({', '.join(facts)}{'; ' if facts else ''}default: {shown!s})"


def at_least_one(text: str) -> int:
    """Return a number of rows or runs; argparse turns the error into a sentence."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 999,999,999, got {shown(text)}")
    return int(text)


def port_number(text: str) -> int:
    """Return a port; argparse turns the error into a sentence."""
    if not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65,535, got {shown(text)}")
    return int(text)


class Words(argparse.ArgumentParser):
    """A parser that takes options before, between and after the other words of a command."""

    _is_nested = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as parse_known_intermixed_args does; a parser of commands, which cannot, parses as usual."""
        if self._is_nested or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._is_nested = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_nested = False


def words_between_commas(text: str) -> tuple[str, ...]:
    """Return the parts of a list that is typed as one option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def plain_type(annotation: Any) -> type:
    """Return the type that parses an option: of a union, the first that is not None."""
    choices = [kind for kind in get_args(annotation) if kind is not type(None)]
    return choices[0] if choices else annotation


def complete_files(parser: argparse.ArgumentParser) -> None:
    """Let the shell complete file names for every option that takes a path."""
    for action in parser._actions:
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                complete_files(command)
