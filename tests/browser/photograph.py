"""Take the pictures for README and documentation from running programs.

    messwerk up                                                                       # in one terminal
    python tests/browser/photograph.py http://127.0.0.1:8080 docs/images

    messwerk e320 run --volatile --panel 8081 --extended --load household --load pv:8
    python tests/browser/photograph.py e320 http://127.0.0.1:8081 docs/images

Light theme, desktop, English; every picture is what a visitor sees, nothing is staged. Needs
Chromium; the first also at least one bill.
"""

from __future__ import annotations

import sys
from pathlib import Path

from browsing import SIZES, chromium
from playwright.sync_api import Page, sync_playwright

SETTLE_MS = 3_000
README_WAIT_MS = 45_000
"""The load line of the README's picture wants some seconds of life."""
PIN = "1234"
"""The one `messwerk e320 run` gives a meter that is told no other."""


def main(url: str, folder: Path) -> None:
    """Photograph every kind of page once."""
    executable = chromium()
    if executable is None:
        raise SystemExit("no chromium: `apt-get install chromium`, or set MESSWERK_CHROMIUM")
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZES["desktop"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme="light", locale="en-GB",
            timezone_id="Europe/Berlin",
        )  # fmt: skip
        take(page, url, folder / "overview.png", wait_ms=README_WAIT_MS)
        page.goto(f"{url}/meters")
        take(page, first_link(page, "/meters/05"), folder / "meter.png")
        page.goto(f"{url}/bills")
        take(page, first_link(page, "/bills/"), folder / "bill.png")
        take(page, f"{url}/panels/e320/0", folder / "e320.png")
        take(page, f"{url}/panels/e750/0", folder / "e750.png")
        browser.close()


def touch(url: str, folder: Path) -> None:
    """Photograph a twin of its own while it is touched: torch, PIN, power, behind the cover, telegram."""
    width, height = SIZES["desktop"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light", locale="en-GB")
        page.goto(url)
        short = page.get_by_role("button", name="Short flash")
        page.wait_for_function(
            "() => /kWh/.test(document.querySelector('.e320-glass').getAttribute('aria-label'))", timeout=40_000
        )
        for _ in range(2):
            short.click()
            page.wait_for_timeout(1_000)
        page.locator(".e320-port").hover()
        page.mouse.down()
        page.wait_for_timeout(1_300)
        part(page, ".e320-case", folder / "e320-torch.png")
        page.mouse.up()
        for flashes in (0, *(int(digit) for digit in PIN[1:])):  # the torch has made the first digit a 1
            for _ in range(flashes):
                short.click()
                page.wait_for_timeout(800)
            page.wait_for_timeout(3_600)
        page.wait_for_timeout(1_000)
        part(page, ".e320-case", folder / "e320-panel.png")
        page.get_by_text("Behind the cover").click()
        page.get_by_role("button", name="motor").click()
        page.wait_for_timeout(1_500)
        part(page, "details[open]", folder / "e320-cover.png")
        page.get_by_text("Behind the cover").click()
        page.get_by_text("The telegram of this second").click()
        page.wait_for_timeout(1_500)
        part(page, "details[open]", folder / "e320-telegram.png")
        browser.close()


def part(page: Page, selector: str, file: Path) -> None:
    """Take one part of the page; the bar that follows the window stays out of it."""
    page.add_style_tag(content=".topbar { position: static !important; }")
    page.locator(selector).first.screenshot(path=file)
    print(file)


def first_link(page: Page, start: str) -> str:
    """Where the first link of the page that begins with `start` leads."""
    link = page.locator(f'main a[href^="{start}"]').first
    return str(link.evaluate("link => link.href"))


def take(page: Page, url: str, file: Path, *, wait_ms: int = SETTLE_MS) -> None:
    """Open, wait until it lives, take the whole page."""
    page.goto(url)
    page.wait_for_selector("main.page")
    page.wait_for_timeout(wait_ms)
    page.screenshot(path=file, full_page=True)
    print(file)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["e320", url, folder]:
            touch(url.rstrip("/"), Path(folder))
        case [url, folder]:
            main(url.rstrip("/"), Path(folder))
        case _:
            raise SystemExit(__doc__)
