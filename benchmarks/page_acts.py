"""How soon the pages answer to what people do most, in Chromium, on a workspace with many triplets.

Run: python -m benchmarks.page_acts [--triplets 100000] [--repeats 5]. Each act is one press of a key or a button,
timed in the page from the press to the first change of what it shows, and to the last one after which the script has
ended and nothing moves for 0.3 s. Goals in the median over the acts: 0.1 s and 0.7 s.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

FIRST_GOAL_S, SETTLED_GOAL_S = 0.1, 0.7
WATCH: Final = """
() => {
  const watch = window.acts = { armed: false, pressed: null, first: null, last: null };
  const press = () => { if (watch.armed) Object.assign(watch, { armed: false, pressed: performance.now() }); };
  for (const kind of ['pointerdown', 'keydown']) addEventListener(kind, press, true);
  new MutationObserver((changes) => {
    if (watch.pressed === null || !changes.some((one) => one.attributeName !== 'data-test-script-state')) return;
    watch.last = performance.now();
    watch.first ??= watch.last;
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}
"""
QUIET: Final = """
() => { const app = document.querySelector('[data-testid=stApp]'), watch = window.acts;
  return watch.first !== null && app.dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]') && performance.now() - watch.last > 300; }
"""


@dataclass(frozen=True, slots=True)
class Act:
    """An act on a page: what is pressed, in turns where a repeated press has to be another one."""

    name: str
    address: str
    turns: tuple[Callable[[Any], None], ...]


def _radio(name: str) -> Callable[[Any], None]:
    named = re.compile(rf"^{re.escape(name)}( \(.*\))?$")  # some have a count behind their name
    return lambda page: page.get_by_role("radio", name=named).click()


def _button(name: str) -> Callable[[Any], None]:
    return lambda page: page.get_by_role("button", name=name, exact=True).click()


def _link(name: str) -> Callable[[Any], None]:
    return lambda page: page.get_by_test_id("stSidebar").get_by_role("link", name=name).click()


def _key(name: str) -> Callable[[Any], None]:
    return lambda page: page.keyboard.press(name)


def _slide(key_name: str) -> Callable[[Any], None]:
    def press(page: Any) -> None:
        slider = page.get_by_test_id("stMain").get_by_role("slider").first
        slider.focus()
        slider.press(key_name)

    return press


def _typed(placeholder: str, text: str) -> Callable[[Any], None]:
    def enter(page: Any) -> None:
        page.get_by_placeholder(placeholder).fill(text)
        page.get_by_placeholder(placeholder).press("Enter")

    return enter


ACTS: Final = (
    Act("sidebar: Home to Curate and back", "", (_link("Curate"), _link("Home"))),
    Act("sidebar: Evaluate to Errors and back", "evaluate", (_link("Errors"), _link("Evaluate"))),
    Act("Curate: Rule to List and back", "curate?view=Rule", (_radio("List"), _radio("Rule"))),
    Act("Curate: Queue to Hygiene and back", "curate?view=Queue", (_radio("Hygiene"), _radio("Queue"))),
    Act("queue: accept", "curate?view=Queue", (_key("a"),)),
    Act("queue: reject", "curate?view=Queue", (_key("x"),)),
    Act("queue: skip", "curate?view=Queue", (_key("n"),)),
    Act("queue: undo and redo", "curate?view=Queue", (_key("z"), _key("y"))),
    Act("queue: edit and close", "curate?view=Queue", (_key("e"), _key("Escape"))),
    Act("list: next page and back", "curate?view=List", (_button("Next"), _button("Previous"))),
    Act(
        "list: filter by text",
        "curate?view=List",
        (_typed("in any sentence", "number 77"), _typed("in any sentence", "")),
    ),
    Act("rule: move alpha", "curate?view=Rule", (_slide("ArrowRight"),)),
    Act("Generate: Run to Contrast and back", "generate?generation=Run", (_radio("Contrast"), _radio("Run"))),
    Act("Train: New run to Runs and back", "train?training=New%20run", (_radio("Runs"), _radio("New run"))),
    Act("run: Settings and curves", "train?training=Runs", (_radio("Settings"), _radio("Curves"))),
    Act("Evaluate: Scores to Two encoders", "evaluate", (_radio("Two encoders"), _radio("Scores"))),
    Act(
        "Errors: pairs to behavioural tests",
        "error_analysis",
        (_radio("Behavioural tests"), _radio("Pairs and slices")),
    ),
    Act("map: rows of the filter and of all", "embedding_map", (_radio("Filtered"), _radio("All"))),
    Act("map: open the filter and close it", "embedding_map", (_button("Filter"),)),
    Act("keys: list and close", "curate?view=List", (_key("?"), _key("Escape"))),
)


def main() -> int:
    """Measure every act; the exit status is 1 when a median misses its goal."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--triplets", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=5)
    chosen = options.parse_args()
    from benchmarks.pages import fill
    from tests.pages.browsing import launched, served

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULTICSR_WORKSPACE"] = folder
        fill(chosen.triplets)
        with served(Path(folder)) as address, launched() as browser:
            rows = [measured(browser, address, act, chosen.repeats) for act in ACTS]
    load = os.getloadavg()[0]
    print(f"\n{chosen.triplets:,} triplets, load {load:.1f}   first change s    settled s")
    for name, first, settled in rows:
        print(f"{name:<42}{first:>11.3f}{settled:>13.3f}")
    medians = [statistics.median(times) for times in ([row[1] for row in rows], [row[2] for row in rows])]
    print(f"{'median':<42}{medians[0]:>11.3f}{medians[1]:>13.3f}")
    return int(medians[0] > FIRST_GOAL_S or medians[1] > SETTLED_GOAL_S)


def measured(browser: Any, address: str, act: Act, repeats: int) -> tuple[str, float, float]:
    """Return the act with the median of its times; its first turns only warm up."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(f"{address}/{act.address}")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning] h1").first.wait_for(timeout=120_000)
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    times = []
    for number in range(repeats + len(act.turns)):
        page.evaluate("() => Object.assign(window.acts, { armed: true, pressed: null, first: null, last: null })")
        act.turns[number % len(act.turns)](page)
        page.wait_for_function(QUIET, timeout=60_000)
        found = page.evaluate("() => window.acts")
        times.append(((found["first"] - found["pressed"]) / 1000, (found["last"] - found["pressed"]) / 1000))
    context.close()
    first, settled = (statistics.median(column) for column in zip(*times[len(act.turns) :], strict=True))
    print(f"  {act.name}: {first:.3f} {settled:.3f}", flush=True)
    return act.name, first, settled


if __name__ == "__main__":
    sys.exit(main())
