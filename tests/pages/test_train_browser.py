"""Training in a real browser: a run is watched, reloaded, stopped and kept, compared, its model card opened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.pages.browsing import JOB_MS, Page, comes, expect, opened, served, settled
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser

LONG, SHORT = 20_000, 6


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    rows = [(f"t{n}", f"The boat {n} leaves.", f"Boat {n} sets sail.", f"Boat {n} stays here.") for n in range(120)]
    frame = pd.DataFrame(rows, columns=["triplet_id", "premise", "positive", "hard_negative"])
    current_workspace().store.snapshots.create("boats", ["x"], None, None, frame)
    close_current_workspace()
    with served(own_workspace) as found:
        yield found


def steps_done(page: Page) -> int:
    shown = page.get_by_test_id("stMain").get_by_text(re.compile(r"^[\d,]+ of [\d,]+ steps · ")).first
    expect(shown).to_be_visible(timeout=JOB_MS)
    return int(shown.inner_text().split(" of ")[0].replace(",", ""))


def start(page: Page, steps: int, seed: int) -> None:
    page.get_by_text("no mask", exact=True).click()  # a guide would have to be loaded first
    expect(page.get_by_text("Every other candidate of the batch is a negative.")).to_be_visible()
    settled(page)
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.get_by_label("Seed", exact=True).press("Enter")
    expect(page.get_by_text(re.compile(f"^{steps:,} of "))).to_be_visible()  # the outlook has taken the number in
    settled(page)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("radio", name="Runs")).to_be_checked(timeout=JOB_MS)


def test_a_run_is_watched_kept_compared_and_its_card_opened(address: str, page: Page) -> None:
    # What is tested is what happens, not how fast: a machine at work may take a minute for one redraw.
    page.set_default_timeout(JOB_MS)
    expect.set_options(timeout=JOB_MS)
    opened(page, f"{address}/train", "Train")
    start(page, LONG, seed=1)
    loss = page.get_by_test_id("stPlotlyChart").filter(has_text="Loss").first
    expect(loss).to_be_visible(timeout=2 * JOB_MS)  # torch takes its time on a busy machine
    before = steps_done(page)
    expect(page.get_by_role("button", name="Stop and keep")).to_be_visible()
    while steps_done(page) <= before:  # the page moves by itself: nothing is pressed here
        page.wait_for_timeout(300)
    assert loss.locator(".scatterlayer .trace").count() >= 2, "the loss and a comparable InfoNCE"

    page.reload()
    expect(page.get_by_role("radio", name="Runs")).to_be_checked()
    assert steps_done(page) >= before
    stop = page.get_by_role("button", name="Stop and keep")
    expect(stop).to_be_visible()
    stop.click(timeout=JOB_MS)
    comes(page, page.get_by_text("Final loss"))
    ended = page.get_by_text(re.compile(rf"^Ended at step [\d,]+ of {LONG:,}; the encoder was kept\.$"))
    expect(ended).to_be_visible(timeout=JOB_MS)

    page.get_by_text("New run", exact=True).click()
    start(page, SHORT, seed=2)
    comes(page, page.get_by_text("Final loss"))
    settled(page)
    page.get_by_role("radio", name="Compare").click()
    settled(page)
    pick_runs(page, 2)
    expect(page.get_by_role("heading", name="2 runs compared")).to_be_visible()
    expect(page.get_by_text("Settings that differ")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="2 runs compared")).to_be_visible()
    page.get_by_role("radio", name="Runs").click()

    part = page.get_by_role("radio", name="Model card").or_(page.get_by_role("button", name="Model card"))
    part.first.click()
    expect(page.get_by_text("Sentence encoder trained on contrastively refined triplets")).to_be_visible()
    expect(page.get_by_text("The folder, ready to push")).to_be_visible()


def pick_runs(page: Page, count: int) -> None:
    """Tick the first rows of the table of runs, which is drawn on a canvas: the boxes are its first column."""
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    for row in range(count):
        table.click(position={"x": 16, "y": 35 * (row + 1) + 18})
        settled(page)
