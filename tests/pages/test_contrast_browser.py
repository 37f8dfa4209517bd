"""The view Contrast in a real browser: the example of the lens without an LLM, and a blind test by keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.browsing import Page, expect, opened, served, settled
from workbench.actions.data import open_sample
from workbench.store.votes import Votes
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    open_sample(current_workspace())
    close_current_workspace()
    with served(own_workspace) as found:
        yield found


def test_the_sample_explains_the_contrast_and_is_voted_on_by_keys(
    address: str, page: Page, own_workspace: Path
) -> None:
    opened(page, f"{address}/generate?generation=Contrast", "Generate")
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("An example to begin with")).to_be_visible()
    expect(main.get_by_text(re.compile("^Plain decoding takes"))).to_be_visible()
    assert "step=" not in page.url, "what a page begins with is no step of Back"

    main.get_by_role("radio", name="Blind test").click()
    expect(main.get_by_text(re.compile("^0 votes, "))).to_be_visible()
    expect(main.get_by_role("button", name="Reply 2")).to_be_visible()
    for number, key in enumerate(("1", "2", "0"), start=1):
        settled(page)
        page.keyboard.press(key)
        expect(main.get_by_text(re.compile(f"^{number} votes?, "))).to_be_visible()
    settled(page)
    page.keyboard.press("z")
    expect(main.get_by_text(re.compile("^2 votes, "))).to_be_visible()
    kept = Votes(own_workspace).list()
    assert len({vote.pair_id for vote in kept}) == 2
    assert {vote.preferred for vote in kept} <= {"ω 0", "ω 0.6"}
    settled(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("prefer this reply")).to_be_visible()
