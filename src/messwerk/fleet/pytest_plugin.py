"""A pytest plugin: a base meter in your tests, without hardware and without waiting.

    def test_my_reader(sml_stream):
        telegrams = my_reader.parse(sml_stream(seconds=3, p_w=(1000, 0, 0)))
        assert telegrams[-1].power_w == 1000

Installed with the package, so the fixtures are simply there. Time is stepped: a day takes
milliseconds, and equal tests see equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from ..e320 import E320, FirmwareParameters, RamMemory, UserSettings, Variant
from ..e320.display import START_UP_S
from ..e320.faults import FaultyMeter
from ..identity import ServerId
from ..link.clock import VirtualClock
from ..metrology import PhasePowers

SERVER_ID: Final = ServerId.parse("1LGZ0063539421")
START_UTC: Final = 1_780_272_000.0
"""2026-06-01T00:00:00Z."""

SmlStream = Callable[..., bytes]


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A clock that stands at 2026-06-01T00:00:00Z until something advances it."""
    return VirtualClock(START_UTC)


@pytest.fixture
def e320() -> E320:
    """A two-way E320 that has started up: extended data set, no PIN, its first push comes with the next tick.

    `e320.tick(PhasePowers.constant(1, (1000.0, 0.0, 0.0)))` is one second and returns its telegram.
    """
    meter = E320(
        server_id=SERVER_ID,
        variant=Variant(),
        memory=RamMemory(),
        parameters=FirmwareParameters(pin_protection=False),
        settings=UserSettings(pin_on=False, extended=True),
    )
    meter.advance(PhasePowers.constant(START_UP_S, (0.0, 0.0, 0.0)))
    return meter


@pytest.fixture
def faults(e320: E320) -> FaultyMeter:
    """The faults of `e320`: `faults.inject(NoiseBurst(), duration_s=10)`, seen in `sml_stream`."""
    return FaultyMeter(e320, seed=1)


@pytest.fixture
def sml_stream(faults: FaultyMeter, virtual_clock: VirtualClock) -> SmlStream:
    """A function that lets `e320` run and returns the bytes of its INFO interface.

    `sml_stream(seconds=1, p_w=(500, 0, 0), q_var=(0, 0, 0), u_v=(230, 230, 230))`. Each second
    advances `virtual_clock`; line faults have done their work on the bytes.
    """

    def stream(
        seconds: int = 1,
        *,
        p_w: tuple[float, float, float] = (500.0, 0.0, 0.0),
        q_var: tuple[float, float, float] = (0.0, 0.0, 0.0),
        u_v: tuple[float, float, float] = (230.0, 230.0, 230.0),
    ) -> bytes:
        sent = bytearray()
        for second in PhasePowers.constant(seconds, p_w, q_var, u_v).blocks(1):
            sent += faults.tick(second) or b""
            virtual_clock.advance(1.0)
        return bytes(sent)

    return stream
