"""The panels in a real browser, with real twins behind them."""

from __future__ import annotations

import re

import pytest
from browsing import Visit
from playwright.sync_api import Page, expect

from messwerk import sml

pytestmark = pytest.mark.browser

EVERY_LOOK = [("light", "desktop", "en"), ("dark", "phone", "de")]
LIT = "e => +getComputedStyle(e).opacity > 0.5"
DIGITS = {
    "abcdef": "0", "bc": "1", "abdeg": "2", "abcdg": "3", "bcfg": "4", "acdfg": "5", "acdefg": "6", "abc": "7",
    "abcdefg": "8", "abcdfg": "9", "": " ", "abefg": "P", "g": "-",
}  # fmt: skip


def lit_segments(page: Page) -> set[str]:
    """Names of the segments that are dark on the glass, as the browser paints them."""
    names: list[str] = page.eval_on_selector_all(
        ".e320-glass [data-segment]", f"all => all.filter({LIT}).map(e => e.dataset.segment)"
    )
    return set(names)


def read(lit: set[str], field: str, cells: int) -> str:
    """The digits of a field."""
    letters = [
        "".join(sorted(name[-1] for name in lit if re.fullmatch(rf"{field}{at}[a-g]", name))) for at in range(cells)
    ]
    return "".join(DIGITS.get(pattern, "?") for pattern in letters)


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_the_display_shows_what_the_meter_measures(visit: Visit) -> None:
    """Painted segments, not markup: power on the lower line, code and register on the upper one."""
    page = visit.open("/panels/e320/0")
    page.wait_for_timeout(1_200)
    lit = lit_segments(page)
    assert read(lit, "lv", 5) == " 1310"
    assert {"minus", "l-W", "L1", "L2", "L3", "export", "arrow-left", "u-kWh"} <= lit
    assert "import" not in lit
    assert read(lit, "lc", 4).strip() == "P"
    assert read(lit, "uc", 5).strip() in ("180", "280")
    assert re.fullmatch(r"0{6}|0{5}\d", read(lit, "uv", 8).strip())
    assert "-1310 W" in (page.get_attribute(".e320-glass", "aria-label") or "")
    assert visit.width_overflow() <= 0
    visit.picture("e320")


def test_only_class_names_change_while_the_meter_runs(visit: Visit) -> None:
    """The drawing is sent once: no segment is ever added, removed or redrawn."""
    page = visit.open("/panels/e320/0")
    page.wait_for_timeout(1_000)
    page.evaluate(
        """() => { window.redrawn = 0; window.reclassed = 0;
        const glass = document.querySelector('.e320-glass');
        new MutationObserver(all => window.redrawn += all.length)
          .observe(glass, {childList: true, subtree: true, characterData: true});
        new MutationObserver(all => window.reclassed += all.length)
          .observe(glass, {attributes: true, attributeFilter: ['class']}); }"""
    )
    page.wait_for_timeout(3_500)
    assert page.evaluate("window.redrawn") == 0
    assert 2 <= page.evaluate("window.reclassed") <= 6


def test_the_led_and_the_optical_port_live(visit: Visit) -> None:
    """With 1310 W and 10 000 imp/kWh the LED flashes three or four times a second; each telegram flickers."""
    page = visit.open("/panels/e320/0")
    page.wait_for_timeout(1_500)
    pulses = set()
    for _ in range(4):
        pulses.add(int(page.locator(".e320-led").evaluate("e => getComputedStyle(e).animationIterationCount")))
        page.wait_for_timeout(700)
    assert pulses <= {3, 4}
    assert page.locator(".e320-port.beat-even, .e320-port.beat-odd").count() == 1


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_the_drawer_shows_the_telegram_beside_its_meaning(visit: Visit) -> None:
    """The hex on the page is a whole, valid telegram, and the table beside it says what it says."""
    page = visit.open("/panels/e320/0")
    page.get_by_text(re.compile("The telegram of this|Das Telegramm dieser")).click()
    page.wait_for_selector("code.dump")
    dump = page.locator("code.dump").inner_text()
    telegram = bytes.fromhex("".join(line.split("  ", 1)[1] for line in dump.splitlines()))
    decoder = sml.FrameDecoder()
    (frame,) = decoder.receive(telegram)
    assert isinstance(frame, sml.Frame)
    (reading,) = sml.readings(sml.decode(frame.payload))
    assert str(reading.get("16.7.0").text) == "-1310"  # type: ignore[union-attr]
    assert f"{len(telegram)} " in visit.text()
    assert "1-0:16.7.0*255" in visit.text()
    assert page.locator("code.dump b").count() > 4, "bytes that changed since the last second are marked"
    assert visit.width_overflow() <= 0
    visit.picture("e320-telegram")


def test_the_faceplate_opens_with_its_data_matrix(visit: Visit) -> None:
    """The printed plate is a drawing of its own, folded away until somebody wants it."""
    page = visit.open("/panels/e320/0")
    assert not page.locator(".faceplate svg").is_visible()
    page.get_by_text("Faceplate with Data Matrix").click()
    expect(page.locator(".faceplate svg")).to_be_visible()
    visit.picture("e320-faceplate")


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_the_rack_shows_this_seconds_tuple_with_its_verdict(visit: Visit) -> None:
    """Six registers in two groups, two signatures, two verdicts computed on the page's side."""
    page = visit.open("/panels/e750/0")
    page.wait_for_timeout(1_200)
    german = visit.name.endswith("de")
    expect(page.locator(".group")).to_have_count(2)
    expect(page.locator(".group .mark-measured_verified")).to_have_count(2)
    assert ("Signatur gültig" if german else "signature valid") in visit.text()
    for register in ("+A", "R1", "R4", "−A", "R2", "R3"):
        assert register in visit.text()
    assert page.locator(".dot.green").count() >= 4
    assert visit.width_overflow() <= 0
    visit.picture("e750")


def test_the_rack_goes_on_with_the_second(visit: Visit) -> None:
    """The index of the tuple shown rises by one a second."""
    page = visit.open("/panels/e750/0")
    first = _index(page)
    page.wait_for_timeout(3_200)
    assert 2 <= _index(page) - first <= 5


def _index(page: Page) -> int:
    found = re.search(r"#([\d\s\u00a0]+)", page.locator("section.sheet").first.inner_text())
    assert found
    return int(re.sub(r"\D", "", found.group(1)))
