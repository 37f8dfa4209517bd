"""Redo, bulk decisions, and the annotations of several annotators on the same triplets."""

import pytest
from sklearn.metrics import cohen_kappa_score
from store_samples import add, triplet_row

from pipeline.curation.agreement import cohen_kappa
from pipeline.records import InputError
from workbench.actions.generation import start_regenerate
from workbench.store.decisions import ADJUDICATED, Decision
from workbench.store.files import CurationNotes, read_notes, write_notes
from workbench.store.filters import TripletFilter

NAMES = "abcdef"


@pytest.fixture
def filled(store):
    add(store, "triplets", [triplet_row(name, positive=f"p {name}", hard_negative=f"n {name}") for name in NAMES])
    return store


def decide(store, who, actions, reason=""):
    for name, action in actions.items():
        store.decisions.append([Decision(name, action, annotator=who, reason=reason)])


def states(store):
    latest = store.decisions.latest()
    return dict(zip(latest["triplet_id"], latest["action"], strict=True))


def test_redo_puts_back_what_undo_took_until_something_new_is_decided(filled):
    decide(filled, "ann", {"a": "accept", "b": "reject"})
    assert filled.decisions.redo("ann") is None
    filled.decisions.undo("ann")
    filled.decisions.undo("ann")
    assert states(filled) == {}
    filled.decisions.redo("ann")
    assert states(filled) == {"a": "accept"}
    assert filled.decisions.redo("bob") is None
    decide(filled, "ann", {"c": "swap"})
    assert filled.decisions.redo("ann") is None
    assert filled.decisions.history("a")["step"].tolist() == ["decision", "undo", "redo"]


def test_bulk_is_one_step_and_keeps_what_was_edited(filled):
    filled.decisions.append([Decision("a", "edit", positive="better", annotator="ann")])
    _, count = filled.decisions.decide_all(TripletFilter(), "swap", annotator="ann", reason="all of them", expected=6)
    assert count == 6
    shown = filled.triplets.rows(TripletFilter()).set_index("triplet_id")
    assert (shown.loc["a", "positive"], shown.loc["a", "hard_negative"]) == ("n a", "better")
    assert shown.loc["b", "positive"] == "n b"
    filled.decisions.undo("ann")
    assert states(filled) == {"a": "edit"}
    assert filled.triplets.get("a")["decision"]["positive"] == "better"
    assert filled.triplets.get("a")["decision"]["annotator"] == "ann"


def test_bulk_keeps_nothing_when_the_count_shown_is_old_or_nothing_matches(filled):
    with pytest.raises(InputError, match="5 triplets were shown and 6 match"):
        filled.decisions.decide_all(TripletFilter(), "reject", annotator="ann", expected=5)
    with pytest.raises(InputError, match="No triplet"):
        filled.decisions.decide_all(TripletFilter(text="nowhere"), "reject", annotator="ann")
    with pytest.raises(InputError, match="in bulk"):
        filled.decisions.decide_all(TripletFilter(), "edit", annotator="ann")
    assert filled.counts()["decisions"] == 0


def test_each_annotators_own_opinion_counts_whoever_was_last(filled):
    ann = dict.fromkeys("abc", "accept") | dict.fromkeys("def", "reject")
    bob = dict.fromkeys("ad", "accept") | dict.fromkeys("bcef", "reject")
    decide(filled, "ann", ann)
    decide(filled, "bob", bob)
    decide(filled, "ann", {"a": "reject"})
    filled.decisions.undo("ann")
    annotations = filled.annotations.of().pivot(index="triplet_id", columns="annotator", values="action")
    assert annotations["ann"].to_dict() == ann and annotations["bob"].to_dict() == bob
    assert cohen_kappa(list(annotations["ann"]), list(annotations["bob"])) == pytest.approx(
        cohen_kappa_score(annotations["ann"], annotations["bob"])
    )
    assert filled.annotations.disputed() == ["d", "b", "c"]  # in the order in which they became disputed
    decide(filled, "ann", {"b": "reject"}, reason=ADJUDICATED)
    assert filled.annotations.disputed() == ["d", "c"]
    assert filled.annotations.of().set_index(["triplet_id", "annotator"]).loc[("b", "ann"), "action"] == "accept"


def test_a_shared_triplet_waits_for_each_annotator_once(filled):
    decide(filled, "ann", {"a": "accept"})
    for shared, waiting in ((0.0, 5), (1.0, 6)):
        assert filled.triplets.count(TripletFilter(waits_for="bob", shared=shared)) == waiting
        assert filled.triplets.count(TripletFilter(waits_for="ann", shared=shared)) == 5
    decide(filled, "bob", {"a": "reject"})
    assert filled.triplets.count(TripletFilter(waits_for="bob", shared=1.0)) == 5
    assert filled.triplets.count(TripletFilter(waits_for="ann", shared=1.0)) == 5
    filled.decisions.undo("bob")
    assert filled.triplets.count(TripletFilter(waits_for="bob", shared=1.0)) == 6


def test_notes_are_kept_and_a_bad_share_is_refused(tmp_path):
    assert read_notes(tmp_path) == CurationNotes()
    notes = CurationNotes("# Ours\n*positive* means entailed", 0.25)
    write_notes(tmp_path, notes)
    assert read_notes(tmp_path) == notes
    with pytest.raises(InputError, match="between 0 and 1"):
        write_notes(tmp_path, CurationNotes(shared=2.0))
    (tmp_path / "curation.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        read_notes(tmp_path)


def test_regeneration_asks_for_the_same_premise_with_another_seed_each_time(workspace):
    store = workspace.store
    add(store, "triplets", [triplet_row("a", llm="smollm2-135m")])
    first = start_regenerate(workspace, triplet_id="a", side="hard_negative")
    second = start_regenerate(workspace, triplet_id="a", side="positive")
    assert (first["seed"], second["seed"]) == (2, 3)
    spec = workspace.jobs.get(first["job_id"]).spec
    assert spec.origin == "regenerated:hard_negative:a" and spec.config.temperature > 0
    add(store, "triplets", [triplet_row("new", "later", origin=spec.origin, hard_negative="another one")])
    assert [row["hard_negative"] for row in store.triplets.regenerated("a")] == ["another one"]
    with pytest.raises(InputError, match="no side"):
        start_regenerate(workspace, triplet_id="a", side="premise")
