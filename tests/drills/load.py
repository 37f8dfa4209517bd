"""Several sessions of the app and the command line at once, on a workspace with many triplets.

A session speaks Streamlit's own protocol with the real server, as the page in a browser does: it opens pages and
views, reruns them, follows what refreshes itself, and accepts triplets in the queue; between two steps it waits up
to two seconds. The command line lists and decides meanwhile, a new process each time. Before that one session opens
every view once, uncounted, as the first to come loads the modules. At the end every decision that was acknowledged
has to be in the workspace, once.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests import warm
from tests.pages import filled
from workbench.actions import ACTIONS
from workbench.jobs.folder import JobFolder
from workbench.journal import Journal
from workbench.store import Store
from workbench.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[2]
VIEWS = (
    *("", "generate", "train", "evaluate", "embedding_map", "error_analysis"),
    *("curate?view=Rule", "curate?view=List", "curate?view=Snapshots", "curate?view=Judges"),
)
"""Addresses that sessions open; the queue is opened by itself."""
THINK_S = (0.2, 2.0)
ANSWER_S = 120.0
_BATCH = 20_000
JUDGE_JOB = "20260102-000000-000-judge-load"


@dataclass
class Found:
    """What was measured, in seconds, and what came of the decisions."""

    reruns: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory_mb: float = 0.0
    cpu_s: float = 0.0
    """Processor time of the server while it was under load."""

    @property
    def lost(self) -> int:
        """Acknowledged decisions that are not in the workspace."""
        return (self.acknowledged - self.stored).total()

    @property
    def doubled(self) -> int:
        """Decisions beyond those that were acknowledged."""
        return (self.stored - self.acknowledged).total()

    def tables(self) -> str:
        """Return the result in Markdown."""
        lines = ["| what | times | p50 s | p95 s | longest s |", "|---|---:|---:|---:|---:|"]
        pages = [seconds for kind, all_ in self.reruns.items() if kind != "command" for seconds in all_]
        for kind, seconds in [*sorted(self.reruns.items()), ("all reruns of pages", pages)]:
            p50, p95 = np.percentile(seconds, (50, 95)) if seconds else (0, 0)
            lines.append(f"| {kind} | {len(seconds)} | {p50:.2f} | {p95:.2f} | {max(seconds, default=0):.2f} |")
        lines += [
            "",
            f"{self.acknowledged.total()} decisions acknowledged, {self.lost} lost, {self.doubled} doubled;",
        ]
        each = f"{1000 * self.cpu_s / max(1, len(pages)):.0f} ms of its processor time a rerun"
        lines += [f"largest memory of the server {self.memory_mb:,.0f} MB, {each}. Faults: {len(self.faults)}."]
        return "\n".join([*lines, *(f"- {fault}" for fault in self.faults)])


def prepare(root: Path, triplets: int, sessions: int) -> list[str]:
    """Fill every stage, import so many triplets with scores, and save a slice per session; return the slices."""
    with Workspace(root) as workspace:
        filled.fill(workspace)
        path = root.parent / "triplets.csv"
        with path.open("w") as file:
            file.write("sent0,sent1,hard_neg\n")
            for number in range(triplets):
                file.write(f"Somebody counts to {number}.,A person counts to {number}.,Nobody counts to {number}.\n")
        attempt = ACTIONS["import_triplets"](workspace, path=str(path), name="many")["attempt_id"]
        judge(workspace, attempt, triplets)
        ids = [f"{attempt}-{number}" for number in range(triplets)]
        each = min(1_000, triplets // (sessions + 1))
        made = (
            ACTIONS["save_slice"](workspace, name=f"slice {n}", triplet_ids=ids[n * each : (n + 1) * each])
            for n in range(sessions)
        )
        return [slice_["slice_id"] for slice_ in made] + ids[sessions * each : (sessions + 1) * each]


def judge(workspace: Workspace, attempt: str, triplets: int) -> None:
    """Leave the scores of a finished job and wait until they are stored."""
    filled.finished_job(workspace, JUDGE_JOB, "judge", [], total=triplets, settings={"attempt_ids": [attempt]})
    generator = np.random.default_rng(0)
    journal = Journal(JobFolder(workspace.root / "jobs" / JUDGE_JOB).journal)
    for first in range(0, triplets, _BATCH):
        count = min(_BATCH, triplets - first)
        scores = np.clip(generator.normal((3.8, 2.4), (0.9, 1.1), (count, 2)), 0, 5).round(3).tolist()
        rows = [
            {"table": "judgements", "triplet_id": f"{attempt}-{first + i}", "judge_id": filled.JUDGE}
            | {"calibration": "test", "a_raw": a, "b_raw": b, "a": a, "b": b}
            for i, (a, b) in enumerate(scores)
        ]
        journal.append(rows)
    journal.close()
    workspace.wait(JUDGE_JOB, timeout_s=900)


class Session:
    """One session of the app, as a page in a browser holds it."""

    def __init__(self, socket: Any, found: Found, name: str, among: str) -> None:
        self._socket, self._found, self._name, self._among = socket, found, name, among
        self._address = ("", "")
        self._buttons: dict[str, tuple[str, str]] = {}
        """Label -> id and fragment."""
        self._refresh: dict[str, float] = {}
        """Fragment -> seconds after which it is drawn again."""

    async def live(self, random: Random, until: float) -> None:
        """Work until a moment of the monotonic clock."""
        await self.open("")
        while time.monotonic() < until:
            match random.choices(("open", "again", "queue"), (3, 3, 4))[0]:
                case "open":
                    await self.open(random.choice(VIEWS))
                case "again":
                    await self._rerun("rerun")
                case _:
                    await self._decide(random, until)
            await self._think(random)

    async def open(self, address: str, kind: str = "") -> None:
        """Open a page by its address."""
        page, _, query = address.partition("?")
        self._address = (page, "&".join(filter(None, (query, f"annotator={self._name}"))))
        await self._rerun(kind or f"open {address or 'home'}")

    async def _decide(self, random: Random, until: float) -> None:
        await self.open(f"curate?view=Queue&attempt=all&among={self._among}", "open the queue")
        for _ in range(random.randint(1, 6)):
            if time.monotonic() > until or "Accept" not in self._buttons:
                return
            await self._think(random)
            button, fragment = self._buttons["Accept"]
            await self._rerun("accept in the queue", button=button, fragment=fragment)
            self._found.acknowledged[self._name] += 1

    async def _think(self, random: Random) -> None:
        """Wait as a person does; what refreshes itself is drawn again meanwhile."""
        due = random.uniform(*THINK_S)
        for fragment, every in list(self._refresh.items()):
            if every <= due or random.random() < due / every:
                await self._rerun("what refreshes itself", fragment=fragment, by_itself=True)
        await asyncio.sleep(due)

    async def _rerun(self, kind: str, *, button: str = "", fragment: str = "", by_itself: bool = False) -> None:
        asked = BackMsg()
        state = asked.rerun_script
        state.page_name, state.query_string = self._address
        state.fragment_id, state.is_auto_rerun = fragment, by_itself
        if button:
            pressed = state.widget_states.widgets.add()
            pressed.id, pressed.trigger_value = button, True
        if not fragment:
            self._buttons, self._refresh = {}, {}
        start = time.monotonic()
        await self._socket.send(asked.SerializeToString())
        while not self._took(await asyncio.wait_for(self._socket.recv(), ANSWER_S)):
            pass
        self._found.reruns[kind].append(time.monotonic() - start)

    def _took(self, data: bytes) -> bool:
        """Take in one message; return whether the run has ended."""
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if kind == "auto_rerun":
            self._refresh[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "exception":
                self._found.faults.append(f"{self._address}: {element.exception.message[:300]}")
            elif element.WhichOneof("type") == "toast":
                self._found.faults.append(f"{self._address}: {element.toast.body[:300]}")
            elif element.WhichOneof("type") == "button":
                self._buttons[element.button.label] = element.button.id, message.delta.fragment_id
        return kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN


@contextmanager
def serving(root: Path) -> Iterator[tuple[int, subprocess.Popen]]:
    """Run the command that people run; give its port and process."""
    from tests.pages.browsing import free_port

    port = free_port()
    command = [sys.executable, "-m", "workbench", "serve", "--no-token", "--workspace", str(root)]
    log = (root.parent / "server.log").open("wb")
    process = warm.start([*command, "--port", str(port)], cwd=PROJECT, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.2)
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def command_line(root: Path, ids: list[str], found: Found, until: float) -> None:
    """List and decide by commands until a moment of the monotonic clock."""
    for number, triplet_id in enumerate(ids):
        if time.monotonic() > until:
            return
        decides = number % 2 == 0
        what = ["decide", triplet_id, "--reject", "--by", "command"] if decides else ["list", "--limit", "20"]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "workbench", "curate", *what, "--workspace", str(root)],
            **{"cwd": PROJECT, "capture_output": True, "text": True, "check": False},
        )
        found.reruns["command"].append(time.monotonic() - start)
        if done.returncode:
            found.faults.append(f"curate {what}: {done.stderr[:300]}")
        found.acknowledged["command"] += decides and not done.returncode
        time.sleep(1)


async def sessions_at(port: int, names: dict[str, str], found: Found, seed: int, until: float) -> None:
    """Run a session per name (name -> slice) side by side."""

    async def one(number: int, name: str, among: str) -> None:
        async with connected(port) as socket:
            await Session(socket, found, name, among).live(Random(seed + number), until)

    await asyncio.gather(*(one(number, *item) for number, item in enumerate(names.items())))


def connected(port: int) -> Any:
    """Return the connection of one session."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    return websockets.connect(address, subprotocols=["streamlit"], max_size=None, proxy=None, ping_interval=None)


async def warm_up(port: int, among: str) -> None:
    """Open every view once."""
    async with connected(port) as socket:
        session = Session(socket, Found(), "first", among)
        for view in (*VIEWS, f"curate?view=Queue&attempt=all&among={among}"):
            await session.open(view)


def drill(triplets: int, sessions: int, seconds: float, seed: int = 1) -> Found:
    """Load a server with so many sessions on so many triplets and return what was found."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="load-", ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "ws"
        made = prepare(root, triplets, sessions)
        names = {f"session{number}": slice_id for number, slice_id in enumerate(made[:sessions])}
        with serving(root) as (port, process):

            async def everything() -> None:
                await warm_up(port, made[0])
                before, until = cpu_s(process.pid), time.monotonic() + seconds
                commands = asyncio.to_thread(command_line, root, made[sessions:], found, until)
                await asyncio.gather(sessions_at(port, names, found, seed, until), commands)
                found.cpu_s = cpu_s(process.pid) - before

            asyncio.run(everything())
            found.memory_mb = largest_mb(process.pid)
        with Store(root / "state.duckdb") as store:
            rows = store.database.rows("SELECT annotator, count(*) FROM decisions GROUP BY 1")
        found.stored.update(dict(rows))
    return found


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def largest_mb(pid: int) -> float:
    """Return the largest memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> int:
    """Run the drill of the command line and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triplets", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = drill(options.triplets, options.sessions, 60 * options.minutes, options.seed)
    sys.stdout.write(found.tables() + "\n")
    return int(bool(found.faults or found.lost or found.doubled))


if __name__ == "__main__":
    sys.exit(main())
