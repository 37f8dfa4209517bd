"""The lasso that the map's benchmark draws, and how many points lie in it, counted the plain way."""

import time
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

STEPS = 24


def pointer_alone(browser: Browser) -> float:
    """Return the seconds of the lasso's movement over an empty page: no map can take less."""
    page = browser.new_page(viewport={"width": 1440, "height": 1300})
    page.set_content("<main></main>")
    seconds, _ = drag(page, lasso_corners({"x": 0, "y": 200, "width": 1000, "height": 640}))
    page.mouse.up()
    page.close()
    return seconds


def lasso_corners(box: Any) -> list[tuple[float, float]]:
    """A wavy loop around the middle left of a canvas that cuts through groups."""
    angles = 2 * np.pi * np.arange(STEPS) / STEPS
    radius = 0.3 * box["height"] * (1 + 0.25 * np.cos(3 * angles))
    left, top = box["x"] + 0.42 * box["width"], box["y"] + 0.5 * box["height"]
    return [
        (float(round(x)), float(round(y)))
        for x, y in zip(left + radius * np.cos(angles), top + radius * np.sin(angles), strict=True)
    ]


def drag(page: Page, corners: list[tuple[float, float]]) -> tuple[float, float]:
    """Draw the line with the pressed button; return its seconds and the moment of letting go."""
    started = time.perf_counter()
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner)
    drag_s, released = time.perf_counter() - started, time.perf_counter()
    page.mouse.up()
    return drag_s, released


def to_data(corners: list[tuple[float, float]], box: Any, view: dict[str, str]) -> np.ndarray:
    """Screen to map."""
    x, y = (float(value) for value in view["centre"].split(","))
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    away = (np.array(corners) - middle) / float(view["zoom"])
    return np.stack([x + away[:, 0], y - away[:, 1]], axis=1)


def plain_count(points: np.ndarray, polygon: np.ndarray) -> int:
    """Even-odd rule, every point against every edge."""
    crossings = np.zeros(len(points), dtype=int)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        passes = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            crossings += passes & (points[:, 0] < x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    return int((crossings % 2 == 1).sum())
