"""How fast the wired network is: a full line within its bit rate, and a thousand gateways in one process."""

from __future__ import annotations

import json as json_text
import time
from random import Random

from messwerk.e320 import E320, RamMemory, Variant
from messwerk.e320.lmn_port import LmnPort, delivery
from messwerk.gateway import Done, Gateway
from messwerk.gateway import RamMemory as GatewayMemory
from messwerk.identity import DeviceId
from messwerk.lmn import Line
from messwerk.metrology import PhasePowers

METERS = 32
LINE_S = 150
GATEWAYS = 1000
GATEWAYS_S = 60
UTC = 1_800_000_000.0


class Point:
    """One gateway with some meters on its line, in simulated time."""

    def __init__(self, meters: int, seed: int) -> None:
        rng = Random(seed)
        self.meters = []
        self.gateway = Gateway(
            GatewayMemory(),
            server_id=DeviceId("MSW", seed).server_id,
            entropy=rng.randbytes,
            utc=lambda: UTC,
        )
        for place in range(meters):
            identity = DeviceId("LGZ", seed * 100 + place)
            meter = E320(server_id=identity.server_id, variant=Variant(), memory=RamMemory())
            meter.keys = delivery(identity.compact, rng.randbytes(16), rng.randbytes(32), meter)
            self.gateway.deliver(identity.server_id, meter.keys.initial_key)
            self.meters.append(meter)
        self.line = Line([self.gateway, *(LmnPort(meter, Random(rng.random())) for meter in self.meters)], rng=rng)
        self.readings = 0

    def run(self, seconds: int) -> None:
        powers = PhasePowers.constant(seconds, (1000.0, 0.0, 0.0))
        for meter in self.meters:
            meter.advance(powers)
        self.line.run(seconds)
        self.readings += sum(isinstance(event, Done) and event.reading is not None for event in self.gateway.events())


def full_line() -> tuple[float, float, float]:
    """Readings a meter and 15 s, share of time the line is busy, processor seconds a simulated second."""
    point = Point(METERS, 1)
    point.run(60)  # found and paired
    point.readings, busy_s = 0, point.line.busy_s
    begin = time.process_time()
    for _ in range(LINE_S):
        point.run(1)
    spent_s = time.process_time() - begin
    return point.readings / METERS / (LINE_S / 15), (point.line.busy_s - busy_s) / LINE_S, spent_s / LINE_S


def many_gateways(gateways: int = GATEWAYS) -> tuple[float, float]:
    """Readings a gateway and minute, processor seconds a simulated second, of gateways with one meter each."""
    points = [Point(1, seed) for seed in range(1, gateways + 1)]
    for point in points:
        point.run(10)
        point.readings = 0
    begin = time.process_time()
    for point in points:
        point.run(GATEWAYS_S)
    spent_s = time.process_time() - begin
    return sum(point.readings for point in points) / gateways, spent_s / GATEWAYS_S


def run(json: bool = False) -> None:
    """Measure and print both claims."""
    each, busy, line_share = full_line()
    readings, gateways_share = many_gateways()
    if json:
        figures = {
            "claim": "lmn", "readings_per_meter_and_15_s": round(each, 3), "line_busy": round(busy, 4),
            "line_core_share": round(line_share, 4), "readings_per_gateway_and_minute": round(readings, 2),
            "gateways_core_share": round(gateways_share, 3),
        }  # fmt: skip
        print(json_text.dumps(figures))
        return
    print(f"{METERS} meters on one line: {each:.2f} readings a meter in 15 s (claim: 1), line busy {busy:.1%}")
    print(f"  at {line_share:.3f} s of processor time a simulated second")
    print(f"{GATEWAYS} gateways in one process: {readings:.1f} readings a gateway and minute (claim: 4)")
    print(f"  at {gateways_share:.3f} s of processor time a simulated second (claim: below 1)")


if __name__ == "__main__":
    run()
