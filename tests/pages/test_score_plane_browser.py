"""The plane of scores in a real browser: lines to drag and to move by key, the kept region, a cell and its rows."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config import CurationRule
from tests.pages.browsing import Page, expect, served, settled
from workbench.actions.data import open_sample
from workbench.paths import ASSETS
from workbench.workspace import Workspace

pytestmark = pytest.mark.browser
RULES = [
    CurationRule(),
    CurationRule(0, 5, 0.1),
    CurationRule(1, 4, -0.5),
    CurationRule(2, 1, 2.5),
    CurationRule(5, 0, 5),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A workspace with the sample corpus, and the scores of its second attempt."""
    folder = tmp_path_factory.mktemp("plane")
    with Workspace(folder) as workspace:
        attempt = open_sample(workspace)["attempt_ids"][-1]
        judge = workspace.store.judgements.judges([attempt])[0]
        scores = workspace.store.judgements.plane([attempt], judge, limit=100_000)
    return folder, scores


@pytest.fixture(scope="module")
def server(sample: tuple[Path, pd.DataFrame]) -> Iterator[str]:
    with served(sample[0]) as address:
        yield address


def kept(scores: pd.DataFrame, alpha: float, beta: float, gamma: float) -> str:
    a, b = scores["a"], scores["b"]
    return f"{int(((a >= alpha) & (b <= beta) & (a >= b + gamma)).sum()):,}"


def test_a_line_is_dragged_and_moved_by_key(server: str, page: Page, sample: tuple[Path, pd.DataFrame]) -> None:
    scores = sample[1]
    page.goto(f"{server}/curate?view=Rule&rule=3,3,0.1")
    number = page.get_by_test_id("stMetricValue").first
    expect(number).to_have_text(kept(scores, 3, 3, 0.1))
    beta = page.locator(".score-plane .beta")
    settled(page)
    box = beta.locator(".grip").bounding_box()
    x, y, unit = box["x"] + 40, box["y"] + box["height"] / 2, box["width"] / 5
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - unit / 2)
    expect(page.locator(".score-plane .words")).to_contain_text("β 3.50")
    expect(number).to_have_text(kept(scores, 3, 3, 0.1))  # told when the line is let go of
    page.mouse.up()
    expect(number).to_have_text(kept(scores, 3, 3.5, 0.1))
    expect(page.locator("input[type=range][aria-label^=β]")).to_have_value("3.5")
    page.locator(".score-plane .alpha").focus()
    page.keyboard.press("ArrowLeft")
    expect(number).to_have_text(kept(scores, 2.95, 3.5, 0.1))
    page.keyboard.press("PageDown")
    expect(number).to_have_text(kept(scores, 2.45, 3.5, 0.1))


def test_a_cell_leads_to_its_triplets(server: str, page: Page, sample: tuple[Path, pd.DataFrame]) -> None:
    page.goto(f"{server}/curate?view=Rule")
    cell = page.locator(".score-plane .cells rect").nth(100)
    low_a, high_a, low_b, high_b = map(float, re.findall(r"\d\.\d\d", cell.locator("title").text_content()))
    cell.click()
    page.get_by_role("button", name=re.compile("^Triplets with a from")).click()
    scores = sample[1]
    inside = scores["a"].between(low_a, high_a) & scores["b"].between(low_b, high_b)
    assert inside.any()
    expect(page.get_by_text(re.compile(rf"^1 to \d+ of {int(inside.sum())}$"))).to_be_visible()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_tinted_region_is_where_the_rule_keeps(page: Page, rule: CurationRule) -> None:
    code = (ASSETS / "score_plane" / "score_plane.js").read_text(encoding="utf-8").split("export default")[0]
    named = {"alpha": rule.alpha, "beta": rule.beta, "gamma": rule.gamma}
    corners = page.evaluate(f"rule => {{ {code}; return keptCorners(rule); }}", named)
    for a, b in np.random.default_rng(0).uniform(0, 5, (400, 2)):
        keeps = a >= rule.alpha and b <= rule.beta and a >= b + rule.gamma
        assert keeps == (len(corners) > 2 and inside(corners, a, b))


def inside(corners: list[tuple[float, float]], x: float, y: float) -> bool:
    """Even-odd rule."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            crossings += 1
    return crossings % 2 == 1
