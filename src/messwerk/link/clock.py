"""Time as an argument: the wall clock of this machine, and one that a test turns by hand."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """What code that waits or dates is handed instead of the `time` module."""

    def utc(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z; may step when somebody sets the clock."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps back. For time-outs and pacing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, at once when they are not positive."""
        ...


class RealClock:
    """The clock of this machine."""

    def utc(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that stands still until told otherwise.

    `advance` lets time pass: both readings move and sleepers whose time has come are released
    in the order of their deadlines, equal ones in the order they lay down. `set` corrects only
    UTC, like an operator or NTP does.
    """

    def __init__(self, utc: float = 0.0) -> None:
        self._utc = utc
        self._monotonic = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def utc(self) -> float:
        return self._utc

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        released = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), released))
        await released

    @property
    def sleepers(self) -> int:
        """How many tasks are waiting for time to pass."""
        return sum(not released.done() for _, _, released in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass. Raises ValueError when negative: time does not run back."""
        if seconds < 0:
            raise ValueError(f"time does not run back ({seconds} s)")
        self._utc += seconds
        self._monotonic += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, released = heapq.heappop(self._sleepers)
            if not released.done():
                released.set_result(None)

    def set(self, utc: float) -> None:
        """Set UTC without letting time pass."""
        self._utc = utc
