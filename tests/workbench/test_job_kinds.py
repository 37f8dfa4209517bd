"""The table of kinds of jobs, and specs as files: what this version writes and what earlier ones wrote."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import GenerationConfig, ScratchConfig
from pipeline.curation.calibration import Calibration
from pipeline.curation.judges import Ensemble
from pipeline.evaluation.behaviour import Case
from pipeline.generation.llms.registry import EMBEDDED_ENTRY
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import InputError, Side
from pipeline.train_config import TrainConfig
from tests.workbench.stand_ins import generating
from workbench.doctor.checks import jobs as examine_jobs
from workbench.jobs import handlers, kinds
from workbench.jobs.folder import JobFolder, JobRecord, Status, read_jobs
from workbench.jobs.kinds import KINDS
from workbench.workspace import Workspace, rebuild

CURVE = Calibration("llm:x", "1", (0.0, 1.0), (0.0, 5.0), 0.5, 0.1, "STSB-dev", 10, 10)
ENSEMBLE = Ensemble("ensemble:both", ("a", "b"), (0.0, 0.0), (1.0, 1.0), (0.5, 0.5))
SHIPPED = (GenerationConfig(omega=0.3), prompt_set("default"), EMBEDDED_ENTRY)
FULL = (
    kinds.GenerateSpec(*SHIPPED, corpus="c", corpus_id="1", origin="o", earlier=("a", "b"), replaces="t"),
    kinds.WritePremisesSpec(ScratchConfig(topics=("dogs",)), EMBEDDED_ENTRY, "scratch"),
    kinds.GridSpec(*SHIPPED, ("A.", "B."), (0.0, 0.5)),
    kinds.LensSpec(*SHIPPED, "A.", Side.HARD_NEGATIVE),
    kinds.AskSpec(GenerationConfig(), EMBEDDED_ENTRY, "Say"),
    kinds.TokensSpec(EMBEDDED_ENTRY, prompt_set("default"), "A.", Side.POSITIVE),
    kinds.CheckSpec(EMBEDDED_ENTRY, kinds.HubModel("owner/name", "0" * 40)),
    kinds.FetchPremisesSpec("owner/name/file.txt", "0" * 40, None, "c", 5),
    kinds.JudgeSpec(("llm:x",), ("a",), None, {"x": EMBEDDED_ENTRY}, {"llm:x": CURVE}, {"ensemble:both": ENSEMBLE}),
    kinds.CalibrateSpec(("llm:x",), ("a",), "/gold", task="STSB-dev", pairs=60, ensemble="both"),
    kinds.HygieneSpec(("a",), None, "static-minilm", 0.8),
    kinds.TrainSpec(TrainConfig(steps=7, learning_rate=0.1), "a run", "s", "/sts", "s", "snapshot"),
    kinds.PreviewSpec("static-minilm", "key"),
    kinds.StudySpec("name", "/file.yaml", None, True, "python"),
    kinds.EvaluateSpec("static-minilm", "static-minilm", "/sts"),
    kinds.FetchSpec("sts", ("STSB",), "/tasks"),
    kinds.ProjectSpec((kinds.MapEncoder("e", "/e", "E"),), "pca", "c", 3, None, "key"),
    kinds.SearchSpec("A.", "/e", "/vectors.npy", 5, "key"),
    kinds.ExplainSpec("/e", "e", "A.", "B.", "/pairs.parquet", 5),
    kinds.BehaviourSpec("/e", "e", (Case.of("own", "same", "A.", "B.", None),)),
    kinds.MarginsSpec("/e", "e", "current"),
)


def test_every_kind_has_a_handler_and_each_handler_of_a_job_its_kind():
    folder = Path(str(handlers.__path__[0]))
    runnable = {
        (path.stem, kind)
        for path in folder.glob("*.py")
        for kind in re.findall(r"^def run_(\w+)\(context: JobContext\[", path.read_text(), re.M)
    }
    assert runnable == {(kind.room, kind.name) for kind in KINDS.values()}
    assert {type(spec) for spec in FULL} == {kind.spec for kind in KINDS.values()}


@pytest.mark.parametrize("spec", FULL, ids=lambda spec: type(spec).__name__)
def test_a_spec_is_read_as_it_was_written(spec, tmp_path):
    record = JobRecord("job", "title", "2026-01-01", spec)
    folder = JobFolder(tmp_path / "job")
    folder.create(record, Status())
    assert folder.record() == record


def stored(kind: str, settings: dict) -> kinds.JobSpec:
    """Read a spec.json with these settings."""
    named = {"job_id": "j", "kind": kind, "title": "t", "created_at": "2026-01-01"}
    return JobRecord.from_json(json.loads(json.dumps(named | {"settings": settings}))).spec


def test_specs_of_earlier_versions_are_read():
    """As 0.1 wrote them: fewer settings, some that are gone, prompts and LLM by name only, one encoder per map."""
    written = stored("generate", {"config": {"llm": "x", "omega": 0.2, "beam": 4}, "corpus": "river", "gone": 1})
    assert written == kinds.GenerateSpec(GenerationConfig(llm="x", omega=0.2), corpus="river")
    run = stored("train", {"config": {"steps": 20, "seed": 3}, "snapshot_id": "s"})
    assert run == kinds.TrainSpec(TrainConfig(steps=20, seed=3), name="", snapshot_id="s")
    drawn = stored("project", {"encoder": "/e", "encoder_id": "e", "method": "umap", "corpus": "c"})
    assert drawn == kinds.ProjectSpec((kinds.MapEncoder("e", "/e"),), "umap", "c")
    judged = stored("judge", {"judges": ["a"], "attempt_ids": ["1", "2"], "gold_dir": None})
    assert judged == kinds.JudgeSpec(("a",), ("1", "2"))


def test_settings_that_are_out_of_range_today_were_good_when_they_were_written():
    spec = stored("generate", {"config": {"omega": 1.5, "max_new_tokens": 9}})
    assert (spec.config.omega, spec.config.max_new_tokens, spec.config.top_p) == (1.5, 9, 1.0)
    with pytest.raises(InputError, match="omega"):
        replace(spec.config, seed=1)


def spoil(jobs: Path) -> None:
    """Leave among the jobs what other programs, a full disk and a later version leave."""
    (jobs / "Thumbs.db").write_bytes(b"\0")
    (jobs / "lost+found").mkdir()
    for name, content in {
        "empty": b"",
        "torn": b'{"job_id": "torn", "kind": "gen',
        "list": b"[]",
        "later": b'{"job_id": "later", "kind": "dream", "title": "", "created_at": "", "settings": {}}',
        "odd": b'{"job_id": "odd", "kind": "judge", "title": "", "created_at": "", "settings": {"judges": 3}}',
    }.items():
        (jobs / name).mkdir()
        (jobs / name / "spec.json").write_bytes(content)


def test_what_cannot_be_read_as_a_job_is_set_aside_and_the_rest_goes_on(workspace, tmp_path):
    spoil(workspace.root / "jobs")
    job_id = workspace.jobs.submit(generating(count=4))
    assert workspace.wait(job_id, timeout_s=120).state == "finished"
    assert [job.job_id for job in workspace.jobs.list()] == [job_id]
    aside = workspace.jobs.set_aside()
    assert sorted(aside) == ["Thumbs.db", "empty", "later", "list", "lost+found", "odd", "torn"]
    assert all(sentence.count("\n") == 0 and sentence.endswith(".") for sentence in aside.values()), aside
    assert "no job of the kind dream" in aside["later"] and "spec.json is damaged" in aside["torn"]


def test_a_rebuild_keeps_the_rows_of_a_job_whose_spec_is_damaged(workspace):
    job_id = workspace.jobs.submit(generating(count=4))
    workspace.wait(job_id, timeout_s=120)
    root = workspace.root
    workspace.close()
    (root / "jobs" / job_id / "spec.json").write_bytes(b"")
    spoil(root / "jobs")
    assert rebuild(root).rows["triplets"] == 4
    assert list(read_jobs(root / "jobs")[0]) == []
    with Workspace(root) as again:
        assert again.store.counts()["triplets"] == 4


def test_doctor_says_what_was_set_aside(workspace):
    spoil(workspace.root / "jobs")
    finding = examine_jobs(workspace.root)
    assert (
        finding.state == "warning" and "Thumbs.db" in finding.detail and "no job of the kind dream" in finding.detail
    )
