"""Embedding map in headless Chromium with software GL, ours and Plotly's: time to drawn, lasso to table, bytes.

The limits stand beside it: the same pointer movement over an empty page, and the page of an app that draws nothing.

Run: python -m benchmarks.embedding_map [POINTS ...]   (default 20000 100000 500000; Plotly up to 100000)
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.lasso import drag, lasso_corners, plain_count, pointer_alone, to_data
from pipeline.analysis.projection import inside
from tests.pages.browsing import CHROMIUM, FLAGS, free_port, running, served
from tests.pages.planted_map import geometry, plant
from workbench.workspace import Workspace

SIZES = (20_000, 100_000, 500_000)
PLOTLY_MOST = 100_000
LIMIT_MS = 120_000

PLOTLY_IS_DRAWN = """() => {
    const drawn = document.querySelector(".js-plotly-plot");
    return Boolean(drawn?.calcdata?.length && drawn._fullLayout?._plots?.xy?._scene?.scatter2d);
}"""


@dataclass
class Measured:
    """One map in one browser page."""

    name: str
    points: int
    page_s: float
    """Until Streamlit shows anything of the page: no map is drawn before."""
    drawn_s: float
    drag_s: float
    table_s: float
    bytes_down: int
    lasso_up: int
    lasso_down: int
    selected: int
    expected: int

    def line(self) -> str:
        """One row of the report."""
        right = "right" if self.selected == self.expected else f"WRONG, {self.expected:,} expected"
        return (
            f"{self.name:8} {self.points:>8,} points: page {self.page_s:5.2f} s, "
            f"drawn {self.drawn_s:6.2f} s, drag {self.drag_s:6.2f} s, "
            f"lasso to table {self.table_s:5.2f} s, {self.bytes_down / 1e6:6.2f} MB down to draw, lasso "
            f"{self.lasso_up / 1e3:8.1f} kB up {self.lasso_down / 1e3:8.1f} kB down, "
            f"selected {self.selected:,} ({right})"
        )


class Traffic:
    """Bytes through the page's web sockets and responses."""

    def __init__(self, page: Page) -> None:
        self.up = self.down = 0
        page.on("websocket", self._watch)

    def _watch(self, opened: Any) -> None:
        opened.on("framesent", lambda payload: self._count("up", payload))
        opened.on("framereceived", lambda payload: self._count("down", payload))

    def _count(self, way: str, payload: bytes | str) -> None:
        setattr(self, way, getattr(self, way) + len(payload))


def main() -> None:
    """Measure every size, ours and Plotly's alternating in one run, and print the comparison."""
    sizes = [int(value) for value in sys.argv[1:]] or list(SIZES)
    results: list[Measured] = []
    pointer_s = 0.0
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        maps = planted(folder, [300, *sizes])
        pointer_s = pointer_alone(browser)
        with served(folder / "ws") as ours, plotly_served(folder) as plotly:
            measure_ours(browser, ours, maps[300])  # the first page of a server pays for its imports
            measure_plotly(browser, plotly, folder, 300)
            for size in sizes:
                results.append(measure_ours(browser, ours, maps[size]))
                sys.stdout.write(results[-1].line() + "\n")
                if size <= PLOTLY_MOST:
                    results.append(measure_plotly(browser, plotly, folder, size))
                    sys.stdout.write(results[-1].line() + "\n")
                sys.stdout.flush()
        browser.close()
    compare(results, pointer_s)
    wrong = [result for result in results if result.selected != result.expected]
    sys.exit(1 if wrong else 0)


def planted(folder: Path, sizes: list[int]) -> dict[int, Any]:
    """A workspace with one map per size, and the same points as Parquet for the other page."""
    maps = {}
    with Workspace(folder / "ws") as workspace:
        for number, size in enumerate(sizes):
            made = plant(workspace, triplets=size // 3, number=number, is_stored=False)
            workspace.wait(made.map_id, timeout_s=60)
            made.points[["role", "text", "x", "y"]].to_parquet(folder / f"points-{size}.parquet")
            maps[size] = made
    return maps


@contextmanager
def plotly_served(folder: Path) -> Iterator[str]:
    """A page with Plotly's WebGL scatter of the same points."""
    script, port = Path(__file__).with_name("plotly_map.py"), free_port()
    options = ["--server.port", str(port), "--server.headless", "true", "--server.maxMessageSize", "1000"]
    options += ["--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    with running(command, port, folder=folder, log=folder / "plotly.log") as address:
        yield address


def measure_ours(browser: Browser, address: str, made: Any) -> Measured:
    """Open the map, draw a lasso, wait for the table."""
    page = browser.new_page(viewport={"width": 1440, "height": 1300})
    page.set_default_timeout(LIMIT_MS)
    traffic, started = Traffic(page), time.perf_counter()
    page.goto(f"{address}/embedding_map?map={made.map_id}")
    page.get_by_test_id("stAppViewContainer").wait_for()
    page_s = time.perf_counter() - started
    root = page.locator(f'.point-map[data-drawn="{len(made.points)}"]')
    root.wait_for()
    drawn_s, down = time.perf_counter() - started, traffic.down
    page.get_by_text("All (").wait_for()
    page.wait_for_timeout(1500)
    root.locator("button.tool", has_text="Lasso").click()
    corners = lasso_corners(root.locator("canvas.overlay").bounding_box())
    view = root.evaluate("root => ({...root.dataset})")
    before, drag_s, released = (traffic.up, traffic.down), *drag(page, corners)
    selected = int(re.sub(r"\D", "", page.get_by_text(re.compile(r"^Selected \([1-9]")).inner_text()))
    page.locator(f'.point-map[data-selected="{selected}"]').wait_for()
    page.get_by_test_id("stDataFrame").first.wait_for()
    table_s = time.perf_counter() - released
    polygon = to_data(corners, root.locator("canvas.overlay").bounding_box(), view)
    expected = plain_count(made.points[["x", "y"]].to_numpy(dtype=np.float64), polygon)
    lasso = (traffic.up - before[0], traffic.down - before[1])
    page.close()
    return Measured("ours", len(made.points), page_s, drawn_s, drag_s, table_s, down, *lasso, selected, expected)


def measure_plotly(browser: Browser, address: str, folder: Path, size: int) -> Measured:
    """The same with Plotly; the expected count follows from its axes."""
    import pandas as pd

    points = pd.read_parquet(folder / f"points-{size}.parquet", columns=["x", "y"])
    page = browser.new_page(viewport={"width": 1440, "height": 1300})
    page.set_default_timeout(LIMIT_MS)
    traffic, started = Traffic(page), time.perf_counter()
    page.goto(f"{address}/?n={size}")
    page.get_by_test_id("stAppViewContainer").wait_for()
    page_s = time.perf_counter() - started
    page.wait_for_function(PLOTLY_IS_DRAWN)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    drawn_s, down = time.perf_counter() - started, traffic.down
    page.wait_for_timeout(2500)
    box = page.locator(".js-plotly-plot .draglayer .nsewdrag").first.bounding_box()
    assert box is not None, "the chart is not in sight"
    axes = page.locator(".js-plotly-plot").evaluate("p => [p._fullLayout.xaxis.range, p._fullLayout.yaxis.range]")
    corners = lasso_corners(box)
    before, drag_s, released = (traffic.up, traffic.down), *drag(page, corners)
    selected = int(re.sub(r"\D", "", page.get_by_text(re.compile(r"^Selected \([1-9]")).inner_text()))
    table_s = time.perf_counter() - released
    spans = np.array(axes)
    share = (np.array(corners) - np.array([box["x"], box["y"]])) / [box["width"], box["height"]]
    polygon = np.stack(
        [
            spans[0, 0] + share[:, 0] * (spans[0, 1] - spans[0, 0]),
            spans[1, 1] - share[:, 1] * (spans[1, 1] - spans[1, 0]),
        ],
        axis=1,
    )
    # Plotly thins the drawn line before it decides, so its count may differ by a few points at the border.
    expected = plain_count(points.to_numpy(dtype=np.float64), polygon)
    if abs(selected - expected) <= max(3, 0.005 * expected):
        expected = selected
    lasso = (traffic.up - before[0], traffic.down - before[1])
    page.close()
    return Measured("plotly", len(points), page_s, drawn_s, drag_s, table_s, down, *lasso, selected, expected)


def compare(results: list[Measured], pointer_s: float) -> None:
    """Say how many times faster, and how long the pointer and the membership alone take."""
    sys.stdout.write(f"the lasso's movement over an empty page: {pointer_s:.2f} s\n")
    plotly = {result.points: result for result in results if result.name == "plotly"}
    for result in results:
        other = plotly.get(result.points)
        if result.name == "ours" and other:
            mine, theirs = (r.drawn_s + r.drag_s + r.table_s for r in (result, other))
            own, others = (r.drag_s - pointer_s + r.table_s for r in (result, other))
            sys.stdout.write(
                f"{result.points:,} points: drawn {other.drawn_s / result.drawn_s:.1f} times sooner "
                f"({(other.drawn_s - other.page_s) / (result.drawn_s - result.page_s):.1f} after the page), "
                f"lasso with table {(other.drag_s + other.table_s) / (result.drag_s + result.table_s):.1f} "
                f"({others / own:.1f} without the pointer's own time), "
                f"altogether {theirs / mine:.1f}, bytes up {other.lasso_up / result.lasso_up:.0f} times fewer\n"
            )
    sys.stdout.write(f"load of the machine, mean of the last minute: {os.getloadavg()[0]:.1f}\n")
    points, _ = geometry(166_667, 1, np.random.default_rng(0))
    places = points[["x", "y"]].to_numpy(dtype=np.float64)
    polygon = np.array(lasso_corners({"x": -20, "y": -20, "width": 40, "height": 40}))
    started = time.perf_counter()
    inside(places, polygon)
    sys.stdout.write(f"point in polygon, {len(places):,} points, {len(polygon)} corners: ")
    sys.stdout.write(f"{time.perf_counter() - started:.2f} s\n")


if __name__ == "__main__":
    main()
