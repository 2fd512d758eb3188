"""Transport version 1: the frame around an SML file on a byte stream.

    1b1b1b1b 01010101   <file, runs of four 1b doubled>  <00 x n>   1b1b1b1b 1a nn crc

n fills the frame to a multiple of four; the CRC-16/X-25 covers everything before it, low byte
first. Version 2, of which only the escape words 02, 03, 04 are publicly known, is recognised and
rejected by name. The search for frames is Rust; its readable twin is `tests/oracle/transport.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .. import _core
from ..errors import ChecksumMismatch, DecodeError, LocalError, SmlError
from .leniency import Deviation, Leniency

MAX_FRAME: Final = 8192
"""Default bound of a frame on the wire. [bytes] The largest push ever seen has 684."""
LARGEST_MAX_FRAME: Final = _core.LARGEST_MAX_FRAME
"""Largest bound that may be asked for, for profiles in one file. [bytes]"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame with the right CRC."""

    payload: bytes
    """The SML file: escapes undone, fill bytes taken off."""
    raw: bytes
    """The frame as it was on the wire."""
    offset: int
    """Where it started, in bytes since the decoder was made."""
    deviations: tuple[Deviation, ...] = ()
    """What was tolerated; offsets count from the start of the frame."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that began like a frame and was none."""

    reason: SmlError
    """Its offset counts from the start of the frame."""
    offset: int
    """Where it started, in bytes since the decoder was made."""
    size: int
    """Bytes from there to where it was given up; good frames may still be found inside."""


def frame(payload: bytes) -> bytes:
    """Wrap an SML file for the wire. Every run of four 1b is doubled, wherever it stands."""
    return _core.frame(payload)


class FrameDecoder:
    """Finds frames in a byte stream, however it is cut into portions.

    The search goes byte by byte, and after a rejection it goes on inside the rejected bytes, so a
    line error costs no more than the telegram it hit. `max_frame` bounds a frame on the wire
    [bytes, 16 … 4 MiB]; with `strict` only X-25 and at most three fill bytes are accepted.
    """

    def __init__(self, *, max_frame: int = MAX_FRAME, strict: bool = False) -> None:
        """Raises LocalError for a `max_frame` out of bounds."""
        try:
            self._decoder = _core.FrameDecoder(max_frame, strict)
        except ValueError as error:
            raise LocalError(str(error)) from None

    @property
    def telegrams(self) -> int:
        """Frames accepted so far."""
        return self._decoder.telegrams

    @property
    def rejected(self) -> int:
        """Rejections so far."""
        return self._decoder.rejected

    @property
    def bytes_skipped(self) -> int:
        """Bytes given up so far: noise, and what was rejected and held no frame."""
        return self._decoder.bytes_skipped

    def receive(self, data: bytes) -> list[Frame | Rejected]:
        """Take the next bytes of the stream; returns what they completed, in order."""
        return [_event(*event) for event in self._decoder.receive(data)]

    def close(self) -> list[Frame | Rejected]:
        """End the stream; an unfinished frame is rejected. The decoder can go on afterwards."""
        return [_event(*event) for event in self._decoder.close()]


def _event(*event: Any) -> Frame | Rejected:
    if isinstance(event[0], bytes):
        payload, raw, offset, fill, kermit = event
        noted = []
        if fill > 3:
            noted.append(Deviation(Leniency.FILL_COUNT, len(raw) - 3, "", f"{fill} fill bytes"))
        if kermit:
            noted.append(Deviation(Leniency.KERMIT_FRAME, len(raw) - 2, "", raw[-2:].hex(" ")))
        return Frame(payload, raw, offset, tuple(noted))
    offset, size, at, expected, found = event
    if isinstance(expected, int):
        return Rejected(ChecksumMismatch(what="frame", offset=0, expected=expected, found=found), offset, size)
    return Rejected(DecodeError(offset=at, path="", expected=expected, found=found), offset, size)


__all__ = ["LARGEST_MAX_FRAME", "MAX_FRAME", "Frame", "FrameDecoder", "Rejected", "frame"]
