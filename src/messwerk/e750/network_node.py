"""The network node: four ports, a bridge between them, and 48 V for the modules behind each.

Frames pass unchanged. A port that would close a loop stays blocked; a port that is drawn more
than it may give, or that the budget has nothing left for, is switched off. Both are events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from .. import sml
from ..errors import LocalError
from ..identity import ServerId
from ..signing import PublicKey
from ..sml.messages import ProcParValue
from ..sml.session import SmlServer
from . import object_names as names
from .bus import Bus, Group
from .bus_application import BusApplication, announcement, identification, unsolicited
from .firmware import Firmware
from .firmware_tree import firmware_parameters
from .parameters import Change, Parameter, to_flag, u8, u32

DEVICE_CLASS: Final = bytes.fromhex("8181c78249ff")
PORTS: Final = 4
"""Source: E750 brochure."""
PORT_MAX_W: Final = 15.4
"""What one port may give. [design: IEEE 802.3af]"""
BUDGET_W: Final = 45.0
"""What all ports together may give. [design]"""
ADDRESSES_MAX: Final = 1024
"""Addresses a node remembers; older ones are forgotten and flooded again."""
EVENTS_KEPT: Final = 100
ANNOUNCE_EVERY_S: Final = 60
"""[design]"""


class PortState(IntEnum):
    """Number of a state as the parameter tree shows it. [design]"""

    EMPTY = 0
    """Nothing is plugged in."""
    FORWARDING = 1
    BLOCKED = 2
    """Plugged in, but it would close a loop: no frames pass, the supply is on."""
    OVERLOAD = 3
    """Switched off: more was drawn than the port or the budget allows."""
    DISABLED = 4
    """Switched off by parameter."""


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """Something worth telling: `what` in words, the port from 1."""

    port: int
    what: str


class _Port:
    """One socket of the node, seen from the segment plugged into it."""

    def __init__(self, node: NetworkNode, number: int) -> None:
        self.node, self.number = node, number
        self.segment: Bus | None = None
        self.state = PortState.EMPTY
        self.load_w = 0.0
        self.frames = 0

    def on_segment_frame(self, frame: bytes, sender: ServerId, to: ServerId | Group) -> None:
        self.frames += 1
        self.node._arrived(self, frame, sender, to)

    def reaches(self, address: ServerId, asked: set[int]) -> bool:
        return self.state is PortState.FORWARDING and self.node._reaches(self, address, asked)

    @property
    def supplied(self) -> bool:
        """Whether the modules behind it get their 48 V."""
        return self.state in (PortState.FORWARDING, PortState.BLOCKED)


class NetworkNode:
    """One network node. `supply_changed(port, on)` tells who simulates the wires to switch supplies.

    Ports count from 1. Nodes may be cascaded. `folder` keeps its firmware; without one it cannot be updated.
    Raises BusyError, StoreDamaged, LocalError.
    """

    def __init__(
        self,
        server_id: ServerId,
        *,
        budget_w: float = BUDGET_W,
        supply_changed: Callable[[int, bool], None] = lambda port, on: None,
        folder: Path | None = None,
        download_key: PublicKey | None = None,
    ) -> None:
        self.server_id = server_id
        self.budget_w = budget_w
        self.supply_changed = supply_changed
        self.events: deque[NodeEvent] = deque(maxlen=EVENTS_KEPT)
        self._ports = [_Port(self, number) for number in range(1, PORTS + 1)]
        self._addresses: dict[ServerId, _Port] = {}
        self._probing: _Port | None = None
        self._loop = False
        self._second = 0
        self.firmware = Firmware(folder, DEVICE_CLASS, download_key=download_key) if folder is not None else None
        self._server = SmlServer(BusApplication(server_id, self._parameters, self.firmware))

    # --- plugging --------------------------------------------------------------------------

    def connect(self, number: int, segment: Bus) -> PortState:
        """Plug a segment into a port; it forwards unless it would close a loop.

        Raises LocalError when the port is taken.
        """
        port = self._port(number)
        if port.segment is not None:
            raise LocalError(f"port {number} of {self.server_id} is taken: pull its cable out first")
        port.segment = segment
        segment.join(port)
        if port.state is PortState.EMPTY:
            self._switch(port, PortState.BLOCKED)
            self._open(port)
        return port.state

    def disconnect(self, number: int) -> None:
        """Pull the cable out; a port that was blocked because of the loop opens."""
        port = self._port(number)
        if port.segment is None:
            return
        port.segment.leave(port)
        port.segment, port.load_w = None, 0.0
        if port.state is not PortState.DISABLED:
            self._switch(port, PortState.EMPTY)
        self._forget(port)
        for other in self._ports:
            if other.state is PortState.BLOCKED:
                self._open(other)

    def state(self, number: int) -> PortState:
        return self._port(number).state

    def _port(self, number: int) -> _Port:
        if not 1 <= number <= PORTS:
            raise LocalError(f"a network node has ports 1 to {PORTS}, not {number}")
        return self._ports[number - 1]

    def _open(self, port: _Port) -> None:
        """Let a port forward if a probe sent out of it does not come back by another one."""
        assert port.segment is not None
        probe = sml.Tree(parameter_name=names.NODE_PROBE, parameter_value=u8(port.number))
        frame = unsolicited(self.server_id, None, (names.NODE_PORTS, names.NODE_PROBE), probe)
        self._probing, self._loop = port, False
        port.segment.send(frame, self.server_id, Group.BRIDGES, port)
        self._probing = None
        if self._loop:
            self._tell(port, "a loop: the port stays blocked")
        else:
            self._switch(port, PortState.FORWARDING)
            port.segment.send(
                announcement(self.server_id, None, self._identification()), self.server_id, Group.TUPLES, port
            )

    def _switch(self, port: _Port, state: PortState) -> None:
        before = port.supplied
        port.state = state
        if port.supplied != before:
            self.supply_changed(port.number, port.supplied)

    def _tell(self, port: _Port, what: str) -> None:
        self.events.append(NodeEvent(port.number, what))

    # --- bridge ----------------------------------------------------------------------------

    def _arrived(self, port: _Port, frame: bytes, sender: ServerId, to: ServerId | Group) -> None:
        if sender == self.server_id:
            self._loop = self._loop or (self._probing is not None and port is not self._probing)
            return
        if port.state is not PortState.FORWARDING:
            return
        self._learn(sender, port)
        if to == self.server_id:
            answer = self._server.receive(frame)
            if answer and port.segment is not None:
                port.segment.send(answer, self.server_id, sender, port)
            return
        known = self._addresses.get(to) if isinstance(to, ServerId) else None
        for other in self._ports:
            if other is port or other.state is not PortState.FORWARDING or other.segment is None:
                continue
            if known is None or other is known:
                other.segment.send(frame, sender, to, other)

    def _reaches(self, port: _Port, address: ServerId, asked: set[int]) -> bool:
        if address == self.server_id:
            return True
        return any(
            other.segment.reaches(address, asked)
            for other in self._ports
            if other is not port and other.state is PortState.FORWARDING and other.segment is not None
        )

    def _learn(self, sender: ServerId, port: _Port) -> None:
        self._addresses.pop(sender, None)
        if len(self._addresses) >= ADDRESSES_MAX:
            del self._addresses[next(iter(self._addresses))]
        self._addresses[sender] = port

    def _forget(self, port: _Port) -> None:
        self._addresses = {address: known for address, known in self._addresses.items() if known is not port}

    # --- supply ----------------------------------------------------------------------------

    def set_load(self, number: int, watts: float) -> None:
        """What the modules behind a port draw, as measured there. [W]

        Too much at one port switches it off; too much in all switches off the highest port
        numbers until the budget holds.
        """
        self._port(number).load_w = watts
        for port in reversed(self._ports):
            if port.supplied and (port.load_w > PORT_MAX_W or self.load_w > self.budget_w):
                self._switch(port, PortState.OVERLOAD)
                self._tell(port, f"overload: {port.load_w:.1f} W here, switched off")
                self._forget(port)

    @property
    def load_w(self) -> float:
        """What all supplied ports give. [W]"""
        return sum(port.load_w for port in self._ports if port.supplied)

    def enable(self, number: int, on: bool) -> None:
        """Switch a port by hand; on also clears an overload."""
        port = self._port(number)
        if not on:
            self._switch(port, PortState.DISABLED)
            self._forget(port)
        elif port.state in (PortState.DISABLED, PortState.OVERLOAD):
            if port.segment is None:
                self._switch(port, PortState.EMPTY)
            else:
                port.load_w = 0.0
                self._switch(port, PortState.BLOCKED)
                self._open(port)

    # --- parameters ------------------------------------------------------------------------

    def tick(self) -> None:
        """Let a second pass: the node announces itself from time to time."""
        self._second += 1
        updated = self.firmware is not None and self.firmware.poll(self._second)
        if updated or self._second % ANNOUNCE_EVERY_S == 0:
            self.announce()

    def announce(self) -> None:
        """Tell every segment who is here."""
        frame = announcement(self.server_id, None, self._identification())
        for port in self._ports:
            if port.state is PortState.FORWARDING and port.segment is not None:
                port.segment.send(frame, self.server_id, Group.TUPLES, port)

    def close(self) -> None:
        """Let go of the firmware's files; the bridge needs none."""
        if self.firmware is not None:
            self.firmware.close()

    def _identification(self) -> Parameter:
        version = self.firmware.version if self.firmware is not None else 1
        return identification(self.server_id, DEVICE_CLASS, b"LGZ", b"E75M PM", lambda: version)

    def _parameters(self) -> tuple[Parameter, ...]:
        ports = tuple(
            Parameter(
                names.node_port(port.number),
                children=(
                    Parameter(names.NODE_STATE, _reader(u8, port, "state"), self._enabler(port.number)),
                    Parameter(names.NODE_LOAD, _milliwatts(port)),
                ),
            )
            for port in self._ports
        )
        budget = Parameter(names.NODE_BUDGET, lambda: u32(round(self.budget_w * 1000)))
        firmware = firmware_parameters(self.firmware) if self.firmware is not None else ()
        return (self._identification(), Parameter(names.NODE_PORTS, children=(*ports, budget)), *firmware)

    def _enabler(self, number: int) -> Callable[[ProcParValue], Change]:
        def write(value: ProcParValue) -> Change:
            on = to_flag(value)
            return lambda: self.enable(number, on)

        return write


def _reader(shape: Callable[[int], Any], port: _Port, attribute: str) -> Callable[[], Any]:
    return lambda: shape(getattr(port, attribute))


def _milliwatts(port: _Port) -> Callable[[], Any]:
    return lambda: u32(round(port.load_w * 1000))


__all__ = ["BUDGET_W", "PORTS", "PORT_MAX_W", "NetworkNode", "NodeEvent", "PortState"]
