"""Reads over triplets with their scores and decisions: the funnel of curation, final sets, annotations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from workbench.store.connection import Database
from workbench.store.decisions import IN_FORCE
from workbench.store.filters import KEPT_BY_RULE, Rule, attempts_clause

if TYPE_CHECKING:
    import pandas as pd


ADJUDICATED: Final = "adjudicated"
"""Reason of a decision that settles a disagreement: it is the outcome, not an annotation of its own."""
_OK: Final = "t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok'"


class Funnels:
    """Counts over triplets with their scores and decisions joined."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule) -> dict[str, int]:
        """Return premises, generated, ok, judged, kept, rejected, changed, rescued and final.

        rescued: kept by a person though not by the rule. final: ok, and accepted by a person or else by the rule.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        kept = KEPT_BY_RULE.format(*(f"{float(limit)!r}::DOUBLE" for limit in rule))
        by_person = "coalesce(d.action, 'reset') IN ('accept', 'swap', 'edit')"
        undecided = "coalesce(d.action, 'reset') = 'reset'"
        [counts] = self._database.records(
            f"""SELECT least(approx_count_distinct(t.premise_id), count(*)) AS premises, count(*) AS generated,
                    count(*) FILTER ({_OK}) AS ok, count(*) FILTER (j.a IS NOT NULL) AS judged,
                    count(*) FILTER ({kept}) AS kept, count(*) FILTER (d.action = 'reject') AS rejected,
                    count(*) FILTER (d.action IN ('swap', 'edit')) AS changed,
                    count(*) FILTER ({by_person} AND NOT {kept}) AS rescued,
                    count(*) FILTER ({_OK} AND ({by_person} OR ({undecided} AND {kept}))) AS final
                FROM triplets AS t
                LEFT JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
                LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id WHERE {clause}""",
            [judge_id, *parameters],
        )
        return counts

    def flips(self, attempt_ids: Sequence[str], judge_id: str, before: Rule, after: Rule) -> tuple[int, int]:
        """Return how many triplets the second rule gains and loses, compared with the first."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        old = new = KEPT_BY_RULE.format("?", "?", "?")
        [(gained, lost)] = self._database.rows(
            f"SELECT count(*) FILTER ({new} AND NOT {old}), count(*) FILTER ({old} AND NOT {new}) "
            f"FROM judgements AS j WHERE j.judge_id = ? AND {clause}",
            [*after, *before, *before, *after, judge_id, *parameters],
        )
        return gained, lost

    def decided_scores(self, attempt_ids: Sequence[str], judge_id: str) -> "pd.DataFrame":
        """Return triplet_id, a, b, action of the triplets that a person decided and this judge scored."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            "SELECT j.triplet_id, j.a, j.b, d.action FROM judgements AS j JOIN decided AS d "
            "ON d.triplet_id = j.triplet_id AND d.action <> 'reset' "
            f"WHERE j.judge_id = ? AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause} ORDER BY d.sequence",
            [judge_id, *parameters],
        )

    def judge_agreement(self, attempt_ids: Sequence[str], rule: Rule) -> "pd.DataFrame":
        """Return, for each two judges: triplets both scored, Spearman of a - b, and share the rule treats alike."""
        clause, parameters = attempts_clause(attempt_ids)
        kept = KEPT_BY_RULE.format("?", "?", "?")
        return self._database.frame(
            f"""WITH scored AS (SELECT triplet_id, judge_id, a - b AS gap, {kept} AS kept FROM judgements AS j
                    WHERE a IS NOT NULL AND b IS NOT NULL AND {clause}),
                paired AS (SELECT x.judge_id AS first, y.judge_id AS second, x.gap AS g1, y.gap AS g2,
                    x.kept = y.kept AS alike FROM scored AS x JOIN scored AS y USING (triplet_id)
                    WHERE x.judge_id < y.judge_id),
                placed AS (SELECT *, rank() OVER (PARTITION BY first, second ORDER BY g1)
                        + (count(*) OVER (PARTITION BY first, second, g1) - 1) / 2 AS r1,
                    rank() OVER (PARTITION BY first, second ORDER BY g2)
                        + (count(*) OVER (PARTITION BY first, second, g2) - 1) / 2 AS r2 FROM paired)
                SELECT first, second, count(*) AS triplets, corr(r1, r2) AS spearman,
                    avg(alike::DOUBLE) AS alike FROM placed GROUP BY first, second ORDER BY first, second""",
            [*rule, *parameters],
        )


class FinalSets:
    """Reads triplets with scores and decisions joined; a person's decision outranks the rule."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def kept(self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None) -> "pd.DataFrame":
        """Return triplet_id, premise, positive, hard_negative of the final set, in order of arrival.

        Without a judge or a rule every triplet with both sides ok is in, unless a person rejected it.
        """
        source, parameters, reason = _joined(attempt_ids, judge_id, rule)
        return self._database.frame(
            "SELECT triplet_id, premise, positive, hard_negative FROM (SELECT t.rowid AS place, t.triplet_id, "
            "t.premise, coalesce(d.positive, t.positive) AS positive, "
            f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative, {reason} AS reason {source}) "
            "WHERE reason NOT IN ('person: reject', 'lost by rule', 'not judged') ORDER BY place",
            parameters,
        )

    def texts(self, attempt_ids: Sequence[str]) -> "pd.DataFrame":
        """Return triplet_id, premise, positive, hard_negative of all triplets with both sides ok."""
        source, parameters, _ = _joined(attempt_ids, None, None)
        return self._database.frame(
            "SELECT t.triplet_id, t.premise, coalesce(d.positive, t.positive) AS positive, "
            f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative {source} ORDER BY t.rowid",
            parameters,
        )

    def reasons(self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None) -> dict[str, int]:
        """Count all triplets with both sides ok by the reason why they are in or out."""
        source, parameters, reason = _joined(attempt_ids, judge_id, rule)
        rows = self._database.rows(
            f"SELECT {reason} AS reason, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", parameters
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
    return (
        source,
        parameters,
        f"CASE WHEN coalesce(d.action, 'reset') <> 'reset' THEN 'person: ' || d.action ELSE {by_rule} END",
    )


ANNOTATIONS: Final = f"""
    WITH {IN_FORCE} SELECT d.triplet_id, d.annotator, arg_max(d.action, d.sequence) AS action,
        max(d.sequence) AS sequence
    FROM decisions AS d JOIN in_force USING (batch_id)
    WHERE coalesce(d.reason, '') <> '{ADJUDICATED}' GROUP BY d.triplet_id, d.annotator
    HAVING arg_max(d.action, d.sequence) <> 'reset'
"""


class Annotations:
    """Each annotator's decisions in force."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, attempt_ids: Sequence[str] = ()) -> "pd.DataFrame":
        """Return triplet_id, annotator, action, in the order in which they were given."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        return self._database.frame(
            f"SELECT triplet_id, annotator, action FROM ({ANNOTATIONS}) SEMI JOIN "
            f"(SELECT triplet_id FROM triplets AS t WHERE {clause}) USING (triplet_id) ORDER BY sequence",
            parameters,
        )

    def disputed(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the triplets on which annotators disagree and that nobody has settled."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        rows = self._database.rows(
            f"SELECT triplet_id FROM ({ANNOTATIONS}) "
            f"SEMI JOIN (SELECT triplet_id FROM triplets AS t WHERE {clause}) "
            "USING (triplet_id) WHERE triplet_id NOT IN (SELECT triplet_id FROM decided WHERE reason = ? "
            "AND action <> 'reset') GROUP BY triplet_id HAVING count(DISTINCT action) > 1 ORDER BY max(sequence)",
            [*parameters, ADJUDICATED],
        )
        return [triplet_id for (triplet_id,) in rows]
