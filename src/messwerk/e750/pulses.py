"""From register readings to pulses: exact, gapless, never a burst, never one too many.

One channel keeps what it owes as integers: a pulse is due for each 1/K kWh, the remainder below
one pulse stays. Pulses due are laid evenly into the second after the reading; more than fit are
carried over. Timing: pulse and pause of at least 30 ms (S0, DIN 43864 / EN 62053-31).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAUSE_MS: Final = 30
"""Shortest pause between two pulses."""
LENGTH_MS: Final = 30
"""Shortest and customary pulse."""
LENGTH_MAX_MS: Final = 500
CATCH_UP_S: Final = 60
"""The energy of a gap is spread over at most this many seconds. [design]"""
BACKLOG_MAX_S: Final = 10
"""Pulses owed for longer than this at full rate are an overload. [design]"""


@dataclass(slots=True)
class Channel:
    """One output. Values are raw register readings of one unit and scaler."""

    last_value: int | None = None
    """Reading the pulses are counted from; None until the first."""
    remainder: int = 0
    """Energy times constant below one pulse."""
    owed: int = 0
    """Pulses due and not yet given out."""
    spread_s: int = 1
    """Seconds over which the pulses owed are still to be spread."""
    total: int = 0
    """Pulses given out over the life of the module."""

    def feed(self, value: int, per_kwh: int, scaler: int, seconds: int) -> bool:
        """Take a reading `seconds` after the one before; returns False when it ran backward.

        The first reading only sets the starting point. A backward one is ignored.
        """
        if self.last_value is None:
            self.last_value = value
            return True
        if value < self.last_value:
            return False
        numerator, denominator = _ratio(per_kwh, scaler)
        due, self.remainder = divmod((value - self.last_value) * numerator + self.remainder, denominator)
        self.last_value = value
        self.owed += due
        if seconds > 1:
            self.spread_s = min(seconds, CATCH_UP_S)
        return True

    def restart(self, value: int | None) -> None:
        """Count from another reading; what is owed stays owed."""
        self.last_value = value

    def give(self, length_ms: int) -> list[int]:
        """The pulses of the coming second: their starting times in ms, evenly laid."""
        most = 1000 // (length_ms + PAUSE_MS)
        count = min(-(-self.owed // self.spread_s), most)
        self.owed -= count
        self.spread_s = max(self.spread_s - 1, 1)
        self.total += count
        return [place * 1000 // count for place in range(count)]

    def overloaded(self, length_ms: int) -> bool:
        """Whether more is owed than the output can give in BACKLOG_MAX_S."""
        return self.spread_s == 1 and self.owed > BACKLOG_MAX_S * (1000 // (length_ms + PAUSE_MS))


def _ratio(per_kwh: int, scaler: int) -> tuple[int, int]:
    """Pulses for one raw unit as a fraction: K · 10**scaler / 1000."""
    return (per_kwh * 10**scaler, 1000) if scaler >= 0 else (per_kwh, 1000 * 10**-scaler)
