"""What holds on every page, in a real browser: room for the content, and an address that means what is shown."""

from collections.abc import Iterator

import pytest

from tests.pages.browsing import Browser, Page, served, tab
from tests.pages.conftest import PAGES
from tests.pages.gallery import FAULTS, drawn, made

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def filled() -> Iterator[str]:
    """The address of a workspace with something at every stage."""
    with made("filled") as root, served(root) as address:
        yield address


@pytest.fixture(scope="module")
def narrow(browser: Browser) -> Iterator[Page]:
    with tab(browser) as page:
        page.set_viewport_size({"width": 420, "height": 860})
        yield page


@pytest.fixture(scope="module")
def laptop(browser: Browser) -> Iterator[Page]:
    with tab(browser) as page:
        page.set_viewport_size({"width": 1440, "height": 900})
        yield page


@pytest.mark.parametrize("name", list(PAGES))
def test_the_content_has_the_width_of_the_screen_and_nothing_is_cut(filled: str, laptop: Page, name: str) -> None:
    laptop.goto(f"{filled}/{'' if name == 'home' else name}")
    drawn(laptop)
    content = laptop.get_by_test_id("stMain").get_by_test_id("stVerticalBlock").first
    assert content.evaluate("e => e.getBoundingClientRect().width") > 1150
    assert laptop.evaluate(FAULTS) == []


@pytest.mark.parametrize("name", list(PAGES))
def test_a_phone_scrolls_in_one_direction(filled: str, narrow: Page, name: str) -> None:
    narrow.goto(f"{filled}/{'' if name == 'home' else name}")
    drawn(narrow)
    sideways = [fault for fault in narrow.evaluate(FAULTS) if fault.startswith("scrolls sideways")]
    assert sideways == []
