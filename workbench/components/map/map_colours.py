"""The colours of a map's points: at most 255, distinct to colour-blind readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from workbench import theme
from workbench.maps import SentenceMap
from workbench.store.files import PairSlices, Slices
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

MISSING: Final = 255
_STEPS: Final = 101
_RAMP: Final = (theme.HUMAN, "#9AA0A8", theme.WARNING)
"""Blue, grey, amber: hues that all readers can distinguish, visible on white and on near-black."""

_MEASURED: Final = {
    "margin": "Margin (positive − hard negative)",
    "outcome": "Outcome",
    "error": "Rank error (predicted − gold)",
    "gold": "Gold score",
}
"""Columns that only some maps have."""

Entry = tuple[str, str, int | None, int | None]
"""Label, colour, number of points, colour index (None for a point on a ramp)."""


@dataclass(frozen=True, slots=True)
class Colouring:
    """Colour index of each point and the meaning of the indices."""

    title: str
    indices: np.ndarray
    palette: list[str]
    entries: list[Entry]
    labels: np.ndarray
    """Label or value of each point."""
    is_continuous: bool = False


def choices(workspace: Workspace, drawn: SentenceMap, attempt_ids: Sequence[str], task: str | None) -> dict[str, str]:
    """Return id -> name of what this map can be coloured by; `task` is the task whose pairs it draws, if any."""
    found = {"role": "Role"}
    if "kept" in drawn.points:
        found |= {"kept": "Neighbours kept", "moved": "Moved on the map"}
    if "cluster" in drawn.points:
        found["cluster"] = "Group"
    found |= {column: name for column, name in _MEASURED.items() if column in drawn.points}
    if task is not None:
        return found | ({"slice": "Slice"} if PairSlices(workspace.root).list(task) else {})
    found["decision"] = "Decision"
    for judge_id in workspace.store.judgements.judges(attempt_ids):
        found |= {f"a:{judge_id}": f"Score of the positive, {judge_id}"}
        found |= {f"b:{judge_id}": f"Score of the hard negative, {judge_id}"}
    if len(attempt_ids) > 1:
        found["attempt_id"] = "Source"
    if Slices(workspace.root).list():
        found["slice"] = "Slice"
    return found


def colouring(
    workspace: Workspace,
    drawn: SentenceMap,
    attempt_ids: Sequence[str],
    task: str | None,
    chosen: str,
    title: str,
) -> Colouring:
    """Colour the map by one of its choices."""
    points = drawn.points
    if chosen == "role":
        names = [theme.ROLE_NAMES.get(role, role) for role in points["role"].unique()]
        colours = [theme.ROLE_COLOURS.get(role, theme.INK) for role in points["role"].unique()]
        return _categories(title, drawn.role_codes, names, colours)
    if chosen == "cluster":
        names = [name or f"group {number + 1}" for number, name in enumerate(drawn.cluster_names)]
        colours = [theme.SERIES[number % len(theme.SERIES)] for number in range(len(names))]
        return _categories(title, points["cluster"].to_numpy(), names, colours)
    if chosen in ("kept", "moved", "margin", "error", "gold"):
        return _numbers(title, points[chosen].to_numpy(), centre=0.0 if chosen in ("margin", "error") else None)
    if chosen == "outcome":
        return _words(title, points["outcome"], "none", first=("premise", "ok"))
    if chosen[:2] in ("a:", "b:"):
        plane = workspace.store.judgements.plane(attempt_ids, chosen[2:]).set_index("triplet_id")[chosen[0]]
        return _numbers(title, points["triplet_id"].map(plane).to_numpy(dtype=np.float64), limits=(0.0, 5.0))
    if chosen == "decision":
        return _words(title, _decisions(workspace, points), "undecided", first=("accept", "reject", "swap", "edit"))
    if chosen == "slice":
        return _words(title, _slices(workspace, points, task), "in no slice")
    rows = workspace.store.triplets.rows(TripletFilter(attempt_ids=tuple(attempt_ids)))
    titles = workspace.store.triplets.attempts().set_index("attempt_id")["title"]
    sources = rows.set_index("triplet_id")["attempt_id"].map(lambda value: titles.get(value) or value)
    return _words(title, points["triplet_id"].map(sources), "unknown")


def _decisions(workspace: Workspace, points: pd.DataFrame) -> pd.Series:
    latest = workspace.store.decisions.latest().set_index("triplet_id")["action"]
    return points["triplet_id"].map(latest)


def _slices(workspace: Workspace, points: pd.DataFrame, task: str | None) -> pd.Series:
    """Return the newest slice of each triplet or pair."""
    if task is None:
        saved = [(item.name, item.triplet_ids) for item in reversed(Slices(workspace.root).list())]
    else:
        saved = [(item.name, item.pair_ids) for item in PairSlices(workspace.root).list(task)]
    names: dict[str, str] = {}
    for name, ids in saved:
        names |= dict.fromkeys(ids, name)
    return points["triplet_id"].map(names)


def _words(title: str, values: pd.Series, missing: str, first: Sequence[str] = ()) -> Colouring:
    """Colour up to seven words, those in `first` and then the most frequent; the rest share a colour."""
    counts = values.value_counts()
    known = [word for word in first if word in counts.index]
    ordered = [*known, *(word for word in counts.index if word not in known)]
    most = len(theme.SERIES) - 1
    names = ordered[:most]
    codes = pd.Categorical(values, categories=names).codes.astype(np.int16)
    colours = list(theme.SERIES[: len(names)])
    if len(ordered) > most:
        codes[(codes < 0) & values.notna().to_numpy()] = len(names)
        names, colours = [*names, "other"], [*colours, theme.INK]
    return _categories(title, codes, names, colours, missing)


def _categories(
    title: str, codes: np.ndarray, names: list[str], colours: list[str], missing: str = "none"
) -> Colouring:
    indices = np.where(codes < 0, MISSING, codes).astype(np.uint8)
    counts = np.bincount(indices, minlength=MISSING + 1)
    entries: list[Entry] = [
        (name, colour, int(counts[index]), index)
        for index, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]
    if counts[MISSING]:
        entries.append((missing, theme.GREY, int(counts[MISSING]), MISSING))
    labels = np.array([*names, missing], dtype=object)[np.where(codes < 0, len(names), codes)]
    return Colouring(title, indices, _full(colours), entries, labels)


def _numbers(
    title: str, values: np.ndarray, *, centre: float | None = None, limits: tuple[float, float] | None = None
) -> Colouring:
    """Colour by a ramp over the range of the values, or around a centre; outliers get the end colours."""
    known = values[np.isfinite(values)]
    low, high = limits or (np.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 1.0))
    if centre is not None:
        reach = max(abs(low - centre), abs(high - centre), 1e-9)
        low, high = centre - reach, centre + reach
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    indices = np.where(np.isfinite(values), np.nan_to_num(share) * (_STEPS - 1), MISSING).round().astype(np.uint8)
    stops = np.linspace(low, high, 5)
    entries: list[Entry] = [
        (f"{stop:.2f}", ramp(place), None, None) for stop, place in zip(stops, np.linspace(0, 1, 5), strict=True)
    ]
    missing = int((~np.isfinite(values)).sum())
    if missing:
        entries.append(("not measured", theme.GREY, missing, MISSING))
    palette = _full([ramp(step / (_STEPS - 1)) for step in range(_STEPS)])
    return Colouring(title, indices, palette, entries, values, is_continuous=True)


def ramp(share: float) -> str:
    """Return the colour at a share of the ramp, 0 to 1."""
    low, high, part = (*_RAMP[:2], share * 2) if share < 0.5 else (*_RAMP[1:], share * 2 - 1)
    mixed = (round(int(low[k : k + 2], 16) * (1 - part) + int(high[k : k + 2], 16) * part) for k in (1, 3, 5))
    return "#" + "".join(f"{value:02X}" for value in mixed)


def _full(colours: list[str]) -> list[str]:
    return [*colours, *[theme.GREY] * (MISSING + 1 - len(colours))]
