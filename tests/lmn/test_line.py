"""Meters and a gateway on one line in simulated time: addresses, collisions, disturbances, removal."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from messwerk.identity import DeviceId, ServerId
from messwerk.lmn.addressing import ADDRESSES, LISTEN_S, SLOT_S, MeterAddress, Record, Roster, broadcast, records
from messwerk.lmn.channel import Opened, Reason, Received
from messwerk.lmn.hdlc import Address, Broadcast, Frame, FrameDecoder, Selector
from messwerk.lmn.line import (
    BIT_RATE,
    Babbler,
    DamagedBytes,
    Disturbance,
    Line,
    LostBytes,
    LostTransmissions,
    ManInTheMiddle,
    Node,
)
from messwerk.lmn.nodes import GatewayNode, MeterFound, MeterLost, MeterNode


class Echo:
    """Protocols of a meter that sends everything back."""

    offered = frozenset({Selector.SML_COSEM})
    hang_up = False

    def __init__(self) -> None:
        self.frames = self.damage = 0
        self.closings: list[Reason] = []

    def opened(self, selector: int, now: float) -> None: ...

    def received(self, data: bytes, now: float) -> bytes:
        return data

    def closed(self, reason: Reason, now: float) -> None:
        self.closings.append(reason)

    def heard(self, now: float) -> None:
        self.frames += 1

    def damaged(self, now: float) -> None:
        self.damage += 1

    def passed(self, now: float) -> None: ...


def server_id(serial: int) -> ServerId:
    return DeviceId("LGZ", serial).server_id


def meters(count: int, seed: int = 1) -> list[MeterNode]:
    return [MeterNode(server_id(serial), Echo(), Random(seed * 1000 + serial)) for serial in range(count)]


def line_of(count: int, *disturbances: Disturbance, seed: int = 1) -> tuple[Line, GatewayNode, list[MeterNode]]:
    gateway, found = GatewayNode(), meters(count, seed)
    return Line([gateway, *found], rng=Random(seed), disturbances=disturbances), gateway, found


@pytest.mark.parametrize("count", [1, 2, 8, 32])
def test_every_meter_gets_an_address_of_its_own(count: int) -> None:
    """All meters are found within a few cycles although slots and addresses are drawn blindly."""
    line, gateway, found = line_of(count)
    line.run(120)
    addresses = gateway.roster.addresses
    assert set(addresses) == {meter.server_id for meter in found}
    assert len(set(addresses.values())) == count
    assert {meter.address.address for meter in found} == set(addresses.values())


def test_a_run_repeats_itself() -> None:
    """Equal seeds give equal bytes at equal moments, collisions and noise included."""

    def run(seed: int) -> list[tuple[float, bytes]]:
        seen: list[tuple[float, bytes]] = []
        gateway = GatewayNode()
        nodes: list[Node] = [gateway, *meters(20, seed)]
        line = Line(nodes, rng=Random(seed), trace=lambda at, _, data: seen.append((at, data)))
        line.disturbances.append(DamagedBytes(0.001))
        line.run(40)
        return seen

    assert run(3) == run(3) != run(4)


def test_bytes_take_their_time() -> None:
    """A frame of 276 bytes is on the line for 3.0 ms at 921 600 bit/s."""
    line = Line(rng=Random(0))
    assert BIT_RATE == 921_600
    talker = Babbler(Random(0), length=276, every_s=1.0)
    moments: list[float] = []
    line = Line([talker], rng=Random(0), trace=lambda at, _, data: moments.append(at))
    line.run(0.9)
    assert moments == [pytest.approx(276 * 10 / 921_600)]


def test_who_speaks_at_once_destroys_both() -> None:
    """Overlapping transmissions arrive damaged where they overlap, untouched before."""
    heard: list[tuple[Node, bytes]] = []
    one, other = Babbler(Random(1), every_s=9, length=100), Babbler(Random(2), every_s=9, length=100, begin_s=0.0005)
    line = Line([one, other], rng=Random(0), trace=lambda _, node, data: heard.append((node, data)))
    line.run(1)
    assert line.collisions == 2
    clean = {id(one): Random(1).randbytes(100), id(other): Random(2).randbytes(100)}
    untouched = int(0.0005 * 92_160)
    assert heard[0][1][:untouched] == clean[id(one)][:untouched]
    assert all(data != clean[id(node)] for node, data in heard)


def test_listed_meter_stays_silent_and_answers_its_check() -> None:
    """In an allocation only the unlisted answer; in a check each listed meter answers in its slot."""
    own = server_id(5)
    meter = MeterAddress(own, Random(0))
    answer = meter.broadcast(broadcast(Broadcast.ALLOCATION, []), 0.0)
    assert answer is not None
    delay_s, frame = answer
    (record,) = records(frame.information)
    assert delay_s == pytest.approx(record.slot * SLOT_S)
    assert record.address in ADDRESSES
    assert meter.address is None  # only a list makes it known
    listed = Record(record.address, 0, own)
    assert meter.broadcast(broadcast(Broadcast.ALLOCATION, [listed]), 1.0) is None
    assert meter.address == record.address
    check = [Record(9, 1, server_id(6)), Record(record.address, 2, own)]
    answer = meter.broadcast(broadcast(Broadcast.CHECK, check), 2.0)
    assert answer is not None
    assert answer[0] == pytest.approx(2 * SLOT_S)
    assert meter.broadcast(broadcast(Broadcast.CHECK, check[:1]), 3.0) is None


def test_slots_end_before_the_gateway_stops_listening() -> None:
    """Even the last slot with a full frame lies inside the time the gateway listens."""
    assert 63 * SLOT_S + 0.001 < LISTEN_S


def test_double_address_is_given_once() -> None:
    """A meter whose address is taken is not listed, and chooses another the next time."""
    roster, first, second = Roster(), MeterAddress(server_id(1), Random(0)), MeterAddress(server_id(2), Random(0))
    for meter in (first, second):  # equal random sources: both choose the same
        answer = meter.broadcast(roster.allocation(), 0.0) if meter is first else answer_to_nobody(meter)
        assert answer is not None
        roster.answer(answer[1])
    assert list(roster.addresses) == [first.server_id]
    answer = second.broadcast(roster.allocation(), 1.0)
    assert answer is not None
    assert roster.answer(answer[1]) == second.server_id
    assert len(set(roster.addresses.values())) == 2


def answer_to_nobody(meter: MeterAddress) -> tuple[float, Frame] | None:
    return meter.broadcast(broadcast(Broadcast.ALLOCATION, []), 0.0)


def test_removal_and_return() -> None:
    """An unplugged meter is lost after its checks, another one stays; plugged in again it is found."""
    line, gateway, (first, second) = line_of(2)
    line.run(20)
    assert {event.server_id for event in gateway.events()} == {first.server_id, second.server_id}
    line.detach(first)
    line.run(70)
    assert gateway.events() == [MeterLost(first.server_id)]
    line.attach(first)
    line.run(40)
    events = gateway.events()
    assert [type(event) for event in events] == [MeterFound]
    assert second.server_id in gateway.roster.addresses


def test_meter_forgets_its_address_without_a_gateway() -> None:
    """Without lists and polls the address is given up, and the meter waits for an allocation."""
    line, gateway, (meter,) = line_of(1)
    line.run(5)
    assert meter.address.address is not None
    line.detach(gateway)
    line.run(120)
    assert meter.address.address is None


@pytest.mark.parametrize(
    "disturbance", [None, LostBytes(0.0005), DamagedBytes(0.0005), LostTransmissions(0.05), "babbler"]
)
def test_channels_carry_through_disturbances(disturbance: Disturbance | str | None) -> None:
    """Every meter's echo comes back whole over a line that loses, damages and babbles."""
    line, gateway, found = line_of(4, *([] if disturbance in (None, "babbler") else [disturbance]))  # type: ignore[list-item]
    if disturbance == "babbler":
        line.attach(Babbler(Random(9), every_s=0.237, length=20))
    line.run(40)
    for meter in found:
        text = bytes(meter.server_id) * 100
        got = b""
        for _ in range(8):  # three losses in a row end a channel; a gateway then asks again
            channel = gateway.open(meter.server_id, Selector.SML_COSEM)
            channel.expecting = True
            channel.send(b"")
            sent = False
            got = b""
            end = line.now + 20
            while line.now < end and not channel.closed and got != text:
                line.run(0.05)
                for event in channel.events():
                    if isinstance(event, Opened) and not sent:
                        channel.send(text)
                        sent = True
                    if isinstance(event, Received):
                        got += event.data
            channel.disconnect()
            line.run(5)
            if got == text:
                break
        assert got == text, meter.server_id


def test_gateway_gives_a_dead_meter_up() -> None:
    """A channel to a meter that died ends with `SILENT`; the line is free again."""
    line, gateway, (dead, alive) = line_of(2)
    line.run(20)
    line.detach(dead)
    channel = gateway.open(dead.server_id, Selector.SML_COSEM)
    line.run(5)
    assert channel.closed
    assert gateway.answers_missed >= 3
    other = gateway.open(alive.server_id, Selector.SML_COSEM)
    line.run(1)
    assert other.open


def test_refused_protocol() -> None:
    """A selector the meter does not offer ends with `REFUSED`."""
    line, gateway, (meter,) = line_of(1)
    line.run(5)
    channel = gateway.open(meter.server_id, Selector.TLS)
    line.run(2)
    assert channel.closed
    assert [event.reason for event in channel.events()] == [Reason.REFUSED]  # type: ignore[union-attr]


def test_frames_of_strangers_are_heard_and_not_obeyed() -> None:
    """A frame from another station than the gateway opens nothing; the meter only notes traffic."""
    line, gateway, (meter,) = line_of(1)
    line.run(5)

    def forge(data: bytes, sender: Node) -> bytes:
        frames = FrameDecoder().receive(data)
        if sender is not gateway or not frames or not isinstance(frames[0], Frame):
            return data
        return replace(frames[0], source=Address(0x22, frames[0].source.selector)).to_bytes()

    line.disturbances.append(ManInTheMiddle(forge))
    channel = gateway.open(meter.server_id, Selector.SML_COSEM)
    line.run(5)
    assert channel.closed
    assert meter.channel.selector is None
    assert meter.protocols.frames > 1  # type: ignore[attr-defined]
