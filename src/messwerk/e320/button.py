"""The optical button: light on the INFO interface, told apart into short and long presses.

Bytes in time order, no clock of its own. An infrared head presses it too: while its transmitter
sends, its LED is lit (`lit_by_bytes`). Source: E320 manual 2.4.2, 5.5.1 (400 lx, 2 s, 5 s).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

THRESHOLD_LX: Final = 400.0
SHORTEST_S: Final = 0.05
"""A shorter flash is ignored."""
SHORT_BELOW_S: Final = 2.0
LONG_FROM_S: Final = 5.0
"""A long press acts at this moment, not at its end; between 2 s and 5 s nothing happens."""
GAP_S: Final = 0.03
"""Darkness that does not end a press: stop bits and pauses of a transmitting head."""


class Press(Enum):
    """What the user did."""

    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press and the moment it took effect. [s]"""

    at_s: float
    press: Press


@dataclass(slots=True)
class OpticalButton:
    """Light levels in, presses out. Times may not run backward; an earlier one counts as the latest."""

    now_s: float = 0.0
    lit_since_s: float | None = None
    dark_since_s: float | None = None
    """The light went out while a press was on; the press ends unless it comes back at once."""
    long_done: bool = False

    @property
    def lit(self) -> bool:
        """Light stands on the button, or has gone so shortly that the press is not over."""
        return self.lit_since_s is not None

    @property
    def next_deadline_s(self) -> float | None:
        """When `pass_time` has something to say next."""
        if self.lit_since_s is None:
            return None
        if self.dark_since_s is not None:
            return self.dark_since_s + GAP_S
        return None if self.long_done else self.lit_since_s + LONG_FROM_S

    def light(self, lux: float, at_s: float) -> list[Pressed]:
        """The light changes to `lux` at `at_s`. Returns what takes effect up to then, in order."""
        pressed = self.pass_time(at_s)
        if lux >= THRESHOLD_LX:
            if self.lit_since_s is None:
                self.lit_since_s, self.long_done = self.now_s, False
            self.dark_since_s = None
        elif self.lit_since_s is not None and self.dark_since_s is None:
            self.dark_since_s = self.now_s
        return pressed

    def pass_time(self, until_s: float) -> list[Pressed]:
        """Nothing changes until `until_s`. Returns the presses that take effect."""
        pressed: list[Pressed] = []
        while (deadline_s := self.next_deadline_s) is not None and deadline_s <= until_s:
            pressed += self._meet(deadline_s)
        self.now_s = max(self.now_s, until_s)
        return pressed

    def _meet(self, deadline_s: float) -> list[Pressed]:
        assert self.lit_since_s is not None
        if self.dark_since_s is None:
            self.long_done = True
            return [Pressed(deadline_s, Press.LONG)]
        held_s = self.dark_since_s - self.lit_since_s
        released_s, self.lit_since_s, self.dark_since_s = self.dark_since_s, None, None
        if SHORTEST_S <= held_s < SHORT_BELOW_S:
            return [Pressed(released_s, Press.SHORT)]
        return []


def lit_by_bytes(octets: bytes, baud: int = 9600) -> float:
    """How long a head's LED lights the button while it transmits these bytes (8N1). [s]

    The LED shines for the start bit and for every 0 bit; it counts as lit when that is at least
    half of the time, as with the zero bytes that menu tools send.
    """
    zeros = sum(9 - octet.bit_count() for octet in octets)
    return len(octets) * 10 / baud if octets and zeros >= 5 * len(octets) else 0.0
