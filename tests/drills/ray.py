"""kill -9 of nodes of a Ray cluster, of the driver of a job on it, and of the owner of its workspace, at random.

    python -m tests.drills.ray --kills 50

The cluster has two nodes on this machine; a killed one is replaced by a new one. The LLM sleeps for a fixed time per
row. The owner is a process that resumes what was interrupted. Every row that was in the journal at a kill must be in
the database at the end, once, and the job has to end complete.
"""

import argparse
import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from pipeline.config import GenerationConfig
from tests.ray_cluster import ray_nodes
from tests.workbench.processes import worker_of
from tests.workbench.store_samples import premises
from workbench.jobs.folder import JobFolder
from workbench.jobs.kinds import GenerateSpec
from workbench.journal import read_rows
from workbench.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[2]
TARGETS = ("node", "driver", "owner")
ROWS_A_KILL, END_S = 150, 300.0
OWNER = """
import sys, time
from pathlib import Path
from workbench.workspace import Workspace
with Workspace(Path(sys.argv[1])) as workspace:
    while True:
        for job in workspace.jobs.list():
            if job.state in ("interrupted", "failed"):
                workspace.jobs.resume(job.job_id)
        time.sleep(0.2)
"""


def owner(root: Path) -> "subprocess.Popen[bytes]":
    """Start a process that owns the workspace."""
    return subprocess.Popen([sys.executable, "-c", OWNER, str(root)], cwd=PROJECT)


def written(folder: JobFolder) -> list[str]:
    """Premises of the rows in the journal."""
    return [row["premise_id"] for row in read_rows(folder.journal) if row["table"] == "triplets"]


def main() -> int:
    """Kill, count, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["MULTICSR_TEST_HANDLERS"] = "tests.workbench.ray_handlers"
    random, kills, acknowledged = Random(options.seed), Counter[str](), set[str]()
    count = ROWS_A_KILL * options.kills
    with tempfile.TemporaryDirectory() as temporary, ray_nodes(2) as nodes:
        root = Path(temporary) / "ws"
        with Workspace(root) as workspace:
            spec = GenerateSpec(GenerationConfig(), on=f"ray:{nodes.address}")
            job_id = workspace.jobs.submit(spec, premises(count))
        folder, process = JobFolder(root / "jobs" / job_id), owner(root)
        atexit.register(lambda: process.kill())  # the one of that moment
        while kills.total() < options.kills and folder.status().state != "finished":
            known, since = len(written(folder)), time.monotonic()
            while len(written(folder)) == known and time.monotonic() - since < 30:  # each kill falls into the work
                time.sleep(0.2)
            time.sleep(random.random())
            target = random.choice(TARGETS)
            acknowledged |= set(written(folder))
            if target == "node":
                nodes.kill(random.choice(nodes.workers))
                nodes.add()
            elif target == "driver" and (pid := worker_of(root, job_id)):
                os.kill(pid, signal.SIGKILL)
            elif target == "owner":
                process.kill()
                process.wait()
                process = owner(root)
            else:
                continue
            kills[target] += 1
            print(f"{kills.total()} {target}, {known:,} rows written", file=sys.stderr, flush=True)
        deadline = time.monotonic() + END_S
        while folder.status().state != "finished" and time.monotonic() < deadline:
            time.sleep(0.5)
        state, details = folder.status().state, folder.status().details
        process.kill()
        process.wait()
        with Workspace(root) as workspace:
            workspace.wait(job_id, timeout_s=60)
            stored = [row[0] for row in workspace.store.database.rows("SELECT premise_id FROM triplets")]
        rows = Counter(written(folder))
    lost, doubled = len(acknowledged - set(stored)), sum(number > 1 for number in rows.values())
    lines = ["| killed | times |", "|---|---|", *(f"| {name} | {kills[name]} |" for name in TARGETS)]
    lines += [f"| all | {kills.total()} |", "", f"The job is {state}: {len(stored):,} of {count:,} rows."]
    lines += [f"Acknowledged before a kill: {len(acknowledged):,}; lost {lost}, doubled {doubled}."]
    lines += [f"Actors lost in the last run: {details.get('cluster', {}).get('lost_actors', 0)}."]
    print("\n".join(lines))
    return 0 if state == "finished" and not lost and not doubled and len(stored) == count else 1


if __name__ == "__main__":
    sys.exit(main())
