"""How numbers, times and words appear on a page, in English and German.

English stands in the code; `GERMAN` in `words.py` holds the other half, and a test walks every
page's source to see that no phrase is missing. Numbers: exact values (int, Decimal) are truncated
toward zero, never rounded, because a reading must not look larger than it was signed; floats are
display values (powers, seconds of uncertainty) and rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from .words import GERMAN

GAP: Final = "\u00a0"
"""No-break space: between a number and its unit, and inside a seconds index."""
MINUS: Final = "−"
ABSENT: Final = "–"
_MONTHS: Final = {
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
}


@dataclass(frozen=True, slots=True)
class Language:
    """One language with its way to write numbers. Every method is pure."""

    code: str
    name: str
    thousands: str
    point: str
    words: Mapping[str, str]
    """From the English phrase to this language's; empty for English itself."""
    date: str
    """strftime form of a day."""

    def say(self, phrase: str, **values: object) -> str:
        """`phrase` in this language, with `{name}` fields filled in."""
        text = self.words.get(phrase, phrase)
        return text.format(**values) if values else text

    # --- numbers ----------------------------------------------------------------------------

    def number(self, value: Decimal | int | float | None, digits: int = 0) -> str:
        """`value` with `digits` decimals and thousands separators; a dash for None."""
        if value is None:
            return ABSENT
        rounding = ROUND_HALF_EVEN if isinstance(value, float) else ROUND_DOWN
        exact = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=rounding)
        text = f"{abs(exact):,.{digits}f}".translate(str.maketrans(",.", self.thousands + self.point))
        return f"{MINUS}{text}" if exact < 0 else text

    def exact(self, value: Decimal) -> str:
        """`value` with every digit it has."""
        exponent = value.as_tuple().exponent
        return self.number(value, max(0, -exponent) if isinstance(exponent, int) else 0)

    def quantity(self, value: Decimal | float | None, unit: str, digits: int = 0) -> str:
        """A number and its unit, or a dash."""
        return ABSENT if value is None else f"{self.number(value, digits)}{GAP}{unit}"

    def power(self, watts: float | None) -> str:
        """A power in W up to ten kilowatts, in kW above."""
        if watts is None or abs(watts) < 10_000:
            return self.quantity(watts, "W")
        return self.quantity(watts / 1000, "kW", 2)

    def money(self, amount: Decimal) -> str:
        """Euros with two decimals; amounts come rounded by the rule of the bill."""
        text = self.number(abs(amount), 2)
        sign = MINUS if amount < 0 else ""
        return f"{sign}€{GAP}{text}" if self.code == "en" else f"{sign}{text}{GAP}€"

    def index(self, index: int | None) -> str:
        """A seconds index: `#14 861 200`."""
        return ABSENT if index is None else "#" + f"{index:,}".replace(",", GAP)

    def uncertainty(self, seconds: float | None) -> str:
        """`± 0.4 s`."""
        return ABSENT if seconds is None else f"±{GAP}{self.quantity(float(seconds), 's', 1 if seconds < 10 else 0)}"

    # --- time -------------------------------------------------------------------------------

    def age(self, seconds: float | None) -> str:
        """How long ago, in one unit."""
        if seconds is None:
            return self.say("never")
        for limit, divisor, unit in ((100, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
            if seconds < limit:
                return self.say("{amount} ago", amount=f"{max(0, int(seconds / divisor))}{GAP}{unit}")
        return self.say("{amount} ago", amount=f"{self.number(int(seconds / 86_400))}{GAP}{self.say('days')}")

    def day(self, utc: float | None, zone: ZoneInfo) -> str:
        """The local calendar day."""
        return ABSENT if utc is None else datetime.fromtimestamp(utc, zone).strftime(self.date)

    def when(self, utc: float | None, zone: ZoneInfo) -> str:
        """Local day and time to the nearest second."""
        return ABSENT if utc is None else datetime.fromtimestamp(round(utc), zone).strftime(f"{self.date}, %H:%M:%S")

    def month(self, year: int, month: int) -> str:
        """`November 2026`."""
        return f"{_MONTHS[self.code][month - 1]} {year}"


def utc_text(utc: float | None) -> str:
    """ISO 8601 in UTC, for the hover text beside every local time."""
    return "" if utc is None else datetime.fromtimestamp(round(utc), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hex_groups(octets: bytes | str, size: int = 8) -> str:
    """Hex digits in upper case, a blank after every `size` digits."""
    digits = (octets if isinstance(octets, str) else octets.hex()).replace(" ", "").upper()
    return " ".join(digits[at : at + size] for at in range(0, len(digits), size))


ENGLISH: Final = Language("en", "English", ",", ".", {}, "%d %b %Y")
GERMAN_LANGUAGE: Final = Language("de", "Deutsch", ".", ",", GERMAN, "%d.%m.%Y")
LANGUAGES: Final[dict[str, Language]] = {language.code: language for language in (ENGLISH, GERMAN_LANGUAGE)}


def choose(preferred: str | None, accept_language: str) -> Language:
    """The visitor's choice if there is one, else the first of the browser's list we speak, else English."""
    if preferred in LANGUAGES:
        return LANGUAGES[preferred]
    for offer in accept_language.split(",")[:20]:
        if (code := offer.strip()[:2].lower()) in LANGUAGES:
            return LANGUAGES[code]
    return ENGLISH
