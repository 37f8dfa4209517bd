import numpy as np
import pytest
from scipy.stats import spearmanr
from store_samples import add, triplet_row

from workbench.store.decisions import Decision
from workbench.store.filters import TripletFilter

RULE, OTHER = (3.0, 3.0, 0.1), (2.0, 2.0, 0.5)


def keeps(rule, a, b):
    return a >= rule[0] and b <= rule[1] and a >= b + rule[2]


@pytest.fixture(params=[2])
def rows(store, request):
    """Triplets with scores of so many judges; some failed, some were decided."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(60):
        outcome = "copy" if number % 7 == 0 else "ok"
        a, b = random.integers(0, 11, 2) / 2
        rows.append({"triplet_id": f"t{number}", "outcome": outcome, "a": a, "b": b, "action": None})
    add(store, "triplets", [triplet_row(r["triplet_id"], positive_outcome=r["outcome"]) for r in rows])
    for judge, noise in (("j", 0), ("k", 1))[: request.param]:
        add(store, "judgements", [
            {"triplet_id": r["triplet_id"], "judge_id": judge, "a": float(r["a"]),
             "b": float(min(5, r["b"] + noise * (i % 3))), "source": "jobs/1"}
            for i, r in enumerate(rows)])  # fmt: skip
    for number, action in enumerate(["accept", "reject", "swap", "reset"] * 5):
        rows[number * 2]["action"] = None if action == "reset" else action
        store.decisions.append([Decision(rows[number * 2]["triplet_id"], action)])
    return rows


def test_funnel_and_flips_count_what_plain_python_counts(store, rows):
    found = store.funnels.counts(["attempt"], "j", RULE)
    kept = [r["outcome"] == "ok" and keeps(RULE, r["a"], r["b"]) for r in rows]
    person = [r["action"] in ("accept", "swap") for r in rows]
    final = [
        r["outcome"] == "ok" and (p or (k and r["action"] is None))
        for r, p, k in zip(rows, person, kept, strict=True)
    ]
    assert found == {
        "premises": found["premises"],  # an estimate within some percent
        "generated": 60,
        "ok": sum(r["outcome"] == "ok" for r in rows),
        "judged": sum(r["outcome"] == "ok" for r in rows),
        "kept": sum(kept),
        "dropped": sum(k and not f for k, f in zip(kept, final, strict=True)),
        "rescued": sum(f and not k for k, f in zip(kept, final, strict=True)),
        "changed": 5,
        "final": sum(final),
    }
    assert found["dropped"] and found["rescued"]
    assert found["final"] == found["kept"] - found["dropped"] + found["rescued"], "what people read adds up"
    assert abs(found["premises"] - 60) <= 6
    before, now = ([keeps(rule, r["a"], r["b"]) for r in rows] for rule in (RULE, OTHER))
    gained = sum(n and not k for n, k in zip(now, before, strict=True))
    lost = sum(k and not n for n, k in zip(now, before, strict=True))
    assert gained and lost
    assert store.funnels.flips(["attempt"], "j", RULE, OTHER) == (gained, lost)
    assert len(store.funnels.decided_scores(["attempt"], "j")) == 15


def test_judges_agree_as_scipy_says(store, rows):
    [row] = store.funnels.judge_agreement([], RULE).to_dict("records")
    gaps = [[r["a"] - r["b"] for r in rows], [r["a"] - min(5, r["b"] + i % 3) for i, r in enumerate(rows)]]
    assert (row["first"], row["second"], row["triplets"]) == ("j", "k", 60)
    assert row["spearman"] == pytest.approx(spearmanr(*gaps).statistic)


@pytest.mark.parametrize("rows", [1, 2], indirect=True)
def test_the_gate_hands_people_what_is_near_the_rule_or_judged_both_ways(store, rows):
    margin, judges = 0.5, len(store.judgements.judges())
    second = [min(5, r["b"] + i % 3) for i, r in enumerate(rows)]
    for row, other in zip(rows, second, strict=True):
        near = abs(min(row["a"] - RULE[0], RULE[1] - row["b"], row["a"] - row["b"] - RULE[2])) <= margin
        row["at_odds"] = judges > 1 and keeps(RULE, row["a"], row["b"]) != keeps(RULE, row["a"], other)
        row["unsure"] = near or row["at_odds"]
    usable = [r for r in rows if r["outcome"] == "ok"]
    undecided = [r for r in usable if r["action"] is None]
    certain = [keeps(RULE, r["a"], r["b"]) for r in undecided if not r["unsure"]]
    accepted = sum(r["action"] in ("accept", "swap") for r in usable)
    found = store.funnels.gate(["attempt"], "j", RULE, margin)
    assert found == {
        "kept": sum(certain),
        "lost": len(certain) - sum(certain),
        "uncertain": sum(r["unsure"] for r in usable),
        "waiting": sum(r["unsure"] for r in undecided),
        "rejected": sum(r["action"] == "reject" for r in usable),
        "accepted": accepted,
        "approved": sum(certain) + accepted,
    }
    assert any(r["at_odds"] for r in usable) == (judges > 1) and sum(certain) and found["waiting"]
    waiting = TripletFilter(
        ("attempt",), outcome="ok", judge_id="j", decision="undecided", uncertain=RULE, margin=margin
    )
    shown = store.triplets.rows(waiting)["triplet_id"]
    assert list(shown) == [r["triplet_id"] for r in undecided if r["unsure"]], "list and queue show the same ones"
    with store.final_sets.kept(["attempt"], "j", RULE, margin) as rows:
        kept = rows.read_pandas()
    assert len(kept) == found["approved"] and not set(kept["triplet_id"]) & set(shown)
    assert store.final_sets.reasons(["attempt"], "j", RULE, margin)["not reviewed"] == found["waiting"]
