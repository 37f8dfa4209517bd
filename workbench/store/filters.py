"""Filters and orders of triplets and the SQL they become: fixed words, with every value as a parameter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import duckdb

from pipeline.records import InputError
from pipeline.settings import check_types

_SENTENCES: Final = ("premise", "positive", "hard_negative")
_FREQUENT: Final = " etaoinsrhldcumfgpywbvk"
"""Letters by their frequency in English text; all others are rarer."""
_OPAQUE: Final = re.compile(r"[|()]|\[:|\\[^dDwWsSbB\W]")
"""Alternatives, groups, flags, named classes, and escapes that stand for other letters."""
_SPECIAL: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{[^}]*\}|[.^$*+?\[\]{}]")
_NAMED: Final = 1_000
"""Triplets that a query names one by one."""
_SURE_LETTERS: Final = 3
"""A shorter text would occur in most rows anyway."""


def containing(text: str) -> tuple[str, list[Any]]:
    """Return a condition on triplets t: the text occurs in a sentence, in any case. No text is no condition."""
    if not text:
        return "", []
    rare = _from_rarest(text)
    clause = "contains(t.search, lower(?))"
    if rare == text:
        return clause, [text]
    return f"({clause} AND {clause})", [rare, text]


def matching(pattern: str) -> tuple[str, list[Any]]:
    """Return a condition on triplets t: the regular expression (RE2) matches in a sentence; case matters."""
    if not pattern:
        return "", []
    found = "(" + " OR ".join(f"regexp_matches(t.{field}, ?)" for field in _SENTENCES) + ")"
    values = [pattern] * len(_SENTENCES)
    clause, sure = containing(certain_text(pattern))
    return (f"({clause} AND {found})", sure + values) if clause else (found, values)


def certain_text(pattern: str) -> str:
    """Return the longest text that every match of this pattern surely contains, or an empty text.

    Patterns with alternatives, groups and the like are not analysed.
    """
    if _OPAQUE.search(pattern):
        return ""
    parts, last = [""], 0
    for special in _SPECIAL.finditer(pattern):
        parts[-1] += pattern[last : special.start()]
        last = special.end()
        if special[0][0] in "*?{" and parts[-1]:  # the letter before may be missing
            parts[-1] = parts[-1][:-1]
        parts.append("")
    parts[-1] += pattern[last:]
    longest = max(parts, key=len)
    return longest if len(longest) >= _SURE_LETTERS else ""


def checked_pattern(cursor: duckdb.DuckDBPyConnection, pattern: str) -> None:
    """Raise InputError for a pattern that is not a regular expression."""
    try:
        cursor.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{pattern} is not a regular expression ({reason}); correct it or search for text."
        ) from error


def _from_rarest(text: str) -> str:
    """Return the end of the text that begins with its rarest letter; of equally rare ones with the first."""
    ranks = [_FREQUENT.find(letter) for letter in text.lower()]
    if len(ranks) != len(text):  # a letter that becomes two in lower case
        return text
    rarest = min(range(len(text)), key=lambda place: (ranks[place] >= 0, -ranks[place]))
    return text[rarest:]


DecisionFilter = Literal["", "undecided", "decided", "accept", "reject", "swap", "edit"]
Rule = tuple[float, float, float]
"""alpha, beta, gamma of a curation rule."""
KEPT_BY_RULE: Final = "coalesce(j.a >= {0} AND j.b <= {1} AND j.a >= j.b + {2}, false)"
MARGIN: Final = 0.25
"""Distance to the border of a rule below which people look again, on the scale 0 to 5."""
_SLACK: Final = "abs(least({0}.a - ?, ? - {0}.b, {0}.a - {0}.b - ?))"
"""Distance of a triplet to the border: the condition with the smallest slack decides."""


@dataclass(frozen=True, slots=True)
class TripletFilter:
    """A choice of triplets; a field with its default filters nothing."""

    attempt_ids: tuple[str, ...] = ()
    """Generation runs or imports."""
    text: str = ""
    """Part of the premise, the positive or the hard negative, in any case."""
    outcome: str = ""
    """`ok` asks for both sides ok; another outcome for at least one side with it."""
    decision: DecisionFilter = ""
    """The latest human decision."""
    judge_id: str = ""
    """Judge whose scores a and b are shown and limited below."""
    a_min: float | None = None
    """Minimum score of (premise, positive)."""
    a_max: float | None = None
    """Maximum score of (premise, positive)."""
    b_min: float | None = None
    """Minimum score of (premise, hard negative)."""
    b_max: float | None = None
    """Maximum score of (premise, hard negative)."""
    pattern: str = ""
    """Regular expression (RE2) over the three sentences."""
    source: str = ""
    """LLM that wrote the triplet, or `import`."""
    annotator: str = ""
    """Who made the decision in force."""
    reason: str = ""
    """Reason of the decision in force."""
    duplicates: bool = False
    """Only triplets whose three sentences occur more than once in these attempts, in any case."""
    rule: Rule | None = None
    """alpha, beta, gamma: only triplets the rule keeps, or loses with `lost`."""
    lost: bool = False
    """With `rule`: the triplets it loses instead."""
    uncertain: Rule | None = None
    """alpha, beta, gamma: only triplets within `margin` of this rule's border, or that judges put on both sides."""
    margin: float = MARGIN
    """With `uncertain`: distance to the border on the scale 0 to 5."""
    waits_for: str = ""
    """Only triplets this annotator should still decide."""
    shared: float = 0.0
    """Share of triplets every annotator decides; with `waits_for`."""
    triplet_ids: tuple[str, ...] | None = None
    """Only these triplets."""

    @property
    def needs_decisions(self) -> bool:
        """Whether the latest decisions must be joined."""
        return bool(self.decision or self.annotator or self.reason or self.waits_for)

    @property
    def needs_scores(self) -> bool:
        """Whether a score limit is set: unjudged triplets drop out then."""
        limits = (self.a_min, self.a_max, self.b_min, self.b_max, self.rule, self.uncertain)
        return any(limit is not None for limit in limits)


def filter_from(fields: dict[str, Any]) -> TripletFilter:
    """Build a filter from its fields as JSON has them, the inverse of `asdict`.

    Raises InputError for an unknown field, a value of the wrong type, and limits on scores without their judge.
    """
    known = TripletFilter.__dataclass_fields__
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise InputError(f"A filter has no field {', '.join(unknown)}; it has {', '.join(known)}.")
    check_types(fields, TripletFilter, of="the filter")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    chosen = TripletFilter(**values)
    if chosen.needs_scores and not chosen.judge_id:
        raise InputError("Limits on the scores a and b need judge_id, the judge that gave them.")
    return chosen


def attempts_clause(attempt_ids: Sequence[str], column: str = "attempt_id") -> tuple[str, list[Any]]:
    """Return a condition on the generation run or import; no ids mean all of them."""
    if not attempt_ids:
        return "true", []
    # Named one by one: a scan compares them in its compressed column, where a list would be joined with every row.
    return f"{column} IN ({', '.join('?' * len(attempt_ids))})", list(attempt_ids)


def ids_clause(triplet_ids: Sequence[str] | None) -> tuple[str, list[Any]]:
    """Return a condition on triplet_id; None means all of them."""
    if triplet_ids is None:
        return "true", []
    return "triplet_id IN (SELECT unnest(?::VARCHAR[]))", [list(triplet_ids)]


def uncertain_clause(rule: Rule, margin: float, attempt_ids: Sequence[str] = ()) -> tuple[str, list[Any]]:
    """Return a condition on scores j: near the rule's border, or kept by one judge and lost by another."""
    clause, values = attempts_clause(attempt_ids, "s.attempt_id")
    kept = KEPT_BY_RULE.replace("j.", "s.").format("?", "?", "?")
    at_odds = (
        f"SELECT s.triplet_id FROM judgements AS s WHERE s.a IS NOT NULL AND s.b IS NOT NULL AND {clause} "
        f"GROUP BY s.triplet_id HAVING count(DISTINCT {kept}) > 1"
    )
    near = f"coalesce({_SLACK.format('j')} <= ?, false)"
    return f"({near} OR j.triplet_id IN ({at_odds}))", [*rule, margin, *values, *rule]


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
    for clause, more in (containing(chosen.text), matching(chosen.pattern)):
        if clause:
            parts.append(clause)
            values += more
    if chosen.outcome:
        joiner = "AND" if chosen.outcome == "ok" else "OR"
        parts.append(f"(t.positive_outcome = ? {joiner} t.hard_negative_outcome = ?)")
        values += [chosen.outcome] * 2
    limits = {"a >=": chosen.a_min, "a <=": chosen.a_max, "b >=": chosen.b_min, "b <=": chosen.b_max}
    for comparison, limit in limits.items():
        if limit is not None:
            parts.append(f"j.{comparison} ?")
            values.append(limit)
    for clause, more in _more_conditions(chosen):
        parts.append(clause)
        values += more
    if chosen.decision:
        clause, more = _decision_clause(chosen.decision)
        parts.append(clause)
        values += more
    return " AND ".join(parts), values


def _more_conditions(chosen: TripletFilter) -> list[tuple[str, list[Any]]]:
    found: list[tuple[str, list[Any]]] = []
    if chosen.source:
        found.append(("coalesce(t.llm, t.origin) = ?", [chosen.source]))
    if chosen.annotator:
        found.append(("d.annotator = ? AND d.action <> 'reset'", [chosen.annotator]))
    if chosen.reason:
        found.append(("d.reason = ? AND d.action <> 'reset'", [chosen.reason]))
    if chosen.rule is not None:
        kept = KEPT_BY_RULE.format("?", "?", "?")
        found.append((f"NOT {kept}" if chosen.lost else kept, list(chosen.rule)))
    if chosen.uncertain is not None:
        found.append(uncertain_clause(chosen.uncertain, chosen.margin, chosen.attempt_ids))
    if chosen.triplet_ids and len(chosen.triplet_ids) <= _NAMED:
        marks = ", ".join("?" * len(chosen.triplet_ids))
        named = f"t.rowid IN (SELECT rowid FROM triplets WHERE triplet_id IN ({marks}))"  # by the index
        found.append((named, list(chosen.triplet_ids)))
    elif chosen.triplet_ids is not None:
        found.append(("t.triplet_id IN (SELECT unnest(?::VARCHAR[]))", [list(chosen.triplet_ids)]))
    if chosen.duplicates:
        clause, values = attempts_clause(chosen.attempt_ids, "s.attempt_id")
        same = "hash(lower({0}.premise), lower({0}.positive), lower({0}.hard_negative))"
        repeated = f"SELECT {same.format('s')} FROM triplets AS s WHERE {clause} GROUP BY ALL HAVING count(*) > 1"
        found.append((f"{same.format('t')} IN ({repeated})", values))
    if chosen.waits_for:
        found.append(_waiting(chosen))
    return found


def _waiting(chosen: TripletFilter) -> tuple[str, list[Any]]:
    """Undecided by everyone, or one of the shared triplets and undecided by this annotator."""
    free = "coalesce(d.action, 'reset') = 'reset'"
    if not chosen.shared:
        return free, []
    own = (
        "SELECT triplet_id FROM decisions WHERE annotator = ? AND action <> 'reset' AND reverts IS NULL "
        "AND batch_id NOT IN (SELECT reverts FROM decision_batches WHERE reverts IS NOT NULL AND batch_id NOT IN "
        "(SELECT reverts FROM decision_batches WHERE reverts IS NOT NULL))"
    )
    return (
        f"({free} OR (d.annotator <> ? AND hash(t.triplet_id) % 10000 < ? AND t.triplet_id NOT IN ({own})))",
        [chosen.waits_for, round(chosen.shared * 10_000), chosen.waits_for],
    )


def _decision_clause(decision: str) -> tuple[str, list[Any]]:
    action = "coalesce(d.action, 'reset')"
    if decision == "undecided":
        return f"{action} = 'reset'", []
    if decision == "decided":
        return f"{action} <> 'reset'", []
    return f"{action} = ?", [decision]


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
            return join, f"coalesce({_SLACK.format('o')}, {_LAST})", [self.judge_id], list(self.rule)
        key = _BY_SCORE[self.order].replace("j.", "o.")
        return join, f"coalesce({key}, {_LAST})", [self.judge_id], []
