"""The canvas of the embedding map: WebGL points that send back a drawn region, a chosen point, or the hovered one.

Each layer of bytes, the view and the answer to a hovered point are elements of their own. Streamlit sends an element
again only when it changes, so a lasso costs a mask of a quarter byte per point and no coordinates.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import streamlit as st

from workbench.paths import ASSETS

_FOLDER: Final = ASSETS / "point_map"


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
