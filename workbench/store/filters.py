"""What people choose when they look at triplets, and the SQL it becomes: fixed words, values as parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

DecisionFilter = Literal["", "undecided", "decided", "accept", "reject", "swap", "edit"]


@dataclass(frozen=True, slots=True)
class TripletFilter:
    """Which triplets are meant; every field left alone means all."""

    attempt_ids: tuple[str, ...] = ()
    """Attempts (generation jobs or imports)."""
    text: str = ""
    """Part of the premise, the positive or the hard negative, in any case."""
    outcome: str = ""
    """`ok` asks for both sides ok; another outcome for at least one side with it."""
    decision: DecisionFilter = ""
    """The latest human decision."""
    judge_id: str = ""
    """Judge whose scores a and b are shown and limited below."""
    a_min: float | None = None
    """Least score of (premise, positive)."""
    a_max: float | None = None
    """Greatest score of (premise, positive)."""
    b_min: float | None = None
    """Least score of (premise, hard negative)."""
    b_max: float | None = None
    """Greatest score of (premise, hard negative)."""

    @property
    def needs_decisions(self) -> bool:
        """Whether the latest decisions must be joined."""
        return bool(self.decision)

    @property
    def needs_scores(self) -> bool:
        """Whether a score limit is set, so that unjudged triplets drop out."""
        return any(limit is not None for limit in (self.a_min, self.a_max, self.b_min, self.b_max))


def attempts_clause(attempt_ids: Sequence[str], column: str = "attempt_id") -> tuple[str, list[Any]]:
    """Return a condition on the attempt; no ids mean every attempt."""
    if not attempt_ids:
        return "true", []
    return f"{column} IN (SELECT unnest(?::VARCHAR[]))", [list(attempt_ids)]


def source_and_conditions(chosen: TripletFilter, *, with_decisions: bool = False) -> tuple[str, str, list[Any]]:
    """Return FROM and WHERE of a query over triplets t, with j (scores) and d (decisions) joined where needed."""
    source, parameters = "triplets AS t", []
    if chosen.needs_scores:
        source += " JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?"
        parameters.append(chosen.judge_id)
    if chosen.needs_decisions or with_decisions:
        source += " LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id"
    conditions, values = _conditions(chosen)
    return source, conditions, parameters + values


def _conditions(chosen: TripletFilter) -> tuple[str, list[Any]]:
    clause, values = attempts_clause(chosen.attempt_ids, "t.attempt_id")
    parts = [clause]
    if chosen.text:
        fields = ("premise", "positive", "hard_negative")
        parts.append("(" + " OR ".join(f"contains(lower(t.{field}), lower(?))" for field in fields) + ")")
        values += [chosen.text] * 3
    if chosen.outcome:
        joiner = "AND" if chosen.outcome == "ok" else "OR"
        parts.append(f"(t.positive_outcome = ? {joiner} t.hard_negative_outcome = ?)")
        values += [chosen.outcome] * 2
    limits = (
        ("a", ">=", chosen.a_min),
        ("a", "<=", chosen.a_max),
        ("b", ">=", chosen.b_min),
        ("b", "<=", chosen.b_max),
    )
    for column, comparison, limit in limits:
        if limit is not None:
            parts.append(f"j.{column} {comparison} ?")
            values.append(limit)
    if chosen.decision:
        clause, more = _decision_clause(chosen.decision)
        parts.append(clause)
        values += more
    return " AND ".join(parts), values


def _decision_clause(decision: str) -> tuple[str, list[Any]]:
    action = "coalesce(d.action, 'reset')"
    if decision == "undecided":
        return f"{action} = 'reset'", []
    if decision == "decided":
        return f"{action} <> 'reset'", []
    return f"{action} = ?", [decision]
