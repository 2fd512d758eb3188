"""A rack of E750 modules: what it is made of, and the time its modules share. Sans I/O.

A plan names the modules; identities, keys and loads follow from its seed. The rack keeps, for
each base module, the moment its seconds index was zero, so a rack started anew knows how long
every module was without supply: the backup clock counted on, up to its seven days.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..e750 import (
    DIRECT,
    GPRS,
    LAN,
    MEDIUM_VOLTAGE_2A,
    MEDIUM_VOLTAGE_6A,
    PSTN,
    TRANSFORMER,
    BaseModule,
    Bus,
    CommunicationModule,
    Event,
    NetworkNode,
    PulseModule,
    Segment,
    Variant,
    WanVariant,
)
from ..e750.network_node import PORTS
from ..e750.state import StateFile
from ..e750.udp_bus import UdpBridge
from ..e750.wiring import secondary
from ..errors import LocalError
from ..identity import ServerId
from ..metrology import PhasePowers
from ..signing import Curve, PrivateKey
from ..tuples import SignedTuple
from .loads import Load, LookAhead, parse_load

log = logging.getLogger(__name__)

VARIANT_NAMES: Final = {
    "direct": DIRECT,
    "ct": TRANSFORMER,
    "vt-6a": MEDIUM_VOLTAGE_6A,
    "vt-2a": MEDIUM_VOLTAGE_2A,
}
"""Base modules by the names people type."""
WAN_NAMES: Final = {"lan": LAN, "gprs": GPRS, "pstn": PSTN}
CURVE_NAMES: Final = {"p256": Curve.P256, "bp256": Curve.BP256}
USER, PASSWORD = "operator", "operator"
"""First user of the communication module, as gateways of this lineage are delivered."""
MODULE_W: Final = 2.4
"""What a base module draws from the bus. [W] [design]"""
MODULES_MAX: Final = 200
PERIOD_S: Final = 900
DAY_S: Final = 86_400
SEED_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePlan:
    """One base module and what it measures."""

    variant: Variant = DIRECT
    loads: tuple[str, ...] = ("workshop",)
    """As `parse_load` takes them; they add up, on the primary side."""
    three_wire: bool = False
    ct_ratio: int = 1
    vt_ratio: int = 1

    def load(self, seed: int) -> Load:
        """The load at its terminals. Raises LocalError."""
        total = parse_load(self.loads[0], seed)
        for text in self.loads[1:]:
            total = total + parse_load(text, seed)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class RackPlan:
    """What a rack is made of."""

    seed: int = 1
    base_modules: tuple[BasePlan, ...] = (BasePlan(),)
    wan: WanVariant | None = LAN
    """Kind of the communication module; None for a rack whose bus leads to another one's."""
    pulse_modules: int = 0
    """The first follows the first base module, and so on."""
    nodes: int = 0
    """Network nodes; with any, base modules are plugged into their ports 2 to 4 in turn."""
    curve: Curve = Curve.P256
    user: str = USER
    password: str = PASSWORD
    history_days: float = 0.0
    """Measured before a new rack's first live second."""

    def __post_init__(self) -> None:
        count = len(self.base_modules) + self.pulse_modules + self.nodes
        if count > MODULES_MAX:
            raise LocalError(f"a rack holds at most {MODULES_MAX} modules, not {count}")
        if self.pulse_modules > len(self.base_modules):
            raise LocalError("a pulse module needs a base module of its own: add base modules, or take pulse ones away")
        if not 0 <= self.seed <= SEED_MAX:
            raise LocalError(f"a seed is 0 to {SEED_MAX}, not {self.seed}")


@dataclass(slots=True)
class Slot:
    """One base module in its place."""

    module: BaseModule
    load: LookAhead
    segment: Segment
    zero_utc: int
    """UTC at its index 0, as its supply makes it. [s]"""
    plan: BasePlan

    @property
    def utc(self) -> int:
        """The moment it has measured up to, or would have with supply. [s]"""
        return self.zero_utc + self.module.seconds_index

    def powers(self, utc: int) -> PhasePowers:
        """What is at its terminals in the second that begins at `utc`."""
        return self._at_terminals(self.load.second(utc))

    def span(self, utc: int, seconds: int) -> PhasePowers:
        """The same for many seconds."""
        return self._at_terminals(self.load.load.sample(utc, seconds))

    def _at_terminals(self, primary: PhasePowers) -> PhasePowers:
        if self.plan.ct_ratio == self.plan.vt_ratio == 1:
            return primary
        return secondary(primary, self.plan.ct_ratio, self.plan.vt_ratio)


class Rack:
    """The modules of one plan; `bridge` leads to those of other programs.

    Started on the folder of an earlier run it goes on at `utc`, or where that run stopped if
    that was later; in between its modules had no supply. Raises BusyError, StoreDamaged, LocalError.
    """

    def __init__(self, folder: Path, plan: RackPlan, utc: int, *, bridge: UdpBridge | None = None) -> None:
        self.plan, self.folder, self.bridge = plan, folder, bridge
        self.bus = Bus()
        """The backbone: communication and pulse modules sit on it."""
        self.slots: list[Slot] = []
        self.communication_module: CommunicationModule | None = None
        self.pulse_modules: list[PulseModule] = []
        self.nodes: list[NetworkNode] = []
        self.signed: dict[ServerId, SignedTuple] = {}
        """The tuples of the last second."""
        self._open = ExitStack()
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._state = StateFile(folder / "rack")
            self._open.callback(self._state.close)
            zeros = self._load()
            self.is_new = not zeros
            self.utc = utc
            """The second that is measured next. [UTC s]"""
            if bridge is not None:
                bridge.conflict = self._twice
                bridge.plug(self.bus)
            if plan.wan is not None:
                self.communication_module = self._communication_module(plan.wan)
            segments = self._segments()
            for number, base in enumerate(plan.base_modules):
                segment = segments[number % len(segments)] if segments else self.bus
                self._slot(base, number, segment, zeros[number] if number < len(zeros) else None)
            self._supply_after_the_pause()
            self._pulse_modules()
            self._connect_nodes(segments)
            on_failure.pop_all()
        self.save()
        self.announce()

    # --- building --------------------------------------------------------------------------

    def _load(self) -> list[int]:
        state = self._state.load()
        if state is None:
            self._seed = self.plan.seed
            return []
        with self._state.understood():
            self._seed = int(state["seed"])
            return [int(zero) for zero in state["zero_utc"]]

    def save(self) -> None:
        """Store when each base module began."""
        self._state.save({"seed": self._seed, "zero_utc": [slot.zero_utc for slot in self.slots]}, durable=True)

    def _communication_module(self, wan: WanVariant) -> CommunicationModule:
        module = CommunicationModule(
            self._id("communication module"),
            self.bus,
            self.folder / "communication-module",
            credentials={self.plan.user: self.plan.password},
            variant=wan,
        )
        self._open.callback(module.close)
        module.poll(self.utc)
        return module

    def _slot(self, plan: BasePlan, number: int, segment: Segment, zero_utc: int | None) -> Slot:
        name = f"base module {number}"
        module = BaseModule(
            self._id(name),
            PrivateKey.from_seed(self.plan.curve, self._secret(f"{name} key")),
            self.folder / f"base-module-{number:03d}",
            segment,
            variant=plan.variant,
            three_wire=plan.three_wire,
            ct_ratio=plan.ct_ratio,
            vt_ratio=plan.vt_ratio,
        )
        self._open.callback(module.close)
        load = LookAhead(plan.load(self._number(f"{name} load")))
        is_new = zero_utc is None and not module.seconds_index
        history_s = int(self.plan.history_days * DAY_S) // PERIOD_S * PERIOD_S if is_new else 0
        if zero_utc is None:
            zero_utc = self.utc - module.seconds_index - history_s
        slot = Slot(module, load, segment, zero_utc, plan)
        self.slots.append(slot)
        self._measure_until(slot, self.utc if history_s else slot.utc)
        return slot

    def _supply_after_the_pause(self) -> None:
        """Nobody had supply while the rack did not run."""
        self.utc = max([self.utc, *(slot.utc for slot in self.slots)])
        for slot in self.slots:
            if slot.utc < self.utc:
                slot.module.cut_power()
                self._restore(slot, self.utc - slot.utc)

    def _pulse_modules(self) -> None:
        for number in range(self.plan.pulse_modules):
            source = self.slots[number].module.server_id
            module = PulseModule(
                self._id(f"pulse module {number}"), self.bus, self.folder / f"pulse-module-{number:03d}", source=source
            )
            self._open.callback(module.close)
            self.pulse_modules.append(module)

    def _segments(self) -> list[Bus]:
        return [Bus() for _ in range(self.plan.nodes * (PORTS - 1))]

    def _connect_nodes(self, segments: list[Bus]) -> None:
        """Each node hangs on the backbone with port 1 and supplies a segment at each other port."""
        for number in range(self.plan.nodes):
            behind = segments[number * (PORTS - 1) : (number + 1) * (PORTS - 1)]
            node = NetworkNode(
                self._id(f"network node {number}"),
                supply_changed=self._supplier(behind),
                folder=self.folder / f"network-node-{number:03d}",
            )
            self._open.callback(node.close)
            self.nodes.append(node)
            node.connect(1, self.bus)
            for port, segment in enumerate(behind, start=2):
                node.connect(port, segment)
            for port, segment in enumerate(behind, start=2):
                node.set_load(port, MODULE_W * sum(slot.segment is segment for slot in self.slots))

    def _supplier(self, behind: list[Bus]) -> Callable[[int, bool], None]:
        def supply_changed(port: int, on: bool) -> None:
            for slot in self.slots:
                if port > 1 and slot.segment is behind[port - 2] and slot.module.powered != on:
                    self._switch(slot, on)

        return supply_changed

    # --- time ------------------------------------------------------------------------------

    def tick(self) -> None:
        """One second passes for everybody."""
        if self.communication_module is not None:
            # First, so that a token for this moment makes the tuple of this moment a boundary.
            self.communication_module.poll(self.utc + 1)
        self.signed = {
            slot.module.server_id: slot.module.tick(slot.powers(self.utc)) for slot in self.slots if slot.module.powered
        }
        for node in self.nodes:
            node.tick()
        self.utc += 1

    def advance(self, seconds: int) -> None:
        """Many seconds at once: the last one of them is broadcast, the others are measured alone."""
        if seconds > 1:
            until = self.utc + seconds - 1
            for slot in self.slots:
                if slot.module.powered:
                    self._measure_until(slot, until)
            self.utc = until
        self.tick()

    def _measure_until(self, slot: Slot, until: int) -> None:
        for start in range(slot.utc, until, DAY_S):
            slot.module.advance(slot.span(start, min(DAY_S, until - start)))

    # --- what may happen to it -------------------------------------------------------------

    def slot(self, number: int) -> Slot:
        """Base module `number`, from 0. Raises LocalError."""
        if not 0 <= number < len(self.slots):
            raise LocalError(f"there are base modules 0 to {len(self.slots) - 1}, not {number}")
        return self.slots[number]

    def plug(self, plan: BasePlan) -> Slot:
        """A further base module comes onto the backbone; on the folder of an earlier one it is that one."""
        if len(self.slots) >= MODULES_MAX:
            raise LocalError(f"a rack holds at most {MODULES_MAX} modules")
        slot = self._slot(plan, len(self.slots), self.bus, None)
        self.save()
        return slot

    def cut(self, number: int) -> None:
        """Take a base module's supply away, or pull it out, which is the same on this bus."""
        slot = self.slot(number)
        if slot.module.powered:
            slot.module.cut_power()

    def restore(self, number: int, outage_s: int | None = None) -> None:
        """Give it back, after the time that has passed, or as if after `outage_s` seconds."""
        slot = self.slot(number)
        if not slot.module.powered:
            self._restore(slot, max(1, self.utc - slot.utc) if outage_s is None else outage_s)

    def _switch(self, slot: Slot, on: bool) -> None:
        if on:
            self._restore(slot, max(1, self.utc - slot.utc))
        else:
            slot.module.cut_power()

    def _restore(self, slot: Slot, outage_s: int) -> None:
        slot.module.restore_power(outage_s)
        slot.zero_utc = self.utc - slot.module.seconds_index
        self.save()

    def announce(self) -> None:
        """Every module says who it is, as after being plugged in."""
        for slot in self.slots:
            if slot.module.powered:
                slot.module.announce()
        for pulse in self.pulse_modules:
            pulse.announce()
        for node in self.nodes:
            node.announce()

    def _twice(self, server_id: ServerId, where: str) -> None:
        """A second module with a server ID speaks from another program."""
        log.warning("a second module %s at %s: the bus does not listen to it", server_id, where)
        if self.communication_module is not None:
            self.communication_module.report(Event.SERVER_ID_TWICE, server_id, f"a second one at {where}")

    def close(self) -> None:
        """Let go of everything."""
        self._open.close()

    # --- what follows from the seed --------------------------------------------------------

    def _secret(self, purpose: str) -> bytes:
        return hashlib.sha256(f"messwerk rack {self._seed} {purpose}".encode()).digest()

    def _number(self, purpose: str) -> int:
        return int.from_bytes(self._secret(purpose)[:6], "big")

    def _id(self, purpose: str) -> ServerId:
        """A locally administered MAC address, so that no real device has it."""
        return ServerId.from_mac(b"\x02" + self._secret(purpose)[:5])


def named(kind: str, table: dict[str, Any], text: str) -> Any:
    """What a person means by a name. Raises LocalError naming the known ones."""
    if text.lower() not in table:
        raise LocalError(f"there is no {kind} {text!r}; known are {', '.join(table)}")
    return table[text.lower()]
