"""What tests need to look at pages: a served sample station, a window that notes every problem."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

HERE = Path(__file__).parent
SCREENSHOTS = HERE.parents[1] / "artifacts" / "screenshots"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
START_WITHIN_S = 30.0


def chromium() -> str | None:
    """The browser to use: `MESSWERK_CHROMIUM`, or the system's."""
    named = os.environ.get("MESSWERK_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass(frozen=True)
class Served:
    """A running sample server."""

    url: str


@dataclass
class Visit:
    """One open page, and everything that went wrong on it."""

    page: Page
    base: str
    name: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path and wait until it is alive."""
        self.page.goto(self.base + path)
        self.page.wait_for_selector("main.page")
        return self.page

    def picture(self, name: str) -> None:
        """Keep a screenshot for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.name}.png", full_page=True)

    def text(self) -> str:
        """What a person reads on the page, no-break spaces made plain."""
        return re.sub(r"[\u00a0\u202f]", " ", self.page.inner_text("main.page"))

    def width_overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def serve(folder: Path, *words: str) -> Iterator[Served]:
    """Run the sample server until the test run is over."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.log"
    with log.open("w") as output:
        command = [sys.executable, str(HERE / "sample_server.py"), str(port), str(folder / "state"), *words]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_it_answers(url, process, log)
            yield Served(url)
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert "Traceback" not in log.read_text(), log.read_text()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            with urlopen(f"{url}/bills", timeout=5):  # noqa: S310 (our own server)
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the sample server did not start:\n{log.read_text()}")
            time.sleep(0.2)


def look(browser: Browser, served: Served, theme: str, size: str, language: str) -> Iterator[Visit]:
    """Open a window; afterwards nothing may have gone wrong in it and nothing come from elsewhere."""
    width, height = SIZES[size]
    context: BrowserContext = browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": height}, timezone_id="Europe/Berlin",  # type: ignore[arg-type]
        locale={"en": "en-GB", "de": "de-DE"}[language], reduced_motion="no-preference",
    )  # fmt: skip
    page = context.new_page()
    visit = Visit(page, served.url, f"{theme}-{size}-{language}")

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.problems.append(f"console {message.type}: {message.text}")

    page.on("console", console)
    page.on("pageerror", lambda error: visit.problems.append(f"exception: {error}"))
    page.on("request", lambda asked: _check_origin(asked.url, served.url, visit))
    page.on("response", lambda answer: answer.status >= 400 and visit.problems.append(f"{answer.status} {answer.url}"))
    yield visit
    context.close()
    assert not visit.problems, visit.problems


def _check_origin(asked: str, base: str, visit: Visit) -> None:
    if not asked.startswith((base, base.replace("http", "ws"), "data:", "blob:")):
        visit.problems.append(f"outside request: {asked}")
