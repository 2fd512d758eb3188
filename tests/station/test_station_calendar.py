"""The calendar: local midnights, quarter hours of a day, months."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.errors import LocalError
from messwerk.station.calendar import (
    local_day,
    local_grid,
    midnight_utc,
    month_bounds,
    month_of,
    months_between,
    quarters,
    quarters_of_day,
)

DAYS = [
    (dt.date(2026, 3, 29), 92, "clocks go forward"),
    (dt.date(2026, 10, 25), 100, "clocks go back"),
    (dt.date(2026, 6, 1), 96, "summer"),
    (dt.date(2026, 1, 1), 96, "winter"),
]


@pytest.mark.parametrize(("day", "count", "why"), DAYS)
def test_a_local_day_has_its_quarter_hours(day: dt.date, count: int, why: str) -> None:
    """A day in Berlin has 92, 96 or 100 quarter hours, and the grid has as many."""
    assert quarters_of_day(day) == count, why
    start, end = midnight_utc(day), midnight_utc(day + dt.timedelta(days=1))
    assert sum(len(minutes) for _, minutes in local_grid(start, end)) == count


def test_the_repeated_hour_has_its_minutes_twice() -> None:
    """In autumn 02:00 to 03:00 occurs twice on the wall clock, in spring not at all."""
    autumn = dt.date(2026, 10, 25)
    ((_, minutes),) = local_grid(midnight_utc(autumn), midnight_utc(autumn + dt.timedelta(days=1)))
    assert np.count_nonzero(minutes == 150) == 2
    spring = dt.date(2026, 3, 29)
    ((_, minutes),) = local_grid(midnight_utc(spring), midnight_utc(spring + dt.timedelta(days=1)))
    assert np.count_nonzero(minutes == 150) == 0


@given(st.dates(dt.date(1990, 1, 1), dt.date(2037, 12, 30)))
def test_days_tile_time(day: dt.date) -> None:
    """Each moment lies in exactly one local day: midnights are strictly ordered and belong to their day."""
    start, end = midnight_utc(day), midnight_utc(day + dt.timedelta(days=1))
    assert start < end
    assert local_day(start) == day == local_day(end - 1)
    assert start % 900 == 0


def test_month_bounds_are_local_midnights() -> None:
    """October begins in summer time and ends in winter time: it has an hour more."""
    start, end = month_bounds("2026-10")
    assert dt.datetime.fromtimestamp(start, dt.UTC).isoformat() == "2026-09-30T22:00:00+00:00"
    assert (end - start) == 31 * 86400 + 3600
    assert month_of(start) == "2026-10" == month_of(end - 1)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "26-10", "2026-1", "0000-01", "2026-10-01"])
def test_a_wrong_month_is_named(text: str) -> None:
    """What is no month is refused with the right spelling."""
    with pytest.raises(LocalError, match="2026-10"):
        month_bounds(text)


def test_months_between_names_each_month_once() -> None:
    """A span over new year touches both months."""
    assert list(months_between(midnight_utc(dt.date(2025, 12, 31)), midnight_utc(dt.date(2026, 2, 1)) - 1)) == [
        "2025-12", "2026-01",
    ]  # fmt: skip


@given(st.integers(0, 2**31), st.integers(0, 10**6))
def test_quarters_lie_wholly_within_the_span(start: int, length: int) -> None:
    """Quarter hours cut by the edges of a span are left out, all others are there."""
    found = quarters(start, start + length)
    assert all(quarter % 900 == 0 for quarter in found.tolist())
    assert all(start <= quarter and quarter + 900 <= start + length for quarter in found.tolist())
    assert len(found) >= length // 900 - 1
