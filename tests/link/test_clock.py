"""The clocks that code is handed instead of the `time` module."""

from __future__ import annotations

import asyncio
import time

import pytest

from messwerk.link.clock import RealClock, VirtualClock


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """One big step of a virtual clock releases every due sleeper, earliest first, ties in order."""
    clock, woken = VirtualClock(1000.0), []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [
        asyncio.create_task(sleeper(name, seconds))
        for name, seconds in [("late", 3), ("a", 1), ("b", 1), ("never", 99)]
    ]
    await asyncio.sleep(0)
    assert clock.sleepers == 4
    clock.advance(5)
    await asyncio.gather(*tasks[:3])
    assert woken == ["a", "b", "late"]
    assert (clock.utc(), clock.monotonic()) == (1005.0, 5.0)
    tasks[3].cancel()


async def test_setting_utc_does_not_let_time_pass() -> None:
    """A corrected wall clock must not fire time-outs: monotonic stands still, sleepers sleep on."""
    clock = VirtualClock(1000.0)
    sleeper = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.set(5000.0)
    await asyncio.sleep(0)
    assert (clock.utc(), clock.monotonic(), sleeper.done()) == (5000.0, 0.0, False)
    clock.advance(10)
    await sleeper


async def test_sleeping_no_time_at_all_returns() -> None:
    """Zero and negative waits yield once and go on, on both clocks."""
    await VirtualClock().sleep(0)
    await VirtualClock().sleep(-1)
    await RealClock().sleep(-1)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Cancelling a task that sleeps on a virtual clock leaves nothing that could fail later."""
    clock = VirtualClock()
    sleeper = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    assert clock.sleepers == 0
    clock.advance(2)


def test_time_does_not_run_back() -> None:
    """A negative advance is a mistake of the caller and named as one."""
    with pytest.raises(ValueError, match="does not run back"):
        VirtualClock().advance(-1)


def test_the_real_clock_agrees_with_the_machine() -> None:
    """`RealClock` is the machine's clock, in Unix seconds."""
    assert abs(RealClock().utc() - time.time()) < 1
    assert RealClock().monotonic() <= RealClock().monotonic()
