"""What the canvas of the map is told: lines, rings, legend, names, and the words beside a hovered point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench import theme
from workbench.components.map import map_selection
from workbench.components.map.map_colours import Colouring
from workbench.components.map.map_lines import Line, TripletLines, violated_lines
from workbench.components.wording import count
from workbench.map_files import SentenceMap

PHI = 0.8
"""Mask threshold that the slider starts at."""
VIOLATED, MASKED, GROUPS = "Violated triplets", "Masked pairs", "Group names"
_HEIGHT = 640
_BATCH = 64


@dataclass(frozen=True, slots=True)
class MapChoice:
    """The map to draw and what it was made from."""

    map_id: str
    drawn: SentenceMap
    attempt_ids: tuple[str, ...]
    task: str | None
    """Task whose pairs are drawn, None for triplets."""
    place_names: list[str]
    quality: tuple[float, float]


def view(
    chosen: MapChoice,
    colours: Colouring,
    layers: Sequence[str],
    shown: np.ndarray,
    selected: np.ndarray,
    triplet: TripletLines | None,
    pairs: pd.DataFrame | None,
) -> dict[str, Any]:
    """Everything about the map but its bytes."""
    drawn = chosen.drawn
    lines: list[Line] = violated_lines(drawn, shown) if VIOLATED in layers and triplet is None else []
    rings: list[tuple[int, str]] = []
    if triplet is not None:
        lines = triplet.lines
        rings = [(point, theme.ROLE_COLOURS.get(role, theme.INK)) for role, point in triplet.points.items()]
    about, triplets = drawn.about.get("pairs", {}), len(drawn.rows_of) if pairs is not None else 0
    return {
        "height": _HEIGHT,
        "count": len(drawn),
        "places": chosen.place_names,
        "palette": colours.palette,
        "legend": {"title": colours.title, "entries": colours.entries},
        "colours": {"masked": theme.MASKED, "human": theme.HUMAN},
        "selected": len(selected),
        "chosen": triplet is not None or None,
        "lines": lines,
        "rings": rings,
        "labels": drawn.group_names if GROUPS in layers else [],
        "phi": pairs is not None
        and {"floor": about["floor"], "value": PHI, "triplets": triplets, "batch": min(_BATCH, triplets)},
        "focus": map_selection.focused(chosen.map_id),
        "alt": f"Map of {count(len(drawn))} sentences coloured by {colours.title.lower()}. Arrow keys move, plus and "
        "minus zoom, Enter chooses the sentence at the centre, Escape clears.",
    }


def highlighted(selected: np.ndarray, triplet: TripletLines | None) -> np.ndarray:
    """Points that stay bright: the selection, else the chosen triplet with its rivals."""
    if len(selected) or triplet is None:
        return selected
    return np.array([*triplet.points.values(), *(point for point, _ in triplet.rivals)], dtype=np.int64)


def said(drawn: SentenceMap, point: int) -> dict[str, Any]:
    """What the map shows beside a hovered point."""
    if not 0 <= point < len(drawn):
        return {"role": "", "text": "", "detail": ""}
    row = drawn.points.iloc[point]
    known = (("margin", "margin"), ("error", "rank error"), ("kept", "neighbours kept"))
    detail = " · ".join(f"{name} {row[column]:.2f}" for column, name in known if column in row)
    return {"role": theme.ROLE_NAMES.get(row["role"], row["role"]), "text": row["text"], "detail": detail}
