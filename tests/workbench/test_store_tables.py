"""What goes into the smaller tables comes out of them."""

import math
from datetime import datetime, timedelta

import pandas as pd
import pytest
from store_samples import add, add_import, premises, triplet_row

from pipeline.config import CurationRule
from pipeline.durable import DRAFTS
from pipeline.records import InputError
from workbench import journal
from workbench.store import Store
from workbench.store.files import Slices
from workbench.store.filters import TripletFilter
from workbench.store.map_views import MapView, MapViews
from workbench.workspace import Workspace


def test_corpus_keeps_order_rejections_and_duplicates(store):
    corpus = store.premises.add_corpus("captions", "captions.txt", premises(120), {"empty line": 2}, duplicates=3)
    assert (corpus.premises, corpus.rejected, corpus.duplicates) == (120, {"empty line": 2}, 3)
    assert store.premises.corpora() == [corpus]
    assert store.premises.rows(corpus.corpus_id).equals(premises(120))
    assert store.premises.rows(corpus.corpus_id, limit=7)["premise_id"].tolist() == [f"p{i}" for i in range(7)]
    seen, after = [], -1
    while len(page := store.premises.page(corpus.corpus_id, after=after, limit=50)):
        seen += page["text"].tolist()
        after = int(page["position"].iloc[-1])
    assert seen == premises(120)["text"].tolist()
    found = store.premises.page(corpus.corpus_id, text="SENTENCE 11")["text"].tolist()
    assert found == ["sentence 11", *(f"sentence 11{i}" for i in range(10))]
    with pytest.raises(InputError, match="no corpus nowhere"):
        store.premises.corpus("nowhere")


def test_imported_triplets_are_an_attempt_in_file_order(store):
    frame = pd.DataFrame({"premise_id": ["b", "a"], "premise": ["B", "A"], "positive": ["p", "q"],
                          "hard_negative": ["n", "m"]})  # fmt: skip
    attempt = add_import(store, "mine", "mine.jsonl", frame)
    rows = store.triplets.rows(TripletFilter(attempt_ids=(attempt,), outcome="ok"))
    assert rows[["premise_id", "premise", "positive", "hard_negative"]].to_dict("list") == frame.to_dict("list")
    assert store.triplets.attempts()["title"].tolist() == ["mine"]


def test_an_import_written_but_not_stored_is_stored_at_the_next_start(tmp_path, monkeypatch):
    path = tmp_path / "state.duckdb"
    with Store(path) as store:
        monkeypatch.setattr(store.journals, "ingest_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.premises.add_corpus("captions", "captions.txt", premises(10), {}, 0)
        (tmp_path / "imports" / ".half.unfinished").write_text("an import cut short")
    with Store(path) as store:
        assert [corpus.premises for corpus in store.premises.corpora()] == [10]
        assert not list((tmp_path / "imports").glob(DRAFTS))


def test_the_same_import_under_the_same_name_is_one(store):
    frame = pd.DataFrame({"premise_id": ["b"], "premise": ["B"], "positive": ["p"], "hard_negative": ["n"]})
    assert add_import(store, "mine", "mine.jsonl", frame) == add_import(store, "mine", "mine.jsonl", frame)
    other = (
        add_import(store, "theirs", "mine.jsonl", frame),
        add_import(store, "mine", "mine.jsonl", frame.assign(positive="q")),
    )
    assert len({*other, *store.triplets.attempts()["attempt_id"]}) == 3
    corpora = [store.premises.add_corpus(name, "a.txt", premises(3), {}, 0) for name in ("a", "a", "b")]
    assert corpora[0] == corpora[1] != corpora[2]
    assert store.counts()["premises"] == 6


def test_after_a_clock_step_back_the_newest_stays_the_newest(tmp_path, monkeypatch):
    frame = pd.DataFrame([triplet_row("t")])

    def made(clock):
        """Another process with this clock."""
        monkeypatch.setattr(journal, "_latest_ms", 0)
        monkeypatch.setattr(journal, "datetime", clock)
        with Workspace(tmp_path / "ws") as workspace:
            corpus = workspace.store.premises.add_corpus(f"{clock}", "a.txt", premises(3), {}, 0)
            made = [workspace.store.snapshots.create("same", [], None, None, frame) for _ in range(3)]
            assert [one.snapshot_id for one in workspace.store.snapshots.list()[:3]] == [
                one.snapshot_id for one in reversed(made)
            ]
            assert workspace.store.premises.corpora()[0] == corpus

    class Back(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=3)

    made(datetime)
    made(Back)


def test_descriptions_that_are_no_snapshots_are_set_aside(tmp_path):
    (tmp_path / "snapshots").mkdir()
    odd = {"empty": b"", "torn": b'{"snapshot_id": "torn", "name"', "list": b"[]", "poor": b'{"snapshot_id": "poor"}'}
    for name, content in odd.items():
        (tmp_path / "snapshots" / f"{name}.json").write_bytes(content)
    (tmp_path / "snapshots" / "folder.json").mkdir()
    with Store(tmp_path / "state.duckdb") as store:
        made = store.snapshots.create("frozen", [], None, None, pd.DataFrame([triplet_row("t")]))
        assert store.snapshots.list() == [made]
        aside = store.snapshots.set_aside()
        assert set(aside) == {*(f"{name}.json" for name in odd), "folder.json"}
        assert all(sentence.endswith(".") and "\n" not in sentence for sentence in aside.values())


def test_a_snapshot_described_but_not_stored_is_stored_at_the_next_start(tmp_path, monkeypatch):
    path = tmp_path / "state.duckdb"
    with Store(path) as store:
        add(store, "triplets", [triplet_row("t1"), triplet_row("t2")])
        frame = store.triplets.rows(TripletFilter())
        monkeypatch.setattr(store.snapshots, "catch_up", lambda: None)
        made = store.snapshots.create("frozen", ["attempt"], "judge", CurationRule(alpha=2.0), frame)
        assert store.snapshots.list() == []
    with Store(path) as store:
        assert store.snapshots.list() == [made]
        assert store.snapshots.get(made.snapshot_id).rule == {"alpha": 2.0, "beta": 4.5, "gamma": -1.0}
        assert store.snapshots.rows(made.snapshot_id)["triplet_id"].tolist() == ["t1", "t2"]
    with pytest.raises(InputError, match="missing: hard_negative"), Store(path) as store:
        store.snapshots.create("poor", [], None, None, frame.drop(columns="hard_negative"))


def test_curve_is_in_order_of_steps_and_keeps_a_loss_that_is_no_number(store):
    add(store, "train_steps", [{"run_id": "r", "step": step, "steps": 3, "loss": loss} for step, loss in
                               [(2, math.nan), (1, 0.5), (3, 0.25)]])  # fmt: skip
    add(store, "train_steps", [{"run_id": "r", "step": 3, "steps": 3, "loss": 9.0, "dev_score": 0.8}])
    curve = store.runs.curve("r")
    assert curve["step"].tolist() == [1, 2, 3]
    assert curve["loss"].tolist()[::2] == [0.5, 0.25] and math.isnan(curve["loss"][1])
    assert curve["dev_score"].tolist()[2] == 0.8


def test_matrix_holds_the_latest_score_and_none_that_is_no_number(store):
    rows = [("e", "STS12", 0.1, "job-1"), ("e", "STS12", 0.3, "job-2"), ("e", "STS13", math.nan, "job-1")]
    add(
        store, "scores", [{"encoder_id": e, "task": t, "spearman": s, "pairs": 5, "job_id": j} for e, t, s, j in rows]
    )
    matrix = store.scores.matrix()
    assert matrix[["encoder_id", "task", "spearman"]].values.tolist() == [["e", "STS12", 0.3]]


def test_encoders_are_found_by_id(store):
    add(store, "encoders", [{"encoder_id": "e", "name": "E", "folder": "out/model", "base": "static-minilm"}])
    assert store.encoders.get("e") == store.encoders.list()[0]
    with pytest.raises(InputError, match="no encoder x"):
        store.encoders.get("x")


def test_overview_counts_what_is_there(store):
    store.premises.add_corpus("c", "paste", premises(4), {}, 0)
    add(store, "triplets", [triplet_row("a"), triplet_row("b", positive_outcome="copy")])
    overview = store.overview()
    expected = {"corpora": 1, "premises": 4, "triplets": 2, "ok_triplets": 1, "encoders": 0, "decided": 0}
    assert overview | expected == overview


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x", "later": 1}'])
def test_a_file_that_is_no_slice_stops_no_other(tmp_path, content):
    kept = Slices(tmp_path).add("mine", ["a", "b"], origin="map")
    view = MapViews(tmp_path).add(MapView("", "mine", "p", "role", ("lines",), "", (), ""))
    for folder in ("slices", "map_views"):
        (tmp_path / folder / "odd.json").write_text(content)
    assert Slices(tmp_path).list() == [kept]
    assert MapViews(tmp_path).of("p") == [view]


def test_few_and_many_rows_are_stored_alike(store):
    """Few rows are looked up by the index, many by a scan: those there already stay, also of the same transaction."""
    many = [triplet_row(f"t{number}") for number in range(1_200)]
    scores = [
        {"triplet_id": f"t{number}", "judge_id": judge, "a": 1.0, "b": float(number), "source": "jobs/1"}
        for number in range(1_210)
        for judge in ("j", "k")
    ]
    with store.database.write() as cursor:
        assert store.triplets.insert(cursor, many[:3]) == store.triplets.insert(cursor, many[:5]) == 0
        assert store.judgements.insert(cursor, scores[:8]) == 0
    with store.database.write() as cursor:
        store.triplets.insert(cursor, many)
        store.triplets.insert(cursor, [row | {"premise": "another"} for row in many[1_190:]] + [triplet_row("new")])
        store.judgements.insert(cursor, scores)
    kept = store.triplets.rows(TripletFilter())
    assert kept["triplet_id"].tolist() == [*(row["triplet_id"] for row in many), "new"]
    assert not (kept["premise"] == "another").any()
    found = store.database.rows("SELECT triplet_id, judge_id, attempt_id FROM judgements")
    assert len(found) == 2_420 and {len(set(found)), len(found)} == {2_420}
    assert sum(attempt is None for *_, attempt in found) == 20  # of triplets that are not there
