"""Programs of the tests by fork from a process that has imported the big libraries already.

A worker that embeds or trains spends nine seconds of processor time on importing torch, transformers and
sentence-transformers, and the tests start hundreds of them. Here a process without threads imports them once; every
`python -m MODULE` is a fork of it and a process of its own in every other respect: arguments, environment, folder,
output, session, exit status, `kill -9`. What the project's own modules hold is imported anew each time.

The first programs start as usual while it imports; with DRILL=1 or the fixture `cold_start` all of them do.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ADDRESS = "MULTICSR_TEST_WARM"
"""Environment variable with the socket of the process to fork from; without it programs start as usual."""
READ = f"{ADDRESS}_READ"
"""Environment variable with what read_at_import said when that process started."""
LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "duckdb", "scipy.stats", "sklearn.linear_model", "rich.progress"),
    *("torch", "transformers", "sentence_transformers", "datasets", "safetensors.torch", "accelerate"),
    *("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert", "llama_cpp", "streamlit"),
)
READ_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "CUDA_", "TORCH_", "TOKENIZERS_")
"""Beginnings of variables that these libraries read once: with other values a program has to import them itself."""
_PROJECT = Path(__file__).resolve().parents[1]
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
    if command[:2] != [sys.executable, "-m"] or not _is_alike(env):
        return subprocess.Popen(command, **options)
    stdin, stdout, stderr = (options.get(name) for name in ("stdin", "stdout", "stderr"))
    with Path(os.devnull).open("r+b", buffering=0) as nothing:
        given = [stdin, stdout, stdout if stderr == subprocess.STDOUT else stderr]
        files = [nothing.fileno() if file == subprocess.DEVNULL else file.fileno() for file in given]
        cwd, new_session = options.get("cwd") or Path.cwd(), bool(options.get("start_new_session"))
        return Forked(command[2], command[3:], cwd=cwd, env=env, files=files, new_session=new_session)


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
    if "MULTICSR_TEST_HANDLERS" in env:  # quick stand-ins, whose processes tests look up by their command line
        return False
    if not Path(env.get(ADDRESS, "")).is_socket():  # none, or it imports still
        return False
    return json.loads(env[READ]) == read_at_import(env)


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
        command = [sys.executable, "-m", "tests.warm", os.environ[ADDRESS]]
        _process = subprocess.Popen(command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=log)


def end() -> None:
    """Close the input of the process to fork from, which ends it; what it forked goes on."""
    if _process:
        _process.communicate()


def serve(address: str) -> Any:
    """Fork a child for every request until the input is closed; in the child, return what it was asked for."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        for library in LIBRARIES:
            importlib.import_module(library)
        gc.freeze()  # no child goes through what is imported here
        threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
        assert len(threads - {"jemalloc_bg_thd"}) == 1, "a fork would lose them; jemalloc starts its own again"
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for source in (listener, woken, sys.stdin):
            ready.register(source, selectors.EVENT_READ)
        children: dict[int, socket.socket] = {}
        listener.bind(f"{address}.soon")
        listener.listen(64)
        Path(f"{address}.soon").rename(address)  # a socket of this name answers
        while True:
            for key, _ in ready.select():
                if key.fileobj is sys.stdin:
                    raise SystemExit(0)
                if key.fileobj is woken:
                    woken.recv(4096)
                    _report_ended(children)
                else:
                    connection, _ = listener.accept()
                    asked, files = _received(connection)
                    if pid := os.fork():
                        children[pid] = connection
                        connection.sendall(f"{pid}\n".encode())
                        for file in files:
                            os.close(file)
                        continue
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for other in (connection, wake, woken, *children.values()):
                        other.close()
                    for number, file in enumerate(files):
                        os.dup2(file, number)
                        os.close(file)
                    return asked


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    message = connection.makefile("rb").read(int.from_bytes(size, "big"))
    return json.loads(message), files


def _report_ended(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as connection:
            try:
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            except OSError:  # whoever asked is gone
                pass


def become(asked: dict[str, Any]) -> None:
    """Be `python -m MODULE ARGUMENTS` in that folder with that environment."""
    if asked["new_session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.stdout.reconfigure(line_buffering=os.isatty(1), write_through=bool(os.environ.get("PYTHONUNBUFFERED")))
    random.seed()
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [asked["cwd"], *paths, *(path for path in sys.path if path != str(_PROJECT))]
    sys.argv = [asked["module"], *asked["arguments"]]
    if asked["module"].startswith("workbench"):
        sys.path.append(str(_PROJECT))
        importlib.import_module("tests.warm").install()
    status: Any = 0
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    if not isinstance(status, int):
        sys.exit(status)
    # As the interpreter ends, except for taking torch and its kin apart: three seconds of processor time.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    become(serve(sys.argv[1]))
