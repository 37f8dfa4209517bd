"""Orders of triplets: each a number to sort by, smallest first, so that the last row of a page is a key."""

from dataclasses import dataclass
from typing import Any, Final, Literal

Order = Literal[
    "arrival", "newest", "random", "border", "disagreement", "a_low", "a_high", "b_low", "b_high", "gap_low"
]
_LAST: Final = "1e18"
"""Where triplets without a score go."""
_BY_SCORE: Final = {"a_low": "j.a", "a_high": "-j.a", "b_low": "j.b", "b_high": "-j.b", "gap_low": "j.a - j.b"}


@dataclass(frozen=True, slots=True)
class Sorting:
    """An order, with what it depends on."""

    order: Order = "arrival"
    judge_id: str = ""
    """Judge whose scores border, a, b and gap are about."""
    rule: tuple[float, float, float] = (3.0, 3.0, 0.1)
    """alpha, beta, gamma: border sorts by how far they are from deciding otherwise."""
    seed: int = 0
    """Of the order random."""

    def sql(self) -> tuple[str, str, list[Any], list[Any]]:
        """Return a join, an expression over t and that join, and the parameters of each."""
        if self.order == "random":
            return "", "(hash(t.triplet_id || ?) // 4096)::DOUBLE", [], [str(self.seed)]
        if self.order == "disagreement":
            join = (
                " LEFT JOIN (SELECT triplet_id, max(a - b) - min(a - b) AS spread FROM judgements "
                "GROUP BY triplet_id HAVING count(*) > 1) AS o ON o.triplet_id = t.triplet_id"
            )
            return join, f"coalesce(-o.spread, {_LAST})", [], []
        if self.order in ("arrival", "newest"):
            return "", "t.rowid::DOUBLE" if self.order == "arrival" else "-t.rowid::DOUBLE", [], []
        join = " LEFT JOIN judgements AS o ON o.triplet_id = t.triplet_id AND o.judge_id = ?"
        if self.order == "border":
            slack = "abs(least(o.a - ?, ? - o.b, o.a - o.b - ?))"
            return join, f"coalesce({slack}, {_LAST})", [self.judge_id], list(self.rule)
        key = _BY_SCORE[self.order].replace("j.", "o.")
        return join, f"coalesce({key}, {_LAST})", [self.judge_id], []
