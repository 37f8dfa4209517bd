"""Curating by keyboard in a real browser: two annotators, edit, swap, write anew, bulk, undo, a reload in between."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from tests.pages.browsing import JOB_MS, Browser, Page, expect, opened, served, settled, tab
from tests.workbench.store_samples import add_import
from workbench.components.job_progress import IDLE_SECONDS
from workbench.store.files import CurationNotes, write_notes
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser

TRIPLETS, DECIDED = 14, 10
KEYS = {"a": "accept", "x": "reject", "s": "swap", "2": "reject"}
ANN = [("a", "x", "a", "s", "2")[number % 5] for number in range(DECIDED)]
BOB = [("a", "x", "x")[number % 3] for number in range(DECIDED)]
KNOW_TIMERS = """
    window.timers = [];
    const start = window.setInterval;
    window.setInterval = (act, ms, ...rest) => { window.timers.push([act, ms]); return start(act, ms, ...rest); };
"""
PRESS_BEFORE_TIMER = """(button, ms) => {
    button.click();
    window.timers.filter((timer) => timer[1] === ms).forEach((timer) => timer[0]());
}"""


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    workspace = current_workspace()
    numbers = range(TRIPLETS)
    frame = pd.DataFrame(
        {
            "premise_id": [f"p{n}" for n in numbers],
            "premise": [f"The boat number {n} leaves the harbour." for n in numbers],
            "positive": [f"Boat {n} sets sail." for n in numbers],
            "hard_negative": [f"Boat {n} stays in the harbour." for n in numbers],
        }
    )
    add_import(workspace.store, "boats", "boats.jsonl", frame)
    write_notes(workspace.root, CurationNotes("**Entailed** means it must be true.", shared=1.0))
    close_current_workspace()
    with served(own_workspace) as found:
        yield found


def decided(page: Page, count: int) -> None:
    expect(page.get_by_text(re.compile(rf"^{count} of {TRIPLETS} decided"))).to_be_visible()
    settled(page)


def press(page: Page, keys: list[str], start: int = 0) -> None:
    for number, key in enumerate(keys, start=start + 1):
        page.keyboard.press(key)
        decided(page, number)


def test_two_annotators_by_keyboard(address: str, own_workspace: Path, browser: Browser, page: Page) -> None:
    page.add_init_script(KNOW_TIMERS)
    opened(page, f"{address}/curate?view=Queue&annotator=ann", "Curate")
    expect(page.get_by_text("means it must be true")).to_be_visible()
    decided(page, 0)
    press(page, ANN[:5])
    page.reload()
    decided(page, 5)
    press(page, ANN[5:], start=5)
    page.keyboard.press("z")
    decided(page, DECIDED - 1)
    page.keyboard.press("y")
    decided(page, DECIDED)
    page.keyboard.press("e")
    settled(page)
    page.get_by_label("Positive", exact=True).fill("A boat, number ten, puts to sea; x and a are only letters.")
    page.keyboard.press("Control+Enter")
    decided(page, DECIDED + 1)

    with tab(browser) as second:
        opened(second, f"{address}/curate?view=Queue&annotator=bob", "Curate")
        decided(second, 0)
        press(second, BOB)
        second.get_by_text("Agreement", exact=True).click()
        kappa = cohen_kappa_score([KEYS[key] for key in ANN], [KEYS[key] for key in BOB])
        expect(second.get_by_test_id("stMetricValue").nth(1)).to_have_text(f"{kappa:.3f}")

    bulk_and_back(page)
    write_anew(page, own_workspace)


def bulk_and_back(page: Page) -> None:
    """One decision for all that match, undone with everything else down to the first key; all of it by one key."""
    page.get_by_text("List", exact=True).click()
    settled(page)
    page.get_by_role("button", name=f"Decide all {TRIPLETS} matching").click()
    page.get_by_role("button", name=f"Accept {TRIPLETS} triplets").click()
    expect(page.get_by_text("Undo reverts it")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_text("Queue", exact=True).click()
    decided(page, TRIPLETS)
    for left in (DECIDED + 1, DECIDED, DECIDED - 1):
        page.keyboard.press("z")
        decided(page, left)
    press_before_timer(page, "Undo")
    decided(page, DECIDED - 2)
    for left in range(DECIDED - 3, -1, -1):
        page.keyboard.press("z")
        decided(page, left)


def press_before_timer(page: Page, button: str) -> None:
    """Press a button just before the strip of jobs redraws itself, whose message then brings the press as well."""
    page.get_by_role("button", name=button).evaluate(PRESS_BEFORE_TIMER, IDLE_SECONDS * 1000)


def write_anew(page: Page, workspace: Path) -> None:
    """The embedded LLM writes a side again until it says something new, which is taken with one key.

    The strip of jobs looks every few seconds, too seldom to see each job run: the end of one is read from its folder.
    """
    for attempt, key in enumerate("gpgpg", start=1):
        expect(page.get_by_role("heading", name=re.compile("boat number 0 leaves"))).to_be_visible()
        settled(page)
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=re.compile("boat number 1 leaves"))).to_be_visible()
        wait_for_jobs(workspace, attempt)
        page.reload()
        told = page.get_by_text(re.compile("^Regenerated"))
        expect(told).to_be_visible()
        if not told.inner_text().startswith("Regenerated:"):
            expect(page.get_by_role("button", name="Use it")).to_be_visible()
            settled(page)
            page.keyboard.press("u")
            decided(page, 1)
            return
    raise AssertionError("five attempts of the embedded LLM brought nothing new")


def wait_for_jobs(workspace: Path, count: int) -> None:
    deadline = time.monotonic() + JOB_MS / 1000
    while time.monotonic() < deadline:
        states = [json.loads(path.read_bytes())["state"] for path in workspace.glob("jobs/*/status.json")]
        assert set(states) <= {"queued", "running", "finished"}
        if states.count("finished") == count:
            return
        time.sleep(0.5)
    raise AssertionError(f"{count} jobs did not finish: {states}")
