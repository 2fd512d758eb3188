"""Hands on the E320 in a real browser: torch, menu, PIN, mains, loads, faults; the glass is read as painted.

Each test touches a meter of its own, so none finds another's menu open.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from browsing import Visit
from playwright.sync_api import Page, expect
from test_browser_panels import lit_segments, read

pytestmark = pytest.mark.browser

DE_PHONE = ("dark", "phone", "de")


def lower(page: Page) -> str:
    """Code and value of the lower line, as painted."""
    lit = lit_segments(page)
    return f"{read(lit, 'lc', 4).strip()} {read(lit, 'lv', 5).strip()}".strip()


def until(page: Page, true: Callable[[], bool], what: str, within_s: float = 6.0) -> None:
    """Wait for something on the page."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"{what}; the lower line shows {lower(page)!r}"
        page.wait_for_timeout(50)


def shine(page: Page, seconds: float) -> None:
    """Press and hold the optical port with the mouse."""
    page.locator(".e320-port").hover()
    page.mouse.down()
    page.wait_for_timeout(1000 * seconds)
    page.mouse.up()


def here(page: Page) -> str:
    """Where the manual beside the meter says the menu stands."""
    return page.locator(".torch-guide dd").first.inner_text()


def test_the_whole_menu_is_walked_with_a_torch(visit: Visit) -> None:
    """On a meter three times as fast: light, the PIN digit by digit, and every screen behind it."""
    page = visit.open("/panels/e320/1")
    page.wait_for_timeout(500)
    assert lower(page) == "", "the power is behind the PIN"
    shine(page, 0.2)
    until(page, lambda: "uv0a" in lit_segments(page) and "uv7g" in lit_segments(page), "the display test")
    shine(page, 0.2)
    until(page, lambda: lower(page).endswith("0---"), "the first digit")
    shine(page, 0.2)
    until(page, lambda: lower(page).endswith("1---"), "the digit goes up")
    visit.picture("e320-pin")
    expect(page.locator(".torch-guide")).to_contain_text("1000")
    until(page, lambda: lower(page) == "P 1310", "the PIN 1000, by waiting", within_s=15)
    assert "minus" in lit_segments(page)
    seen = []
    for _ in range(13):
        page.get_by_role("button", name="Short flash").click()
        page.wait_for_timeout(400)
        seen.append(here(page))
    assert seen == [
        *["energy since the last reset"] * 2, *["newest day"] * 2, *["newest 7 days"] * 2, *["newest 30 days"] * 2,
        *["newest 365 days"] * 2, "clear history", "extended data set", "PIN protection",
    ]  # fmt: skip
    assert lower(page) == "P1? 0?", "PIn On"


def test_a_long_light_acts_while_it_is_held(visit: Visit) -> None:
    """The ring fills; nothing happens between two and five seconds, and at five it acts, before the release."""
    page = visit.open("/panels/e320/2")
    for _ in range(2):
        page.get_by_role("button", name="Short flash").click()
        page.wait_for_timeout(900)
    assert here(page) == "PIN entry"
    shine(page, 2.6)
    page.wait_for_timeout(500)
    assert lower(page).endswith("0---"), "between short and long nothing happens"
    assert page.locator(".e320-port[data-lit]").count() == 0
    page.locator(".e320-port").hover()
    page.mouse.down()
    page.wait_for_timeout(1_500)
    assert page.locator(".e320-ring").evaluate("e => getComputedStyle(e).opacity") == "1"
    left = float(page.locator(".e320-ring .held").evaluate("e => parseFloat(getComputedStyle(e).strokeDashoffset)"))
    assert 55 < left < 80, "three tenths of five seconds"
    visit.picture("e320-torch")
    page.mouse.up()


@pytest.mark.parametrize("visit", [DE_PHONE], indirect=True)
def test_finger_and_keys_shine_too(visit: Visit) -> None:
    """A touch is held like a mouse button, a repeating space bar is one press, and the words say what happened."""
    page = visit.open("/panels/e320/3")
    told = page.locator('[role="status"]')
    port = page.locator(".e320-port")
    port.scroll_into_view_if_needed()
    box = port.bounding_box()
    assert box is not None
    finger = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [finger]})
    page.wait_for_timeout(300)
    assert page.locator(".e320-port[data-lit]").count() == 1
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(told).to_have_text("Anzeigetest")
    port.focus()
    page.keyboard.down(" ")
    for _ in range(4):
        page.wait_for_timeout(80)
        page.keyboard.down(" ")
    page.keyboard.up(" ")
    expect(told).to_have_text("PIN-Eingabe, PIn 0---")
    assert page.evaluate("window.scrollY") < 400, "the space bar does not scroll"
    assert visit.width_overflow() <= 0


def test_the_mains_are_cut_and_return(visit: Visit) -> None:
    """Without mains nothing is painted and nothing sent; with them the start-up sequence begins."""
    page = visit.open("/panels/e320/4")
    page.get_by_text("Behind the cover").click()
    page.get_by_text("The telegram of this second").click()
    expect(page.locator("code.dump")).to_be_visible()
    page.get_by_role("button", name="Cut the power").click()
    until(page, lambda: not lit_segments(page), "darkness")
    expect(page.locator('[role="status"]')).to_have_text("the display is dark")
    expect(page.locator(".telegram")).to_contain_text("No mains")
    assert page.locator(".e320-led").get_attribute("class") == "e320-led"
    visit.picture("e320-dark")
    page.get_by_role("button", name="Return the power").click()
    until(page, lambda: {"uv0a", "uc0a", "LMN"} <= lit_segments(page), "the display test of the start-up")
    assert "lv0a" not in lit_segments(page), "one line after the other"


@pytest.mark.parametrize("visit", [("light", "desktop", "en"), DE_PHONE], indirect=True)
def test_loads_and_faults_are_set_behind_the_cover(visit: Visit) -> None:
    """A slider moves the watts, a fault takes a phase from the display until it is ended; every control has a name."""
    page = visit.open("/panels/e320/2")
    german = visit.name.endswith("de")
    page.get_by_text("Hinter dem Deckel" if german else "Behind the cover").click()
    page.get_by_role("button", name="gar nichts" if german else "nothing at all").click()
    measured = page.locator(".cover-measured")
    expect(measured).to_contain_text(re.compile(r"L1\s*0.W\s*L2\s*0.W\s*L3\s*0.W"))
    expect(page.locator(".e320-led-on")).to_have_count(1)
    slider = page.get_by_label("Bezug an L2" if german else "Drawn on L2")
    slider.fill("2500")
    expect(measured).to_contain_text(re.compile(r"L2\s*2[.,]500.W"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(measured).to_contain_text(re.compile(r"L2\s*2[.,]510.W"))
    page.get_by_label("Phase", exact=True).select_option("1")
    page.get_by_role("button", name="Beginnen lassen" if german else "Let it begin").click()
    until(page, lambda: "L2" not in lit_segments(page), "the fuse of L2")
    expect(page.locator(".cover-active")).to_contain_text("L2")
    visit.picture("e320-cover")
    page.get_by_role("button", name="Beenden" if german else "End", exact=True).click()
    until(page, lambda: "L2" in lit_segments(page), "the fuse is back")
    page.get_by_label("Art" if german else "Kind").select_option("device_error")
    page.get_by_role("button", name="Beginnen lassen" if german else "Let it begin").click()
    reset = page.get_by_role("button", name="Zurücksetzen" if german else "Reset")
    reset.click()
    expect(reset).to_be_hidden()
    page.get_by_role("button", name="Beenden" if german else "End", exact=True).click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('main a[href], main button, main input, main select, main summary')]
            .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length)))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
    assert visit.width_overflow() <= 0
    page.get_by_role("button", name="wie installiert" if german else "as installed").click()
