"""Energies of past days without a calendar: 730 periods of 86 400 operating seconds.

A day ends whenever the seconds index has moved on by 86 400 since the anchor (first start, or
the last reset of the history). Weeks, months and years are sums of day values counted back from
the newest complete day; a period is known only when all its days are complete. Time without
mains does not count. Source: 730 day, 104 week, 24 month and 2 year values of the class.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..errors import StoreDamaged

DAY_S: Final = 86_400
DAYS: Final = 730
PERIOD_DAYS: Final = (1, 7, 30, 365)
"""Lengths the menu offers, shown as 1d, 7d, 30d, 365d."""
DIRECTIONS: Final = 2
"""Rows of the ring: +A, -A."""


class History:
    """Ring of the last 730 day values for both directions. [mWs]"""

    def __init__(self) -> None:
        self._ring = np.zeros((DIRECTIONS, DAYS), dtype=np.int64)
        self.complete_days = 0
        """Days completed since the anchor; the ring holds the newest 730 of them."""

    def close_day(self, import_mws: int, export_mws: int) -> None:
        """Put the energies of the day that just ended into the ring."""
        self._ring[:, self.complete_days % DAYS] = import_mws, export_mws
        self.complete_days += 1

    def period(self, direction: int, days: int, age: int) -> int | None:
        """Energy of the `age`-th newest period (1 = newest) of `days` complete days. [mWs]

        `direction` 0 is +A, 1 is -A. None unless every day of it is complete and still held.
        """
        oldest = days * age
        if age < 1 or oldest > min(self.complete_days, DAYS):
            return None
        slots = np.arange(self.complete_days - oldest, self.complete_days - days * (age - 1)) % DAYS
        return int(self._ring[direction, slots].sum())

    def periods(self, days: int) -> int:
        """How many complete periods of this length are held."""
        return min(self.complete_days, DAYS) // days

    def clear(self) -> None:
        """Forget every day; the caller moves the anchor."""
        self._ring[:] = 0
        self.complete_days = 0

    def to_bytes(self) -> bytes:
        return self.complete_days.to_bytes(4, "big") + self._ring.astype(">i8").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> History:
        """Raises StoreDamaged when the size is wrong."""
        if len(content) != 4 + 8 * DIRECTIONS * DAYS:
            raise StoreDamaged(f"a history has {4 + 8 * DIRECTIONS * DAYS} bytes, not {len(content)}")
        history = cls()
        history.complete_days = int.from_bytes(content[:4], "big")
        history._ring = np.frombuffer(content[4:], dtype=">i8").reshape(DIRECTIONS, DAYS).astype(np.int64)
        return history
