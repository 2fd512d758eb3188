"""HDLC frames of the local metrological network: one frame, both ways, and a search for frames.

    7E | format 2 | destination 2 | source 2 | control 1 | HCS 2 | information n | FCS 2 | 7E

The receiver goes by the length in the format field; nothing is stuffed, a 7E inside is legal.
A frame without information ends with the HCS. Both addresses carry the protocol selector.
Source: reconstructed from programs that ran against meters and from one recorded frame, whose
checksums fit; the specification's text is not public.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from .._core import crc16_x25

FLAG: Final = 0x7E
FORMAT: Final = 0xA000
"""Frame format type 3, not segmented; the low eleven bits are the length."""
LENGTH_MAX: Final = 0x07FF
HEADER_SIZE: Final = 9
"""Format, two addresses, control and HCS."""
INFORMATION_MAX: Final = LENGTH_MAX - HEADER_SIZE - 2
"""Bytes of information one frame holds: 2036."""
GATEWAY: Final = 0x01
"""Address of the gateway."""
BROADCAST: Final = 0x7F
FINAL: Final = 0x10
"""The poll bit of a command, the final bit of a response."""


class Selector(IntEnum):
    """What a channel carries: the protocol selector in the second address byte."""

    TLS_COSEM = 1
    TLS = 2
    SML_COSEM = 3
    SML_EDL = 4
    SML_SYM2 = 5
    KEY_EXCHANGE = 6
    TLS_EDL = 7
    TLS_SYM2 = 8


class Broadcast(IntEnum):
    """The selector of unnumbered information: what the gateway asks, or a meter answers."""

    ALLOCATION = 1
    CHECK = 2


class Kind(Enum):
    """What a control octet says."""

    INFORMATION = "I"
    RECEIVE_READY = "RR"
    RECEIVE_NOT_READY = "RNR"
    SET_NORMAL_RESPONSE_MODE = "SNRM"
    DISCONNECT = "DISC"
    UNNUMBERED_ACKNOWLEDGE = "UA"
    DISCONNECTED_MODE = "DM"
    FRAME_REJECT = "FRMR"
    UNNUMBERED_INFORMATION = "UI"
    UNKNOWN = "?"


_UNNUMBERED: Final = {
    Kind.SET_NORMAL_RESPONSE_MODE: 0x83,
    Kind.DISCONNECT: 0x43,
    Kind.UNNUMBERED_ACKNOWLEDGE: 0x63,
    Kind.DISCONNECTED_MODE: 0x0F,
    Kind.FRAME_REJECT: 0x87,
    Kind.UNNUMBERED_INFORMATION: 0x03,
}
_KIND_OF: Final = {octet: kind for kind, octet in _UNNUMBERED.items()}
_SUPERVISORY: Final = {Kind.RECEIVE_READY: 0x01, Kind.RECEIVE_NOT_READY: 0x05}
_SUPERVISORY_KIND_OF: Final = {octet: kind for kind, octet in _SUPERVISORY.items()}


def kind_of(control: int) -> Kind:
    """What a control octet is, whatever its poll bit and numbers."""
    if not control & 1:
        return Kind.INFORMATION
    if control & 3 == 1:
        return _SUPERVISORY_KIND_OF.get(control & 0x0F, Kind.UNKNOWN)
    return _KIND_OF.get(control & ~FINAL, Kind.UNKNOWN)


def control(kind: Kind, *, receive: int = 0, send: int = 0, final: bool = True) -> int:
    """A control octet; `receive` is N(R), `send` is N(S) [0 … 7], `final` the poll or final bit."""
    bit = FINAL if final else 0
    if kind is Kind.INFORMATION:
        return receive << 5 | bit | send << 1
    if kind in _SUPERVISORY:
        return receive << 5 | bit | _SUPERVISORY[kind]
    return _UNNUMBERED[kind] | bit


@dataclass(frozen=True, slots=True)
class Address:
    """One end of a frame."""

    station: int
    """1 the gateway, 0x7F everybody. [0 … 0x7F]"""
    selector: int
    """`Selector`, or `Broadcast` with unnumbered information. [0 … 0x7F]"""

    def to_bytes(self) -> bytes:
        return bytes([self.station << 1, self.selector << 1 | 1])


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    destination: Address
    source: Address
    control: int
    information: bytes = b""

    def __post_init__(self) -> None:
        if len(self.information) > INFORMATION_MAX:
            raise ValueError(f"a frame holds {INFORMATION_MAX} bytes of information, not {len(self.information)}")

    @property
    def kind(self) -> Kind:
        return kind_of(self.control)

    @property
    def final(self) -> bool:
        """The poll or final bit."""
        return bool(self.control & FINAL)

    @property
    def receive_number(self) -> int:
        """N(R): the number the sender expects next."""
        return self.control >> 5

    @property
    def send_number(self) -> int:
        """N(S) of an information frame."""
        return self.control >> 1 & 7

    @property
    def selector(self) -> int:
        return self.destination.selector

    def to_bytes(self) -> bytes:
        """The frame with its flags."""
        extra = len(self.information) + 2 if self.information else 0
        head = (FORMAT | HEADER_SIZE + extra).to_bytes(2, "big") + self.destination.to_bytes()
        body = _sealed(head + self.source.to_bytes() + bytes([self.control]))
        if self.information:
            body = _sealed(body + self.information)
        return b"\x7e" + body + b"\x7e"


@dataclass(frozen=True, slots=True)
class BadInformation:
    """A frame whose header is right and whose information is not: its receiver asks for it again."""

    header: Frame
    """The frame, without its information."""


class FrameDecoder:
    """Finds frames in a byte stream, in any pieces.

    What belongs to no frame is skipped and counted. At most one frame is kept waiting. After a
    silence of the line call `reset`: a frame is never interrupted.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.frames = 0
        self.bytes_skipped = 0
        self.bad_headers = 0
        """Candidates whose HCS is wrong."""
        self.bad_information = 0
        """Frames whose FCS alone is wrong."""

    @property
    def waiting(self) -> bool:
        """Whether part of a frame is here."""
        return len(self._buffer) > 1

    def reset(self) -> None:
        """Give up a frame whose end did not come."""
        self.bytes_skipped += len(self._buffer) if self.waiting else 0
        self._buffer.clear()

    def receive(self, data: bytes) -> list[Frame | BadInformation]:
        """Take the next bytes; returns what they completed, in order."""
        self._buffer += data
        return list(self._frames())

    def _frames(self) -> Iterator[Frame | BadInformation]:
        buffer = self._buffer
        at = 0
        while True:
            start = buffer.find(FLAG, at)
            if start < 0:
                self.bytes_skipped += len(buffer) - at
                at = len(buffer)
                break
            self.bytes_skipped += start - at
            at = start
            length = self._length(at + 1)
            if length is None:  # more bytes decide
                break
            if not length:
                at = self._skip(at)
                continue
            end = at + 1 + length
            if len(buffer) <= end:
                break
            if buffer[end] != FLAG:
                at = self._skip(at)
                continue
            yield self._frame(bytes(buffer[at + 1 : end]))
            at = end  # the closing flag may open the next frame
            if len(buffer) == end + 1:
                at = end + 1
        del buffer[:at]

    def _skip(self, at: int) -> int:
        """This flag began no frame; one that stands alone between frames is not worth counting."""
        self.bytes_skipped += self._buffer[at + 1] != FLAG
        return at + 1

    def _length(self, start: int) -> int | None:
        """Length of the frame at `start`; 0 where none begins, None while that is open."""
        have = len(self._buffer) - start
        if have < 2:
            return None
        word = self._buffer[start] << 8 | self._buffer[start + 1]
        length = word & LENGTH_MAX
        if word & ~LENGTH_MAX != FORMAT or length < HEADER_SIZE or HEADER_SIZE < length < HEADER_SIZE + 3:
            return 0
        if have < HEADER_SIZE:
            return None
        if not _fits(self._buffer[start : start + HEADER_SIZE]):
            self.bad_headers += 1
            return 0
        return length

    def _frame(self, body: bytes) -> Frame | BadInformation:
        destination = Address(body[2] >> 1, body[3] >> 1)
        source = Address(body[4] >> 1, body[5] >> 1)
        if len(body) > HEADER_SIZE and not _fits(body):
            self.bad_information += 1
            return BadInformation(Frame(destination, source, body[6]))
        self.frames += 1
        return Frame(destination, source, body[6], body[HEADER_SIZE:-2])


def _sealed(octets: bytes) -> bytes:
    """With the checksum behind, low byte first."""
    return octets + crc16_x25(octets).to_bytes(2, "little")


def _fits(octets: bytes | bytearray) -> bool:
    return crc16_x25(bytes(octets[:-2])) == int.from_bytes(octets[-2:], "little")
