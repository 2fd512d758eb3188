"""The fault catalogue of an E320: what can go wrong in the grid, the installation, the device, the line.

    [[fault]]
    kind = "phase_missing"
    start_s = 120
    duration_s = 60
    phase = 1

A `FaultyMeter` wraps a meter and lets planned faults, or ones injected by hand, begin and end at
whole seconds. Each one that ended is told to `record` as ground truth, so that software that
looks for faults can be scored.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from random import Random
from typing import Any, Final, cast

import numpy as np

from ..errors import LocalError
from ..metrology import PhasePowers
from ..metrology.signals import Phasors
from ..metrology.wiring import (
    CurrentMissing,
    CurrentRatio,
    CurrentReversed,
    CurrentsSwapped,
    NeutralLost,
    PhaseMissing,
    PhasesSwapped,
    VoltageMissing,
    WiringFault,
    wire,
)  # fmt: skip
from .error_register import COMMUNICATION, Error
from .line_faults import (
    BitFlips,
    DoubledBytes,
    Echo,
    HalfTelegram,
    InsertedBytes,
    LineFault,
    LostBytes,
    NoiseBurst,
    Silent,
    WrongBaud,
)  # fmt: skip
from .meter import E320
from .nonvolatile import AREAS

# --- grid and device faults that are not wiring ----------------------------------------------


@dataclass(frozen=True, slots=True)
class VoltageLevel:
    """Dip or swell: all voltages at `factor` of theirs; loads are taken as admittances."""

    factor: float = 0.7

    def apply(self, phasors: Phasors) -> Phasors:
        return Phasors(phasors.u_v * self.factor, phasors.i_a * self.factor, phasors.frequency_hz, phasors.orders)


@dataclass(frozen=True, slots=True)
class PowerCut:
    """The meter has no mains while it lasts."""

    def begin(self, meter: E320) -> None:
        meter.cut_power()

    def end(self, meter: E320) -> None:
        meter.restore_power()


@dataclass(frozen=True, slots=True)
class Crash:
    """The processor resets without having saved anything beyond the last second."""

    def begin(self, meter: E320) -> None:
        meter.crash()

    def end(self, meter: E320) -> None:
        """It is over as soon as it has begun."""


@dataclass(frozen=True, slots=True)
class MemoryDamage:
    """A byte of one copy of a memory area turns over; the meter finds out when it starts again."""

    area: str = "state"
    copy: int = 0

    def __post_init__(self) -> None:
        if self.area not in AREAS or self.copy not in (0, 1):
            raise LocalError(
                f"memory has the areas {', '.join(AREAS)} in copies 0 and 1, not {self.area!r} {self.copy}"
            )

    def begin(self, meter: E320) -> None:
        meter.damage_memory(self.area, self.copy)
        meter.crash()

    def end(self, meter: E320) -> None:
        """It stays."""


@dataclass(frozen=True, slots=True)
class DeviceError:
    """An error is found by the device itself and stands in F.F.; critical ones stay after the fault."""

    error: str = "METROLOGY"

    def __post_init__(self) -> None:
        if self.error not in Error.__members__:
            raise LocalError(f"no error {self.error!r}; one of {', '.join(Error.__members__)}")

    def begin(self, meter: E320) -> None:
        meter.raise_error(Error[self.error])

    def end(self, meter: E320) -> None:
        if Error[self.error] & COMMUNICATION:
            meter.heal_error(Error[self.error])


DeviceFault = PowerCut | Crash | MemoryDamage | DeviceError

CATALOGUE: Final[dict[str, type[Any]]] = {
    # grid
    "phase_missing": PhaseMissing,
    "neutral_lost": NeutralLost,
    "voltage_level": VoltageLevel,
    # installation
    "phases_swapped": PhasesSwapped,
    "voltage_missing": VoltageMissing,
    "current_missing": CurrentMissing,
    "current_reversed": CurrentReversed,
    "current_ratio": CurrentRatio,
    "currents_swapped": CurrentsSwapped,
    # device
    "power_cut": PowerCut,
    "crash": Crash,
    "memory_damage": MemoryDamage,
    "device_error": DeviceError,
    # line
    "bit_flips": BitFlips,
    "lost_bytes": LostBytes,
    "doubled_bytes": DoubledBytes,
    "inserted_bytes": InsertedBytes,
    "noise_burst": NoiseBurst,
    "half_telegram": HalfTelegram,
    "echo": Echo,
    "wrong_baud": WrongBaud,
    "silent": Silent,
}
"""Every kind by its name in plans; the other keys of a fault are the fields of its class."""
_KINDS: Final = {cls: kind for kind, cls in CATALOGUE.items()}
_WIRING: Final = (
    PhaseMissing, NeutralLost, VoltageLevel, PhasesSwapped, VoltageMissing, CurrentMissing, CurrentReversed,
    CurrentRatio, CurrentsSwapped,
)  # fmt: skip
_DEVICE: Final = (PowerCut, Crash, MemoryDamage, DeviceError)

# --- plans -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault and when it acts, in seconds from the start of the plan."""

    fault: Any
    """An instance of one of the classes in CATALOGUE."""
    start_s: int
    duration_s: int

    def __post_init__(self) -> None:
        if type(self.fault) not in _KINDS:
            raise LocalError(f"not a fault of the catalogue: {self.fault!r}")
        if self.start_s < 0 or self.duration_s < 1:
            raise LocalError(f"a fault starts at 0 s or later and lasts at least 1 s: {self}")
        if not all(
            value in (0, 1, 2) for name, value in self.parameters.items() if name in ("phase", "first", "second")
        ):
            raise LocalError(f"phases are 0, 1 and 2: {self.fault}")

    @property
    def kind(self) -> str:
        return _KINDS[type(self.fault)]

    @property
    def parameters(self) -> dict[str, Any]:
        return asdict(self.fault)

    @property
    def end_s(self) -> int:
        return self.start_s + self.duration_s


def read_plan(toml: str) -> tuple[PlannedFault, ...]:
    """Faults of a scenario file. Raises LocalError: naming the fault, what is wrong and what may stand there."""
    try:
        tables = tomllib.loads(toml).get("fault", [])
    except tomllib.TOMLDecodeError as error:
        raise LocalError(f"the scenario is not valid TOML: {error}") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise LocalError("faults of a scenario stand in tables [[fault]]")
    return tuple(fault_of(table, f"fault {number}") for number, table in enumerate(tables, start=1))


def fault_of(table: dict[str, Any], what: str) -> PlannedFault:
    """One fault from its table: kind, start_s, duration_s and the fields of its class.

    Raises LocalError, which calls the table `what`.
    """
    kind = table.get("kind")
    if kind not in CATALOGUE:
        raise LocalError(f"{what} has kind {kind!r}; known are {', '.join(CATALOGUE)}")
    types = {"kind": str, "start_s": int, "duration_s": int}
    types |= {field.name: _TYPES[str(field.type)] for field in fields(CATALOGUE[kind])}
    for name, value in table.items():
        if name not in types:
            raise LocalError(f"{what} ({kind}) has no {name!r}; it has {', '.join(types)}")
        allowed = (int, float) if types[name] is float else types[name]
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise LocalError(f"{what} ({kind}): {name} cannot be {value!r}")
    parameters = {name: value for name, value in table.items() if name not in ("kind", "start_s", "duration_s")}
    try:
        return PlannedFault(CATALOGUE[kind](**parameters), table.get("start_s", 0), table.get("duration_s", 1))
    except TypeError as error:
        missing = ", ".join(name for name in types if name not in table and name not in ("start_s", "duration_s"))
        raise LocalError(f"{what} ({kind}) needs {missing}") from error


_TYPES: Final[dict[str, type]] = {"int": int, "float": float, "str": str}
"""Annotations of fault fields, as text because annotations are not evaluated."""


# --- a meter that suffers them -----------------------------------------------------------------


@dataclass(slots=True)
class Active:
    """A fault at work."""

    planned: PlannedFault
    from_index: int
    number: int


class FaultyMeter:
    """A meter and its faults. Use it in the meter's place: `tick` and `advance` as there."""

    def __init__(
        self,
        meter: E320,
        plan: Iterable[PlannedFault] = (),
        *,
        seed: int = 0,
        record: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`record` gets one line of JSON for each fault that has ended."""
        self.meter: Final = meter
        self._waiting = sorted(plan, key=lambda planned: planned.start_s)
        self._active: list[Active] = []
        self._seed = seed
        self._record = record
        self._time_s = 0
        self._begun = 0

    @property
    def active(self) -> tuple[PlannedFault, ...]:
        """Faults at work in this second."""
        return tuple(active.planned for active in self._active)

    def inject(self, fault: Any, duration_s: int) -> None:
        """Let a fault begin with the next second."""
        self._waiting.append(PlannedFault(fault, self._time_s, duration_s))
        self._waiting.sort(key=lambda planned: planned.start_s)

    def end(self, planned: PlannedFault) -> None:
        """End one fault now; one that is not at work is left as it is."""
        ended = [active for active in self._active if active.planned is planned]
        self._active = [active for active in self._active if active.planned is not planned]
        for active in ended:
            self._end(active)

    def clear(self) -> None:
        """End everything at work now."""
        ended, self._active = self._active, []
        for active in ended:
            self._end(active)

    def tick(self, powers: PhasePowers) -> bytes | None:
        """One second: what the line delivers, None where the meter sends nothing."""
        self._turn()
        telegram = self.meter.tick(self._at_terminals(powers))
        self._time_s += 1
        if telegram is None:
            return None
        for active in self._active:
            if not isinstance(active.planned.fault, (*_WIRING, *_DEVICE)):
                rng = Random(f"{self._seed} {active.planned.kind} {active.number} {self._time_s}")
                telegram = cast("LineFault", active.planned.fault).garble(telegram, rng)
        return telegram or None

    def advance(self, powers: PhasePowers) -> None:
        """n seconds at once, cut where faults begin and end."""
        while len(powers):
            self._turn()
            n = min(len(powers), self._next_edge_s() - self._time_s)
            self.meter.advance(self._at_terminals(powers[:n]))
            self._time_s += n
            powers = powers[n:]

    def leap(self, powers: PhasePowers) -> bytes | None:
        """As `E320.leap`: n seconds at once, and what the line delivers in the last of them."""
        if len(powers) and (self._active or self._waiting):
            self.advance(powers[:-1])
            return self.tick(powers[-1:])
        self._time_s += len(powers)
        return self.meter.leap(powers)

    def _next_edge_s(self) -> int:
        edges = [planned.start_s for planned in self._waiting[:1]] + [active.planned.end_s for active in self._active]
        return min(edges, default=np.iinfo(np.int64).max)

    def _turn(self) -> None:
        """Begin and end what is due."""
        ended = [active for active in self._active if active.planned.end_s <= self._time_s]
        self._active = [active for active in self._active if active.planned.end_s > self._time_s]
        for active in ended:
            self._end(active)
        while self._waiting and self._waiting[0].start_s <= self._time_s:
            planned = self._waiting.pop(0)
            self._begun += 1
            self._active.append(Active(planned, int(self.meter.seconds_index), self._begun))
            if isinstance(planned.fault, _DEVICE):
                planned.fault.begin(self.meter)

    def _end(self, active: Active) -> None:
        fault = active.planned.fault
        still_cut = any(isinstance(other.planned.fault, PowerCut) for other in self._active)
        if isinstance(fault, _DEVICE) and not (isinstance(fault, PowerCut) and still_cut):
            fault.end(self.meter)
        self._record(
            json.dumps(
                {
                    "meter": self.meter.server_id.hex(),
                    "from": active.from_index,
                    "to": int(self.meter.seconds_index),
                    "type": active.planned.kind,
                    "parameters": active.planned.parameters,
                }
            )
        )

    def _at_terminals(self, powers: PhasePowers) -> PhasePowers:
        wiring = [active.planned.fault for active in self._active if isinstance(active.planned.fault, _WIRING)]
        if not wiring:
            return powers
        return wire(Phasors.of_powers(powers), *cast("list[WiringFault]", wiring)).powers()
