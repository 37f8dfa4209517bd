"""Prompt edit, grid, lens, free prompt, run and retry in a real browser, with the embedded LLM."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.records import text_id
from tests.pages.browsing import JOB_MS, Page, comes, expect, opened, served, settled
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser

PREMISES = [
    "Two dogs run along the beach.",
    "The museum is closed on Mondays.",
    "Which train goes to the airport?",
    "She plays the piano every evening.",
    "Snow fell on the hills last night.",
]


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    frame = pd.DataFrame({"premise_id": [text_id(text) for text in PREMISES], "text": PREMISES})
    current_workspace().store.premises.add_corpus("five", "five.txt", frame, {}, 0)
    close_current_workspace()
    with served(own_workspace) as found:
        yield found


def test_from_a_prompt_to_its_preview_its_lens_and_a_retry(address: str, page: Page) -> None:
    opened(page, f"{address}/generate?generation=Prompts", "Generate")
    edit_the_prompt(page)
    preview(page)
    look_through_the_lens(page)
    ask(page)
    run_and_retry(page)


def view(page: Page, name: str) -> None:
    page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True).or_(
        page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)
    ).first.click()
    settled(page)


def edit_the_prompt(page: Page) -> None:
    expect(page.get_by_text(re.compile(r"^\d+ tokens$")).first).to_be_visible(timeout=JOB_MS)
    instruction = page.get_by_role("textbox", name="Instruction").first
    instruction.fill("Write it down again with other words.")
    instruction.press("Control+Enter")
    expect(page.get_by_test_id("stCode").first).to_contain_text("Write it down again with other words.")
    page.get_by_role("textbox", name="Name", exact=True).fill("mine")
    page.get_by_role("textbox", name="Name", exact=True).press("Enter")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page).to_have_url(re.compile(r"prompts=mine(%40|@)1"))
    settled(page)


def preview(page: Page) -> None:
    view(page, "Preview")
    page.get_by_role("button", name="Preview 5 premises").click()
    comes(page, page.get_by_text("ω 0, plain"))
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=JOB_MS)
    expect(page.get_by_text("not written")).to_have_count(0)
    expect(page.get_by_text("ω 0.9")).to_have_count(5)


def look_through_the_lens(page: Page) -> None:
    view(page, "Contrast lens")
    page.get_by_role("button", name="Record this reply").click()
    comes(page, page.get_by_text("Tokens of the reply"))
    expect(page.get_by_test_id("stPlotlyChart").get_by_text("own prompt")).to_be_visible()
    expect(page).to_have_url(re.compile(r"lens=[\w-]+"))
    expect(page).to_have_url(re.compile(r"step=\d+"))
    page.get_by_test_id("stMain").get_by_test_id("stButtonGroup").last.get_by_role("radio").or_(
        page.get_by_test_id("stMain").get_by_test_id("stButtonGroup").last.get_by_role("button")
    ).nth(2).click()
    expect(page).to_have_url(re.compile(r"step=2"))
    page.reload()
    expect(page.get_by_test_id("stPlotlyChart").get_by_text("own prompt")).to_be_visible()
    expect(page).to_have_url(re.compile(r"step=2"))


def ask(page: Page) -> None:
    view(page, "Free prompt")
    page.get_by_role("textbox", name="Prompt").fill("The capital of France is")
    page.get_by_label("Longest answer (tokens)").fill("8")
    page.get_by_label("Longest answer (tokens)").press("Enter")
    settled(page)
    page.get_by_role("button", name="Ask", exact=True).click()
    comes(page, page.get_by_text(re.compile("cut at the limit|the LLM ended it")))
    expect(page.get_by_test_id("stCode").first).to_contain_text("Paris")


def run_and_retry(page: Page) -> None:
    page.get_by_text("Sampling and batch").click()
    page.get_by_label("Longest reply (tokens)").fill("8")
    page.get_by_label("Longest reply (tokens)").press("Enter")
    settled(page)
    page.get_by_role("button", name="Generate 5 triplets").click()
    retry = page.get_by_role("button", name=re.compile(r"Retry only these \d premise"))
    comes(page, page.get_by_text("Outcomes per side"))
    comes(page, retry)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0, timeout=JOB_MS)
    settled(page)
    first = page.get_by_test_id("stMain").get_by_role("combobox", name=re.compile("Attempt")).first.input_value()
    retry.click()
    expect(page.get_by_text(re.compile("^Retry of [1-5] ")).first).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0, timeout=JOB_MS)
    view(page, "Attempts")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    assert first is not None
