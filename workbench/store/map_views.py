"""Saved views of embedding maps, one JSON file each. Apart from the other files of a workspace for their length."""

from dataclasses import asdict, dataclass

from pipeline.records import InputError
from pipeline.settings import checked_name
from workbench.journal import new_id
from workbench.store.files import Records


@dataclass(frozen=True, slots=True)
class MapView:
    """What a map shows: its colours, layers and filter, and the chosen triplet or pair (empty for none)."""

    view_id: str
    name: str
    projection_id: str
    colour: str
    layers: tuple[str, ...]
    text: str
    roles: tuple[str, ...]
    triplet_id: str


class MapViews(Records):
    """The folder of views of a workspace."""

    folder_name = "map_views"
    kind = MapView

    def add(self, view: MapView) -> MapView:
        """Keep a view under a new id; one without a name or without a map is an InputError."""
        if not view.name.strip() or not view.projection_id:
            raise InputError("A saved view needs a name and a map.")
        kept = asdict(view) | {"view_id": new_id("view"), "name": checked_name(view.name, "a view")}
        self._keep(kept["view_id"], kept)
        return MapView(**kept)

    def of(self, projection_id: str) -> list[MapView]:
        """Return the views of one map, newest first, the newest of each name."""
        newest: dict[str, MapView] = {}
        for view in reversed(self._read()):
            if view.projection_id == projection_id:
                newest.setdefault(view.name, view)
        return list(newest.values())
