"""The demo with a few premises written live and one seed: every stage for real."""

import json
import subprocess
import sys
from pathlib import Path

from workbench.workspace import Workspace

ARMS = ["untrained", "plain generation", "+ stage 1", "+ stage 2", "+ stage 3", "stages 1 and 3, without curation"]


def test_the_demo_without_sts_data_says_so_and_compares_arms_on_held_out_triplets(
    own_workspace: Path, tmp_path: Path, command_environment: dict[str, str]
):
    answer = tmp_path / "answer.json"
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "demo", "--limit", "8", "--seeds", "1", "--json", str(answer)],
        capture_output=True,
        text=True,
        env=command_environment,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "held-out triplets" in done.stdout
    assert (
        "Written just now for 8 premises:" in done.stdout and "plain generation is at a disadvantage" in done.stdout
    )
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if line[:1] in "┃│"), "the table fits a terminal"
    result = json.loads(answer.read_text())
    assert [row["arm"].split(" (")[0] for row in result["arms"]] == ARMS
    assert all(0 <= score <= 100 for row in result["arms"] for score in row["scores"])
    with Workspace(own_workspace) as workspace:
        attempts = workspace.store.triplets.attempts()
        states = {view.kind: view.state for view in workspace.jobs.list() if view.kind != "project"}
        snapshots = {snapshot.name: snapshot.rows for snapshot in workspace.store.snapshots.list()}
    assert sorted(attempts["rows"])[0] == 8 and sorted(attempts["rows"])[1] == sorted(attempts["rows"])[2] >= 3_000
    assert sorted(attempts["omega"]) == [0.0, 0.6, 0.6]
    assert set(states.values()) == {"finished"}
    assert snapshots["stages 1 and 2"] < snapshots["stage 1"] < sorted(attempts["rows"])[1]
