"""History without a clock: 730 day values, periods counted back from the newest complete day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320 import E320, RamMemory, Variant
from messwerk.e320.history import DAYS, History
from messwerk.errors import StoreDamaged
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers


def filled(days: int) -> History:
    history = History()
    for day in range(days):
        history.close_day(1000 + day, -day)
    return history


@pytest.mark.parametrize("days", [0, 1, 6, 7, 29, 30, 365, 729, 730, 731, 1500])
def test_730_days(days: int) -> None:
    """Exactly the newest 730 days are held; each period is the sum of its complete days, none is guessed."""
    history = filled(days)
    expected = [1000 + day for day in range(days)][-DAYS:][::-1]  # newest first
    for length, most in ((1, 730), (7, 104), (30, 24), (365, 2)):
        assert history.periods(length) == min(len(expected) // length, most)
        for age in range(1, most + 2):
            begin, end = length * (age - 1), length * age
            value = sum(expected[begin:end]) if end <= len(expected) else None
            assert history.period(0, length, age) == value
    assert history.period(0, 1, 0) is None


@given(st.integers(0, 1600))
def test_both_ways(days: int) -> None:
    """The ring survives as bytes, wrapped or not; other sizes are refused."""
    history = filled(days)
    again = History.from_bytes(history.to_bytes())
    assert again.to_bytes() == history.to_bytes()
    assert again.period(1, 1, 1) == history.period(1, 1, 1)
    with pytest.raises(StoreDamaged):
        History.from_bytes(history.to_bytes()[:-1])


def test_days_across_a_wrap_and_backward() -> None:
    """A balanced register that runs back below zero gives negative days, not huge ones."""
    meter = E320(
        server_id=ServerId.parse("1LGZ0063539421"), variant=Variant(mode=Mode.BALANCED_EXPORT), memory=RamMemory()
    )
    meter.advance(PhasePowers.constant(86_400, (1000.0, 0.0, 0.0)))
    meter.advance(PhasePowers.constant(86_400, (-500.0, 0.0, 0.0)))
    assert meter.history.period(1, 1, 2) == -86_400_000_000
    assert meter.history.period(1, 1, 1) == 43_200_000_000
    assert meter.energy_since_reset == (0, -43_200_000_000)


def test_time_without_mains_does_not_count() -> None:
    """A day of history is 86 400 operating seconds; power cuts stretch it."""
    meter = E320(server_id=ServerId.parse("1LGZ0063539421"), variant=Variant(), memory=RamMemory())
    load = PhasePowers.constant(50_000, (1000.0, 0.0, 0.0))
    meter.advance(load)
    meter.cut_power()
    meter.advance(load)
    meter.restore_power()
    meter.advance(load[:36_398])
    assert meter.history.complete_days == 0
    meter.advance(load[:1])
    assert meter.history.complete_days == 1
