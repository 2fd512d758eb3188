"""What real meters get wrong, each as a named leniency.

The declared types never learn these errors. Where a reader tolerates one it says so in a
`Deviation`; with `strict=True` every one of them is refused. Quirks that turn out to be legal
(unshortened tags Q15, short integers Q5, lists of 16 and more Q16, local time stamps Q7, time on
odd entries Q13, free-form identifiers Q14) need no leniency and are read in both modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Leniency(Enum):
    """One deviation we know by name: quirk number, who sends it, what is wrong."""

    quirk: str
    """Row of the quirk table in `docs/protocols/sml.md`, empty where no meter was seen."""
    meter: str
    """Meters that need it."""
    what: str
    """What is wrong and what we make of it."""

    def __new__(cls, quirk: str, meter: str, what: str) -> Leniency:
        member = object.__new__(cls)
        member._value_ = what
        member.quirk, member.meter, member.what = quirk, meter, what
        return member

    # in the transport frame
    KERMIT_FRAME = "Q3", "Holley DTZ541", "the frame's CRC is CRC-16/Kermit, high byte first, not X-25"
    FILL_COUNT = "Q9", "several", "four fill bytes are announced where at most three can be needed"

    # in the SML file
    KERMIT_MESSAGE = "Q3", "Holley DTZ541", "the message's CRC is CRC-16/Kermit, high byte first, not X-25"
    SHORT_CRC = "Q4", "ISKRA MT691", "the CRC field lost its leading zero byte"
    EXTRA_ZEROS = "Q10", "Hager eHZ361L5R", "zero bytes stand between or behind the messages"
    BARE_TIME = "Q2", "Holley DTZ541, ZEA, ZEB", "a time is a bare Unsigned32 without the choice around it"
    MISSING_VALUE = "Q12", "EMH eHZ-IW8E2A5L0EK2P", "a list entry has no value; it is read as None"

    # in what the values mean
    DZG_SIGN = (
        "Q1",
        "DZG DVS74, DWS74, DWSB20, DVBS12, DWS7612",
        ("a positive power was cut until its sign bit is set; the status word's direction decides"),
    )
    DIRECTION_BIT = (
        "Q6",
        "EMH ED300L, eHZ-HW8, Hager",
        ("the power is a magnitude; its direction stands only in the status word"),
    )
    DUMMY_OPTIONALS = "Q8", "DZG 7612", "a text carries time 0, unit 0 and scaler 0 instead of nothing"


@dataclass(frozen=True, slots=True)
class Deviation:
    """A leniency that was used, and where."""

    leniency: Leniency
    offset: int
    """Bytes from the start of what was decoded."""
    path: str
    """The field, e.g. `GetListResponse.val_list[2].val_time`; empty for file and frame."""
    detail: str = ""
    """What was found, for people."""

    def __str__(self) -> str:
        where = f"{self.path} at byte {self.offset}" if self.path else f"byte {self.offset}"
        found = f" ({self.detail})" if self.detail else ""
        return f"{where}: {self.leniency.what}{found}"
