"""The local SyM² bus: Ethernet semantics, addresses from the server ID, frames of SML transport.

A frame is bytes and nothing else: what crosses this bus could cross a wire, and modules never
call each other. This in-memory segment delivers in the order of sending before `send` returns
to the outside, so a simulation is deterministic. Segments of several programs are joined by
`udp_bus`.
"""

from __future__ import annotations

import logging
from collections import deque
from enum import Enum
from typing import Final, Protocol

from ..errors import BusyError
from ..identity import ServerId

log = logging.getLogger(__name__)

FRAMES_PER_SEND_MAX: Final = 10_000
"""Frames one `send` may set off before the segment calls it a storm and drops the rest. [design]"""


class Group(Enum):
    """Multicast groups of the bus [design]: who listens decides, not who speaks."""

    TUPLES = "signed tuples and announcements"
    """Base modules speak here; communication, pulse and network modules listen."""
    COMMANDS = "synchronisation tokens and parameters for everybody"
    """Communication modules speak here; every module listens."""
    BRIDGES = "probes by which network nodes find loops"
    """Network nodes alone speak and listen here."""


class Module(Protocol):
    """What the bus needs of a module."""

    @property
    def server_id(self) -> ServerId: ...

    @property
    def groups(self) -> frozenset[Group]:
        """Multicast groups it listens to."""
        ...

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        """Take one frame; `group` is None when it went to this module alone.

        Must not raise for anything a frame may hold.
        """
        ...


class BridgePort(Protocol):
    """What the bus needs of a port of a network node, which hears everything."""

    def on_segment_frame(self, frame: bytes, sender: ServerId, to: ServerId | Group) -> None:
        """Take a frame that another attachment of the segment sent."""
        ...

    def reaches(self, address: ServerId, asked: set[int]) -> bool:
        """Whether a module with this address lies behind it; `asked` holds the ids of segments already searched."""
        ...


class Segment(Protocol):
    """What a module needs of the bus."""

    def attach(self, module: Module) -> None: ...

    def detach(self, module: Module) -> None: ...

    def send(self, frame: bytes, sender: ServerId, to: ServerId | Group) -> bool: ...


class Bus:
    """One Ethernet segment in memory."""

    def __init__(self) -> None:
        self._modules: dict[ServerId, Module] = {}
        self._bridges: list[BridgePort] = []
        self._queue: deque[tuple[bytes, ServerId, ServerId | Group, BridgePort | None]] = deque()
        self._delivering = False
        self.frames = 0
        """Frames sent."""
        self.bytes_sent = 0
        self.undeliverable = 0
        """Frames to an address nobody has."""
        self.storms = 0
        """Times the frames set off by one `send` passed FRAMES_PER_SEND_MAX and were dropped."""
        self.failures = 0
        """Frames a module failed on: a defect of that module, logged."""

    @property
    def modules(self) -> tuple[Module, ...]:
        """What is attached, in order of attaching."""
        return tuple(self._modules.values())

    def attach(self, module: Module) -> None:
        """Plug a module in. Raises BusyError when its server ID is on the bus already."""
        if module.server_id in self._modules:
            raise BusyError(
                f"server ID {module.server_id} is on the bus already: detach that module, or give this one its own ID"
            )
        self._modules[module.server_id] = module

    def detach(self, module: Module) -> None:
        """Pull a module out; nothing happens when it is not plugged in."""
        if self._modules.get(module.server_id) is module:
            del self._modules[module.server_id]

    def join(self, port: BridgePort) -> None:
        """Plug a port of a network node in."""
        self._bridges.append(port)

    def leave(self, port: BridgePort) -> None:
        """Pull a port of a network node out."""
        if port in self._bridges:
            self._bridges.remove(port)

    def reaches(self, address: ServerId, asked: set[int] | None = None) -> bool:
        """Whether a module with this address is on the segment or behind its network nodes."""
        asked = set() if asked is None else asked
        if id(self) in asked:
            return False
        asked.add(id(self))
        return address in self._modules or any(port.reaches(address, asked) for port in self._bridges)

    def send(self, frame: bytes, sender: ServerId, to: ServerId | Group, origin: BridgePort | None = None) -> bool:
        """Send one frame to one address or one group, never back to the sender.

        Returns False when no module has that address (Ethernet would learn it from unanswered
        neighbour discovery), True otherwise. Frames that modules send while they handle one are
        delivered after it, in order, before the outermost `send` returns. `origin` is the port
        of a network node that passes the frame on.
        """
        self.frames += 1
        self.bytes_sent += len(frame)
        if isinstance(to, ServerId) and not self.reaches(to):
            self.undeliverable += 1
            return False
        self._queue.append((frame, sender, to, origin))
        if not self._delivering:
            self._deliver()
        return True

    def _deliver(self) -> None:
        self._delivering = True
        try:
            for _ in range(FRAMES_PER_SEND_MAX):
                if not self._queue:
                    return
                frame, sender, to, origin = self._queue.popleft()
                for module in self._receivers(sender, to):
                    self._hand_over(module, frame, sender, to if isinstance(to, Group) else None)
                if isinstance(to, Group) or to not in self._modules:
                    for port in tuple(self._bridges):
                        if port is not origin:
                            port.on_segment_frame(frame, sender, to)
            self.storms += 1
            log.warning("a storm on the bus: %d frames dropped", len(self._queue))
        finally:
            self._queue.clear()
            self._delivering = False

    def _receivers(self, sender: ServerId, to: ServerId | Group) -> tuple[Module, ...]:
        if isinstance(to, ServerId):
            module = self._modules.get(to)
            return (module,) if module is not None else ()
        return tuple(module for module in self._modules.values() if to in module.groups and module.server_id != sender)

    def _hand_over(self, module: Module, frame: bytes, sender: ServerId, group: Group | None) -> None:
        try:
            module.on_frame(frame, sender, group)
        except Exception:
            self.failures += 1
            log.exception("module %s failed on a frame of %s, please report this", module.server_id, sender)
