"""What the browser tests share: the real server, and waits for what the page itself acknowledges."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import warm
from workbench.paths import PROJECT

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the packages of tests/requirements.txt")
Browser, Locator, Page, expect = sync_api.Browser, sync_api.Locator, sync_api.Page, sync_api.expect

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    *("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),  # WebGL without a GPU
]
START_S, STEP_MS, JOB_MS = 180, 30_000, 180_000
_OPENINGS = 5


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run the command that people run; answers with its address."""
    port = free_port()
    command = [sys.executable, "-m", "workbench", "serve", "--no-token"]
    command += ["--workspace", str(folder), "--port", str(port)]
    with running(command, port, folder=PROJECT, log=folder / "server.log") as address:
        yield address


@contextmanager
def running(command: list[str], port: int, *, folder: Path, log: Path) -> Iterator[str]:
    """Start a server, answer with its address once it is healthy, stop it."""
    with log.open("wb") as written:
        process = warm.start(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The server did not answer within {START_S} s: {log.read_text()}")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium; skips where there is none, fails where BROWSER=1 asks for it."""
    if not CHROMIUM.exists():
        message = f"needs Chromium at {CHROMIUM} (or at the path in CHROMIUM)"
        pytest.fail(message) if os.environ.get("BROWSER") == "1" else pytest.skip(message)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser) -> Iterator[Page]:
    """Open a page of its own session; an error of the page's scripts or of the app fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1300}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(STEP_MS)
    expect.set_options(timeout=STEP_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()


def opened(page: Page, address: str, title: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


def go_to(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebar").get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


def comes(page: Page, wanted: Locator) -> None:
    """Wait for what a job brings; a job that ends otherwise ends the wait with its message."""
    failed = page.get_by_test_id("stMain").get_by_text(re.compile("(failed|interrupted)$"))
    expect(wanted.or_(failed).first).to_be_visible(timeout=JOB_MS)
    if not wanted.first.is_visible():
        pytest.fail(page.get_by_test_id("stAlert").first.inner_text())


def settled(page: Page) -> None:
    """Wait until the page is drawn to its end: a key pressed before its button is there presses nothing."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=START_S * 1000)


def press_until(page: Page, key: str, shown: Locator) -> None:
    """Press a key until what it opens is there: on a busy machine a page can say that it is drawn before it is."""
    for _ in range(_OPENINGS):
        page.keyboard.press(key)
        with suppress(AssertionError):
            expect(shown).to_be_visible(timeout=4000)
            return
    raise AssertionError(f"{key} opened nothing")


def choose(page: Page, label: str, option: str) -> None:
    """Choose from a list; a rerun that begins just then replaces the opened list, so it is opened again."""
    box = page.get_by_test_id("stMain").get_by_role("combobox", name=re.compile(label)).first
    wanted = page.get_by_role("option", name=re.compile(re.escape(option))).first
    for _ in range(_OPENINGS):
        settled(page)
        box.click()
        with suppress(sync_api.TimeoutError):
            wanted.click(timeout=4000)
            settled(page)
            return
        page.keyboard.press("Escape")
    raise AssertionError(f"{option} never came up under {label}")
