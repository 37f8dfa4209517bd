"""What each annotator holds of each triplet, whoever decided last: for blind double annotation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from workbench.store.connection import Database
from workbench.store.filters import attempts_clause
from workbench.store.standing import STANDING

if TYPE_CHECKING:
    import pandas as pd

ADJUDICATED: Final = "adjudicated"
"""Reason of a decision that settles a disagreement: it is the outcome, and nobody's own opinion."""
OPINIONS: Final = f"""
    WITH {STANDING} SELECT d.triplet_id, d.annotator, arg_max(d.action, d.sequence) AS action,
        max(d.sequence) AS sequence
    FROM decisions AS d JOIN standing USING (batch_id)
    WHERE coalesce(d.reason, '') <> '{ADJUDICATED}' GROUP BY d.triplet_id, d.annotator
    HAVING arg_max(d.action, d.sequence) <> 'reset'
"""


class Opinions:
    """Reads the decisions in force per annotator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, attempt_ids: Sequence[str] = ()) -> "pd.DataFrame":
        """Return triplet_id, annotator, action, in the order in which they were given."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        with self._database.read() as cursor:
            return cursor.execute(
                f"SELECT triplet_id, annotator, action FROM ({OPINIONS}) SEMI JOIN "
                f"(SELECT triplet_id FROM triplets AS t WHERE {clause}) USING (triplet_id) ORDER BY sequence",
                parameters,
            ).df()

    def disputed(self, attempt_ids: Sequence[str] = ()) -> list[str]:
        """Return the triplets whose annotators differ and that nobody has settled yet."""
        clause, parameters = attempts_clause(attempt_ids, "t.attempt_id")
        with self._database.read() as cursor:
            rows = cursor.execute(
                f"SELECT triplet_id FROM ({OPINIONS}) "
                f"SEMI JOIN (SELECT triplet_id FROM triplets AS t WHERE {clause}) "
                "USING (triplet_id) WHERE triplet_id NOT IN (SELECT triplet_id FROM decided WHERE reason = ? "
                "AND action <> 'reset') GROUP BY triplet_id HAVING count(DISTINCT action) > 1 ORDER BY max(sequence)",
                [*parameters, ADJUDICATED],
            ).fetchall()
        return [triplet_id for (triplet_id,) in rows]
