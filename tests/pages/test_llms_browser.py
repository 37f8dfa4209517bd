"""LLMs in a real browser: a server that refuses usual settings is added, read on its card, and writes triplets."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.browsing import Page, choose, comes, expect, opened, served, settled
from tests.servers.gpt5_server import OTHER_SIDE, SENTENCE, chat_only, gpt5
from tests.servers.scripted_server import serving
from workbench.actions.data import import_premises
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser


@pytest.fixture
def address(own_workspace: Path) -> Iterator[str]:
    import_premises(current_workspace(), text="The hills are close by.\nWe walk in the valley.", name="two")
    close_current_workspace()
    with served(own_workspace) as found:
        yield found


def fill(page: Page, label: str, value: str) -> None:
    settled(page)
    field = page.get_by_test_id("stMain").get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")
    settled(page)


def test_a_server_that_refuses_usual_settings_is_added_and_used(address: str, page: Page) -> None:
    with serving(chat_only(gpt5)) as server:
        opened(page, f"{address}/generate?generation=LLMs", "Generate")
        main = page.get_by_test_id("stMain")
        settled(page)
        main.get_by_text("Server", exact=True).click()
        fill(page, "Name", "far")
        fill(page, "Base URL", server.url)
        main.get_by_text("More settings").click()
        choose(page, "Form of the prompt", "turns of a chat")
        fill(page, "Price per million prompt tokens", "1.25")
        fill(page, "Price per million reply tokens", "10")
        main.get_by_role("button", name="Check and add").click()
        expect(page.get_by_test_id("stSidebar").get_by_text("Check of far")).to_have_count(0, timeout=180_000)
        choose(page, "^LLM", "far")
        card = main.get_by_test_id("stMarkdownContainer")  # the table below has the same words
        expect(card.get_by_text("turns of a chat, thinking off")).to_be_visible()
        expect(card.get_by_text("1.25 in, 10 out per million tokens")).to_be_visible()
        main.get_by_text("Details").first.click()
        expect(page.get_by_text(re.compile("^Refused by the server: temperature")).first).to_be_visible()
        page.keyboard.press("Escape")

        main.get_by_text("Run", exact=True).click()
        choose(page, "^LLM", "far")
        expect(main.get_by_text("ω has no effect")).to_be_visible()
        expect(main.get_by_text(re.compile(r"^About 4 calls: "))).to_be_visible()
        main.get_by_role("button", name="Generate 2 triplets").click()
        comes(page, page.get_by_role("link", name="Curate 2 triplets with both sides ok"))
        expect(main.get_by_text(SENTENCE).first).to_be_attached()  # cells of a table drawn as a picture
        expect(main.get_by_text(OTHER_SIDE).first).to_be_attached()
    assert all("temperature" not in call for call in server.calls[-4:])
