"""What curation leaves of some attempts: the texts as people left them, and why each triplet is in or out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from workbench.store.connection import Database, run
from workbench.store.filters import Rule, attempts_clause

if TYPE_CHECKING:
    import pandas as pd

_BY_PERSON: Final = "coalesce(d.action, 'reset') <> 'reset'"


class FinalSets:
    """Reads triplets with scores and decisions joined; a person's decision outranks the rule."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def kept(self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None) -> "pd.DataFrame":
        """Return triplet_id, premise, positive, hard_negative of the final set, in order of arrival.

        Without a judge or a rule every triplet with both sides ok is in, unless a person rejected it.
        """
        source, parameters, reason = _joined(attempt_ids, judge_id, rule)
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT triplet_id, premise, positive, hard_negative FROM (SELECT t.rowid AS place, t.triplet_id, "
                "t.premise, coalesce(d.positive, t.positive) AS positive, "
                f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative, {reason} AS reason {source}) "
                "WHERE reason NOT IN ('person: reject', 'lost by rule', 'not judged') ORDER BY place",
                parameters,
            ).df()

    def texts(self, attempt_ids: Sequence[str]) -> "pd.DataFrame":
        """Return triplet_id, premise, positive, hard_negative of all triplets with both sides ok."""
        source, parameters, _ = _joined(attempt_ids, None, None)
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT t.triplet_id, t.premise, coalesce(d.positive, t.positive) AS positive, "
                f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative {source} ORDER BY t.rowid",
                parameters,
            ).df()

    def reasons(self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None) -> dict[str, int]:
        """Count all triplets with both sides ok by why they are in or out."""
        source, parameters, reason = _joined(attempt_ids, judge_id, rule)
        with self._database.read() as cursor:
            rows = run(
                cursor, f"SELECT {reason} AS reason, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", parameters
            )
        return {why: int(count) for why, count in rows}


def _joined(attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None) -> tuple[str, list[Any], str]:
    """Return FROM and WHERE with their parameters, and the expression of the reason."""
    clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
    source = "FROM triplets AS t LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id "
    by_rule = "'no rule'"
    if judge_id and rule is not None:
        source += "LEFT JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ? "
        parameters = [judge_id, *parameters]
        alpha, beta, gamma = (f"{float(limit)!r}::DOUBLE" for limit in rule)
        by_rule = (
            "CASE WHEN j.a IS NULL OR j.b IS NULL THEN 'not judged' "
            f"WHEN j.a >= {alpha} AND j.b <= {beta} AND j.a >= j.b + {gamma} THEN 'kept by rule' "
            "ELSE 'lost by rule' END"
        )
    source += f"WHERE t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok' AND {clause}"
    return source, parameters, f"CASE WHEN {_BY_PERSON} THEN 'person: ' || d.action ELSE {by_rule} END"
