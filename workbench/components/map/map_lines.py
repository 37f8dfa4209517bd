"""Lines between sentences: a chosen triplet with its rivals, violated triplets, and the pairs a threshold masks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.analysis.neighbours import nearest
from workbench import theme
from workbench.actions.hygiene import DUPLICATE
from workbench.map_files import SentenceMap
from workbench.map_sentences import PAIR_ROLES

RIVALS = 5
MOST_VIOLATED = 300
_RIVAL_COLOUR = "#8C6BB1"

Line = tuple[int, int, str, str]
"""From point, to point, role of the line, colour."""


@dataclass(frozen=True, slots=True)
class TripletLines:
    """A chosen triplet on the map."""

    lines: list[Line]
    points: dict[str, int]
    """Point number of each role."""
    rivals: list[tuple[int, float]]
    """Nearest candidates of other triplets in the full space, with their cosine to the premise."""


def triplet_lines(drawn: SentenceMap, triplet_id: str) -> TripletLines | None:
    """Lines from the premise to its positive, its hard negative and its nearest other negatives.

    On a map of pairs a single line joins the two sentences.
    """
    rows = drawn.rows_of.get(triplet_id)
    if rows is None:
        return None
    points = {str(drawn.points["role"].iat[row]): int(row) for row in rows}
    premise = points.get("premise")
    if set(points) == set(PAIR_ROLES):
        first, second = (points[role] for role in PAIR_ROLES)
        return TripletLines([(first, second, "pair", theme.INK)], points, [])
    if premise is None:
        return TripletLines([], points, [])
    others = _rivals(drawn, premise, rows)
    lines: list[Line] = [(premise, point, "negative", _RIVAL_COLOUR) for point, _ in others]
    lines += [
        (premise, points[role], role, theme.ROLE_COLOURS[role])
        for role in ("hard_negative", "positive")
        if role in points
    ]
    return TripletLines(lines, points, others)


def _rivals(drawn: SentenceMap, premise: int, own: np.ndarray) -> list[tuple[int, float]]:
    """Nearest positives and hard negatives of other triplets: what a batch would set against this premise."""
    vectors = drawn.vectors()
    if vectors is None:
        return []
    rows, cosines = nearest(vectors, vectors[premise], count=len(own) + 20 * RIVALS)
    is_candidate = (drawn.points["role"].to_numpy()[rows] != "premise") & ~np.isin(rows, own)
    kept = np.flatnonzero(is_candidate)[:RIVALS]
    return [(int(rows[place]), float(cosines[place])) for place in kept]


def violated(drawn: SentenceMap) -> np.ndarray:
    """Whether each point's triplet has its hard negative nearer than its positive, in the full space."""
    if "margin" not in drawn.points:
        return np.zeros(len(drawn), dtype=bool)
    return drawn.points["margin"].to_numpy() < 0


def violated_lines(drawn: SentenceMap, shown: np.ndarray) -> list[Line]:
    """A line from premise to hard negative for the worst violated triplets that are shown."""
    premises = np.flatnonzero((drawn.points["role"] == "premise").to_numpy() & violated(drawn) & shown)
    worst = premises[np.argsort(drawn.points["margin"].to_numpy()[premises], kind="stable")][:MOST_VIOLATED]
    lines: list[Line] = []
    for premise in worst:
        rows = drawn.rows_of[str(drawn.points["triplet_id"].iat[premise])]
        for row in rows:
            if drawn.points["role"].iat[row] == "hard_negative":
                lines.append((int(premise), int(row), "violated", theme.HARD_NEGATIVE))
    return lines


def marked_duplicates(drawn: SentenceMap, pairs: pd.DataFrame, decisions: pd.DataFrame) -> np.ndarray:
    """Whether a person called the two triplets of each pair duplicates, in either direction."""
    called = decisions[decisions["reason"].fillna("").str.startswith(DUPLICATE)]
    known = {
        frozenset((row.triplet_id, row.reason.removeprefix(DUPLICATE))) for row in called.itertuples(index=False)
    }
    if not known:
        return np.zeros(len(pairs), dtype=bool)
    ids = drawn.points["triplet_id"].to_numpy()
    both = zip(ids[pairs["premise"]], ids[pairs["candidate"]], strict=True)
    return np.array([frozenset(pair) in known for pair in both])
