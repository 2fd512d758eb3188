"""Which profile rows are missing, in terms of the meter's own index: what a pull asks for.

A hole is asked for until it is filled or the meter says it has nothing there; that answer is
remembered while the station runs, so that a true gap costs one question and not one a pull.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .acquire import IndexRange
from .calendar import QUARTER_S
from .intervals import TOLERANCE_S

HOLE_S: Final = QUARTER_S + int(TOLERANCE_S)
"""Two start-of-interval readings further apart than this have a hole between them."""


def missing_ranges(
    held: NDArray[np.int64], index_now: int, oldest: int, exhausted: Sequence[IndexRange] = ()
) -> list[IndexRange]:
    """Ranges without start-of-interval reading from `oldest` up to now, oldest first.

    `held` are the indices of those we have, ascending. The last range is open at its end, so
    that a reading made while we ask comes along.
    """
    oldest = max(0, oldest)
    held = held[held >= oldest]
    if not len(held):
        return _without([IndexRange(oldest, None)], exhausted, index_now)
    ranges = []
    if held[0] - oldest > HOLE_S:
        ranges.append(IndexRange(oldest, int(held[0]) - 1))
    for place in np.flatnonzero(np.diff(held) > HOLE_S).tolist():
        ranges.append(IndexRange(int(held[place]) + 1, int(held[place + 1]) - 1))
    if index_now - held[-1] >= QUARTER_S:
        ranges.append(IndexRange(int(held[-1]) + 1, None))
    return _without(ranges, exhausted, index_now)


def _without(ranges: list[IndexRange], exhausted: Sequence[IndexRange], index_now: int) -> list[IndexRange]:
    """What is left of the ranges when the exhausted ones are cut out; slivers are dropped.

    A range asked for in vain up to now is exhausted up to then only: readings are still made.
    """
    cuts = sorted((one.begin, index_now if one.end is None else one.end) for one in exhausted)
    left = []
    for wanted in ranges:
        begin = wanted.begin
        end = index_now if wanted.end is None else wanted.end
        for cut_begin, cut_end in cuts:
            if cut_end < begin or cut_begin > end:
                continue
            if cut_begin - begin >= QUARTER_S:
                left.append(IndexRange(begin, cut_begin - 1))
            begin = max(begin, cut_end + 1)
        if wanted.end is None and (end - begin >= QUARTER_S or begin == wanted.begin):
            left.append(IndexRange(begin, None))
        elif wanted.end is not None and end - begin >= QUARTER_S:
            left.append(IndexRange(begin, wanted.end))
    return left
