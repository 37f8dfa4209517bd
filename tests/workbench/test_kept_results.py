"""What pages ask is kept until it changes: after every kind of write the kept answer is that of the database."""

from dataclasses import astuple

import pandas as pd
import pytest

from pipeline.config import CurationRule
from tests.pages.filled import JUDGE, fill, finished_job, judgement_row
from workbench.actions import ACTIONS
from workbench.store.filters import TripletFilter
from workbench.store.kept import KeptResults

RULE = CurationRule()
ATTEMPT = "20260101-000000-000-generate-aaaa"
TRIPLET = f"{ATTEMPT}-00"


def answers(store):
    """Everything that is kept, as one comparable value."""
    found = {
        "attempts": store.triplets.attempts(),
        "outcomes": store.triplets.outcome_counts(ATTEMPT),
        "count": store.triplets.count(TripletFilter(decision="accept")),
        "sources": store.triplets.sources(),
        "corpora": store.premises.corpora(),
        "judges": store.judgements.judges(),
        "judged": store.judgements.judged(),
        "plane": store.judgements.plane([], JUDGE, limit=5),
        "histogram": store.judgements.histogram([], JUDGE).tolist(),
        "rule": store.judgements.rule_counts([], JUDGE, RULE),
        "calibrations": store.judgements.calibrations(),
        "encoders": store.encoders.list(),
        "maps": store.projections.list(),
        "curve": store.runs.curve("20260101-000200-000-train-cccc"),
        "runs": store.runs.list(),
        "scores": store.scores.matrix(),
        "llms": store.llms.list(),
        "funnel": store.funnels.counts([], JUDGE, astuple(RULE)),
        "agreement": store.funnels.judge_agreement([], astuple(RULE)),
        "snapshots": store.snapshots.list(),
        "decisions": store.decisions.counts(),
        "overview": store.overview(),
    }
    return {name: value.to_json() if isinstance(value, pd.DataFrame) else value for name, value in found.items()}


def decide(workspace, **more):
    ACTIONS["decide"](workspace, **{"triplet_ids": [TRIPLET], "action": "accept", "annotator": "ann"} | more)


def job(kind, *rows):
    def write(workspace):
        job_id = f"20270101-000000-000-{kind}-kept"
        finished_job(workspace, job_id, kind, [dict(row, source=None) for row in rows], total=len(rows))
        workspace.wait(job_id, timeout_s=20)

    return write


LLM = {"name": "n", "kind": "gguf", "location": "/x"}
WRITES = {
    "a decision": (decide, {"count", "funnel", "decisions", "overview"}),
    "an undo": (lambda w: ACTIONS["undo"](w, annotator="ann"), {"count", "decisions"}),
    "premises": (lambda w: ACTIONS["import_premises"](w, text="It rains.", name="n"), {"corpora", "overview"}),
    "a snapshot": (lambda w: ACTIONS["curate"](w, attempt_ids=[ATTEMPT], name="n"), {"snapshots", "overview"}),
    "judgements": (
        job("judge", judgement_row(TRIPLET, 9), judgement_row(TRIPLET, 3) | {"judge_id": "other"}),
        {"judges", "rule", "histogram"},
    ),
    "steps": (
        job("train", {"table": "train_steps", "run_id": "20260101-000200-000-train-cccc", "step": 40, "steps": 40}),
        {"curve", "runs"},
    ),
    "scores": (
        job("evaluate", {"table": "scores", "encoder_id": "e", "task": "t", "spearman": 0.5, "job_id": "j"}),
        {"scores", "overview"},
    ),
    "an LLM": (job("check", {"table": "llms", "check_id": "c", "entry": LLM, "state": "ok"} | LLM), {"llms"}),
    "triplets": (
        lambda w: ACTIONS["import_triplets"](w, path=str(w.root.parent / "t.csv")),
        {"attempts", "sources", "overview"},
    ),
}


def test_a_kept_answer_is_that_of_the_database_after_every_kind_of_write(workspace):
    fill(workspace)
    (workspace.root.parent / "t.csv").write_text("sent0,sent1,hard_neg\na,b,c\n")
    store = workspace.store
    for name, (write, changes) in WRITES.items():
        before = answers(store)
        write(workspace)
        after = answers(store)
        store.database._kept = KeptResults()
        assert after == answers(store), name
        assert changes <= {key for key in after if after[key] != before[key]}, name


def test_what_did_not_change_is_not_asked_again_and_callers_cannot_change_it(workspace):
    fill(workspace)
    kept = KeptResults()
    workspace.store.database._kept = kept
    asked = []

    def ask(sql):
        return kept.ask(sql, None, lambda: asked.append(sql) or [(len(asked),)])

    assert ask("SELECT 1 FROM triplets") == ask("SELECT 1 FROM triplets") == [(1,)]
    decide(workspace)
    assert ask("SELECT 1 FROM triplets") == [(1,)]
    kept.changed(("triplets",))
    assert ask("SELECT 1 FROM triplets") == [(2,)]
    kept.changed(None)
    assert ask("SELECT 1 FROM triplets") == [(3,)]
    frame = workspace.store.triplets.attempts()
    frame["rows"] = 0
    assert workspace.store.triplets.attempts()["rows"].tolist() != frame["rows"].tolist()


@pytest.mark.parametrize("rows", [1, 150_000])
def test_what_is_kept_is_bounded(rows):
    kept = KeptResults()
    for number in range(1000):
        kept.ask(f"SELECT {number}", None, lambda: range(rows))
    assert sum(len(result) for _, result in kept._results.values()) <= 200_000 and len(kept._results) <= 256
