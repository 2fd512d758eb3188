"""Quarter hours, days and months of a place: the only module that knows a time zone.

Seconds are UTC as Unix time. A local day begins at local midnight and has 92, 96 or 100 quarter
hours; a quarter hour is named by its start in UTC, which is never ambiguous.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalError

QUARTER_S: Final = 900
"""Length of an interval. [s]"""
BERLIN: Final = ZoneInfo("Europe/Berlin")
"""The legal time of the tariffs this station ships with."""

_MONTH: Final = re.compile(r"^(\d{4})-(\d{2})$")


def midnight_utc(day: dt.date, zone: ZoneInfo = BERLIN) -> int:
    """UTC of the local midnight a day begins with."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def local_day(utc: float, zone: ZoneInfo = BERLIN) -> dt.date:
    """The local calendar day a moment lies in."""
    return dt.datetime.fromtimestamp(utc, zone).date()


def quarters_of_day(day: dt.date, zone: ZoneInfo = BERLIN) -> int:
    """How many quarter hours a local day has: 92, 96 or 100 in Germany."""
    return (midnight_utc(day + dt.timedelta(days=1), zone) - midnight_utc(day, zone)) // QUARTER_S


def month_of(utc: float, zone: ZoneInfo = BERLIN) -> str:
    """The local calendar month a moment lies in, `2026-10`."""
    return local_day(utc, zone).strftime("%Y-%m")


def month_bounds(month: str, zone: ZoneInfo = BERLIN) -> tuple[int, int]:
    """UTC of the first and the last local midnight of a month (end exclusive).

    Raises LocalError when the text is no month.
    """
    match = _MONTH.match(month)
    try:
        first = dt.date(int(match[1]), int(match[2]), 1) if match else None
    except ValueError:
        first = None
    if first is None:
        raise LocalError(f"a month is written like 2026-10, not {month!r}")
    after = (first + dt.timedelta(days=31)).replace(day=1)
    return midnight_utc(first, zone), midnight_utc(after, zone)


def months_between(start_utc: float, end_utc: float, zone: ZoneInfo = BERLIN) -> Iterator[str]:
    """The calendar months that touch a span, oldest first."""
    day, last = local_day(start_utc, zone).replace(day=1), local_day(end_utc, zone)
    while day <= last:
        yield day.strftime("%Y-%m")
        day = (day + dt.timedelta(days=31)).replace(day=1)


def quarters(start_utc: int, end_utc: int) -> NDArray[np.int64]:
    """Starts of the quarter hours that lie wholly within a span. [UTC s, shape (n,)]"""
    first = -(-start_utc // QUARTER_S)
    return np.arange(first, max(first, end_utc // QUARTER_S), dtype=np.int64) * QUARTER_S


@lru_cache(maxsize=4096)
def _day_grid(day: dt.date, zone: ZoneInfo) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Quarter starts of a local day and the local minute of the day each begins at."""
    start = midnight_utc(day, zone)
    grid = start + np.arange(quarters_of_day(day, zone), dtype=np.int64) * QUARTER_S
    minutes = []
    for utc in grid.tolist():
        local = dt.datetime.fromtimestamp(utc, zone)
        minutes.append(local.hour * 60 + local.minute)
    return grid, np.asarray(minutes, dtype=np.int64)


def local_grid(start_utc: int, end_utc: int, zone: ZoneInfo = BERLIN) -> Iterator[tuple[dt.date, NDArray[np.int64]]]:
    """Each local day that touches the span, with the local minute of each of the span's quarters.

    The arrays, joined, have one element for each of `quarters(start_utc, end_utc)`.
    """
    if end_utc <= start_utc:
        return
    day, last = local_day(start_utc, zone), local_day(end_utc - 1, zone)
    while day <= last:
        grid, minutes = _day_grid(day, zone)
        inside = (grid >= start_utc) & (grid + QUARTER_S <= end_utc)
        yield day, minutes[inside]
        day += dt.timedelta(days=1)
