"""Transport version 1, slow and readable: the oracle of the Rust frame decoder.

`FrameDecoder` is its twin, event for event. `every_frame` knows nothing of decoding: it tries
every start against every end and so says what is there to be found.
"""

from __future__ import annotations

from typing import Final

from messwerk.errors import ChecksumMismatch, DecodeError, SmlError
from messwerk.sml.leniency import Deviation, Leniency
from messwerk.sml.transport import Frame, Rejected

from .binary import swapped, wire_kermit, wire_x25

ESCAPE: Final = b"\x1b\x1b\x1b\x1b"
START: Final = ESCAPE + b"\x01\x01\x01\x01"
MIN_FRAME: Final = 16
MAX_FRAME: Final = 8192
"""Default bound of a frame on the wire: the largest push seen has 684 bytes."""
LARGEST_MAX_FRAME: Final = 4 << 20
MAX_RESCANS: Final = 8
"""How often a byte is looked at again after rejections, so that hostile input costs linear time."""


def every_frame(data: bytes) -> set[tuple[int, int]]:
    """Start and end of everything in `data` that is a frame by structure and X-25."""
    starts = [at for at in range(len(data)) if data.startswith(START, at)]
    ends = [at + 8 for at in range(len(data)) if data.startswith(ESCAPE + b"\x1a", at)]
    return {
        (start, end)
        for start in starts
        for end in ends
        if end - start >= MIN_FRAME
        and (end - start) % 4 == 0
        and wire_x25(data[start : end - 2]) == int.from_bytes(data[end - 2 : end], "big")
    }


class FrameDecoder:
    """Twin of `messwerk.sml.FrameDecoder`."""

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
        if found != wire_x25(raw[:-2]):
            if self._strict or found != wire_kermit(raw[:-2]):
                return self._give_up(
                    end,
                    ChecksumMismatch(
                        what="frame", offset=0, expected=swapped(wire_x25(raw[:-2])), found=swapped(found)
                    ),
                )
            deviations.append(Deviation(Leniency.KERMIT_FRAME, len(raw) - 2, "", raw[-2:].hex()))
        if fill > (3 if self._strict else 4) or fill > len(raw) - MIN_FRAME:
            return self._reject(end, "at most 3 fill bytes", str(fill))
        if fill == 4:
            deviations.append(Deviation(Leniency.FILL_COUNT, len(raw) - 3, "", "4 fill bytes"))
        payload = _unescape(raw, fill)
        self._start, self._at = None, end
        self._accepted += len(raw)
        return Frame(payload, raw, self._base + start, tuple(deviations))


def _unescape(raw: bytes, fill: int) -> bytes:
    """The payload of a frame: doubled runs of four 1b halved, fill bytes taken off."""
    body = raw[8:-8].replace(ESCAPE + ESCAPE, ESCAPE)
    return body[: len(body) - fill]
