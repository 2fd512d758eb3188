"""Transport version 1: the frame around an SML file on a byte stream.

    1b1b1b1b 01010101   <file, runs of four 1b doubled>  <00 x n>   1b1b1b1b 1a nn crc

n fills the frame to a multiple of four; the CRC-16/X-25 covers everything before it, low byte
first. `FrameDecoder` is fed bytes in any portions and gives back frames and rejections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import ChecksumMismatch, DecodeError, SmlError
from .binary import _wire_kermit, _wire_x25, decode
from .leniency import Deviation, Leniency

ESCAPE: Final = b"\x1b\x1b\x1b\x1b"
START: Final = ESCAPE + b"\x01\x01\x01\x01"
MIN_FRAME: Final = 16
MAX_FRAME: Final = 8192
"""Default bound of a frame on the wire: the largest push seen has 684 bytes."""
LARGEST_MAX_FRAME: Final = 4 << 20
MAX_RESCANS: Final = 8
"""How often a byte is looked at again after rejections, so that hostile input costs linear time."""


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
    """Wrap an SML file for the wire."""
    body = bytearray(START)
    body += payload.replace(ESCAPE, ESCAPE + ESCAPE)
    fill = -len(body) % 4
    body += bytes(fill) + ESCAPE + bytes((0x1A, fill))
    return bytes(body) + _wire_x25(bytes(body)).to_bytes(2, "big")


class FrameDecoder:
    """Finds frames in a byte stream, however it is cut into portions.

    After a rejection the search goes on inside the rejected bytes, so a line error costs no
    more than the telegram it hit. `max_frame` bounds a frame on the wire [bytes, 16 … 4 MiB].
    """

    def __init__(self, *, max_frame: int = MAX_FRAME, strict: bool = False) -> None:
        if not MIN_FRAME <= max_frame <= LARGEST_MAX_FRAME:
            raise ValueError(f"max_frame is {MIN_FRAME} to {LARGEST_MAX_FRAME} bytes, not {max_frame}")
        self._max_frame = max_frame
        self._strict = strict
        self._buffer = bytearray()
        self._base = 0
        self._at = 0
        self._start: int | None = None
        self._rescanned_to = 0
        self._rescans = 0
        self._accepted = 0
        self.telegrams = 0
        """Frames accepted so far."""
        self.rejected = 0
        """Rejections so far."""

    @property
    def bytes_skipped(self) -> int:
        """Bytes given up so far: noise, and what was rejected and held no frame."""
        return self._base - self._accepted

    def receive(self, data: bytes) -> list[Frame | Rejected]:
        """Take the next bytes of the stream; returns what they completed, in order."""
        self._buffer += data
        return self._events(final=False)

    def close(self) -> list[Frame | Rejected]:
        """End the stream; an unfinished frame is rejected. The decoder can go on afterwards."""
        events = self._events(final=True)
        self._base += len(self._buffer)
        self._buffer.clear()
        self._at, self._start = 0, None
        return events

    def _events(self, *, final: bool) -> list[Frame | Rejected]:
        events: list[Frame | Rejected] = []
        while (event := self._step(final)) is not None:
            events.append(event)
            self.telegrams += isinstance(event, Frame)
            self.rejected += isinstance(event, Rejected)
        keep = self._start if self._start is not None else min(self._at, len(self._buffer))
        del self._buffer[:keep]
        self._base += keep
        self._at -= keep
        self._start = None if self._start is None else 0
        return events

    def _step(self, final: bool) -> Frame | Rejected | None:
        """The next event, or None where more bytes are needed."""
        buffer = self._buffer
        if self._start is None:
            start = buffer.find(START, self._at)
            blocks = buffer.find(ESCAPE + b"\x02", self._at, start + 4 if start >= 0 else len(buffer))
            if blocks >= 0:
                self._at = blocks + 5
                self._rescanned_to = max(self._rescanned_to, self._base + self._at)
                reason = DecodeError(offset=0, path="", expected="transport version 1", found="a version 2 start word")
                return Rejected(reason, self._base + blocks, 5)
            if start < 0:
                self._at = max(self._at, len(buffer) - len(START) + 1)
                return None
            self._start, self._at = start, start + len(START)
        start = self._start
        while True:
            escape = buffer.find(ESCAPE, self._at)
            if (escape if escape >= 0 else len(buffer) - 3) + 8 - start > self._max_frame:
                return self._reject(
                    start + self._max_frame, f"an end within {self._max_frame} bytes", "none", at=self._max_frame
                )
            if escape < 0 or escape + 8 > len(buffer):
                self._at = max(self._at, len(buffer) - 3) if escape < 0 else escape
                return self._reject(len(buffer), "the end word", "the end of the stream") if final else None
            word, aligned = buffer[escape + 4 : escape + 8], (escape - start) % 4 == 0
            if word == START[4:]:
                return self._reject(escape, "the end word", "the start of another frame")
            if word == ESCAPE:
                self._at = escape + 8
            elif not aligned:
                self._at = escape + 1
            elif word[0] == 0x1A:
                return self._finish(start, escape + 8)
            elif word[0] in (2, 3, 4):
                return self._reject(escape + 8, "transport version 1", f"a version 2 word {word.hex()}")
            else:
                return self._reject(escape + 8, "a known escape word", word.hex())

    def _reject(self, end: int, expected: str, found: str, *, at: int | None = None) -> Rejected:
        assert self._start is not None
        offset = end - self._start if at is None else at
        return self._give_up(end, DecodeError(offset=offset, path="", expected=expected, found=found))

    def _give_up(self, end: int, reason: SmlError) -> Rejected:
        """Leave the frame and look for others inside its bytes."""
        start = self._start
        assert start is not None
        fresh = self._base + start >= self._rescanned_to
        self._rescans = 0 if fresh else self._rescans + 1
        self._rescanned_to = max(self._rescanned_to, self._base + end)
        self._start = None
        self._at = start + 1 if self._rescans < MAX_RESCANS else end
        return Rejected(reason, self._base + start, end - start)

    def _finish(self, start: int, end: int) -> Frame | Rejected:
        raw = bytes(self._buffer[start:end])
        fill = raw[-3]
        found = int.from_bytes(raw[-2:], "big")
        deviations = []
        if found != _wire_x25(raw[:-2]):
            if self._strict or found != _wire_kermit(raw[:-2]):
                return self._give_up(
                    end, ChecksumMismatch(what="frame", offset=0, expected=_wire_x25(raw[:-2]), found=found)
                )
            deviations.append(Deviation(Leniency.KERMIT_FRAME, len(raw) - 2, "", raw[-2:].hex()))
        if fill > (3 if self._strict else 4) or fill > len(raw) - MIN_FRAME:
            return self._reject(end, "at most 3 fill bytes", str(fill))
        if fill == 4:
            deviations.append(Deviation(Leniency.FILL_COUNT, len(raw) - 3, "", "4 fill bytes"))
        payload = _unescape(raw, fill, aligned_only=False)
        other = _unescape(raw, fill, aligned_only=True)
        if other != payload and not self._strict and not _intact(payload) and _intact(other):
            deviations.append(Deviation(Leniency.ALIGNED_ESCAPES, 0, ""))
            payload = other
        self._start, self._at = None, end
        self._accepted += len(raw)
        return Frame(payload, raw, self._base + start, tuple(deviations))


def _unescape(raw: bytes, fill: int, *, aligned_only: bool) -> bytes:
    """The payload of a frame: doubled runs of four 1b halved, fill bytes taken off."""
    body = raw[8:-8]
    payload = bytearray()
    at = 0
    while at < len(body):
        doubled = body[at : at + 8] == ESCAPE + ESCAPE and (at % 4 == 0 or not aligned_only)
        payload += body[at : at + (4 if doubled else 1)]
        at += 8 if doubled else 1
    return bytes(payload[: len(payload) - fill])


def _intact(payload: bytes) -> bool:
    """Whether every message is whole and has the right CRC."""
    try:
        file = decode(payload)
    except SmlError:
        return False
    return not file.dropped


__all__ = ["LARGEST_MAX_FRAME", "MAX_FRAME", "MIN_FRAME", "Frame", "FrameDecoder", "Rejected", "frame"]
