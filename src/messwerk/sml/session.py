"""Conversations in SML: request files and the files that answer them, both roles, sans I/O.

Bytes in, bytes out: neither role opens a socket or reads a clock. A file begins with an open
request and ends with a close request; between them stand requests in groups. The device works
the groups off in ascending order and answers every request with its responses or with one
attention of the same transaction ID. What happens after a failure says the `abort_on_error` of
the message that failed. Source: SML 1.03/1.04 as practised by independent implementations.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from ..errors import AttentionReceived, ChecksumMismatch, LocalError, PeerLost, SmlError
from .attention import Attention, attention_text
from .binary import MAX_MESSAGES, SmlFile, decode, encode
from .messages import (
    AttentionResponse,
    Body,
    GetListRequest,
    GetProcParameterRequest,
    GetProfileListRequest,
    GetProfilePackRequest,
    Message,
    OpaqueBody,
    PublicCloseRequest,
    PublicCloseResponse,
    PublicOpenRequest,
    PublicOpenResponse,
    SetProcParameterRequest,
)  # fmt: skip
from .outline import outline
from .transport import LARGEST_MAX_FRAME, Frame, FrameDecoder, frame

FRAME_SILENCE_S: Final = 5.0
"""A frame whose bytes stop coming for this long is given up. [design: pushes come every 1 to 4 s]"""
RESPONSE_TIMEOUT_S: Final = 30.0
"""A request file not answered for this long has failed. [design]"""
RESPONSE_BYTES_MAX: Final = LARGEST_MAX_FRAME * 3 // 4
"""Bound of an answering file: with every byte of its signatures escaped it still fits a frame."""
RESPONSE_MESSAGES_MAX: Final = MAX_MESSAGES - 4
"""Bound of the messages between open and close of an answering file."""
FILES_WAITING_MAX: Final = 16
"""Request files a peer may send ahead of the answers; more are dropped and counted."""
REQUESTS_MAX: Final = 255
"""Requests in one file: each has a group number of its own, an Unsigned8."""

Request = (
    GetProfilePackRequest | GetProfileListRequest | GetProcParameterRequest | SetProcParameterRequest | GetListRequest
)


class AbortOnError(IntEnum):
    """What a failing message makes of the rest of its file."""

    CONTINUE = 0x00
    SKIP_GROUP = 0x01
    """Leave out the rest of this group, go on with the next."""
    FINISH_GROUP = 0x02
    """Finish this group, then stop."""
    ABORT = 0xFF
    """Stop at once. Values the language does not define are read as this one."""


class Refusal(Exception):
    """How an application says no: the attention number, and a detail for people."""

    def __init__(self, attention: Attention, detail: str = "") -> None:
        self.attention, self.detail = attention, detail
        super().__init__(f"{attention.text}: {detail}" if detail else attention.text)


class Pending:
    """An answer that is still on its way: `handle` returns it, `complete` fills it in later."""

    def __init__(self) -> None:
        self.bodies: Sequence[Body] | None = None

    def complete(self, bodies: Sequence[Body]) -> None:
        """Give the answer; later calls change nothing."""
        if self.bodies is None:
            self.bodies = bodies


class Application(Protocol):
    """What a device answers. One application serves one conversation and may keep its user."""

    @property
    def server_id(self) -> bytes:
        """Who answers, where a request names nobody."""
        ...

    def open(self, request: PublicOpenRequest) -> PublicOpenResponse:
        """Begin a file: check who asks and for whom. Raises Refusal; then nothing is executed."""
        ...

    def handle(self, request: Request) -> Sequence[Body] | Pending:
        """Execute one request: its responses, an AttentionResponse, or Pending. Raises Refusal."""
        ...


def attention(server_id: bytes, number: Attention, detail: str = "") -> AttentionResponse:
    """An attention message; `detail` is for people and may be empty."""
    return AttentionResponse(
        server_id=server_id, attention_no=number.number, attention_msg=detail.encode() if detail else None
    )


# --- the device's side ---------------------------------------------------------------------


class SmlServer:
    """The answering role. Feed it what arrives, send what it returns.

    `receive` gives back the framed answers that are complete. Where the application answered
    with Pending, call `data_to_send` after completing it. A frame cut short blocks nothing:
    call `expire(now)` at `next_deadline`, or never where the carrier keeps frames whole.
    """

    def __init__(self, application: Application, *, max_frame: int = 65536) -> None:
        self.application = application
        self._decoder = FrameDecoder(max_frame=max_frame)
        self._work: deque[Generator[None, None, bytes]] = deque()
        self.next_deadline: float | None = None
        """When to call `expire`, in the unit `now` is given in; None: nothing is half received."""
        self.files = 0
        """Request files executed."""
        self.dropped_files = 0
        """Request files dropped because FILES_WAITING_MAX were waiting."""

    @property
    def rejected(self) -> int:
        """Frames that were damaged; they get no answer."""
        return self._decoder.rejected

    @property
    def bytes_skipped(self) -> int:
        """Bytes that belonged to no whole frame."""
        return self._decoder.bytes_skipped

    @property
    def busy(self) -> bool:
        """Whether a file waits for a pending answer."""
        return bool(self._work)

    def receive(self, data: bytes, now: float | None = None, *, broadcast: bool = False) -> bytes:
        """Take the next bytes of the stream; returns the framed answers that are ready.

        `broadcast` says that the frame went to everybody: sets are executed without an answer,
        everything else is refused with FE 0C.
        """
        frames = [event for event in self._decoder.receive(data) if isinstance(event, Frame)]
        self.next_deadline = None if frames or now is None else now + FRAME_SILENCE_S
        for received in frames:
            if len(self._work) >= FILES_WAITING_MAX:
                self.dropped_files += 1
                continue
            self.files += 1
            self._work.append(self._execute(received.payload, broadcast))
        return self.data_to_send()

    def data_to_send(self) -> bytes:
        """The framed answers that have become complete, in the order of their requests."""
        answers = bytearray()
        while self._work:
            try:
                next(self._work[0])
            except StopIteration as finished:
                answers += finished.value
                self._work.popleft()
            else:
                break
        return bytes(answers)

    def expire(self, now: float) -> None:
        """Give up a frame whose end did not come in time."""
        if self.next_deadline is not None and now >= self.next_deadline:
            self._decoder.close()
            self.next_deadline = None

    def _execute(self, payload: bytes, broadcast: bool) -> Generator[None, None, bytes]:
        """Work one request file off; yields while an answer is pending, returns the framed answer."""
        file = _read(payload)
        opening, requests, early, closing = _sort(file)
        answer = _AnswerFile()
        server_id = (opening.body.server_id if opening else None) or self.application.server_id
        for message in early:
            answer.attention(message.transaction_id, server_id, Attention.UNEXPECTED_MESSAGE)
        if opening is not None and self._open(opening, answer, server_id):
            yield from self._work_off(requests, answer, server_id, broadcast)
        for transaction_id, number, detail in _damages(payload, file.dropped):
            answer.attention(transaction_id, server_id, number, detail)
        if opening is not None and closing is None:
            answer.attention(opening.message.transaction_id, server_id, Attention.NO_CLOSE)
        if broadcast and not answer.refusals:
            return b""
        last = closing or (opening.message if opening else None)
        answer.add(last.transaction_id if last else b"\x00", PublicCloseResponse())
        return frame(bytes(answer.payload))

    def _open(self, opening: _Opening, answer: _AnswerFile, server_id: bytes) -> bool:
        try:
            answer.add(opening.message.transaction_id, self.application.open(opening.body))
        except Refusal as refusal:
            answer.attention(opening.message.transaction_id, server_id, refusal.attention, refusal.detail)
            return False
        return True

    def _work_off(
        self, requests: list[Message], answer: _AnswerFile, server_id: bytes, broadcast: bool
    ) -> Generator[None, None, None]:
        skipped = last = None
        for message in sorted(requests, key=lambda message: message.group_no):
            if last is not None and message.group_no != last:
                return
            if message.group_no == skipped:
                continue
            if answer.full:  # executing a request whose answer has no place would only cost time
                answer.no_room(message.transaction_id, server_id)
                failed = True
            else:
                bodies = yield from self._handle(message.body, server_id, broadcast)
                failed = answer.bodies(message.transaction_id, bodies, server_id)
            if not failed or message.abort_on_error == AbortOnError.CONTINUE:
                continue
            if message.abort_on_error == AbortOnError.SKIP_GROUP:
                skipped = message.group_no
            elif message.abort_on_error == AbortOnError.FINISH_GROUP:
                last = message.group_no
            else:
                return

    def _handle(self, body: Body, server_id: bytes, broadcast: bool) -> Generator[None, None, Sequence[Body]]:
        """One request to its answers; a broadcast set has none."""
        if isinstance(body, OpaqueBody):
            return [attention(server_id, Attention.UNKNOWN_TAG, f"tag {body.tag:#06x}")]
        if not isinstance(body, Request):
            return [attention(server_id, Attention.UNEXPECTED_MESSAGE, type(body).__name__)]
        server_id = body.server_id or server_id
        if broadcast and not isinstance(body, SetProcParameterRequest):
            return [attention(server_id, Attention.NO_BROADCAST)]
        try:
            answered = self.application.handle(body)
        except Refusal as refusal:
            answered = [attention(server_id, refusal.attention, refusal.detail)]
        if isinstance(answered, Pending):
            while answered.bodies is None:
                yield
            answered = answered.bodies
        return [] if broadcast else answered


@dataclass(frozen=True, slots=True)
class _Opening:
    message: Message
    body: PublicOpenRequest


def _read(payload: bytes) -> SmlFile:
    try:
        return decode(payload)
    except SmlError as error:
        return SmlFile((), (), (error,))


def _sort(file: SmlFile) -> tuple[_Opening | None, list[Message], list[Message], Message | None]:
    """The opening, what stands between open and close, what stands outside, the close."""
    opening: _Opening | None = None
    closing: Message | None = None
    inside: list[Message] = []
    outside: list[Message] = []
    for message in file.messages:
        if opening is None and closing is None and isinstance(message.body, PublicOpenRequest):
            opening = _Opening(message, message.body)
        elif closing is None and isinstance(message.body, PublicCloseRequest):
            closing = message
        elif opening is None or closing is not None:
            outside.append(message)
        else:
            inside.append(message)
    return opening, inside, outside, closing


def _damages(payload: bytes, dropped: Sequence[SmlError]) -> Iterator[tuple[bytes, Attention, str]]:
    """Transaction ID (as far as it can be read), attention and detail of each message that was dropped."""
    if not dropped:
        return
    starts: list[tuple[int, bytes]] = []
    elements = outline(payload)
    for element, following in itertools.pairwise(elements):
        if element.depth == 0 and following.depth == 1 and following.type == "octet string":
            starts.append((element.offset, following.wire[len(following.wire) - following.length :]))
    for error in dropped:
        at = int(getattr(error, "offset", 0))
        transaction_id = next((found for start, found in reversed(starts) if start <= at), b"\x00")
        damaged = isinstance(error, ChecksumMismatch)
        yield transaction_id, Attention.CHECKSUM if damaged else Attention.ERROR, str(error)


class _AnswerFile:
    """An answering file as it grows, within its bounds."""

    def __init__(self) -> None:
        self.payload = bytearray()
        self.messages = 0
        self.refusals = 0
        self.full = False

    def add(self, transaction_id: bytes, body: Body) -> None:
        self.payload += encode([Message(transaction_id=transaction_id, body=body)])
        self.messages += 1

    def attention(self, transaction_id: bytes, server_id: bytes, number: Attention, detail: str = "") -> None:
        if self.messages < RESPONSE_MESSAGES_MAX:
            self.add(transaction_id, attention(server_id, number, detail))
        self.refusals += 1

    def no_room(self, transaction_id: bytes, server_id: bytes) -> None:
        """Refuse a request because its answer does not fit any more."""
        self.full = True
        self.attention(transaction_id, server_id, Attention.BUSY, "the answering file has no room left")

    def bodies(self, transaction_id: bytes, bodies: Sequence[Body], server_id: bytes) -> bool:
        """Add the answers to one request; returns whether it failed."""
        wire = encode([Message(transaction_id=transaction_id, body=body) for body in bodies])
        if self.messages + len(bodies) > RESPONSE_MESSAGES_MAX or len(self.payload) + len(wire) > RESPONSE_BYTES_MAX:
            self.no_room(transaction_id, server_id)
            return True
        self.payload += wire
        self.messages += len(bodies)
        refusals = sum(isinstance(body, AttentionResponse) and _refuses(body) for body in bodies)
        self.refusals += refusals
        return refusals > 0


def _refuses(response: AttentionResponse) -> bool:
    known = Attention.of(response.attention_no)
    return known is None or known.is_error


# --- the central's side --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFile:
    """What came back for one request file, or a file the device sent of its own accord."""

    req_file_id: bytes
    solicited: bool
    """Whether it answers a file of ours; a push does not."""
    open: PublicOpenResponse | None
    """None when opening was refused: see `attentions`."""
    responses: dict[bytes, tuple[Body, ...]]
    """By transaction ID, in the order of our requests; empty where the device did not answer.

    For a push: in the order of arrival.
    """
    attentions: tuple[AttentionResponse, ...]
    """Every attention of the file, refusals and acknowledgements."""
    closed: bool
    """Whether the file ended with a close response."""
    file: SmlFile
    """The messages as they came, with deviations and what was dropped."""

    def answer(self, request: int = 0) -> tuple[Body, ...]:
        """What answers request number `request`.

        Raises AttentionReceived when it, or the whole file, was refused, PeerLost when the
        device left it out.
        """
        answers = list(self.responses.values())
        found = answers[request] if request < len(answers) else ()
        for body in found or (() if self.open else self.attentions):
            if isinstance(body, AttentionResponse) and _refuses(body):
                raise AttentionReceived(body.attention_no, _attention_words(body), server_id=body.server_id)
        if not found:
            raise PeerLost(f"request {request} of file {self.req_file_id.hex()} was not answered")
        return found


def _attention_words(response: AttentionResponse) -> str:
    words = attention_text(response.attention_no)
    if response.attention_msg:
        words += f" ({response.attention_msg.decode('utf-8', 'replace')})"
    return words


@dataclass(frozen=True, slots=True)
class _Outstanding:
    transaction_ids: tuple[bytes, ...]
    open_id: bytes
    deadline: float | None


class SmlClient:
    """The asking role. `request` makes the bytes of a request file, `receive` finds its answer.

    `client_id` names us to the device, `counter` gives file numbers: one that goes on where it
    stopped keeps request file IDs unique over restarts.
    """

    def __init__(
        self,
        client_id: bytes,
        *,
        counter: Iterator[int] | None = None,
        max_frame: int = LARGEST_MAX_FRAME,
        timeout_s: float = RESPONSE_TIMEOUT_S,
    ) -> None:
        self.client_id = client_id
        self.timeout_s = timeout_s
        self._counter = counter if counter is not None else itertools.count(1)
        self._decoder = FrameDecoder(max_frame=max_frame)
        self._outstanding: dict[bytes, _Outstanding] = {}

    @property
    def rejected(self) -> int:
        """Frames that were damaged."""
        return self._decoder.rejected

    @property
    def bytes_skipped(self) -> int:
        """Bytes that belonged to no whole frame."""
        return self._decoder.bytes_skipped

    @property
    def next_deadline(self) -> float | None:
        """When the first outstanding file is overdue; None without one that was given a `now`."""
        return min((one.deadline for one in self._outstanding.values() if one.deadline is not None), default=None)

    def request(
        self,
        server_id: bytes | None,
        bodies: Sequence[Request],
        *,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        abort_on_error: AbortOnError = AbortOnError.CONTINUE,
        one_group: bool = False,
        now: float | None = None,
    ) -> bytes:
        """A framed request file: open, the requests, close.

        Each request gets a group of its own, so they are executed in this order; with
        `one_group` the device may choose. `now` starts the time-out.
        Raises LocalError for more requests than a file holds or too many unanswered files.
        """
        if len(bodies) > REQUESTS_MAX:
            raise LocalError(f"a request file holds at most {REQUESTS_MAX} requests, not {len(bodies)}: send several")
        if len(self._outstanding) >= FILES_WAITING_MAX:
            raise LocalError(f"{FILES_WAITING_MAX} files are unanswered: wait for an answer, or call `expire`")
        number = next(self._counter) & 0xFFFF_FFFF
        req_file_id = number.to_bytes(4, "big")
        ids = tuple(req_file_id + place.to_bytes(2, "big") for place in range(len(bodies) + 2))
        opening = PublicOpenRequest(
            client_id=self.client_id, req_file_id=req_file_id, server_id=server_id,
            username=_octets(username), password=_octets(password),
        )  # fmt: skip
        messages = [Message(transaction_id=ids[0], body=opening)]
        for place, body in enumerate(bodies, start=1):
            messages.append(
                Message(
                    transaction_id=ids[place], group_no=1 if one_group else place,
                    abort_on_error=abort_on_error, body=body,
                )
            )  # fmt: skip
        messages.append(Message(transaction_id=ids[-1], body=PublicCloseRequest()))
        self._outstanding[req_file_id] = _Outstanding(ids[1:-1], ids[0], None if now is None else now + self.timeout_s)
        return frame(encode(messages))

    def receive(self, data: bytes) -> list[ResponseFile]:
        """Take the next bytes of the stream; returns the files they completed.

        A file whose messages are all damaged is dropped; its request runs into its time-out.
        """
        return [
            answered
            for event in self._decoder.receive(data)
            if isinstance(event, Frame) and (answered := self._match(_read(event.payload))) is not None
        ]

    def expire(self, now: float) -> list[PeerLost]:
        """Forget the files that are overdue at `now`; returns one error for each."""
        overdue = [key for key, one in self._outstanding.items() if one.deadline is not None and now >= one.deadline]
        for key in overdue:
            del self._outstanding[key]
        if overdue:
            self._decoder.close()
        return [PeerLost(f"no answer to request file {key.hex()} within {self.timeout_s:g} s") for key in overdue]

    def _match(self, file: SmlFile) -> ResponseFile | None:
        if not file.messages:
            return None
        opening = next((m.body for m in file.messages if isinstance(m.body, PublicOpenResponse)), None)
        ids = {message.transaction_id for message in file.messages}
        key = opening.req_file_id if opening is not None else b""
        if key not in self._outstanding:
            key = next((k for k, one in self._outstanding.items() if one.open_id in ids), key)
        asked = self._outstanding.pop(key, None)
        found: dict[bytes, list[Body]] = {known: [] for known in asked.transaction_ids} if asked else {}
        for message in file.messages:
            if isinstance(message.body, (PublicOpenResponse, PublicCloseResponse)):
                continue
            if asked is None:
                found.setdefault(message.transaction_id, []).append(message.body)
            elif message.transaction_id in found:
                found[message.transaction_id].append(message.body)
        return ResponseFile(
            req_file_id=key,
            solicited=asked is not None,
            open=opening,
            responses={known: tuple(bodies) for known, bodies in found.items()},
            attentions=tuple(m.body for m in file.messages if isinstance(m.body, AttentionResponse)),
            closed=isinstance(file.messages[-1].body, PublicCloseResponse),
            file=file,
        )


def _octets(text: str | bytes | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text


__all__ = [
    "AbortOnError", "Application", "Pending", "Refusal", "Request", "ResponseFile", "SmlClient", "SmlServer",
    "attention",
]  # fmt: skip
