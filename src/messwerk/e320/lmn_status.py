"""What the LMN symbol says about the wired interface. Source: E320 manual 5.1.3."""

from __future__ import annotations

from typing import Final

LAYER_2_HOLD_S: Final = 60.0
"""A telegram counts as recent this long; a gateway's address cycle takes about 15 s."""
LAYER_2_HALF_S: Final = 0.5
CHANNEL_HALF_S: Final = 2.0


class LmnStatus:
    """Seen by the link layer, shown by the display. Times are the meter's seconds since mains came."""

    def __init__(self) -> None:
        self.channel_open = False
        """An HDLC connection is open."""
        self.secured = False
        """TLS is ready: the meter communicates in secure mode."""
        self._heard_s: float | None = None

    def heard(self, at_s: float) -> None:
        """A layer 2 telegram with a right checksum was on the line."""
        self._heard_s = at_s

    def lit(self, at_s: float) -> bool:
        """Steady for TLS, 2 s / 2 s for a connection, 0.5 s / 0.5 s for any traffic, else off."""
        if self.secured:
            return True
        if self.channel_open:
            return at_s % (2 * CHANNEL_HALF_S) < CHANNEL_HALF_S
        if self._heard_s is not None and at_s - self._heard_s <= LAYER_2_HOLD_S:
            return at_s % (2 * LAYER_2_HALF_S) < LAYER_2_HALF_S
        return False
