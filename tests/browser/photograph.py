"""Take the pictures for README and documentation from a running system.

    messwerk up                                                    # in one terminal
    python tests/browser/photograph.py http://127.0.0.1:8080 docs/pictures

Light theme, desktop, English; every picture is what a visitor sees, nothing is staged. Needs
Chromium and at least one bill.
"""

from __future__ import annotations

import sys
from pathlib import Path

from browsing import SIZES, chromium
from playwright.sync_api import Page, sync_playwright

SETTLE_MS = 3_000
README_WAIT_MS = 45_000
"""The load line of the README's picture wants some seconds of life."""


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
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
