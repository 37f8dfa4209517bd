"""Triplets with scores and decisions joined: the funnel of curation, final sets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from workbench.store.connection import Database, Frame
from workbench.store.filters import KEPT_BY_RULE, Rule, attempts_clause, uncertain_clause

_OK: Final = "t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok'"


class Funnels:
    """Counts over triplets with their scores and decisions joined."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule) -> dict[str, int]:
        """Return premises, generated, ok, judged, kept, dropped, rescued, changed and final.

        final = kept - dropped + rescued: ok, and accepted by a person or else kept by the rule. All but the first
        three are among the ok ones. dropped: kept, yet not final. rescued: final without the rule.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        kept = KEPT_BY_RULE.format(*(f"{float(limit)!r}::DOUBLE" for limit in rule))
        by_person = "coalesce(d.action, 'reset') IN ('accept', 'swap', 'edit')"
        undecided = "coalesce(d.action, 'reset') = 'reset'"
        final = f"({_OK} AND ({by_person} OR ({undecided} AND {kept})))"
        [counts] = self._database.records(
            f"""SELECT least(approx_count_distinct(t.premise_id), count(*)) AS premises, count(*) AS generated,
                    count(*) FILTER ({_OK}) AS ok, count(*) FILTER ({_OK} AND j.a IS NOT NULL) AS judged,
                    count(*) FILTER ({_OK} AND {kept}) AS kept,
                    count(*) FILTER ({_OK} AND {kept} AND NOT {final}) AS dropped,
                    count(*) FILTER ({final} AND NOT coalesce({kept}, false)) AS rescued,
                    count(*) FILTER (d.action IN ('swap', 'edit')) AS changed, count(*) FILTER ({final}) AS final
                FROM triplets AS t
                LEFT JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
                LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id WHERE {clause}""",
            [judge_id, *parameters],
            kept=True,
        )
        return counts

    def gate(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule, margin: float) -> dict[str, int]:
        """Return how many usable judged triplets the rule keeps or loses for certain, and how many wait for people.

        kept, lost: not uncertain and not decided, by the rule. uncertain: within `margin` of its border, or judges
        are at odds. waiting: of those undecided. approved: what goes on now, accepted by people or kept for certain.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        unsure, values = uncertain_clause(rule, margin, attempt_ids)
        [counts] = self._database.records(
            f"""WITH seen AS (SELECT coalesce(d.action, 'reset') AS action, {unsure} AS unsure,
                    {KEPT_BY_RULE.format("?", "?", "?")} AS kept
                FROM triplets AS t JOIN judgements AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
                LEFT JOIN decided AS d ON d.triplet_id = t.triplet_id
                WHERE {_OK} AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause})
            SELECT count(*) FILTER (action = 'reset' AND kept AND NOT unsure) AS kept,
                count(*) FILTER (action = 'reset' AND NOT kept AND NOT unsure) AS lost,
                count(*) FILTER (unsure) AS uncertain, count(*) FILTER (unsure AND action = 'reset') AS waiting,
                count(*) FILTER (action = 'reject') AS rejected,
                count(*) FILTER (action IN ('accept', 'swap', 'edit')) AS accepted FROM seen""",
            [*values, *rule, judge_id, *parameters],
            kept=True,
        )
        return counts | {"approved": counts["kept"] + counts["accepted"]}

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

    def decided_scores(self, attempt_ids: Sequence[str], judge_id: str) -> Frame:
        """Return triplet_id, a, b, action of the triplets that a person decided and this judge scored."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            "SELECT j.triplet_id, j.a, j.b, d.action FROM judgements AS j JOIN decided AS d "
            "ON d.triplet_id = j.triplet_id AND d.action <> 'reset' "
            f"WHERE j.judge_id = ? AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause} ORDER BY d.sequence",
            [judge_id, *parameters],
            kept=True,
        )

    def judge_agreement(self, attempt_ids: Sequence[str], rule: Rule) -> Frame:
        """Return per pair of judges: triplets both scored, Spearman of a - b, share that the rule treats alike."""
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
            kept=True,
        )


_OUT: Final = ("person: reject", "lost by rule", "not judged", "not reviewed")
"""Reasons why a triplet is not in the final set."""
_BATCH_ROWS: Final = 50_000


class FinalSets:
    """Reads triplets with scores and decisions joined; a person's decision outranks the rule."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def kept(
        self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
    ) -> Iterator[pa.RecordBatchReader]:
        """Give triplet_id, premise, positive, hard_negative of the final set, in order of arrival, in batches.

        Without a judge or a rule every triplet with both sides ok is in, unless a person rejected it. With `margin`
        the uncertain ones, as in `Funnels.gate`, are in only where a person took them.
        """
        source, parameters, reason = _joined(attempt_ids, judge_id, rule, margin)
        out = ", ".join(f"'{why}'" for why in _OUT)
        with self._batches(f"{source} AND {reason} NOT IN ({out})", parameters) as rows:
            yield rows

    @contextmanager
    def texts(self, attempt_ids: Sequence[str]) -> Iterator[pa.RecordBatchReader]:
        """Give triplet_id, premise, positive, hard_negative of all triplets with both sides ok, in batches."""
        source, parameters, _ = _joined(attempt_ids, None, None)
        with self._batches(source, parameters) as rows:
            yield rows

    @contextmanager
    def _batches(self, source: str, parameters: list[Any]) -> Iterator[pa.RecordBatchReader]:
        with self._database.read() as cursor:
            yield cursor.sql(
                "SELECT t.triplet_id, t.premise, coalesce(d.positive, t.positive) AS positive, "
                f"coalesce(d.hard_negative, t.hard_negative) AS hard_negative {source} ORDER BY t.rowid",
                params=parameters,
            ).to_arrow_reader(_BATCH_ROWS)

    @staticmethod
    def size(reasons: dict[str, int]) -> int:
        """Return how many triplets the final set holds, from what `reasons` counted."""
        return sum(count for why, count in reasons.items() if why not in _OUT)

    def reasons(
        self, attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
    ) -> dict[str, int]:
        """Count all triplets with both sides ok by the reason why they are in or out."""
        source, parameters, reason = _joined(attempt_ids, judge_id, rule, margin)
        rows = self._database.rows(
            f"SELECT {reason} AS reason, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", parameters
        )
        return {why: int(count) for why, count in rows}


def _joined(
    attempt_ids: Sequence[str], judge_id: str | None, rule: Rule | None, margin: float | None = None
) -> tuple[str, list[Any], str]:
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
        if margin is not None:
            unsure, values = uncertain_clause(rule, margin, attempt_ids)
            source += (
                f"LEFT JOIN (SELECT j.triplet_id FROM judgements AS j WHERE j.judge_id = ? AND {unsure}) AS u "
                "ON u.triplet_id = t.triplet_id "
            )
            parameters = [judge_id, judge_id, *values, *parameters[1:]]
            by_rule = f"CASE WHEN u.triplet_id IS NOT NULL THEN 'not reviewed' ELSE {by_rule} END"
    source += f"WHERE t.positive_outcome = 'ok' AND t.hard_negative_outcome = 'ok' AND {clause}"
    return (
        source,
        parameters,
        f"CASE WHEN coalesce(d.action, 'reset') <> 'reset' THEN 'person: ' || d.action ELSE {by_rule} END",
    )
