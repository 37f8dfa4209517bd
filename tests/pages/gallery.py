"""Every page and view as a picture, in light and dark at three widths, and what is wrong with it.

    python -m tests.pages.gallery --out pictures [--workspace FOLDER ...] [--only train] [--widths 1440,900,420]
        [--themes light,dark]

Without --workspace four are made: an empty one, the embedded sample, one with something at every stage, and one with
100,000 triplets. Each picture is looked at by code: text that is cut off or lies on other text, sideways scrolling,
errors of the console, failed requests, requests to another host, and what axe-core finds serious. Findings are
printed and the exit status is their presence.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.pages.accessibility import grave_findings
from tests.pages.browsing import expect, launched, served
from tests.pages.filled import fill, fill_many
from workbench.actions import ACTIONS
from workbench.workspace import Workspace

CONTRASTS = ("Lens", "Preview", "Blind test")
"""Parts of the view Contrast."""
VIEWS = {
    "": ("", ()),
    "generate": (
        "generation",
        ("Premises", *CONTRASTS, "Prompts", "Free prompt", "Run", "All runs", "LLMs"),
    ),
    "curate": ("view", ("Rule", "Judges", "Queue", "List", "Hygiene", "Agreement", "Snapshots")),
    "train": ("training", ("New run", "Runs", "Compare", "Studies", "Logbook")),
    "evaluate": ("evaluation", ("Scores", "Leaderboard", "Two encoders", "Space", "Transfer", "Retrieval")),
    "embedding_map": ("", ()),
    "error_analysis": ("errors", ("Pairs and slices", "Hard negatives", "Two encoders", "Behavioural tests")),
}
"""Page -> the parameter of its views in the address, and their names."""
HEIGHTS = {1440: 900, 900: 900, 420: 860}

FAULTS = """
() => {
  const found = [], main = document.querySelector('[data-testid=stMain]');
  const box = e => e.getBoundingClientRect();
  const shown = e => { const r = box(e), s = getComputedStyle(e);
    return r.width > 1 && r.height > 1 && s.visibility !== 'hidden' && +s.opacity > 0.05; };
  const words = e => (e.textContent || '').trim().replace(/\\s+/g, ' ').slice(0, 60);
  if (main && main.scrollWidth > main.clientWidth + 1)
    found.push(`scrolls sideways: ${main.scrollWidth} of ${main.clientWidth} px`);
  for (const e of document.querySelectorAll('[data-testid=stMain] *, [data-testid=stSidebar] *')) {
    const s = getComputedStyle(e);
    if ((e.children.length === 0 || s.textOverflow === 'ellipsis') && words(e) && shown(e)
        && ['hidden', 'clip'].includes(s.overflowX) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 4)
      found.push(`cut: "${words(e)}"`);
  }
  for (const e of document.querySelectorAll('[data-testid=stMain] [data-testid=stButtonGroup] *'))
    if (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1)
      found.push(`choices scroll sideways: "${words(e)}"`);
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const frame = box(plot);
    const kinds = ['.gtitle', '.xtitle', '.ytitle', '.legendtext', '.annotation-text', '.xtick text', '.ytick text'];
    const texts = [...plot.querySelectorAll(kinds.join())]
      .filter(e => shown(e) && words(e));
    for (const e of texts) {
      const r = box(e);
      if (r.left < frame.left - 2 || r.right > frame.right + 2 || r.top < frame.top - 2
          || r.bottom > frame.bottom + 2)
        found.push(`chart text outside its chart: "${words(e)}"`);
    }
    for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
      if (texts[i].contains(texts[j]) || texts[j].contains(texts[i])) continue;
      const a = box(texts[i]), b = box(texts[j]);
      const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (w > 3 && h > 3) found.push(`chart texts overlap: "${words(texts[i])}" and "${words(texts[j])}"`);
    }
    const bar = plot.querySelector('.modebar');
    if (bar && shown(bar)) for (const e of plot.querySelectorAll('.gtitle, .legendtext')) {
      const a = box(bar), b = box(e);
      if (words(e) && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 3
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
        found.push(`the tool bar lies on "${words(e)}"`);
    }
  }
  return [...new Set(found)];
}
"""


@dataclass(frozen=True, slots=True)
class Shot:
    """One page or view."""

    page: str
    view: str
    query: str

    @property
    def name(self) -> str:
        return "-".join(part.lower().replace(" ", "-") for part in (self.page or "home", self.view) if part)


def shots(only: str = "") -> Iterator[Shot]:
    for page, (parameter, views) in VIEWS.items():
        if only and only != (page or "home"):
            continue
        for view in views or ("",):
            query = f"?{parameter}={quote(view)}" if view else ""
            yield Shot(page, view, f"?generation=Contrast&contrast={quote(view)}" if view in CONTRASTS else query)


def pictures(
    browser: Any, address: str, out: Path, label: str, *, widths: list[int], themes: list[str], only: str = ""
) -> Iterator[tuple[str, str]]:
    """Take every picture of one workspace; yield (name, fault)."""
    host = urlsplit(address).netloc
    for theme in themes:
        for width in widths:
            size = {"width": width, "height": HEIGHTS.get(width, 900)}
            context = browser.new_context(viewport=size, color_scheme=theme)
            page = context.new_page()
            events = watched(page, host)
            for shot in shots(only):
                events.clear()
                name = f"{label}-{shot.name}-{theme}-{width}"
                page.goto(f"{address}/{shot.page}{shot.query}")
                drawn(page)
                page.screenshot(path=out / f"{name}.png", full_page=False)
                whole = page.get_by_test_id("stMain").evaluate("e => e.scrollHeight")
                if whole > size["height"] + 20:
                    page.set_viewport_size({"width": width, "height": min(int(whole) + 20, 6000)})
                    page.wait_for_timeout(400)
                    page.screenshot(path=out / f"{name}-whole.png")
                if shot.view and not page.get_by_role("radio", name=shot.view, exact=True, checked=True).count():
                    events.append("this view is not offered here")
                for fault in [*page.evaluate(FAULTS), *events, *grave_findings(page)]:
                    yield name, fault.replace(address, "")
                page.set_viewport_size(size)
            context.close()


def watched(page: Any, host: str) -> list[str]:
    """Return a list that grows by what the browser complains about."""
    events: list[str] = []

    def asked(request: Any) -> None:
        if urlsplit(request.url).netloc not in ("", host):
            events.append(f"asked another host: {request.url}")

    page.on("console", lambda said: events.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("response", lambda got: events.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
    page.on("pageerror", lambda error: events.append(f"script error: {error}"))
    page.on("requestfailed", lambda failed: events.append(f"failed: {failed.url} ({failed.failure})"))
    page.on("request", asked)
    return events


def drawn(page: Any) -> None:
    """Wait until the page is drawn to its end, its charts included."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=120_000)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(700)


@contextmanager
def made(label: str) -> Iterator[Path]:
    """A workspace of one of the four kinds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / label
        with Workspace(root) as workspace:
            if label == "sample":
                ACTIONS["open_sample"](workspace)
            elif label == "filled":
                fill(workspace)
            elif label == "large":
                fill_many(workspace, 100_000)
        yield root


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workspace", type=Path, action="append", default=[])
    parser.add_argument("--only", default="", help="one page: home, generate, curate, ...")
    parser.add_argument("--kinds", default="empty,sample,filled,large")
    parser.add_argument("--widths", default="1440,900,420")
    parser.add_argument("--themes", default="light,dark")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    widths, themes = [int(width) for width in options.widths.split(",")], options.themes.split(",")
    asked = {"widths": widths, "themes": themes, "only": options.only}
    count = 0
    with launched() as browser:
        for root, label in [(path, path.name) for path in options.workspace]:
            with served(root) as address:
                count += printed(pictures(browser, address, options.out, label, **asked))
        for label in [] if options.workspace else options.kinds.split(","):
            with made(label) as root, served(root) as address:
                count += printed(pictures(browser, address, options.out, label, **asked))
    print(f"{count} findings")
    return int(count > 0)


def printed(findings: Iterator[tuple[str, str]]) -> int:
    count = 0
    for name, fault in findings:
        print(f"{name}: {fault}", flush=True)
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
