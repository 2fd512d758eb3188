"""15-minute values: which reading stands on a quarter hour, and what two of them make."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.station.calendar import midnight_utc
from messwerk.station.intervals import Readings, edges, intervals, tenths
from messwerk.station.timesync import SyncPoint, TimeModel
from messwerk.station.values import CODE_OF, ESPI_QUALITY, MSCONS_STATUS, STATE_CODES, ValueState

QUARTER = 1_790_000_100
"""A UTC quarter hour; index 0 in these tests."""
EXACT = TimeModel([SyncPoint(0, QUARTER, 0.5), SyncPoint(10**6, QUARTER + 10**6, 0.5)])


def readings(
    *rows: tuple[int, int], soi: bool = True, signed: bool = True, disputed: set[int] = frozenset()
) -> Readings:  # type: ignore[assignment]
    """Readings of (index, import)."""
    index = np.array([row[0] for row in rows], dtype=np.int64)
    values = np.zeros((len(rows), 6), dtype=np.int64)
    values[:, 0] = [row[1] for row in rows]
    return Readings(
        index, values, np.full(len(rows), soi), np.full(len(rows), signed), np.isin(index, list(disputed)),
        np.zeros(len(rows), dtype=np.int64),
    )  # fmt: skip


def states(found: Readings, model: TimeModel = EXACT, count: int = 3) -> list[ValueState]:
    """States of the first quarter hours."""
    values = intervals(edges(found, model), QUARTER, QUARTER + 900 * count)
    return [STATE_CODES[code] for code in values.state.tolist()]


V, U, M, R = ValueState.VERIFIED, ValueState.UNSIGNED, ValueState.MISSING, ValueState.REFUSED

TABLE = [
    (readings((0, 0), (900, 10), (1800, 20), (2700, 30)), [V, V, V], "all there"),
    (readings((0, 0), (1800, 20), (2700, 30)), [M, M, V], "a missing reading costs both its values"),
    (readings((0, 0), (900, 10), (1800, 5), (2700, 30)), [V, R, V], "a register that runs backwards"),
    (readings((0, 0), (900, 10), signed=False), [U, M, M], "unsigned"),
    (readings((0, 0), (900, 10), (1800, 20), (2700, 30), disputed={900}), [R, R, V], "a disputed reading"),
    (readings((8, 0), (908, 10), (1808, 20), (2708, 30)), [V, V, V], "start of interval within the tolerance"),
    (readings((9, 0), (909, 10), (1809, 20), (2709, 30)), [M, M, M], "beyond it, its uncertainty counted"),
    (readings((8, 0), (908, 10), soi=False), [M, M, M], "any other reading only within a second"),
    (readings((1, 0), (899, 10), soi=False), [V, M, M], "which it is"),
    (Readings.empty(), [M, M, M], "nothing at all"),
]


@pytest.mark.parametrize(("found", "expected", "why"), TABLE, ids=[row[2] for row in TABLE])
def test_states(found: Readings, expected: list[ValueState], why: str) -> None:
    """A value exists only between two readings that stand on quarter hours, run forward and are undisputed."""
    assert states(found) == expected, why


def test_the_meters_own_boundary_comes_before_a_nearer_second() -> None:
    """A start-of-interval reading stands on the quarter hour even where another second is nearer."""
    own = readings((5, 100))
    near = readings((0, 1), soi=False)
    assert edges(own.merged(near), EXACT).readings.values[0, 0] == 100


@given(st.permutations([0, 1, 2, 900, 901, 1800, 1805]))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    """The same readings give the same edges, however they were merged."""
    merged = Readings.empty()
    for index in order:
        merged = merged.merged(readings((index, index * 3), soi=index % 900 == 0))
    found = edges(merged, EXACT)
    assert found.readings.index.tolist() == [0, 900, 1800]


def test_an_uncertain_time_gives_no_value_to_bill() -> None:
    """Where UTC is not known to 9 s a value is preliminary; where it is not known at all there is none."""
    vague = TimeModel([SyncPoint(0, QUARTER, 20.0)])
    assert states(readings((0, 0), (900, 1)), vague) == [ValueState.PRELIMINARY, M, M]
    assert len(edges(readings((0, 0), (900, 1), soi=False), vague)) == 0
    assert len(edges(readings((0, 0), (900, 1)), TimeModel([SyncPoint(0, QUARTER, 500.0)]))) == 0
    assert len(edges(readings((0, 0), (900, 1)), TimeModel())) == 0


@pytest.mark.parametrize(
    ("day", "count"), [(dt.date(2026, 3, 29), 92), (dt.date(2026, 10, 25), 100), (dt.date(2026, 7, 1), 96)]
)
def test_a_local_day_has_its_values(day: dt.date, count: int) -> None:
    """A day's values are as many as its quarter hours, and add up to the register difference."""
    start, end = midnight_utc(day), midnight_utc(day + dt.timedelta(days=1))
    model = TimeModel([SyncPoint(0, start, 0.5), SyncPoint(10**6, start + 10**6, 0.5)])
    rows = readings(*((900 * place, place * place) for place in range(count + 1)))
    values = intervals(edges(rows, model), start, end)
    assert len(values) == count == values.count(ValueState.VERIFIED)
    assert int(values.energy[:, 0].sum()) == count * count


def test_gaps_are_runs() -> None:
    """Missing values are listed as spans."""
    found = edges(readings((0, 0), (900, 1), (3600, 4), (4500, 5)), EXACT)
    assert list(intervals(found, QUARTER, QUARTER + 4500).gaps()) == [(QUARTER + 900, QUARTER + 3600)]


@pytest.mark.parametrize(
    ("raw", "scaler", "expected"), [(123, -1, 123), (5, 3, 50_000), (129, -2, 12), (-129, -2, -12), (None, -1, 0)]
)
def test_registers_are_truncated_toward_zero(raw: int | None, scaler: int, expected: int) -> None:
    """0.1 Wh is the station's unit; finer registers are cut, never rounded."""
    assert tenths(raw, scaler) == expected


def test_every_state_has_its_market_codes() -> None:
    """No state can reach an export without a code."""
    assert set(MSCONS_STATUS) == set(ESPI_QUALITY) == set(ValueState) == set(CODE_OF)
