"""Entry of the command line, and what every command uses: access to the workspace, output, following a job."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.durable import os_error_sentence, write_text
from pipeline.files.source import elsewhere
from pipeline.records import InputError, StorageError, TrainingError
from workbench.cli.parser import build_parser
from workbench.jobs.places import LOCAL
from workbench.workspace import RemoteFailure, RemoteWorkspace, Workspace, require_workspace, workspace_root

Answer = dict[str, Any]
"""What an action returns: names and JSON values."""
Call = Callable[..., Answer]
"""call(action_name, **arguments) -> the action's answer."""
POLL_SECONDS = 0.3
SECONDS_BETWEEN_LINES = 10.0
"""Where progress is told in lines."""
ENDED = ("finished", "failed", "cancelled", "paused", "interrupted")
OK, BAD_INPUT, JOB_FAILED, INTERRUPTED = 0, 2, 3, 130
"""Exit statuses: done; something given cannot be used; a job ended without its result; stopped by the user."""


class _Output(Console):
    """Standard output; a reader that closes the pipe (`| head`) ends the command quietly, see main."""

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
    except OSError as error:  # the error names the temporary file, which means nothing to the user
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_target(path: Path | None) -> None:
    """Raise InputError if the file of --json cannot be written, before a long command starts."""
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


@contextmanager
def access(named: Namespace | Path) -> Iterator[Call]:
    """Yield a function that runs an action on a workspace or that of the options: through its server if one owns it.

    A workspace that --workspace names is created only by commands that bring something in.
    """
    root = named if isinstance(named, Path) else workspace_root(named.workspace)
    if isinstance(named, Namespace) and named.workspace is not None and named.needs_workspace:
        require_workspace(root)
    remote = RemoteWorkspace.find(root)
    if remote is not None:
        yield remote.call
        return
    from workbench.actions import ACTIONS, call_action

    with Workspace(root) as workspace:
        yield lambda name, /, **arguments: call_action(workspace, name, ACTIONS[name], arguments)


def ask(options: Namespace, action: str, /, **arguments: Any) -> Answer:
    """Run one action on the workspace of the options and return its answer."""
    with access(options) as call:
        return call(action, **arguments)


def settings(options: Namespace) -> dict[str, Any]:
    """Return the settings that were given, by field name."""
    prefix = "setting_"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix) and value is not None
    }


class JobFailedError(RuntimeError):
    """Seen by the person who waited for a job that ended without its result."""


def watch(call: Call, job_id: str, *, label: str) -> Answer:
    """Show a job's progress until it ends and return its last view; Ctrl-C pauses the job, which can be resumed.

    Raises InputError with the job's own sentence when it failed, JobFailedError when it was stopped elsewhere.
    """
    with following(label) as progress:
        try:
            view = follow(call, job_id, label, progress)
        except KeyboardInterrupt:
            call("pause", job_id=job_id)
            progress.say(f"Paused. Resume with: python -m workbench resume {job_id}")
            raise
    if view["state"] == "failed":
        raise JobFailedError(f"{label} failed: {view['message']}")
    if view["state"] != "finished":
        raise JobFailedError(f"{label} is {view['state']}. Resume with: python -m workbench resume {job_id}")
    return view


def follow(call: Call, job_id: str, label: str, progress: "Following") -> Answer:
    """Poll until the job ends, showing how far it is."""
    while True:
        view = call("job", job_id=job_id)
        doing = f", {view['message']}" if view["message"] and not view["done"] and view["state"] == "running" else ""
        rate = f"{view['rate']:.1f}/s" if view.get("rate") else ""
        progress.show(label + doing, view["done"], view["total"], rate=rate)
        if view["state"] in ENDED and view["settled"]:
            return view
        time.sleep(POLL_SECONDS)


class Following:
    """How far something is: a bar in a terminal, elsewhere (a log, a pipe) a line every few seconds."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._bar = progress.add_task(label, total=None, rate="")
        self._said, self._last_line = "", time.monotonic()
        if not progress.console.is_terminal:
            self.say(f"{label}: starting")

    def show(self, what: str, done: int, total: int, rate: str = "") -> None:
        """Show this state; total 0 stands for a length that is not known yet."""
        if self._progress.console.is_terminal:
            self._progress.update(self._bar, description=what, completed=done, total=total or None, rate=rate)
            return
        is_due = time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES
        if is_due or (total and done == total):
            line = f"{what}: {done:,} of {total:,} {rate}".rstrip() if total else f"{what}: preparing"
            if is_due or line != self._said:
                self.say(line)
                self._said, self._last_line = line, time.monotonic()

    def say(self, line: str) -> None:
        """Print a line beside the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def following(label: str) -> Iterator[Following]:
    """Show progress on standard error until the block ends."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Following(progress, label)


def require_file(path: Path, *, or_folder: bool = False) -> Path:
    """Return the absolute path of an existing file, or folder where that will do. Raises InputError otherwise.

    One in object storage is returned as it is.
    """
    if elsewhere(path):
        return path
    if path.is_file() or (or_folder and path.exists()):
        return path.resolve()
    raise InputError(f"There is no file {'or folder ' if or_folder else ''}{path}: check the name.")


def require_here(options: Namespace, option: str) -> None:
    """Refuse --on beside an option that takes a command out of the workspace: it would be ignored."""
    if options.on != LOCAL:
        raise InputError(f"--on {options.on} is for jobs of the workspace; with {option} this process works itself.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    errors = Console(stderr=True, highlight=False)
    try:
        _require_text(given)
        options = build_parser().parse_args(with_freeze(given))
        check_target(options.json)
        return options.run(options) or OK
    except (JobFailedError, RemoteFailure, TrainingError) as error:
        return _refused(errors, str(error), JOB_FAILED)
    except (InputError, StorageError) as error:
        return _refused(errors, str(error), BAD_INPUT)
    except BrokenPipeError:  # `| head` has read enough: discard what is still printed, at exit too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        return _refused(errors, os_error_sentence(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _refused(errors, "Stopped.", INTERRUPTED)


def with_freeze(arguments: Sequence[str]) -> list[str]:
    """Return the words with `freeze` after a `curate` that goes straight on to options: its earlier form."""
    words = list(arguments)
    if words[:1] == ["curate"] and len(words) > 1 and words[1].startswith("--") and words[1] != "--help":
        words.insert(1, "freeze")
    return words


def _require_text(arguments: Sequence[str]) -> None:
    """Raise InputError for an argument that is not UTF-8: neither JSON nor the database could keep it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode(errors="backslashreplace").decode()
            raise InputError(f"{shown} is not valid UTF-8: rename the file, or retype the text.") from error


def _refused(errors: Console, sentence: str, status: int) -> int:
    errors.print(sentence, markup=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
