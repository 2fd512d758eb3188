"""A small world: a household behind an E320, a workshop behind an E750, and the time they share.

Nothing here knows a socket or the wall clock. The world's time is the base module's seconds
index plus the moment at which that was zero, so that it needs no memory of its own: whoever
kills the world finds it again at the last second its meters stored.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from ..e320 import E320, FirmwareParameters, NonVolatile, UserSettings, Variant
from ..e320.faults import FaultyMeter
from ..e750 import BaseModule, Bus, CommunicationModule
from ..errors import StoreDamaged
from ..identity import DeviceId, ServerId
from ..signing import Curve, PrivateKey
from ..tuples import SignedTuple
from .extra import Adjustable
from .loads import LookAhead, household, workshop
from .twins import Twin

CURVE: Final = Curve.P256
PUSH_USER, PUSH_PASSWORD = "operator", "operator"
"""First user of the communication module, as gateways of this lineage are delivered."""
QUARTER_S: Final = 900
DAY_S: Final = 86_400
HOUSEHOLD_KWH: Final = 4200.0
HOUSEHOLD_KWP: Final = 7.5
WORKSHOP_KWH: Final = 48_000.0
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What a world was made from; kept in its folder and never changed."""

    seed: int
    start_utc: int
    """UTC at the base module's index 0. [s, a quarter hour]"""
    format: int = FORMAT

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read it back; None when there is none. Raises StoreDamaged."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(seed=int(document["seed"]), start_utc=int(document["start_utc"]), format=int(document["format"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(
                f"{path} does not say when this world began: restore it, or remove the data folder to begin anew"
            ) from error

    def save(self, path: Path) -> None:
        """Write it so that a kill leaves the whole file or none."""
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


@dataclass(frozen=True, slots=True)
class Second:
    """What the devices said about one second."""

    signed: SignedTuple
    """The base module's tuple; its bus has carried it already."""
    telegram: bytes | None
    """The E320's INFO telegram, None while it starts up."""


class World:
    """Both meters, the E750's bus and communication module, and what they measure.

    Raises BusyError, StoreDamaged, LocalError.
    """

    def __init__(self, folder: Path, *, seed: int, start_utc: int) -> None:
        """Continue the world kept in `folder`, or begin one at `start_utc` (on a quarter hour)."""
        folder.mkdir(parents=True, exist_ok=True)
        origin = Origin.load(folder / "world.json")
        self.is_new: Final = origin is None
        """Whether this world begins now; otherwise seed and start are those it was made with."""
        if origin is None:
            origin = Origin(seed=seed, start_utc=start_utc - start_utc % QUARTER_S)
            origin.save(folder / "world.json")
        self.origin: Final = origin
        self.household = Adjustable(household(self._number("household"), HOUSEHOLD_KWH, HOUSEHOLD_KWP))
        self.workshop = LookAhead(workshop(self._number("workshop"), WORKSHOP_KWH))
        self.e320 = E320(
            server_id=DeviceId(maker="LGZ", serial=self._number("E320") % 10**8).server_id,
            variant=Variant(),
            memory=NonVolatile(folder / "e320"),
            parameters=FirmwareParameters(active_power_shown=True, keep_settings=True),
            settings=UserSettings(pin_on=False, extended=True),
        )
        self._truth = folder / "faults.jsonl"
        self.twin = Twin(FaultyMeter(self.e320, seed=self._number("faults"), record=self._tell_truth), self.household)
        """The E320 with what hands do to it: faults and loads, nothing until somebody does."""
        self.bus = Bus()
        self.base_module = BaseModule(
            self._module_id("base module"),
            PrivateKey.from_seed(CURVE, self._secret("base module key")),
            folder / "base-module",
            self.bus,
        )
        self.communication_module = CommunicationModule(
            self._module_id("communication module"),
            self.bus,
            folder / "communication-module",
            credentials={PUSH_USER: PUSH_PASSWORD},
        )
        self.base_module.announce()

    @property
    def utc(self) -> int:
        """The moment the world has reached: every second before it is measured. [UTC s]"""
        return self.origin.start_utc + self.base_module.seconds_index

    def tick(self) -> Second:
        """One second passes for everybody.

        The base module goes first: its index is the world's time, and a kill between the two may
        cost the E320 one second but never gives it one twice.
        """
        utc = self.utc
        signed = self.base_module.tick(self.workshop.second(utc))
        self.twin.second(utc)
        return Second(signed, self.twin.telegram)

    def advance_e750(self, until_utc: int) -> None:
        """Let the E750 measure up to `until_utc`, signing period boundaries alone."""
        if until_utc > self.utc:
            self.base_module.advance(self.workshop.load.sample(self.utc, until_utc - self.utc))

    def advance_e320(self, from_utc: int, until_utc: int) -> Iterator[tuple[int, bytes | None]]:
        """Let the E320 measure from one moment to another, with a stop at each quarter hour.

        Yields the moment of each stop and the telegram of the second before it, if one was sent.
        """
        for start in range(from_utc, until_utc, DAY_S):
            powers = self.household.sample(start, min(DAY_S, until_utc - start))
            at = 0
            while at < len(powers):
                stop = min(at + QUARTER_S - (start + at) % QUARTER_S, len(powers))
                yield start + stop, self.twin.faulty.leap(powers[at:stop])
                at = stop

    def close(self) -> None:
        """Power down in an orderly way."""
        self.communication_module.close()
        self.base_module.close()
        self.e320.close()

    def _tell_truth(self, line: str) -> None:
        """Keep the ground truth of a fault that has ended, so that detectors can be scored."""
        with self._truth.open("a", encoding="utf-8") as file:
            print(line, file=file)

    def _secret(self, purpose: str) -> bytes:
        return hashlib.sha256(f"messwerk world {self.origin.seed} {purpose}".encode()).digest()

    def _number(self, purpose: str) -> int:
        return int.from_bytes(self._secret(purpose)[:6], "big")

    def _module_id(self, purpose: str) -> ServerId:
        """A locally administered MAC address, so that no real device has it."""
        return ServerId.from_mac(b"\x02" + self._secret(purpose)[:5])
