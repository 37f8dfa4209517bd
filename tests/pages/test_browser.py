"""The whole story in a real browser on the real server: premises, triplets, rule, run, score, map."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.browsing import JOB_MS, Browser, Page, comes, expect, go_to, opened, served, settled
from tests.pages.filled import TRICKY, fill
from workbench.workspace import close_current_workspace, current_workspace

pytestmark = pytest.mark.browser

PREMISES = [
    "Two children are building a sand castle on the beach.",
    "The train to the coast leaves every morning at seven.",
    "A woman in a red coat is reading a newspaper in the park.",
    "The museum will be closed on Monday because of repairs.",
    "He forgot his umbrella and got wet on the way home.",
    "Boil the potatoes for twenty minutes before peeling them.",
    "The committee accepted the proposal without a vote.",
    "Bees find their way back to the hive by the sun.",
]
PAIRS = [
    (5.0, "A man is playing the guitar.", "A man plays a guitar."),
    (4.4, "The girl is eating an apple.", "A girl eats a green apple."),
    (3.2, "A dog runs over the grass.", "A dog is lying on the grass."),
    (2.4, "The plane is landing.", "The plane has been delayed."),
    (1.2, "A chef is cutting onions.", "A painter is mixing colours."),
    (0.0, "The river is frozen.", "My sister bought a new bicycle."),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh workspace."""
    with served(tmp_path_factory.mktemp("fresh")) as address:
        yield address


@pytest.fixture
def filled_server(own_workspace: Path) -> Iterator[str]:
    """A workspace with something at every stage."""
    fill(current_workspace())
    close_current_workspace()
    with served(own_workspace) as address:
        yield address


def test_a_deep_link_is_the_first_thing_a_fresh_server_sees(server: str, page: Page) -> None:
    """Before anybody opened the root, Streamlit runs the page's file without the entry script."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, f"{server}/train", "Train")
    expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
    go_to(page, "Errors")
    page.reload()
    expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_visible()
    elsewhere = [url for url in asked if not url.startswith((server, "data:", "blob:"))]
    assert elsewhere == [], "nothing may be fetched from another host"


def test_model_text_is_only_text(filled_server: str, page: Page) -> None:
    opened(page, f"{filled_server}/curate?view=Queue", "Curate")
    card = page.get_by_role("heading", name=re.compile("^A <b>bold"))
    expect(card).to_be_visible()
    assert card.inner_text().replace("\u2060", "").strip() == TRICKY
    expect(card.locator("b, img, a[href^=http], a[href^=mailto], code, em")).to_have_count(0)


def test_a_chosen_triplet_is_in_the_address_of_the_map(filled_server: str, page: Page) -> None:
    opened(page, f"{filled_server}/embedding_map?triplet=20260101-000000-000-generate-aaaa-01", "Embedding map")
    shown = page.get_by_text("Nothing ever waits for 1.")
    expect(shown).to_be_visible()
    page.get_by_role("button", name="Clear the choice").click()
    expect(shown).to_have_count(0)
    expect(page).not_to_have_url(re.compile("triplet="))


def test_from_premises_to_a_score_and_a_map(server: str, browser: Browser, page: Page, tmp_path: Path) -> None:
    opened(page, server, "Home")
    import_premises(page, tmp_path)
    generate(server, browser, page)
    curate(page)
    train(page, sts_folder(tmp_path))
    see_the_score(page)
    draw_the_map(page)


def import_premises(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("\n".join([*PREMISES, PREMISES[0], "", "x" * 5000]), encoding="utf-8")
    page.get_by_role("button", name="Import my premises").click()
    page.locator("input[type=file]").set_input_files(str(file))
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("8 kept")).to_be_visible()
    expect(dialog.get_by_text("1 duplicate dropped")).to_be_visible()
    dialog.get_by_role("button", name="Import 8 premises").click()
    expect(page.get_by_text("in 1 corpus")).to_be_visible()


def generate(server: str, browser: Browser, page: Page) -> None:
    second = browser.new_context().new_page()
    opened(second, server, "Home")
    go_to(page, "Generate")
    page.get_by_role("button", name="Generate 8 triplets").click()
    job = page.get_by_test_id("stSidebar").get_by_text("mine, smollm2-135m")
    expect(job).to_be_visible()
    expect(second.get_by_test_id("stSidebar").get_by_text("mine, smollm2-135m")).to_be_visible()
    page.reload()
    usable = page.get_by_role("link", name=re.compile(r"Curate \d+ triplet"))
    comes(page, usable)
    expect(job).to_have_count(0, timeout=JOB_MS)
    expect(page.get_by_text("Outcomes per side")).to_be_visible()
    expect(second.get_by_test_id("stSidebar").get_by_text("mine, smollm2-135m")).to_have_count(0)
    expect(second.get_by_test_id("stMetricValue").nth(1)).to_have_text("8")
    second.context.close()


def curate(page: Page) -> None:
    go_to(page, "Curate")
    page.get_by_role("button", name="Judge", exact=True).click()
    comes(page, page.get_by_text("Kept by the rule"))
    page.get_by_role("radio", name="keep all").or_(page.get_by_role("button", name="keep all")).click()
    page.get_by_text("Queue", exact=True).click()
    expect(page.get_by_text(re.compile(r"^0 of \d+ decided"))).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    settled(page)
    page.keyboard.press("a")
    expect(page.get_by_text(re.compile(r"^1 of \d+ decided"))).to_be_visible()
    settled(page)
    page.keyboard.press("z")
    expect(page.get_by_text(re.compile(r"^0 of \d+ decided"))).to_be_visible()
    page.get_by_text("Rule", exact=True).click()
    expect(page.get_by_text(re.compile(r"^100% of \d+ judged"))).to_be_visible()
    expect(page.get_by_role("heading", name="At the border")).to_be_visible()
    page.get_by_role("button", name="Freeze a snapshot").click()
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_text(re.compile("Snapshot .* holds"))).to_be_visible()


def sts_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sts"
    folder.mkdir()
    lines = ["subset\tscore\tsentence1\tsentence2", *("\t".join(("own", *map(str, pair))) for pair in PAIRS)]
    (folder / "STSB-test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def train(page: Page, folder: Path) -> None:
    go_to(page, "Train")
    page.get_by_label("Steps", exact=True).fill("12")
    page.get_by_role("textbox", name="STS folder (optional)").fill(str(folder))
    page.get_by_role("textbox", name="STS folder (optional)").press("Enter")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("radio", name="Runs")).to_be_checked()
    comes(page, page.get_by_text("Final loss"))
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(re.compile(r"^-?\d+\.\d\d$"))


def see_the_score(page: Page) -> None:
    go_to(page, "Evaluate")
    expect(page.get_by_text("Spearman x 100 per task")).to_be_visible()
    go_to(page, "Errors")
    expect(page.get_by_text("Rank error over gold score")).to_be_visible()


def draw_the_map(page: Page) -> None:
    go_to(page, "Embedding map")
    page.get_by_text("PCA", exact=True).click()
    page.get_by_role("button", name="Draw the map").click()
    comes(page, page.get_by_text(re.compile("trustworthiness")))
