"""The connection: a meter's channel and a gateway's channel, against each other and against nonsense."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.lmn.channel import (
    ANSWER_S,
    ATTEMPTS,
    IDLE_S,
    REJECT_CONTROL,
    REJECT_INFORMATION,
    REJECT_LENGTH,
    REJECT_NUMBER,
    Closed,
    GatewayChannel,
    MeterChannel,
    Opened,
    Reason,
    Received,
)
from messwerk.lmn.hdlc import Address, BadInformation, Frame, FrameDecoder, Kind, Selector, control

OWN = 0x3A
TLS, PLAIN, KEYS = Selector.TLS_COSEM, Selector.SML_COSEM, Selector.KEY_EXCHANGE


def ask(
    meter: MeterChannel, octet: int, information: bytes = b"", selector: int = TLS, now: float = 0.0
) -> Frame | None:
    meter.receive(Frame(Address(OWN, selector), Address(1, selector), octet, information), now)
    return meter.answer(OWN)


def opened(selector: int = TLS) -> MeterChannel:
    meter = MeterChannel(frozenset({TLS, PLAIN, KEYS}))
    answer = ask(meter, control(Kind.SET_NORMAL_RESPONSE_MODE), selector=selector)
    assert answer is not None
    assert answer.kind is Kind.UNNUMBERED_ACKNOWLEDGE
    assert meter.events() == [Opened(selector)]
    return meter


def kind(answer: Frame | None) -> Kind | None:
    return None if answer is None else answer.kind


def test_only_what_is_offered_opens() -> None:
    """A selector that is not offered, or a second one beside an open channel, is answered with DM."""
    meter = MeterChannel(frozenset({PLAIN}))
    assert kind(ask(meter, 0x93)) is Kind.DISCONNECTED_MODE
    assert kind(ask(meter, 0x11)) is Kind.DISCONNECTED_MODE
    meter = opened()
    assert kind(ask(meter, 0x93, selector=PLAIN)) is Kind.DISCONNECTED_MODE
    assert kind(ask(meter, 0x53)) is Kind.UNNUMBERED_ACKNOWLEDGE
    assert meter.events() == [Closed(Reason.ASKED)]
    assert kind(ask(meter, 0x53)) is Kind.DISCONNECTED_MODE
    assert kind(ask(meter, 0x93, selector=PLAIN)) is Kind.UNNUMBERED_ACKNOWLEDGE


def test_information_is_taken_once() -> None:
    """A repeated frame is acknowledged again and delivered once; the answer rides on the acknowledgement."""
    meter = opened()
    meter.send(b"answer")
    first = ask(meter, control(Kind.INFORMATION), b"question")
    assert first is not None
    assert (first.information, first.receive_number, first.send_number) == (b"answer", 1, 0)
    again = ask(meter, control(Kind.INFORMATION), b"question")
    assert (kind(again), again and again.receive_number) == (Kind.RECEIVE_READY, 1)
    assert meter.events() == [Received(b"question")]
    assert meter.repeats == 1
    lost = ask(meter, control(Kind.RECEIVE_READY))
    assert lost == first  # N(R) 0 says that the answer never came
    assert kind(ask(meter, control(Kind.RECEIVE_READY, receive=1))) is Kind.RECEIVE_READY
    assert meter.unsent == 0


def test_bad_information_is_asked_for_again() -> None:
    """A frame of which only the information is damaged is answered with an unchanged N(R)."""
    meter = opened()
    meter.send(b"waiting")
    meter.receive(BadInformation(Frame(Address(OWN, TLS), Address(1, TLS), control(Kind.INFORMATION))), 0.0)
    answer = meter.answer(OWN)
    assert (kind(answer), answer and answer.receive_number) == (Kind.RECEIVE_READY, 0)
    assert meter.events() == []


def test_busy_meter_takes_nothing() -> None:
    """RNR in both directions: busy meters take no information, a busy gateway is sent none."""
    meter = opened()
    meter.busy = True
    assert kind(ask(meter, control(Kind.INFORMATION), b"x")) is Kind.RECEIVE_NOT_READY
    meter.busy = False
    meter.send(b"y")
    assert kind(ask(meter, control(Kind.RECEIVE_NOT_READY))) is Kind.RECEIVE_READY
    assert kind(ask(meter, control(Kind.RECEIVE_READY))) is Kind.INFORMATION


REJECTS = [
    (0x19, b"", REJECT_CONTROL),
    (control(Kind.UNNUMBERED_INFORMATION, final=True), b"", REJECT_CONTROL),
    (control(Kind.RECEIVE_READY), b"x", REJECT_INFORMATION),
    (control(Kind.INFORMATION), bytes(2000), REJECT_LENGTH),
    (control(Kind.RECEIVE_READY, receive=5), b"", REJECT_NUMBER),
]


@pytest.mark.parametrize(("octet", "information", "reason"), REJECTS)
def test_frame_reject_names_the_reason(octet: int, information: bytes, reason: int) -> None:
    """FRMR carries control octet, numbers and reason, and stands until the channel is opened anew."""
    meter = MeterChannel(frozenset({TLS}), accepted=1024)
    ask(meter, 0x93)
    answer = ask(meter, octet, information)
    assert answer is not None
    assert (answer.kind, answer.information) == (Kind.FRAME_REJECT, bytes([octet, 0, reason]))
    assert kind(ask(meter, control(Kind.RECEIVE_READY))) is Kind.FRAME_REJECT
    assert kind(ask(meter, 0x93)) is Kind.UNNUMBERED_ACKNOWLEDGE
    assert kind(ask(meter, control(Kind.RECEIVE_READY))) is Kind.RECEIVE_READY


def test_no_poll_no_answer() -> None:
    """Only a frame with the poll bit gives a meter the right to speak."""
    meter = opened()
    assert ask(meter, control(Kind.INFORMATION, final=False), b"x") is None
    assert meter.events() == [Received(b"x")]
    assert ask(meter, control(Kind.RECEIVE_READY, final=False), selector=PLAIN) is None


def test_idle_channel_closes() -> None:
    """After IDLE_S without a frame the meter closes; traffic before moves the deadline."""
    meter = opened()
    ask(meter, control(Kind.RECEIVE_READY), now=50.0)
    assert meter.next_deadline == 50.0 + IDLE_S
    meter.pass_time(IDLE_S)
    assert meter.selector == TLS
    meter.pass_time(50.0 + IDLE_S)
    assert meter.events() == [Closed(Reason.IDLE)]
    assert kind(ask(meter, control(Kind.RECEIVE_READY))) is Kind.DISCONNECTED_MODE


def test_gateway_repeats_and_gives_up() -> None:
    """A frame without an answer is sent ATTEMPTS times, ANSWER_S apart; then the channel is closed."""
    gateway = GatewayChannel(OWN, TLS)
    gateway.connect()
    sent = []
    now = 0.0
    while not gateway.closed:
        frame = gateway.transmit(now)
        assert frame is not None
        sent.append(frame)
        now += ANSWER_S
        gateway.pass_time(now)
    assert len(sent) == ATTEMPTS
    assert len(set(sent)) == 1
    assert gateway.events() == [Closed(Reason.SILENT)]


class Wire:
    """Both channels with a line between that may damage or lose any frame."""

    def __init__(self, rng: Random, lost: float) -> None:
        self.rng, self.lost, self.now = rng, lost, 0.0
        self.gateway, self.meter = GatewayChannel(OWN, TLS), MeterChannel(frozenset({TLS}))
        self.gateway.expecting = True
        self.taken = bytearray()
        self.got = bytearray()

    def carry(self, frame: Frame) -> list[Frame | BadInformation]:
        octets = bytearray(frame.to_bytes())
        if self.rng.random() < self.lost:
            octets[self.rng.randrange(len(octets))] ^= 1 << self.rng.randrange(8)
        return FrameDecoder().receive(bytes(octets))

    def step(self) -> None:
        frame = self.gateway.transmit(self.now)
        self.now += 0.01
        if frame is None:
            self.now = max(self.now, self.gateway.next_deadline or 0.0)
            self.gateway.pass_time(self.now)
            return
        for there in self.carry(frame):
            self.meter.receive(there, self.now)
            self.taken += b"".join(event.data for event in self.meter.events() if isinstance(event, Received))
            answer = self.meter.answer(OWN)
            if answer is not None:
                for back in self.carry(answer):
                    self.gateway.receive(back, self.now)
        self.got += b"".join(event.data for event in self.gateway.events() if isinstance(event, Received))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.binary(max_size=3000), st.binary(max_size=3000))
def test_bytes_survive_a_bad_line(seed: int, down: bytes, up: bytes) -> None:
    """With one frame in ten damaged both directions still carry every byte once and in order."""
    wire = Wire(Random(seed), 0.1)
    wire.gateway.connect()
    while not wire.gateway.open:
        wire.step()
        if wire.gateway.closed:
            wire.gateway.connect()
    wire.gateway.send(down)
    wire.meter.send(up)
    for _ in range(600):
        if wire.gateway.closed or (wire.taken == down and wire.got == up):
            break
        wire.step()
    if not wire.gateway.closed:  # three losses in a row end a channel: then a prefix is all there is
        assert (wire.taken, wire.got) == (down, up)
    assert down.startswith(wire.taken)
    assert up.startswith(wire.got)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40), st.sampled_from([TLS, PLAIN, 0])), max_size=40))
def test_any_frames_are_survived(sent: list[tuple[int, bytes, int]]) -> None:
    """Any sequence of frames gets at most one answer each, from the right address."""
    meter = MeterChannel(frozenset({TLS, PLAIN}))
    for octet, information, selector in sent:
        answer = ask(meter, octet, information, selector)
        assert answer is None or answer.source == Address(OWN, selector)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=40))
def test_gateway_survives_any_answers(answers: list[tuple[int, bytes]]) -> None:
    """Any answers leave the gateway's channel open or closed, never stuck."""
    gateway = GatewayChannel(OWN, TLS)
    gateway.connect()
    gateway.expecting = True
    now = 0.0
    for octet, information in answers:
        gateway.pass_time(now)
        gateway.transmit(now)
        gateway.receive(Frame(Address(1, TLS), Address(OWN, TLS), octet, information), now)
        now += 1.0
    assert gateway.closed or gateway.next_deadline is not None or gateway.transmit(now) is not None


@pytest.mark.parametrize("answered", [True, False])
def test_goodbye_while_a_frame_is_on_its_way(answered: bool) -> None:
    """A channel given up in the middle waits for the answer that is due, then says DISC and closes."""
    gateway = GatewayChannel(OWN, TLS)
    gateway.connect()
    first = gateway.transmit(0.0)
    gateway.disconnect()
    assert gateway.transmit(0.1) is None
    if answered:
        assert first is not None
        gateway.receive(Frame(first.source, first.destination, control(Kind.UNNUMBERED_ACKNOWLEDGE)), 0.2)
    else:
        gateway.pass_time(ANSWER_S)
    goodbye = gateway.transmit(1.0)
    assert kind(goodbye) is Kind.DISCONNECT
    assert goodbye is not None
    gateway.receive(Frame(goodbye.source, goodbye.destination, control(Kind.UNNUMBERED_ACKNOWLEDGE)), 1.1)
    assert gateway.events() == [Closed(Reason.ASKED)]
