"""15-minute values: differences of register readings that stand on quarter hours.

A reading is the truth, a value is derived: it exists only where the readings at both of its
edges exist, lie close enough to the quarter hour, and do not run backwards. A quarter hour's
edge is the meter's own start-of-interval reading within the tolerance; where there is none, any
reading within a second of the boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from .calendar import QUARTER_S, quarters
from .timesync import TimeModel
from .values import CODE_OF, ValueState

TOLERANCE_S: Final = 9.0
"""1 % of 900 s: how far an edge, its uncertainty included, and an interval's length may stray
(PTB-A 50.8)."""
NEAREST_S: Final = 1.0
"""A reading that is no start of interval serves as edge only so close to the boundary."""
VAGUE_S: Final = QUARTER_S / 2
"""With a larger uncertainty it is not even known which quarter hour a reading belongs to."""
REGISTERS: Final = ("import", "export", "r1", "r2", "r3", "r4")
"""Order of the columns of `Readings.values`."""


def tenths(raw: int | None, scaler: int) -> int:
    """A register in 0.1 Wh or 0.1 varh, truncated toward zero; an absent one is 0."""
    if raw is None:
        return 0
    shift = scaler + 1
    if shift >= 0:
        return int(raw * 10**shift)
    quotient = abs(raw) // 10**-shift
    return int(quotient if raw >= 0 else -quotient)


@dataclass(frozen=True, slots=True)
class Readings:
    """Register readings of one meter, ascending by index, each index once."""

    index: NDArray[np.int64]
    values: NDArray[np.int64]
    """Shape (n, 6), columns as `REGISTERS`. [0.1 Wh, 0.1 varh]"""
    start_of_interval: NDArray[np.bool_]
    signed: NDArray[np.bool_]
    """Both signatures verified."""
    disputed: NDArray[np.bool_]
    """Another content with a valid signature claims the same index."""
    status: NDArray[np.int64]
    """Low 32 bits of the status word."""

    @classmethod
    def empty(cls) -> Self:
        none = np.zeros(0, dtype=np.bool_)
        whole = np.zeros(0, dtype=np.int64)
        return cls(whole, np.zeros((0, 6), dtype=np.int64), none, none, none, whole)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, places: NDArray[np.int64]) -> Readings:
        """The readings at these positions."""
        return Readings(
            self.index[places], self.values[places], self.start_of_interval[places],
            self.signed[places], self.disputed[places], self.status[places],
        )  # fmt: skip

    def merged(self, newer: Readings) -> Readings:
        """These and `newer` together; where an index is in both, `newer` stands."""
        joined = Readings(
            np.concatenate((newer.index, self.index)), np.concatenate((newer.values, self.values)),
            np.concatenate((newer.start_of_interval, self.start_of_interval)),
            np.concatenate((newer.signed, self.signed)), np.concatenate((newer.disputed, self.disputed)),
            np.concatenate((newer.status, self.status)),
        )  # fmt: skip
        _, first = np.unique(joined.index, return_index=True)
        return joined.take(first)


@dataclass(frozen=True, slots=True)
class Edges:
    """Readings that stand on quarter hours, ascending by quarter."""

    quarter: NDArray[np.int64]
    """The quarter hour each stands on. [UTC s]"""
    utc: NDArray[np.float64]
    """When it was really taken. [UTC s]"""
    uncertainty_s: NDArray[np.float64]
    vague: NDArray[np.bool_]
    """A start of interval whose time is not known well enough yet: shown, never billed."""
    readings: Readings

    def __len__(self) -> int:
        return len(self.quarter)

    def at(self, quarter: int) -> int | None:
        """Position of the edge on a quarter hour; None when there is none."""
        place = int(np.searchsorted(self.quarter, quarter))
        return place if place < len(self) and self.quarter[place] == quarter else None


def edges(readings: Readings, model: TimeModel) -> Edges:
    """Choose the reading that stands on each quarter hour.

    Start-of-interval readings come first, then the one nearest to the boundary, then the lower
    index: the choice depends on what is there, never on the order it came in.
    """
    utc, uncertainty = model.utc_of(readings.index)
    known = np.flatnonzero(uncertainty <= VAGUE_S)
    quarter = np.rint(utc[known] / QUARTER_S).astype(np.int64) * QUARTER_S
    stray, doubt = np.abs(utc[known] - quarter), uncertainty[known]
    own = readings.start_of_interval[known]
    sure = np.where(own, stray + doubt <= TOLERANCE_S, (stray <= NEAREST_S + doubt) & (doubt <= TOLERANCE_S))
    vague = own & ~sure & (doubt > TOLERANCE_S - NEAREST_S)
    usable = sure | vague
    known, quarter, stray, own, vague = known[usable], quarter[usable], stray[usable], own[usable], vague[usable]
    order = np.lexsort((readings.index[known], stray, ~own, vague, quarter))
    _, first = np.unique(quarter[order], return_index=True)
    best = order[first]
    chosen = known[best]
    return Edges(quarter[best], utc[chosen], uncertainty[chosen], vague[best], readings.take(chosen))


@dataclass(frozen=True, slots=True)
class Intervals:
    """15-minute values of a span, one for each quarter hour whether there is a value or not."""

    start_utc: NDArray[np.int64]
    """Start of each. [UTC s, shape (n,)]"""
    energy: NDArray[np.int64]
    """Shape (n, 6), columns as `REGISTERS`; 0 where there is no value. [0.1 Wh, 0.1 varh]"""
    state: NDArray[np.uint8]
    """Codes of `values.STATE_CODES`."""
    first_index: NDArray[np.int64]
    """Index of the reading at the start; -1 where missing."""
    last_index: NDArray[np.int64]
    """Index of the reading at the end; -1 where missing."""
    uncertainty_s: NDArray[np.float64]
    """The larger one of both edges'; NaN where missing."""

    def __len__(self) -> int:
        return len(self.start_utc)

    def count(self, *states: ValueState) -> int:
        """How many are in one of these states."""
        return int(np.isin(self.state, [CODE_OF[state] for state in states]).sum())

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Runs of missing values as (start, end) in UTC s."""
        missing = np.concatenate(([False], self.state == CODE_OF[ValueState.MISSING], [False]))
        change = np.flatnonzero(missing[1:] != missing[:-1])
        for begin, end in zip(change[::2].tolist(), change[1::2].tolist(), strict=True):
            yield int(self.start_utc[begin]), int(self.start_utc[end - 1]) + QUARTER_S


def intervals(found: Edges, start_utc: int, end_utc: int) -> Intervals:
    """The values of every quarter hour that lies within [start, end).

    A value is refused, and kept visible, where a register runs backwards, an edge is disputed,
    or the time between the edges strays more than 1 % from 900 s.
    """
    starts = quarters(start_utc, end_utc)
    count = len(starts)
    if not len(found) or not count:
        return Intervals(
            starts, np.zeros((count, 6), dtype=np.int64), np.full(count, CODE_OF[ValueState.MISSING], dtype=np.uint8),
            np.full(count, -1), np.full(count, -1), np.full(count, np.nan),
        )  # fmt: skip
    first = np.minimum(np.searchsorted(found.quarter, starts), len(found) - 1)
    last = np.minimum(np.searchsorted(found.quarter, starts + QUARTER_S), len(found) - 1)
    has_first, has_last = found.quarter[first] == starts, found.quarter[last] == starts + QUARTER_S
    both = has_first & has_last
    rows = found.readings
    energy = np.where(both[:, None], rows.values[last] - rows.values[first], 0)
    length_s = found.utc[last] - found.utc[first]
    refused = both & (
        (energy < 0).any(axis=1)
        | rows.disputed[first]
        | rows.disputed[last]
        | (rows.index[last] <= rows.index[first])
        | ((np.abs(length_s - QUARTER_S) > TOLERANCE_S) & ~found.vague[first] & ~found.vague[last])
    )
    signed = rows.signed[first] & rows.signed[last]
    state = np.where(signed, CODE_OF[ValueState.VERIFIED], CODE_OF[ValueState.UNSIGNED])
    state = np.where(found.vague[first] | found.vague[last], CODE_OF[ValueState.PRELIMINARY], state)
    state = np.where(refused, CODE_OF[ValueState.REFUSED], state)
    state = np.where(both, state, CODE_OF[ValueState.MISSING]).astype(np.uint8)
    worst = np.maximum(found.uncertainty_s[first], found.uncertainty_s[last])
    return Intervals(
        starts, energy, state,
        np.where(has_first, rows.index[first], -1), np.where(has_last, rows.index[last], -1),
        np.where(both, worst, np.nan),
    )  # fmt: skip
