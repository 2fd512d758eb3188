"""Sans-I/O nodes in the real world: one at a byte stream, or several on a TCP port as on one wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from ..errors import PeerLost
from .clock import Clock

WAIT_MAX_S: Final = 0.25
"""Longest wait of `drive`, so that orders given meanwhile are worked off soon."""


class Node(Protocol):
    """Bytes in, bytes out, and when it next wants to speak; `now` is the clock's monotonic time."""

    @property
    def next_deadline(self) -> float | None: ...

    def receive(self, data: bytes, now: float) -> None: ...

    def data_to_send(self, now: float) -> bytes: ...


async def drive(
    node: Node,
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[bytes], Awaitable[None]],
    clock: Clock,
    done: Callable[[], bool],
) -> None:
    """Keep a node talking on a stream until `done`, which is asked after every step.

    Raises PeerLost when the stream ends.
    """
    incoming = asyncio.ensure_future(receive())
    try:
        while not done():
            while data := node.data_to_send(clock.monotonic()):
                await send(data)
            deadline = node.next_deadline
            wait_s = WAIT_MAX_S if deadline is None else min(WAIT_MAX_S, max(0.0, deadline - clock.monotonic()))
            await asyncio.wait({incoming}, timeout=wait_s)
            if incoming.done():
                if not (data := incoming.result()):
                    raise PeerLost("the line is gone: the other end closed it")
                node.receive(data, clock.monotonic())
                incoming = asyncio.ensure_future(receive())
    finally:
        incoming.cancel()
        with suppress(asyncio.CancelledError, PeerLost):
            await incoming


class SharedLine:
    """Nodes and TCP peers on one wire: what anyone sends, all others hear.

    `session` is for `serve_requests`; `run` lets the nodes speak, until it is cancelled.
    """

    def __init__(self, nodes: Sequence[Node], clock: Clock) -> None:
        self._nodes = list(nodes)
        self._clock = clock
        self._peers: dict[_Peer, Callable[[bytes], None]] = {}
        self._spoken = asyncio.Event()

    def session(self) -> _Peer:
        """One peer's connection."""
        return _Peer(self)

    async def run(self) -> None:
        while True:
            for node in self._nodes:
                while data := node.data_to_send(self._clock.monotonic()):
                    self._carry(data, node)
            deadlines = [at for node in self._nodes if (at := node.next_deadline) is not None]
            wait_s = max(0.0, min(deadlines, default=self._clock.monotonic() + 1.0) - self._clock.monotonic())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._spoken.wait(), min(wait_s, 1.0))
            self._spoken.clear()
            await asyncio.sleep(0)

    def _carry(self, data: bytes, sender: Node | _Peer) -> None:
        for peer, send in self._peers.items():
            if peer is not sender:
                send(data)
        for node in self._nodes:
            if node is not sender:
                node.receive(data, self._clock.monotonic())
        self._spoken.set()


class _Peer:
    def __init__(self, line: SharedLine) -> None:
        self._line = line

    def attach(self, send: Callable[[bytes], None]) -> None:
        self._line._peers[self] = send

    def receive(self, data: bytes) -> bytes:
        self._line._carry(data, self)
        return b""

    def ended(self) -> None:
        self._line._peers.pop(self, None)
