"""The key exchange of TR-03116-3 chapter 7: how keys and certificates come into a meter.

    command 1 | length 4 | counter 4 | ciphertext n x 16 | CMAC 16

Every message has keys of its own, derived from the meter's key, a counter that never repeats,
and the server ID: AES-128-CBC, then AES-CMAC over all that is sent. The check comes before the
padding is looked at, the counter must be larger than the last authentic one. Commands and their
order: behaviour of a gateway program; answers marked [design] are ours.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from ..errors import LmnError
from ..identity import ServerId

KEY_SIZE: Final = 16
BLOCK: Final = 16
MAC_SIZE: Final = 16
_HEAD: Final = struct.Struct(">BII")
OVERHEAD: Final = _HEAD.size + MAC_SIZE
"""Length of a message without data: 25."""
QUERY_COUNTER: Final = 0xFFFF_FFFF
"""Counter of command 01: it asks for the counter, and is itself never remembered."""
ANSWER: Final = 0x80
"""Set in the command of an answer."""
MESSAGE_MAX: Final = 4096
"""Longest message taken. [bytes; design: two certificates and a key are below 2000]"""
FRAGMENT: Final = 512
"""What answer 85 says about the size of TLS records. [design]"""
DONE: Final = 0x00
"""Status in answers 83 and 84: taken over. [design]"""
UNUSABLE: Final = 0x01
"""... the certificate or key cannot be used. [design]"""
OFFER: Final = bytes.fromhex("02 c023 c02b 02 0017 001a")
"""Answer 82: count and TLS cipher suites, count and groups. [design]"""


class Command(IntEnum):
    """What the gateway asks; the meter answers with ANSWER set."""

    COUNTER = 0x01
    ALGORITHMS = 0x02
    METER_CERTIFICATE = 0x03
    """The meter's certificate and private key; without a key the meter keeps the maker's."""
    GATEWAY_CERTIFICATE = 0x04
    COMPLETE = 0x05


class Leniency(Enum):
    """Named deviations of real meters that a gateway tolerates when told to."""

    NONE = "none"
    SWAPPED_KEYS = "swapped keys"
    """Some EMH firmware derives its keys as if it were the gateway, and pads with zeros."""


# --- keys ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class MessageKeys:
    """The two keys of one message. Its repr never shows them."""

    encryption: bytes
    authentication: bytes


def _cmac(key: bytes, octets: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(octets)
    return mac.finalize()


def derive(master: bytes, counter: int, server_id: bytes, *, to_meter: bool) -> MessageKeys:
    """The keys of the message with this counter in this direction.

    Source: TR-03116-3 chapter 7; prefix 00/01 for the meter's messages, 10/11 for the gateway's.
    """
    first = 0x10 if to_meter else 0x00

    def key(prefix: int) -> bytes:
        return _cmac(master, _padded(bytes([prefix]) + counter.to_bytes(4, "big") + server_id))

    return MessageKeys(key(first), key(first | 1))


def _padded(octets: bytes) -> bytes:
    missing = BLOCK - len(octets) % BLOCK
    return octets + bytes([missing]) * missing


def _unpadded(octets: bytes) -> bytes:
    missing = octets[-1]
    if not 1 <= missing <= BLOCK or octets[-missing:] != bytes([missing]) * missing:
        raise LmnError("an authentic message is padded wrongly")
    return octets[:-missing]


# --- one message ---------------------------------------------------------------------------


def seal(master: bytes, server_id: bytes, command: int, counter: int, data: bytes = b"", *, to_meter: bool) -> bytes:
    """One message, encrypted and authenticated.

    The length counts everything that is sent in a gateway's message and leaves the padding out
    in a meter's, as the known programs do; receivers take both.
    """
    keys = derive(master, counter, server_id, to_meter=to_meter)
    body = b""
    if data:
        encryptor = Cipher(algorithms.AES(keys.encryption), modes.CBC(bytes(BLOCK))).encryptor()
        body = encryptor.update(_padded(data)) + encryptor.finalize()
    length = OVERHEAD + (len(body) if to_meter else len(data))
    message = _HEAD.pack(command, length, counter) + body
    return message + _cmac(keys.authentication, message)


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """One authentic message. Its repr never shows the data."""

    command: int
    counter: int
    data: bytes


class Reader:
    """Cuts a byte stream into messages and opens them. One a channel.

    Raises LmnError from `receive` where a message is not authentic or too long; the stream
    begins anew then.
    """

    def __init__(
        self, master: bytes, server_id: bytes, *, from_meter: bool, leniency: Leniency = Leniency.NONE
    ) -> None:
        self._master, self._server_id, self._from_meter = master, server_id, from_meter
        self._leniency = leniency
        self._buffer = bytearray()

    def receive(self, data: bytes) -> Message | None:
        """Take bytes; returns the message they complete. One is on its way at a time."""
        self._buffer += data
        if len(self._buffer) < _HEAD.size:
            return None
        length = _HEAD.unpack_from(self._buffer)[1]
        if not OVERHEAD <= length <= MESSAGE_MAX:
            self._buffer.clear()
            raise LmnError(f"a message of the key exchange says it has {length} bytes")
        sizes = self._sizes(length - OVERHEAD)
        for size in sizes:
            if len(self._buffer) >= size:
                opened = self._open(bytes(self._buffer[:size]))
                if opened is not None:
                    del self._buffer[:size]
                    return opened
        if len(self._buffer) >= sizes[-1]:
            self._buffer.clear()
            raise LmnError("a message of the key exchange is not authentic")
        return None

    def _sizes(self, counted: int) -> list[int]:
        """How long the message can be: its length with the padding counted, or left out."""
        if counted % BLOCK:
            return [OVERHEAD + counted + BLOCK - counted % BLOCK]
        whole = [OVERHEAD + counted]
        return [*whole, OVERHEAD + counted + BLOCK] if counted and self._from_meter else whole

    def _open(self, message: bytes) -> Message | None:
        command, length, counter = _HEAD.unpack_from(message)
        swapped = self._leniency is Leniency.SWAPPED_KEYS
        keys = derive(self._master, counter, self._server_id, to_meter=self._from_meter is swapped)
        if not hmac.compare_digest(_cmac(keys.authentication, message[:-MAC_SIZE]), message[-MAC_SIZE:]):
            return None
        body = message[_HEAD.size : -MAC_SIZE]
        if not body:
            return Message(command, counter, b"")
        decryptor = Cipher(algorithms.AES(keys.encryption), modes.CBC(bytes(BLOCK))).decryptor()
        plain = decryptor.update(body) + decryptor.finalize()
        # Where zeros fill the last block, only the length tells where the data ends.
        return Message(command, counter, plain[: length - OVERHEAD] if swapped else _unpadded(plain))


# --- the meter's side ----------------------------------------------------------------------


class ExchangeStore(Protocol):
    """What a meter keeps for the exchange. Every change is durable before the call returns."""

    @property
    def master(self) -> bytes:
        """The operational key."""
        ...

    def next_counter(self) -> int:
        """A counter this meter has never sent, above every one the gateway used. Raises OverflowError."""
        ...

    def accept_counter(self, counter: int) -> bool:
        """Remember the counter of an authentic message; False where it is not new."""
        ...

    def take_meter_certificate(self, content: bytes) -> bool:
        """Certificate and key, DER behind DER; False where they cannot be used."""
        ...

    def take_gateway_certificate(self, certificate: bytes) -> bool: ...

    def complete(self) -> bool:
        """The exchange is over; False where a certificate is missing."""
        ...


class MeterExchange:
    """Answers the commands of one key exchange channel."""

    def __init__(self, store: ExchangeStore, server_id: ServerId) -> None:
        self._store, self._server_id = store, server_id
        self._reader = Reader(store.master, server_id, from_meter=False)

    def receive(self, data: bytes) -> bytes:
        """Take bytes; returns the answer, or nothing while a message is incomplete.

        Raises LmnError for what must not be answered: a wrong MAC, a counter that is not new, a
        command out of place, a counter of our own that is used up.
        """
        message = self._reader.receive(data)
        if message is None:
            return b""
        query = message.counter == QUERY_COUNTER
        if query is not (message.command == Command.COUNTER) or (query and message.data):
            raise LmnError(f"command {message.command:02x} came with counter {message.counter:08x}")
        if not query and not self._store.accept_counter(message.counter):
            raise LmnError(f"counter {message.counter} of the gateway is not new: a replay")
        answer = self._execute(message)
        try:
            counter = self._store.next_counter()
        except OverflowError as error:
            raise LmnError(str(error)) from error
        command = message.command | ANSWER
        return seal(self._store.master, self._server_id, command, counter, answer, to_meter=False)

    def _execute(self, message: Message) -> bytes:
        match message.command:
            case Command.COUNTER:
                return b""
            case Command.ALGORITHMS:
                return OFFER
            case Command.METER_CERTIFICATE:
                return _status(self._store.take_meter_certificate(message.data))
            case Command.GATEWAY_CERTIFICATE:
                return _status(self._store.take_gateway_certificate(message.data))
            case Command.COMPLETE:
                return FRAGMENT.to_bytes(2, "big") if self._store.complete() else _status(False)
        raise LmnError(f"command {message.command:02x} of the key exchange is not known")


def _status(taken: bool) -> bytes:
    return bytes([DONE if taken else UNUSABLE])


# --- the gateway's side --------------------------------------------------------------------


class CounterStore(Protocol):
    """The gateway's counters towards one meter. Every change is durable before the call returns."""

    def next_counter(self, at_least: int) -> int:
        """A counter never sent to this meter, `at_least` or larger. Raises OverflowError."""
        ...

    def accept_counter(self, counter: int) -> bool:
        """Remember the meter's counter; False where it is not new."""
        ...


class GatewayExchange:
    """Asks one meter through the commands 01 to 05."""

    def __init__(
        self,
        master: bytes,
        server_id: ServerId,
        counters: CounterStore,
        *,
        meter_certificate: bytes,
        meter_key: bytes,
        gateway_certificate: bytes,
        leniency: Leniency = Leniency.NONE,
    ) -> None:
        """`meter_key` empty: the meter keeps the maker's key that fits its certificate."""
        self._master, self._server_id, self._counters = master, server_id, counters
        self._reader = Reader(master, server_id, from_meter=True, leniency=leniency)
        self._script: list[tuple[Command, bytes]] = [
            (Command.COUNTER, b""),
            (Command.ALGORITHMS, b""),
            (Command.METER_CERTIFICATE, meter_certificate + meter_key),
            (Command.GATEWAY_CERTIFICATE, gateway_certificate),
            (Command.COMPLETE, b""),
        ]
        self._place = 0
        self._last = 0
        self.algorithms = b""
        """What the meter says it can do."""
        self.fragment = 0
        """The longest TLS fragment the meter takes. [bytes]"""

    @property
    def finished(self) -> bool:
        """The meter has answered command 05."""
        return self._place == len(self._script)

    def start(self) -> bytes:
        """The first message."""
        return seal(self._master, self._server_id, Command.COUNTER, QUERY_COUNTER, to_meter=True)

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the meter; returns the next message, nothing while an answer is incomplete.

        Raises LmnError where the meter's answer is not authentic, not new, out of place, or a no.
        """
        message = self._reader.receive(data)
        if message is None:
            return b""
        if self.finished or message.command != self._script[self._place][0] | ANSWER:
            raise LmnError(f"the meter answered {message.command:02x} where another answer was due")
        if not self._counters.accept_counter(message.counter):
            raise LmnError(f"counter {message.counter} of the meter is not new: a replay")
        self._note(message)
        self._last = message.counter
        self._place += 1
        if self.finished:
            return b""
        command, content = self._script[self._place]
        try:
            counter = self._counters.next_counter(self._last + 1)
        except OverflowError as error:
            raise LmnError(str(error)) from error
        return seal(self._master, self._server_id, command, counter, content, to_meter=True)

    def _note(self, message: Message) -> None:
        match message.command & ~ANSWER:
            case Command.ALGORITHMS:
                self.algorithms = message.data
            case Command.METER_CERTIFICATE | Command.GATEWAY_CERTIFICATE if message.data != bytes([DONE]):
                raise LmnError("the meter refuses a certificate: does its curve fit, is its key complete?")
            case Command.COMPLETE:
                if len(message.data) != 2:
                    raise LmnError("the meter says that a certificate is missing")
                self.fragment = int.from_bytes(message.data, "big")
