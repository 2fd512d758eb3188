"""Status words of base meters as named flags.

They ride on the first register of a list (`ListEntry.status`). Two families are told apart by
their fixed bits; the 64-bit status of SyM² tuples is another thing and not read here.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class FnnStatus(IntFlag):
    """Status word of FNN base meters (mME), an Unsigned32 that ends in 04.

    Source: table in a meter maker's manual, agreeing with captures of six makers.
    """

    ABOVE_STARTING_POWER = 1 << 8
    MAGNETIC_FIELD = 1 << 9
    COVER_OPENED = 1 << 10
    SUM_EXPORTS = 1 << 11
    L1_EXPORTS = 1 << 12
    L2_EXPORTS = 1 << 13
    L3_EXPORTS = 1 << 14
    WRONG_ROTATION = 1 << 15
    RETURN_STOP = 1 << 16
    FATAL_ERROR = 1 << 17
    L1_VOLTAGE = 1 << 18
    L2_VOLTAGE = 1 << 19
    L3_VOLTAGE = 1 << 20


class EdlStatus(IntFlag):
    """Status word of the older EDL40 meters (eHZ), told by bit 7 of its low byte."""

    ERROR = 1 << 0
    SYNCHRONOUS = 1 << 1
    CLOCK_SYNCHRONISED = 1 << 3
    RETURN_STOP = 1 << 4
    EXPORTS = 1 << 5
    MAGNETIC_FIELD = 1 << 6


_FNN_FIXED: Final = 0xFFE0_00FF
"""Bits of the FNN word that do not vary: the identification 04 below, zeros above."""
_FNN_MARK: Final = 0x04
_EDL_MARK: Final = 0x80


def status_flags(word: int) -> FnnStatus | EdlStatus | None:
    """The flags of a status word, by the family its fixed bits show; None for other families."""
    if word >> 32:
        return None
    if word & _FNN_FIXED == _FNN_MARK:
        return FnnStatus(word & ~_FNN_FIXED)
    if word & _EDL_MARK:
        return EdlStatus(word & sum(EdlStatus))
    return None


def exports(status: FnnStatus | EdlStatus | None) -> bool | None:
    """Whether the sum of the phases flows out, by the status word; None when it does not say."""
    match status:
        case FnnStatus():
            return FnnStatus.SUM_EXPORTS in status
        case EdlStatus():
            return EdlStatus.EXPORTS in status
    return None


def alarms(status: FnnStatus | EdlStatus | None) -> tuple[str, ...]:
    """What the status word reports that a person should look after, in sentences."""
    return tuple(sentence for flag, sentence in _ALARMS if isinstance(status, type(flag)) and flag & status)


_ALARMS: Final = (
    (FnnStatus.FATAL_ERROR, "the meter reports a fatal error"),
    (FnnStatus.MAGNETIC_FIELD, "the meter has felt a magnet"),
    (FnnStatus.COVER_OPENED, "the terminal cover has been opened"),
    (FnnStatus.WRONG_ROTATION, "the phases are connected in the wrong order"),
    (EdlStatus.ERROR, "the meter reports an error"),
    (EdlStatus.MAGNETIC_FIELD, "the meter has felt a magnet"),
)

__all__ = ["EdlStatus", "FnnStatus", "alarms", "exports", "status_flags"]
