"""The connection between a gateway and one meter: normal response mode, window 1, both roles.

The gateway asks (P = 1), the meter answers (F = 1), so one frame is on its way at a time. Numbers
count modulo 8. What either side does not understand it rejects; what it did not get it gets
again. Sans I/O: frames in, frames and events out, `now` handed in, in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .hdlc import GATEWAY, Address, BadInformation, Frame, Kind, control

IDLE_S: Final = 120.0
"""A meter closes a channel on which nothing comes for this long. [design]"""
ANSWER_S: Final = 0.75
"""How long a gateway waits for the answer to a frame. [design: seen in a gateway program]"""
ATTEMPTS: Final = 3
"""How often a gateway sends a frame that is not answered before it gives the channel up. [design]"""
INFORMATION_SIZE: Final = 512
"""Largest information field either role sends; it takes up to `INFORMATION_ACCEPTED`. [design]"""
INFORMATION_ACCEPTED: Final = 2036
QUEUE_MAX: Final = 1 << 17
"""Bytes that may wait to be sent on one channel; a peer that takes none is given up."""

REJECT_CONTROL: Final = 0x01
"""Reason in a frame reject: the control octet is not known."""
REJECT_INFORMATION: Final = 0x03
"""... information came where none belongs."""
REJECT_LENGTH: Final = 0x04
"""... the information is too long."""
REJECT_NUMBER: Final = 0x08
"""... N(R) acknowledges what was never sent."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The channel is open; `selector` says for which protocol."""

    selector: int


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes of the protocol above, in order and without loss."""

    data: bytes


class Reason(Enum):
    """Why a channel closed."""

    ASKED = "one side asked for it"
    REFUSED = "the meter does not offer this protocol now"
    SILENT = "no answer"
    IDLE = "nothing came for too long"
    REJECTED = "a frame was rejected"
    RESET = "the meter began anew"
    FULL = "the peer takes nothing"


@dataclass(frozen=True, slots=True)
class Closed:
    """The channel is closed, or never opened."""

    reason: Reason


Event = Opened | Received | Closed


class _Numbers:
    """What both roles keep: send and receive numbers, the one frame in flight, the queue behind it."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._begin()

    def _begin(self) -> None:
        self._send = self._receive = 0
        self._flight: bytes | None = None
        self._queue = bytearray()

    def events(self) -> list[Event]:
        """What happened since the last call."""
        found = list(self._events)
        self._events.clear()
        return found

    def _acknowledge(self, number: int) -> bool:
        """Take N(R); False when it acknowledges what was never sent."""
        if number == self._send:
            return True
        if self._flight is not None and number == (self._send + 1) % 8:
            self._send, self._flight = number, None
            return True
        return False

    def _next_information(self, size: int) -> bytes | None:
        """The information in flight, or the next piece of the queue."""
        if self._flight is None and self._queue:
            self._flight = bytes(self._queue[:size])
            del self._queue[:size]
        return self._flight

    def _enqueue(self, data: bytes) -> bool:
        self._queue += data
        return len(self._queue) <= QUEUE_MAX


class MeterChannel(_Numbers):
    """The answering role: at most one channel at a time, for one of the selectors it offers."""

    def __init__(
        self,
        offered: frozenset[int],
        *,
        information_size: int = INFORMATION_SIZE,
        accepted: int = INFORMATION_ACCEPTED,
    ) -> None:
        """`offered` may be replaced at any time: which selectors a connection may ask for.

        `information_size`: longest field sent; `accepted`: longest field taken.
        """
        super().__init__()
        self.accepted = accepted
        self.offered = offered
        self.selector: int | None = None
        """Selector of the open channel; None while closed."""
        self.busy = False
        """True: information is not taken, the gateway has to repeat it."""
        self.rejected = 0
        """Frames answered with FRMR."""
        self.repeats = 0
        """Information that came a second time, or out of order."""
        self._size = information_size
        self._reject: bytes | None = None
        self._turn: _Turn | None = None
        self._heard_s = 0.0

    @property
    def next_deadline(self) -> float | None:
        return self._heard_s + IDLE_S if self.selector is not None else None

    def pass_time(self, now: float) -> None:
        """Close an idle channel."""
        if self.selector is not None and now >= self._heard_s + IDLE_S:
            self.close(Reason.IDLE)

    def send(self, data: bytes) -> None:
        """Queue bytes; they leave as the gateway polls. Ignored while closed."""
        if self.selector is not None and not self._enqueue(data):
            self.close(Reason.FULL)

    @property
    def unsent(self) -> int:
        """Bytes queued or not yet acknowledged."""
        return len(self._queue) + len(self._flight or b"")

    def close(self, reason: Reason = Reason.ASKED) -> None:
        """Close from this side; the gateway learns it by DM."""
        if self.selector is not None:
            self.selector = None
            self._reject = None
            self._begin()
            self._events.append(Closed(reason))

    def receive(self, frame: Frame | BadInformation, now: float) -> None:
        """Take a frame addressed to this meter. Work off the events, then ask for the `answer`."""
        self._turn = None
        if isinstance(frame, BadInformation):
            if frame.header.selector == self.selector and frame.header.kind is Kind.INFORMATION:
                self._heard_s = now
                self._turn = _Turn(frame.header, Kind.RECEIVE_READY)  # an unchanged N(R) asks for it again
            return
        if frame.kind is Kind.SET_NORMAL_RESPONSE_MODE:
            self._turn = _Turn(frame, self._open(frame, now))
        elif self.selector is None or frame.selector != self.selector:
            self._turn = _Turn(frame, Kind.DISCONNECTED_MODE)
        else:
            self._heard_s = now
            self._turn = self._work(frame)
        if not frame.final:
            self._turn = None  # only a poll gives the right to speak

    def _open(self, frame: Frame, now: float) -> Kind:
        elsewhere = self.selector is not None and self.selector != frame.selector
        if elsewhere or frame.selector not in self.offered or frame.information:
            return Kind.DISCONNECTED_MODE
        self.close(Reason.RESET)
        self.selector, self._heard_s = frame.selector, now
        self._events.append(Opened(frame.selector))
        return Kind.UNNUMBERED_ACKNOWLEDGE

    def _work(self, frame: Frame) -> _Turn:
        """A frame on the open channel: take its information; says what to answer."""
        if frame.kind is Kind.DISCONNECT:
            self.close()
            return _Turn(frame, Kind.UNNUMBERED_ACKNOWLEDGE)
        if self._reject is None:
            self._reject = self._fault(frame)
            self.rejected += self._reject is not None
        if self._reject is not None:
            return _Turn(frame, Kind.FRAME_REJECT)
        if frame.kind is Kind.INFORMATION:
            if frame.send_number != self._receive:
                self.repeats += 1
                return _Turn(frame, Kind.RECEIVE_READY)
            if self.busy:
                return _Turn(frame, Kind.RECEIVE_NOT_READY)
            self._receive = (self._receive + 1) % 8
            self._events.append(Received(frame.information))
        if self.busy:
            return _Turn(frame, Kind.RECEIVE_NOT_READY)
        # After RNR the gateway takes no information; it only wants to know that we live.
        return _Turn(frame, Kind.RECEIVE_READY, may_carry=frame.kind is not Kind.RECEIVE_NOT_READY)

    def _fault(self, frame: Frame) -> bytes | None:
        """The information field of the frame reject that a frame deserves."""
        reason = 0
        if frame.kind not in (Kind.INFORMATION, Kind.RECEIVE_READY, Kind.RECEIVE_NOT_READY):
            reason = REJECT_CONTROL
        elif frame.kind is not Kind.INFORMATION and frame.information:
            reason = REJECT_INFORMATION
        elif len(frame.information) > self.accepted:
            reason = REJECT_LENGTH
        elif not self._acknowledge(frame.receive_number):
            reason = REJECT_NUMBER
        return bytes([frame.control, self._receive << 5 | self._send << 1, reason]) if reason else None

    def answer(self, own: int) -> Frame | None:
        """What to answer to the last frame, sent from the meter's address `own`."""
        turn, self._turn = self._turn, None
        if turn is None:
            return None
        kind, information = turn.kind, b""
        if self.selector is None and kind in (Kind.RECEIVE_READY, Kind.RECEIVE_NOT_READY, Kind.FRAME_REJECT):
            kind = Kind.DISCONNECTED_MODE  # closed while the frame was worked off
        if kind is Kind.RECEIVE_READY and turn.may_carry:
            information = self._next_information(self._size) or b""
            kind = Kind.INFORMATION if information else kind
        if kind is Kind.FRAME_REJECT:
            information = self._reject or b""
        numbered = kind in (Kind.INFORMATION, Kind.RECEIVE_READY, Kind.RECEIVE_NOT_READY)
        octet = control(kind, receive=self._receive if numbered else 0, send=self._send if information else 0)
        return Frame(turn.frame.source, Address(own, turn.frame.selector), octet, information)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A poll that has to be answered."""

    frame: Frame
    kind: Kind
    may_carry: bool = False
    """Queued information may take the place of a plain RR."""


class GatewayChannel(_Numbers):
    """The asking role towards one meter. `transmit` gives the next frame whenever the line is free.

    A frame that is not answered within ANSWER_S is sent again, ATTEMPTS times in all.
    """

    class _State(Enum):
        CLOSED = 0
        OPENING = 1
        OPEN = 2
        CLOSING = 3

    def __init__(self, station: int, selector: int, *, information_size: int = INFORMATION_SIZE) -> None:
        super().__init__()
        self.station, self.selector = station, selector
        self.expecting = False
        """Whether to poll for data: an answer from the protocol above is due."""
        self.poll_every_s = 0.0
        """Least time between two polls that bring nothing."""
        self._size = information_size
        self._state = self._State.CLOSED
        self._sent: Frame | None = None
        self._attempts = 0
        self._deadline: float | None = None
        self._poll_s = 0.0
        self._again = False

    @property
    def open(self) -> bool:
        return self._state is self._State.OPEN

    @property
    def closed(self) -> bool:
        return self._state is self._State.CLOSED

    @property
    def waiting(self) -> bool:
        """Whether a frame is on its way and the line must be left to the answer."""
        return self._sent is not None and self._deadline is not None

    def connect(self) -> None:
        """Begin to open the channel."""
        if self._state is self._State.CLOSED:
            self._begin()
            self._state, self._attempts, self._sent = self._State.OPENING, 0, None

    def disconnect(self) -> None:
        """Begin to close the channel."""
        if self._state in (self._State.OPENING, self._State.OPEN):
            self._state, self._attempts = self._State.CLOSING, 0
            if not self.waiting:  # an answer that is due must have its time on the line first
                self._sent = None

    def abandon(self) -> None:
        """The meter is gone: close without a word."""
        self._close(Reason.SILENT)

    def send(self, data: bytes) -> None:
        """Queue bytes for the meter. Ignored while closed."""
        if self.closed:
            return
        if not self._enqueue(data):
            self._close(Reason.FULL)

    @property
    def next_deadline(self) -> float | None:
        """When to call `pass_time` or, with a frame due by then, `transmit`."""
        if self._deadline is not None:
            return self._deadline
        pending = self.expecting or self._again or self._queue or self._flight
        return self._poll_s if self.open and pending else None

    def pass_time(self, now: float) -> None:
        """An answer that is overdue lets the frame be sent again, or ends the channel."""
        if self._deadline is None or now < self._deadline:
            return
        self._deadline = None
        if self._attempts >= ATTEMPTS:
            self._close(Reason.SILENT)
        elif self._state is self._State.CLOSING:
            self._sent = None  # whatever was on its way, now it is the goodbye

    def transmit(self, now: float) -> Frame | None:
        """The frame to send now, or None. It is on its way until `receive` or its deadline."""
        if self._deadline is not None:
            return None
        frame = self._sent or self._next_frame(now)
        if frame is None:
            return None
        self._sent, self._deadline = frame, now + ANSWER_S
        self._attempts += 1
        return frame

    def _next_frame(self, now: float) -> Frame | None:
        match self._state:
            case self._State.OPENING:
                return self._frame(control(Kind.SET_NORMAL_RESPONSE_MODE))
            case self._State.CLOSING:
                return self._frame(control(Kind.DISCONNECT))
            case self._State.OPEN if now >= self._poll_s:
                information = None if self._again else self._next_information(self._size)
                if information is not None:
                    octet = control(Kind.INFORMATION, receive=self._receive, send=self._send)
                    return self._frame(octet, information)
                if self.expecting or self._again:
                    return self._frame(control(Kind.RECEIVE_READY, receive=self._receive))
        return None

    def receive(self, frame: Frame | BadInformation, now: float) -> None:
        """Take a frame from this meter on this selector."""
        sent = self._sent
        if sent is None or not self.waiting:
            return
        if isinstance(frame, BadInformation):
            if frame.header.kind is Kind.INFORMATION and self.open:
                self._answered()
                self._again = True  # a poll with the same N(R) lets the meter repeat it
            return
        self._answered()
        self._again = False
        self._poll_s = now
        match self._state, frame.kind:
            case (self._State.CLOSING, Kind.UNNUMBERED_ACKNOWLEDGE) if sent.kind is not Kind.DISCONNECT:
                return  # it opened while we had given it up: close it
            case (self._State.OPENING, Kind.UNNUMBERED_ACKNOWLEDGE):
                self._state = self._State.OPEN
                self._events.append(Opened(self.selector))
            case (self._State.CLOSING, Kind.UNNUMBERED_ACKNOWLEDGE | Kind.DISCONNECTED_MODE):
                self._close(Reason.ASKED)
            case (self._State.OPENING, _):
                self._close(Reason.REFUSED)
            case (_, Kind.DISCONNECTED_MODE):
                self._close(Reason.RESET)
            case (self._State.OPEN, Kind.INFORMATION | Kind.RECEIVE_READY | Kind.RECEIVE_NOT_READY):
                self._work(frame, now)
            case (self._State.OPEN, _):
                self._close(Reason.REJECTED)

    def _work(self, frame: Frame, now: float) -> None:
        if not self._acknowledge(frame.receive_number):
            self._close(Reason.REJECTED)
            return
        if frame.kind is Kind.INFORMATION and frame.send_number == self._receive:
            self._receive = (self._receive + 1) % 8
            self._events.append(Received(frame.information))
        elif self._flight is not None or not self._queue:
            self._poll_s = now + self.poll_every_s

    def _answered(self) -> None:
        self._sent, self._deadline, self._attempts = None, None, 0

    def _close(self, reason: Reason) -> None:
        if self._state is not self._State.CLOSED:
            self._state = self._State.CLOSED
            self._answered()
            self._begin()
            self._events.append(Closed(reason))

    def _frame(self, octet: int, information: bytes = b"") -> Frame:
        return Frame(Address(self.station, self.selector), Address(GATEWAY, self.selector), octet, information)
