"""The key exchange: vectors, the dialogue, and everything that must be refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.errors import LmnError
from messwerk.identity import ServerId
from messwerk.lmn.security import (
    FRAGMENT,
    OFFER,
    QUERY_COUNTER,
    Command,
    GatewayExchange,
    Leniency,
    MeterExchange,
    Reader,
    derive,
    seal,
)

MASTER = bytes(range(16))
METER = ServerId(bytes.fromhex("0A014C475A0003C988DD"))
CERTIFICATE, KEY, GATEWAY_CERTIFICATE = bytes(315), bytes([7]) * 121, bytes([9]) * 310

VECTORS = [
    (1, False, "f17c00490b6df9c139f5448617aee936", "fe390db6133f1238eb0c6b3632ccde58"),
    (2, True, "742fb6ae5699cd28920431b8337efce1", "2ed7a442174742537e97809b96b9172c"),
    (0xFFFFFFFF, True, "647e0227541c7977f84ce9f0b193dbda", "2841e2131fa541676f95cf7d1449d50e"),
]


@pytest.mark.parametrize(("counter", "to_meter", "encryption", "authentication"), VECTORS)
def test_derived_keys(counter: int, to_meter: bool, encryption: str, authentication: str) -> None:
    """Keys follow from key, counter, direction and server ID as published."""
    keys = derive(MASTER, counter, METER, to_meter=to_meter)
    assert (keys.encryption.hex(), keys.authentication.hex()) == (encryption, authentication)
    assert encryption not in repr(keys)


def test_command_01_byte_for_byte() -> None:
    """The query for the counter is the published message."""
    message = seal(MASTER, METER, Command.COUNTER, QUERY_COUNTER, to_meter=True)
    assert message.hex() == "0100000019ffffffff186e07fc365fe24b7395ca40499e4ce0"


@dataclass
class MeterStore:
    """A meter's memory that notes what was asked of it."""

    master: bytes = MASTER
    sent: int = 0
    received: int = 0
    certificate: bytes = b""
    gateway: bytes = b""
    completed: bool = False
    usable: bool = True

    def next_counter(self) -> int:
        self.sent = max(self.sent, self.received) + 1
        if self.sent >= QUERY_COUNTER:
            raise OverflowError("used up")
        return self.sent

    def accept_counter(self, counter: int) -> bool:
        if counter <= self.received:
            return False
        self.received = counter
        return True

    def take_meter_certificate(self, content: bytes) -> bool:
        self.certificate = content
        return self.usable

    def take_gateway_certificate(self, certificate: bytes) -> bool:
        self.gateway = certificate
        return self.usable

    def complete(self) -> bool:
        self.completed = bool(self.certificate and self.gateway)
        return self.completed


@dataclass
class Counters:
    """A gateway's memory."""

    sent: int = 0
    received: int = 0
    used: list[int] = field(default_factory=list)

    def next_counter(self, at_least: int) -> int:
        self.sent = max(self.sent + 1, at_least)
        if self.sent >= QUERY_COUNTER:
            raise OverflowError("used up")
        self.used.append(self.sent)
        return self.sent

    def accept_counter(self, counter: int) -> bool:
        if counter <= self.received:
            return False
        self.received = counter
        return True


def gateway(counters: Counters, master: bytes = MASTER, leniency: Leniency = Leniency.NONE) -> GatewayExchange:
    return GatewayExchange(
        master, METER, counters, meter_certificate=CERTIFICATE, meter_key=KEY,
        gateway_certificate=GATEWAY_CERTIFICATE, leniency=leniency,
    )  # fmt: skip


def exchange(store: MeterStore, counters: Counters, piece: int = 4096) -> tuple[GatewayExchange, list[bytes]]:
    """The whole dialogue, cut into pieces; returns also everything the gateway sent."""
    meter, asking = MeterExchange(store, METER), gateway(counters)
    sent = [asking.start()]
    while not asking.finished:
        answer = b"".join(meter.receive(sent[-1][at : at + piece]) for at in range(0, len(sent[-1]), piece))
        sent.append(b"".join(asking.receive(answer[at : at + piece]) for at in range(0, len(answer), piece)))
    return asking, sent[:-1]


@pytest.mark.parametrize("piece", [1, 15, 4096])
def test_whole_exchange(piece: int) -> None:
    """Both certificates and the key arrive, in any pieces, and both sides know what the other said."""
    store, counters = MeterStore(), Counters()
    asking, sent = exchange(store, counters, piece)
    assert store.certificate == CERTIFICATE + KEY
    assert store.gateway == GATEWAY_CERTIFICATE
    assert store.completed
    assert (asking.algorithms, asking.fragment) == (OFFER, FRAGMENT)
    assert len(sent) == 5


def test_counters_never_repeat_over_exchanges() -> None:
    """Later exchanges go on above every counter of earlier ones, on both sides."""
    store, counters = MeterStore(), Counters()
    for _ in range(3):
        exchange(store, counters)
    assert len(set(counters.used)) == len(counters.used) == 12
    assert store.received == counters.used[-1]


def test_a_gateway_that_lost_its_counters_still_rises() -> None:
    """The meter's counter tells a new gateway where to go on."""
    store = MeterStore(sent=500, received=900)
    exchange(store, Counters())
    assert store.received > 900


def test_recorded_exchange_cannot_be_replayed() -> None:
    """A recorded exchange gets an answer only to the query; nothing of it is executed again."""
    store = MeterStore()
    _, sent = exchange(store, Counters())
    before = (store.certificate, store.gateway, store.received)
    for message in sent[1:]:
        with pytest.raises(LmnError, match="replay"):
            MeterExchange(store, METER).receive(message)
    assert (store.certificate, store.gateway, store.received) == before


@given(st.data())
def test_altered_messages_change_nothing(data: st.DataObject) -> None:
    """A message with any bit changed is refused before its content is looked at."""
    store = MeterStore()
    message = bytearray(seal(MASTER, METER, Command.GATEWAY_CERTIFICATE, 7, b"certificate", to_meter=True))
    message[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    meter = MeterExchange(store, METER)
    try:
        assert meter.receive(bytes(message) + bytes(5000)) == b""
    except LmnError:
        pass
    else:
        pytest.fail("an altered message was swallowed")
    assert store == MeterStore()


def test_wrong_key_or_direction_is_not_authentic() -> None:
    """Neither another meter's key nor the meter's own messages sent back are accepted."""
    other = seal(bytes(16), METER, Command.ALGORITHMS, 1, to_meter=True)
    reflected = seal(MASTER, METER, Command.ALGORITHMS, 1, to_meter=False)
    foreign = seal(MASTER, ServerId(bytes(10)), Command.ALGORITHMS, 1, to_meter=True)
    for message in (other, reflected, foreign):
        with pytest.raises(LmnError, match="not authentic"):
            MeterExchange(MeterStore(), METER).receive(message)


def test_mac_before_padding() -> None:
    """Wrong padding under a wrong MAC is told as the wrong MAC: padding is no oracle."""
    message = bytearray(seal(MASTER, METER, Command.GATEWAY_CERTIFICATE, 7, b"x", to_meter=True))
    message[-17] ^= 1  # last octet of the ciphertext: the padding
    with pytest.raises(LmnError, match="not authentic"):
        MeterExchange(MeterStore(), METER).receive(bytes(message))


def test_query_marker_only_with_the_query() -> None:
    """FFFFFFFF is never a counter: no other command may use it, and it is not remembered."""
    store = MeterStore()
    with pytest.raises(LmnError):
        MeterExchange(store, METER).receive(seal(MASTER, METER, 2, QUERY_COUNTER, to_meter=True))
    with pytest.raises(LmnError):
        MeterExchange(store, METER).receive(seal(MASTER, METER, 1, 5, to_meter=True))
    MeterExchange(store, METER).receive(seal(MASTER, METER, 1, QUERY_COUNTER, to_meter=True))
    assert store.received == 0


def test_used_up_counters_end_the_exchange() -> None:
    """Neither side sends once its counter is used up."""
    with pytest.raises(LmnError, match="used up"):
        MeterExchange(MeterStore(sent=QUERY_COUNTER - 1), METER).receive(gateway(Counters()).start())
    store = MeterStore()
    asking = gateway(Counters(sent=QUERY_COUNTER - 1))
    with pytest.raises(LmnError, match="used up"):
        asking.receive(MeterExchange(store, METER).receive(asking.start()))


def test_refused_certificate_ends_the_exchange() -> None:
    """A meter that cannot use a certificate says so, and the gateway stops."""
    with pytest.raises(LmnError, match="refuses a certificate"):
        exchange(MeterStore(usable=False), Counters())


def test_swapped_keys_only_when_tolerated() -> None:
    """Firmware that derives its keys like a gateway and pads with zeros is read only by name."""
    message = seal(MASTER, METER, 0x82, 3, b"\x01\xc0\x23", to_meter=True)
    tolerant = Reader(MASTER, METER, from_meter=True, leniency=Leniency.SWAPPED_KEYS)
    with pytest.raises(LmnError):
        Reader(MASTER, METER, from_meter=True).receive(message + bytes(16))
    opened = tolerant.receive(message)
    assert opened is not None
    assert opened.data.startswith(b"\x01\xc0\x23")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 500])
@pytest.mark.parametrize("to_meter", [True, False])
def test_both_length_conventions(size: int, to_meter: bool) -> None:
    """Messages of every size open, whether their length counts the padding or not."""
    data = bytes(range(256)) * 2
    message = seal(MASTER, METER, 3, 9, data[:size], to_meter=to_meter)
    reader = Reader(MASTER, METER, from_meter=not to_meter)
    opened = [one for octet in message if (one := reader.receive(bytes([octet]))) is not None]
    assert [one.data for one in opened] == [data[:size]]


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_hostile_bytes(pieces: list[bytes]) -> None:
    """Any bytes are refused or waited for, never executed, and never kept without bound."""
    store = MeterStore()
    meter = MeterExchange(store, METER)
    for piece in pieces:
        with suppress(LmnError):
            assert meter.receive(piece) == b""
        assert len(meter._reader._buffer) <= 4096 + 80
    assert store == MeterStore()
