"""kill -9 of the owner of a workspace, of its worker, or both, at random moments of every kind of write.

The owner is a process that calls writing actions one after the other and says on a file what each has answered: what
was said is acknowledged. After each kill of the owner torn lines may be added where a killed writer could leave them,
and some owners live with a clock that went backwards. Then the workspace is opened again: what was acknowledged must
be there, once. At the end of each workspace its jobs are finished and a rebuild must give the same rows.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.workbench.processes import worker_of
from tests.workbench.stand_ins import generating
from workbench import journal
from workbench.actions import ACTIONS, call_action
from workbench.jobs.folder import RESUMABLE, JobFolder
from workbench.store import Store
from workbench.store.files import PromptSets, read_notes
from workbench.workspace import Workspace, rebuild

PROJECT = Path(__file__).resolve().parents[2]
TARGETS = ("owner", "worker", "owner and worker", "owner, its worker stopped")
KILLS_A_WORKSPACE = 50
ROWS = 400
"""Rows of a job: it lives through several kills."""
OPEN_S, END_S = 60.0, 120.0
WRITES = ("premises", "triplets", "decide", "undo", "redo", "freeze", "rule", "guidelines", "prompts", "job")


def act(workspace: Workspace, write: str, name: str, random: Random) -> dict[str, Any]:
    """Run one writing action and return what it acknowledged."""

    def call(action: str, /, **arguments: Any) -> dict[str, Any]:
        return call_action(workspace, action, ACTIONS[action], arguments)

    count = random.randint(1, 400)
    if write == "premises":
        text = "\n".join(f"Sentence {i} of {name}." for i in range(count))
        return {"id": call("import_premises", text=text, name=name)["corpus_id"], "rows": count}
    if write == "triplets":
        path = workspace.root.parent / f"{name}.csv"
        rows = (f"Sentence {i} of {name}.,So {i} it is.,Not {i} at all." for i in range(count))
        path.write_text("\n".join(["sent0,sent1,hard_neg", *rows]))
        return {"id": call("import_triplets", path=str(path), name=name)["attempt_id"], "rows": count}
    if write in ("decide", "undo", "redo"):
        if write != "decide":
            return {"id": call(write, annotator="ann")["batch_id"]}
        found = workspace.store.database.rows("SELECT triplet_id FROM triplets LIMIT 1 OFFSET ?", [count])
        if not found:
            return {}
        chosen = random.choice(("accept", "reject", "swap"))
        call("decide", triplet_ids=[found[0][0]], action=chosen, annotator="ann", reason=name)
        return {"id": name}
    if write == "freeze":
        attempts = [row[0] for row in workspace.store.database.rows("SELECT DISTINCT attempt_id FROM triplets")]
        return {"id": call("curate", attempt_ids=attempts[:1], name=name)["snapshot_id"]} if attempts else {}
    if write == "rule":
        call("save_rule", name=name[-40:], rule={"alpha": 2.0})
        return {"id": name[-40:]}
    if write == "guidelines":
        call("save_guidelines", guidelines=name)
        return {"id": name}
    if write == "prompts":
        shown = call("prompt_sets")["prompt_sets"][0]
        return {
            "id": call("save_prompt_set", prompts=shown | {"prompt_set_id": name.replace(" ", "-")})["prompt_set"]
        }
    for job in workspace.jobs.list():
        if job.state in RESUMABLE:
            call("resume", job_id=job.job_id)
    if not any(job.state in ("queued", "running") for job in workspace.jobs.list()):
        return {"id": workspace.jobs.submit(generating(count=ROWS, batch=4, delay_s=0.02)), "rows": ROWS}
    return {}


def own(root: Path, said: Path, seed: int, clock_s: float) -> None:
    """Own the workspace and write until killed."""
    random = Random(seed)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=clock_s)

    journal.datetime = Clock  # type: ignore[misc]
    with said.open("ab", buffering=0) as file:
        with Workspace(root) as workspace:
            file.write(b'{"write": "open"}\n')
            for number in range(10**9):
                write = WRITES[number % len(WRITES)] if random.random() < 0.5 else random.choice(WRITES)
                line = {"write": write} | act(workspace, write, f"{write} {seed} {number}", random)
                file.write(json.dumps(line).encode() + b"\n")


@dataclass
class Found:
    """What was tried and what came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    torn: int = 0
    clock_steps: int = 0
    rebuilds: int = 0

    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or stuck."""
        return not (self.lost or self.doubled or self.stuck)

    def tables(self) -> str:
        """Return the result in Markdown."""
        lines = ["| killed | times |", "|---|---|"]
        lines += [f"| {target} | {self.kills[target]} |" for target in TARGETS]
        lines += [f"| all | {self.kills.total()} |", "", "| acknowledged | |", "|---|---|"]
        lines += [f"| {write} | {count:,} |" for write, count in sorted(self.acknowledged.items())]
        lines += ["", "| lost | doubled | stuck | torn lines added | clocks stepped | rebuilds equal |"]
        bad = f"| {len(self.lost)} | {len(self.doubled)} | {len(self.stuck)} "
        lines += ["|---|---|---|---|---|---|", f"{bad}| {self.torn} | {self.clock_steps} | {self.rebuilds} |"]
        lines += [f"- {what}" for what in (*self.lost, *self.doubled, *self.stuck)]
        return "\n".join(lines)


def drill(kills: int, seed: int, minutes: float = float("inf")) -> Found:
    """Kill so many times, or until the minutes are over, and return what was found."""
    found, random, end = Found(), Random(seed), time.monotonic() + 60 * minutes
    while found.kills.total() < kills and time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as folder:
            one_workspace(Path(folder), min(KILLS_A_WORKSPACE, kills - found.kills.total()), random, found, end)
        sys.stderr.write(f"{found.kills.total()} kills, lost {len(found.lost)}, stuck {len(found.stuck)}\n")
    return found


def one_workspace(folder: Path, kills: int, random: Random, found: Found, end: float) -> None:
    """Kill the owner of one workspace, its worker or both, again and again, until a moment of the monotonic clock."""
    root, said, known = folder / "ws", folder / "said", 0
    said.touch()
    done = 0
    while done < kills and (time.monotonic() < end or not done):
        clock_s = random.choice((0, 0, 0, -3600, -86_400, 7200))
        found.clock_steps += clock_s != 0
        opened = said.read_bytes().count(b'"open"')
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                os.dup2(os.open(folder / "owner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
                own(root, said, random.randrange(2**31), clock_s)
            except BaseException:
                import traceback

                traceback.print_exc()
            os._exit(1)
        if not within(OPEN_S, lambda opened=opened: said.read_bytes().count(b'"open"') > opened):
            found.stuck.append(f"an owner did not open within {OPEN_S:.0f} s")
        while True:
            time.sleep(random.uniform(0.02, 1.0))
            target = random.choice(TARGETS)
            worker = worker_now(root)
            if target == "worker" and worker is not None and done + 1 < kills:
                kill(worker)
                found.kills[target] += 1
                done += 1
                continue
            break
        target = target if worker is not None and target != "worker" else "owner"
        if target == "owner, its worker stopped":
            kill(worker, signal.SIGSTOP)
        elif target == "owner and worker":
            kill(worker)
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            found.stuck.append("an owner ended by itself: " + (folder / "owner.log").read_text()[-2000:])
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if target == "owner, its worker stopped":
            kill(worker, random.choice((signal.SIGCONT, signal.SIGKILL)))
        found.kills[target] += 1
        done += 1
        found.torn += tear(root, random)
        known = check(root, said, known, found)
    finish(root, said, found)


def worker_now(root: Path) -> int | None:
    """Return the process of the job that runs now."""
    for path in sorted((root / "jobs").iterdir(), reverse=True) if (root / "jobs").is_dir() else ():
        if pid := worker_of(root, path.name):
            return pid
    return None


def kill(pid: int | None, how: int = signal.SIGKILL) -> None:
    """Signal a process that may have ended meanwhile."""
    if pid is not None:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            pass


def within(limit_s: float, question: Any) -> bool:
    """Wait until the question is answered with yes, at most this long."""
    deadline = time.monotonic() + limit_s
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def tear(root: Path, random: Random) -> int:
    """Add half a line where the writer is dead, as a kill in the middle of a write leaves it."""
    targets = [root / "decisions.jsonl"]
    for path in (root / "jobs").iterdir() if (root / "jobs").is_dir() else ():
        if JobFolder(path).journal.exists() and not JobFolder(path).is_alive():
            targets.append(JobFolder(path).journal)
    target = random.choice(targets)
    if random.random() < 0.6 or not target.exists():
        return 0
    with target.open("ab") as file:
        file.write(b'{"table": "triplets", "triplet_id": "torn')
    return 1


def acknowledgments(said: Path) -> list[dict[str, Any]]:
    """Return what owners have said, whole lines of it."""
    return [json.loads(line) for line in said.read_bytes().split(b"\n")[:-1] if b'"id"' in line]


def check(root: Path, said: Path, known: int, found: Found) -> int:
    """Look for everything acknowledged; count what is new."""
    lines = acknowledgments(said)
    for line in lines[known:]:
        found.acknowledged[line["write"]] += line["id"] is not None
    with Store(root / "state.duckdb") as store:
        look(root, store, lines, found)
    return len(lines)


def look(root: Path, store: Store, lines: list[dict[str, Any]], found: Found) -> None:
    """Compare the store with what was acknowledged."""

    def ids(sql: str) -> set[Any]:
        return {row[0] for row in store.database.rows(sql)}

    there = {
        "premises": ids("SELECT import_id FROM imports WHERE kind = 'corpus'"),
        "triplets": ids("SELECT import_id FROM imports WHERE kind = 'triplets'"),
        "decide": ids("SELECT reason FROM decisions"),
        "undo": ids("SELECT reverts FROM decision_batches WHERE reverts IS NOT NULL")
        | ids("SELECT batch_id FROM decision_batches"),
        "freeze": ids("SELECT snapshot_id FROM snapshots"),
        "rule": set(read_notes(root).rules),
        "prompts": {prompts.ref for prompts in PromptSets(root).own()},
        "job": {path.name for path in (root / "jobs").iterdir()},
    }
    there["redo"] = there["undo"]
    for line in lines:
        if line["write"] in there and line["id"] is not None and line["id"] not in there[line["write"]]:
            found.lost.append(f"{line['write']} {line['id']}")
    counts = {
        "premises": dict(store.database.rows("SELECT corpus_id, count(*) FROM premises GROUP BY 1")),
        "triplets": dict(store.database.rows("SELECT attempt_id, count(*) FROM triplets GROUP BY 1")),
    }
    for line in lines:
        if line["write"] in counts and counts[line["write"]].get(line["id"], 0) != line["rows"]:
            more = counts[line["write"]].get(line["id"], 0) > line["rows"]
            (found.doubled if more else found.lost).append(f"rows of {line['write']} {line['id']}")
    [(same,)] = store.database.rows("SELECT count(*) - count(DISTINCT (kind, name)) FROM imports")
    [(rows,)] = store.database.rows("SELECT count(*) - count(DISTINCT triplet_id) FROM triplets")
    [(logged,)] = store.database.rows("SELECT count(*) - count(DISTINCT batch_id) FROM decision_batches")
    found.doubled += [f"{number} {what}" for what, number in
                      (("imports", same), ("triplets", rows), ("batches", logged)) if number]  # fmt: skip
    guidelines = [line["id"] for line in lines if line["write"] == "guidelines"]
    if guidelines and read_notes(root).guidelines < guidelines[-1] and not read_notes(root).guidelines:
        found.lost.append("guidelines")


def finish(root: Path, said: Path, found: Found) -> None:
    """Let the jobs end, compare their rows with what their workers acknowledged, and rebuild."""
    with Workspace(root) as workspace:
        for path in sorted((root / "jobs").glob("[!.]*")):
            view = workspace.wait(path.name, timeout_s=END_S)
            while view.state in RESUMABLE:
                workspace.jobs.resume(path.name)
                view = workspace.wait(path.name, timeout_s=END_S)
            if view.state != "finished":
                found.stuck.append(f"{path.name} is {view.state}")
                continue
            rows = {
                row[0]
                for row in workspace.store.database.rows(
                    "SELECT triplet_id FROM triplets WHERE attempt_id = ?", [path.name]
                )
            }
            words = (path / "out" / "acknowledged").read_text().split()
            found.acknowledged["rows of jobs"] += len(words)
            found.lost += [f"row {row}" for row in set(words) - rows]
            if len(rows) != ROWS:
                found.lost.append(f"{path.name} has {len(rows)} rows of {ROWS}")
        before = dump(workspace.store)
    rebuild(root)
    with Store(root / "state.duckdb") as store:
        after = dump(store)
    if before == after:
        found.rebuilds += 1
    else:
        found.lost.append(f"a rebuild differs in {[name for name in before if before[name] != after.get(name)]}")


def dump(store: Store) -> dict[str, list[Any]]:
    """Return every table, sorted; what says how far journals were read is left out."""
    names = [name for name in store.counts() if name not in ("ingested", "migrations")]
    return {name: sorted(store.database.rows(f'SELECT * FROM "{name}"'), key=repr) for name in names}


def stand_in_workers() -> None:
    """Let workers load the quick handlers of the tests."""
    here = PROJECT / "tests" / "workbench"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here), str(PROJECT)])
    os.environ["MULTICSR_TEST_HANDLERS"] = "stand_in_handlers"


def main() -> int:
    """Run the drill of the command line and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stand_in_workers()
    found = drill(options.kills, options.seed, options.minutes)
    sys.stdout.write(found.tables() + "\n")
    return 0 if found.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
