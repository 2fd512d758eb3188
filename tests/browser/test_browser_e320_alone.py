"""`messwerk e320 run --panel`: meters in the browser without a station, where time can be steered."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from browsing import Served, look
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Served]:
    """Twins with a panel, at a standstill, until the block ends; they stop in order."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "messwerk", "e320", "run", "--data", str(folder), "--volatile", "--speed", "0"]
    twins = subprocess.Popen([*command, "--panel", str(port), *words], stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                with urlopen(f"{url}/", timeout=5):  # noqa: S310 (our own server)
                    break
            except OSError:
                assert twins.poll() is None, "the twins ended"
                assert time.monotonic() < deadline, "the panel does not answer"
                time.sleep(0.2)
        yield Served(url)
    finally:
        twins.send_signal(signal.SIGINT)
        assert twins.stderr is not None
        said = twins.communicate(timeout=15)[1]
        assert "Traceback" not in said, said


def test_time_is_steered_from_the_page(browser: Browser, tmp_path: Path) -> None:
    """Stepped out of the start-up sequence, hurried, stopped; the switches of language work without a station."""
    with running(tmp_path, "--load", "constant:1000,0,0", "--no-pin-protection", "--extended") as served:
        for visit in look(browser, served, "light", "desktop", "en"):
            page = visit.open("/")
            assert page.locator("nav a").count() == 0, "there is no station to go to"
            glass = page.locator(".e320-glass")
            expect(glass).to_have_attribute("aria-label", "the display is dark")
            page.get_by_text("Behind the cover").click()
            page.get_by_role("button", name="1 min").click()
            expect(glass).to_have_attribute("aria-label", re.compile("P 1000 W"))
            expect(glass).to_have_attribute("aria-label", re.compile("000000 kWh"))
            page.get_by_role("button", name="600×").click()
            expect(glass).to_have_attribute("aria-label", re.compile(r"1\.8\.0 00000[1-9]"), timeout=15_000)
            page.get_by_role("button", name="pause").click()
            page.wait_for_timeout(400)
            still = glass.get_attribute("aria-label")
            page.wait_for_timeout(700)
            assert glass.get_attribute("aria-label") == still
            page.get_by_role("link", name="DE", exact=True).click()
            page.get_by_text("Hinter dem Deckel").click()
            expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")


def test_several_meters_have_a_list(browser: Browser, tmp_path: Path) -> None:
    """Each meter has its page, found by its number."""
    with running(tmp_path, "--count", "3") as served:
        for visit in look(browser, served, "dark", "phone", "de"):
            page = visit.open("/")
            assert page.locator("dl dd").count() == 3
            page.locator("dl").get_by_role("link", name="2").click()
            page.wait_for_url("**/panels/e320/2")
            expect(page.locator("p.lead")).to_contain_text("1 LGZ 00 6353 9423")
            assert visit.width_overflow() <= 0
