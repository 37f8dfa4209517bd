"""Triplets with scores and decisions joined: the funnel of curation, final sets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workbench.store.connection import Database, Frame
from workbench.store.filters import KEPT_BY_RULE, Rule, attempts_clause, uncertain_clause

_TAKEN: Final = ("accept", "swap", "edit")
_CHANGED: Final = ("swap", "edit")
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
        [found] = self._database.records(
            f"""SELECT least(approx_count_distinct(t.premise_id), count(*)) AS premises, count(*) AS generated,
                count(*) FILTER ({_OK}) AS ok FROM triplets AS t WHERE {clause}""",
            parameters,
            kept=True,
        )
        clause, parameters = attempts_clause(attempt_ids)
        kept = KEPT_BY_RULE.replace("j.", "").format("?", "?", "?")
        [(judged, by_rule)] = self._database.rows(
            f"SELECT count(a), count(*) FILTER ({kept}) FROM judgements WHERE judge_id = ? AND {clause}",
            [*rule, judge_id, *parameters],
            kept=True,
        )
        failed, decided = self._failed(attempt_ids, judge_id), self._decided(attempt_ids, judge_id)
        is_ok, is_kept = decided["ok"].to_numpy(), _keeps(decided, rule)
        found |= {
            "judged": judged - int(failed["a"].notna().sum()),
            "kept": by_rule - int(_keeps(failed, rule).sum()),
        }
        found["dropped"] = int((is_ok & is_kept & (decided["action"] == "reject")).sum())
        found["rescued"] = int((is_ok & ~is_kept & decided["action"].isin(_TAKEN)).sum())
        found["changed"] = int(decided["action"].isin(_CHANGED).sum())
        return found | {"final": found["kept"] - found["dropped"] + found["rescued"]}

    def _decided(self, attempt_ids: Sequence[str], judge_id: str) -> Frame:
        """Return action, ok (whether both sides are), a and b of the triplets that people decided.

        Counts over all triplets leave these out and add what people made of them, so that no rule needs a join.
        """
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        return self._database.frame(
            f"""SELECT d.action, coalesce({_OK}, false) AS ok, j.a, j.b
            FROM (SELECT * FROM decided WHERE action <> 'reset') AS d
            JOIN triplets AS t ON t.triplet_id = d.triplet_id
            LEFT JOIN judgements AS j ON j.triplet_id = d.triplet_id AND j.judge_id = ? WHERE {clause}""",
            [judge_id, *parameters],
            kept=True,
        )

    def _failed(self, attempt_ids: Sequence[str], judge_id: str) -> Frame:
        """Return a and b of judged triplets that are not ok on both sides, or not there: hardly ever any."""
        clause, parameters = attempts_clause(attempt_ids, "j.attempt_id")
        return self._database.frame(
            f"""SELECT j.a, j.b FROM judgements AS j WHERE j.judge_id = ? AND {clause} AND (j.attempt_id IS NULL
                OR j.triplet_id IN (SELECT t.triplet_id FROM triplets AS t WHERE ({_OK}) IS NOT TRUE))""",
            [judge_id, *parameters],
            kept=True,
        )

    def gate(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule, margin: float) -> dict[str, int]:
        """Return how many usable judged triplets the rule keeps or loses for certain, and how many wait for people.

        kept, lost: not uncertain and not decided, by the rule. uncertain: within `margin` of its border, or judges
        are at odds. waiting: of those undecided. approved: what goes on now, accepted by people or kept for certain.
        """
        among, of_attempts = attempts_clause(attempt_ids)
        judges = self._database.rows(
            f"SELECT count(DISTINCT judge_id) FROM judgements WHERE {among}", of_attempts, kept=True
        )
        counts = self._gate_of_one if judges[0][0] < 2 else self._gate
        found = counts(attempt_ids, judge_id, rule, margin)
        return found | {"approved": found["kept"] + found["accepted"]}

    def _gate_of_one(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule, margin: float) -> dict[str, int]:
        """Count where there are no other judges to be at odds with: no join with all triplets is needed."""
        clause, parameters = attempts_clause(attempt_ids)
        kept = KEPT_BY_RULE.replace("j.", "").format("?", "?", "?")
        slack = [f"(a - {float(rule[0])!r})", f"({float(rule[1])!r} - b)", f"(a - b - {float(rule[2])!r})"]
        # As the smallest of the three within the margin, in comparisons alone, which are three times as fast.
        at_least, at_most = (
            word.join(f"{one} {sign} ?" for one in slack) for word, sign in ((" AND ", ">="), (" OR ", "<="))
        )
        near, margins = f"({at_least} AND ({at_most}))", [-margin] * 3 + [margin] * 3
        [counts] = self._database.rows(
            f"""SELECT count(*) FILTER (kept AND NOT near), count(*) FILTER (NOT kept AND NOT near),
                count(*) FILTER (near) FROM (SELECT {kept} AS kept, {near} AS near FROM judgements
                WHERE judge_id = ? AND a IS NOT NULL AND b IS NOT NULL AND {clause})""",
            [*rule, *margins, judge_id, *parameters],
            kept=True,
        )
        decided = self._decided(attempt_ids, judge_id).dropna(subset=["a", "b"])
        decided = decided[decided["ok"]]
        settled, failed = (
            _gate_counts(some, rule, margin) for some in (decided, self._failed(attempt_ids, judge_id).dropna())
        )
        kept_rows, lost, uncertain = (int(n) - m for n, m in zip(counts, failed, strict=True))
        return {
            "kept": kept_rows - settled[0],
            "lost": lost - settled[1],
            "uncertain": uncertain,
            "waiting": uncertain - settled[2],
            "rejected": int((decided["action"] == "reject").sum()),
            "accepted": int(decided["action"].isin(_TAKEN).sum()),
        }

    def _gate(self, attempt_ids: Sequence[str], judge_id: str, rule: Rule, margin: float) -> dict[str, int]:
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


def _keeps(scores: Frame, rule: Rule) -> NDArray[np.bool_]:
    """Return whether the rule keeps each of these scores a and b; not where one is missing."""
    a, b = scores["a"].to_numpy(dtype=float), scores["b"].to_numpy(dtype=float)
    return (a >= rule[0]) & (b <= rule[1]) & (a >= b + rule[2])


def _gate_counts(scores: Frame, rule: Rule, margin: float) -> tuple[int, int, int]:
    """Return how many of these scores the rule surely keeps, surely loses, and how many are near its border."""
    a, b = scores["a"].to_numpy(dtype=float), scores["b"].to_numpy(dtype=float)
    near = np.abs(np.minimum(np.minimum(a - rule[0], rule[1] - b), a - b - rule[2])) <= margin
    kept = _keeps(scores, rule)
    return int((kept & ~near).sum()), int((~kept & ~near).sum()), int(near.sum())


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
