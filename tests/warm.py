"""Programs of the tests by fork from a process that has imported the big libraries already.

A worker that embeds or trains spends nine seconds of processor time on importing torch, transformers and
sentence-transformers, and the tests start hundreds of them. Here a process without threads imports them once; every
`python -m MODULE` is a fork of it and a process of its own in every other respect: arguments, environment, folder,
output, session, exit status, `kill -9`. The project's own modules are imported as well: they hold nothing until they
are called.

The first programs start as usual while it imports; with DRILL=1 or the fixture `cold_start` all of them do.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ADDRESS = "MULTICSR_TEST_WARM"
"""Environment variable with the socket of the process to fork from; without it programs start as usual."""
READ = f"{ADDRESS}_READ"
"""Environment variable with what read_at_import said when that process started."""
READ_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "CUDA_", "TORCH_", "TOKENIZERS_")
"""Beginnings of variables that these libraries read once: with other values a program has to import them itself."""
_IMPORT_S = 120
_PYTHON = sys.executable  # tests put other programs in its place
PROJECT = Path(__file__).resolve().parents[1]
_folder: Path | None = None
_process: subprocess.Popen[bytes] | None = None


class Forked:
    """A forked program with the part of subprocess.Popen's interface that the callers use."""

    def __init__(
        self, module: str, arguments: list[str], *, cwd: Any, env: dict[str, str], files: list[int], new_session: bool
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(env[ADDRESS])
        told = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": env, "new_session": new_session}
        message = json.dumps(told).encode()
        socket.send_fds(self._connection, [len(message).to_bytes(4, "big")], files)
        self._connection.sendall(message)
        self._said = self._connection.makefile("rb")
        self.pid = int(self._said.readline())
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._connection, selectors.EVENT_READ)
            return self.wait() if self.returncode is None and ready.select(0) else self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status, negative for a signal."""
        with self._lock:
            if self.returncode is None:
                self._connection.settimeout(timeout)
                try:
                    self.returncode = int(self._said.readline() or -signal.SIGKILL)
                except TimeoutError as error:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from error
                self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal while it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start(command: list[str], **options: Any) -> Any:
    """Start `python -m MODULE ...` by fork where that is the same as a start of its own, else as usual."""
    env = dict(options.get("env") or os.environ)
    if _folder and ADDRESS not in os.environ:
        _launch()
    if _folder:
        env |= {name: os.environ[name] for name in (ADDRESS, READ)}
    if command[:2] != [_PYTHON, "-m"] or not _is_alike(env):
        return subprocess.Popen(command, **options)
    stdin, stdout, stderr = (options.get(name) for name in ("stdin", "stdout", "stderr"))
    with Path(os.devnull).open("r+b", buffering=0) as nothing:
        given = [stdin, stdout, stdout if stderr == subprocess.STDOUT else stderr]
        own = enumerate(nothing.fileno() if file == subprocess.DEVNULL else file for file in given)
        files = [place if file is None else file if isinstance(file, int) else file.fileno() for place, file in own]
        cwd, new_session = options.get("cwd") or Path.cwd(), bool(options.get("start_new_session"))
        return Forked(command[2], command[3:], cwd=cwd, env=env, files=files, new_session=new_session)


def program() -> list[str]:
    """Return the words to which a script or another program adds `-m MODULE ...`, once that can be forked."""
    if _folder is None:
        return [_PYTHON]
    if ADDRESS not in os.environ:
        _launch()
    deadline = time.monotonic() + _IMPORT_S
    while not Path(os.environ[ADDRESS]).is_socket() and time.monotonic() < deadline:
        time.sleep(0.1)
    return [_PYTHON, "-I", str(PROJECT / "tests" / "warm_program.py")]


def told() -> dict[str, str]:
    """Return the variables that such a program needs in its environment."""
    return {name: os.environ[name] for name in (ADDRESS, READ) if name in os.environ} | read_at_import(os.environ)


def run(command: list[str], *, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE ...` to its end as subprocess.run does with captured text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options)
        try:
            status = process.wait(timeout)
        except BaseException:
            process.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, out.read().decode(), err.read().decode())


def install() -> None:
    """Let the job runner of this process start its workers with `start`."""
    from workbench.jobs import runner

    runner.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
        Popen=start, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT
    )


def _is_alike(env: dict[str, str]) -> bool:
    if not Path(env.get(ADDRESS, "")).is_socket():  # none, or it imports still
        return False
    return json.loads(env[READ]) == read_at_import(env)


def arguments_of(process: Path) -> list[str]:
    """Return how the process with this folder in /proc was started, a forked one as if it had started by itself."""
    try:
        arguments = (process / "cmdline").read_text().split("\0")[:-1]
        if arguments[1:3] == ["-m", "tests.warm_process"]:
            arguments = json.loads(Path(f"{arguments[3]}.{process.name}").read_text())
    except (OSError, ValueError):  # it ended just now, or is the one that forks
        return []
    return arguments


def read_at_import(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that decide what the libraries are once they are imported."""
    return {name: value for name, value in env.items() if name.startswith(READ_AT_IMPORT)}


def enable(folder: Path) -> None:
    """Start the process to fork from in this folder when the first program is asked for; `end` ends it."""
    global _folder
    _folder = folder
    install()


def _launch() -> None:
    global _process
    assert _folder is not None
    os.environ |= {ADDRESS: str(_folder / "warm"), READ: json.dumps(read_at_import(os.environ))}
    with (_folder / "log").open("wb") as log:
        command = [_PYTHON, "-m", "tests.warm_process", os.environ[ADDRESS]]
        _process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=log)


def end() -> None:
    """Close the input of the process to fork from, which ends it; what it forked goes on."""
    if _process:
        _process.communicate()
