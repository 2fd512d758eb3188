"""The page of the E320's manual about the user menu: what each screen is and what a press does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..e320.menu import Screen


@dataclass(frozen=True, slots=True)
class Page:
    """One screen. English; the page translates. No text: the press does nothing."""

    name: str
    short: str = ""
    long: str = ""
    asks_pin: bool = False


_NEXT_SPAN: Final = "-A where there is one, then the next span"
_OLDER: Final = "older ones"
_TEST: Final = Page("display test", "on: PIN entry where a PIN is asked", asks_pin=True)

MANUAL: Final[dict[Screen, Page]] = {
    Screen.STANDARD: Page("standard display", "display test"),
    Screen.TEST_UPPER: _TEST,
    Screen.TEST_LOWER: _TEST,
    Screen.PIN_ENTRY: Page("PIN entry", "digit up; 3 s without light fix it", asks_pin=True),
    Screen.POWER: Page("power now", "energy since the last reset"),
    Screen.ENERGY: Page("energy since the last reset", "-A where there is one, then the newest day", "clear it?"),
    Screen.ENERGY_CLEAR: Page("clear E?", "no, back", "yes, clear"),
    Screen.DAY: Page("newest day", _NEXT_SPAN, _OLDER),
    Screen.WEEK: Page("newest 7 days", _NEXT_SPAN, _OLDER),
    Screen.MONTH: Page("newest 30 days", _NEXT_SPAN, _OLDER),
    Screen.YEAR: Page("newest 365 days", "-A where there is one, then clear history", _OLDER),
    Screen.PAST: Page("an older one", "-A where there is one, then the next older one", "back"),
    Screen.HISTORY_CLEAR: Page("clear history", "on: data set", "yes, clear"),
    Screen.DATA_SET: Page("extended data set", "on: PIN", "on or off"),
    Screen.PIN_SETTING: Page("PIN protection", "back to the standard display", "on or off", asks_pin=True),
}
"""Every screen of the menu. Source: E320 manual 5.5.1; what happens is decided by `e320.menu`, not here."""
