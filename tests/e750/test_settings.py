"""The communication module's own trees: users, push operations, LAN, time, log book, reboot."""

from __future__ import annotations

from typing import Any

import pytest

from e750_rack import Rack, acknowledgement, central, leaves, powers
from messwerk import sml
from messwerk.e750 import Event
from messwerk.e750 import object_names as names
from messwerk.e750.push import Source
from messwerk.e750.users import USERS_MAX, Role, User, password_digest
from messwerk.errors import AttentionReceived

NOW = 1_700_000_000.0
U16, U32 = sml.Unsigned16, sml.Unsigned32
PUSH_1 = (names.PUSH_OPERATIONS, names.push_operation(1))
PUSH_2 = (names.PUSH_OPERATIONS, names.push_operation(2))

WRITES: list[tuple[str, tuple[bytes, ...], Any, Any]] = [
    ("push interval", (*PUSH_1, names.PUSH_INTERVAL), U32(900), 900),
    ("push delay", (*PUSH_1, names.PUSH_DELAY), U16(30), 30),
    ("push source", (*PUSH_1, names.PUSH_SOURCE), names.PUSH_SOURCE_PROFILE, names.PUSH_SOURCE_PROFILE),
    ("push target", (*PUSH_2, names.PUSH_TARGET), b"station.example:7259", b"station.example:7259"),
    ("address", (names.LAN_SETTINGS, names.LAN_ADDRESS), U32(0xC0A80102), 0xC0A80102),
    ("mask", (names.LAN_SETTINGS, names.LAN_MASK), U32(0xFFFF0000), 0xFFFF0000),
    ("gateway", (names.LAN_SETTINGS, names.LAN_GATEWAY), U32(0xC0A80101), 0xC0A80101),
    ("second name server", (names.LAN_SETTINGS, names.LAN_DNS[1]), U32(0x08080808), 0x08080808),
    ("DHCP", (names.LAN_SETTINGS, names.LAN_DHCP), False, False),
    ("PPPoE", (names.LAN_SETTINGS, names.LAN_PPPOE), True, True),
    ("PPPoE user", (names.LAN_SETTINGS, names.PPPOE_USER), "müller".encode(), "müller".encode()),
    ("token period", (names.NTP, names.SYNC_PERIOD), U32(900), 900),
    ("token offset", (names.NTP, names.SYNC_OFFSET), U32(5), 5),
    ("token", (names.NTP, names.NTP_ENABLED), True, True),
    ("time server", (names.NTP, names.NTP_SERVERS, names.NTP_SERVER), b"ptbtime1.example", b"ptbtime1.example"),
    ("time server's port", (names.NTP, names.NTP_PORT), U16(1123), 1123),
]


@pytest.mark.parametrize(("what", "path", "value", "shown"), WRITES, ids=[what for what, *_ in WRITES])
def test_a_setting_is_written_read_back_logged_and_kept(
    rack: Rack, what: str, path: tuple[bytes, ...], value: Any, shown: Any
) -> None:
    """FD 00, the new value under its name, an entry in the log, and still there after a restart."""
    cm = rack.communication_module()
    station = central(cm)
    assert station.set(None, path, value).attention_no == sml.Attention.ACKNOWLEDGED.number
    assert station.get(None, *path).parameter_value == sml.ValueParameter(_sized(value, shown))
    assert cm.log.entries[-1].event == Event.PARAMETER_CHANGED
    rack.pull_out(cm)
    again = central(rack.communication_module()).get(None, *path)
    assert again.parameter_value.value == shown


def _sized(value: Any, shown: Any) -> Any:
    """The value in the width its parameter has: written narrower, read back wide."""
    if isinstance(value, U16) and shown == 30:
        return U32(30)
    return value


REFUSED: list[tuple[str, tuple[bytes, ...], Any, str]] = [
    ("interval too long", (*PUSH_1, names.PUSH_INTERVAL), U32(86_401), "fe09"),
    ("interval as text", (*PUSH_1, names.PUSH_INTERVAL), b"900", "fe0f"),
    ("unknown source", (*PUSH_1, names.PUSH_SOURCE), bytes(6), "fe09"),
    ("target without port", (*PUSH_1, names.PUSH_TARGET), b"station", "fe09"),
    ("target with port 0", (*PUSH_1, names.PUSH_TARGET), b"station:0", "fe09"),
    ("target not UTF-8", (*PUSH_1, names.PUSH_TARGET), b"\xff\xff:1", "fe0f"),
    ("a fifth operation", (names.PUSH_OPERATIONS, names.push_operation(5), names.PUSH_DELAY), U32(1), "fe0a"),
    ("service", (*PUSH_1, names.PUSH_SERVICE), names.PUSH_SERVICE_SML, "fe05"),
    ("mask with holes", (names.LAN_SETTINGS, names.LAN_MASK), U32(0xFF00FF00), "fe09"),
    ("address as flag", (names.LAN_SETTINGS, names.LAN_ADDRESS), True, "fe0f"),
    ("flag 2", (names.LAN_SETTINGS, names.LAN_DHCP), sml.Unsigned8(2), "fe09"),
    ("token offset beyond its period", (names.NTP, names.SYNC_OFFSET), U32(3600), "fe09"),
    ("token every second", (names.NTP, names.SYNC_PERIOD), U32(1), "fe09"),
    ("time", (names.DEVICE_TIME, names.UTC), U32(1), "fe05"),
    ("identity", (names.IDENTIFICATION, names.SERVER_ID), b"\x05other!", "fe05"),
    ("reboot with false", (names.REBOOT,), False, "fe09"),
    ("an unknown device", (names.ACTIVATE_DEVICE,), b"\x05nobody", "fe03"),
    ("a password that is no digest", (names.ACCESS_RIGHTS, names.access_role(3), names.access_user(3, 1),
                                       names.USER_PASSWORD), b"secret", "fe09"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "path", "value", "number"), REFUSED, ids=[what for what, *_ in REFUSED])
def test_a_bad_value_is_refused_by_its_attention_and_changes_nothing(
    rack: Rack, what: str, path: tuple[bytes, ...], value: Any, number: str
) -> None:
    """Out of range, wrong type, read-only and unknown are told apart."""
    cm = rack.communication_module()
    cm.poll(NOW)
    before = cm._state.load()
    tree = sml.Tree(parameter_name=path[-1], parameter_value=sml.ValueParameter(value))
    request = sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)
    (attention,) = central(cm).ask(None, request).attentions
    assert attention.attention_no[-2:].hex() == number
    cm.save()
    assert cm._state.load() == before


def test_a_tree_with_one_bad_value_changes_nothing(rack: Rack) -> None:
    """Several values in one request: all are checked before the first is written."""
    cm = rack.communication_module()
    children = tuple(
        sml.Tree(parameter_name=name, parameter_value=sml.ValueParameter(value))
        for name, value in ((names.PUSH_INTERVAL, U32(60)), (names.PUSH_DELAY, U32(10**6)))
    )
    tree = sml.Tree(parameter_name=PUSH_1[-1], child_list=children)
    request = sml.SetProcParameterRequest(parameter_tree_path=PUSH_1, parameter_tree=tree)
    with pytest.raises(AttentionReceived, match="FE 09"):
        central(cm).ask(None, request).answer()
    assert cm.push.interval_s == 0


# --- users ---------------------------------------------------------------------------------


def user_path(role: Role, number: int) -> tuple[bytes, ...]:
    return (names.ACCESS_RIGHTS, names.access_role(role), names.access_user(role, number))


def test_an_administrator_makes_and_removes_users(rack: Rack) -> None:
    """A name and a digest in the free place make a user; an empty name removes him; digests are never read."""
    cm = rack.communication_module()
    station = central(cm)
    name = sml.Tree(parameter_name=names.USER_NAME, parameter_value=sml.ValueParameter(b"anna"))
    word = sml.Tree(
        parameter_name=names.USER_PASSWORD, parameter_value=sml.ValueParameter(password_digest(b"her word"))
    )
    path = user_path(Role.READER, 2)
    request = sml.SetProcParameterRequest(
        parameter_tree_path=path, parameter_tree=sml.Tree(parameter_name=path[-1], child_list=(name, word))
    )
    station.ask(None, request).answer()
    tree = station.get(None, names.ACCESS_RIGHTS)
    assert leaves(tree)[names.USER_NAME] in (b"anna", b"operator")
    assert names.USER_PASSWORD not in leaves(tree)
    anna = central(cm)
    anna.username, anna.password = "anna", b"her word"
    anna.get(None, names.IDENTIFICATION)
    with pytest.raises(AttentionReceived, match="FE 02"):
        anna.get(None, names.ACCESS_RIGHTS)
    station.set(None, (*path, names.USER_NAME), b"")
    with pytest.raises(AttentionReceived, match="FE 02"):
        anna.get(None, names.IDENTIFICATION)


def test_the_last_administrator_cannot_be_removed_and_places_are_bounded(rack: Rack) -> None:
    """A module nobody can administer, or with endless users, would be a loss."""
    cm = rack.communication_module()
    station = central(cm)
    with pytest.raises(AttentionReceived, match="FE 0A"):
        station.set(None, (*user_path(Role.ADMINISTRATOR, 1), names.USER_NAME), b"")
    for number in range(2, USERS_MAX + 1):
        station.set(None, (*user_path(Role.READER, number), names.USER_NAME), b"user %d" % number)
    with pytest.raises(AttentionReceived, match="FE 0A"):
        station.set(None, (*user_path(Role.READER, USERS_MAX + 1), names.USER_NAME), b"one more")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [(Role.READER, "----"), (Role.OPERATOR, "++--"), (Role.ADMINISTRATOR, "++++")],
)
def test_roles_bound_what_may_be_written(rack: Rack, role: Role, allowed: str) -> None:
    """Readers write nothing; operators base modules and time; administrators everything."""
    cm, module = rack.communication_module(), rack.base_module()
    cm.users.users["kim"] = User("kim", password_digest(b"k"), role, 9)
    station = central(cm)
    station.username, station.password = "kim", b"k"
    results = ""
    for server_id, path, value in (
        (module.server_id, (names.SETTINGS, names.PERIOD_PHASE), U16(1)),
        (None, (names.NTP, names.NTP_ENABLED), True),
        (None, (*PUSH_1, names.PUSH_DELAY), U32(1)),
        (None, (names.REBOOT,), True),
    ):
        tree = sml.Tree(parameter_name=path[-1], parameter_value=sml.ValueParameter(value))
        request = sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)
        (attention,) = station.ask(server_id, request).attentions
        results += {"fd00": "+", "fe02": "-"}[attention.attention_no[-2:].hex()]
    assert results == allowed


# --- push operations -----------------------------------------------------------------------


def test_an_interval_gathers_what_is_new_and_sends_it_after_its_delay(rack: Rack) -> None:
    """900 s and 30 s delay: one burst per quarter hour, half a minute after it, everything new in it."""
    cm, module = rack.communication_module(), rack.base_module()
    cm.push.interval_s, cm.push.delay_s = 900, 30
    quarter = 1_700_000_100.0
    sent = []
    for second in range(0, 2000, 5):
        now = quarter + second
        module.advance(powers(5))
        while (file := cm.push_file(now)) is not None:
            sent.append(second)
            cm.push_received(acknowledgement(file))
    assert [second for second in sent if second] == [930, 1830]


def test_operations_have_positions_of_their_own(rack: Rack) -> None:
    """Two stations: each gets everything once, whatever the other acknowledged."""
    cm, module = rack.communication_module(), rack.base_module()
    station = central(cm)
    station.set(None, (*PUSH_2, names.PUSH_TARGET), b"second:1")
    station.set(None, (*PUSH_2, names.PUSH_SOURCE), names.PUSH_SOURCE_PROFILE)
    assert cm.operations[2].source is Source.PROFILE
    module.advance(powers(2000))
    module.tick(powers(1))
    first, second = cm.push_file(NOW), cm.push_file(NOW, 2)
    assert first is not None
    assert second is not None
    assert len(second) < len(first), "no live tuple in the second"
    assert cm.push_received(acknowledgement(first))
    assert cm.push_received(acknowledgement(second), 2)
    assert cm.push_file(NOW) is None
    assert cm.push_file(NOW, 2) is None
    assert cm.push_file(NOW, 3) is None, "not configured"


# --- log book, status, reboot --------------------------------------------------------------


def read_log(station: Any, begin: int | None, end: int | None) -> list[dict[bytes, Any]]:
    times = [None if time is None else sml.Timestamp(time) for time in (begin, end)]
    request = sml.GetProfileListRequest(parameter_tree_path=(names.LOG_BOOK,), begin_time=times[0], end_time=times[1])
    rows = station.ask(None, request).answer()
    return [{entry.obj_name: entry.value for entry in row.period_list} for row in rows]


def test_the_log_book_is_read_by_time(rack: Rack) -> None:
    """Each entry a row with event, UTC, device and details; ranges and their refusals like a profile's."""
    cm = rack.communication_module()
    cm.poll(NOW)
    module = rack.base_module()
    cm.poll(NOW + 100)
    station = central(cm)
    station.set(None, (names.NTP, names.NTP_ENABLED), True)
    rows = read_log(station, int(NOW), int(NOW) + 50)
    assert [row[names.EVENT] for row in rows] == [Event.DEVICE_APPEARED]
    assert rows[0][names.SERVER_ID] == module.server_id
    assert rows[0][names.UTC] == int(NOW)
    assert read_log(station, None, None)[0][names.EVENT] == Event.POWER_RETURNED
    assert read_log(station, int(NOW) + 60, None)[0][names.EVENT_DETAILS] == b"81 81 C7 88 01 FF"
    with pytest.raises(AttentionReceived, match="FE 13"):
        read_log(station, 1, 2)
    with pytest.raises(AttentionReceived, match="FE 12"):
        read_log(station, 2, 1)


def test_the_status_word_tells_time_and_push(rack: Rack) -> None:
    """Time base uncertain until time was handed in; not authorised while pushes fail."""
    cm, module = rack.communication_module(), rack.base_module()
    station = central(cm)

    def status() -> int:
        return leaves(station.get(None, names.STATUS_WORD))[names.STATUS_WORD]

    assert status() == 1 << 32 | 1 << 1
    module.tick(powers(1))
    assert cm.push_file(NOW) is not None
    cm.push_failed(NOW)
    assert status() == 1 << 13 | 1 << 1


def test_a_reboot_gives_up_what_is_on_its_way_and_keeps_what_is_stored(rack: Rack) -> None:
    """Asked for over the wire, done at the next second, logged; nothing unacknowledged is lost."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(1000))
    cm.poll(NOW)
    before = cm.push_file(NOW)
    central(cm).set(None, (names.REBOOT,), True)
    cm.poll(NOW + 1)
    assert Event.REBOOT in [entry.event for entry in cm.log.entries]
    after = cm.push_file(NOW + 61)
    assert before is not None
    assert after is not None
    assert cm.push_received(acknowledgement(after))
    assert cm.push_file(NOW + 62) is None
