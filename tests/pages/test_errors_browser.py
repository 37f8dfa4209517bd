"""The loop in a real browser: two encoders, the worst slice, triplets like its pairs, training, the slice again."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pages import test_browser as story
from tests.pages.browsing import JOB_MS, STEP_MS, Page, choose, comes, expect, go_to, opened, served, settled

pytestmark = pytest.mark.browser
SLICE = "negation on one side"
CHOICES = 4
PATIENCE_MS = 4 * STEP_MS

NAMES = ("The boy", "My aunt", "The pilot", "A farmer", "The singer", "Our dog", "The guide", "A nurse", "The twin")
ACTS = ("opened the door", "came to the party", "found the ticket", "heard the alarm")


def negated(act: str) -> str:
    verb, rest = act.split(" ", 1)
    base = {"opened": "open", "came": "come", "found": "find", "heard": "hear"}[verb]
    return f"did not {base} {rest}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("loop")) as address:
        yield address


@pytest.fixture
def sts(tmp_path: Path) -> Path:
    """A task on which every pair with a negation on one side is rated far too close by a mean of word vectors."""
    folder = tmp_path / "sts"
    folder.mkdir()
    rows = []
    for place, name in enumerate(NAMES):
        for number, act in enumerate(ACTS):
            other = NAMES[(place + 3) % len(NAMES)]
            rows.append((5.0 - number / 10, f"{name} {act}.", f"{name} {act} at last."))
            rows.append((2.0 + number / 10, f"{name} {act}.", f"{other} {ACTS[(number + 1) % 4]}."))
        rows.append((0.1 * place, f"{name} {ACTS[place % 4]}.", f"{name} {negated(ACTS[place % 4])}."))
        rows.append((0.1 * place, f"{name} {ACTS[(place + 1) % 4]}.", f"{name} {negated(ACTS[(place + 1) % 4])}."))
    lines = ["subset\tscore\tsentence1\tsentence2", *("\t".join(("own", *map(str, row))) for row in rows)]
    (folder / "Loop.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_from_the_worst_slice_to_its_change(server: str, page: Page, sts: Path) -> None:
    page.set_default_timeout(PATIENCE_MS)  # models work beside the browser, which draws without a GPU
    expect.set_options(timeout=PATIENCE_MS)
    opened(page, f"{server}/evaluate", "Evaluate")
    for encoder in ("static-minilm", "all-MiniLM-L6-v2"):
        evaluate(page, encoder, sts)
    open_the_worst_slice(page)
    explain_a_pair(page)
    send_pairs_to_generation(page)
    accept(page)
    story.train(page, sts)
    see_the_change(page)


def evaluate(page: Page, encoder: str, sts: Path) -> None:
    choose(page, "Encoder", encoder)
    folder = page.get_by_role("textbox", name="STS folder")
    if folder.input_value() != str(sts):
        folder.fill(str(sts))
        folder.press("Enter")
    expect(page.get_by_text("1 task in this folder")).to_be_visible()
    page.get_by_role("button", name="Evaluate", exact=True).click()
    strip = page.get_by_test_id("stSidebar").get_by_text(f"{encoder} on sts")
    expect(strip).to_be_visible()
    expect(strip).to_have_count(0, timeout=JOB_MS)
    comes(page, page.get_by_text("Spearman x 100 per task"))


def open_the_worst_slice(page: Page) -> None:
    go_to(page, "Errors")
    chosen(page, "Encoder", "static-minilm")
    expect(page.get_by_text("Worse or better than the rest")).to_be_visible()
    chosen(page, "Slice, most costly first", SLICE)
    expect(page.get_by_text(re.compile("If it were like the rest"))).to_be_visible()


def chosen(page: Page, label: str, option: str) -> None:
    """Choose until the list shows it: one that was opened before the last choice was drawn has other options."""
    box = page.get_by_test_id("stMain").get_by_role("combobox", name=re.compile(label)).first
    for _ in range(CHOICES):
        choose(page, label, option)
        settled(page)
        with suppress(AssertionError):
            expect(box).to_have_value(re.compile(f"^{re.escape(option)}"), timeout=STEP_MS)
            return
    raise AssertionError(f"{label} never became {option}: {page.url}")


def explain_a_pair(page: Page) -> None:
    page.get_by_role("button", name="Explain this pair").click()
    expect(page.get_by_text(re.compile("Tokens against tokens"))).to_be_visible(timeout=JOB_MS)
    expect(page.get_by_text("Nearest to the first sentence in this task")).to_be_visible()


def send_pairs_to_generation(page: Page) -> None:
    page.get_by_role("button", name="Generate triplets like these").click()
    expect(page.get_by_label("Worst pairs to start from")).to_have_value("10")
    page.get_by_role("button", name="Start the generation").click()
    started = page.get_by_text(re.compile("1 generation run started from this slice"))
    expect(started).to_be_visible()
    running = page.get_by_test_id("stSidebar").get_by_text(re.compile("^like Errors"))
    expect(running).to_have_count(0, timeout=JOB_MS)


def accept(page: Page) -> None:
    """Every generated triplet comes into the snapshot; two of them are accepted by hand."""
    page.get_by_role("link", name="Curate its triplets").click()
    expect(page.get_by_role("heading", name="Curate", exact=True)).to_be_visible()
    page.get_by_role("button", name="Judge", exact=True).click()
    comes(page, page.get_by_text("Kept by the rule"))
    page.get_by_role("radio", name="keep all").or_(page.get_by_role("button", name="keep all")).click()
    expect(page.get_by_text(re.compile(r"^100% of \d+ judged"))).to_be_visible()
    settled(page)
    page.get_by_text("Queue", exact=True).click()
    expect(page.get_by_text(re.compile(r"^0 of \d+ decided"))).to_be_visible()
    for number in (1, 2):
        page.get_by_role("button", name=re.compile("^Accept")).first.click()
        expect(page.get_by_text(re.compile(rf"^{number} of \d+ decided"))).to_be_visible()
    page.get_by_text("Rule", exact=True).click()
    expect(page.get_by_text(re.compile(r"^100% of \d+ judged"))).to_be_visible()
    expect(page.get_by_role("heading", name="At the border")).to_be_visible()
    page.get_by_role("button", name="Freeze a snapshot").click()
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_text(re.compile("Snapshot .* holds"))).to_be_visible()


def see_the_change(page: Page) -> None:
    go_to(page, "Errors")
    page.get_by_text("Two encoders", exact=True).click()
    chosen(page, "Encoder", "static-minilm on")
    chosen(page, "Compared with", "static-minilm")
    chosen(page, "Slice", SLICE)
    metric = page.get_by_test_id("stMetric").filter(has_text=SLICE)
    expect(metric.get_by_test_id("stMetricValue")).to_have_text(re.compile(r"^[+-]\d+\.\d\d$"))
    expect(page.get_by_text("Score per slice")).to_be_visible()
