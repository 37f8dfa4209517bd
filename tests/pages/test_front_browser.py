"""What holds on every page, in a real browser: room, Back, and figures and decisions that do not mislead."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.pages.accessibility import grave_findings
from tests.pages.browsing import Browser, Page, expect, go_to, opened, press_until, served, settled, tab
from tests.pages.conftest import PAGES
from tests.pages.filled import TASKS, TRIPLETS, fill, finished_job, triplet_row
from tests.pages.gallery import FAULTS, drawn
from workbench.jobs.folder import JobFolder, JobRecord, Status
from workbench.workspace import Workspace

pytestmark = pytest.mark.browser

USABLE = TRIPLETS - 2
CELLS = [
    {"arm": "plain", "seed": 0, "state": "done", "score": 61.5, "train_s": 1.0, "triplets": 9},
    {"arm": "refined", "seed": 0, "state": "running"},
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a workspace with something at every stage, an own task and a cancelled study."""
    root = tmp_path_factory.mktemp("filled")
    with Workspace(root) as workspace:
        fill(workspace)
        own_task(workspace)
        written_last(workspace)
        cancelled_study(workspace)
    with served(root) as address:
        yield address


def own_task(workspace: Workspace) -> None:
    """A private task on which the untrained encoder is nearly perfect."""
    score = {"table": "scores", "encoder_id": "static-minilm", "task": "own pairs", "spearman": 0.99, "pairs": 6}
    job_id = "20260101-000500-000-evaluate-ffff"
    finished_job(workspace, job_id, "evaluate", [score | {"job_id": job_id}], total=1)
    workspace.wait(job_id, timeout_s=20)


def written_last(workspace: Workspace) -> None:
    """A generation run of one triplet that nobody has judged."""
    attempt_id = "20260102-000000-000-generate-bbbb"
    finished_job(workspace, attempt_id, "generate", [triplet_row(attempt_id, 3, "The last premise.")], total=1)
    workspace.wait(attempt_id, timeout_s=20)


def cancelled_study(workspace: Workspace) -> None:
    """A study whose job was cancelled in its second cell."""
    folder = workspace.root / "studies" / "mine"
    folder.mkdir(parents=True)
    file = folder / "mine.yaml"
    file.write_text("study: mine\nseeds: [0]\ntrain: {steps: 5}\narms:\n  - {name: plain, snapshot: first}\n")
    grid = {"study": "mine", "title": "Mine", "file": str(file), "arms": ["plain", "refined"], "seeds": [0]}
    (folder / "grid.json").write_text(json.dumps(grid | {"cells": CELLS}))
    moment = "2026-01-01T00:00:00.000+00:00"
    named = {"job_id": "20260101-000600-000-study-aaaa", "kind": "study", "title": "mine", "created_at": moment}
    job = JobFolder(workspace.root / "jobs" / named["job_id"])
    job.create(
        JobRecord.from_json(named | {"settings": {"study": "mine", "file": str(file)}}),
        Status("cancelled", 4, 10, queued_at=moment, started_at=moment, finished_at=moment),
    )


@pytest.mark.parametrize("name", list(PAGES))
def test_the_content_fills_the_screen_and_nothing_is_cut(filled: str, page: Page, name: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{filled}/{'' if name == 'home' else name}")
    drawn(page)
    content = page.get_by_test_id("stMain").get_by_test_id("stVerticalBlock").first
    assert content.evaluate("e => e.getBoundingClientRect().width") > 1150
    assert page.evaluate(FAULTS) == []
    page.set_viewport_size({"width": 420, "height": 860})
    page.reload()
    drawn(page)
    assert [fault for fault in page.evaluate(FAULTS) if fault.startswith("scrolls sideways")] == []


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_serious_in_light_and_in_dark(filled: str, page: Page, name: str) -> None:
    """Grey words on grey and names of controls that differ from their labels stood on every page."""
    page.emulate_media(color_scheme="light")
    page.goto(f"{filled}/{'' if name == 'home' else name}")
    drawn(page)
    light = background(page)
    assert grave_findings(page) == []
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).not_to_have_css("background-color", light)
    drawn(page)
    assert grave_findings(page) == []


def background(page: Page) -> str:
    return str(page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor"))


def test_a_key_lists_the_keys_and_the_visit_leads_through_the_pages(filled: str, page: Page) -> None:
    """The only keys to be seen were those printed on buttons, and nobody led a new user anywhere."""
    opened(page, f"{filled}/curate?view=List", "Curate")
    settled(page)
    search = page.get_by_placeholder("in any sentence")
    search.press("?")
    expect(search).to_have_value("?")
    search.fill("")
    page.get_by_role("heading", name="Curate", exact=True).click()
    listed = page.get_by_role("dialog", name="Keys")
    press_until(page, "?", listed.get_by_text("regenerate the hard negative"))
    listed.get_by_role("button", name="Take the guided visit").click()
    card = page.locator(".st-key-visit")
    for number, title in enumerate(("Home", "Generate", "Curate", "Curate", "Train", "Evaluate"), start=1):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        expect(card.get_by_text(f"{number} of 6")).to_be_visible()
        settled(page)
        if number in (3, 4):
            expect(page.get_by_role("radio", name="Rule" if number == 3 else "Queue")).to_be_checked()
        card.get_by_role("button", name="Done" if number == 6 else "Next").click()
    expect(card).to_have_count(0)
    page.reload()
    settled(page)
    expect(card).to_have_count(0)


def test_an_own_task_does_not_change_the_best_encoder(filled: str, page: Page) -> None:
    """Means over different tasks were compared: six easy pairs of one's own made the untrained encoder the best."""
    opened(page, filled, "Home")
    best = f"{100 * sum(TASKS.values()) / len(TASKS):.2f}"
    expect(page.get_by_test_id("stMetricValue").nth(4)).to_have_text(best)
    expect(page.get_by_text("Best encoder so far")).to_be_visible()
    expect(page.get_by_text("STS average x 100, 2 tasks")).to_be_visible()


def test_a_cancelled_study_says_so(filled: str, page: Page) -> None:
    """It had no card any more, and the cell that it was at went on saying "running"."""
    opened(page, f"{filled}/train?training=Studies&study=mine", "Train")
    expect(page.get_by_text(re.compile("cancelled$"))).to_be_visible()
    expect(page.get_by_text("1 of 2 cells done")).to_be_visible()
    drawn(page)
    chart = page.get_by_test_id("stPlotlyChart").first
    expect(chart.get_by_text("61.50")).to_be_visible()
    expect(chart.get_by_text("running")).to_have_count(0)


def test_a_stale_tab_does_not_overrule_a_decision(filled: str, browser: Browser, page: Page) -> None:
    """The first tab still showed a card that the second had rejected, and its Accept replaced the rejection."""
    address = f"{filled}/curate?view=Queue&annotator=twice"
    with tab(browser) as second:
        for one in (page, second):
            opened(one, address, "Curate")
            expect(one.get_by_text(f"0 of {USABLE} decided")).to_be_visible()
            settled(one)
        second.keyboard.press("x")
        expect(second.get_by_text(f"1 of {USABLE} decided")).to_be_visible()
        page.keyboard.press("a")
        expect(page.get_by_text("has been decided meanwhile: reject, by twice")).to_be_visible()
        expect(page.get_by_text(f"1 of {USABLE} decided")).to_be_visible()
        settled(second)
        second.keyboard.press("z")
        expect(second.get_by_text(f"0 of {USABLE} decided")).to_be_visible()


def test_back_goes_back(filled: str, page: Page) -> None:
    """Pages wrote their defaults into the address, each as a step of its own, and again after Back."""
    opened(page, filled, "Home")
    go_to(page, "Evaluate")
    settled(page)
    go_to(page, "Errors")
    settled(page)
    for title in ("Evaluate", "Home"):
        page.go_back()
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        settled(page)
    opened(page, f"{filled}/curate", "Curate")
    for view in ("List", "Snapshots"):
        settled(page)
        page.get_by_role("radio", name=view).click()
        expect(page).to_have_url(re.compile(f"view={view}"))
    for view in ("List", "Rule"):
        page.go_back()
        expect(page.get_by_role("radio", name=view)).to_be_checked()
        settled(page)
    page.reload()
    expect(page.get_by_role("radio", name="Rule")).to_be_checked()


def test_rule_and_filters_survive_a_reload(filled: str, page: Page) -> None:
    """Both were lost: a link to a filtered list opened the whole list, with the default rule."""
    opened(page, f"{filled}/curate", "Curate")
    settled(page)
    alpha = page.get_by_test_id("stSlider").first.get_by_role("slider")
    alpha.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("rule=0.2%2C4.5%2C-1"))
    settled(page)
    kept = page.get_by_test_id("stMetricValue").first.inner_text()
    page.reload()
    expect(alpha).to_have_value("0.2")
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(kept)
    page.get_by_role("radio", name="List").click()
    page.get_by_placeholder("in any sentence").fill("number 3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("filter="))
    expect(page.get_by_text("1 to 1 of 1", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_placeholder("in any sentence")).to_have_value("number 3")
    expect(page.get_by_text("1 to 1 of 1", exact=True)).to_be_visible()
    page.get_by_role("radio", name="Snapshots").click()
    go_to(page, "Errors")
    go_to(page, "Curate")
    expect(page).to_have_url(re.compile("filter=.*rule=|rule=.*filter="))


def test_the_loop_leads_to_its_rows(filled: str, page: Page) -> None:
    """Curate opened on the run written last, one unjudged triplet, and nothing led from a stage to the next."""
    opened(page, f"{filled}/evaluate", "Evaluate")
    loop = page.locator(".st-key-loop")
    for stage in ("Premises 12", f"Replies {TRIPLETS}", "Kept 8", "Masked 2.00%", "Score 75.00", "Errors 60"):
        expect(loop.get_by_role("link", name=stage)).to_be_visible()
    loop.get_by_role("link", name=f"Replies {TRIPLETS}").click()
    expect(page.get_by_role("heading", name="Curate", exact=True)).to_be_visible()
    expect(page.get_by_role("radio", name="List")).to_be_checked()
    expect(page.get_by_text(f"1 to {TRIPLETS} of {TRIPLETS}", exact=True)).to_be_visible()
    loop.get_by_role("link", name="Next: find its worst slice").click()
    expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("encoder=20260101-000200-000-train-cccc"))
    expect(page.get_by_text("Rank error over gold score")).to_be_visible()


def test_home_says_what_is_best_and_what_lies_on_the_disk(filled: str, page: Page) -> None:
    opened(page, filled, "Home")
    expect(page.get_by_role("heading", name="Space on disk")).to_be_visible()
    expect(page.get_by_text(re.compile("MB in this workspace"))).to_be_visible()
