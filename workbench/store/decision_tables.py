"""The columns of a batch of decisions: what each leaves its triplet saying."""

from collections.abc import Collection, Sequence
from typing import Any

from pipeline.errors import InputError
from workbench.store.connection import Database, run
from workbench.store.decision import Action, Decision, Texts, after
from workbench.store.filters import TripletFilter, source_and_conditions


def matching(database: Database, chosen: TripletFilter, action: Action) -> dict[str, Any]:
    """Return columns of the decision that every triplet of the filter gets."""
    source, conditions, parameters = source_and_conditions(chosen, with_decisions=True)
    texts = {
        "swap": "coalesce(d.hard_negative, t.hard_negative), coalesce(d.positive, t.positive)",
        "reset": "NULL, NULL",
    }.get(action, "d.positive, d.hard_negative")
    with database.read() as cursor:
        rows = run(
            cursor,
            f"SELECT t.triplet_id, {texts} FROM {source} WHERE {conditions} ORDER BY t.rowid",
            parameters,
        )
    ids, *sides = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    positive, hard_negative = (side if any(text is not None for text in side) else None for side in sides)
    return {"triplet_id": ids, "action": action, "positive": positive, "hard_negative": hard_negative}


def resolved(database: Database, decisions: Sequence[Decision], *, blind: Collection[str]) -> dict[str, Any]:
    """Return columns of these decisions, each building on what its triplet says by then; see Decisions.append."""
    texts = _texts(database, [decision.triplet_id for decision in decisions], blind=blind)
    positives: list[str | None] = []
    hard_negatives: list[str | None] = []
    for decision in decisions:
        if decision.triplet_id not in texts:
            raise InputError(f"There is no triplet {decision.triplet_id}; it may belong to another workspace.")
        now_texts = texts[decision.triplet_id] = after(decision, texts[decision.triplet_id])
        positives.append(now_texts.positive if now_texts.is_changed else None)
        hard_negatives.append(now_texts.hard_negative if now_texts.is_changed else None)
    return {
        "triplet_id": [decision.triplet_id for decision in decisions],
        "action": [decision.action for decision in decisions],
        "positive": positives,
        "hard_negative": hard_negatives,
        "reason": [decision.reason for decision in decisions],
    }


def _texts(database: Database, triplet_ids: list[str], *, blind: Collection[str]) -> dict[str, Texts]:
    with database.read() as cursor:
        rows = run(
            cursor,
            "SELECT t.triplet_id, t.positive, t.hard_negative, d.positive, d.hard_negative FROM triplets AS t "
            "LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id "
            "WHERE t.triplet_id IN (SELECT unnest(?::VARCHAR[]))",
            [triplet_ids],
        )
    known: dict[str, Texts] = {}
    for triplet_id, positive, hard_negative, *decided in rows:
        generated = (positive or "", hard_negative or "")
        is_changed = decided[0] is not None and triplet_id not in blind
        positive_now, hard_negative_now = decided if is_changed else generated
        known[triplet_id] = Texts(positive_now, hard_negative_now, generated=generated, is_changed=is_changed)
    return known
