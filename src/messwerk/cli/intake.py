"""From the bytes of a source to readings, and to what must be said when there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import sml
from ..errors import NotSml, SmlError, SourceError
from ..link.endpoint import Source, is_live
from ..sml.reading import TelegramReading, readings
from ..sml.recognise import recognise
from .console import remark

HEAD: Final = 4096
"""Bytes kept from the start of a source, to say what they are when they are no SML."""


class Intake:
    """From bytes to readings, counting what was read and what was not."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.summary = {"telegrams": 0, "rejected": 0, "bytes_skipped": 0}
        """The counts the output ends with; updated in place."""
        self._verbose = verbose
        self._decoder = sml.FrameDecoder()
        self._accepted_bytes = 0
        self._unreadable_bytes = 0
        self._received_bytes = 0
        self._head = b""
        self._first_rejection: SmlError | None = None

    @property
    def telegrams(self) -> int:
        return self.summary["telegrams"]

    def receive(self, piece: bytes) -> Iterator[TelegramReading]:
        """What these bytes completed. Counts follow the iteration, so that stopping early is exact."""
        self._received_bytes += len(piece)
        self._head += piece[: HEAD - len(self._head)]
        yield from self._readings(self._decoder.receive(piece))
        self.summary["bytes_skipped"] = self._decoder.bytes_skipped + self._unreadable_bytes

    def close(self) -> Iterator[TelegramReading]:
        """What the end of the source completed; an unfinished telegram counts as rejected."""
        yield from self._readings(self._decoder.close())
        self.summary["bytes_skipped"] = self._decoder.bytes_skipped + self._unreadable_bytes

    def _readings(self, events: list[sml.Frame | sml.Rejected]) -> Iterator[TelegramReading]:
        for event in events:
            if isinstance(event, sml.Rejected):
                self._reject(event.offset, event.reason)
                continue
            try:
                file = sml.decode(event.payload)
            except SmlError as error:
                self._unreadable_bytes += len(event.raw)
                self._reject(event.offset, error)
                continue
            self.summary["bytes_skipped"] = event.offset - self._accepted_bytes
            self.summary["telegrams"] += 1
            self._accepted_bytes += len(event.raw)
            for telegram in readings(file):
                if self._verbose:
                    for finding in (*file.dropped, *event.deviations, *telegram.deviations):
                        remark(f"byte {event.offset}: {finding}")
                yield telegram

    def _reject(self, offset: int, reason: SmlError) -> None:
        self.summary["rejected"] += 1
        self._first_rejection = self._first_rejection or reason
        if self._verbose:
            remark(f"rejected at byte {offset}: {reason}")

    def demand_telegrams(self, source: Source) -> None:
        """Raise NotSml or SourceError, saying what came instead, when nothing could be read."""
        if not self.telegrams:
            raise why_unreadable(source, self._received_bytes, self._head, self._first_rejection)


def why_unreadable(source: Source, received: int, head: bytes, first_rejection: object) -> SourceError:
    """The error for a source without a readable telegram: what came instead, and what to do.

    `received` counts its bytes, `head` is where it began, `first_rejection` why the first telegram
    was refused, None when none began.
    """
    if not received:
        return SourceError(f"{source} closed without a byte" if is_live(source) else f"{source} is empty")
    if first_rejection is not None:
        return SourceError(
            f"{source} holds no whole telegram in its {received} bytes; the first broke off: {first_rejection}"
        )
    if (foreign := recognise(head)) is not None:
        protocol, remedy = foreign
        return NotSml(f"{source} is not SML but {protocol}: {remedy}", protocol=protocol)
    return NotSml(
        f"{source} is not SML: no start word 1b1b1b1b 01010101 in {received} bytes; "
        "on a serial line check its speed too"
    )
