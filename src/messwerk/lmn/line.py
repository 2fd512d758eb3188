"""One half-duplex line with everything on it, in simulated time: RS-485 at 921 600 bit/s, 8N1.

Who sends takes the line for as long as his bytes last. Who sends at the same time destroys what
overlaps, for both. Disturbances stand between sender and receivers like wrappers; with an equal
seed a run repeats itself byte for byte.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Final, Protocol

BIT_RATE: Final = 921_600
BITS_A_BYTE: Final = 10
BYTE_S: Final = BITS_A_BYTE / BIT_RATE
GAP_S: Final = 0.05
"""A silence that ends every frame begun. Serial adapters pause up to 16 ms inside one. [design]"""
TURNAROUND_S: Final = 0.0005
"""From the end of a question to the begin of its answer. [design]"""
HASTE_MAX: Final = 1000
"""Transmissions one node may begin at one instant before the line calls it broken."""


class Node(Protocol):
    """Whoever is connected: bytes in, bytes out, and when it next wants to speak. `now` in seconds."""

    @property
    def next_deadline(self) -> float | None:
        """When to call `data_to_send` although nothing arrived; None: never."""
        ...

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that arrived, whole as they were sent, ending now."""
        ...

    def data_to_send(self, now: float) -> bytes:
        """Bytes to put on the line now; empty for silence. Called again until it is empty."""
        ...


class Disturbance(Protocol):
    """What the line does to bytes on their way."""

    def disturb(self, data: bytes, sender: Node, rng: Random) -> bytes:
        """What arrives instead of `data`; empty where nothing does."""
        ...


@dataclass(slots=True)
class _Transmission:
    start: float
    end: float
    sender: Node
    data: bytearray
    destroyed: list[tuple[float, float]] = field(default_factory=list)


class Line:
    """The line and its time. `run` lets time pass; nodes speak when their deadlines come."""

    def __init__(
        self,
        nodes: Iterable[Node] = (),
        *,
        rng: Random,
        disturbances: Iterable[Disturbance] = (),
        bit_rate: int = BIT_RATE,
        trace: Callable[[float, Node, bytes], None] | None = None,
    ) -> None:
        """`rng` makes the noise of collisions; `trace` sees what arrives: time, sender, bytes."""
        self.nodes: list[Node] = list(nodes)
        self.disturbances: list[Disturbance] = list(disturbances)
        self.now = 0.0
        self.collisions = 0
        """Transmissions that were hit by another."""
        self.bytes_sent = 0
        self.busy_s = 0.0
        """Time the line carried bytes, overlaps counted once for each sender."""
        self._rng = rng
        self._byte_s = BITS_A_BYTE / bit_rate
        self._trace = trace
        self._order = count()
        self._on_air: list[tuple[float, int, _Transmission]] = []

    def attach(self, node: Node) -> None:
        self.nodes.append(node)

    def detach(self, node: Node) -> None:
        """Unplug a node; what it has already sent still arrives."""
        self.nodes.remove(node)

    def run(self, seconds: float) -> None:
        """Let simulated seconds pass."""
        self.run_until(self.now + seconds)

    def run_until(self, end: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until `end`, or until `done` is true after something arrived; says whether it was."""
        self._speak(self.nodes)
        idle = 0
        while not done():
            arrival = self._on_air[0][0] if self._on_air else None
            deadlines = [(at, node) for node in self.nodes if (at := node.next_deadline) is not None]
            due = min((at for at, _ in deadlines), default=None)
            moment = min((at for at in (arrival, due) if at is not None), default=end)
            if moment >= end:
                self.now = max(self.now, end)
                return done()
            idle = 0 if moment > self.now or arrival == moment else idle + 1
            if idle > HASTE_MAX:
                raise RuntimeError(f"a node's deadline stays at {moment} and it does nothing then")
            self.now = max(self.now, moment)
            if arrival is not None and arrival <= self.now:
                self._deliver(heapq.heappop(self._on_air)[2])
            else:
                self._speak(node for at, node in deadlines if at <= self.now)
        return True

    def _speak(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            for _ in range(HASTE_MAX):
                data = node.data_to_send(self.now)
                if not data:
                    break
                self._transmit(node, data)
            else:
                raise RuntimeError(f"{node!r} never stops sending")

    def _transmit(self, sender: Node, data: bytes) -> None:
        start = max([self.now, *(one.end for _, _, one in self._on_air if one.sender is sender)])
        new = _Transmission(start, start + len(data) * self._byte_s, sender, bytearray(data))
        for _, _, other in self._on_air:
            begin, end = max(start, other.start), min(new.end, other.end)
            if other.sender is not sender and begin < end:
                self.collisions += not other.destroyed
                self.collisions += not new.destroyed
                other.destroyed.append((begin, end))
                new.destroyed.append((begin, end))
        self.bytes_sent += len(data)
        self.busy_s += new.end - new.start
        heapq.heappush(self._on_air, (new.end, next(self._order), new))

    def _deliver(self, sent: _Transmission) -> None:
        for begin, end in sent.destroyed:
            first = int((begin - sent.start) / self._byte_s)
            last = min(len(sent.data), int((end - sent.start) / self._byte_s) + 1)
            sent.data[first:last] = self._rng.randbytes(last - first)
        data = bytes(sent.data)
        for disturbance in self.disturbances:
            data = disturbance.disturb(data, sent.sender, self._rng)
        if not data:
            return
        if self._trace is not None:
            self._trace(self.now, sent.sender, data)
        for node in [node for node in self.nodes if node is not sent.sender]:
            node.receive(data, self.now)
        self._speak(self.nodes)


# --- disturbances --------------------------------------------------------------------------


@dataclass(slots=True)
class LostBytes:
    """Every byte may be missing."""

    rate: float

    def disturb(self, data: bytes, sender: Node, rng: Random) -> bytes:
        return bytes(octet for octet in data if rng.random() >= self.rate)


@dataclass(slots=True)
class DamagedBytes:
    """Every byte may be another one."""

    rate: float

    def disturb(self, data: bytes, sender: Node, rng: Random) -> bytes:
        return bytes(rng.randrange(256) if rng.random() < self.rate else octet for octet in data)


@dataclass(slots=True)
class LostTransmissions:
    """Every transmission may get lost as a whole."""

    rate: float

    def disturb(self, data: bytes, sender: Node, rng: Random) -> bytes:
        return b"" if rng.random() < self.rate else data


@dataclass(slots=True)
class ManInTheMiddle:
    """Somebody who has cut the line: `change` sees every transmission and says what goes on."""

    change: Callable[[bytes, Node], bytes]

    def disturb(self, data: bytes, sender: Node, rng: Random) -> bytes:
        return self.change(data, sender)


class Babbler:
    """A broken device that sends random bytes again and again."""

    def __init__(self, rng: Random, *, every_s: float = 0.05, length: int = 40, begin_s: float = 0.0) -> None:
        self._rng, self._every_s, self._length = rng, every_s, length
        self._at = begin_s

    @property
    def next_deadline(self) -> float | None:
        return self._at

    def receive(self, data: bytes, now: float) -> None:
        """It does not listen."""

    def data_to_send(self, now: float) -> bytes:
        if now < self._at:
            return b""
        self._at = now + self._every_s
        return self._rng.randbytes(self._length)
