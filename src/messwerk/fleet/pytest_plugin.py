"""A pytest plugin: a base meter or a SyM² rack in your tests, without hardware and without waiting.

    def test_my_reader(sml_stream):
        telegrams = my_reader.parse(sml_stream(seconds=3, p_w=(1000, 0, 0)))
        assert telegrams[-1].power_w == 1000

    def test_my_head_end(e750, e750_pull):
        e750.advance(3600)
        rows = my_head_end.read_profile(e750_pull.exchange)
        assert len(rows) == 4

Installed with the package, so the fixtures are simply there. Time is stepped: a day takes
milliseconds, and equal tests see equal bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from ..e320 import E320, FirmwareParameters, RamMemory, UserSettings, Variant
from ..e320.display import START_UP_S
from ..e320.faults import FaultyMeter
from ..identity import ServerId
from ..link.clock import VirtualClock
from ..metrology import PhasePowers
from ..sml.session import Request, ResponseFile, SmlClient
from .rack import PASSWORD, USER, BasePlan, Rack, RackPlan

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


@pytest.fixture
def e750(tmp_path: Path) -> Iterator[Rack]:
    """A rack at 2026-06-01T00:00:00Z: a LAN communication module and two base modules of 3 kW each.

    `e750.tick()` is one second, `e750.advance(900)` many; `e750.slots[0].module` is the first base
    module, `e750.communication_module.push_file(e750.utc)` the next push.
    """
    base = BasePlan(loads=("constant:1000,1000,1000",))
    rack = Rack(tmp_path / "e750", RackPlan(base_modules=(base, base)), int(START_UTC))
    rack.tick()
    yield rack
    rack.close()


class Pull:
    """A connection to the communication module of `e750`, in memory."""

    def __init__(self, rack: Rack) -> None:
        assert rack.communication_module is not None
        self._session = rack.communication_module.session()
        self._client = SmlClient(b"pytest", counter=itertools.count(1))

    def exchange(self, request: bytes) -> bytes:
        """Bytes of a framed request file in, bytes of the answer out: what a TCP connection would carry."""
        return self._session.receive(request)

    def ask(
        self, server_id: bytes | None, *requests: Request, username: str = USER, password: str = PASSWORD
    ) -> ResponseFile:
        """Send requests in one file and read the answer."""
        wire = self._client.request(server_id, requests, username=username, password=password)
        (answer,) = self._client.receive(self.exchange(wire))
        return answer


@pytest.fixture
def e750_pull(e750: Rack) -> Pull:
    """A connection to `e750` without a socket."""
    return Pull(e750)
