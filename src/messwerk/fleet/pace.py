"""How fast simulated seconds come: at a speed, or one by one when somebody steps."""

from __future__ import annotations

import asyncio
from typing import Final

from ..link.clock import Clock

LATE_S: Final = 5.0
"""Further behind than this (the computer slept), the seconds owed come all at once."""
SPEED_MAX: Final = 1e6


class Pace:
    """Seconds due by a clock times `speed`, and those asked for with `step`."""

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock = clock
        self._speed = speed
        self._steps = 0
        self._changed = asyncio.Event()
        self._begin_anew()
        self._last_s = clock.monotonic()

    @property
    def speed(self) -> float:
        """Simulated seconds a second; 0 stands still."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if not 0 <= speed <= SPEED_MAX:
            raise ValueError(f"speed is 0 (stand still) to {SPEED_MAX:.0f}, not {speed}")
        self._speed = speed
        self._begin_anew()

    def step(self, seconds: int = 1) -> None:
        """Let this many seconds be due at once, in addition to what the speed does."""
        self._steps += seconds
        self._changed.set()

    @property
    def after_s(self) -> float:
        """How far the present simulated second has got, 0 ≤ x < 1."""
        return min(0.999, max(0.0, (self._clock.monotonic() - self._last_s) * self._speed))

    def passed(self) -> None:
        """Say that the seconds due have been simulated."""
        self._last_s = self._clock.monotonic()

    async def due(self) -> int:
        """Return when the next second is due: 1, or all that are owed after a sleep of LATE_S and more."""
        while True:
            if self._steps:
                self._steps -= 1
                await self._clock.sleep(0)  # control, readers and pages get their turn during many steps
                return 1
            self._changed.clear()
            if not self._speed:
                await self._changed.wait()
                continue
            wait_s = self._from_s + (self._paced + 1) / self._speed - self._clock.monotonic()
            if wait_s < -LATE_S:
                owed = max(1, int((self._clock.monotonic() - self._from_s) * self._speed) - self._paced)
                self._begin_anew()
                return owed
            if wait_s <= 0:
                self._paced += 1
                await self._clock.sleep(0)
                return 1
            await self._until(wait_s)

    def _begin_anew(self) -> None:
        self._from_s = self._clock.monotonic()
        self._paced = 0
        self._changed.set()

    async def _until(self, wait_s: float) -> None:
        """Sleep, but wake up when speed or steps change."""
        sleep, changed = asyncio.ensure_future(self._clock.sleep(wait_s)), asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleep, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            changed.cancel()
