"""The embedding map in a real browser: what pointer and keys do, against places that are known."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pages.browsing import Locator, Page, expect, opened, served
from tests.pages.planted_map import Planted, plant, plant_pairs
from tests.pipeline.analysis.test_polygon import plain_loop
from workbench.workspace import Workspace

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def planted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Planted]]]:
    """The real server on a workspace with two planted maps."""
    folder = tmp_path_factory.mktemp("maps")
    with Workspace(folder) as workspace:
        maps = {
            "single": plant(workspace, triplets=100),
            "compared": plant(workspace, triplets=80, drawings=3, number=1),
            "pairs": plant_pairs(workspace, pairs=12),
        }
        for planted in maps.values():
            workspace.wait(planted.map_id, timeout_s=30)
    with served(folder) as address:
        yield address, maps


class MapPage:
    """The page with a map on it, and where its points are on the screen."""

    def __init__(self, page: Page, address: str, planted: Planted) -> None:
        self.page, self.planted = page, planted
        opened(page, f"{address}/embedding_map?map={planted.map_id}", "Embedding map")
        self.root = page.locator(".point-map[data-drawn]")
        expect(self.root).to_have_attribute("data-drawn", str(len(planted.points)))
        self.overlay = self.root.locator("canvas.overlay")

    def pixel(self, place: np.ndarray) -> tuple[float, float]:
        data = self.root.evaluate("root => ({...root.dataset})")
        x, y = (float(value) for value in data["centre"].split(","))
        box = self.overlay.bounding_box()
        left = box["x"] + box["width"] / 2 + (place[0] - x) * float(data["zoom"])
        return left, box["y"] + box["height"] / 2 - (place[1] - y) * float(data["zoom"])

    def data(self, left: float, top: float) -> tuple[float, float]:
        data = self.root.evaluate("root => ({...root.dataset})")
        x, y = (float(value) for value in data["centre"].split(","))
        box = self.overlay.bounding_box()
        zoom = float(data["zoom"])
        return x + (left - box["x"] - box["width"] / 2) / zoom, y - (top - box["y"] - box["height"] / 2) / zoom

    def alone(self, columns: list[str], among: np.ndarray) -> int:
        """The point of a set that lies farthest from any other, so that pointing at it is no matter of luck."""
        places = self.planted.points[columns].to_numpy()
        distances = np.linalg.norm(places[among, None] - places[None], axis=2)
        distances[distances == 0] = np.inf
        return int(among[np.argmax(distances.min(axis=1))])

    def lasso(self, corners: list[tuple[float, float]], tool: str = "Lasso") -> None:
        self.root.locator("button.tool", has_text=tool).click()
        mouse = self.page.mouse
        mouse.move(*corners[0])
        mouse.down()
        for corner in corners[1:]:
            mouse.move(*corner)
        mouse.up()

    def selected(self) -> Locator:
        return self.page.get_by_text(re.compile(r"^Selected \("))


@pytest.fixture
def single(page: Page, planted_server: tuple[str, dict[str, Planted]]) -> MapPage:
    return MapPage(page, planted_server[0], planted_server[1]["single"])


@pytest.fixture
def compared(page: Page, planted_server: tuple[str, dict[str, Planted]]) -> MapPage:
    return MapPage(page, planted_server[0], planted_server[1]["compared"])


def around(view: MapPage, group: int) -> list[tuple[float, float]]:
    """Seven corners around a group of the planted circle, on the screen."""
    centre = 10 * np.array([np.cos(2 * np.pi * group / 8), np.sin(2 * np.pi * group / 8)])
    angles = np.arange(7) * 2 * np.pi / 7
    return [view.pixel(centre + 2.6 * np.array([np.cos(angle), np.sin(angle)])) for angle in angles]


def test_hovering_shows_the_sentence_as_text(single: MapPage) -> None:
    point = single.alone(["x", "y"], np.arange(len(single.planted.points)))
    row = single.planted.points.iloc[point]
    single.page.mouse.move(*single.pixel(row[["x", "y"]].to_numpy(dtype=float)))
    tip = single.root.locator(".tip")
    expect(tip.locator(".sentence")).to_have_text(row["text"])
    expect(tip.locator("b")).to_have_count(0)
    expect(single.root.locator("[role=status]")).to_contain_text(row["text"])
    single.page.mouse.move(5, 5)
    expect(tip).to_be_hidden()


@pytest.mark.parametrize("how", ["lasso", "box"])
def test_a_region_selects_what_a_plain_loop_finds_inside(single: MapPage, how: str) -> None:
    corners = around(single, 2)
    if how == "box":
        (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
        single.lasso([(left, top), (right, bottom)], tool="Box")
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    else:
        single.lasso(corners)
    places = single.planted.points[["x", "y"]].to_numpy(dtype=float).tolist()
    expected = plain_loop(places, [single.data(*corner) for corner in corners])
    assert 20 < expected.sum() < 45
    expect(single.selected()).to_have_text(f"Selected ({expected.sum()})")
    expect(single.root).to_have_attribute("data-selected", str(expected.sum()))
    single.page.keyboard.press("Escape")
    expect(single.selected()).to_have_text("Selected (0)")


def test_a_bar_of_the_chart_selects_its_points(single: MapPage) -> None:
    bars = single.page.get_by_test_id("stPlotlyChart").locator(".barlayer .trace").last.locator(".point path")
    expect(bars).to_have_count(3)
    bars.first.scroll_into_view_if_needed()
    box = bars.first.bounding_box()  # Plotly's own layer lies above the bars and takes the click
    single.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(single.selected()).to_have_text("Selected (100)")
    expect(single.root).to_have_attribute("data-selected", "100")


def test_pairs_of_a_task_are_joined_and_become_a_slice_of_it(
    page: Page, planted_server: tuple[str, dict[str, Planted]]
) -> None:
    view = MapPage(page, planted_server[0], planted_server[1]["pairs"])
    expect(view.root.locator(".legend .title")).to_have_text("Rank error (predicted − gold)")
    page.mouse.click(*view.pixel(np.array([11.0, 1.0])))
    expect(page.get_by_text("Gold 2.00, cosine 0.500, rank error +1.00")).to_be_visible()
    expect(view.root).to_have_attribute("data-lines", "1")
    corners = [view.pixel(np.array(place)) for place in ((-0.3, 1.5), (2.5, 0.5))]
    view.lasso(corners, tool="Box")
    expect(view.selected()).to_have_text("Selected (3)")
    expect(page.get_by_role("button", name="Curate these")).to_have_count(0)
    page.get_by_role("button", name="Save as a slice").click()
    page.get_by_label("Name of the slice").fill("far off")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The slice holds 3 pairs.")).to_be_visible()


def test_a_hidden_role_is_not_selected(single: MapPage) -> None:
    single.root.get_by_role("button", name=re.compile("Positive")).click()
    corners = around(single, 5)
    single.lasso(corners)
    points = single.planted.points
    expected = plain_loop(
        points[["x", "y"]].to_numpy(dtype=float).tolist(), [single.data(*corner) for corner in corners]
    )
    left = expected & (points["role"] != "positive").to_numpy()
    assert 0 < left.sum() < expected.sum()
    expect(single.selected()).to_have_text(f"Selected ({left.sum()})")


def test_a_chosen_premise_draws_its_triplet_and_its_rivals(single: MapPage) -> None:
    points = single.planted.points
    premises = np.flatnonzero(points["role"] == "premise")
    point = single.alone(["x", "y"], premises)
    places = points[["x", "y"]].to_numpy(dtype=float)
    single.page.mouse.click(*single.pixel(places[point]))
    expect(single.page.get_by_text("Nearest other negatives, in the full space")).to_be_visible()
    expect(single.page).to_have_url(re.compile(re.escape(f"triplet={points['triplet_id'].iat[point]}")))
    expect(single.root).to_have_attribute("data-lines", "7")
    expect(single.page.get_by_text(re.compile(r"^Positive · cosine"))).to_be_visible()
    middle = single.pixel((places[point] + places[point + 1]) / 2)
    off = np.abs(np.subtract(colour_at(single, middle), (0, 158, 115)))
    assert off.max() < 60, "half way to the positive runs its green line"
    neighbour = single.page.locator("[class*='st-key-map_neighbour_']").nth(3)
    near = int(re.search(r"map_neighbour_\S+_(\d+)", neighbour.get_attribute("class")).group(1))
    neighbour.get_by_role("button").click()
    expect(single.page).to_have_url(re.compile(f"triplet={points['triplet_id'].iat[near]}(&|$)"))
    clear = single.page.get_by_role("button", name="Clear the choice")
    expect(clear).to_have_count(1)  # two while the panel is drawn anew
    clear.click()
    expect(single.root).to_have_attribute("data-lines", "0")


def colour_at(view: MapPage, place: tuple[float, float]) -> tuple[int, ...]:
    box = view.overlay.bounding_box()
    script = """(canvas, place) => {
        const [x, y] = place.map((value) => Math.round(value * canvas.width / canvas.clientWidth));
        return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data);
    }"""
    return tuple(view.overlay.evaluate(script, [place[0] - box["x"], place[1] - box["y"]])[:3])


def test_violated_triplets_are_a_layer(single: MapPage) -> None:
    single.page.get_by_role("button", name="Violated triplets").click()
    expect(single.page.get_by_text("Filtered (60)")).to_be_visible()
    expect(single.root).to_have_attribute("data-lines", "20")


def test_the_phi_slider_counts_the_masked_pairs(single: MapPage) -> None:
    single.page.get_by_role("button", name="Masked pairs").click()
    slider = single.root.get_by_label("Mask threshold φ")
    pairs = single.planted.pairs
    cosines = pairs["cosine"].to_numpy()
    for phi in (0.9, 0.55):
        slider.fill(str(phi))
        masked = int((cosines > phi).sum())
        own = int((pairs["premise"] // 3 == pairs["candidate"] // 3)[cosines > phi].sum())
        expect(single.root.locator(".slider .value").last).to_contain_text(
            f"{masked} pairs masked, {own} of them own"
        )
        expect(single.root).to_have_attribute("data-pairs", str(masked))
        expect(single.page.get_by_text(re.compile(f"^{masked} pairs masked at"))).to_be_visible()


def test_the_morph_slider_brings_movers_to_their_new_place(compared: MapPage) -> None:
    points = compared.planted.points
    point = compared.alone(["x2", "y2"], np.flatnonzero(compared.planted.movers))
    slider = compared.root.get_by_label("Before and after")
    expect(compared.root.locator(".slider .value").first).to_have_text("static-minilm")
    slider.fill("2")
    expect(compared.root).to_have_attribute("data-morph", "2")
    expect(compared.root.locator(".slider .value").first).to_have_text("smollm2-135m")
    compared.page.mouse.move(*compared.pixel(points.loc[point, ["x2", "y2"]].to_numpy(dtype=float)))
    expect(compared.root.locator(".tip .sentence")).to_have_text(points["text"].iat[point])
    compared.page.get_by_text("Changed most", exact=True).click()
    expect(compared.page.get_by_test_id("stDataFrame").last).to_be_visible()


def test_a_selection_is_curated_and_becomes_slice_seeds_and_file(single: MapPage, tmp_path: Path) -> None:
    page, points = single.page, single.planted.points
    corners = around(single, 1)
    single.lasso(corners)
    chosen = plain_loop(
        points[["x", "y"]].to_numpy(dtype=float).tolist(), [single.data(*corner) for corner in corners]
    )
    expect(single.selected()).to_have_text(f"Selected ({chosen.sum()})")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export", exact=True).click()
    download.value.save_as(tmp_path / "map.parquet")
    exported = pd.read_parquet(tmp_path / "map.parquet")
    assert exported["id"].tolist() == np.flatnonzero(chosen).tolist()
    assert {"x", "y", "triplet_id", "text", "role"} <= set(exported.columns)
    page.get_by_role("button", name="Use as seeds").click()
    premises = int((points["role"][chosen] == "premise").sum())
    expect(page.get_by_role("link", name=f"Generate from {premises} premises")).to_be_visible()
    page.get_by_role("button", name="Save as a slice").click()
    page.get_by_label("Name of the slice").fill("odd ones")
    page.get_by_role("button", name="Save", exact=True).click()
    triplets = points["triplet_id"][chosen].nunique()
    expect(page.get_by_text(f"The slice holds {triplets} triplets.")).to_be_visible()
    page.get_by_role("button", name="Curate these").click()
    expect(page.get_by_text(f"0 of {triplets} selected triplets decided")).to_be_visible()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text(f"1 of {triplets} selected triplets decided")).to_be_visible()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text(f"0 of {triplets} selected triplets decided")).to_be_visible()


def test_text_is_found_and_the_map_goes_there(single: MapPage) -> None:
    single.page.get_by_label("Find sentences").fill("PREMISE 17 <b>")
    single.page.get_by_role("button", name="Containing this text").click()
    expect(single.selected()).to_have_text("Selected (1)")
    place = single.planted.points.loc[17 * 3, ["x", "y"]].to_numpy(dtype=float)
    expect(single.root).to_have_attribute("data-centre", re.compile(f"^{re.escape(str(place[0])[:6])}"))


def test_keys_move_the_map_and_read_it_out(single: MapPage) -> None:
    zoom = float(single.root.get_attribute("data-zoom"))
    single.overlay.focus()
    single.page.keyboard.press("+")
    expect(single.root).not_to_have_attribute("data-zoom", str(zoom))
    assert float(single.root.get_attribute("data-zoom")) == pytest.approx(1.4 * zoom)
    centre = single.root.get_attribute("data-centre")
    single.page.keyboard.press("ArrowRight")
    expect(single.root).not_to_have_attribute("data-centre", centre)
    single.page.keyboard.press("0")
    expect(single.root).to_have_attribute("data-zoom", str(zoom))
    steps = round(10 * zoom / 60)  # the first group lies ten units to the right, a step is 60 pixels
    for _ in range(steps):
        single.page.keyboard.press("ArrowRight")
    expect(single.root.locator("[role=status]")).to_contain_text("group 0")
    single.page.keyboard.press("Enter")
    expect(single.page.get_by_role("button", name="Clear the choice")).to_be_visible()
    single.overlay.focus()
    single.page.keyboard.press("Escape")
    expect(single.page.get_by_role("button", name="Clear the choice")).to_have_count(0)


def test_the_view_is_saved_as_picture(single: MapPage, tmp_path: Path) -> None:
    for name, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with single.page.expect_download() as download:
            single.root.locator("button.tool", has_text=name).click()
        path = tmp_path / name
        download.value.save_as(path)
        assert path.read_bytes().startswith(start)
    drawing = (tmp_path / "SVG").read_text(encoding="utf-8")
    assert drawing.count("<circle") == len(single.planted.points) + 3
    assert "Hard negative (100)" in drawing
