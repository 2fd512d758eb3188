"""Attention numbers: how a device says yes, no and why (`AttentionResponse.attention_no`).

Six bytes `81 81 C7 C7 xx yy`. FDxx are hints, FExx errors, E000 … FCFF belong to applications.
Source: SML 1.03 table 2 (FE 00 … FE 11) and later texts (FE 12 … FE 15).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_PREFIX: Final = bytes.fromhex("8181c7c7")


class Attention(IntEnum):
    """One attention number; the integer is its last two bytes, `number` all six.

    >>> Attention.UNKNOWN_SERVER.number.hex()
    '8181c7c7fe03'
    >>> Attention.of(bytes.fromhex("8181c7c7fe03")).text
    'server ID not available'
    """

    text: str
    """What it says, for people."""

    def __new__(cls, code: int, text: str) -> Attention:
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    ACKNOWLEDGED = 0xFD00, "done"
    ACCEPTED = 0xFD01, "accepted, will be executed later"
    ERROR = 0xFE00, "error without a number of its own"
    UNKNOWN_TAG = 0xFE01, "unknown SML identifier"
    NOT_AUTHORISED = 0xFE02, "insufficient authentication: user name or password wrong"
    UNKNOWN_SERVER = 0xFE03, "server ID not available"
    UNKNOWN_REQUEST_FILE = 0xFE04, "request file ID not available"
    NOT_WRITABLE = 0xFE05, "one or more attributes cannot be written"
    NOT_READABLE = 0xFE06, "one or more attributes cannot be read"
    MEASURING_POINT_DISTURBED = 0xFE07, "communication with the measuring point is disturbed"
    RAW_DATA = 0xFE08, "raw data cannot be interpreted"
    OUT_OF_RANGE = 0xFE09, "value out of the permitted range"
    NOT_EXECUTED = 0xFE0A, "order not executed: the parameter path points to nothing"
    CHECKSUM = 0xFE0B, "checksum wrong"
    NO_BROADCAST = 0xFE0C, "broadcast not supported"
    UNEXPECTED_MESSAGE = 0xFE0D, "unexpected message, as in a file without an open request"
    UNKNOWN_OBJECT = 0xFE0E, "unknown object in the profile"
    TYPE_NOT_SUPPORTED = 0xFE0F, "data type not supported"
    OPTION_NOT_SUPPORTED = 0xFE10, "optional element not supported"
    PROFILE_EMPTY = 0xFE11, "the profile has no entry at all"
    END_BEFORE_BEGIN = 0xFE12, "the range ends before it begins"
    RANGE_EMPTY = 0xFE13, "no entry in this range, but there are others"
    NO_CLOSE = 0xFE14, "the file ended without a close request"
    BUSY = 0xFE15, "profile busy for the moment, ask again later"

    @property
    def number(self) -> bytes:
        """The six bytes on the wire."""
        return _PREFIX + self.value.to_bytes(2, "big")

    @property
    def is_error(self) -> bool:
        """Whether it refuses: FExx does, FDxx does not."""
        return self.value >= Attention.ERROR

    @classmethod
    def of(cls, number: bytes) -> Attention | None:
        """The member of six wire bytes; None for application numbers and anything else."""
        if len(number) != 6 or number[:4] != _PREFIX:
            return None
        code = int.from_bytes(number[4:], "big")
        return next((member for member in cls if member.value == code), None)


def attention_text(number: bytes) -> str:
    """Words for any attention number, also for those the table does not know."""
    known = Attention.of(number)
    return known.text if known is not None else f"application number {number.hex(' ').upper()}"
