"""The gateway against E320 twins: found, paired, read, renewed, reset, and attacked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from messwerk import sml
from messwerk.e320 import Error
from messwerk.errors import LocalError, StoreDamaged
from messwerk.gateway import (
    Done,
    Failed,
    FileMemory,
    Found,
    Gateway,
    GatewayEvent,
    Lost,
    MeterReading,
    Task,
    acknowledged,
    push_file,
    read_delivery_list,
)
from messwerk.gateway.push import request_file_id
from messwerk.lmn import objects
from messwerk.lmn.certificates import VALID_YEARS, curve_of
from messwerk.lmn.hdlc import Frame, FrameDecoder
from messwerk.lmn.line import ManInTheMiddle, Node
from messwerk.lmn.tls import Profile
from messwerk.signing import Curve

sys.path.insert(0, str(Path(__file__).parent))
from metering_point import GATEWAY, UTC, MeteringPoint, initial_key, meter_id, plate_key


def done(task: Task) -> Callable[[GatewayEvent], bool]:
    return lambda event: isinstance(event, Done) and event.task is task


def ended(task: Task) -> Callable[[GatewayEvent], bool]:
    return lambda event: isinstance(event, Done | Failed) and event.task is task


def read(point: MeteringPoint, place: int = 0, seconds: int = 40) -> MeterReading:
    point.gateway.read(meter_id(place))
    event = point.run(seconds, ended(Task.READ))
    assert isinstance(event, Done), event
    assert event.reading is not None
    return event.reading


@pytest.mark.parametrize("meter_profile", list(Profile))
def test_found_paired_read(meter_profile: Profile) -> None:
    """A meter with a known key is found, paired and read over TLS, with signatures that fit its plate."""
    point = MeteringPoint(meter_profile=meter_profile)
    event = point.run(60, done(Task.READ))
    assert isinstance(event, Done), point.log
    assert [type(one) for one in point.log[:2]] == [Found, Done]
    assert event.reading is not None
    assert (event.reading.secured, event.reading.verified) == (True, True)
    (meter,) = point.meters
    assert meter.lmn.secured
    assert meter.secured_operation
    assert event.reading.power_w == 1500
    assert event.reading.seconds_index <= meter.seconds_index
    assert meter.error_register == 0
    assert point.gateway.secured(meter.server_id)


def test_session_carries_many_readings() -> None:
    """Scheduled readings share one session, 15 s apart, and their index rises."""
    point = MeteringPoint(2)
    point.run(120)
    readings = [one.reading for one in point.log if isinstance(one, Done) and one.reading is not None]
    assert len(readings) >= 12
    for meter in point.meters:
        indices = [one.seconds_index for one in readings if one.server_id == meter.server_id]
        assert all(12 <= later - earlier <= 17 for earlier, later in pairwise(indices))
    assert not [one for one in point.log if isinstance(one, Failed)]


def test_unknown_meter_is_only_found() -> None:
    """Without its key a meter is found, can be read in plain text, and cannot be paired."""
    point = MeteringPoint(known=False)
    point.run(20)
    assert point.log == [Found(meter_id(0), point.gateway.present[meter_id(0)], known=False)]
    reading = read(point)
    assert (reading.secured, reading.verified) == (False, None)
    with pytest.raises(LocalError, match="delivery list"):
        point.gateway.pair(meter_id(0))
    with pytest.raises(LocalError, match="not on the line"):
        point.gateway.read(meter_id(5))


def test_wrong_initial_key_pairs_nothing() -> None:
    """With a wrong key the meter answers nothing, notes a rejection, and stays as delivered."""
    point = MeteringPoint(known=False)
    point.gateway.deliver(meter_id(0), bytes(16))
    event = point.run(60, ended(Task.PAIR))
    assert isinstance(event, Failed)
    (meter,) = point.meters
    assert not meter.keys.paired
    assert meter.error_register & Error.SYMMETRIC_REJECTED
    point.gateway.deliver(meter_id(0), initial_key(0))
    assert point.run(120, done(Task.PAIR)) is not None
    assert meter.error_register == 0


def test_plain_text_ends_with_pairing() -> None:
    """Once paired, a meter refuses plain reads with `order not executed`."""
    point = MeteringPoint(read_every_s=None)
    assert point.run(60, done(Task.PAIR))
    point.gateway.state.meters[meter_id(0)].paired = False  # a gateway that does not know
    point.gateway.read(meter_id(0))
    event = point.run(40, ended(Task.READ))
    assert isinstance(event, Failed)
    assert "FE 0A" in event.why


def test_renewal_of_certificates() -> None:
    """Certificates are renewed inside TLS before they end; the next session uses the new ones."""
    point = MeteringPoint()
    assert point.run(60, done(Task.READ))
    before = point.meters[0].keys.own_certificate, point.meters[0].keys.gateway_certificate
    point.utc_offset = VALID_YEARS * 365 * 86_400 - 30 * 86_400
    assert point.run(60, done(Task.RENEW)), point.log
    after = point.meters[0].keys.own_certificate, point.meters[0].keys.gateway_certificate
    assert before[0] != after[0]
    assert before[1] != after[1]
    point.utc_offset += 60 * 86_400
    assert point.run(60, done(Task.READ)), point.log


def test_interrupted_renewal_is_settled() -> None:
    """When the answer to a renewal is lost, the gateway finds out which certificates the meter has."""
    point = MeteringPoint(read_every_s=None)
    assert point.run(60, done(Task.PAIR))
    read(point)
    old = point.meters[0].keys.own_certificate

    def silence(data: bytes, sender: Node) -> bytes:
        return b"" if sender is not point.gateway and point.meters[0].keys.own_certificate != old else data

    point.line.disturbances.append(ManInTheMiddle(silence))
    point.gateway.renew(meter_id(0))
    assert isinstance(point.run(60, ended(Task.RENEW)), Failed)
    point.line.disturbances.clear()
    assert point.gateway.state.meters[meter_id(0)].renewing
    for _ in range(8):
        point.run(40)
        if meter_id(0) not in point.gateway.present:
            continue
        point.gateway.renew(meter_id(0))
        if isinstance(point.run(60, ended(Task.RENEW)), Done):
            break
    assert not point.gateway.state.meters[meter_id(0)].renewing, point.log
    assert read(point).secured


def test_reset_and_pairing_again() -> None:
    """A crypto reset over TLS erases the pairing on both sides; pairing again works from the initial key."""
    point = MeteringPoint(read_every_s=None)
    assert point.run(60, done(Task.PAIR))
    read(point)
    counter = point.meters[0].keys.sent_counter
    point.gateway.reset(meter_id(0))
    assert point.run(40, done(Task.RESET)), point.log
    (meter,) = point.meters
    point.run(5)
    assert not any(meter.keys.own_certificate + meter.keys.own_key + meter.keys.gateway_certificate)
    assert not meter.secured_operation
    assert not meter.lmn.secured
    assert meter.keys.sent_counter == counter
    assert read(point).secured is False
    point.gateway.pair(meter_id(0))
    assert point.run(40, done(Task.PAIR)), point.log
    assert read(point).secured


def test_new_operational_key_and_cleared_errors() -> None:
    """Key change and clearing of F.F. go through TLS, are acknowledged, and take effect."""
    point = MeteringPoint(read_every_s=None)
    assert point.run(60, done(Task.PAIR))
    (meter,) = point.meters
    meter.raise_error(Error.METROLOGY)
    for request in (
        objects.assignment(objects.OPERATIONAL_KEY, bytes(range(16))),
        objects.assignment(objects.ERROR_REGISTER, sml.Unsigned32(0)),
        objects.assignment(objects.INFO_EXTENDED, True),
        objects.assignment(objects.PIN_PROTECTION, False),
    ):
        point.gateway.set(meter_id(0), request)
        assert point.run(40, done(Task.SET)), point.log
    assert meter.keys.operational_key == bytes(range(16))
    assert meter.error_register == 0
    assert meter.settings.extended
    assert not meter.settings.pin_on
    point.gateway.pair(meter_id(0))  # the key exchange now needs the new key
    assert point.run(40, done(Task.PAIR)), point.log


def test_absence_and_return() -> None:
    """A meter without mains is lost, and read again after its mains came back, with a larger index."""
    point = MeteringPoint(2)
    point.run(60)
    index = point.meters[0].seconds_index
    point.meters[0].cut_power()
    assert point.run(120, lambda event: event == Lost(meter_id(0)))
    point.meters[0].restore_power()
    event = point.run(120, lambda one: isinstance(one, Done) and one.server_id == meter_id(0))
    assert isinstance(event, Done), point.log
    assert event.reading is not None
    assert event.reading.seconds_index > index
    assert not [one for one in point.log if isinstance(one, Lost) and one.server_id == meter_id(1)]


def test_gateway_goes_on_from_its_file(tmp_path: Path) -> None:
    """A new gateway process reads on with the same file; a damaged file is told, secrets never are."""
    memory = FileMemory(tmp_path / "gateway.json")
    point = MeteringPoint(memory=memory)
    assert point.run(60, done(Task.READ))
    assert (memory.path.stat().st_mode & 0o777) == 0o600
    assert initial_key(0).hex() not in repr(point.gateway.state)
    point.line.detach(point.gateway)
    point.gateway = Gateway(
        memory, server_id=GATEWAY, entropy=Random(9).randbytes, utc=point.utc, begin_s=point.line.now
    )
    point.line.attach(point.gateway)
    assert point.run(120, done(Task.READ)), point.log
    memory.path.write_bytes(memory.path.read_bytes().replace(b'"paired": true', b'"paired": false'))
    with pytest.raises(StoreDamaged):
        memory.load()


def test_man_in_the_middle_gets_nothing_accepted() -> None:
    """Whoever alters, replays and swaps frames with right checksums delays readings, never changes one."""
    rng = Random(5)
    seen: list[bytes] = []

    def attack(data: bytes, sender: Node) -> bytes:
        frames = FrameDecoder().receive(data)
        seen.append(data)
        if not frames or not isinstance(frames[0], Frame) or not frames[0].information or rng.random() > 0.15:
            return data
        frame = frames[0]
        match rng.randrange(3):
            case 0:
                return rng.choice(seen)
            case 1:
                octets = bytearray(frame.information)
                octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
                return Frame(frame.destination, frame.source, frame.control, bytes(octets)).to_bytes()
        return data + rng.choice(seen)

    point = MeteringPoint(2, seed=3)
    point.line.disturbances.append(ManInTheMiddle(attack))
    point.run(400)
    readings = [one.reading for one in point.log if isinstance(one, Done) and one.reading is not None]
    assert all(reading.verified and reading.secured and reading.power_w == 1500 for reading in readings)
    for meter in point.meters:
        indices = [one.seconds_index for one in readings if one.server_id == meter.server_id]
        assert indices == sorted(indices)
        record = point.gateway.state.meters[meter.server_id]
        if record.paired:
            assert meter.keys.gateway_certificate == record.own_certificate


def test_expired_session_is_replaced() -> None:
    """A session older than its limit is ended, and the next reading has a new one."""
    point = MeteringPoint(session_max_s=20.0)
    point.run(100)
    readings = [one for one in point.log if isinstance(one, Done) and one.task is Task.READ]
    assert len(readings) >= 4
    assert not [one for one in point.log if isinstance(one, Failed)]
    with pytest.raises(LocalError, match="31 days"):
        MeteringPoint(session_max_s=32 * 86_400.0)


def test_push_file_says_what_was_read() -> None:
    """A push has the gateway's server ID, each meter's list, and is acknowledged by its number."""
    point = MeteringPoint(read_every_s=None)
    assert point.run(60, done(Task.PAIR))
    reading = read(point)
    (frame,) = sml.FrameDecoder().receive(push_file(GATEWAY, 7, [reading]))
    assert isinstance(frame, sml.Frame)
    file = sml.decode(frame.payload, strict=True)
    opening, listed = file.messages[0].body, file.messages[1].body
    assert isinstance(opening, sml.PublicOpenResponse)
    assert isinstance(listed, sml.GetListResponse)
    assert (opening.server_id, listed.server_id) == (GATEWAY, meter_id(0))
    assert [entry.value for entry in listed.val_list] == [
        *(sml.Unsigned64(energy.raw) for energy in reading.energies),
        sml.Integer64(1500),
    ]
    assert all(entry.value_signature for entry in listed.val_list[:2])
    answer = sml.AttentionResponse(
        server_id=GATEWAY, attention_no=sml.Attention.ACKNOWLEDGED.number, attention_msg=request_file_id(7)
    )
    accepted = sml.SmlFile((sml.Message(transaction_id=b"1", body=answer),), (), ())
    assert acknowledged(accepted, 7)
    assert not acknowledged(accepted, 8)


def test_delivery_list() -> None:
    """The maker's list is read; a wrong line is named without showing its key."""
    listed = read_delivery_list(f"# meters\n1LGZ0063539421;{initial_key(0).hex()}\n")
    assert listed == {meter_id(0): initial_key(0)}
    with pytest.raises(LocalError, match="line 1") as caught:
        read_delivery_list("1LGZ0063539421;00ff00ff")
    assert "00ff" not in str(caught.value)


def test_plate_key_is_what_signs() -> None:
    """A meter whose plate shows another key is read, but its values are refused."""
    point = MeteringPoint(known=False, read_every_s=None)
    point.gateway.deliver(meter_id(0), initial_key(0), plate_key(meter_id(1)))
    assert point.run(60, done(Task.PAIR))
    point.gateway.read(meter_id(0))
    event = point.run(30, ended(Task.READ))
    assert isinstance(event, Failed)
    assert "signature" in event.why


def test_events_are_not_lost_silently() -> None:
    """Every kind of event has words or values a person can use."""
    point = MeteringPoint()
    point.run(40)
    assert all(isinstance(event, GatewayEvent) for event in point.log)
    assert point.utc() > UTC


def test_a_full_line_is_read_every_15_s() -> None:
    """32 meters on one line are all paired without a failure and read in every 15 s, the line mostly idle."""
    point = MeteringPoint(32)
    point.run(60)
    assert not [one for one in point.log if isinstance(one, Failed)]
    busy_s = point.line.busy_s
    point.log.clear()
    point.run(90)
    read_meters = [one.server_id for one in point.log if isinstance(one, Done) and one.reading is not None]
    assert all(5 <= read_meters.count(meter.server_id) <= 7 for meter in point.meters)
    assert (point.line.busy_s - busy_s) / 90 < 0.1


def test_brainpool_from_end_to_end() -> None:
    """The other curve: keys, certificates and TLS on brainpoolP256r1."""
    point = MeteringPoint(curve=Curve.BP256)
    assert point.run(60, done(Task.READ)), point.log
    assert curve_of(point.meters[0].keys.own_certificate) is Curve.BP256


@pytest.mark.parametrize("step", range(2, 40, 2))
def test_a_reset_of_the_processor_at_any_step(step: int) -> None:
    """A meter whose processor resets at any transmission of pairing or reading is paired and read in the end."""
    point = MeteringPoint()
    counters: list[int] = []
    seen = 0

    def crash(data: bytes, sender: Node) -> bytes:
        nonlocal seen
        seen += 1
        if seen == step:
            counters.append(point.meters[0].keys.sent_counter)
            point.meters[0].crash()
            counters.append(point.meters[0].keys.sent_counter)
        return data

    point.line.disturbances.append(ManInTheMiddle(crash))
    point.run(30)
    assert point.run(150, done(Task.READ)), point.log
    assert counters == sorted(counters)
