"""From premises to the final set: one count per step of curation, and what separates two rules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from workbench.store.connection import Database, records, run
from workbench.store.filters import Rule, attempts_clause

if TYPE_CHECKING:
    import pandas as pd

_KEEPS: Final = "coalesce(j.a >= {0} AND j.b <= {1} AND j.a >= j.b + {2}, false)"
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
        kept = _KEEPS.format(*(f"{float(limit)!r}::DOUBLE" for limit in rule))
        by_person = "coalesce(d.action, 'reset') IN ('accept', 'swap', 'edit')"
        undecided = "coalesce(d.action, 'reset') = 'reset'"
        with self._database.read() as cursor:
            [counts] = records(
                cursor,
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
        """Return how many triplets the second rule takes in and how many it leaves out, against the first."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        old, new = (_KEEPS.format("?", "?", "?") for _ in range(2))
        with self._database.read() as cursor:
            [(gained, lost)] = run(
                cursor,
                f"SELECT count(*) FILTER ({new} AND NOT {old}), count(*) FILTER ({old} AND NOT {new}) "
                f"FROM judgements AS j WHERE j.judge_id = ? AND {clause}",
                [*after, *before, *before, *after, judge_id, *parameters],
            )
        return gained, lost

    def decided_scores(self, attempt_ids: Sequence[str], judge_id: str) -> "pd.DataFrame":
        """Return triplet_id, a, b, action of the triplets that a person decided and this judge scored."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        with self._database.read() as cursor:
            return cursor.execute(
                "SELECT j.triplet_id, j.a, j.b, d.action FROM judgements AS j JOIN decided AS d "
                "ON d.triplet_id = j.triplet_id AND d.action <> 'reset' "
                f"WHERE j.judge_id = ? AND j.a IS NOT NULL AND j.b IS NOT NULL AND {clause} ORDER BY d.sequence",
                [judge_id, *parameters],
            ).df()

    def judge_agreement(self, attempt_ids: Sequence[str], rule: Rule) -> "pd.DataFrame":
        """Return, for each two judges: triplets both scored, Spearman of a - b, and share the rule treats alike."""
        clause, parameters = attempts_clause(attempt_ids)
        kept = "coalesce(a >= ? AND b <= ? AND a >= b + ?, false)"
        with self._database.read() as cursor:
            return cursor.execute(
                f"""WITH scored AS (SELECT triplet_id, judge_id, a - b AS gap, {kept} AS kept FROM judgements
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
            ).df()
