"""Evaluation, explanation and behavioural suite as real workers; what the error page asks of a workspace."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.encoders import load_encoder
from pipeline.evaluation.behaviour import built_in_cases
from pipeline.records import InputError
from workbench.actions import ACTIONS
from workbench.jobs.kinds import GenerateSpec
from workbench.results import latest_margins, latest_runs
from workbench.store.files import Notes, OwnTests
from workbench.workspace import Workspace, rebuild

PAIRS = [
    (5.0, "A man is playing the guitar.", "A man plays a guitar."),
    (4.4, "The girl is eating an apple.", "A girl eats a green apple."),
    (3.2, "A dog runs over the grass.", "A dog is lying on the grass."),
    (1.2, "A chef is cutting onions.", "A painter is mixing colours."),
    (0.0, "The river is frozen.", "My sister bought a new bicycle."),
]
WAIT_S = 120


@pytest.fixture
def workspace(own_workspace: Path):
    with Workspace(own_workspace) as opened:
        yield opened


@pytest.fixture
def sts(tmp_path: Path) -> Path:
    folder = tmp_path / "sts"
    folder.mkdir()
    lines = ["score\tsentence1\tsentence2", *("\t".join(map(str, pair)) for pair in PAIRS)]
    (folder / "Small.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_one_worker_each_evaluates_explains_and_tests(workspace: Workspace, sts: Path):
    done = ACTIONS["start_evaluate"](workspace, encoder="static-minilm", sts_dir=str(sts))
    assert workspace.wait(done["job_id"], timeout_s=WAIT_S).state == "finished"
    out = workspace.root / "jobs" / done["job_id"] / "out"
    space = json.loads((out / "space.json").read_text())
    assert space["tasks"] == ["Small"] and space["sentences"] == 10 and space["positives"] == 2
    assert -1 <= space["anisotropy"] <= 1 and space["effective_rank"] > 1
    [kept] = (workspace.root / "vectors").glob("*.sqlite")

    _, first, second = PAIRS[0]
    asked = {"encoder": "static-minilm", "first": first, "second": second, "pairs": str(out / "pairs-Small.parquet")}
    explained = ACTIONS["start_explain"](workspace, **asked)
    own = {"capability": "units", "kind": "same", "sentence": "It weighs 5 kg.", "other": "It weighs 5000 g."}
    ACTIONS["add_behaviour_test"](workspace, **own)
    suite = ACTIONS["start_behaviour"](workspace, encoder="static-minilm")
    for started in (explained, suite):
        assert workspace.wait(started["job_id"], timeout_s=WAIT_S).state == "finished"
    assert ACTIONS["start_explain"](workspace, **asked) == explained, "an explanation is made once"
    record = json.loads((workspace.root / "jobs" / explained["job_id"] / "out" / "explained.json").read_text())
    predicted = pd.read_parquet(out / "pairs-Small.parquet")["predicted"][0]
    assert record["cosine"] == pytest.approx(predicted, abs=1e-5)
    assert len(record["effects"]) == len(first.split()) + len(second.split())
    assert np.shape(record["alignment"]) == (len(record["tokens"][0]), len(record["tokens"][1]))
    assert record["neighbours"][0][0]["text"] == second
    assert [len(found) for found in record["neighbours"]] == [5, 5]
    assert [kept] == list((workspace.root / "vectors").iterdir()), "one store serves both"

    [run] = latest_runs(workspace).values()
    cases = pd.read_parquet(run.path)
    assert run.encoder_id == "static-minilm" and len(cases) == len(built_in_cases()) + 1
    assert cases["capability"].iloc[-1] == "units", "a test of one's own is in the results of the next run"
    swapped = cases[cases["capability"] == "role swap"]
    assert not swapped["passed"].any(), "a mean of word vectors cannot see who does what"


def test_own_tests_join_the_suite_once(workspace: Workspace):
    test = {"capability": "units", "kind": "directional", "sentence": "5 kg", "other": "5000 g", "third": "5 g"}
    assert ACTIONS["add_behaviour_test"](workspace, **test)["added"]
    assert not ACTIONS["add_behaviour_test"](workspace, **test)["added"]
    [case] = OwnTests(workspace.root).list()
    assert (case.capability, case.third) == ("units", "5 g")
    with pytest.raises(InputError, match="3 sentences"):
        ACTIONS["add_behaviour_test"](workspace, **test | {"third": " "})


def test_own_tests_survive_a_torn_line_and_a_rebuild_and_can_be_taken_back(workspace: Workspace):
    test = {"capability": "units", "kind": "same", "sentence": "5 kg", "other": "5000 g"}
    first = ACTIONS["add_behaviour_test"](workspace, **test)["case_id"]
    tests = OwnTests(workspace.root)
    with tests.path.open("ab") as file:
        file.write(b'{"table": "behaviour_tests", "case": {"capab')  # killed while it wrote
    second = ACTIONS["add_behaviour_test"](workspace, **test | {"other": "5 kilograms"})["case_id"]
    before = tests.path.read_bytes()
    workspace.close()
    rebuild(workspace.root)
    with Workspace(workspace.root) as again:
        assert [case.case_id for case in OwnTests(again.root).list()] == [first, second]
        ACTIONS["retract_behaviour_test"](again, case_id=first)
        assert [case.other for case in OwnTests(again.root).list()] == ["5 kilograms"]
        with pytest.raises(InputError, match="removed already"):
            ACTIONS["retract_behaviour_test"](again, case_id=first)
        assert tests.path.read_bytes().startswith(before), "the file is only ever appended to"
        assert ACTIONS["add_behaviour_test"](again, **test)["added"], "a test that was taken back can come again"
    [built_in, *_] = built_in_cases()
    fields = {name: getattr(built_in, name) for name in ("capability", "kind", "sentence", "other")}
    assert not ACTIONS["add_behaviour_test"](workspace, **fields)["added"], "a built-in test is there already"


def test_sentences_of_failing_pairs_become_a_corpus_and_a_job_with_their_origin(workspace: Workspace, monkeypatch):
    submitted = []
    monkeypatch.setattr(
        workspace.jobs, "submit", lambda spec, rows, title: submitted.append((spec, rows.read_pandas())) or "j"
    )
    origin = "Errors: STSB-test, negation on one side, static-minilm"
    texts = ["He came.", "He did not  come.", "He came.", " ", "Third."]
    made = ACTIONS["generate_like"](workspace, texts=texts, origin=origin, config={"omega": 0.4}, limit=2)
    [(spec, frame)] = submitted
    assert type(spec) is GenerateSpec and spec.origin == origin and spec.config.omega == 0.4
    assert frame["text"].tolist() == ["He came.", "He did not come."]
    [corpus] = workspace.store.premises.corpora()
    assert (corpus.corpus_id, corpus.source) == (made["corpus_id"], origin)
    with pytest.raises(InputError, match="select some first"):
        ACTIONS["generate_like"](workspace, texts=[" "], origin=origin, config={})


def test_notes_are_kept_by_what_they_are_about(workspace: Workspace):
    for about, text in (("a", "first"), ("b", "other"), ("a", "second")):
        ACTIONS["add_note"](workspace, text=text, about=about)
    assert [note.text for note in Notes(workspace.root).list("a")] == ["second", "first"]
    assert len(Notes(workspace.root).list()) == 3
    with pytest.raises(InputError, match="empty"):
        ACTIONS["add_note"](workspace, text="  ", about="a")


def test_a_missing_pairs_file_is_said_and_not_tried(workspace: Workspace):
    with pytest.raises(InputError, match="evaluate again"):
        ACTIONS["start_explain"](workspace, encoder="static-minilm", first="a", second="b", pairs="/nowhere.parquet")


def test_own_pairs_become_a_task_of_the_workspace(workspace: Workspace, tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text("a,b,s\nRain,Snow,2\nDog,Cat,3\n,x,1\n", encoding="utf-8")
    columns = {"first": "a", "second": "b", "score": "s"}
    made = ACTIONS["import_pairs"](workspace, path=str(file), **columns)
    assert (made["task"], made["pairs"], made["rejected"]) == ("mine", 2, 1)
    assert made["rejected_rows"] == [{"line": 4, "reason": "empty", "begins": " | x | 1"}]
    assert (Path(made["folder"]) / "mine.tsv").is_file()
    for name in ("../up", "STS12", "a/b", "x-dev"):
        with pytest.raises(InputError, match="cannot be called"):
            ACTIONS["import_pairs"](workspace, path=str(file), **columns, name=name)


def test_cosines_of_triplets_are_measured_by_a_worker_and_their_vectors_kept(workspace: Workspace, tmp_path: Path):
    file = tmp_path / "mine.jsonl"
    rows = [
        ("A dog runs.", "A dog is running.", "A cat sleeps."),
        ("It rains.", "Two cars collide.", "It is raining."),
    ]
    names = ("premise", "positive", "hard_negative")
    file.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows), encoding="utf-8")
    ACTIONS["import_triplets"](workspace, path=str(file))
    started = ACTIONS["start_margins"](workspace, encoder="static-minilm")
    assert started["triplets"] == 2
    job = workspace.wait(started["job_id"], timeout_s=WAIT_S)
    assert (job.state, job.details["violated"]) == ("finished", 1), job.message
    run = latest_margins(workspace, encoder_id="static-minilm", corpus="current")
    assert run is not None and run.job_id == job.job_id
    frame = pd.read_parquet(run.path)
    assert frame["source"].tolist() == ["import", "import"]
    encoder = load_encoder("static-minilm")
    for row in frame.itertuples():
        vectors = encoder.encode([row.premise, row.positive, row.hard_negative])
        expected = cosine_similarity(vectors[:1], vectors[1:])[0]
        assert [row.near, row.far] == pytest.approx(expected.tolist(), abs=1e-5)
    assert len(list((workspace.root / "vectors").glob("*.sqlite"))) == 1
    assert latest_margins(workspace, encoder_id="static-minilm", corpus="snapshot-x") is None
    with pytest.raises(InputError, match="no snapshot"):
        ACTIONS["start_margins"](workspace, encoder="static-minilm", corpus="unheard-of")
