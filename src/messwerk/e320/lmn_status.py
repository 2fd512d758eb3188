"""What the LMN symbol says about the wired interface. Source: E320 manual 5.1.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LAYER_2_HOLD_S: Final = 60.0
"""A telegram counts as recent this long; a gateway's address cycle takes about 15 s."""
LAYER_2_HALF_S: Final = 0.5
CHANNEL_HALF_S: Final = 2.0


@dataclass(slots=True)
class LmnStatus:
    """Seen by the link layer, shown by the display. Times are the meter's seconds since mains came."""

    channel_open: bool = False
    """An HDLC connection is open."""
    secured: bool = False
    """TLS is ready: the meter communicates in secure mode."""
    heard_s: float | None = None
    """When the last layer 2 telegram was on the line."""

    closed_s: float = 0.0
    """When the last secured channel closed, or mains came."""

    def open_secured(self) -> None:
        """TLS is ready."""
        self.secured = True

    def close_secured(self, at_s: float) -> None:
        """TLS has ended, for whatever reason."""
        self.secured, self.closed_s = False, at_s

    def heard(self, at_s: float) -> None:
        """A layer 2 telegram with a right checksum was on the line."""
        self.heard_s = at_s

    def lit(self, at_s: float) -> bool:
        """Steady for TLS, 2 s / 2 s for a connection, 0.5 s / 0.5 s for any traffic, else off."""
        if self.secured:
            return True
        if self.channel_open:
            return at_s % (2 * CHANNEL_HALF_S) < CHANNEL_HALF_S
        if self.heard_s is not None and at_s - self.heard_s <= LAYER_2_HOLD_S:
            return at_s % (2 * LAYER_2_HALF_S) < LAYER_2_HALF_S
        return False
