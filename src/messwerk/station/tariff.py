"""Prices as data: zones of the day, prices a kWh, standing charge, tax, and since when.

A price sheet is immutable and named by version and digest; a change is a new sheet with a later
`valid_from`. Times are local: in the repeated hour of autumn both hours belong to the zone of
their wall-clock time, in spring the skipped hour simply does not occur.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalError
from .calendar import local_grid

_CLOCK: Final = re.compile(r"^([01]\d|2[0-4]):(00|15|30|45)$")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of the local day in which a zone applies; `end` exclusive, on quarter hours."""

    days: tuple[str, ...]
    """Of `WEEKDAYS`."""
    start: str
    """`06:00`"""
    end: str
    """`22:00`; `24:00` is the end of the day."""

    def __post_init__(self) -> None:
        if unknown := set(self.days) - set(WEEKDAYS):
            raise LocalError(f"weekdays are written {', '.join(WEEKDAYS)}, not {', '.join(sorted(unknown))}")
        if self.minutes[0] >= self.minutes[1]:
            raise LocalError(f"a window ends after it starts: {self.start} to {self.end}; split it at midnight")

    @property
    def minutes(self) -> tuple[int, int]:
        """Start and end as minutes of the local day."""
        return _minute(self.start), _minute(self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A price of the day: its name, its price, when it applies."""

    name: str
    price_ct_per_kwh: Decimal
    """Net price."""
    windows: tuple[Window, ...] = ()
    """Empty for the zone that applies whenever no other does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSheet:
    """A two- or more-zone time-of-use tariff, valid from a local day on. Prices are net."""

    name: str
    version: str
    valid_from: dt.date
    zones: tuple[Zone, ...]
    standing_charge_eur_per_day: Decimal
    vat_percent: Decimal
    feed_in_ct_per_kwh: Decimal = Decimal(0)
    """Paid for export; 0 leaves export off the bill."""
    time_zone: str = "Europe/Berlin"
    digest: str = field(init=False, default="")
    """SHA-256 over the sheet's canonical JSON."""

    def __post_init__(self) -> None:
        if sum(not zone.windows for zone in self.zones) != 1:
            raise LocalError(f"tariff {self.name}: exactly one zone has no windows and applies the rest of the time")
        if len({zone.name for zone in self.zones}) != len(self.zones):
            raise LocalError(f"tariff {self.name}: two zones have the same name")
        try:
            self.zone_info  # noqa: B018  (an unknown name must be found now, not at the first bill)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise LocalError(f"tariff {self.name}: there is no time zone {self.time_zone!r}") from error
        object.__setattr__(self, "digest", hashlib.sha256(self.to_json().encode()).hexdigest())

    @property
    def zone_info(self) -> ZoneInfo:
        """The zone whose wall clock the windows mean."""
        return ZoneInfo(self.time_zone)

    def zone_of(self, start_utc: int, end_utc: int) -> NDArray[np.int64]:
        """Position in `zones` of each quarter hour of the span. [shape (n,)]

        Where windows overlap, the zone listed first wins.
        """
        rest = next(place for place, zone in enumerate(self.zones) if not zone.windows)
        days = []
        for day, minutes in local_grid(start_utc, end_utc, self.zone_info):
            zones = np.full(minutes.shape, rest, dtype=np.int64)
            for place in reversed(range(len(self.zones))):
                for window in self.zones[place].windows:
                    if WEEKDAYS[day.weekday()] in window.days:
                        start, end = window.minutes
                        zones[(minutes >= start) & (minutes < end)] = place
            days.append(zones)
        return np.concatenate(days) if days else np.zeros(0, dtype=np.int64)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, decimals as strings; what `digest` covers."""
        sheet = asdict(self)
        del sheet["digest"]
        return json.dumps(sheet, sort_keys=True, separators=(",", ":"), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises LocalError naming what is wrong."""
        try:
            sheet: dict[str, Any] = json.loads(text)
            zones = tuple(
                Zone(
                    name=zone["name"],
                    price_ct_per_kwh=Decimal(zone["price_ct_per_kwh"]),
                    windows=tuple(
                        Window(days=tuple(window["days"]), start=window["start"], end=window["end"])
                        for window in zone["windows"]
                    ),
                )
                for zone in sheet["zones"]
            )
            return cls(
                name=sheet["name"],
                version=sheet["version"],
                valid_from=dt.date.fromisoformat(sheet["valid_from"]),
                zones=zones,
                standing_charge_eur_per_day=Decimal(sheet["standing_charge_eur_per_day"]),
                vat_percent=Decimal(sheet["vat_percent"]),
                feed_in_ct_per_kwh=Decimal(sheet["feed_in_ct_per_kwh"]),
                time_zone=sheet["time_zone"],
            )
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise LocalError(f"not a price sheet: {error!r}") from error


def _minute(text: str) -> int:
    match = _CLOCK.match(text)
    if match is None or (match[1] == "24" and match[2] != "00"):
        raise LocalError(f"a time of day is written like 06:00 and lies on a quarter hour, not {text!r}")
    return int(match[1]) * 60 + int(match[2])


def sheet_for(sheets: tuple[PriceSheet, ...], day: dt.date) -> PriceSheet:
    """The sheet in force on a local day: the newest `valid_from` not after it. Raises LocalError."""
    valid = [sheet for sheet in sheets if sheet.valid_from <= day]
    if not valid:
        raise LocalError(f"no price sheet is valid on {day}: add one with valid_from on or before that day")
    return max(valid, key=lambda sheet: (sheet.valid_from, sheet.version))


DEFAULT_SHEET: Final = PriceSheet(
    name="Two zones",
    version="2026.1",
    valid_from=dt.date(2000, 1, 1),
    zones=(
        Zone(
            name="HT",
            price_ct_per_kwh=Decimal("28.90"),
            windows=(Window(days=WEEKDAYS, start="06:00", end="22:00"),),
        ),
        Zone(name="NT", price_ct_per_kwh=Decimal("22.40")),
    ),
    standing_charge_eur_per_day=Decimal("0.35"),
    vat_percent=Decimal(19),
    feed_in_ct_per_kwh=Decimal("7.94"),
)
"""The price sheet a new station starts with: day and night, standing charge, feed-in. [design]"""
