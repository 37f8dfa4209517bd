"""Every filter, count and page against the same question asked of plain Python rows."""

import re
from random import Random

import numpy as np
import pytest
from store_samples import add, triplet_row

from pipeline.config import CurationRule
from pipeline.records import InputError
from workbench.store.decisions import Decision
from workbench.store.filters import Sorting, TripletFilter

JUDGE = "guide:all-MiniLM-L6-v2"
CASES = [
    TripletFilter(),
    TripletFilter(attempt_ids=("first",)),
    TripletFilter(attempt_ids=("first", "second")),
    TripletFilter(attempt_ids=("no such attempt",)),
    TripletFilter(text="READS T1"),
    TripletFilter(text="100%_"),
    TripletFilter(pattern=r"[Rr]eads t1\d?\."),
    TripletFilter(source="other llm"),
    TripletFilter(annotator="bob"),
    TripletFilter(reason="wrong", attempt_ids=("first",)),
    TripletFilter(duplicates=True),
    TripletFilter(judge_id=JUDGE, rule=(2.0, 4.0, 0.5)),
    TripletFilter(judge_id=JUDGE, rule=(2.0, 4.0, 0.5), lost=True),
    TripletFilter(triplet_ids=("t3", "t5", "nobody")),
    TripletFilter(waits_for="ann"),
    TripletFilter(waits_for="ann", shared=1.0),
    TripletFilter(outcome="ok"),
    TripletFilter(outcome="copy"),
    TripletFilter(decision="accept"),
    TripletFilter(decision="undecided"),
    TripletFilter(decision="decided", attempt_ids=("second",)),
    TripletFilter(judge_id=JUDGE, a_min=2.0),
    TripletFilter(judge_id=JUDGE, a_max=4.0, b_min=1.0, b_max=3.0, outcome="ok", decision="undecided", text="t1"),
]


@pytest.fixture
def rows(store):
    """Eighty triplets of two attempts, most of them judged, some decided; as dicts with a, b and decision."""
    random = Random(3)
    rows = []
    for number in range(80):
        outcome = random.choice(["ok", "ok", "copy", "empty"])
        attempt, llm = random.choice(["first", "second"]), random.choice(["stand-in", "other llm"])
        row = triplet_row(f"t{number}", attempt, positive_outcome=outcome, llm=llm)
        if number % 20 == 7:  # four of the same, but for the case
            row |= {
                "premise": "Twice.",
                "positive": "The SAME." if number > 40 else "The same.",
                "hard_negative": "No.",
            }
        rows.append(row | {"a": None, "b": None, "decision": None})
    add(store, "triplets", rows)
    for row in random.sample(rows, 60):
        row["a"], row["b"] = random.choice([0.0, 3.0, 5.0, 5 * random.random()]), 5 * random.random()
    judged = [row for row in rows if row["a"] is not None]
    add(store, "judgements", [{"triplet_id": r["triplet_id"], "judge_id": JUDGE, "a": r["a"], "b": r["b"],
                               "source": "jobs/1"} for r in judged])  # fmt: skip
    for row in rows:
        row |= {"by": None, "reason": None, "seen": set()}
    for action, who, reason in (("accept", "ann", ""), ("reject", "bob", "wrong"), ("reset", "bob", ""),
                                ("accept", "ann", "wrong")):  # fmt: skip
        chosen = random.sample(rows, 12)
        store.decisions.append([Decision(row["triplet_id"], action, annotator=who, reason=reason) for row in chosen])
        for row in chosen:
            made = None if action == "reset" else action
            row |= {"decision": made, "by": made and who, "reason": made and reason}
            row["seen"] |= {who} if made else set()
    return rows


def matches(row, chosen):
    texts = (row["premise"], row["positive"], row["hard_negative"])
    outcomes = (row["positive_outcome"], row["hard_negative_outcome"])
    limits = [(row["a"], chosen.a_min, chosen.a_max), (row["b"], chosen.b_min, chosen.b_max)]
    decisions = {"": True, "undecided": row["decision"] is None, "decided": row["decision"] is not None}
    return (
        (not chosen.attempt_ids or row["attempt_id"] in chosen.attempt_ids)
        and (not chosen.text or any(chosen.text.lower() in text.lower() for text in texts))
        and (not chosen.outcome or (all if chosen.outcome == "ok" else any)(o == chosen.outcome for o in outcomes))
        and (not chosen.pattern or any(re.search(chosen.pattern, text) for text in texts))
        and chosen.source in ("", row["llm"])
        and chosen.annotator in ("", row["by"])
        and chosen.reason in ("", row["reason"])
        and (chosen.triplet_ids is None or row["triplet_id"] in chosen.triplet_ids)
        and (not chosen.duplicates or row["premise"] == "Twice.")
        and (chosen.rule is None or (row["a"] is not None and kept_by(chosen.rule, row) != chosen.lost))
        and (
            not chosen.waits_for
            or row["decision"] is None
            or (chosen.shared == 1 and row["by"] != chosen.waits_for and chosen.waits_for not in row["seen"])
        )
        and decisions.get(chosen.decision, row["decision"] == chosen.decision)
        and all(low is None or (score is not None and score >= low) for score, low, _ in limits)
        and all(high is None or (score is not None and score <= high) for score, _, high in limits)
    )


def kept_by(rule, row):
    alpha, beta, gamma = rule
    return row["a"] >= alpha and row["b"] <= beta and row["a"] >= row["b"] + gamma


@pytest.mark.parametrize(
    "order",
    ["arrival", "newest", "random", "border", "disagreement", "a_low", "a_high", "b_low", "b_high", "gap_low"],
)
def test_sorted_pages_are_the_whole_in_order(store, rows, order):
    chosen, after, seen = TripletFilter(outcome="ok", judge_id=JUDGE), None, []
    sorting = Sorting(order, JUDGE, (2.0, 4.0, 0.5), seed=1)
    while len(page := store.triplets.sorted_page(chosen, sorting, after=after, limit=7)):
        seen += page.to_dict("records")
        after = (page["sort_key"].iloc[-1], page["position"].iloc[-1])
    expected = {row["triplet_id"]: row for row in rows if matches(row, chosen)}
    assert sorted(row["triplet_id"] for row in seen) == sorted(expected)
    keys = {
        "a_low": lambda a, b: a,
        "a_high": lambda a, b: -a,
        "b_low": lambda a, b: b,
        "b_high": lambda a, b: -b,
        "gap_low": lambda a, b: a - b,
        "border": lambda a, b: abs(min(a - 2.0, 4.0 - b, a - b - 0.5)),
    }
    if order in keys:
        judged = [expected[row["triplet_id"]] for row in seen if expected[row["triplet_id"]]["a"] is not None]
        values = [keys[order](row["a"], row["b"]) for row in judged]
        assert values == pytest.approx(sorted(values)) and len(set(values)) > 10
        assert all(row["a"] != row["a"] for row in seen[len(judged) :])  # those without a score come last


def test_a_broken_pattern_is_named(store, rows):
    with pytest.raises(InputError, match="not a regular expression"):
        store.triplets.count(TripletFilter(pattern="(un"))


@pytest.mark.parametrize("chosen", CASES, ids=str)
def test_filter(store, rows, chosen):
    expected = [row for row in rows if matches(row, chosen)]
    assert store.triplets.count(chosen) == len(expected)
    found = store.triplets.rows(chosen)
    assert found["triplet_id"].tolist() == [row["triplet_id"] for row in expected]
    if chosen.judge_id:
        np.testing.assert_array_equal(found["a"], np.array([row["a"] for row in expected], dtype=float))


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_are_the_whole_without_gap_or_repeat(store, rows, newest_first):
    chosen, after, seen = TripletFilter(outcome="ok", judge_id=JUDGE), None, []
    while len(page := store.triplets.page(chosen, after=after, limit=7, newest_first=newest_first)):
        seen += page["triplet_id"].tolist()
        after = int(page["position"].iloc[-1])
    expected = [row["triplet_id"] for row in rows if matches(row, chosen)]
    assert len(expected) > 14
    assert seen == (expected[::-1] if newest_first else expected)


@pytest.mark.parametrize("attempts", [(), ("first",), ("first", "second")])
@pytest.mark.parametrize(
    "rule",
    [CurationRule(), CurationRule(alpha=0, beta=5, gamma=-5), CurationRule(alpha=3, beta=5, gamma=0.0)],
    ids=str,
)
def test_rule_counts_add_up(store, rows, attempts, rule):
    judged = [r for r in rows if r["a"] is not None and (not attempts or r["attempt_id"] in attempts)]
    counts = store.judgements.rule_counts(attempts, JUDGE, rule)
    kept = [r for r in judged if r["a"] >= rule.alpha and r["b"] <= rule.beta and r["a"] >= r["b"] + rule.gamma]
    assert (counts["judged"], counts["kept"]) == (len(judged), len(kept))
    assert counts["alpha"] == sum(r["a"] < rule.alpha for r in judged)
    assert sum(counts.values()) == 2 * counts["judged"]


def test_histogram_is_numpys(store, rows):
    judged = [row for row in rows if row["a"] is not None]
    expected, _, _ = np.histogram2d(
        [row["a"] for row in judged], [row["b"] for row in judged], bins=10, range=[[0, 5], [0, 5]]
    )
    np.testing.assert_array_equal(store.judgements.histogram([], JUDGE, 10), expected)
    first = store.judgements.plane(["first"], JUDGE)
    assert sorted(first["triplet_id"]) == sorted(r["triplet_id"] for r in judged if r["attempt_id"] == "first")
    assert store.judgements.judges(["second"]) == [JUDGE]
    assert len(store.judgements.plane([], JUDGE, limit=5)) == 5


def test_a_later_judge_job_replaces_whichever_is_read_first(store):
    add(store, "triplets", [triplet_row("t")])
    for source, a in (("jobs/2", 4.0), ("jobs/1", 1.0), ("jobs/2", 2.0)):
        row = {"triplet_id": "t", "judge_id": JUDGE, "a": a, "b": 0.5, "source": source}
        add(store, "judgements", [row])
    assert store.judgements.plane([], JUDGE)["a"].tolist() == [4.0]


def test_a_score_that_is_no_number_passes_no_rule(store):
    add(store, "triplets", [triplet_row("t")])
    add(store, "judgements", [{"triplet_id": "t", "judge_id": JUDGE, "a": float("nan"), "b": 0.5, "source": "j"}])
    assert store.judgements.rule_counts([], JUDGE, CurationRule(alpha=0, beta=5, gamma=-5))["judged"] == 0


def test_outcomes_of_each_side_add_up(store, rows):
    counts = store.triplets.outcome_counts("first")
    expected = [row for row in rows if row["attempt_id"] == "first"]
    assert counts.groupby("side")["count"].sum().to_dict() == {
        "positive": len(expected),
        "hard_negative": len(expected),
    }
    copies = counts[(counts["side"] == "positive") & (counts["outcome"] == "copy")]["count"].sum()
    assert copies == sum(row["positive_outcome"] == "copy" for row in expected)


def test_unknown_triplet_is_named(store):
    with pytest.raises(InputError, match="nobody"):
        store.triplets.get("nobody")
