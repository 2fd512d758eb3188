"""The station's pages in a real browser: figures, both themes, both sizes, both languages."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from browsing import Served, Visit, look
from playwright.sync_api import Browser, expect
from sample_station import BILL

pytestmark = pytest.mark.browser

EVERY_LOOK = [("light", "desktop", "en"), ("dark", "phone", "de")]
FOUR_LOOKS = [*EVERY_LOOK, ("dark", "desktop", "en"), ("light", "phone", "de")]
WORKSHOP = "/meters/0500151122aabb"
BILL_PAGE = f"/bills/{BILL.bill_id}"


@pytest.mark.parametrize("visit", FOUR_LOOKS, indirect=True)
def test_the_overview_says_how_the_station_is(visit: Visit) -> None:
    """Four figures, load, sync, evidence and events stand on one screen, in every look."""
    visit.open("/")
    text = visit.text()
    german = visit.name.endswith("de")
    for figure in ("2 / 3", "12.345" if german else "12,345", "77.822" if german else "77,822"):
        assert figure in text
    assert ("± 0,4 s" if german else "± 0.4 s") in text
    assert ("größte Unsicherheit" if german else "largest uncertainty") in text
    assert "<script>alert(1)</script>" in text, "text from a peer is shown as text"
    assert visit.page.locator(".curve .line-import").count() == 1
    assert visit.width_overflow() <= 0
    visit.picture("overview")


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_the_meters_are_listed_with_the_age_of_their_reading(visit: Visit) -> None:
    """Fresh, late and stale differ by colour, symbol and words; a click leads to the meter."""
    page = visit.open("/meters")
    for age in ("fresh", "late", "stale"):
        mark = page.locator(f".age-{age}")
        assert mark.count() == 1
        assert mark.evaluate("e => getComputedStyle(e, '::before').content") not in ("none", "normal")
    colours = {page.locator(f".age-{age}").evaluate("e => getComputedStyle(e, '::before').color") for age in
               ("fresh", "late", "stale")}  # fmt: skip
    assert len(colours) == 3
    assert "1 LGZ 00 6353 9421" in visit.text()
    assert visit.width_overflow() <= 0
    visit.picture("meters")
    page.get_by_role("link", name="00:15:11:22:AA:BB").click()
    page.wait_for_url(f"**{WORKSHOP}")


def test_searching_and_filtering_happen_on_the_server(visit: Visit) -> None:
    """A filter and a search leave the rows that fit, and say how many of how many."""
    page = visit.open("/meters")
    page.get_by_role("button", name="With gaps").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Search").fill("lgz0063539421")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("p.lead")).to_have_text("1 of 3")
    page.get_by_label("Search").fill("nothing like this")
    expect(page.locator(".empty")).to_contain_text("No meter fits")


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_a_meter_shows_its_month_time_and_evidence(visit: Visit) -> None:
    """Load curve, registers with every signed digit, sync state and verification counts."""
    page = visit.open(WORKSHOP)
    page.wait_for_selector(".load-chart canvas")
    page.wait_for_timeout(700)
    text = visit.text()
    german = visit.name.endswith("de")
    for figure in ("2.480 W" if german else "2,480 W", "41.233,4567 kWh" if german else "41,233.4567 kWh",
                   "#14 861 200", "17,8 ppm" if german else "17.8 ppm", "FNN-BZ-RLM-96"):  # fmt: skip
        assert figure in text, figure
    assert ("November 2026") in text
    assert "does not fit key and content <b>" in text, "a peer's text is shown as text"
    assert visit.width_overflow() <= 0
    visit.picture("meter")


def test_the_load_curve_zooms_and_steps_by_months(visit: Visit) -> None:
    """The chart holds a slider and the month before is one click away."""
    page = visit.open(WORKSHOP)
    page.wait_for_selector(".load-chart canvas")
    page.get_by_label("Month before").click()
    expect(page.locator(".curve-sheet h2")).to_have_text("Load curve, October 2026")
    expect(page.locator(".curve-sheet p")).to_contain_text("2,980 quarter hours")
    page.get_by_label("Month after").click()
    expect(page.locator(".curve-sheet h2")).to_have_text("Load curve, November 2026")
    expect(page.locator(".curve-sheet p")).to_contain_text("20 missing")


def test_the_evidence_can_be_opened_down_to_the_hashed_bytes(visit: Visit) -> None:
    """The 96 bytes stand there by field, with the signatures, and open on demand."""
    page = visit.open(WORKSHOP)
    assert not page.locator("code.hash").first.is_visible()
    page.get_by_text("The hashed bytes and both signatures").click()
    block = page.locator("code.hash").first
    expect(block).to_be_visible()
    octets = re.sub(r"[^0-9a-f]", "", " ".join(line.split("  ")[0] for line in block.inner_text().splitlines()))
    assert len(bytes.fromhex(octets)) == 96
    visit.picture("evidence")


def money(amount: Decimal, *, german: bool) -> str:
    """Euros as the page writes them."""
    text = f"{amount:,.2f}"
    return f"{text.translate(str.maketrans(',.', '.,'))} €" if german else f"€ {text}"


@pytest.mark.parametrize("visit", EVERY_LOOK, indirect=True)
def test_the_bill_reads_like_an_invoice(visit: Visit) -> None:
    """Lines, net, tax, feed-in, total and readings; every figure opens its derivation."""
    page = visit.open(BILL_PAGE)
    german = visit.name.endswith("de")
    assert BILL.feed_in is not None
    amounts = [line.amount_eur for line in BILL.lines]
    amounts += [BILL.net_eur, BILL.vat_eur, BILL.feed_in.amount_eur, BILL.total_eur]
    for amount in amounts:
        assert money(amount, german=german) in visit.text()
    visit.picture("bill")
    lines = page.locator("details.paper-line")
    assert lines.count() == len(BILL.lines) + 4
    for line in lines.all():
        line.locator(":scope > summary").click()
        expect(line.locator(".derivation")).to_be_visible()
    text = visit.text()
    day_zone = BILL.lines[0]
    exact = f"{day_zone.quantity:,}".translate(str.maketrans(",.", ".,")) if german else f"{day_zone.quantity:,}"
    assert f"{exact} kWh ×" in text
    assert (
        page.locator(".derivation table")
        .first.locator("tr")
        .last.inner_text()
        .endswith(f"{exact} kWh".replace(" ", " "))
    )
    assert ("Mo–Fr 06:00–22:00" if german else "Mon–Fri 06:00–22:00") in text
    assert "#11 000 204" in text
    assert visit.width_overflow() <= 0
    visit.picture("bill-opened")


def test_the_bill_prints_on_paper(visit: Visit) -> None:
    """On paper there is the document alone, on at most two A4 pages, black on white in any theme."""
    page = visit.open(BILL_PAGE)
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".topbar").is_visible()
    assert not page.get_by_role("button", name="Print").is_visible()
    pdf = page.pdf(format="A4", prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2


def test_the_bill_downloads_as_json(visit: Visit) -> None:
    """The button gives the station's own JSON document under the bill's name."""
    page = visit.open(BILL_PAGE)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as JSON").click()
    assert download.value.suggested_filename == f"{BILL.bill_id}.json"
    assert json.loads(download.value.path().read_text())["total_eur"] == str(BILL.total_eur)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_an_empty_station_says_what_to_do(browser: Browser, empty: Served, size: str) -> None:
    """No meter, no bill, no event: each page names the next step."""
    for visit in look(browser, empty, "light", size, "en"):
        visit.open("/")
        assert "0 / 0" in visit.text()
        assert "Nothing has happened yet." in visit.text()
        visit.picture("empty-overview")
        visit.open("/meters")
        assert "it appears here by itself" in visit.text()
        visit.open("/bills")
        assert "as soon as a calendar month is complete" in visit.text()


@pytest.mark.parametrize("path", ["/meters/0a0b", "/meters/%F0%9F%92%A5", "/bills/no-such"])
def test_an_unknown_address_is_answered_in_words(visit: Visit, path: str) -> None:
    """A meter or bill nobody knows gives a page that leads back, not an error."""
    visit.open(path)
    assert re.search("no such (meter|bill)", visit.text())


def test_language_and_theme_are_switched_and_kept(visit: Visit) -> None:
    """Both switches come back to the same page and hold on every other page."""
    page = visit.open("/meters")
    page.get_by_role("link", name="DE", exact=True).click()
    page.wait_for_url("**/meters")
    expect(page.locator("h1")).to_have_text("Zähler")
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_label("Darstellung folgt dem System").click()
    page.get_by_label("Helle Darstellung").click()
    expect(page.locator("body.body--dark")).to_have_count(1)
    page.get_by_role("link", name="Rechnungen").click()
    expect(page.locator("h1")).to_have_text("Rechnungen")
    expect(page.locator("body.body--dark")).to_have_count(1)


def test_everything_is_reached_by_keyboard_and_has_a_name(visit: Visit) -> None:
    """Every link, button and field has an accessible name; the first tab stops are the navigation."""
    for path in ("/", "/meters", WORKSHOP, BILL_PAGE):
        page = visit.open(path)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('a[href], button, input, summary')]
                .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.title || e.placeholder))
                .map(e => e.outerHTML)"""
        )
        assert nameless == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('header') !== null")
