"""People's decisions: the queue, deciding one triplet or all that match a filter, undo and redo.

Every decision carries the name of its annotator; undo and redo go by it, in whatever process they run.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Annotated, Any

import pandas as pd

from pipeline.config import CurationRule
from pipeline.records import InputError, Side
from pipeline.settings import from_fields
from workbench.actions.call import Answer, action
from workbench.actions.generation import checked_runs
from workbench.store.decisions import ADJUDICATED, Action, Decision
from workbench.store.files import read_notes
from workbench.store.filters import Order, Sorting, TripletFilter, filter_from
from workbench.workspace import Workspace

LONGEST_NAME = 40
_MOST_ROWS = 10_000


@action
def decide(
    workspace: Workspace,
    *,
    triplet_ids: Sequence[str],
    action: Action,
    annotator: str,
    positive: str | None = None,
    hard_negative: str | None = None,
    reason: str = "",
    settles: bool = False,
    waiting: bool = False,
) -> Answer:
    """Decide these triplets as one step; an edit gives the new text of one side or both, of one triplet.

    Where a share of triplets is annotated by everyone, a decision builds on the generated texts, as its annotator saw
    nobody else's changes. With `settles` it settles a disagreement: it is the outcome, not an annotation of its own.
    With `waiting` nothing is decided if one of them has left the queue since it was shown (InputError).
    """
    has_text = positive is not None or hard_negative is not None
    if has_text != (action == "edit"):
        raise InputError("Give the new text of a side with an edit, and only with an edit.")
    if action == "edit" and len(triplet_ids) != 1:
        raise InputError(f"An edit changes one triplet; {len(triplet_ids)} were named.")
    who = annotator_name(annotator)
    decisions = [
        Decision(triplet_id, action, positive, hard_negative, who, ADJUDICATED if settles else reason)
        for triplet_id in dict.fromkeys(triplet_ids)
    ]
    shared = 0.0 if settles else read_notes(workspace.root).shared
    if waiting and (gone := _no_longer_waiting(workspace, triplet_ids, who, shared, disputed=settles)):
        raise InputError(f"{gone}; nothing was changed. Undo, or decide it in the list.")
    known = workspace.store.triplets.get
    blind = [one.triplet_id for one in decisions if shared and _is_others(known(one.triplet_id)["decision"], who)]
    return {"batch_id": workspace.store.decisions.append(decisions, blind=blind), "decided": len(decisions)}


@action
def decide_all(
    workspace: Workspace,
    *,
    filter: Annotated[dict[str, Any], TripletFilter],
    action: Action,
    annotator: str,
    reason: str = "",
    expected: int | None = None,
) -> Answer:
    """Decide every triplet that a TripletFilter (its fields) leaves, as one step.

    expected: the number that was shown; if a different number matches now, nothing is decided (InputError). The
    answer counts the triplets of the filter's attempts by decision before and after.
    """
    chosen, store = filter_from(filter), workspace.store
    store.triplets.count(chosen)  # raises InputError for a pattern that is no regular expression
    before = store.decisions.counts(chosen.attempt_ids)
    batch_id, decided = store.decisions.decide_all(
        chosen, action, annotator=annotator_name(annotator), reason=reason, expected=expected
    )
    after = store.decisions.counts(chosen.attempt_ids)
    return {"batch_id": batch_id, "decided": decided, "before": before, "after": after}


@action
def undo(workspace: Workspace, *, annotator: str) -> Answer:
    """Undo the annotator's last step in force; `batch_id` is None when there is none."""
    return {"batch_id": workspace.store.decisions.undo(annotator_name(annotator))}


@action
def redo(workspace: Workspace, *, annotator: str) -> Answer:
    """Redo the step that the annotator undid last; `batch_id` is None when there is none."""
    return {"batch_id": workspace.store.decisions.redo(annotator_name(annotator))}


@action
def queue(
    workspace: Workspace,
    *,
    annotator: str,
    attempt_ids: Sequence[str] = (),
    order: Order = "arrival",
    judge_id: str = "",
    rule: Annotated[dict[str, Any] | None, CurationRule] = None,
    disputed: bool = False,
    uncertain: float | None = None,
    triplet_ids: Sequence[str] | None = None,
    skipped: Sequence[str] = (),
    limit: int = 1,
) -> Answer:
    """Return the next triplets that this annotator should decide, how many are left, and of how many.

    disputed: those on which annotators differ and that nobody has settled, in place of undecided ones.
    uncertain: only triplets this near to the rule's border (0 to 5), or on which judges differ; needs judge_id.
    triplet_ids: only these, for example of a slice. skipped: postponed, still counted as left.
    A triplet has the texts its annotator may see (`blind`: as generated, as somebody else decided it) and its scores
    by judge.
    """
    who, store = annotator_name(annotator), workspace.store
    attempts = tuple(checked_runs(workspace, attempt_ids))
    among = None if triplet_ids is None else tuple(triplet_ids)
    shared = 0.0 if disputed else read_notes(workspace.root).shared
    every = TripletFilter(attempts, outcome="ok", judge_id=judge_id, triplet_ids=among)
    if uncertain is not None:
        limits = astuple(from_fields(CurationRule, rule or {}))
        every = replace(every, uncertain=limits, margin=checked_margin(uncertain) or 0.0)
    chosen = replace(every, waits_for=who, shared=shared)
    if disputed:
        differing = store.annotations.disputed(attempts)
        named = set(differing if among is None else among)
        chosen = TripletFilter(judge_id=judge_id, triplet_ids=tuple(one for one in differing if one in named))
    most = _rows(limit) + len(skipped)
    if order == "arrival":
        ids, left = store.triplets.first(chosen, most)
    else:
        page = _page(workspace, chosen, order, rule, limit=most)
        ids, left = list(page["triplet_id"]), store.triplets.count(chosen)
    postponed = set(skipped)
    waiting = [triplet_id for triplet_id in ids if triplet_id not in postponed][:limit]
    return {
        "triplets": [_seen_by(workspace, who, triplet_id, shared) for triplet_id in waiting],
        "left": left,
        "total": store.triplets.count(every),
    }


@action
def list_triplets(
    workspace: Workspace,
    *,
    filter: Annotated[dict[str, Any] | None, TripletFilter] = None,
    order: Order = "arrival",
    rule: Annotated[dict[str, Any] | None, CurationRule] = None,
    limit: int = 50,
    after: Sequence[float] | None = None,
) -> Answer:
    """Return the triplets that a TripletFilter (its fields) leaves, in this order, and how many there are in all.

    after: the `after` of the previous answer, to get the next page.
    """
    chosen = filter_from(filter or {})
    total = workspace.store.triplets.count(chosen)
    rows = _json_rows(_page(workspace, chosen, order, rule, limit=_rows(limit), after=after))
    last = [rows[-1]["sort_key"], rows[-1]["position"]] if rows else None
    return {"triplets": rows, "total": total, "after": last}


@action
def decision_history(workspace: Workspace, *, triplet_id: str) -> Answer:
    """Return everything known of one triplet, and every decision on it, oldest first."""
    known = workspace.store.triplets.get(triplet_id)
    return {"triplet": known, "history": _json_rows(workspace.store.decisions.history(triplet_id))}


def annotator_name(name: str) -> str:
    """Return the name without superfluous spaces. Raises InputError for an empty or overlong one."""
    found = " ".join(name.split())
    if not found or len(found) > LONGEST_NAME:
        raise InputError(f"Decisions need the name of who decides, of 1 to {LONGEST_NAME} characters.")
    return found


def checked_margin(margin: float | None) -> float | None:
    """Return a distance to the border of a rule. Raises InputError for one off the scale of scores."""
    if margin is not None and not 0 <= margin <= 5:
        raise InputError(f"The distance to the rule's border must lie between 0 and 5, got {margin}.")
    return margin


def _no_longer_waiting(
    workspace: Workspace, triplet_ids: Sequence[str], annotator: str, shared: float, *, disputed: bool
) -> str:
    """Return what became of a triplet that this annotator's queue no longer holds; empty while it holds them all."""
    store, asked = workspace.store, tuple(dict.fromkeys(triplet_ids))
    if disputed:
        left = set(store.annotations.disputed())
    else:
        chosen = TripletFilter(waits_for=annotator, shared=shared, triplet_ids=asked)
        if store.triplets.first(chosen, 1)[1] == len(asked):
            return ""
        left = set(store.triplets.page(chosen, limit=len(asked))["triplet_id"])
    for triplet_id in asked:
        if triplet_id not in left:
            made = store.triplets.get(triplet_id)["decision"] or {}
            what = f": {made['action']}, by {made['annotator']}" if made and not shared else ""
            return f"This triplet has been decided meanwhile{what}"
    return ""


def _is_others(decision: dict[str, Any] | None, annotator: str) -> bool:
    """Whether a triplet's decision is in force and somebody else's."""
    return decision is not None and decision["action"] != "reset" and decision["annotator"] != annotator


def _seen_by(workspace: Workspace, annotator: str, triplet_id: str, shared: float) -> dict[str, Any]:
    """Return a triplet as decided, with its scores; with the generated texts where a decision must stay hidden."""
    known = workspace.store.triplets.get(triplet_id)
    made = known["decision"]
    blind = bool(shared) and _is_others(made, annotator)
    if made is None or blind:
        return known | {"decision": None, "blind": blind}
    texts = {str(side): made[side] for side in Side if made[side] is not None}
    return known | texts | {"decision": made["action"] if made["action"] != "reset" else None, "blind": False}


def _page(
    workspace: Workspace,
    chosen: TripletFilter,
    order: Order,
    rule: dict[str, Any] | None,
    *,
    limit: int,
    after: Sequence[float] | None = None,
) -> pd.DataFrame:
    limits = astuple(from_fields(CurationRule, rule or {}))
    key = None
    if after is not None:
        if len(after) != 2:
            raise InputError("after must be the two numbers of the `after` in the previous answer.")
        key = (float(after[0]), int(after[1]))
    if order == "arrival":  # a window of the table is enough
        page = workspace.store.triplets.page(chosen, after=None if key is None else key[1], limit=limit)
        return page.assign(sort_key=page["position"].astype(float))
    return workspace.store.triplets.sorted_page(chosen, Sorting(order, chosen.judge_id, limits), key, limit)


def _rows(limit: int) -> int:
    if not 1 <= limit <= _MOST_ROWS:
        raise InputError(f"The number of triplets must lie between 1 and {_MOST_ROWS:,}, got {limit}.")
    return limit


def _json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records", double_precision=15))
