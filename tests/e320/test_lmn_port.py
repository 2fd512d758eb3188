"""The E320 on the wired network: what it answers, what it refuses, what it shows and remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.e320 import E320, Error, NonVolatile, RamMemory, Variant
from messwerk.e320.keys import CLOSED_S, KeyStore
from messwerk.e320.lmn_application import LmnApplication, MeterSecrets, change_keys
from messwerk.e320.lmn_port import BURST, STUCK_S, LmnPort, delivery
from messwerk.e320.nonvolatile import Memory
from messwerk.errors import InvalidSignature
from messwerk.identity import ServerId
from messwerk.lmn import objects
from messwerk.lmn.addressing import Record, broadcast
from messwerk.lmn.certificates import self_signed
from messwerk.lmn.hdlc import Address, Broadcast, Frame, FrameDecoder, Kind, Selector, control
from messwerk.lmn.objects import EnergyValue, ObjectName
from messwerk.metrology import Mode, PhasePowers
from messwerk.obis import ObisCode
from messwerk.signing import Curve, PrivateKey
from messwerk.sml.session import SmlClient, SmlServer

METER = ServerId.parse("1LGZ0063539421")
MASTER = bytes(range(16))
OWN = 0x3A


def make(memory: Memory | None = None, variant: Variant | None = None, *, paired: bool = False) -> E320:
    meter = E320(server_id=METER, variant=variant or Variant(), memory=memory or RamMemory())
    if meter.keys == KeyStore():
        meter.keys = delivery("1LGZ0063539421", MASTER, bytes(32), meter)
        if paired:
            gateway = self_signed(Curve.P256, b"g" * 32, "gateway", not_before_utc=0.0, server=False)
            meter.keys.gateway_certificate = gateway.certificate
        meter.save_keys()
    run(meter, 60)
    return meter


def run(meter: E320, seconds: int) -> None:
    meter.advance(PhasePowers.constant(seconds, (1000.0, 200.0, 34.0)))


def ask(meter: E320, *requests: object, over_tls: bool = False) -> list[sml.Body]:
    application = LmnApplication(meter, over_tls=over_tls)
    client = SmlClient(b"CLNID1")
    (answer,) = client.receive(SmlServer(application).receive(client.request(METER, requests)))  # type: ignore[arg-type]
    return [bodies[0] for bodies in answer.responses.values()]


def attention(body: sml.Body) -> sml.Attention | None:
    return sml.Attention.of(body.attention_no) if isinstance(body, sml.AttentionResponse) else None


def value(meter: E320, name: ObjectName, *, over_tls: bool = False) -> object:
    (body,) = ask(meter, objects.question(name), over_tls=over_tls)
    assert isinstance(body, sml.GetProcParameterResponse), body
    assert body.parameter_tree.parameter_name == name.to_bytes()
    return objects.data_value(body.parameter_tree)


def test_every_object_of_the_table() -> None:
    """Each object is read from the same state as display and INFO interface."""
    meter = make()
    assert value(meter, objects.STATUS_WORD) == meter.status_word
    assert value(meter, objects.SERVER_ID) == METER
    assert value(meter, objects.MANUFACTURER) == b"LGZ"
    assert value(meter, objects.FIRMWARE_VERSION) == b"01.02"
    assert value(meter, objects.FIRMWARE_CHECKSUM) == b"5A3C"
    assert value(meter, objects.INDEX) == meter.seconds_index
    assert value(meter, objects.POWER) == value(meter, objects.POWER_PLUS) == meter.power_w == 1234
    assert value(meter, objects.INFO_EXTENDED) is False
    assert value(meter, objects.PIN_PROTECTION) is True
    assert value(meter, objects.SETTINGS_KEPT) is True
    assert value(meter, objects.ERROR_REGISTER) == 0
    assert value(meter, objects.METER_CERTIFICATE) == meter.keys.own_certificate


@pytest.mark.parametrize("mode", list(Mode))
def test_energies_of_every_mode_are_signed(mode: Mode) -> None:
    """A mode's registers are there, others are not; each signature fits its value and nothing else."""
    meter = make(variant=Variant(mode=mode))
    key = PrivateKey.from_seed(Curve.P256, b"1LGZ0063539421").public
    present = []
    for number in (1, 2, 5, 6, 7, 8):
        name = objects.energy(ObisCode.parse(f"{number}.8.0"))
        (body,) = ask(meter, objects.question(name))
        if not isinstance(body, sml.GetProcParameterResponse):
            assert attention(body) is sml.Attention.NOT_EXECUTED
            continue
        present.append(number)
        energy = EnergyValue.of(body.parameter_tree)
        assert energy is not None
        energy.verify(key, METER)
        with pytest.raises(InvalidSignature):
            replace(energy, raw=energy.raw + 1).verify(key, METER)
    assert len(present) == (1 + (mode.has_import and mode.has_export)) + 4 * mode.has_reactive


def test_a_request_in_nine_or_six_bytes_with_or_without_attribute() -> None:
    """Names of nine and of six bytes mean the same; a path with an attribute answers that attribute."""
    meter = make()
    name = objects.IMPORT.to_bytes()
    for path in ((name,), (name[:6],), (name, objects.VALUE)):
        (body,) = ask(meter, sml.GetProcParameterRequest(parameter_tree_path=path))
        assert isinstance(body, sml.GetProcParameterResponse)
        assert len(body.parameter_tree.child_list or ()) == (1 if len(path) == 2 else 6)
    refused = sml.GetProcParameterRequest(parameter_tree_path=(name, b"\x00\x63"))
    assert attention(ask(meter, refused)[0]) is sml.Attention.NOT_EXECUTED


REFUSED = [
    (objects.question(objects.OPERATIONAL_KEY), sml.Attention.NOT_READABLE),
    (objects.question(ObjectName(ObisCode(bytes.fromhex("01005e310103")))), sml.Attention.NOT_EXECUTED),
    (objects.assignment(objects.INDEX, sml.Unsigned32(0)), sml.Attention.NOT_WRITABLE),
    (objects.assignment(objects.SETTINGS_KEPT, False), sml.Attention.NOT_WRITABLE),
    (objects.assignment(objects.INFO_EXTENDED, sml.Unsigned8(1)), sml.Attention.TYPE_NOT_SUPPORTED),
    (objects.assignment(objects.CRYPTO_RESET, False), sml.Attention.OUT_OF_RANGE),
    (objects.assignment(objects.OPERATIONAL_KEY, bytes(16)), sml.Attention.NOT_EXECUTED),
    (objects.assignment(objects.ERROR_REGISTER, sml.Unsigned32(0)), sml.Attention.NOT_EXECUTED),
    (objects.assignment(objects.METER_CERTIFICATE, b"x"), sml.Attention.NOT_EXECUTED),
    (sml.GetListRequest(client_id=b"c"), sml.Attention.NOT_EXECUTED),
]


@pytest.mark.parametrize(("request_", "number"), REFUSED)
def test_refused_in_plain_text(request_: object, number: sml.Attention) -> None:
    """What cannot be done is refused with its own number; a set names its object."""
    meter = make()
    (body,) = ask(meter, request_)
    assert attention(body) is number
    if isinstance(request_, sml.SetProcParameterRequest):
        assert isinstance(body, sml.AttentionResponse)
        assert body.attention_details is not None
        assert body.attention_details.parameter_name == request_.parameter_tree.parameter_name


def test_wrong_server_id() -> None:
    """A request to another meter is refused with FE 03."""
    client, application = SmlClient(b"c"), LmnApplication(make(), over_tls=False)
    wire = client.request(ServerId(bytes(10)), [objects.question(objects.INDEX)])
    (answer,) = client.receive(SmlServer(application).receive(wire))
    assert [sml.Attention.of(one.attention_no) for one in answer.attentions] == [sml.Attention.UNKNOWN_SERVER]


def test_channels_after_pairing() -> None:
    """Once paired, plain text is refused everything but the crypto reset; TLS gets everything."""
    meter = make(paired=True)
    for request in (objects.question(objects.IMPORT), objects.assignment(objects.INFO_EXTENDED, True)):
        assert attention(ask(meter, request)[0]) is sml.Attention.NOT_EXECUTED
    assert value(meter, objects.INDEX, over_tls=True) == meter.seconds_index
    (listed,) = ask(meter, sml.GetListRequest(client_id=b"c"), over_tls=True)
    assert isinstance(listed, sml.GetListResponse)
    assert len(listed.val_list) == 5


def test_crypto_reset_waits_for_quiet() -> None:
    """In plain text a reset is refused while TLS is open and for 30 s after, with its object named."""
    meter = make(paired=True)
    reset = objects.assignment(objects.CRYPTO_RESET, True)
    meter.lmn.open_secured()
    assert attention(ask(meter, reset)[0]) is sml.Attention.NOT_EXECUTED
    meter.lmn.close_secured(meter.uptime_s)
    run(meter, CLOSED_S - 1)
    assert attention(ask(meter, reset)[0]) is sml.Attention.NOT_EXECUTED
    run(meter, 1)
    six = replace(reset, parameter_tree_path=(objects.CRYPTO_RESET.to_bytes()[:6],), parameter_tree=replace(
        reset.parameter_tree, parameter_name=objects.CRYPTO_RESET.to_bytes()[:6]))  # fmt: skip
    assert attention(ask(meter, six)[0]) is sml.Attention.ACKNOWLEDGED
    assert not meter.keys.paired


class Line:
    """Frames of a gateway straight into the port, its answers back."""

    def __init__(self, meter: E320) -> None:
        self.port, self.now = LmnPort(meter, Random(1)), 0.0
        self.say(broadcast(Broadcast.ALLOCATION, [Record(OWN, 0, METER)]))

    def say(self, frame: Frame | bytes) -> list[Frame]:
        self.now += 0.01
        self.port.receive(frame if isinstance(frame, bytes) else frame.to_bytes(), self.now)
        self.now += 0.01
        found = FrameDecoder().receive(b"".join(iter(lambda: self.port.data_to_send(self.now), b"")))
        return [one for one in found if isinstance(one, Frame)]

    def command(self, kind: Kind, selector: int, information: bytes = b"", **numbers: int) -> list[Frame]:
        octet = control(kind, **numbers)
        return self.say(Frame(Address(OWN, selector), Address(1, selector), octet, information))


def test_symbol_follows_the_line() -> None:
    """Off, any traffic, a connection: the LMN symbol has its three patterns before TLS."""
    meter = make()
    assert [meter.lmn.lit(at) for at in (0.0, 0.6)] == [False, False]
    line = Line(meter)
    at = float(meter.uptime_s - meter.uptime_s % 4)
    assert [meter.lmn.lit(at + late) for late in (0.2, 0.7, 1.2)] == [True, False, True]
    line.command(Kind.SET_NORMAL_RESPONSE_MODE, Selector.SML_COSEM)
    assert [meter.lmn.lit(at + late) for late in (0.2, 0.7, 2.2, 3.9)] == [True, True, False, False]
    line.command(Kind.DISCONNECT, Selector.SML_COSEM)
    assert not meter.lmn.channel_open


def test_only_a_paired_meter_offers_tls() -> None:
    """An unpaired meter answers SNRM for TLS with DM, a paired one with UA."""
    for paired, expected in ((False, Kind.DISCONNECTED_MODE), (True, Kind.UNNUMBERED_ACKNOWLEDGE)):
        (answer,) = Line(make(paired=paired)).command(Kind.SET_NORMAL_RESPONSE_MODE, Selector.TLS_COSEM)
        assert answer.kind is expected


def test_power_cut_ends_channel_and_address() -> None:
    """Without mains nothing is answered; afterwards address and channel have to be given anew."""
    meter = make()
    line = Line(meter)
    line.command(Kind.SET_NORMAL_RESPONSE_MODE, Selector.SML_COSEM)
    meter.cut_power()
    assert line.command(Kind.RECEIVE_READY, Selector.SML_COSEM) == []
    assert line.port.next_deadline is None
    meter.restore_power()
    assert line.command(Kind.RECEIVE_READY, Selector.SML_COSEM) == []  # no address
    line.say(broadcast(Broadcast.ALLOCATION, [Record(OWN, 0, METER)]))
    (answer,) = line.command(Kind.RECEIVE_READY, Selector.SML_COSEM)
    assert answer.kind is Kind.DISCONNECTED_MODE


def test_communication_errors_come_and_heal() -> None:
    """Noise raises the error burst, lasting noise the line fault; one good frame clears both."""
    meter = make()
    line = Line(meter)
    for _ in range(BURST):
        line.say(b"noise")
    assert meter.error_register == Error.HDLC_BURST
    line.now += STUCK_S
    line.say(b"noise")
    assert meter.error_register == Error.HDLC_BURST | Error.LMN_LINE
    line.say(broadcast(Broadcast.ALLOCATION, [Record(OWN, 0, METER)]))
    assert meter.error_register == 0


def test_failed_handshake_is_in_the_register() -> None:
    """Garbage instead of a handshake raises the TLS error and ends the channel."""
    meter = make(paired=True)
    line = Line(meter)
    line.command(Kind.SET_NORMAL_RESPONSE_MODE, Selector.TLS_COSEM)
    line.command(Kind.INFORMATION, Selector.TLS_COSEM, b"no TLS at all")
    assert meter.error_register == Error.TLS_HANDSHAKE
    (answer,) = line.command(Kind.RECEIVE_READY, Selector.TLS_COSEM)
    assert answer.kind is Kind.DISCONNECTED_MODE
    assert not meter.secured_operation


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Selector)), st.integers(0, 255), st.binary(max_size=60)), max_size=15))
def test_hostile_frames_leave_the_keys_alone(frames: list[tuple[int, int, bytes]]) -> None:
    """Any frames on any selector leave a running meter with the keys it had."""
    meter = make()
    before = meter.keys.to_bytes()
    line = Line(meter)
    for selector, octet, information in frames:
        line.say(Frame(Address(OWN, selector), Address(1, selector), octet, information))
    assert meter.keys.to_bytes() == before
    assert not meter.secured_operation


def test_ten_thousand_random_byte_strings() -> None:
    """Ten thousand random strings on the line change neither keys nor registers."""
    meter = make()
    line, rng, before = Line(meter), Random(7), (meter.keys.to_bytes(), meter.registers)
    for _ in range(10_000):
        line.port.receive(rng.randbytes(rng.randrange(1, 60)), line.now)
        line.now += 0.001
    assert (meter.keys.to_bytes(), meter.registers) == before


class Stubborn(RamMemory):
    """Memory that refuses after a given number of saves."""

    left = 10**9

    def save(self, areas: dict[str, bytes], *, force: bool = False) -> None:
        if self.left <= 0:
            raise OSError("full")
        self.left -= 1
        super().save(areas, force=force)


def test_a_change_of_keys_is_whole_or_not_at_all() -> None:
    """When memory refuses, the old keys stay in force, and the request is refused."""
    memory = Stubborn()
    meter = make(memory, paired=True)
    before = meter.keys.to_bytes()
    memory.left = 0
    (body,) = ask(meter, objects.assignment(objects.OPERATIONAL_KEY, bytes(16)), over_tls=True)
    assert attention(body) is sml.Attention.NOT_EXECUTED
    assert meter.keys.to_bytes() == before
    with pytest.raises(OSError, match="full"):
        change_keys(meter, operational_key=bytes(16))


def test_counters_survive_restart_and_reset(tmp_path: Path) -> None:
    """The counters go on after a crash and after a crypto reset; none is ever repeated."""
    meter = make(NonVolatile(tmp_path))
    secrets, used = MeterSecrets(meter), []
    for _ in range(3):
        used.append(secrets.next_counter())
        assert secrets.accept_counter(used[-1] + 10)
        meter.crash()
        used.append(secrets.next_counter())
        assert meter.crypto_reset(over_tls=True)
        assert not secrets.accept_counter(used[-1] - 1)
    assert used == sorted(set(used))
    meter.close()
