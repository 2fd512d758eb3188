"""`messwerk read`: telegrams of a real or simulated meter, as a live table or line by line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Final

import typer

from ..errors import MesswerkError, PeerLost
from ..link.endpoint import SILENCE_S, ReplaySource, Source, is_live, parse_source
from ..link.serial import BAUD
from ..link.trace import Recorder
from ..sml.reading import TelegramReading
from .console import out, until_output_closes
from .formats import Csv, JsonLines, Output
from .intake import Intake
from .live import follow, pump, run_interruptible
from .table import EveryTelegram, LastOfEach, LiveTable

app = typer.Typer()

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C before anything was read, as shells have it."""


@app.command()
def read(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A file, - for standard input, a serial device or pty, tcp://host:port, or http://….",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a telegram, then a summary.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a value, with a header.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first telegram.")] = False,
    follow_it: Annotated[
        bool, typer.Option("--follow", "-f", help="Connect again whenever the meter is lost; Ctrl-C ends it.")
    ] = False,
    silence: Annotated[
        float,
        typer.Option(help="Seconds without a telegram after which a live source counts as lost; 0 waits.", min=0),
    ] = SILENCE_S,
    baud: Annotated[int, typer.Option(help="Speed of a serial device; always 8N1.", min=50)] = BAUD,
    record: Annotated[
        Path | None, typer.Option(help="Keep every byte with its time in a new file.", show_default=False)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Read such a file instead of a SOURCE.", show_default=False)
    ] = None,
    speed: Annotated[
        float, typer.Option(help="Pace of --replay: 1 as recorded, 60 a minute a second, 0 at once.", min=0)
    ] = 1.0,
    mqtt: Annotated[
        str | None,
        typer.Option(help="Also publish to mqtt://[user:password@]host[:port][/topic].", show_default=False),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what was rejected or put right.")] = False,
) -> None:
    """Read the telegrams of a meter: values with names and units, exact to the last digit."""
    place = _source(source, replay, baud=baud, speed=speed)
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    intake = Intake(verbose=verbose)
    run = Run(place, intake, once=once, silence_s=silence or None, keep_on=follow_it)
    outputs: list[Output] = [JsonLines() if as_json else Csv() if as_csv else _table(place, intake)]
    with until_output_closes(), Recorder(record, str(place)) if record else nullcontext() as recorder:
        interrupted = run_interruptible(run.into(outputs, recorder, mqtt))
    if interrupted and not intake.telegrams:
        raise typer.Exit(INTERRUPTED)
    intake.demand_telegrams(place)


def _source(source: str | None, replay: Path | None, *, baud: int, speed: float) -> Source:
    if replay is not None and source is None:
        return ReplaySource(replay, speed)
    if source is None or replay is not None:
        raise typer.BadParameter("name a SOURCE, or a recording with --replay")
    return parse_source(source, baud=baud)


def _table(source: Source, intake: Intake) -> Output:
    if not is_live(source) and not (isinstance(source, ReplaySource) and source.speed):
        return LastOfEach()
    return LiveTable(str(source), intake.summary) if out.is_terminal else EveryTelegram()


class Run:
    """One run of the command: from a source through the intake into outputs."""

    def __init__(self, source: Source, intake: Intake, *, once: bool, silence_s: float | None, keep_on: bool) -> None:
        self._source, self._intake = source, intake
        self._once, self._silence_s = once, silence_s
        self._keep_on = keep_on and is_live(source)
        self._outputs: list[Output] = []
        self._recorder: Recorder | None = None
        self._last_telegram_s = time.monotonic()

    async def into(self, outputs: list[Output], recorder: Recorder | None, mqtt: str | None) -> None:
        """Read until the source ends; cancelled by Ctrl-C. The outputs are finished either way."""
        self._outputs, self._recorder = outputs, recorder
        if mqtt is not None:
            from .mqtt import Mqtt  # an optional extra

            outputs.append(Mqtt(mqtt))
        async with AsyncExitStack() as stack:
            for output in outputs:
                await stack.enter_async_context(output)
            try:
                await self._read()
            except BrokenPipeError:
                raise
            except BaseException:
                await self._finish()
                raise
            await self._finish()

    async def _read(self) -> None:
        if self._keep_on:
            await follow(self._source, self._take, silence_s=self._silence_s, broken=self._broken)
            return
        await pump(self._source, self._take, silence_s=self._silence_s)
        if not (self._once and self._intake.telegrams):
            await self._show(self._intake.close())

    async def _take(self, piece: bytes) -> bool:
        if self._recorder is not None:
            self._recorder.write(piece)
        if await self._show(self._intake.receive(piece)):
            self._last_telegram_s = time.monotonic()
            return self._once
        self._watch()
        return False

    def _watch(self) -> None:
        """A line that brings bytes but no telegram is as lost as a silent one; opening it anew often helps."""
        waited_s = time.monotonic() - self._last_telegram_s
        if is_live(self._source) and self._silence_s is not None and waited_s > self._silence_s:
            self._last_telegram_s = time.monotonic()
            raise PeerLost(f"{self._source} sent bytes, but no telegram for {self._silence_s:g} s: is its speed right?")

    async def _show(self, telegrams: Iterator[TelegramReading]) -> bool:
        """Hand telegrams to the outputs, only the first with `--once`; whether there was any."""
        any_shown = False
        for telegram in telegrams:
            for output in self._outputs:
                await output.show(telegram)
            any_shown = True
            if self._once:
                break
        return any_shown

    async def _broken(self, reason: MesswerkError, pause_s: float) -> None:
        await self._show(self._intake.close())
        for output in self._outputs:
            await output.note(f"{reason}; connecting again in {pause_s:g} s")

    async def _finish(self) -> None:
        for output in self._outputs:
            await output.finish(self._intake.summary)
