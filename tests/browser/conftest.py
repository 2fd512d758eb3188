"""A real server and a real browser: fixtures of the tests that look at pages.

The server is a process of its own. The browser is started for each test module and stopped after
it: Playwright's synchronous interface leaves an event loop behind while it runs, which tests of
other packages must not meet.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import Served, Visit, chromium, look, serve
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A station with three meters whose time stands still, and live twins."""
    yield from serve(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A station nobody has told about any meter."""
    yield from serve(tmp_path_factory.mktemp("empty"), "empty")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    executable = chromium()
    if executable is None:
        pytest.skip("no chromium: `apt-get install chromium`, or set MESSWERK_CHROMIUM")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser, sample: Served, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page of the sample server; parametrise indirectly with (theme, size, language)."""
    theme, size, language = getattr(request, "param", ("light", "desktop", "en"))
    yield from look(browser, sample, theme, size, language)
