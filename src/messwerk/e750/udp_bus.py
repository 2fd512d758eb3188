"""The bus between programs: segments of different processes become one, with the same frames. Sans I/O.

What goes to a group travels as one UDP multicast datagram, what goes to one module as a record on
a TCP connection to the program that module runs in, because profiles outgrow any datagram.

    datagram  "SYM2" · version 1 · group 1 · stream port 2 · sender (length 1, octets) · frame
    record    length 4 · stream port 2 · host (length 1, text) · receiver (length 1, octets)
              · sender (length 1, octets) · frame

Stream port and host say where answers go. Integers are big endian; both layouts are ours
[design]. Who is where is learned from what is heard, as a bridge does; a second module with the
same server ID is refused and reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from ..errors import DecodeError, InvalidIdentifier
from ..identity import ServerId
from ..sml.transport import LARGEST_MAX_FRAME
from .bus import Bus, Group

MULTICAST_GROUP: Final = "239.255.72.59"
"""Administratively scoped. [design]"""
MULTICAST_PORT: Final = 7259
"""The customary port of SML services."""
DATAGRAM_MAX: Final = 8192
"""A broadcast is a tuple or an announcement, below 1 kB; more than this is not sent. [bytes]"""
RECORD_MAX: Final = LARGEST_MAX_FRAME + 512
TAKE_OVER_AFTER_S: Final = 3.0
"""An address may move to another program once it was silent for so long: three tuples missed. [design]"""
ADDRESSES_MAX: Final = 1024
"""Addresses remembered; further ones are not learned."""
CONFLICTS_MAX: Final = 256
"""Conflicts told of; the same one is told once."""

_MAGIC: Final = b"SYM2\x01"
_GROUPS: Final = {Group.TUPLES: 1, Group.COMMANDS: 2, Group.BRIDGES: 3}
_GROUP_OF: Final = {number: group for group, number in _GROUPS.items()}

Peer = tuple[str, int]
"""Host and stream port of another program on the bus."""


class Carrier(Protocol):
    """What moves the bytes. Neither method waits; what finds no way is lost, as on any Ethernet."""

    @property
    def own(self) -> Peer:
        """Where this program takes records."""
        ...

    def multicast(self, datagram: bytes) -> None: ...

    def transmit(self, peer: Peer, record: bytes) -> None: ...


@dataclass(slots=True)
class _Known:
    peer: Peer
    heard: float


def encode_datagram(group: Group, stream_port: int, sender: bytes, frame: bytes) -> bytes:
    """One broadcast."""
    return _MAGIC + bytes((_GROUPS[group],)) + stream_port.to_bytes(2, "big") + _sized(sender) + frame


def decode_datagram(data: bytes) -> tuple[Group, int, ServerId, bytes]:
    """Group, stream port, sender, frame. Raises DecodeError."""
    if not data.startswith(_MAGIC) or len(data) < 10 or data[5] not in _GROUP_OF:
        raise DecodeError(offset=0, path="datagram", expected="one of the SyM² bus", found=data[:8].hex(" "))
    sender, rest = _take_id(data[8:], "datagram.sender")
    return _GROUP_OF[data[5]], int.from_bytes(data[6:8], "big"), sender, rest


@dataclass(frozen=True, slots=True)
class Record:
    """One frame for one module."""

    to: ServerId
    sender: ServerId
    peer: Peer
    """Where the sender takes answers."""
    frame: bytes

    def encode(self) -> bytes:
        host, port = self.peer
        content = port.to_bytes(2, "big") + _sized(host.encode()) + _sized(self.to) + _sized(self.sender) + self.frame
        return len(content).to_bytes(4, "big") + content

    @classmethod
    def decode(cls, content: bytes) -> Record:
        """Read what stands behind the length. Raises DecodeError."""
        host, rest = _take(content[2:], "record.host")
        to, rest = _take_id(rest, "record.to")
        sender, frame = _take_id(rest, "record.sender")
        try:
            return cls(to, sender, (host.decode("ascii"), int.from_bytes(content[:2], "big")), frame)
        except UnicodeDecodeError:
            raise DecodeError(offset=2, path="record.host", expected="ASCII text", found=host.hex()) from None


class RecordReader:
    """Cuts a stream into records. Raises DecodeError at what is none; then the stream is worthless."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def receive(self, data: bytes) -> list[Record]:
        """The records completed by `data`."""
        self._pending += data
        records = []
        while len(self._pending) >= 4:
            length = int.from_bytes(self._pending[:4], "big")
            if length > RECORD_MAX:
                raise DecodeError(offset=0, path="record", expected=f"at most {RECORD_MAX} bytes", found=str(length))
            if len(self._pending) < 4 + length:
                break
            records.append(Record.decode(bytes(self._pending[4 : 4 + length])))
            del self._pending[: 4 + length]
        return records


class UdpBridge:
    """A port that joins a segment to those of other programs. Hand it what arrives.

    `conflict` is told of a second module with a server ID, and where it speaks.
    """

    def __init__(self, conflict: Callable[[ServerId, str], None] = lambda server_id, where: None) -> None:
        self.conflict = conflict
        self.carrier: Carrier | None = None
        """Set once the sockets are there; until then nothing leaves."""
        self.invalid = 0
        """Datagrams and records that were none."""
        self.refused = 0
        """Frames of a second module with a server ID."""
        self.too_large = 0
        """Broadcasts no datagram takes."""
        self._bus: Bus | None = None
        self._known: dict[ServerId, _Known] = {}
        self._told: set[tuple[ServerId, Peer]] = set()
        self._looking = False

    def plug(self, bus: Bus) -> None:
        """Join a segment."""
        self._bus = bus
        bus.join(self)

    # --- from the segment ------------------------------------------------------------------

    def on_segment_frame(self, frame: bytes, sender: ServerId, to: ServerId | Group) -> None:
        """Carry a frame to the other programs."""
        if self.carrier is None:
            return
        if isinstance(to, Group):
            datagram = encode_datagram(to, self.carrier.own[1], sender, frame)
            if len(datagram) > DATAGRAM_MAX:
                self.too_large += 1
            else:
                self.carrier.multicast(datagram)
        elif (known := self._known.get(to)) is not None:
            self.carrier.transmit(known.peer, Record(to, sender, self.carrier.own, frame).encode())

    def reaches(self, address: ServerId, asked: set[int]) -> bool:
        """Whether a module with this address was heard from another program."""
        return not self._looking and self.carrier is not None and address in self._known

    # --- from the other programs -----------------------------------------------------------

    def datagram_received(self, data: bytes, host: str, now: float) -> None:
        """Take a datagram from `host`; `now` is any clock in seconds that does not go back."""
        try:
            group, port, sender, frame = decode_datagram(data)
        except DecodeError:
            self.invalid += 1
            return
        peer = host, port
        if self._bus is None or self.carrier is None or peer == self.carrier.own:
            return
        if self._learn(sender, peer, now):
            self._bus.send(frame, sender, group, self)

    def record_received(self, record: Record, now: float) -> None:
        """Take a frame that is for one of our modules."""
        if self._bus is not None and self._learn(record.sender, record.peer, now):
            self._bus.send(record.frame, record.sender, record.to, self)

    def _learn(self, sender: ServerId, peer: Peer, now: float) -> bool:
        """Remember where a module is; False for a second one with its server ID."""
        known = self._known.get(sender)
        silent = known is None or now - known.heard >= TAKE_OVER_AFTER_S
        if self._is_ours(sender) or (known is not None and known.peer != peer and not silent):
            self.refused += 1
            if (sender, peer) not in self._told and len(self._told) < CONFLICTS_MAX:
                self._told.add((sender, peer))
                self.conflict(sender, f"{peer[0]}:{peer[1]}")
            return False
        if known is not None:
            known.peer, known.heard = peer, now
        elif len(self._known) < ADDRESSES_MAX:
            self._known[sender] = _Known(peer, now)
        return True

    def _is_ours(self, address: ServerId) -> bool:
        """Whether it is a module of this program."""
        assert self._bus is not None
        self._looking = True
        try:
            return self._bus.reaches(address)
        finally:
            self._looking = False


def _sized(octets: bytes) -> bytes:
    return bytes((len(octets),)) + octets


def _take(data: bytes, path: str) -> tuple[bytes, bytes]:
    length = data[0] if data else 0
    if len(data) < 1 + length or not length:
        raise DecodeError(offset=0, path=path, expected="a length and as many octets", found=data[:8].hex(" "))
    return data[1 : 1 + length], data[1 + length :]


def _take_id(data: bytes, path: str) -> tuple[ServerId, bytes]:
    octets, rest = _take(data, path)
    try:
        return ServerId(octets), rest
    except InvalidIdentifier as error:
        raise DecodeError(offset=0, path=path, expected="a server ID", found=str(error)) from None
