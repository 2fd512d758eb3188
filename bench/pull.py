"""Claim: a day of one meter, 96 signed rows over TCP, is pulled, verified and durable in under 100 ms.

A base module behind a communication module on loopback, a station that pulls it once a simulated
day; the figure is the best of several days.
"""

from __future__ import annotations

import asyncio
import json as json_module
import tempfile
import time
from pathlib import Path

import numpy as np

from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.identity import ServerId
from messwerk.link.clock import VirtualClock
from messwerk.link.tcp import serve_requests
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve, PrivateKey
from messwerk.station import Settings, Station

START = 1_790_000_100
DAY_S = 86_400
DAYS = 6


def day() -> PhasePowers:
    """700 W for a day."""
    return PhasePowers(np.full((DAY_S, 3), 700.0 / 3), np.zeros((DAY_S, 3)), np.full((DAY_S, 3), 230.0))


async def best_pull_s(folder: Path) -> float:
    """Seconds of the quickest daily pull."""
    clock, bus = VirtualClock(float(START)), Bus()
    key = PrivateKey.from_seed(Curve.P256, b"bench")
    base = BaseModule(ServerId.from_mac(bytes.fromhex("00151122aabb")), key, folder / "bm", bus, first_index=900)
    module = CommunicationModule(
        ServerId.from_mac(bytes.fromhex("00151122aa01")), bus, folder / "cm", credentials={"operator": "secret"}
    )
    base.announce()
    station = Station(folder / "station", clock, Settings())
    server = await serve_requests("127.0.0.1", 0, module.session)
    station.add_module("127.0.0.1", server.port, "operator", "secret")
    best = float("inf")
    try:
        for _ in range(DAYS):
            base.advance(day())
            clock.advance(DAY_S)
            module.poll(clock.utc())
            began = time.perf_counter()
            await station.pull_once()
            best = min(best, time.perf_counter() - began)
        assert station.overview().counts.signatures_invalid == 0
    finally:
        await station.close()
        await server.close()
        module.close()
        base.close()
    return best


def run(json: bool = False) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        best_s = asyncio.run(best_pull_s(Path(folder)))
    if json:
        print(json_module.dumps({"claim": "pull", "unit": "ms", "a day of one meter": round(best_s * 1e3, 1)}))
    else:
        print(f"pull of a day, 96 signed rows         {best_s * 1e3:.0f} ms (claim: below 100 ms)")


if __name__ == "__main__":
    run()
