"""The process that tests/warm.py forks programs from, and what it becomes when it is asked for one."""

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
import sys
import threading
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "duckdb", "scipy.stats", "sklearn.linear_model", "rich.progress"),
    *("torch", "transformers", "sentence_transformers", "datasets", "safetensors.torch", "accelerate"),
    *("transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert", "llama_cpp", "streamlit"),
)
PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("workbench/cli", "workbench/actions", "workbench/jobs/handlers")


def own_modules() -> list[str]:
    """Return the modules that commands and jobs begin with; nothing in them is read from the environment."""
    files = [file for room in ROOMS for file in sorted((PROJECT / room).glob("*.py"))]
    return [".".join(file.relative_to(PROJECT).with_suffix("").parts) for file in files if file.stem != "__init__"]


def serve(address: str) -> Any:
    """Fork a child for every request until the input is closed; in the child, return what it was asked for."""
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as ready:
        for name in (*LIBRARIES, *own_modules()):
            importlib.import_module(name)
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
                    _report_ended(address, children)
                else:
                    connection, _ = listener.accept()
                    asked, files = _received(connection)
                    if pid := os.fork():
                        children[pid] = connection
                        named = [sys.executable, "-m", asked["module"], *asked["arguments"]]
                        Path(f"{address}.{pid}").write_text(json.dumps(named))
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


def _report_ended(address: str, children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        Path(f"{address}.{pid}").unlink()
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
    sys.path[:] = [asked["cwd"], *paths, *(path for path in sys.path if path != str(PROJECT))]
    sys.argv = [asked["module"], *asked["arguments"]]
    if asked["module"].startswith(("tests.", "workbench")):
        sys.path.append(str(PROJECT))
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
