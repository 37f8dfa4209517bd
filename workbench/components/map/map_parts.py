"""What the parts below the map work on: one map, its colours, who is shown and who is selected."""

from dataclasses import dataclass

import numpy as np

from workbench.components.map.map_colours import Colouring
from workbench.map_files import SentenceMap
from workbench.workspace import Workspace

CURATE = "Curate"
"""Tab of the drawer that puts the selected triplets into a queue."""


@dataclass(frozen=True, slots=True)
class MapParts:
    """A map as it is drawn now."""

    workspace: Workspace
    map_id: str
    drawn: SentenceMap
    task: str | None
    """Task whose pairs are drawn, None for triplets."""
    colours: Colouring
    shown: np.ndarray
    """Point numbers that pass the filter."""
    selected: np.ndarray
    """Point numbers, in the order in which they were found."""

    def selected_ids(self) -> list[str]:
        """Ids of the triplets or pairs that have a selected sentence, in the order of the selection."""
        return list(dict.fromkeys(self.drawn.points["triplet_id"].iloc[self.selected]))


def mark(points: np.ndarray) -> str:
    """Part of an element's key: Streamlit keeps what was chosen by number, which means nothing among other points."""
    return f"{len(points)}_{hash(points.tobytes()) & 0xFFFFFFFF:x}"
