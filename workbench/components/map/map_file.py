"""The map as one HTML file that opens without a network or a server. Beside the canvas, which needs both."""

from typing import Any

import numpy as np
from plotly.graph_objects import Figure

from workbench.components.elements import for_chart
from workbench.components.map.point_map import Colouring
from workbench.maps import SentenceMap

_POINT_PX = 6


def map_file(drawn: SentenceMap, colours: Colouring, shown: np.ndarray, *, title: str) -> bytes:
    """Return an HTML page with the shown points, int (n,), in their colours and the sentences on hover.

    It holds the script that draws it, about 5 MB.
    """
    places, texts = drawn.places[-1], drawn.points["text"]
    figure = Figure()
    named = {index: (name, colour) for name, colour, _, index in colours.entries if index is not None}
    parts: list[tuple[str, Any, np.ndarray]]
    if colours.is_continuous:
        parts = [("", [colours.palette[index] for index in colours.indices[shown]], shown)]
    else:
        groups = ((named[index], shown[colours.indices[shown] == index]) for index in named)
        parts = [(name, colour, points) for (name, colour), points in groups if len(points)]
    for name, colour, points in parts:
        figure.add_scattergl(
            x=places[points, 0],
            y=places[points, 1],
            mode="markers",
            name=for_chart(name),
            marker={"size": _POINT_PX, "color": colour, "opacity": 0.8},
            text=[for_chart(text) for text in texts.iloc[points]],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_layout(
        title=for_chart(f"{title}, coloured by {colours.title.lower()}"),
        template="plotly_white",
        showlegend=not colours.is_continuous,
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        legend={"itemsizing": "constant"},
    )
    page = figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False, "scrollZoom": True})
    return page.encode()
