"""Device IDs on the plate, server IDs on the wire, MAC addresses on the bus."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.errors import InvalidIdentifier
from messwerk.identity import DeviceId, ServerId

FORMS = [
    ("1LGZ0063539421", "0a014c475a0003c988dd", "1 LGZ 00 6353 9421"),
    ("1 LGZ 00 6353 9421", "0a014c475a0003c988dd", "1 LGZ 00 6353 9421"),
    ("00:15:11:22:AA:BB", "0500151122aabb", "00:15:11:22:AA:BB"),
    ("05 00 15 11 22 aa bb", "0500151122aabb", "00:15:11:22:AA:BB"),
    ("0500151122AABB", "0500151122aabb", "00:15:11:22:AA:BB"),
    ("31323334", "31323334", "1234"),
    ("0102", "0102", "01 02"),
]


@pytest.mark.parametrize(("text", "wire", "printed"), FORMS)
def test_a_server_id_is_read_from_what_people_have_at_hand(text: str, wire: str, printed: str) -> None:
    """Plate, MAC sticker or log line: each leads to the bytes on the wire and prints back readably."""
    server_id = ServerId.parse(text)
    assert server_id == bytes.fromhex(wire)
    assert str(server_id) == printed
    assert ServerId.parse(repr(server_id).split("'")[1]) == server_id


@pytest.mark.parametrize("text", ["", "xyz", "05 00 1", "g" * 14, "00" * 33])
def test_what_is_no_server_id_is_refused(text: str) -> None:
    """A mistyped ID must not address another device."""
    with pytest.raises(InvalidIdentifier):
        ServerId.parse(text)


@settings(deadline=None)
@given(
    st.from_regex(r"\A[A-Z]{3}\Z"),
    st.integers(0, 99_999_999),
    st.integers(0, 255),
    st.integers(0, 9),
)
def test_plate_and_wire_carry_the_same_identity(maker: str, serial: int, block: int, medium: int) -> None:
    """Fourteen characters and ten bytes are two spellings of one identity, for every device."""
    device = DeviceId(maker=maker, serial=serial, block=block, medium=medium)
    assert DeviceId.parse(str(device)) == device
    assert DeviceId.parse(device.compact) == device
    assert len(device.compact) == 14
    assert device.server_id.device_id == device
    assert str(device.server_id) == str(device)


@pytest.mark.parametrize(
    ("maker", "serial", "block", "medium"),
    [
        ("LG", 1, 0, 1), ("lgz", 1, 0, 1), ("LGZ", -1, 0, 1), ("LGZ", 100_000_000, 0, 1), ("LGZ", 1, 256, 1),
        ("LGZ", 1, 0, 10),
    ],
)  # fmt: skip
def test_a_device_id_out_of_range_cannot_exist(maker: str, serial: int, block: int, medium: int) -> None:
    """Constructed means legal: no later code has to check again."""
    with pytest.raises(InvalidIdentifier):
        DeviceId(maker=maker, serial=serial, block=block, medium=medium)


@pytest.mark.parametrize("text", ["1LGZ006353942", "LGZ0063539421", "1LGZ00635394211", "1LGZ0G63539421"])
def test_a_mistyped_device_id_is_refused(text: str) -> None:
    """Thirteen characters are not a shorter device ID."""
    with pytest.raises(InvalidIdentifier):
        DeviceId.parse(text)


def test_a_bus_module_is_named_by_its_mac() -> None:
    """SyM²: the server ID of a bus module is 05 and its MAC address; nothing else has one."""
    server_id = ServerId.from_mac(bytes.fromhex("00151122aabb"))
    assert server_id == bytes.fromhex("0500151122aabb")
    assert server_id.mac == bytes.fromhex("00151122aabb")
    assert server_id.device_id is None
    assert ServerId.parse("1LGZ0063539421").mac is None
    with pytest.raises(InvalidIdentifier):
        ServerId.from_mac(bytes(5))


def test_ten_bytes_with_a_lower_case_maker_are_printed_as_hex() -> None:
    """Real wM-Bus IDs also start with 09 01: only a legal device ID is printed as one."""
    odd = ServerId(bytes.fromhex("0901ff475a0003c9885d"))
    assert odd.device_id is None
    assert str(odd) == "09 01 FF 47 5A 00 03 C9 88 5D"
