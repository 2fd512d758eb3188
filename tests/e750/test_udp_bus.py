"""The bus between programs: its layouts, learning of addresses, second modules; nothing hostile gets through."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e750_rack import CM_ID, Rack, bm_id, central, key_of, powers
from messwerk import sml
from messwerk.e750 import BaseModule, Bus, Group
from messwerk.e750 import object_names as names
from messwerk.e750.udp_bus import (
    DATAGRAM_MAX,
    RECORD_MAX,
    TAKE_OVER_AFTER_S,
    Peer,
    Record,
    RecordReader,
    UdpBridge,
    decode_datagram,
    encode_datagram,
)
from messwerk.errors import DecodeError
from messwerk.identity import ServerId

IDS = st.binary(min_size=1, max_size=32).map(ServerId)


@given(st.sampled_from(Group), st.integers(0, 65535), IDS, st.binary(max_size=200))
def test_datagrams_both_ways(group: Group, port: int, sender: ServerId, frame: bytes) -> None:
    """What is encoded is decoded, whatever the frame holds."""
    assert decode_datagram(encode_datagram(group, port, sender, frame)) == (group, port, sender, frame)


def test_the_layout_of_a_datagram() -> None:
    """The bytes stand as the module's head says, so that other programs can join."""
    wire = encode_datagram(Group.COMMANDS, 0x1C5B, bm_id(1), b"frame")
    assert wire.hex() == "53594d3201" + "02" + "1c5b" + "07" + "05001511220001" + b"frame".hex()
    record = Record(bm_id(1), CM_ID, ("::1", 7259), b"f")
    assert record.encode().hex() == (
        "00000017" + "1c5b" + "033a3a31" + "07" + "05001511220001" + "07" + "05001511000001" + b"f".hex()
    )


@given(st.binary(max_size=100))
def test_hostile_datagrams_are_counted(data: bytes) -> None:
    """Nothing that may arrive raises out of the bridge."""
    network = Network()
    bridge = network.program(1, Bus())
    bridge.datagram_received(data, "127.0.0.1", 0.0)
    bridge.datagram_received(b"SYM2\x01" + data, "127.0.0.1", 0.0)
    assert bridge.invalid >= 1 or len(data) > 3


PEERS = st.tuples(st.sampled_from(["127.0.0.1", "::1"]), st.integers(0, 65535))


@given(st.lists(st.builds(Record, IDS, IDS, PEERS, st.binary(max_size=50)), max_size=5), st.integers(1, 20))
def test_records_in_any_pieces(records: list[Record], piece: int) -> None:
    """A stream gives the same records however it is cut."""
    stream = b"".join(record.encode() for record in records)
    reader = RecordReader()
    found = [one for at in range(0, len(stream), piece) for one in reader.receive(stream[at : at + piece])]
    assert found == records


def test_a_stream_that_is_none_ends() -> None:
    """A length beyond the bound is refused before anything is kept."""
    with pytest.raises(DecodeError, match="at most"):
        RecordReader().receive((RECORD_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(DecodeError):
        RecordReader().receive(b"\x00\x00\x00\x01\x00")


class Network:
    """Programs joined by nothing but the bytes they exchange."""

    def __init__(self) -> None:
        self.bridges: list[UdpBridge] = []
        self.now = 0.0
        self.conflicts: list[tuple[ServerId, str]] = []

    def program(self, port: int, bus: Bus) -> UdpBridge:
        network = self

        class Carrier:
            own: Peer = ("127.0.0.1", port)

            def multicast(self, datagram: bytes) -> None:
                assert len(datagram) <= DATAGRAM_MAX
                for each in network.bridges:
                    each.datagram_received(datagram, "127.0.0.1", network.now)

            def transmit(self, peer: Peer, record: bytes) -> None:
                reader = RecordReader()
                for each in network.bridges:
                    if each.carrier is not None and each.carrier.own == peer:
                        for one in reader.receive(record):
                            each.record_received(one, network.now)

        bridge = UdpBridge(lambda server_id, where: self.conflicts.append((server_id, where)))
        bridge.plug(bus)
        bridge.carrier = Carrier()
        self.bridges.append(bridge)
        return bridge


@pytest.fixture
def network() -> Network:
    return Network()


def test_modules_of_another_program_are_served(network: Network, rack: Rack) -> None:
    """A base module in one program is found, read and synchronised by the communication module in another."""
    network.program(1, rack.bus)
    other = Bus()
    network.program(2, other)
    cm = rack.communication_module()
    module = rack.base_module(1, bus=other)
    module.tick(powers(1))
    assert [device.server_id for device in cm.devices.base_modules()] == [module.server_id]
    tree = central(cm).get(module.server_id, names.SPECIAL_TUPLES)
    assert tree.child_list
    file = central(cm).ask(module.server_id, sml.GetListRequest(client_id=b"c"))
    assert isinstance(file.answer()[0], sml.GetListResponse)
    cm.send_token(0)
    module.tick(powers(1))
    assert names.TUPLE_LAST_SYNC in module.special


def test_a_second_module_with_a_server_id_is_refused(network: Network, rack: Rack, tmp_path: Path) -> None:
    """The first one heard stays; the second is reported once, and takes over only after the first fell silent."""
    network.program(1, rack.bus)
    cm = rack.communication_module()
    first_bus, second_bus = Bus(), Bus()
    network.program(2, first_bus)
    first = rack.base_module(1, bus=first_bus)
    first.tick(powers(1))
    bridge = network.program(3, second_bus)
    second = BaseModule(first.server_id, key_of(1), tmp_path / "second", second_bus, first_index=500)
    second.tick(powers(1, seed=2))
    second.tick(powers(1, seed=2))
    assert cm.devices.devices[first.server_id].last_index == 1
    assert network.conflicts.count((first.server_id, "127.0.0.1:3")) == 2  # by the CM's program and the first one's
    first.tick(powers(1))
    assert bridge.refused == 1, "the second one's own program refuses the first"
    network.now += TAKE_OVER_AFTER_S
    second.tick(powers(1, seed=2))
    assert cm.devices.devices[first.server_id].last_index == 503
    second.close()


def test_nothing_bounces_between_programs(network: Network, rack: Rack) -> None:
    """A frame for a module that is nowhere is undeliverable, and a record for a stranger is dropped."""
    bridge = network.program(1, rack.bus)
    network.program(2, Bus())
    assert not rack.bus.send(b"frame", CM_ID, bm_id(9))
    bridge.record_received(Record(bm_id(9), bm_id(8), ("127.0.0.1", 2), b"frame"), 0.0)
    assert rack.bus.undeliverable == 2
