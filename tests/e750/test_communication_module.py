"""The communication module finds, routes, guards and logs; base modules are reached through it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e750_rack import CM_ID, Central, Rack, bm_id, central, key_of, leaves, powers
from messwerk import sml
from messwerk.e750 import CommunicationModule, Event, Group
from messwerk.e750 import object_names as names
from messwerk.e750.communication_module import EXCHANGE_WITHIN_S
from messwerk.e750.devices import BASE_MODULES_MAX, VANISHED_AFTER_S
from messwerk.e750.users import Role, User, password_digest
from messwerk.errors import AttentionReceived, BusyError, LocalError
from messwerk.identity import ServerId
from messwerk.sml.session import SmlClient
from messwerk.tuples import SignedTuple

NOW = 1_700_000_000.0


def events(module: CommunicationModule) -> list[int]:
    return [entry.event for entry in module.log.entries]


def devices(station: Central, root: bytes) -> list[bytes]:
    tree = station.get(None, root)
    return [leaves(entry)[names.SERVER_ID] for entry in tree.child_list or ()]


# --- plug and play -------------------------------------------------------------------------


def test_a_module_plugged_in_later_is_found_read_and_verified_without_configuration(rack: Rack) -> None:
    """From plugging in to a verified tuple at the station: discovery, list, key, tuple, over bytes alone."""
    cm = rack.communication_module()
    cm.poll(NOW)
    station = central(cm)
    assert devices(station, names.ACTIVE_DEVICES) == []
    module = rack.base_module(7)
    one = module.tick(powers(1))
    (found,) = devices(station, names.ACTIVE_DEVICES)
    assert found == module.server_id
    told = leaves(station.get(found, names.IDENTIFICATION))
    assert told[names.PUBLIC_KEY] == key_of(7).public.point
    entry = station.get(found, names.SPECIAL_TUPLES, names.CURRENT_TUPLE).parameter_value.value
    SignedTuple.from_entry(entry).verify(key_of(7).public)
    assert SignedTuple.from_entry(entry) == one
    assert Event.DEVICE_APPEARED in events(cm)


def test_a_module_that_was_there_first_is_found_by_its_next_announcement(rack: Rack) -> None:
    """The order of plugging in does not matter: a module announces itself every 60 seconds."""
    module = rack.base_module()
    cm = rack.communication_module()
    for _ in range(60):
        module.tick(powers(1))
    assert devices(central(cm), names.ACTIVE_DEVICES) == [module.server_id]


def test_the_lists_tell_visible_active_and_vanished(rack: Rack) -> None:
    """Entry names, class and last-seen time as the tree of the lists says."""
    cm = rack.communication_module()
    cm.poll(NOW)
    first, second = rack.base_module(1), rack.base_module(2)
    station = central(cm)
    tree = station.get(None, names.VISIBLE_DEVICES)
    assert [entry.parameter_name.hex() for entry in tree.child_list] == ["818110060101", "818110060102"]
    told = leaves(tree.child_list[0])
    assert told[names.DEVICE_CLASS] == first.variant.device_class
    assert told[names.UTC] == sml.Timestamp(int(NOW))
    second.cut_power()
    for second_passed in range(int(VANISHED_AFTER_S) + 2):
        first.tick(powers(1))
        cm.poll(NOW + second_passed)
    assert devices(station, names.VANISHED_DEVICES) == [second.server_id]
    assert devices(station, names.VISIBLE_DEVICES) == [first.server_id]
    assert events(cm).count(Event.DEVICE_VANISHED) == 1
    second.restore_power(182)
    assert devices(station, names.VANISHED_DEVICES) == []


def test_the_33rd_base_module_is_refused_with_an_event(rack: Rack) -> None:
    """32 are served; one more is visible, not routed to, and logged; freeing a place lets it in."""
    cm = rack.communication_module()
    modules = [rack.base_module(number) for number in range(BASE_MODULES_MAX + 1)]
    station = central(cm)
    assert len(devices(station, names.ACTIVE_DEVICES)) == BASE_MODULES_MAX
    late = modules[-1].server_id
    assert devices(station, names.NEW_DEVICES) == [late]
    assert Event.DEVICE_LIMIT in events(cm)
    with pytest.raises(AttentionReceived, match="FE 03"):
        station.get(late, names.IDENTIFICATION)
    with pytest.raises(AttentionReceived, match="FE 0A"):
        station.set(None, (names.ACTIVATE_DEVICE,), late)
    station.set(None, (names.DEACTIVATE_DEVICE,), modules[0].server_id)
    station.set(None, (names.ACTIVATE_DEVICE,), late)
    assert leaves(station.get(late, names.IDENTIFICATION))[names.SERVER_ID] == late


def test_an_impostor_is_reported_and_not_believed(rack: Rack) -> None:
    """The same server ID with another key: event, and the key known stays the key."""
    cm = rack.communication_module()
    module = rack.base_module(1)
    rack.pull_out(module)
    impostor = rack.base_module(1, key=key_of(99))
    assert Event.SERVER_ID_TWICE in events(cm)
    assert cm.devices.devices[impostor.server_id].public_key == key_of(1).public.point


def test_two_tuples_for_one_second_are_a_tamper_event(rack: Rack) -> None:
    """A forged broadcast with a used index is logged and not pushed; a repeated frame is neither."""
    cm = rack.communication_module()
    module = rack.base_module()
    frames: list[bytes] = []
    send = rack.bus.send
    rack.bus.send = lambda frame, sender, to: (frames.append(frame), send(frame, sender, to))[1]  # type: ignore[method-assign]
    module.tick(powers(1))
    (frame,) = frames
    cm.on_frame(frame, module.server_id, Group.TUPLES)
    assert Event.TUPLE_FORGED not in events(cm)
    payload = sml.FrameDecoder().receive(frame)[0].payload
    forged = bytearray(payload)
    entry = next(m.body for m in sml.decode(payload).messages if isinstance(m.body, sml.GetProcParameterResponse))
    one = SignedTuple.from_entry(entry.parameter_tree.parameter_value.value)
    at = forged.index(one.signature_import)
    forged[at] ^= 1
    cm.on_frame(sml.frame(_with_new_checksums(bytes(forged))), module.server_id, Group.TUPLES)
    assert events(cm).count(Event.TUPLE_FORGED) == 1
    assert len(cm.push.position(module.server_id).waiting) == 1


def _with_new_checksums(payload: bytes) -> bytes:
    """What an attacker does who knows CRC-16: the middle message again, whole."""
    from messwerk._core import crc16_x25

    messages = []
    start = 0
    while start < len(payload):
        end = next(
            stop
            for stop in range(start + 12, len(payload) + 1)
            if payload[stop - 1] == 0 and payload[stop - 4] == 0x63 and _is_message(payload[start:stop])
        )
        body = payload[start : end - 4]
        messages.append(body + b"\x63" + crc16_x25(body).to_bytes(2, "little") + b"\x00")
        start = end
    return b"".join(messages)


def _is_message(content: bytes) -> bool:
    elements = sml.outline(content)
    return elements[0].length == 6 and sum(element.depth == 0 for element in elements) == 1 and (
        sum(element.depth == 1 for element in elements) == 6 and elements[-1].type == "end of message"
    )  # fmt: skip


# --- routing -------------------------------------------------------------------------------


def test_a_file_for_one_module_is_passed_on_verbatim(rack: Rack) -> None:
    """The answer the station gets is the very frame the base module sent: signatures stay untouched."""
    cm = rack.communication_module()
    module = rack.base_module()
    module.advance(powers(2000))
    session, client = cm.session(), SmlClient(b"station")
    request = sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,))
    wire = client.request(module.server_id, [request], username="operator", password=b"secret")
    answered = session.receive(wire)
    assert session.forwarded == 1
    assert answered == module.server.receive(wire)
    (answer,) = client.receive(answered)
    assert answer.open.ref_time == sml.SecIndex(module.seconds_index)


def test_one_file_can_ask_several_modules(rack: Rack) -> None:
    """Opened at the communication module, each request goes where its own server ID says."""
    cm = rack.communication_module()
    modules = [rack.base_module(number) for number in (1, 2)]
    answer = central(cm).ask(
        CM_ID,
        *(
            sml.GetProcParameterRequest(server_id=server_id, parameter_tree_path=(names.IDENTIFICATION,))
            for server_id in (modules[0].server_id, CM_ID, modules[1].server_id, bm_id(9))
        ),
    )
    told = [leaves(answer.answer(n)[0].parameter_tree)[names.SERVER_ID] for n in range(3)]
    assert told == [modules[0].server_id, CM_ID, modules[1].server_id]
    with pytest.raises(AttentionReceived, match="FE 03"):
        answer.answer(3)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answers_keep_the_order_of_their_requests(rack: Rack, size: int) -> None:
    """Files sent ahead, some forwarded and some answered here: same order, whatever the chunks."""
    cm = rack.communication_module()
    module = rack.base_module()
    session, client = cm.session(), SmlClient(b"station")
    request = sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,))
    targets = [module.server_id, None, module.server_id, bm_id(5), None]
    wire = b"".join(client.request(to, [request], username="operator", password=b"secret") for to in targets)
    back = b"".join(session.receive(wire[at : at + size]) for at in range(0, len(wire), size))
    answers = client.receive(back)
    assert [answer.req_file_id[-1] for answer in answers] == [1, 2, 3, 4, 5]
    assert [answer.open.server_id if answer.open else None for answer in answers] == [
        module.server_id, CM_ID, module.server_id, None, CM_ID,
    ]  # fmt: skip


def test_a_module_without_supply_is_reported_disturbed(rack: Rack) -> None:
    """Known but silent is FE 07, not FE 03: the station must not forget the meter."""
    cm = rack.communication_module()
    module = rack.base_module()
    module.cut_power()
    with pytest.raises(AttentionReceived, match="FE 07"):
        central(cm).get(module.server_id, names.IDENTIFICATION)
    module.restore_power(1)
    central(cm).get(module.server_id, names.IDENTIFICATION)


class SlowModule:
    """Announces itself like a base module and answers when the test says so."""

    groups = frozenset[Group]()

    def __init__(self, rack: Rack, number: int) -> None:
        module = rack.base_module(number)
        self.server_id, self.server = module.server_id, module.server
        rack.bus.detach(module)
        rack.bus.attach(self)
        self.bus, self.waiting = rack.bus, []

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        self.waiting.append((frame, sender))

    def answer(self) -> None:
        frame, sender = self.waiting.pop(0)
        self.bus.send(self.server.receive(frame), self.server_id, sender)


def test_a_bus_that_takes_its_time(rack: Rack) -> None:
    """Two stations ask one slow module: one file at a time on the bus, each gets its own answer later."""
    cm = rack.communication_module()
    cm.poll(NOW)
    slow = SlowModule(rack, 3)
    clients = [(cm.session(), SmlClient(b"station%d" % number)) for number in range(2)]
    request = sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,))
    for session, client in clients:
        wire = client.request(slow.server_id, [request], username="operator", password=b"secret")
        assert session.receive(wire) == b""
    assert len(slow.waiting) == 1
    slow.answer()
    slow.answer()
    for number, (session, client) in enumerate(clients):
        (answer,) = client.receive(session.data_to_send())
        assert answer.open.client_id == b"station%d" % number
        assert answer.answer()


def test_a_module_that_never_answers_is_given_up(rack: Rack) -> None:
    """After the time-out: FE 07, forwarded or message by message, and the next request gets its turn."""
    cm = rack.communication_module()
    cm.poll(NOW)
    slow = SlowModule(rack, 3)
    request = sml.GetProcParameterRequest(server_id=slow.server_id, parameter_tree_path=(names.IDENTIFICATION,))
    for opened, moment in ((slow.server_id, NOW), (CM_ID, NOW + 100)):
        session, client = cm.session(), SmlClient(b"station")
        cm.poll(moment)
        session.receive(client.request(opened, [request], username="operator", password=b"secret"))
        assert session.data_to_send() == b""
        cm.poll(moment + EXCHANGE_WITHIN_S)
        (answer,) = client.receive(session.data_to_send())
        with pytest.raises(AttentionReceived, match="FE 07"):
            answer.answer()
    slow.answer()
    assert cm.unexpected_frames == 1, "the late answer finds nobody waiting"


# --- who may what --------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_logged(rack: Rack) -> None:
    """FE 02 for wrong, missing and unknown credentials; the password never reaches the log."""
    cm = rack.communication_module()
    module = rack.base_module()
    station = central(cm)
    for username, password in (("operator", b"guess!"), (None, None), ("nobody", b"secret")):
        station.username, station.password = username, password
        for server_id in (None, module.server_id):
            with pytest.raises(AttentionReceived, match="FE 02"):
                station.get(server_id, names.IDENTIFICATION)
    assert events(cm).count(Event.LOGIN_REFUSED) == 6
    assert "guess" not in (rack.folder / "cm" / "log.jsonl").read_text()


def test_credentials_of_a_single_request_count_for_it(rack: Rack) -> None:
    """A request with its own, wrong password is refused; its neighbours are answered."""
    cm = rack.communication_module()
    module = rack.base_module()
    good = sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,))
    bad = sml.GetProcParameterRequest(
        parameter_tree_path=(names.IDENTIFICATION,), username=b"operator", password=b"wrong"
    )
    answer = central(cm).ask(module.server_id, good, bad, good)
    assert answer.answer(0) == answer.answer(2)
    with pytest.raises(AttentionReceived, match="FE 02"):
        answer.answer(1)


def test_a_reader_may_not_write(rack: Rack) -> None:
    """The right to set a parameter belongs to operators; a reader's set reaches no base module."""
    cm = rack.communication_module()
    module = rack.base_module()
    cm.users.users["reader"] = User("reader", password_digest(b"look"), Role.READER)
    station = central(cm)
    station.username, station.password = "reader", b"look"
    station.get(module.server_id, names.IDENTIFICATION)
    with pytest.raises(AttentionReceived, match="FE 02"):
        station.set(module.server_id, (names.SETTINGS, names.PERIOD_PHASE), sml.Unsigned16(3))
    assert module.period_phase == 0
    station.username, station.password = "operator", b"secret"
    station.set(module.server_id, (names.SETTINGS, names.PERIOD_PHASE), sml.Unsigned16(3))
    assert module.period_phase == 3


def test_a_module_without_users_cannot_be_made(rack: Rack) -> None:
    """No credentials would mean nobody, or everybody."""
    with pytest.raises(LocalError, match="at least one user"):
        rack.communication_module(credentials={})


# --- time, memory, hostile input -----------------------------------------------------------


def test_the_token_goes_out_at_its_boundary_once(rack: Rack) -> None:
    """Period and offset of the synchronisation token; every base module's next tuple starts an interval."""
    cm = rack.communication_module()
    modules = [rack.base_module(number) for number in (1, 2)]
    cm.sync_enabled, cm.sync_period_s, cm.sync_offset_s = True, 900, 10
    start = 1_700_000_100
    assert start % 900 == 0
    boundaries = []
    for second in range(20):
        cm.poll(start + second + 0.2)
        boundaries += [second for module in modules if module.tick(powers(1)).start_of_interval]
    assert boundaries == [10, 10]
    assert events(cm).count(Event.SYNC_TOKEN_SENT) == 1


def test_what_it_knows_survives_a_restart(rack: Rack) -> None:
    """Devices, users and settings are there again before anybody announces anything."""
    cm = rack.communication_module()
    module = rack.base_module()
    cm.users.users["extra"] = User("extra", password_digest(b"word"), Role.READER)
    rack.pull_out(cm)
    again = rack.communication_module(credentials={"other": "ignored"})
    assert list(again.devices.devices) == [module.server_id]
    assert sorted(again.users.users) == ["extra", "operator"]
    central(again).get(module.server_id, names.IDENTIFICATION)
    with pytest.raises(BusyError):
        rack.communication_module()


def test_the_log_survives_a_torn_line(rack: Rack) -> None:
    """A kill in mid-write costs one entry; numbers go on."""
    cm = rack.communication_module()
    numbers = [entry.number for entry in cm.log.entries]
    rack.pull_out(cm)
    path = rack.folder / "cm" / "log.jsonl"
    path.write_bytes(path.read_bytes() + b'{"number": 99, "ev')
    again = rack.communication_module()
    assert [entry.number for entry in again.log.entries] == [*numbers, numbers[-1] + 1]
    assert all(json.loads(line) for line in path.read_text().splitlines() if "99" not in line)


def test_hostile_bytes_get_no_answer_and_do_no_harm(rack: Rack) -> None:
    """Garbage from the outside and from the bus: counted, and the next good request is answered."""
    cm = rack.communication_module()
    module = rack.base_module()
    session = cm.session()
    assert session.receive(b"GET / HTTP/1.1\r\n\r\n" * 1000 + b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\xff\xff") == b""
    for noise in (b"", b"\x00", sml.frame(b""), sml.frame(b"\x76\x05"), bytes(70_000), sml.frame(bytes(100))):
        for group in (None, Group.TUPLES):
            cm.on_frame(noise, bm_id(1), group)
    assert cm.unexpected_frames >= 8
    station = Central(session.receive)
    station.get(module.server_id, names.IDENTIFICATION)


def test_a_station_that_names_nonsense_as_server_is_refused(rack: Rack) -> None:
    """Server IDs of any length come over the wire; none of them crashes routing."""
    cm = rack.communication_module()
    station = central(cm)
    for server_id in (b"\x00", bytes(32), bytes(33), bytes(300)):
        with pytest.raises(AttentionReceived, match="FE 03"):
            station.get(server_id, names.IDENTIFICATION)


def test_its_own_identity(rack: Rack, tmp_path: Path) -> None:
    """Asked without a server ID, the communication module speaks for itself and tells its time."""
    cm = rack.communication_module()
    cm.poll(NOW)
    answer = central(cm).ask(None, sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,)))
    told = leaves(answer.answer()[0].parameter_tree)
    assert told[names.SERVER_ID] == CM_ID
    assert told[names.DEVICE_CLASS].hex() == "8181c78248ff"
    assert answer.open.ref_time == sml.Timestamp(int(NOW))
