"""Claims: 32 base modules signing each second and their communication module on a quarter of a core;
three months of signed profile pulled in under a second; a rack of 1000 communication modules, each
answering a pull every 15 minutes, on a tenth of a core.

Everything but the sockets: load, metrology, two signatures a second, state on disk, bus, SML both ways.
"""

from __future__ import annotations

import json as json_text
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from messwerk import sml
from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.e750 import object_names as names
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve, PrivateKey
from messwerk.sml.session import SmlClient

BASE_MODULES = 32
LIVE_S = 10
DAYS = 92
RACKS = 100
"""Racks measured; the claim is about ten times as many."""
QUARTER_S = 900


def powers(seconds: int) -> PhasePowers:
    random = np.random.default_rng(1)
    shape = (seconds, 3)
    return PhasePowers(random.normal(100, 500, shape), random.normal(0, 200, shape), np.full(shape, 230.0))


class Rack:
    """One communication module and some base modules on one bus."""

    def __init__(self, folder: Path, number: int, base_modules: int, stack: ExitStack) -> None:
        bus = Bus()
        mac = number.to_bytes(3, "big")
        self.communication = CommunicationModule(
            ServerId.from_mac(b"\x02\0" + mac + b"\xff"), bus, folder / "cm", credentials={"bench": "bench"}
        )
        stack.callback(self.communication.close)
        self.modules = [
            BaseModule(
                ServerId.from_mac(b"\x02\0" + mac + bytes([place])),
                PrivateKey.from_seed(Curve.P256, mac + bytes([place])), folder / f"bm{place}", bus,
            )
            for place in range(base_modules)
        ]  # fmt: skip
        for module in self.modules:
            stack.callback(module.close)

    def pull(self) -> int:
        """Ask the first base module for its whole profile; bytes answered."""
        client = SmlClient(b"bench")
        request = sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,))
        wire = client.request(self.modules[0].server_id, [request], username="bench", password=b"bench")
        answered = self.communication.session().receive(wire)
        (file,) = client.receive(answered)
        assert file.answer()
        return len(answered)


def live_share(rack: Rack) -> float:
    """Share of one core that a full rack needs in real time."""
    second = powers(1)
    begin = time.process_time()
    for now in range(LIVE_S):
        for module in rack.modules:
            module.tick(second)
        rack.communication.poll(1.7e9 + now)
    return (time.process_time() - begin) / LIVE_S


def profile_pull_s(rack: Rack) -> float:
    """Time from request to decoded rows, for three months of signed quarter hours; the best of three."""
    day = powers(86_400)
    for _ in range(DAYS):
        rack.modules[0].advance(day)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        rack.pull()
        times.append(time.perf_counter() - begin)
    return min(times)


def fleet_share(folder: Path, stack: ExitStack) -> float:
    """Share of one core that 1000 racks need to measure a quarter hour and answer one pull in it."""
    racks = [Rack(folder / str(number), number + 1, 1, stack) for number in range(RACKS)]
    quarter = powers(QUARTER_S)
    begin = time.process_time()
    for rack in racks:
        rack.modules[0].advance(quarter)
        rack.pull()
    return (time.process_time() - begin) / RACKS * 1000 / QUARTER_S


def run(json: bool = False) -> None:
    """Measure and print the three claims."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rack = Rack(Path(folder) / "full", 0, BASE_MODULES, stack)
        share, pull, fleet = live_share(rack), profile_pull_s(rack), fleet_share(Path(folder), stack)
    if json:
        figures = {"claim": "e750_speed", "rack_core_share": share, "profile_pull_s": pull, "fleet_core_share": fleet}
        print(json_text.dumps({name: round(x, 4) if isinstance(x, float) else x for name, x in figures.items()}))
        return
    print(f"{BASE_MODULES} base modules and a CM, one second  {share:6.3f} s of processor time  (claim: below 0.25 s)")
    print(f"pull of {DAYS * 96} signed profile rows      {pull:6.3f} s                    (claim: below 1 s)")
    print(f"1000 CMs, a pull each 15 minutes     {fleet:6.3f} of a core             (claim: below 0.1)")


if __name__ == "__main__":
    run()
