"""Pushing: what the central station has not acknowledged yet goes out, until it has.

Live tuples wait in memory and the oldest give way when nobody fetches them; the readings of
period boundaries wait in the base module's profile and are never given up. The positions
acknowledged are what survives a restart. One file is on its way at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from .. import sml
from ..identity import ServerId
from ..sml import Attention, Body
from ..sml.session import ResponseFile, SmlClient

FILE_BYTES_MAX: Final = 60_000
"""A push file stays below this, so that a receiver with a 64 KiB bound takes it. [design]"""
LIVE_TUPLES_MAX: Final = 900
"""Live tuples kept for each base module while the central station is away. [design: one period]"""
ACKNOWLEDGE_WITHIN_S: Final = 30.0
"""[design]"""
BACK_OFF_S: Final = (60.0, 300.0, 900.0)
"""Pause after the first, second, and every further failure. [design]"""


class Source(Enum):
    """What a push operation sends."""

    EVERYTHING = "live tuples and profile rows"
    TUPLES = "live tuples"
    PROFILE = "profile rows"


@dataclass(slots=True)
class Position:
    """How far one base module's values are acknowledged, and what waits beyond."""

    rows: int = -1
    """Index of the last profile row acknowledged."""
    tuples: int = -1
    """Index of the last live tuple acknowledged."""
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    """Live tuples beyond: index and encoded message body's file part."""
    fetched: deque[tuple[int, bytes]] = field(default_factory=deque)
    """Profile rows read from the base module and not acknowledged yet."""
    more_rows: bool = True
    """Whether the profile may hold rows beyond `fetched`."""


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    req_file_id: bytes
    rows: dict[ServerId, int]
    tuples: dict[ServerId, int]
    deadline: float


class PushQueue:
    """One push operation of a communication module.

    With `interval_s` 0 there is a file whenever there is something new; otherwise everything new
    goes out once an interval, `delay_s` after its boundary in UTC.
    """

    def __init__(self, server_id: bytes) -> None:
        self.server_id = server_id
        self.enabled = True
        self.interval_s, self.delay_s = 0, 0
        self.source = Source.EVERYTHING
        self.target = ""
        """Where to, as `host:port`; whoever opens the connection reads it."""
        self._interval_done = -1
        self.positions: dict[ServerId, Position] = {}
        self.counter = 0
        """Number of the last push file; its req_file_id."""
        self.tuples_lost = 0
        """Live tuples that gave way unacknowledged."""
        self.failures = 0
        """Files in a row that were not acknowledged."""
        self.not_before = 0.0
        """Earliest time of the next file, after a failure."""
        self._on_its_way: _OnItsWay | None = None
        self._listener = SmlClient(server_id)

    def position(self, server_id: ServerId) -> Position:
        return self.positions.setdefault(server_id, Position())

    def add_tuple(self, server_id: ServerId, index: int, body: Body) -> None:
        """Queue a live tuple; one at or before the acknowledged position is not new."""
        position = self.position(server_id)
        if (
            self.source is Source.PROFILE
            or index <= position.tuples
            or (position.waiting and index <= position.waiting[-1][0])
        ):
            return
        position.waiting.append((index, _message(index, body)))
        if len(position.waiting) > LIVE_TUPLES_MAX:
            position.waiting.popleft()
            self.tuples_lost += 1

    def add_rows(self, server_id: ServerId, rows: Iterable[tuple[int, Body]]) -> None:
        """Queue profile rows read from a base module, oldest first."""
        position = self.position(server_id)
        newest = position.fetched[-1][0] if position.fetched else position.rows
        position.fetched.extend((index, _message(index, body)) for index, body in rows if index > newest)

    def wants_rows(self, server_id: ServerId) -> bool:
        """Whether the profile of a base module should be read for this operation now."""
        position = self.position(server_id)
        return self.enabled and self.source is not Source.TUPLES and position.more_rows and not position.fetched

    def file(self, now: float) -> bytes | None:
        """The next file to push, framed; None while one is on its way, or there is nothing new."""
        if self._on_its_way is not None:
            if now < self._on_its_way.deadline:
                return None
            self.failed(now)
        interval = int((now - self.delay_s) // self.interval_s) if self.interval_s else None
        if not self.enabled or now < self.not_before or interval == self._interval_done:
            return None
        content, rows, tuples = self._collect()
        if not content:
            self._interval_done = interval if interval is not None else -1
            return None
        self.counter += 1
        number = self.counter.to_bytes(4, "big")
        opening = sml.PublicOpenResponse(req_file_id=number, server_id=self.server_id)
        self._on_its_way = _OnItsWay(number, rows, tuples, now + ACKNOWLEDGE_WITHIN_S)
        return sml.frame(
            sml.encode([sml.Message(transaction_id=number + b"o", body=opening)])
            + content
            + sml.encode([sml.Message(transaction_id=number + b"c", body=sml.PublicCloseResponse())])
        )

    def _collect(self) -> tuple[bytes, dict[ServerId, int], dict[ServerId, int]]:
        """Messages up to the size of a file, live tuples first; the last index of each device and kind."""
        content = bytearray()
        rows: dict[ServerId, int] = {}
        tuples: dict[ServerId, int] = {}
        for last, queues in (
            (tuples, [(server_id, position.waiting) for server_id, position in self.positions.items()]),
            (rows, [(server_id, position.fetched) for server_id, position in self.positions.items()]),
        ):
            for server_id, queue in queues:
                for index, message in queue:
                    if len(content) + len(message) > FILE_BYTES_MAX:
                        return bytes(content), rows, tuples
                    content += message
                    last[server_id] = index
        return bytes(content), rows, tuples

    def receive(self, data: bytes) -> bool:
        """Take bytes the central station sent; returns whether the file on its way is acknowledged."""
        acknowledged = False
        for answer in self._listener.receive(data):
            acknowledged |= self._acknowledges(answer)
        return acknowledged

    def _acknowledges(self, answer: ResponseFile) -> bool:
        sent = self._on_its_way
        if sent is None or not any(
            told.attention_no == Attention.ACKNOWLEDGED.number and told.attention_msg == sent.req_file_id
            for told in answer.attentions
        ):
            return False
        for server_id, index in sent.rows.items():
            position = self.position(server_id)
            position.rows = index
            _drop(position.fetched, index)
        for server_id, index in sent.tuples.items():
            position = self.position(server_id)
            position.tuples = index
            _drop(position.waiting, index)
        self._on_its_way = None
        self.failures, self.not_before = 0, 0.0
        return True

    def failed(self, now: float) -> None:
        """The connection broke or no acknowledgement came: keep everything, try again later."""
        if self._on_its_way is None:
            return
        self._on_its_way = None
        self._listener = SmlClient(self.server_id)
        self.not_before = now + BACK_OFF_S[min(self.failures, len(BACK_OFF_S) - 1)]
        self.failures += 1

    # --- memory ----------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        return {
            "counter": self.counter,
            "settings": [self.enabled, self.interval_s, self.delay_s, self.source.name, self.target],
            "positions": {one.hex(): [found.rows, found.tuples] for one, found in self.positions.items()},
        }

    def from_state(self, state: dict[str, Any]) -> None:
        self.counter = state["counter"]
        self.enabled, self.interval_s, self.delay_s, source, self.target = state["settings"]
        self.source = Source[source]
        for server_id, (rows, tuples) in state["positions"].items():
            self.positions[ServerId(bytes.fromhex(server_id))] = Position(rows, tuples)


def _message(index: int, body: Body) -> bytes:
    return sml.encode([sml.Message(transaction_id=index.to_bytes(4, "big"), body=body)])


def _drop(queue: deque[tuple[int, bytes]], index: int) -> None:
    while queue and queue[0][0] <= index:
        queue.popleft()
