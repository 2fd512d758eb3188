"""Switching with hysteresis over many seconds at once, its state handed from block to block."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .power import BoolArray

Number = TypeVar("Number", bound=np.number)


def hysteresis(values: NDArray[Number], on_at: float, off_below: float, before: bool) -> BoolArray:
    """True from reaching `on_at` until falling below `off_below`, shape (n,)."""
    decided = np.where(values >= on_at, 1, np.where(values < off_below, -1, 0))
    return last_nonzero(decided, 1 if before else -1) > 0


def last_nonzero(values: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """Replace each zero by the last value that was none; `before` stands ahead of the first."""
    position = np.where(values != 0, np.arange(1, len(values) + 1), 0)
    return np.concatenate(([before], values))[np.maximum.accumulate(position)]
