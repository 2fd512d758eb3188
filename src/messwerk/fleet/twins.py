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

INPUT_EVERY_S: Final = 0.05
"""How often light sent through a line's transmit side is looked for."""
LATE_S: Final = 5.0
"""Further behind than this (the computer slept), time goes on from now instead of hurrying after."""
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
        self._speed = speed
        self._steps = 0
        self._changed = asyncio.Event()
        self._set_pace()
        self._last_s = clock.monotonic()

    @property
    def speed(self) -> float:
        """Simulated seconds a second; 0 stands still."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if not 0 <= speed <= 1e6:
            raise ValueError(f"speed is 0 (stand still) to 1000000, not {speed}")
        self._speed = speed
        self._set_pace()

    def step(self, seconds: int = 1) -> None:
        """Let this many seconds pass at once, in addition to what the speed does."""
        self._steps += seconds
        self._changed.set()

    @property
    def after_s(self) -> float:
        """How far the present simulated second has got, 0 ≤ x < 1: for light and display."""
        return min(0.999, max(0.0, (self._clock.monotonic() - self._last_s) * self._speed))

    async def run(self, seconds: int | None = None, *, each: Callable[[], None] = lambda: None) -> None:
        """Run until cancelled, or for so many simulated seconds; `each` is called after every one."""
        listener = asyncio.create_task(self._listen())
        try:
            while seconds is None or seconds > 0:
                await self._wait()
                await self._second()
                each()
                seconds = None if seconds is None else seconds - 1
        finally:
            listener.cancel()

    async def close(self) -> None:
        """Close every twin."""
        for twin in self.twins:
            await twin.close()

    def _set_pace(self) -> None:
        self._pace_from_s = self._clock.monotonic()
        self._paced = 0
        self._changed.set()

    async def _wait(self) -> None:
        """Return when the next second is due."""
        while True:
            if self._steps:
                self._steps -= 1
                return
            self._changed.clear()
            if self._speed:
                wait_s = self._pace_from_s + (self._paced + 1) / self._speed - self._clock.monotonic()
                if wait_s < -LATE_S:
                    self._set_pace()
                elif wait_s <= 0:
                    self._paced += 1
                    await self._clock.sleep(0)
                    return
                else:
                    await self._until(wait_s)
            else:
                await self._changed.wait()

    async def _until(self, wait_s: float) -> None:
        """Sleep, but wake up when speed or steps change."""
        sleep, changed = asyncio.ensure_future(self._clock.sleep(wait_s)), asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleep, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            changed.cancel()

    async def _second(self) -> None:
        for place, twin in enumerate(self.twins, start=1):
            twin.second(self.utc)
            if place % TOGETHER == 0:
                await asyncio.sleep(0)
        self.utc += 1
        self._last_s = self._clock.monotonic()

    async def _listen(self) -> None:
        """Bytes that readers send into a pty are light on the optical button."""
        while True:
            await self._clock.sleep(INPUT_EVERY_S)
            for twin in self.twins:
                if twin.pty is not None and (octets := twin.pty.take_input()):
                    baud = int(BAUD / self._speed) if self._speed else BAUD
                    twin.meter.light_by_bytes(octets, self.after_s, max(baud, 1))
