"""How fast pages open and rerun on a workspace with many triplets.

Run: python -m benchmarks.pages [--triplets 10000] [--browser]. Opening is measured warm: the modules of the page
are loaded, the session is new. A rerun is what a widget costs. With --browser also the time until Chromium has drawn
a page opened by its address on a running server. The map holds up to 5,000 triplets.
Goals: 2 s to open, 0.2 s to rerun.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

PAGES = ("home", "generate", "curate", "train", "evaluate", "embedding_map", "error_analysis")
ADDRESSES = ("", *PAGES[1:], "curate?view=Queue", "curate?view=List")
OPEN_GOAL_S, RERUN_GOAL_S = 2.0, 0.2
REPEATS = 5


def main() -> int:
    """Measure every page; the exit status is 1 when one misses its goal."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--triplets", type=int, default=10_000)
    options.add_argument("--browser", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULTICSR_WORKSPACE"] = folder
        fill(chosen.triplets)
        rows = [measure(page) for page in PAGES]
        print(f"{chosen.triplets:,} triplets    open s    rerun s")
        for page, opened, rerun in rows:
            print(f"{page:<18}{opened:>9.2f}{rerun:>11.3f}")
        late = any(opened > OPEN_GOAL_S or rerun > RERUN_GOAL_S for _, opened, rerun in rows)
        if chosen.browser:
            late |= in_browser(folder)
    return int(late)


def fill(triplets: int) -> None:
    """Fill the workspace as a long generation, a judge, a snapshot, a run, scores and a map would."""
    from tests.pages.filled import fill_many
    from workbench.workspace import close_current_workspace, current_workspace

    fill_many(current_workspace(), triplets)
    close_current_workspace()


def measure(page: str) -> tuple[str, float, float]:
    """Return the page, the median time of a first run of a new session, and the median time of a rerun."""
    from streamlit.testing.v1 import AppTest

    opened, rerun = [], []
    for attempt in range(REPEATS + 1):
        app = AppTest.from_file(str(PROJECT / "pages" / f"{page}.py"), default_timeout=60)
        first = timed(app.run)
        again = timed(app.run)
        if app.exception:
            raise SystemExit(f"{page} fails: {app.exception[0].message}")
        if attempt:  # the first attempt loads modules
            opened.append(first)
            rerun.append(again)
    return page, statistics.median(opened), statistics.median(rerun)


def timed(run: object) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()  # type: ignore[operator]
    return time.perf_counter() - start


def in_browser(folder: str) -> bool:
    """Print the time from typing an address to the drawn page; return whether one was late."""
    from playwright.sync_api import sync_playwright

    from workbench.workspace import close_current_workspace

    close_current_workspace()  # the server is to own it
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "workbench", "serve", "--workspace", folder, "--port", str(port)]
    server = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/_stcore/health")
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=flags
            )
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            times = {page: [visit(context, f"{address}/{page}") for _ in range(4)][1:] for page in ADDRESSES}
            browser.close()
    finally:
        server.terminate()
        server.wait()
    print("\naddress               drawn in the browser s")
    for page, seconds in times.items():
        print(f"/{page:<20}{statistics.median(seconds):>10.2f}")
    return any(statistics.median(seconds) > OPEN_GOAL_S for seconds in times.values())


def visit(context: object, address: str) -> float:
    """Open one address in a new tab and wait until its script has ended."""
    page = context.new_page()  # type: ignore[attr-defined]
    start = time.perf_counter()
    page.goto(address)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning] h1").first.wait_for(timeout=60_000)
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def wait_for(address: str) -> None:
    """Wait until the server answers."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("The server did not start.")


if __name__ == "__main__":
    sys.exit(main())
