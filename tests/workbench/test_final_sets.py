"""The final set against a plain loop over rows, and exports of it."""

from random import Random

import pandas as pd
import pytest
from store_samples import add, triplet_row

from pipeline.config import CurationRule
from pipeline.exchange import read_triplets
from pipeline.records import Triplet
from workbench.actions.curation import curate
from workbench.actions.data import export_triplets, import_triplets
from workbench.store.decisions import Decision
from workbench.workspace import Workspace

JUDGE = "guide:all-MiniLM-L6-v2"


@pytest.fixture
def workspace(tmp_path):
    with Workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def rows(workspace):
    """Forty triplets of two attempts, most of them judged, some decided."""
    random = Random(5)
    rows = [
        triplet_row(
            f"t{n}", random.choice(["first", "second"]), hard_negative_outcome=random.choice(["ok", "ok", "copy"])
        )
        for n in range(40)
    ]
    add(workspace.store, "triplets", rows)
    for row in rows:
        judged = random.random() < 0.8
        row["a"], row["b"] = (
            (random.choice([2.0, 3.0, 4.0]), random.choice([1.0, 2.9, 3.5])) if judged else (None, None)
        )
        row["decision"] = random.choice(["", "", "accept", "reject", "swap", "edit", "edit then accept", "reset"])
    add(workspace.store, "judgements", [
        {"triplet_id": r["triplet_id"], "judge_id": JUDGE, "a": r["a"], "b": r["b"], "source": "jobs/1",
         "calibration": "v1"} for r in rows if r["a"] is not None])  # fmt: skip
    for row in rows:
        for action in row["decision"].split(" then ") if row["decision"] else []:
            texts = ("New.", None) if action == "edit" else (None, None)
            workspace.store.decisions.append([Decision(row["triplet_id"], action, *texts, annotator="ann")])
    return rows


def expected(row, rule):
    """(why, positive, hard negative), or None for a triplet that is not ok."""
    if row["hard_negative_outcome"] != "ok":
        return None
    texts = row["positive"], row["hard_negative"]
    decision = row["decision"].split(" then ")[-1]
    if "edit" in row["decision"]:
        texts = "New.", texts[1]
    if decision == "swap":
        texts = texts[1], texts[0]
    if decision not in ("", "reset"):
        return f"person: {decision}", *texts
    if rule is None:
        return "no rule", *texts
    if row["a"] is None:
        return "not judged", *texts
    kept = row["a"] >= rule.alpha and row["b"] <= rule.beta and row["a"] >= row["b"] + rule.gamma
    return "kept by rule" if kept else "lost by rule", *texts


@pytest.mark.parametrize("rule", [None, CurationRule(), CurationRule(alpha=2.0, beta=3.5, gamma=0.5)])
@pytest.mark.parametrize("attempts", [["first"], ["first", "second"]])
def test_final_set(workspace, rows, rule, attempts):
    judge = JUDGE if rule else None
    limits = (rule.alpha, rule.beta, rule.gamma) if rule else None
    told = {row["triplet_id"]: expected(row, rule) for row in rows if row["attempt_id"] in attempts}
    told = {triplet_id: found for triplet_id, found in told.items() if found}
    with workspace.store.final_sets.kept(attempts, judge, limits) as rows_of_set:
        kept = rows_of_set.read_pandas()
    inside = ("person: accept", "person: swap", "person: edit", "no rule", "kept by rule")
    assert dict(zip(kept["triplet_id"], zip(kept["positive"], kept["hard_negative"], strict=True), strict=True)) == {
        triplet_id: found[1:] for triplet_id, found in told.items() if found[0] in inside
    }
    reasons = workspace.store.final_sets.reasons(attempts, judge, limits)
    assert workspace.store.final_sets.size(reasons) == len(kept)
    assert reasons == pd.Series([found[0] for found in told.values()]).value_counts().to_dict()


def test_an_accepted_edit_stays_edited_in_a_snapshot_and_its_export(workspace, rows, tmp_path):
    made = curate(workspace, attempt_ids=["first", "second"], name="final", judge_id=JUDGE, rule={})
    snapshot = workspace.store.snapshots.get(made["snapshot_id"])
    frozen = workspace.store.snapshots.rows(snapshot.snapshot_id)
    edited = {row["triplet_id"] for row in rows if row["decision"] == "edit then accept"}
    edited = edited & {row["triplet_id"] for row in rows if row["hard_negative_outcome"] == "ok"}
    assert edited and set(frozen[frozen["triplet_id"].isin(edited)]["positive"]) == {"New."}
    assert snapshot.details["judges"] == {JUDGE: ["v1"]}
    assert sum(snapshot.details["reasons"].values()) == made["of"]
    size, digest = workspace.store.decisions.log_digest()
    assert snapshot.details["decisions_log"] == {"bytes": size, "sha256": digest}
    for name in ("set.csv", "set.jsonl", "set.parquet", "set"):
        answer = export_triplets(workspace, path=str(tmp_path / name), snapshot_id="final")
        assert answer["triplets"] == len(frozen)
        sides = frozen[["premise", "positive", "hard_negative"]].itertuples(index=False, name=None)
        assert read_triplets(tmp_path / name).triplets == list(dict.fromkeys(Triplet(*row) for row in sides))
    card = (tmp_path / "set" / "README.md").read_text()
    assert snapshot.sha256 in card and "stand-in, omega 0.5" in card and "calibration v1" in card
    back = import_triplets(workspace, path=str(tmp_path / "set"), name="back")
    assert back["triplets"] + back["duplicates"] == back["lines"] == len(frozen)
