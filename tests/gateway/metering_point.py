"""A metering point in simulated time: one gateway, some E320 twins, one line."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from messwerk.e320 import E320, RamMemory, Variant
from messwerk.e320.keys import KeyStore
from messwerk.e320.lmn_port import LmnPort, delivery
from messwerk.e320.nonvolatile import Memory
from messwerk.gateway import Gateway, GatewayEvent
from messwerk.gateway import RamMemory as GatewayRam
from messwerk.gateway.memory import GatewayMemory
from messwerk.identity import DeviceId, ServerId
from messwerk.lmn.line import Line
from messwerk.lmn.tls import Profile
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve, PrivateKey

UTC = 1_800_000_000.0
GATEWAY = DeviceId("MSW", 1).server_id


def meter_id(place: int) -> ServerId:
    return DeviceId("LGZ", 63539421 + place).server_id


def initial_key(place: int) -> bytes:
    return Random(place).randbytes(16)


def plate_key(server_id: ServerId, curve: Curve = Curve.P256) -> bytes:
    assert server_id.device_id is not None
    return PrivateKey.from_seed(curve, server_id.device_id.compact.encode()).public.point


def make_meter(place: int = 0, memory: Memory | None = None, variant: Variant | None = None) -> E320:
    server_id = meter_id(place)
    meter = E320(server_id=server_id, variant=variant or Variant(), memory=memory or RamMemory())
    if meter.keys == KeyStore():
        meter.keys = delivery("1LGZ", initial_key(place), bytes([place + 1]) * 32, meter)
        meter.save_keys()
    return meter


class MeteringPoint:
    """Time passes by `run`; meters tick once a second, the line runs between."""

    def __init__(
        self,
        meters: int = 1,
        *,
        seed: int = 1,
        memory: GatewayMemory | None = None,
        known: bool = True,
        profile: Profile = Profile.SMGW_2025,
        meter_profile: Profile = Profile.E320_2018,
        **settings: object,
    ) -> None:
        self.rng = Random(seed)
        self.powers = PhasePowers.constant(1, (1000.0, 500.0, 0.0))
        self.utc_offset = 0.0
        self.memory = memory or GatewayRam()
        self.meters = [make_meter(place) for place in range(meters)]
        self.ports = [LmnPort(meter, Random(seed + n), profile=meter_profile) for n, meter in enumerate(self.meters)]
        self.gateway = Gateway(
            self.memory, server_id=GATEWAY, entropy=self.rng.randbytes, utc=self.utc, profile=profile,
            **settings,  # type: ignore[arg-type]
        )  # fmt: skip
        if known:
            for place, meter in enumerate(self.meters):
                self.gateway.deliver(meter.server_id, initial_key(place), plate_key(meter.server_id))
        self.line = Line([self.gateway, *self.ports], rng=Random(seed))
        self.log: list[GatewayEvent] = []

    def utc(self) -> float:
        return UTC + self.utc_offset + (self.line.now if hasattr(self, "line") else 0.0)

    def run(self, seconds: int, until: Callable[[GatewayEvent], bool] | None = None) -> GatewayEvent | None:
        """Let seconds pass; with `until`, stop at the first such event and return it."""
        for _ in range(seconds):
            self.line.run(1.0)
            for meter in self.meters:
                meter.tick(self.powers)
            fresh = self.gateway.events()
            self.log += fresh
            for event in fresh:
                if until is not None and until(event):
                    return event
        return None
