"""What the map computes on the server, against independent ways to compute it."""

import re
import struct
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from tests.pages.conftest import Draw
from tests.pages.planted_map import Planted, plant
from workbench import theme
from workbench.actions.curation import DUPLICATE
from workbench.components.map.map_actions import containing, export, like_point
from workbench.components.map.map_file import map_file
from workbench.components.map.map_pairs import marked_duplicates, triplet_lines, violated, violated_lines
from workbench.components.map.map_rows import points_of_bar, rows, shares
from workbench.components.map.point_map import MISSING, choices, colouring, ramp
from workbench.maps import SentenceMap
from workbench.store.decisions import Decision
from workbench.store.files import Slices
from workbench.workspace import Workspace

TRIPLETS = 40


@pytest.fixture
def planted(workspace: Workspace) -> Planted:
    made = plant(workspace, triplets=TRIPLETS, drawings=2)
    workspace.wait(made.map_id, timeout_s=20)
    return made


@pytest.fixture
def drawn(workspace: Workspace, planted: Planted) -> SentenceMap:
    return SentenceMap(workspace.root / "jobs" / planted.map_id / "out" / "points.parquet")


def test_every_colouring_counts_every_point_once(workspace: Workspace, planted: Planted, drawn: SentenceMap) -> None:
    workspace.store.decisions.append([Decision(planted.points["triplet_id"].iat[0], "accept", annotator="me")])
    Slices(workspace.root).add("odd", planted.points["triplet_id"].iloc[:6].tolist(), origin="")
    names = choices(workspace, drawn, [planted.attempt_id], None)
    assert {"role", "kept", "moved", "cluster", "margin", "decision", "slice"} <= set(names)
    for name, title in names.items():
        colours = colouring(workspace, drawn, [planted.attempt_id], None, name, title)
        assert colours.indices.dtype == np.uint8
        assert len(colours.indices) == len(colours.labels) == len(drawn)
        assert len(colours.palette) == MISSING + 1
        if not colours.is_continuous:
            assert sum(entry[2] or 0 for entry in colours.entries) == len(drawn)
    decided = colouring(workspace, drawn, [planted.attempt_id], None, "decision", "Decision")
    assert decided.labels[:4].tolist() == ["accept"] * 3 + ["undecided"]
    sliced = colouring(workspace, drawn, [planted.attempt_id], None, "slice", "Slice")
    assert (sliced.labels == "odd").sum() == 6


def test_roles_have_their_own_colours(workspace: Workspace, planted: Planted, drawn: SentenceMap) -> None:
    colours = colouring(workspace, drawn, [planted.attempt_id], None, "role", "Role")
    for role, index in zip(drawn.points["role"].iloc[:3], colours.indices[:3], strict=True):
        assert colours.palette[index] == theme.ROLE_COLOURS[role]


def test_margin_is_centred_on_the_border_between_right_and_violated(
    workspace: Workspace, planted: Planted, drawn: SentenceMap
) -> None:
    colours = colouring(workspace, drawn, [planted.attempt_id], None, "margin", "Margin")
    negative, positive = (colours.indices[drawn.points["margin"].to_numpy() * sign < 0] for sign in (1, -1))
    assert negative.max() < 50 < positive.min()
    assert ramp(0.0) == theme.HUMAN.upper()
    assert ramp(1.0) == theme.WARNING.upper()


def test_violated_triplets_by_their_margin(drawn: SentenceMap) -> None:
    wrong = {row.triplet_id for row in drawn.points.itertuples() if row.margin < 0}
    assert len(wrong) == TRIPLETS / 5
    assert set(drawn.points["triplet_id"][violated(drawn)]) == wrong
    lines = violated_lines(drawn, np.ones(len(drawn), dtype=bool))
    assert {drawn.points["triplet_id"].iat[start] for start, *_ in lines} == wrong
    assert all(drawn.points["role"].iat[end] == "hard_negative" for _, end, *_ in lines)


def test_rivals_are_the_nearest_candidates_of_other_triplets(drawn: SentenceMap) -> None:
    triplet_id = drawn.points["triplet_id"].iat[9]
    found = triplet_lines(drawn, triplet_id)
    vectors = np.asarray(drawn.vectors(), dtype=np.float32)
    cosines = vectors @ vectors[9]
    points = drawn.points
    ranked = [
        row
        for row in np.argsort(-cosines, kind="stable")
        if points["role"].iat[row] != "premise" and points["triplet_id"].iat[row] != triplet_id
    ]
    assert [point for point, _ in found.rivals] == ranked[:5]
    assert found.points == {"premise": 9, "positive": 10, "hard_negative": 11}
    assert {(start, end, role) for start, end, role, _ in found.lines} >= {
        (9, 10, "positive"),
        (9, 11, "hard_negative"),
    }
    assert triplet_lines(drawn, "of another map") is None


def test_pairs_called_duplicate_in_either_direction(drawn: SentenceMap) -> None:
    ids = drawn.points["triplet_id"]
    pairs = pd.DataFrame({"premise": [0, 3, 6], "candidate": [4, 1, 10], "cosine": [0.9, 0.8, 0.7]})
    decisions = pd.DataFrame(
        {"triplet_id": [ids.iat[3], ids.iat[6]], "reason": [f"{DUPLICATE}{ids.iat[0]}", "boring"]}
    )
    assert marked_duplicates(drawn, pairs, decisions).tolist() == [True, True, False]


def test_substring_and_neighbours_of_a_point(drawn: SentenceMap) -> None:
    assert containing(drawn, "POSITIVE 7 <B>").tolist() == [7 * 3 + 1]
    near = like_point(drawn, 5, count=4)
    assert near[0] == 5
    assert len(near) == 5


def test_the_export_holds_ids_places_and_every_row(drawn: SentenceMap) -> None:
    points = np.array([7, 2, 30])
    exported = pd.read_parquet(BytesIO(export(drawn, points)))
    assert exported["id"].tolist() == [7, 2, 30]
    np.testing.assert_allclose(exported[["x", "y"]], drawn.places[0][points])


def test_rows_and_shares(workspace: Workspace, planted: Planted, drawn: SentenceMap) -> None:
    colours = colouring(workspace, drawn, [planted.attempt_id], None, "role", "Role")
    points = np.array([0, 3, 4])
    assert rows(drawn, colours, points)["role"].tolist() == ["Premise", "Premise", "Positive"]
    bars = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in shares(colours, points).data}
    assert bars["these points"] == pytest.approx({"Premise": 2 / 3, "Positive": 1 / 3, "Hard negative": 0})
    assert bars["all points"] == pytest.approx({"Premise": 1 / 3, "Positive": 1 / 3, "Hard negative": 1 / 3})
    margin = colouring(workspace, drawn, [planted.attempt_id], None, "margin", "Margin")
    assert [sum(bar.y) for bar in shares(margin, points).data] == pytest.approx([1, 1])


@pytest.mark.parametrize("column", ["role", "margin", "moved"])
def test_the_bars_of_the_chart_part_the_points(
    workspace: Workspace, planted: Planted, drawn: SentenceMap, column: str
) -> None:
    """Clicking one bar after another selects every point once, as many as the bar is long."""
    colours = colouring(workspace, drawn, [planted.attempt_id], None, column, column)
    points = np.arange(0, len(drawn), 2)
    here = shares(colours, points).data[1]
    found = [points_of_bar(colours, points, list(bar)) for bar in here.customdata]
    assert sorted(np.concatenate(found).tolist()) == points.tolist()
    lengths = here.x if column == "role" else here.y
    assert [len(part) / len(points) for part in found] == pytest.approx(list(lengths))


def test_layers_pack_as_the_browser_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.components.map import point_map

    sent: list[bytes] = []
    monkeypatch.setattr(point_map, "_LAYER", lambda key, data: sent.append(data))
    shown, selected = np.array([1, 0, 1] * 3, dtype=bool), np.arange(9) == 8
    point_map.mask_layer("m", shown, selected)
    [length] = struct.unpack("<I", sent[0][:4])
    content = sent[0][4 + length :]
    assert len(content) == 4
    bits = [[content[2 * side + (k >> 3)] >> (k & 7) & 1 for k in range(9)] for side in (0, 1)]
    assert bits == [shown.astype(int).tolist(), selected.astype(int).tolist()]
    point_map.edge_layer("m", np.array([1, 2]), np.array([3, 4]), np.array([0.5, 0.25]), np.array([0, 3]))
    [length] = struct.unpack("<I", sent[1][:4])
    assert struct.unpack("<2I2I2f2B", sent[1][4 + length :]) == (1, 2, 3, 4, 0.5, 0.25, 0, 3)


def test_the_one_file_holds_the_shown_sentences_and_asks_nobody(
    workspace: Workspace, planted: Planted, drawn: SentenceMap
) -> None:
    colours = colouring(workspace, drawn, [planted.attempt_id], None, "role", "Role")
    page = map_file(drawn, colours, np.array([0, 4]), title="planted").decode()
    assert "premise 0" in page and "positive 1" in page and "premise 2" not in page
    assert "<b>bold" not in page.rsplit("<script", 1)[-1], "markup in a sentence stays text"
    tags = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", tags)


def test_a_saved_view_brings_back_colours_filter_and_choice(draw: Draw, planted: Planted) -> None:
    app = draw("embedding_map", map=planted.map_id, triplet=planted.points["triplet_id"].iat[9])
    app.selectbox(key="map_colour").set_value("margin").run()
    app.text_input(key=f"map_filter_text_{planted.map_id}").set_value("group 1").run()
    app.text_input(key=f"map_view_name_{planted.map_id}").set_value("margins of group 1")
    next(button for button in app.button if button.label == "Save" and "map_view" in button.proto.form_id).click()
    app.run()
    app.selectbox(key="map_colour").set_value("role").run()
    app.text_input(key=f"map_filter_text_{planted.map_id}").set_value("").run()
    app.button(key="clear_triplet").click().run()
    assert "triplet" not in app.query_params
    app.button(key=f"map_view_open_{planted.map_id}").click().run()
    assert not app.exception
    assert app.selectbox(key="map_colour").value == "margin"
    assert app.text_input(key=f"map_filter_text_{planted.map_id}").value == "group 1"
    assert app.query_params["triplet"] == planted.points["triplet_id"].iat[9]
