"""Lines and pairs on the map: a chosen triplet, violated triplets, and the pairs that a mask threshold masks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from pipeline.analysis.neighbours import nearest
from workbench import state, theme
from workbench.actions.curation import DUPLICATE, keep_one
from workbench.components.elements import count, errors_shown, plain
from workbench.components.map import map_actions
from workbench.maps import PAIR_ROLES, SentenceMap
from workbench.workspace import Workspace

RIVALS = 5
MOST_VIOLATED = 300
_RIVAL_COLOUR = "#8C6BB1"
_ROWS = 500


def pair_list(workspace: Workspace, map_id: str, drawn: SentenceMap, pairs: pd.DataFrame, *, phi: float) -> None:
    """List the masked pairs, those nearest to the threshold first."""
    masked = pairs[pairs["cosine"] > phi]
    guide = drawn.about.get("pairs", {}).get("guide", "")
    with st.expander(f"{count(len(masked))} pairs masked at φ = {phi:.3f} by {plain(guide)}", icon=":material/link:"):
        if masked.empty:
            st.caption("No pair exceeds this threshold.")
            return
        near = masked.iloc[::-1].head(_ROWS)
        frame = _readable(drawn, near)
        event = st.dataframe(
            frame,
            hide_index=True,
            height=300,
            key=f"map_pairs_{map_id}_{len(masked)}",
            on_select="rerun",
            selection_mode="single-row",
            alt="Masked pairs, weakest first",
            column_config={"Cosine": st.column_config.NumberColumn(format="%.3f", width="small")},
        )
        chosen = event.selection.rows
        if not chosen:
            st.caption("Weakest pairs first. The right φ lies where they stop being duplicates.")
            return
        pair = near.iloc[chosen[0]]
        with st.container(horizontal=True):
            st.button(
                "Show on the map",
                icon=":material/my_location:",
                key=f"map_pair_show_{map_id}",
                on_click=_show,
                args=(map_id, int(pair["premise"]), int(pair["candidate"])),
            )
            st.button(
                "Mark as duplicates",
                icon=":material/content_copy:",
                key=f"map_pair_mark_{map_id}",
                help="Rejects the candidate's triplet as a duplicate of the premise's.",
                disabled=bool(pair["is_duplicate"]) or _same_triplet(drawn, pair),
                on_click=_mark,
                args=(workspace, drawn, int(pair["premise"]), int(pair["candidate"])),
            )


def _readable(drawn: SentenceMap, pairs: pd.DataFrame) -> pd.DataFrame:
    texts, roles = drawn.points["text"].to_numpy(), drawn.points["role"].to_numpy()
    return pd.DataFrame(
        {
            "Cosine": pairs["cosine"].to_numpy(),
            "Premise": texts[pairs["premise"]],
            "Masked candidate": texts[pairs["candidate"]],
            "Role": [theme.ROLE_NAMES.get(role, role) for role in roles[pairs["candidate"]]],
            "Duplicate": pairs["is_duplicate"].to_numpy(),
        }
    )


def _same_triplet(drawn: SentenceMap, pair: pd.Series) -> bool:
    ids = drawn.points["triplet_id"]
    return ids.iat[int(pair["premise"])] == ids.iat[int(pair["candidate"])]


def _show(map_id: str, premise: int, candidate: int) -> None:
    map_actions.select(map_id, np.array([premise, candidate]), note="A masked pair")
    map_actions.focus(map_id, premise)


def _mark(workspace: Workspace, drawn: SentenceMap, premise: int, candidate: int) -> None:
    first, second = (str(drawn.points["triplet_id"].iat[point]) for point in (premise, candidate))
    with errors_shown():
        keep_one(workspace, groups=[[first, second]], annotator=state.annotator())


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
    """Return lines from the premise to its positive, hard negative and nearest other negatives; None off this map.

    On a map of pairs, a single line joins the two sentences.
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
    """Return the nearest positives and hard negatives of other triplets, possible negatives in a batch."""
    vectors = drawn.vectors()
    if vectors is None:
        return []
    rows, cosines = nearest(vectors, vectors[premise], count=len(own) + 20 * RIVALS)
    is_candidate = (drawn.points["role"].to_numpy()[rows] != "premise") & ~np.isin(rows, own)
    kept = np.flatnonzero(is_candidate)[:RIVALS]
    return [(int(rows[place]), float(cosines[place])) for place in kept]


def violated(drawn: SentenceMap) -> np.ndarray:
    """Return whether the triplet of each point has its hard negative nearer than its positive, in the full space."""
    if "margin" not in drawn.points:
        return np.zeros(len(drawn), dtype=bool)
    return drawn.points["margin"].to_numpy() < 0


def violated_lines(drawn: SentenceMap, shown: np.ndarray) -> list[Line]:
    """Return a line from premise to hard negative for the worst violated triplets that are shown."""
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
    """Return whether the two triplets of each pair were marked as duplicates, in either direction."""
    called = decisions[decisions["reason"].fillna("").str.startswith(DUPLICATE)]
    known = {
        frozenset((row.triplet_id, row.reason.removeprefix(DUPLICATE))) for row in called.itertuples(index=False)
    }
    if not known:
        return np.zeros(len(pairs), dtype=bool)
    ids = drawn.points["triplet_id"].to_numpy()
    both = zip(ids[pairs["premise"]], ids[pairs["candidate"]], strict=True)
    return np.array([frozenset(pair) in known for pair in both])
