"""The network node: a bridge that passes frames unchanged, refuses loops and guards its supply."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e750_rack import Rack, central, leaves, powers
from messwerk import sml
from messwerk.e750 import Bus, Group
from messwerk.e750 import object_names as names
from messwerk.e750.network_node import BUDGET_W, PORT_MAX_W, NetworkNode, PortState
from messwerk.errors import AttentionReceived, LocalError
from messwerk.identity import ServerId


def node(number: int = 1, **options: object) -> NetworkNode:
    return NetworkNode(ServerId.from_mac(bytes.fromhex("0015110049") + bytes([number])), **options)


class Node:
    groups = frozenset({Group.TUPLES})

    def __init__(self, number: int) -> None:
        self.server_id = ServerId.from_mac(bytes(5) + bytes([number]))
        self.heard: list[bytes] = []
        self.then: Callable[[bytes, ServerId], object] = lambda frame, sender: None

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        self.heard.append(frame)
        self.then(frame, sender)


def test_base_modules_behind_a_node_are_found_read_and_pushed(rack: Rack) -> None:
    """A communication module serves modules behind two cascaded nodes as if they were beside it."""
    cm = rack.communication_module()
    first, second = node(1), node(2)
    middle, far = Bus(), Bus()
    assert first.connect(1, rack.bus) is PortState.FORWARDING
    assert first.connect(2, middle) is PortState.FORWARDING
    assert second.connect(1, middle) is PortState.FORWARDING
    assert second.connect(3, far) is PortState.FORWARDING
    near, distant = rack.base_module(1), rack.base_module(2, bus=far)
    station = central(cm)
    for module in (near, distant):
        module.advance(powers(1000))
        module.tick(powers(1))
        assert leaves(station.get(module.server_id, names.IDENTIFICATION))[names.SERVER_ID] == module.server_id
    cm.send_token(900)
    assert distant.tick(powers(1)).start_of_interval, "the token crosses both nodes"
    assert cm.push_file(1.0) is not None
    assert {device.server_id for device in cm.devices.active()} >= {first.server_id, near.server_id, distant.server_id}
    distant.cut_power()
    with pytest.raises(AttentionReceived, match="FE 07"):
        station.get(distant.server_id, names.IDENTIFICATION)


def test_a_frame_takes_only_the_port_its_address_is_known_behind() -> None:
    """The first frame to an address is flooded, later ones go one way."""
    bridge, buses = node(), [Bus() for _ in range(3)]
    a, b = Node(1), Node(2)
    buses[0].attach(a)
    buses[1].attach(b)
    for port, bus in enumerate(buses, start=1):
        bridge.connect(port, bus)
    before = buses[2].frames
    b.heard.clear()
    b.then = lambda frame, sender: buses[1].send(b"answer", b.server_id, sender)
    assert buses[0].send(b"ask", a.server_id, b.server_id)
    assert (a.heard[-1], b.heard) == (b"answer", [b"ask"])
    flooded = buses[2].frames
    assert buses[0].send(b"again", a.server_id, b.server_id)
    assert buses[2].frames == flooded
    assert flooded <= before + 1
    assert not buses[0].send(b"nobody", a.server_id, ServerId(b"\x05nobody"))


def test_group_frames_reach_every_segment_once() -> None:
    """Each listener hears a tuple exactly once, the sender's segment included."""
    bridge, buses, ears = node(), [Bus() for _ in range(4)], [Node(number) for number in range(4)]
    for port in range(4):
        bridge.connect(port + 1, buses[port])
        buses[port].attach(ears[port])
    for ear in ears:
        ear.heard.clear()
    buses[2].send(b"tuple", ServerId(b"\x05other"), Group.TUPLES)
    assert [ear.heard for ear in ears] == [[b"tuple"]] * 4


def test_two_ports_on_one_segment_are_a_loop() -> None:
    """The second cable stays blocked with an event; nothing circulates; pulling the first opens it."""
    bridge, bus, other = node(), Bus(), Bus()
    ear = Node(1)
    bus.attach(ear)
    bridge.connect(1, bus)
    bridge.connect(2, other)
    assert bridge.connect(3, bus) is PortState.BLOCKED
    assert [(event.port, "loop" in event.what) for event in bridge.events] == [(3, True)]
    ear.heard.clear()
    bus.send(b"x", ServerId(b"\x05other"), Group.TUPLES)
    assert ear.heard == [b"x"]
    bridge.disconnect(1)
    assert bridge.state(3) is PortState.FORWARDING


def test_a_loop_over_three_nodes_is_found_where_it_is_closed() -> None:
    """Cascades in a ring: the last cable is blocked, frames still reach everybody once, no storm."""
    nodes, buses = [node(number) for number in range(3)], [Bus() for _ in range(3)]
    ears = [Node(number) for number in range(3)]
    for number in range(3):
        buses[number].attach(ears[number])
        nodes[number].connect(1, buses[number])
    assert nodes[0].connect(2, buses[1]) is PortState.FORWARDING
    assert nodes[1].connect(2, buses[2]) is PortState.FORWARDING
    assert nodes[2].connect(2, buses[0]) is PortState.BLOCKED
    for ear in ears:
        ear.heard.clear()
    buses[1].send(b"x", ServerId(b"\x05other"), Group.TUPLES)
    assert [ear.heard for ear in ears] == [[b"x"]] * 3
    assert sum(bus.storms for bus in buses) == 0


def test_an_overloaded_port_is_switched_off_with_an_event() -> None:
    """More than one port may give: that port loses its supply, the others keep theirs."""
    switched: list[tuple[int, bool]] = []
    bridge = node(supply_changed=lambda port, on: switched.append((port, on)))
    for port in (1, 2):
        bridge.connect(port, Bus())
    bridge.set_load(1, 4.0)
    bridge.set_load(2, PORT_MAX_W + 0.1)
    assert (bridge.state(1), bridge.state(2)) == (PortState.FORWARDING, PortState.OVERLOAD)
    assert switched == [(1, True), (2, True), (2, False)]
    assert "overload" in bridge.events[-1].what
    bridge.enable(2, True)
    assert bridge.state(2) is PortState.FORWARDING
    assert switched[-1] == (2, True)


def test_the_budget_switches_off_the_last_ports_first() -> None:
    """All ports together above the budget: the highest number goes, the total is within it again."""
    bridge = node()
    for port in range(1, 5):
        bridge.connect(port, Bus())
        bridge.set_load(port, 12.0)
    assert [bridge.state(port) for port in range(1, 5)] == [*[PortState.FORWARDING] * 3, PortState.OVERLOAD]
    assert bridge.load_w <= BUDGET_W


def test_ports_are_read_and_switched_by_parameter(rack: Rack) -> None:
    """A station sees state and load of each port and can switch one; a switched-off port passes nothing."""
    cm, bridge, behind = rack.communication_module(), node(), Bus()
    bridge.connect(1, rack.bus)
    bridge.connect(2, behind)
    module = rack.base_module(1, bus=behind)
    bridge.set_load(2, 3.5)
    station = central(cm)
    tree = station.get(bridge.server_id, names.NODE_PORTS, names.node_port(2))
    assert leaves(tree) == {names.NODE_STATE: PortState.FORWARDING, names.NODE_LOAD: 3500}
    path = (names.NODE_PORTS, names.node_port(2), names.NODE_STATE)
    station.set(bridge.server_id, path, False)
    with pytest.raises(AttentionReceived, match="FE 07"):
        station.get(module.server_id, names.IDENTIFICATION)
    station.set(bridge.server_id, path, True)
    assert leaves(station.get(module.server_id, names.IDENTIFICATION))[names.SERVER_ID] == module.server_id
    with pytest.raises(AttentionReceived, match="FE 05"):
        station.set(bridge.server_id, (names.NODE_PORTS, names.NODE_BUDGET), sml.Unsigned32(1))


def test_wrong_ports_are_named() -> None:
    """There are four, each for one cable."""
    bridge = node()
    bridge.connect(4, Bus())
    with pytest.raises(LocalError, match="taken"):
        bridge.connect(4, Bus())
    with pytest.raises(LocalError, match="1 to 4"):
        bridge.connect(5, Bus())
    bridge.disconnect(3)
