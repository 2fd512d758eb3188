"""E320 twins that run live: their seconds paced by a clock, their INFO interfaces on real lines.

real time        speed 1, a telegram each second at 9600 Bd
any speed        seconds come sooner or later, the line's pace with them
single step      speed 0, `step` lets seconds pass
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from ..e320 import E320
from ..e320.faults import FaultyMeter
from ..errors import MesswerkError
from ..link.clock import Clock
from ..link.serial import BAUD, Pty, SerialLine
from ..link.tcp import Broadcast
from .model import LookAhead
from .pace import Pace

INPUT_EVERY_S: Final = 0.05
"""How often light sent through a line's transmit side is looked for."""
TOGETHER: Final = 50
"""Meters stepped before others get the processor."""


@dataclass(slots=True)
class Twin:
    """One E320, what is at its terminals, and where its INFO interface leads."""

    faulty: FaultyMeter
    load: LookAhead
    pty: Pty | None = None
    serial: SerialLine | None = None
    tcp: Broadcast | None = None
    telegrams: int = 0
    """Sent since the start."""
    telegram: bytes | None = None
    """Of the last second."""
    skipped: int = 0
    """Telegrams a serial line was too slow for."""
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def meter(self) -> E320:
        return self.faulty.meter

    def second(self, utc: int) -> None:
        """Measure the second that begins at `utc` and send its telegram."""
        self.telegram = self.faulty.tick(self.load.second(utc))
        if self.telegram is None:
            return
        self.telegrams += 1
        if self.tcp is not None:
            self.tcp.send(self.telegram)
        for line in (self.pty.send if self.pty else None, self.serial.write if self.serial else None):
            if line is None:
                continue
            if len(self._sending) >= 2:
                self.skipped += 1
                continue
            task = asyncio.create_task(_quietly(line(self.telegram)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Let go of lines and memory; the meter powers down in an orderly way."""
        for task in tuple(self._sending):
            task.cancel()
        if self.tcp is not None:
            await self.tcp.close()
        if self.serial is not None:
            await self.serial.close()
        if self.pty is not None:
            self.pty.close()
        self.faulty.clear()
        self.meter.close()


async def _quietly(sending: Coroutine[Any, Any, None]) -> None:
    """A line that goes away takes its telegram with it."""
    with suppress(MesswerkError, OSError):
        await sending


class Twins:
    """Meters that share one clock. Simulated time begins at `start_utc` and moves by whole seconds."""

    def __init__(self, twins: Sequence[Twin], *, clock: Clock, start_utc: int, speed: float = 1.0) -> None:
        self.twins: Final = tuple(twins)
        self.utc = start_utc
        """The second that is measured next."""
        self._clock = clock
        self._pace = Pace(clock, speed)

    @property
    def speed(self) -> float:
        """Simulated seconds a second; 0 stands still."""
        return self._pace.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._pace.speed = speed

    def step(self, seconds: int = 1) -> None:
        """Let this many seconds pass at once, in addition to what the speed does."""
        self._pace.step(seconds)

    @property
    def after_s(self) -> float:
        """How far the present simulated second has got, 0 ≤ x < 1: for light and display."""
        return self._pace.after_s

    async def run(self, seconds: int | None = None, *, each: Callable[[], None] = lambda: None) -> None:
        """Run until cancelled, or for so many simulated seconds; `each` is called after every one."""
        listener = asyncio.create_task(self._listen())
        try:
            while seconds is None or seconds > 0:
                await self._pace.due()  # after a sleep of the computer time goes on from now
                await self._second()
                each()
                seconds = None if seconds is None else seconds - 1
        finally:
            listener.cancel()

    async def close(self) -> None:
        """Close every twin."""
        for twin in self.twins:
            await twin.close()

    async def _second(self) -> None:
        for place, twin in enumerate(self.twins, start=1):
            twin.second(self.utc)
            if place % TOGETHER == 0:
                await asyncio.sleep(0)
        self.utc += 1
        self._pace.passed()

    async def _listen(self) -> None:
        """Bytes that readers send into a pty are light on the optical button."""
        while True:
            await self._clock.sleep(INPUT_EVERY_S)
            for twin in self.twins:
                if twin.pty is not None and (octets := twin.pty.take_input()):
                    baud = int(BAUD / self.speed) if self.speed else BAUD
                    twin.meter.light_by_bytes(octets, self.after_s, max(baud, 1))
