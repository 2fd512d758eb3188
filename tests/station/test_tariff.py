"""Price sheets: zones of the day in local time, versions, canonical form."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest

from messwerk.errors import LocalError
from messwerk.station.calendar import BERLIN, midnight_utc
from messwerk.station.tariff import DEFAULT_SHEET, WEEKDAYS, PriceSheet, Window, Zone, sheet_for


def zones_of(sheet: PriceSheet, day: dt.date) -> list[str]:
    """Names of the zones of each quarter hour of a local day."""
    start, end = midnight_utc(day), midnight_utc(day + dt.timedelta(days=1))
    return [sheet.zones[place].name for place in sheet.zone_of(start, end).tolist()]


@pytest.mark.parametrize(
    ("day", "high", "low"),
    [
        (dt.date(2026, 6, 1), 64, 32),
        (dt.date(2026, 3, 29), 64, 28),
        (dt.date(2026, 10, 25), 64, 36),
    ],
)
def test_zones_follow_the_wall_clock(day: dt.date, high: int, low: int) -> None:
    """High tariff from 06:00 to 22:00 has 64 quarter hours on every day; the changed hour falls into the night."""
    zones = zones_of(DEFAULT_SHEET, day)
    assert (zones.count("HT"), zones.count("NT")) == (high, low)


def test_zones_agree_with_a_slow_look_at_the_clock() -> None:
    """Each quarter hour's zone is the one its local wall-clock time lies in, over a whole year."""
    start, end = midnight_utc(dt.date(2026, 1, 1)), midnight_utc(dt.date(2027, 1, 1))
    for place, zone in enumerate(DEFAULT_SHEET.zone_of(start, end).tolist()):
        hour = dt.datetime.fromtimestamp(start + 900 * place, BERLIN).hour
        assert DEFAULT_SHEET.zones[zone].name == ("HT" if 6 <= hour < 22 else "NT")


def test_the_first_zone_wins_where_windows_overlap() -> None:
    """Order of the zones decides, not chance."""
    peak = Zone(name="peak", price_ct_per_kwh=Decimal(40), windows=(Window(days=("Mon",), start="08:00", end="09:00"),))
    sheet = dataclasses.replace(DEFAULT_SHEET, zones=(peak, *DEFAULT_SHEET.zones))
    monday, tuesday = zones_of(sheet, dt.date(2026, 6, 1)), zones_of(sheet, dt.date(2026, 6, 2))
    assert monday[32:36] == ["peak"] * 4
    assert tuesday[32:36] == ["HT"] * 4


def test_a_sheet_survives_json_with_its_digest() -> None:
    """The canonical form carries everything: what is read back has the same digest."""
    again = PriceSheet.from_json(DEFAULT_SHEET.to_json())
    assert again == DEFAULT_SHEET
    assert again.digest == DEFAULT_SHEET.digest
    assert dataclasses.replace(DEFAULT_SHEET, version="x").digest != DEFAULT_SHEET.digest


WRONG = [
    (lambda: Window(days=("Mo",), start="06:00", end="22:00"), "Mon"),
    (lambda: Window(days=("Mon",), start="22:00", end="06:00"), "midnight"),
    (lambda: Window(days=("Mon",), start="06:10", end="22:00"), "quarter hour"),
    (lambda: Window(days=("Mon",), start="06:00", end="24:15"), "06:00"),
    (lambda: dataclasses.replace(DEFAULT_SHEET, zones=DEFAULT_SHEET.zones[:1]), "exactly one zone"),
    (lambda: dataclasses.replace(DEFAULT_SHEET, time_zone="Europe/Entenhausen"), "Entenhausen"),
    (lambda: PriceSheet.from_json("{}"), "not a price sheet"),
    (lambda: PriceSheet.from_json("[1]"), "not a price sheet"),
    (lambda: PriceSheet.from_json("nonsense"), "not a price sheet"),
]


@pytest.mark.parametrize(("make", "says"), WRONG)
def test_wrong_sheets_say_what_is_wrong(make: object, says: str) -> None:
    """A sheet that could be misunderstood is refused when it is made, not when it is billed."""
    with pytest.raises(LocalError, match=says):
        make()  # type: ignore[operator]


def test_the_newest_sheet_not_after_the_day_is_in_force() -> None:
    """Prices change at local midnight of `valid_from` and never backwards."""
    later = dataclasses.replace(DEFAULT_SHEET, version="2026.2", valid_from=dt.date(2026, 7, 1))
    sheets = (later, DEFAULT_SHEET)
    assert sheet_for(sheets, dt.date(2026, 6, 30)) is DEFAULT_SHEET
    assert sheet_for(sheets, dt.date(2026, 7, 1)) is later
    with pytest.raises(LocalError, match="valid_from"):
        sheet_for((later,), dt.date(2026, 1, 1))
    assert len(WEEKDAYS) == 7
