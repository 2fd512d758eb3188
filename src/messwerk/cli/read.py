"""`messwerk read`: telegrams of a real or simulated meter, as a live table or line by line."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, suppress
from typing import Annotated, Any, Final, Protocol

import typer

from .. import sml
from ..errors import MesswerkError, NotSml, SmlError, SourceError
from ..link.endpoint import SILENCE_S, Source, chunks, is_live, parse_source
from ..link.serial import BAUD
from ..sml.reading import TelegramReading, readings
from ..sml.recognise import recognise
from .console import out, remark, until_output_closes
from .formats import JsonLines
from .table import EveryTelegram, LastOfEach, LiveTable

app = typer.Typer()

HEAD: Final = 4096
"""Bytes kept from the start of a source, to say what they are when they are no SML."""
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C before anything was read, as shells have it."""


@app.command()
def read(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A file, - for standard input, a serial device or pty, or tcp://host:port."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a telegram, then a summary.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first telegram.")] = False,
    baud: Annotated[int, typer.Option(help="Speed of a serial device; always 8N1.", min=50)] = BAUD,
    silence: Annotated[
        float, typer.Option(help="Give a live source up after so many seconds without a byte; 0 waits.", min=0)
    ] = SILENCE_S,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what was rejected or put right.")] = False,
) -> None:
    """Read the telegrams of a meter: values with names and units, exact to the last digit."""
    place = parse_source(source, baud=baud)
    intake = Intake(verbose=verbose)
    sink = JsonLines() if as_json else _table(place, intake)
    with until_output_closes():
        interrupted = asyncio.run(_run(place, intake, sink, once=once, silence_s=silence or None))
    if interrupted and not intake.telegrams:
        raise typer.Exit(INTERRUPTED)
    intake.demand_telegrams(place)


class Sink(AbstractContextManager[Any], Protocol):
    """Where telegrams go: entered before the first, finished with the counts after the last."""

    def show(self, telegram: TelegramReading) -> None: ...
    def finish(self, summary: Mapping[str, int]) -> None: ...


def _table(source: Source, intake: Intake) -> Sink:
    if not is_live(source):
        return LastOfEach()
    return LiveTable(str(source), intake.summary) if out.is_terminal else EveryTelegram()


async def _run(source: Source, intake: Intake, sink: Sink, *, once: bool, silence_s: float | None) -> bool:
    """Read until the source ends or somebody interrupts (True); the sink is finished either way."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as a cancellation anyhow
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    interrupted = False
    with sink:
        try:
            await _pump(source, intake, sink, once=once, silence_s=silence_s)
        except asyncio.CancelledError:
            interrupted = True
        except MesswerkError:
            sink.finish(intake.summary)
            raise
        sink.finish(intake.summary)
    return interrupted


async def _pump(source: Source, intake: Intake, sink: Sink, *, once: bool, silence_s: float | None) -> None:
    async with aclosing(chunks(source, silence_s=silence_s)) as pieces:
        async for piece in pieces:
            for telegram in intake.receive(piece):
                sink.show(telegram)
                if once:
                    return
    for telegram in intake.close():
        sink.show(telegram)
        if once:
            return


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
        if self.telegrams:
            return
        if not self._received_bytes:
            raise SourceError(f"{source} closed without a byte" if is_live(source) else f"{source} is empty")
        if self._first_rejection is not None:
            raise SourceError(
                f"{source} holds no whole telegram ({self.summary['rejected']} begun, "
                f"{self._received_bytes} bytes received); the first broke off: {self._first_rejection}"
            )
        if (foreign := recognise(self._head)) is not None:
            protocol, remedy = foreign
            raise NotSml(f"{source} is not SML but {protocol}: {remedy}", protocol=protocol)
        raise NotSml(
            f"{source} is not SML: no start word 1b1b1b1b 01010101 in {self._received_bytes} bytes; "
            "on a serial line check its speed too"
        )
