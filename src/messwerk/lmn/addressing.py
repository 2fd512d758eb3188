"""How meters on one line get their addresses: allocation, check, and the records both carry.

The gateway broadcasts the meters it knows. A meter that misses itself answers with an address
of its own choice, in a slot of its own choice, so that several can answer one broadcast. Source:
behaviour of gateway programs and one recorded answer; see `hdlc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ..identity import ServerId
from .hdlc import BROADCAST, GATEWAY, INFORMATION_MAX, Address, Broadcast, Frame, Kind, control

RECORD_SIZE: Final = 32
SENSOR_ID_SIZE: Final = 14
SERVER_ID_SIZE: Final = 10
METERS_MAX: Final = INFORMATION_MAX // RECORD_SIZE
"""Meters one broadcast can list: 63."""
ADDRESSES: Final = range(0x02, 0x7F)
"""What a meter may choose from. [design]"""
SLOTS: Final = 63
"""Slots behind an allocation. [design: constant of a gateway program]"""
SLOT_S: Final = 0.010
"""From one slot to the next: 5 ms window, 5 ms guard. [design]"""
LISTEN_S: Final = 0.9
"""How long the gateway listens after a broadcast. [design: seen in a gateway program]"""
ADDRESS_HELD_S: Final = 60.0
"""A meter that is neither listed nor polled this long forgets its address. [design]"""


@dataclass(frozen=True, slots=True)
class Record:
    """One meter in a broadcast or in an answer."""

    address: int
    slot: int
    server_id: ServerId
    status: int = 0

    def to_bytes(self) -> bytes:
        """32 bytes; the identity stands in both ID fields, as a recorded meter sends it."""
        identity = bytes(self.server_id).ljust(SENSOR_ID_SIZE, b"\x00")
        return bytes([self.address, self.slot]) + identity + identity + self.status.to_bytes(2, "big")


def records(information: bytes) -> list[Record]:
    """The records of an information field; what is no record is left out."""
    found = []
    for at in range(0, len(information) - RECORD_SIZE + 1, RECORD_SIZE):
        octets = information[at : at + RECORD_SIZE]
        identity = octets[2 : 2 + SENSOR_ID_SIZE]
        if any(identity[:SERVER_ID_SIZE]) and not any(identity[SERVER_ID_SIZE:]):
            server_id = ServerId(identity[:SERVER_ID_SIZE])
            found.append(Record(octets[0], octets[1], server_id, int.from_bytes(octets[-2:], "big")))
    return found


def broadcast(what: Broadcast, listed: Sequence[Record]) -> Frame:
    """The gateway's frame to all meters. Raises ValueError for more than METERS_MAX of them."""
    information = b"".join(record.to_bytes() for record in listed)
    octet = control(Kind.UNNUMBERED_INFORMATION)
    return Frame(Address(BROADCAST, what), Address(GATEWAY, what), octet, information)


class MeterAddress:
    """A meter's side: its address, and its answer to a broadcast with the delay of its slot."""

    def __init__(self, server_id: ServerId, rng: Random) -> None:
        """`rng` chooses address and slot."""
        if len(server_id) != SERVER_ID_SIZE:
            raise ValueError(f"the wired network carries server IDs of {SERVER_ID_SIZE} bytes, not {len(server_id)}")
        self.server_id: Final = server_id
        self._rng = rng
        self.address: int | None = None
        """The address in use; None until the gateway has listed this meter."""
        self.slot = 0
        """The slot of the last answer."""
        self._offered: int | None = None
        self._used_s = 0.0

    @property
    def next_deadline(self) -> float | None:
        return None if self.address is None else self._used_s + ADDRESS_HELD_S

    def pass_time(self, now: float) -> None:
        """Forget an address that was not used for long."""
        if self.address is not None and now >= self._used_s + ADDRESS_HELD_S:
            self.forget()

    def forget(self) -> None:
        self.address = self._offered = None

    def used(self, now: float) -> None:
        """The gateway spoke to this meter."""
        self._used_s = now

    def broadcast(self, frame: Frame, now: float) -> tuple[float, Frame] | None:
        """Take a broadcast; returns what to answer, and how long after its end. [s]"""
        listed = records(frame.information)
        mine = next((record for record in listed if record.server_id == self.server_id), None)
        if mine is not None and mine.address in ADDRESSES:
            self.address, self._used_s = mine.address, now
        match frame.selector:
            case Broadcast.ALLOCATION if mine is None:
                return self._introduce({record.address for record in listed})
            case Broadcast.CHECK if mine is not None:
                self.slot = mine.slot
                return self._in_slot(Broadcast.CHECK, mine.address)
        return None

    def _introduce(self, taken: set[int]) -> tuple[float, Frame] | None:
        self.address = None  # the gateway does not know us by it
        free = [address for address in ADDRESSES if address not in taken]
        if not free:
            return None
        if self._offered not in free:
            self._offered = self._rng.choice(free)
        self.slot = self._rng.randint(1, SLOTS)
        return self._in_slot(Broadcast.ALLOCATION, self._offered)

    def collided(self) -> None:
        """Choose another address the next time."""
        self._offered = None

    def _in_slot(self, what: Broadcast, address: int | None) -> tuple[float, Frame]:
        assert address is not None
        record = Record(address, self.slot, self.server_id)
        source, octet = Address(address, what), control(Kind.UNNUMBERED_INFORMATION)
        return self.slot * SLOT_S, Frame(Address(GATEWAY, what), source, octet, record.to_bytes())


class Roster:
    """The gateway's side: which meter has which address."""

    def __init__(self) -> None:
        self._addresses: dict[ServerId, int] = {}
        self._answered: set[ServerId] = set()

    @property
    def addresses(self) -> dict[ServerId, int]:
        """Address of every meter on the line, in the order they were found."""
        return dict(self._addresses)

    def meter_at(self, address: int) -> ServerId | None:
        return next((server_id for server_id, held in self._addresses.items() if held == address), None)

    def allocation(self) -> Frame:
        """Ask for meters that are not known yet."""
        return broadcast(Broadcast.ALLOCATION, list(self._records(slots=False)))

    def check(self) -> Frame:
        """Ask every known meter to answer in its slot."""
        self._answered.clear()
        return broadcast(Broadcast.CHECK, list(self._records(slots=True)))

    def _records(self, *, slots: bool) -> Iterable[Record]:
        for place, (server_id, address) in enumerate(self._addresses.items(), start=1):
            yield Record(address, place if slots else 0, server_id)

    def answer(self, frame: Frame) -> ServerId | None:
        """Take an answer to a broadcast; returns the meter when it is new.

        An address that another meter holds, or that contradicts the frame, is not taken: that
        meter misses itself in the next allocation and chooses again.
        """
        found = records(frame.information)
        if len(found) != 1 or found[0].address != frame.source.station or frame.destination.station != GATEWAY:
            return None
        record = found[0]
        if frame.selector == Broadcast.CHECK:
            if self._addresses.get(record.server_id) == record.address:
                self._answered.add(record.server_id)
            return None
        holder = self.meter_at(record.address)
        unfit = record.address not in ADDRESSES or (holder is not None and holder != record.server_id)
        if frame.selector != Broadcast.ALLOCATION or unfit or len(self._addresses) >= METERS_MAX:
            return None
        new = record.server_id not in self._addresses
        self._addresses[record.server_id] = record.address
        return record.server_id if new else None

    def silent(self) -> list[ServerId]:
        """The known meters that did not answer the last check."""
        return [server_id for server_id in self._addresses if server_id not in self._answered]

    def remove(self, server_id: ServerId) -> None:
        self._addresses.pop(server_id, None)
