"""Triplets of every generation run and import, as generated and as decided."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from pipeline.records import InputError
from workbench.journal import Row, Rows, new_id
from workbench.store.connection import Cursor, Database, Frame, records, run
from workbench.store.filters import Sorting, TripletFilter, attempts_clause, checked_pattern, source_and_conditions
from workbench.store.journals import Table, checked
from workbench.store.premises import Imports, fed
from workbench.store.triplet_blocks import TRIPLET_SCHEMA, import_blocks, insert_triplets

_COLUMNS = ", ".join(f"t.{name}" for name in TRIPLET_SCHEMA.names)
_MOST_FIRST = 999_999
_WINDOW, _TIMES = 20_000, 8
"""Rows scanned first, and how many times as many each time after; to start a query costs as much as 300,000 rows."""
_FEW = 1_000
"""Rows whose ids are named in a query: the index finds them, where a join would read all scores."""
_ATTEMPTS = """
    SELECT attempt_id, coalesce(jobs.title, imports.name, '') AS title, llm, omega, seed, rows, ok,
        coalesce(jobs.created_at, imports.created_at, '') AS created_at
    FROM (SELECT attempt_id, any_value(llm) AS llm, any_value(omega) AS omega, any_value(seed) AS seed,
            count(*) AS rows,
            count(*) FILTER (positive_outcome = 'ok' AND hard_negative_outcome = 'ok') AS ok
        FROM triplets GROUP BY attempt_id)
    LEFT JOIN jobs ON jobs.job_id = attempt_id
    LEFT JOIN imports ON imports.import_id = attempt_id
    ORDER BY attempt_id DESC
"""
_SHOWN = """
    WITH chosen AS ({chosen}),
    latest AS (SELECT * FROM decided WHERE triplet_id IN ({ids})),
    scored AS MATERIALIZED (SELECT triplet_id, judge_id, a, b FROM judgements WHERE triplet_id IN ({ids}))
    SELECT t.position, t.triplet_id, t.attempt_id, t.premise_id, t.premise,
        coalesce(d.positive, t.positive) AS positive,
        coalesce(d.hard_negative, t.hard_negative) AS hard_negative,
        t.positive_outcome, t.hard_negative_outcome, t.omega, t.llm,
        nullif(d.action, 'reset') AS decision, j.a, j.b
    FROM chosen AS t
    LEFT JOIN latest AS d ON d.triplet_id = t.triplet_id
    LEFT JOIN scored AS j ON j.triplet_id = t.triplet_id AND j.judge_id = ?
    ORDER BY t.position
"""
"""Rows with decisions and scores. Scores are read by ids alone, apart from the rest: with the judge among the
conditions the index would not be used."""


class Triplets(Table):
    """The table of triplets. Append-only: the row number is a stable key for paging."""

    name, schema, key = "triplets", TRIPLET_SCHEMA, ("triplet_id",)

    def __init__(self, database: Database, imports: Imports) -> None:
        super().__init__(database)
        self._imports = imports

    def insert(self, cursor: Cursor, rows: Rows) -> int:
        """Insert triplets; one whose id is already there is left as it was."""
        table, rejected = checked(rows, self.schema, self.key)
        insert_triplets(cursor, table)
        return rejected

    def import_rows(
        self, name: str, source: str, rows: Iterable[tuple[str, ...]], counts: Callable[[], dict[str, Any]]
    ) -> str:
        """Store (premise_id, premise, positive, hard_negative) of a stream of triplets, a block in memory at a time.

        counts: asked at the end for `rejected` (reason -> rows) and `duplicates`. Returns the attempt id: that of the
        earlier import where the same triplets of the same source and name are there already.
        """
        attempt_id = new_id("import")
        about = {"kind": "triplets", "name": name, "origin": source}
        digest = blake2b(source.encode(), digest_size=16)
        return self._imports.add(
            attempt_id,
            lambda: about | counts(),
            import_blocks(attempt_id, fed(digest, rows)),
            digest=digest.hexdigest,
            batch_rows=1,
        )

    def attempts(self) -> Frame:
        """Return attempt_id, title, llm, omega, seed, rows, ok, created_at of every run and import, newest first."""
        return self._database.frame(_ATTEMPTS, kept=True)

    def written_twice(self) -> Frame:
        """Return first, second, premises of runs with another omega that share premises, most premises first."""
        return self._database.frame(
            """SELECT a.attempt_id AS first, b.attempt_id AS second, count(*) AS premises
            FROM triplets AS a JOIN triplets AS b ON a.premise_id = b.premise_id AND a.omega < b.omega
            GROUP BY ALL ORDER BY premises DESC, first, second LIMIT 20""",
            kept=True,
        )

    def side_by_side(self, first: str, second: str, *, limit: int) -> Frame:
        """Return premise, and each side of two runs with 0 or 1 behind its name, where all four are ok.

        The premises come in an order that has nothing to do with their content.
        """
        ok = " AND ".join(f"{run}.{side}_outcome = 'ok'" for run in "ab" for side in ("positive", "hard_negative"))
        return self._database.frame(
            f"""SELECT a.premise, a.positive AS positive0, b.positive AS positive1,
                a.hard_negative AS hard_negative0, b.hard_negative AS hard_negative1
            FROM triplets AS a JOIN triplets AS b ON a.premise_id = b.premise_id
            WHERE a.attempt_id = ? AND b.attempt_id = ? AND {ok} ORDER BY hash(a.premise_id), a.premise LIMIT ?""",
            [first, second, limit],
            kept=True,
        )

    def outcome_counts(self, attempt_id: str) -> Frame:
        """Return side, outcome, count; each side's counts add up to the attempt's rows."""
        sides = " UNION ALL ".join(
            f"SELECT '{side}' AS side, {side}_outcome AS outcome, count(*) AS count FROM triplets "
            f"WHERE attempt_id = $attempt_id GROUP BY {side}_outcome"
            for side in ("positive", "hard_negative")
        )
        return self._database.frame(
            f"SELECT * FROM ({sides}) ORDER BY side DESC, count DESC, outcome",
            {"attempt_id": attempt_id},
            kept=True,
        )

    def count(self, chosen: TripletFilter) -> int:
        """Return how many triplets match."""
        source, conditions, parameters = source_and_conditions(chosen)
        with self._database.read() as cursor:
            _check(cursor, chosen)
        return self._database.rows(f"SELECT count(*) FROM {source} WHERE {conditions}", parameters, kept=True)[0][0]

    def first(self, chosen: TripletFilter, limit: int) -> tuple[list[str], int]:
        """Return the ids of the first triplets that match, in order of arrival, and how many match in all.

        limit: at least 1; above a million it is taken as that, DuckDB's own.
        """
        source, conditions, parameters = source_and_conditions(chosen)
        ids = f"arg_min(t.triplet_id, t.rowid, {min(limit, _MOST_FIRST)})"
        with self._database.read() as cursor:
            _check(cursor, chosen)
            found = run(cursor, f"SELECT {ids}, count(*) FROM {source} WHERE {conditions}", parameters)
        return found[0][0] or [], int(found[0][1])

    def page(
        self, chosen: TripletFilter, after: int | None = None, limit: int = 50, newest_first: bool = False
    ) -> Frame:
        """Return the next triplets in order of arrival, texts as decided, with decision and scores.

        Pass the last row's `position` as `after` to get the following page.
        """
        source, conditions, parameters = source_and_conditions(chosen)
        order = "DESC" if newest_first else "ASC"
        with self._database.read() as cursor:
            _check(cursor, chosen)
            last = max(0, int(run(cursor, "SELECT count(*) FROM triplets")[0][0]) - 1)
            first = 0 if newest_first or after is None else after + 1
            reach = after - 1 if newest_first and after is not None else last
            if limit is None or limit > _FEW:
                rows = (
                    f"SELECT t.rowid AS position, {_COLUMNS} FROM {source} WHERE {conditions} "
                    f"AND t.rowid BETWEEN ? AND ? ORDER BY t.rowid {order} LIMIT ?"
                )
                shown = _SHOWN.format(chosen=rows, ids="SELECT triplet_id FROM chosen")
                frame = cursor.execute(shown, [*parameters, first, reach, limit, chosen.judge_id]).df()
                return frame[::-1].reset_index(drop=True) if newest_first else frame
            found: list[int] = []
            begin = _FEW if chosen.needs_scores else _WINDOW
            for low, high in _windows(first, reach, begin, newest_first=newest_first):
                window = [low, high]
                few, ids = _scores_of(cursor, *window) if high - low < _FEW and chosen.needs_scores else ("", [])
                within = source.replace("judgements AS j", "few AS j") if few else source
                more = run(
                    cursor,
                    f"{few} SELECT t.rowid FROM {within} WHERE {conditions} AND t.rowid BETWEEN ? AND ? "
                    f"ORDER BY 1 {order} LIMIT ?",
                    [*ids, *parameters, *window, limit - len(found)],
                )
                found += [position for (position,) in more]
                if len(found) >= limit:
                    break
            return _shown(cursor, found, chosen.judge_id)

    def sorted_page(
        self, chosen: TripletFilter, sorting: Sorting, after: tuple[float, int] | None = None, limit: int = 50
    ) -> Frame:
        """Return the next triplets in this order, with the columns of `page` and `sort_key`.

        Pass the last row's (`sort_key`, `position`) as `after` to get the following page.
        """
        source, conditions, parameters = source_and_conditions(chosen)
        join, key, of_join, of_key = sorting.sql()
        parameters = of_key + _before_conditions(parameters, source, of_join)
        conditions_after = ""
        if after is not None:
            conditions_after = "WHERE (sort_key, position) > (?, ?)"
            parameters += [float(after[0]), int(after[1])]
        with self._database.read() as cursor:
            _check(cursor, chosen)
            found = run(
                cursor,
                f"WITH keyed AS (SELECT t.rowid AS position, {key} AS sort_key FROM {source}{join} "
                f"WHERE {conditions}) "
                f"SELECT * FROM keyed {conditions_after} ORDER BY sort_key, position LIMIT ?",
                [*parameters, limit],
            )
            frame = _shown(cursor, [position for position, _ in found], chosen.judge_id)
        frame.insert(1, "sort_key", [sort_key for _, sort_key in found])
        return frame

    def sources(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the LLMs, or `import`, that triplets of these attempts came from."""
        clause, parameters = attempts_clause(attempt_ids)
        rows = self._database.rows(
            f"SELECT DISTINCT coalesce(llm, origin) FROM triplets WHERE {clause} ORDER BY 1", parameters, kept=True
        )
        return [source for (source,) in rows if source]

    def regenerated(self, triplet_id: str) -> Rows:
        """Return the triplets that were generated to replace a side of this one, newest first."""
        return self._database.records(
            "SELECT * EXCLUDE (search) FROM triplets WHERE starts_with(origin, 'regenerated:') "
            "AND ends_with(origin, ?) ORDER BY rowid DESC",
            [f":{triplet_id}"],
        )

    def rows(self, chosen: TripletFilter, limit: int | None = None) -> Frame:
        """Return every triplet that matches, with the columns of a page."""
        return self.page(chosen, limit=limit)  # type: ignore[arg-type]  # NULL means no limit

    def get(self, triplet_id: str) -> Row:
        """Return everything known of one triplet: as generated, latest decision, scores by judge."""
        with self._database.read() as cursor:
            found = records(cursor, "SELECT * EXCLUDE (search) FROM triplets WHERE triplet_id = ?", [triplet_id])
            latest = records(
                cursor,
                "SELECT action, positive, hard_negative, annotator, reason FROM decided WHERE triplet_id = ?",
                [triplet_id],
            )
            scores = run(cursor, "SELECT judge_id, a, b FROM judgements WHERE triplet_id = ?", [triplet_id])
        if not found:
            raise InputError(f"There is no triplet {triplet_id}; it may belong to another workspace.")
        return found[0] | {
            "decision": latest[0] if latest else None,
            "scores": {judge_id: {"a": a, "b": b} for judge_id, a, b in scores},
        }


def _check(cursor: Cursor, chosen: TripletFilter) -> None:
    if chosen.pattern:
        checked_pattern(cursor, chosen.pattern)


def _before_conditions(parameters: list[Any], source: str, of_join: list[Any]) -> list[Any]:
    """Put the parameters of a join behind those of the source it follows."""
    count = source.count("?")
    return [*parameters[:count], *of_join, *parameters[count:]]


def _scores_of(cursor: Cursor, low: int, high: int) -> tuple[str, list[str]]:
    """Return the scores of a few rows as a named query `few`, found by the index, and its parameters."""
    ids = [i for (i,) in run(cursor, "SELECT triplet_id FROM triplets WHERE rowid BETWEEN ? AND ?", [low, high])]
    marks = ", ".join("?" * len(ids)) or "''"
    return f"WITH few AS MATERIALIZED (SELECT * FROM judgements WHERE triplet_id IN ({marks}))", ids


def _windows(first: int, reach: int, size: int, *, newest_first: bool) -> Iterator[tuple[int, int]]:
    """Yield ranges of row numbers that follow each other, short ones first: a common filter is satisfied by these."""
    while first <= reach:
        if reach - first <= 2 * size:
            yield first, reach
            return
        if newest_first:
            yield reach - size + 1, reach
            reach -= size
        else:
            yield first, first + size - 1
            first += size
        size *= _TIMES


def _shown(cursor: Cursor, positions: Sequence[int], judge_id: str) -> Frame:
    """Return these few rows of the table in this order, by their row numbers."""
    of_rows = "WHERE t.rowid IN (SELECT unnest(?::BIGINT[]))"
    ids = [
        triplet_id for (triplet_id,) in run(cursor, f"SELECT triplet_id FROM triplets AS t {of_rows}", [positions])
    ]
    rows = f"SELECT t.rowid AS position, {_COLUMNS} FROM triplets AS t {of_rows}"
    shown = _SHOWN.format(chosen=rows, ids=", ".join("?" * len(ids)) or "''")
    frame = cursor.execute(shown, [positions, *ids, *ids, judge_id]).df()
    return frame.set_index("position", drop=False).loc[positions].reset_index(drop=True)
