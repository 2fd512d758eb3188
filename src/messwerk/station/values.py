"""What a value is worth: where it came from and whether a bill may use it."""

from __future__ import annotations

from enum import Enum
from typing import Final


class ValueState(Enum):
    """Origin of one 15-minute value; the value is the word in JSON, CSS and exports."""

    VERIFIED = "measured_verified"
    """Difference of two readings whose signatures were verified."""
    UNSIGNED = "measured_unsigned"
    """Difference of two readings that carry no signature (INFO interface)."""
    SUBSTITUTE = "substitute"
    """Formed by a named method because a reading is missing."""
    PRELIMINARY = "preliminary"
    """Will be replaced: the meter's seconds cannot be placed in time well enough yet."""
    MISSING = "missing"
    """A reading at one edge or both is not there."""
    REFUSED = "refused"
    """Readings are there and may not be used: disputed, running backwards, beyond the time tolerance."""

    @property
    def billable(self) -> bool:
        """Whether a bill may use it."""
        return self in (ValueState.VERIFIED, ValueState.SUBSTITUTE)


MSCONS_STATUS: Final[dict[ValueState, str]] = {
    ValueState.VERIFIED: "220",
    ValueState.UNSIGNED: "20",
    ValueState.SUBSTITUTE: "67",
    ValueState.PRELIMINARY: "Z18",
    ValueState.MISSING: "Z30",
    ValueState.REFUSED: "20",
}
"""Qualifier of a quantity (QTY) in MSCONS: true value, substitute, preliminary, missing, not usable."""

ESPI_QUALITY: Final[dict[ValueState, int]] = {
    ValueState.VERIFIED: 18,
    ValueState.UNSIGNED: 14,
    ValueState.SUBSTITUTE: 9,
    ValueState.PRELIMINARY: 10,
    ValueState.MISSING: 10,
    ValueState.REFUSED: 10,
}
"""ReadingQuality of GreenButton: verified, raw, interpolated, questionable."""

STATE_CODES: Final[tuple[ValueState, ...]] = tuple(ValueState)
"""`STATE_CODES[n]` is the state an array holds as n (uint8)."""
CODE_OF: Final[dict[ValueState, int]] = {state: code for code, state in enumerate(STATE_CODES)}
"""The number a state has in an array."""
