"""Premises from scratch in a real browser: no corpus, a run of two cells, a click on a cell of the coverage."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.browsing import Page, comes, expect, opened, served, settled

pytestmark = pytest.mark.browser

HEADER, ROW = 35, 35


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    own_workspace.mkdir(exist_ok=True)
    with served(own_workspace) as found:
        yield found


def typed(page: Page, label: str, words: list[str]) -> None:
    """Fill a field that takes several values, one after the other."""
    box = page.get_by_test_id("stMain").get_by_role("combobox", name=re.compile(label)).first
    for word in words:
        settled(page)
        box.fill(word)
        page.keyboard.press("Enter")
        settled(page)
    page.keyboard.press("Escape")


def test_an_own_topic_is_written_and_its_cell_leads_to_its_sentences(
    address: str, own_workspace: Path, page: Page
) -> None:
    opened(page, address, "Home")
    page.get_by_role("button", name="Let an LLM write premises").click()
    expect(page.get_by_role("heading", name="Generate", exact=True)).to_be_visible()
    typed(page, "Topics", ["rainy harbours", "dogs"])
    typed(page, "Genres", ["caption", "story"])
    typed(page, "Lengths", ["short"])
    expect(page.get_by_text("2 topics × 2 genres × 1 length = 4 cells of 3: 12 premises")).to_be_visible()
    count = page.get_by_role("spinbutton", name=re.compile("Premises per cell"))
    count.fill("1")
    count.press("Enter")
    settled(page)
    page.get_by_role("button", name="Write 4 premises").click()
    comes(page, page.get_by_text(re.compile(r"of 4 cells are full")))
    comes(page, page.get_by_role("button", name=re.compile("Generate triplets from")))
    settled(page)

    grid = page.get_by_test_id("stDataFrame").first
    box = grid.bounding_box()
    assert box is not None
    grid.click(position={"x": box["width"] * 0.9, "y": HEADER + 0.5 * ROW})  # the second genre of the first topic
    for label, value in (("Topic", "rainy harbours"), ("Genre", "story")):
        expect(page.get_by_role("combobox", name=label, exact=True)).to_have_value(value)
    page.get_by_role("button", name=re.compile("Generate triplets from")).click()
    expect(page.get_by_role("combobox", name="Premises", exact=True)).to_have_value(re.compile(r"from scratch \("))
    journal = next((own_workspace / "jobs").glob("*write_premises*/journal.jsonl")).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in journal.splitlines()]
    attempts = [row for row in rows if row["table"] == "premise_attempts"]
    assert {(row["topic"], row["genre"]) for row in attempts} >= {("rainy harbours", "story"), ("dogs", "caption")}
    assert {row["asked"] for row in attempts} == {"short"}
