"""The canvas of the embedding map and the colours of its points.

The canvas draws WebGL points and sends back a drawn region, a chosen point, or the hovered one. Each layer of bytes,
the view and the answer to a hovered point are elements of their own. Streamlit sends an element again only when it
changes, so a lasso costs a mask of a quarter byte per point and no coordinates.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from workbench import theme
from workbench.maps import SentenceMap
from workbench.paths import ASSETS
from workbench.store.files import PairSlices, Slices
from workbench.store.filters import TripletFilter
from workbench.workspace import Workspace

_FOLDER: Final = ASSETS / "point_map"
MISSING: Final = 255
_STEPS: Final = 101
_RAMP: Final = (theme.HUMAN, "#9AA0A8", theme.WARNING)
"""Blue, grey, amber: hues that all readers can distinguish, visible on white and on near-black."""

_MEASURED: Final = {
    "margin": "Margin (positive − hard negative)",
    "outcome": "Outcome",
    "error": "Rank error (predicted − gold)",
    "gold": "Gold score",
    "hubness": "Hubness (of how many others among the ten nearest)",
}
"""Columns that only some maps have."""

Entry = tuple[str, str, int | None, int | None]
"""Label, colour, number of points, colour index (None for a point on a ramp)."""


def _code(*names: str) -> str:
    return "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


_PARTS: Final = (
    *("model", "shaders", "scene", "points", "camera", "overlay", "picture"),
    *("elements", "tip", "pointer", "keyboard", "controls", "screen"),
)
_HTML: Final = '<div class="point-map"></div>'
_VIEW: Final = st.components.v2.component(
    "point_map",
    html=_HTML,
    css=(_FOLDER / "point_map.css").read_text(encoding="utf-8"),
    js=_code(*_PARTS, "point_map"),
)
_LAYER: Final = st.components.v2.component("point_map_layer", js=_code("model", "layer"))
Callback = Callable[[], None]


def nothing() -> None:
    """Streamlit reports an event only when a callback is named."""


def place_layer(map_id: str, number: int, places: np.ndarray, *, version: str) -> None:
    """Send the coordinates of one drawing, float32 (n, 2)."""
    _send(map_id, f"place:{number}", places.tobytes(), version=version, count=len(places))


def colour_layer(map_id: str, indices: np.ndarray) -> None:
    """Send the colour index of every point, uint8 (n,)."""
    content = indices.tobytes()
    _send(map_id, "colour", content, version=_digest(content), count=len(indices))


def mask_layer(map_id: str, shown: np.ndarray, selected: np.ndarray) -> None:
    """Send which points pass the filter and which are selected, bool (n,) each."""
    content = b"".join(np.packbits(flags, bitorder="little").tobytes() for flags in (shown, selected))
    _send(map_id, "mask", content, version=_digest(content), count=len(shown))


def edge_layer(map_id: str, first: np.ndarray, second: np.ndarray, cosine: np.ndarray, flags: np.ndarray) -> None:
    """Send pairs of point numbers in falling order of their cosine; flagged ones get the colour of people."""
    columns = zip((first, second, cosine, flags), ("<u4", "<u4", "<f4", "u1"), strict=True)
    content = b"".join(np.asarray(values).astype(kind).tobytes() for values, kind in columns)
    _send(map_id, "edges", content, version=_digest(content), pairs=len(cosine))


def point_map(
    map_id: str, view: dict[str, Any], *, on_region: Callback, on_choice: Callback, on_clear: Callback
) -> Any:
    """Draw the map and return its state, where `phi` is the mask threshold set with its slider, if any."""
    return _VIEW(
        key=view_key(map_id),
        data={"kind": "view", "map": map_id, **view},
        on_region_change=on_region,
        on_choice_change=on_choice,
        on_clear_change=on_clear,
        on_phi_change=nothing,
    )


def view_key(map_id: str) -> str:
    """Session key under which callbacks find what the map sent."""
    return f"point_map_{map_id}"


def hovered_point(map_id: str, answer: Callable[[int], dict[str, Any]]) -> None:
    """Answer the map's request for the text of a hovered point; draw it in a fragment, which alone reruns."""
    key = f"point_text_{map_id}"
    asked = st.session_state.get(key, {}).get("point")
    found = {"index": asked, **answer(asked)} if isinstance(asked, int) else None
    _LAYER(key=key, data={"kind": "text", "map": map_id, "answer": found}, on_point_change=nothing)


def _send(map_id: str, layer: str, content: bytes, **header: Any) -> None:
    described = json.dumps({"map": map_id, "layer": layer, **header}).encode()
    _LAYER(key=f"{layer}_{map_id}", data=struct.pack("<I", len(described)) + described + content)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


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
    if task is None:
        found["decision"] = "Decision"
        for judge_id in workspace.store.judgements.judges(attempt_ids):
            found |= {f"a:{judge_id}": f"Score of the positive, {judge_id}"}
            found |= {f"b:{judge_id}": f"Score of the hard negative, {judge_id}"}
        found |= {"attempt_id": "Source"} if len(attempt_ids) > 1 else {}
    return found | ({"slice": "Slice"} if saved_slices(workspace, task) else {})


def saved_slices(workspace: Workspace, task: str | None) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return id -> (name, ids) of the slices of triplets, or with a task of those of its pairs, newest first."""
    if task is None:
        return {item.slice_id: (item.name, item.triplet_ids) for item in Slices(workspace.root).list()}
    return {item.slice_id: (item.name, item.pair_ids) for item in reversed(PairSlices(workspace.root).list(task))}


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
    if chosen in ("kept", "moved", "margin", "error", "gold", "hubness"):
        return _numbers(title, points[chosen].to_numpy(), centre=0.0 if chosen in ("margin", "error") else None)
    if chosen == "outcome":
        return _words(title, points["outcome"], "none", first=("premise", "ok"))
    if chosen[:2] in ("a:", "b:"):
        plane = workspace.store.judgements.plane(attempt_ids, chosen[2:], triplet_ids=drawn_ids(points))
        scores = points["triplet_id"].map(plane.set_index("triplet_id")[chosen[0]])
        return _numbers(title, scores.to_numpy(dtype=np.float64), limits=(0.0, 5.0))
    if chosen == "decision":
        return _words(title, _decisions(workspace, points), "undecided", first=("accept", "reject", "swap", "edit"))
    if chosen == "slice":
        return _words(title, _slices(workspace, points, task), "in no slice")
    rows = workspace.store.triplets.rows(TripletFilter(triplet_ids=tuple(drawn_ids(points))))
    titles = workspace.store.triplets.attempts().set_index("attempt_id")["title"]
    sources = rows.set_index("triplet_id")["attempt_id"].map(lambda value: titles.get(value) or value)
    return _words(title, points["triplet_id"].map(sources), "unknown")


def _decisions(workspace: Workspace, points: pd.DataFrame) -> pd.Series:
    latest = workspace.store.decisions.latest(drawn_ids(points)).set_index("triplet_id")["action"]
    return points["triplet_id"].map(latest)


def drawn_ids(points: pd.DataFrame) -> list[str]:
    """Return the triplets of these points, each once."""
    return list(points["triplet_id"].unique())


def _slices(workspace: Workspace, points: pd.DataFrame, task: str | None) -> pd.Series:
    """Return the newest slice of each triplet or pair."""
    names: dict[str, str] = {}
    for name, ids in reversed(saved_slices(workspace, task).values()):
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
