"""The demo with few premises written live and one seed: every stage for real, the study's runs cut to few steps."""

import json
from pathlib import Path

import pytest

from tests.conftest import DRILL
from workbench.cli import demo
from workbench.cli.parser import build_parser
from workbench.study_runs import SHIPPED
from workbench.workspace import Workspace

LIVE, STEPS = 3, 100 if DRILL else 2
LARGEST_MB = 300
ARMS = ["plain", "1", "2", "3", "1+2", "1+3", "2+3", "1+2+3"]


@pytest.mark.drill
def test_the_demo_writes_a_few_triplets_runs_the_study_stages_and_keeps_one_encoder(
    own_workspace: Path, tmp_path: Path, capfd
):
    answer = tmp_path / "answer.json"
    options = build_parser().parse_args(["demo", "--limit", str(LIVE), "--seeds", "1", "--json", str(answer)])
    assert options.file == Path("stages")
    options.file = tmp_path / "stages.yaml"
    shipped = (SHIPPED / "stages.yaml").read_text()
    assert "steps: 100," in shipped
    options.file.write_text(
        shipped.replace("steps: 100,", f"steps: {STEPS},").replace("every: 20,", f"every: {STEPS},")
    )

    demo.run(options)

    told = capfd.readouterr()
    assert "held-out triplets" in told.out and "without it are at a disadvantage" in told.out
    assert f"Written just now for {LIVE} premises:" in told.out
    report = json.loads(answer.read_text())
    assert [row["arm"] for row in report["rows"]] == ["untrained", *ARMS]
    assert all(0 <= row["scores"]["held-out triplets"]["mean"] <= 100 for row in report["rows"])
    assert report == json.loads((own_workspace / "studies" / "stages" / "report.json").read_text())
    grid = json.loads((own_workspace / "studies" / "stages" / "grid.json").read_text())
    assert [cell["state"] for cell in grid["cells"]] == ["done"] * len(ARMS)
    steps = f"of {STEPS * len(ARMS)}"
    for words in ("Stage 1: writing triplets", "Stage 2: judging", "Stage 3: training one encoder", steps):
        assert words in told.err, "every part says that it is at work"
    with Workspace(own_workspace) as workspace:
        for job in workspace.jobs.list():
            assert workspace.wait(job.job_id, timeout_s=600).state == "finished", workspace.jobs.log(job.job_id)
        kinds = sorted(job.kind for job in workspace.jobs.list())
        attempts = workspace.store.triplets.attempts()
        snapshots = {snapshot.name: snapshot.rows for snapshot in workspace.store.snapshots.list()}
        [run] = [job.job_id for job in workspace.jobs.list() if job.kind == "train"]
        scores = workspace.store.scores.held_out().set_index("encoder_id")["accuracy"]
    assert kinds == ["evaluate", "generate", "judge", "project", "train"]
    assert sorted(attempts["rows"])[0] == LIVE and sorted(attempts["omega"]) == [0.0, 0.6, 0.6]
    assert snapshots["stages 1+2+3"] < snapshots["stage 1"]
    # The run that is kept is the study's cell of the same arm and seed.
    assert round(100 * scores[run], 2) == round(report["rows"][-1]["scores"]["held-out triplets"]["mean"], 2)
    size = sum(path.stat().st_size for path in own_workspace.rglob("*") if path.is_file()) / 1e6
    assert size < LARGEST_MB, f"the workspace takes {size:.0f} MB"
