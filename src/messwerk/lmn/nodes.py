"""What stands on the line: a meter's end and the gateway's end, each as one sans-I/O node.

A node is fed bytes with the moment they came, and asked for bytes and for its next deadline, so
the same code runs on the simulated line, a serial device or a TCP connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from ..identity import ServerId
from .addressing import LISTEN_S, MeterAddress, Roster
from .channel import Closed, GatewayChannel, MeterChannel, Opened, Reason, Received
from .hdlc import BROADCAST, GATEWAY, BadInformation, Frame, FrameDecoder, Kind
from .line import BYTE_S, GAP_S, TURNAROUND_S

CHECK_AFTER_S: Final = 15.0
"""From an allocation to the next check. [design: seen in a gateway program]"""
ALLOCATION_AFTER_S: Final = 14.0
"""From a check to the next allocation. [design: seen in a gateway program]"""
SEARCH_EVERY_S: Final = 1.5
"""Between allocations while no meter is known. [design: seen in a gateway program]"""
CHECKS_MISSED_MAX: Final = 2
"""Checks in a row a meter may miss; then it is removed. [design]"""
POLL_EVERY_S: Final = 0.02
"""Between two polls of a meter that has nothing to say yet. [design]"""
LINE_EVENTS_MAX: Final = 1024
"""Events kept for a gateway that does not collect them."""


class Input:
    """Bytes to frames, with the silence that ends a broken frame."""

    def __init__(self) -> None:
        self.decoder = FrameDecoder()
        self._heard_s = 0.0

    def receive(self, data: bytes, now: float) -> list[Frame | BadInformation]:
        """Bytes whose last one came at `now`; that a long piece takes its time is no silence."""
        if self.decoder.waiting and now - len(data) * BYTE_S - self._heard_s > GAP_S:
            self.decoder.reset()
        self._heard_s = now
        return self.decoder.receive(data)


class Protocols(Protocol):
    """What a meter speaks inside its channel."""

    @property
    def offered(self) -> frozenset[int]:
        """Selectors a channel may be opened for at this moment."""
        ...

    def opened(self, selector: int, now: float) -> None: ...

    def received(self, data: bytes, now: float) -> bytes:
        """Take bytes of the open channel; returns what to send back."""
        ...

    def closed(self, reason: Reason, now: float) -> None: ...

    def heard(self, now: float) -> None:
        """A frame with right checksums was on the line, for whomever."""
        ...

    def damaged(self, now: float) -> None:
        """Bytes on the line were no frame, or a frame was damaged."""
        ...

    @property
    def hang_up(self) -> bool:
        """True: close the channel once everything is sent and acknowledged."""
        ...

    def passed(self, now: float) -> None:
        """Time has passed without traffic."""
        ...


class MeterNode:
    """A meter's end of the line: address, one channel, the protocols inside it."""

    def __init__(self, server_id: ServerId, protocols: Protocols, rng: Random) -> None:
        self.server_id: Final = server_id
        self.protocols: Final = protocols
        self.address = MeterAddress(server_id, rng)
        self.channel = MeterChannel(protocols.offered)
        self._input = Input()
        self._answer: tuple[float, bytes] | None = None
        self._announcement: tuple[float, bytes] | None = None

    @property
    def decoder(self) -> FrameDecoder:
        """Its counters: frames, skipped bytes, wrong checksums."""
        return self._input.decoder

    @property
    def next_deadline(self) -> float | None:
        moments = [self.address.next_deadline, self.channel.next_deadline]
        moments += [due[0] for due in (self._answer, self._announcement) if due is not None]
        return min((at for at in moments if at is not None), default=None)

    def reset(self, now: float) -> None:
        """Mains came back: address and channel are gone."""
        self.channel.close(Reason.RESET)
        self._pass_events(now)
        self.address.forget()
        self._input.decoder.reset()
        self._answer = self._announcement = None

    def receive(self, data: bytes, now: float) -> None:
        decoder = self.decoder
        damage = decoder.bytes_skipped + decoder.bad_headers + decoder.bad_information
        for frame in self._input.receive(data, now):
            self._receive(frame, now)
        if decoder.bytes_skipped + decoder.bad_headers + decoder.bad_information > damage:
            self.protocols.damaged(now)

    def _receive(self, frame: Frame | BadInformation, now: float) -> None:
        header = frame.header if isinstance(frame, BadInformation) else frame
        if not isinstance(frame, BadInformation):
            self.protocols.heard(now)
        if header.source.station != GATEWAY:
            return
        if header.destination.station == BROADCAST:
            if isinstance(frame, Frame) and frame.kind is Kind.UNNUMBERED_INFORMATION:
                self._broadcast(frame, now)
        elif header.destination.station == self.address.address:
            self.address.used(now)
            self.channel.offered = self.protocols.offered
            self.channel.receive(frame, now)
            self._pass_events(now)
            answer = self.channel.answer(header.destination.station)
            if answer is not None:
                self._answer = now + TURNAROUND_S, answer.to_bytes()

    def _broadcast(self, frame: Frame, now: float) -> None:
        before = self.address.address
        answer = self.address.broadcast(frame, now)
        self._announcement = None if answer is None else (now + TURNAROUND_S + answer[0], answer[1].to_bytes())
        if before is not None and self.address.address != before:
            self.channel.close(Reason.RESET)
            self._pass_events(now)

    def _pass_events(self, now: float) -> None:
        for event in self.channel.events():
            match event:
                case Opened(selector):
                    self.protocols.opened(selector, now)
                case Received(data):
                    self.channel.send(self.protocols.received(data, now))
                case Closed(reason):
                    self.protocols.closed(reason, now)

    def data_to_send(self, now: float) -> bytes:
        self.address.pass_time(now)
        if self.address.address is None:
            self.channel.close(Reason.IDLE)
        self.channel.pass_time(now)
        self.protocols.passed(now)
        if self.protocols.hang_up and self._answer is None and not self.channel.unsent:
            self.channel.close()
        self._pass_events(now)
        if self._answer is not None and self._answer[0] <= now:
            octets, self._answer = self._answer[1], None
            return octets
        if self._announcement is not None and self._announcement[0] <= now:
            octets, self._announcement = self._announcement[1], None
            return octets
        return b""


@dataclass(frozen=True, slots=True)
class MeterFound:
    """A meter answered an allocation."""

    server_id: ServerId
    address: int


@dataclass(frozen=True, slots=True)
class MeterLost:
    """A meter missed its checks and was removed."""

    server_id: ServerId


class GatewayNode:
    """The gateway's end: it alone decides who speaks when.

    Addresses are allocated and checked in turn; between the broadcasts the channels take turns,
    one frame and its answer each. `events` tells of meters found and lost; a channel's own
    events are asked of the channel.
    """

    def __init__(self, *, begin_s: float = 0.0) -> None:
        self.roster = Roster()
        self.channels: dict[ServerId, GatewayChannel] = {}
        self.answers_missed = 0
        """Frames to a meter that were not answered in time."""
        self._input = Input()
        self._events: deque[MeterFound | MeterLost] = deque(maxlen=LINE_EVENTS_MAX)
        self._missed: dict[ServerId, int] = {}
        self._broadcast_s = begin_s
        self._check_next = False
        self._checking = False
        self._new = False
        self._listen_until: float | None = None
        self._speaking: ServerId | None = None

    @property
    def decoder(self) -> FrameDecoder:
        """Its counters: frames, skipped bytes, wrong checksums."""
        return self._input.decoder

    def events(self) -> list[MeterFound | MeterLost]:
        found = list(self._events)
        self._events.clear()
        return found

    def open(self, server_id: ServerId, selector: int) -> GatewayChannel:
        """A channel that begins to connect. Raises KeyError when the meter is not on the line.

        One channel a meter: an earlier one must be closed.
        """
        earlier = self.channels.get(server_id)
        if earlier is not None and not earlier.closed:
            raise ValueError(f"a channel to {server_id} is still open: disconnect it first")
        channel = GatewayChannel(self.roster.addresses[server_id], selector)
        channel.poll_every_s = POLL_EVERY_S
        channel.connect()
        self.channels[server_id] = channel
        return channel

    # --- the node --------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        if self._listen_until is not None:
            return self._listen_until
        if (speaking := self._waiting()) is not None:
            return speaking.next_deadline
        pending = [0.0 for channel in self.channels.values() if self._wants_to_speak(channel)]
        polls = [at for channel in self.channels.values() if (at := channel.next_deadline) is not None]
        return min([self._broadcast_s, *pending, *polls])

    @staticmethod
    def _wants_to_speak(channel: GatewayChannel) -> bool:
        return not channel.closed and not channel.open

    def _waiting(self) -> GatewayChannel | None:
        channel = self.channels.get(self._speaking) if self._speaking is not None else None
        return channel if channel is not None and channel.waiting else None

    def receive(self, data: bytes, now: float) -> None:
        for frame in self._input.receive(data, now):
            header = frame.header if isinstance(frame, BadInformation) else frame
            if header.kind is Kind.UNNUMBERED_INFORMATION:
                if isinstance(frame, Frame) and self._listen_until is not None:
                    self._introduced(frame)
                continue
            channel = self._waiting()
            if (
                channel is not None
                and header.destination.station == GATEWAY
                and (header.source.station, header.selector) == (channel.station, channel.selector)
            ):
                channel.receive(frame, now)

    def _introduced(self, frame: Frame) -> None:
        before = self.roster.addresses
        new = self.roster.answer(frame)
        for server_id, address in self.roster.addresses.items():
            if before.get(server_id, address) != address:  # it began anew and chose another address
                self._new = True
                self._end_channel(server_id)
        if new is not None:
            self._new = True
            self._missed.pop(new, None)
            self._events.append(MeterFound(new, self.roster.addresses[new]))

    def data_to_send(self, now: float) -> bytes:
        if self._listen_until is not None:
            if now < self._listen_until:
                return b""
            self._listen_until = None
            self._listened(now)
        if (waiting := self._waiting()) is not None:
            waiting.pass_time(now)
            if waiting.waiting:
                return b""
            self.answers_missed += 1
        if now >= self._broadcast_s:
            return self._broadcast(now)
        for server_id in self._in_turn():
            frame = self.channels[server_id].transmit(now)
            if frame is not None:
                self._speaking = server_id
                return frame.to_bytes()
        return b""

    def _in_turn(self) -> Iterator[ServerId]:
        """The meters, beginning behind the one that had the line last."""
        order = list(self.channels)
        place = order.index(self._speaking) + 1 if self._speaking in order else 0
        yield from order[place:]
        yield from order[:place]

    def _broadcast(self, now: float) -> bytes:
        self._checking = self._check_next and bool(self.roster.addresses)
        frame = self.roster.check() if self._checking else self.roster.allocation()
        self._check_next = not self._checking
        self._listen_until = now + LISTEN_S
        self._broadcast_s = now + (ALLOCATION_AFTER_S if self._checking else CHECK_AFTER_S)
        if not self.roster.addresses:
            self._broadcast_s = now + SEARCH_EVERY_S
        return frame.to_bytes()

    def _listened(self, now: float) -> None:
        """A broadcast and its slots are over: decide when the next one comes."""
        if self._checking:
            self._remove_silent()
            if self._new:  # where some were found, others may have collided
                self._new, self._broadcast_s = False, now + SEARCH_EVERY_S
        elif self._new:
            self._broadcast_s = now  # a meter takes its address when it sees itself listed

    def _remove_silent(self) -> None:
        silent = set(self.roster.silent())
        for server_id in self.roster.addresses:
            missed = self._missed.get(server_id, 0) + 1 if server_id in silent else 0
            self._missed[server_id] = missed
            if missed >= CHECKS_MISSED_MAX:
                self.roster.remove(server_id)
                self._missed.pop(server_id)
                self._end_channel(server_id)
                self._events.append(MeterLost(server_id))

    def _end_channel(self, server_id: ServerId) -> None:
        channel = self.channels.get(server_id)
        if channel is not None:
            channel.abandon()
