"""The demo with few premises written live and one seed: every stage for real, in processes of their own."""

import json
from pathlib import Path

from pipeline.studies.spec_file import read_study
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import study_file
from workbench.workspace import Workspace

LIVE = 4
LARGEST_MB = 300


def test_the_demo_writes_a_few_triplets_runs_the_study_stages_and_keeps_one_encoder(
    own_workspace: Path, tmp_path: Path, workbench, cold_start
):
    answer = tmp_path / "answer.json"
    done = workbench("demo", "--limit", LIVE, "--seeds", 1, "--json", answer)

    logs = [log.read_text() for log in own_workspace.glob("jobs/*/log")]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *logs])
    assert "held-out triplets" in done.stdout and "without it are at a disadvantage" in " ".join(done.stdout.split())
    assert f"Written just now for {LIVE} premises:" in done.stdout
    study = read_study(study_file(Path("stages")), sample=SAMPLE_CORPUS)
    report = json.loads(answer.read_text())
    assert [row["arm"] for row in report["rows"]] == ["untrained", *(arm.name for arm in study.arms)]
    assert all(0 <= row["scores"]["held-out triplets"]["mean"] <= 100 for row in report["rows"])
    assert report == json.loads((own_workspace / "studies" / "stages" / "report.json").read_text())
    grid = json.loads((own_workspace / "studies" / "stages" / "grid.json").read_text())
    assert {cell["state"] for cell in grid["cells"]} == {"done"} and len(grid["cells"]) == len(study.arms)
    for told in ("Stage 1: writing triplets", "Stage 2: judging", "Stage 3: training one encoder", "of 800"):
        assert told in done.stderr, "every part says that it is at work"
    with Workspace(own_workspace) as workspace:
        for job in workspace.jobs.list():
            assert workspace.wait(job.job_id, timeout_s=120).state == "finished"
        kinds = sorted(job.kind for job in workspace.jobs.list())
        attempts = workspace.store.triplets.attempts()
        snapshots = {snapshot.name: snapshot.rows for snapshot in workspace.store.snapshots.list()}
        scores = workspace.store.scores.held_out()
    assert kinds == ["evaluate", "generate", "judge", "project", "train"]
    assert sorted(attempts["rows"])[0] == LIVE and sorted(attempts["omega"]) == [0.0, 0.6, 0.6]
    assert snapshots["stages 1 and 2"] < snapshots["stage 1"]
    # The run that is kept is the study's cell of the same arm and seed.
    [row] = [row for row in report["rows"] if row["arm"] == "1+2+3"]
    assert round(100 * max(scores["accuracy"]), 2) == round(row["scores"]["held-out triplets"]["mean"], 2)
    size = sum(path.stat().st_size for path in own_workspace.rglob("*") if path.is_file()) / 1e6
    assert size < LARGEST_MB, f"the workspace takes {size:.0f} MB"
