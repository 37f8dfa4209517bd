"""kill -9 of the real server while sessions of the app press Accept.

A press counts as acknowledged when the run that it started has ended in the session, as a person sees it. After each
kill the server is started again, without a word about what was there; sessions connect anew, every one to its own
slice of the triplets. At the end every acknowledged press has to be a decision, no triplet may have been decided
twice, and a rebuild has to give the same decisions.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import websockets

from tests.drills.load import Found, Session, connected, prepare, serving
from workbench.store import Store
from workbench.workspace import rebuild

TRIPLETS = 4_000
DECISIONS = "SELECT annotator, triplet_id, action FROM decisions ORDER BY ALL"


@dataclass
class Kills:
    """What was killed and what came of the decisions."""

    kills: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    rebuilt: bool = False
    faults: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Acknowledged decisions that are not in the workspace."""
        return (self.acknowledged - self.stored).total()

    def table(self) -> str:
        """Return the result in Markdown."""
        unseen = (self.stored - self.acknowledged).total()
        same = "equal" if self.rebuilt else "NOT EQUAL"
        return "\n".join(
            [
                "| kills of the server | acknowledged | lost | doubled | stored and not yet shown | rebuild |",
                "|---|---|---|---|---|---|",
                f"| {self.kills} | {self.acknowledged.total()} | {self.lost} | {self.doubled} | {unseen} | {same} |",
                *(f"- {fault}" for fault in self.faults),
            ]
        )


class Pressing(Session):
    """A session that accepts one triplet after the other until its server is gone."""

    async def press_on(self, random: Random) -> None:
        """Open the queue and press Accept; ends with the connection."""
        try:
            await self.open("")
            while True:
                await self._decide(random, float("inf"))
        except websockets.ConnectionClosed:
            return

    async def _think(self, random: Random) -> None:
        await asyncio.sleep(random.uniform(0.0, 0.1))


async def until_killed(port: int, pid: int, names: dict[str, str], found: Found, random: Random) -> None:
    """Let every session press until the server, which is killed after a random time, is gone."""

    async def one(name: str, among: str) -> None:
        # A busy machine may not open a session in time, or the kill comes first.
        with contextlib.suppress(TimeoutError, OSError, websockets.InvalidMessage):
            async with connected(port) as socket:
                await Pressing(socket, found, name, among).press_on(Random(random.random()))

    async def kill() -> None:
        # Not before somebody has pressed: the first run of a server loads its modules.
        before = found.acknowledged.total()
        deadline = time.monotonic() + 60
        while found.acknowledged.total() == before and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(random.uniform(0.0, 1.5))
        os.kill(pid, signal.SIGKILL)

    await asyncio.gather(kill(), *(one(*item) for item in names.items()))


def drill(kills: int, sessions: int, seed: int = 1) -> Kills:
    """Kill the server so many times under so many sessions and return what was found."""
    result, found, random = Kills(), Found(), Random(seed)
    with tempfile.TemporaryDirectory(prefix="page-kills-", ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "ws"
        made = prepare(root, TRIPLETS, sessions)
        names = {f"session{number}": slice_id for number, slice_id in enumerate(made[:sessions])}
        for _ in range(kills):
            with serving(root) as (port, process):
                asyncio.run(until_killed(port, process.pid, names, found, random))
            result.kills += 1
        with Store(root / "state.duckdb") as store:
            before = store.database.rows(DECISIONS)
        rebuild(root)
        with Store(root / "state.duckdb") as store:
            result.rebuilt = before == store.database.rows(DECISIONS)
    made_once = Counter((annotator, triplet_id) for annotator, triplet_id, _ in before)
    result.doubled = sum(count - 1 for count in made_once.values())
    result.stored.update(annotator for annotator, _, _ in before if annotator in names)
    result.acknowledged, result.faults = found.acknowledged, found.faults
    return result


def main() -> int:
    """Run the drill of the command line and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = drill(options.kills, options.sessions, options.seed)
    sys.stdout.write(found.table() + "\n")
    return int(bool(found.faults or found.lost or found.doubled or not found.rebuilt))


if __name__ == "__main__":
    sys.exit(main())
