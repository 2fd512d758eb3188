"""The bus carries frames and nothing else, in order, and survives a module that misbehaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from messwerk.e750 import Bus, Group
from messwerk.e750.bus import FRAMES_PER_SEND_MAX
from messwerk.errors import BusyError
from messwerk.identity import ServerId

A, B, C = (ServerId.from_mac(bytes(5) + bytes([number])) for number in (1, 2, 3))


class Node:
    def __init__(self, server_id: ServerId, groups: frozenset[Group] = frozenset()) -> None:
        self.server_id, self.groups = server_id, groups
        self.heard: list[tuple[bytes, ServerId, Group | None]] = []
        self.then: Callable[[bytes], None] = lambda frame: None

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        self.heard.append((frame, sender, group))
        self.then(frame)


def test_a_frame_reaches_its_address_and_nobody_else() -> None:
    """Unicast is private, and an address nobody has is reported like unanswered neighbour discovery."""
    bus, a, b, c = Bus(), Node(A), Node(B), Node(C)
    for node in (a, b, c):
        bus.attach(node)
    assert bus.send(b"hello", A, B)
    assert (a.heard, b.heard, c.heard) == ([], [(b"hello", A, None)], [])
    bus.detach(b)
    assert not bus.send(b"hello", A, B)
    assert bus.undeliverable == 1


def test_a_group_frame_reaches_its_listeners_but_not_its_sender() -> None:
    """Tuples of 32 base modules must not be decoded by the other 31."""
    bus = Bus()
    listens = frozenset({Group.TUPLES})
    a, b, c = Node(A, listens), Node(B, listens), Node(C)
    for node in (a, b, c):
        bus.attach(node)
    assert bus.send(b"tuple", A, Group.TUPLES)
    assert [len(node.heard) for node in (a, b, c)] == [0, 1, 0]
    assert b.heard == [(b"tuple", A, Group.TUPLES)]


def test_frames_sent_while_handling_one_are_delivered_after_it() -> None:
    """No recursion: order is the order of sending, and all is done when the outer send returns."""
    bus, order = Bus(), []
    a, b, c = Node(A), Node(B), Node(C)
    for node in (a, b, c):
        bus.attach(node)

    def answer(frame: bytes) -> None:
        bus.send(b"to c", B, C)
        order.append("b has answered")

    b.then, c.then = answer, lambda frame: order.append("c has heard")
    bus.send(b"to b", A, B)
    assert order == ["b has answered", "c has heard"]


def test_a_second_module_with_the_same_server_id_is_refused() -> None:
    """Two modules of one name would sign one history with two keys."""
    bus = Bus()
    first = Node(A)
    bus.attach(first)
    with pytest.raises(BusyError, match=str(A)):
        bus.attach(Node(A))
    bus.detach(Node(A))
    assert bus.modules == (first,), "pulling out a module that is not plugged in does nothing"


def test_a_storm_ends() -> None:
    """Two modules that answer each other for ever stop at a bound; the bus lives on."""
    bus, a, b = Bus(), Node(A), Node(B)
    bus.attach(a)
    bus.attach(b)
    a.then = lambda frame: bus.send(frame, A, B) and None
    b.then = lambda frame: bus.send(frame, B, A) and None
    bus.send(b"ping", A, B)
    assert bus.storms == 1
    assert len(a.heard) + len(b.heard) == FRAMES_PER_SEND_MAX
    a.then = b.then = lambda frame: None
    bus.send(b"calm", A, B)
    assert b.heard[-1] == (b"calm", A, None)


def test_a_failing_module_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """One defective module must not silence a rack."""
    bus = Bus()
    listens = frozenset({Group.TUPLES})
    bad, good = Node(A, listens), Node(B, listens)
    bus.attach(bad)
    bus.attach(good)

    def fail(frame: bytes) -> None:
        raise ZeroDivisionError

    bad.then = fail
    bus.send(b"x", C, Group.TUPLES)
    assert len(good.heard) == 1
    assert bus.failures == 1
    assert "please report" in caplog.text
