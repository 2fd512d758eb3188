"""Both roles of an SML conversation, against each other and against peers that break the rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import AttentionReceived, LocalError, PeerLost
from messwerk.sml import Attention
from messwerk.sml.session import (
    FILES_WAITING_MAX,
    FRAME_SILENCE_S,
    REQUESTS_MAX,
    RESPONSE_TIMEOUT_S,
    Pending,
    Refusal,
    SmlClient,
    SmlServer,
    attention,
)

DEVICE = bytes.fromhex("0500151122aabb")
CENTRAL = bytes.fromhex("05020000000001")
NAME = bytes.fromhex("0000600800ff")


class Device:
    """Answers GetList with a list named like the request; names that begin with `-` are refused."""

    server_id = DEVICE

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.sets = 0
        self.pending: list[tuple[Pending, Sequence[sml.Body]]] = []

    def open(self, request: sml.PublicOpenRequest) -> sml.PublicOpenResponse:
        if request.server_id not in (None, DEVICE):
            raise Refusal(Attention.UNKNOWN_SERVER)
        if request.password == b"wrong":
            raise Refusal(Attention.NOT_AUTHORISED)
        return sml.PublicOpenResponse(
            client_id=request.client_id, req_file_id=request.req_file_id, server_id=DEVICE, ref_time=sml.SecIndex(7)
        )

    def handle(self, request: sml.Body) -> Sequence[sml.Body] | Pending:
        if isinstance(request, sml.SetProcParameterRequest):
            self.sets += 1
            return [attention(DEVICE, Attention.ACKNOWLEDGED)]
        assert isinstance(request, sml.GetListRequest), request
        name = request.list_name or b""
        self.seen.append(name)
        if name.startswith(b"-"):
            raise Refusal(Attention.OUT_OF_RANGE, "below zero")
        answer = [listed(name + bytes([place])) for place in range(name.count(b"+") + 1)]
        if name.startswith(b"later"):
            pending = Pending()
            self.pending.append((pending, answer))
            return pending
        return answer


def cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def listed(name: bytes) -> sml.GetListResponse:
    return sml.GetListResponse(server_id=DEVICE, list_name=name, val_list=())


def ask(name: bytes) -> sml.GetListRequest:
    return sml.GetListRequest(client_id=CENTRAL, server_id=DEVICE, list_name=name)


def opening(**changes: object) -> sml.PublicOpenRequest:
    return sml.PublicOpenRequest(**{"client_id": CENTRAL, "req_file_id": b"F", "server_id": DEVICE} | changes)


def message(ident: bytes, body: sml.Body, group: int = 0, abort: int = 0) -> sml.Message:
    return sml.Message(transaction_id=ident, group_no=group, abort_on_error=abort, body=body)


def served(messages: Iterable[sml.Message], device: Device | None = None) -> list[tuple[bytes, str]]:
    """What a device answers to these messages: transaction ID and attention code or body name."""
    return told(SmlServer(device or Device()).receive(sml.frame(sml.encode(messages))))


def told(wire: bytes) -> list[tuple[bytes, str]]:
    frames = sml.FrameDecoder(max_frame=1 << 22).receive(wire)
    return [
        (one.transaction_id, words(one.body))
        for received in frames
        if isinstance(received, sml.Frame)
        for one in sml.decode(received.payload, strict=True).messages
    ]


def words(body: sml.Body) -> str:
    if isinstance(body, sml.AttentionResponse):
        return body.attention_no[-2:].hex()
    if isinstance(body, sml.GetListResponse):
        return (body.list_name or b"").rstrip(b"\0").decode("latin-1")
    return type(body).__name__.removeprefix("Public").removesuffix("Response")


def test_a_file_is_answered_message_by_message() -> None:
    """Open, one answer per request under its own transaction ID, close: the plain case, both roles."""
    server, client = SmlServer(Device()), SmlClient(CENTRAL)
    (answer,) = client.receive(server.receive(client.request(DEVICE, [ask(b"a"), ask(b"b+"), ask(b"-c")])))
    assert answer.solicited
    assert answer.closed
    assert answer.open is not None
    assert answer.open.ref_time == sml.SecIndex(7)
    assert [len(bodies) for bodies in answer.responses.values()] == [1, 2, 1]
    assert answer.answer(1) == (listed(b"b+\0"), listed(b"b+\1"))
    with pytest.raises(AttentionReceived, match=r"FE 09.*below zero"):
        answer.answer(2)
    with pytest.raises(PeerLost):
        answer.answer(3)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_cutting_the_stream_anywhere_changes_nothing(size: int) -> None:
    """TCP keeps no boundaries: every chunking gives the same bytes back, in both directions."""
    client = SmlClient(CENTRAL)
    wire = b"".join(client.request(DEVICE, [ask(bytes([name]))]) for name in b"abc")
    whole = SmlServer(Device()).receive(wire)
    server = SmlServer(Device())
    pieces = b"".join(server.receive(piece) for piece in cut(wire, size))
    assert pieces == whole
    answers = [answer for piece in cut(whole, size) for answer in client.receive(piece)]
    assert [answer.answer()[0] for answer in answers] == [listed(bytes([name, 0])) for name in b"abc"]


# --- groups and abortOnError ---------------------------------------------------------------

A, B, C, D = (bytes([name]) for name in b"ABCD")
RUNS = [
    ("ascending groups", [(A, b"a", 3, 0), (B, b"b", 1, 0), (C, b"c", 2, 0)], "b c a"),
    ("order inside a group", [(A, b"a", 1, 0), (B, b"b", 1, 0)], "a b"),
    ("continue", [(A, b"-a", 1, 0), (B, b"b", 1, 0), (C, b"c", 2, 0)], "fe09 b c"),
    ("skip group", [(A, b"-a", 1, 1), (B, b"b", 1, 0), (C, b"c", 2, 0)], "fe09 c"),
    ("finish group", [(A, b"-a", 1, 2), (B, b"b", 1, 0), (C, b"c", 2, 0)], "fe09 b"),
    ("finish group, twice", [(A, b"-a", 1, 2), (B, b"-b", 1, 2), (C, b"c", 2, 0)], "fe09 fe09"),
    ("finish group, then abort", [(A, b"-a", 1, 2), (B, b"-b", 1, 255), (C, b"c", 1, 0)], "fe09 fe09"),
    ("abort", [(A, b"-a", 1, 255), (B, b"b", 1, 0), (C, b"c", 2, 0)], "fe09"),
    ("an undefined value stops too", [(A, b"-a", 1, 77), (B, b"b", 1, 0)], "fe09"),
    ("no failure, no abort", [(A, b"a", 1, 255), (B, b"b", 1, 1), (C, b"c", 2, 2)], "a b c"),
    ("group 0 first", [(A, b"a", 1, 0), (B, b"b", 0, 0)], "b a"),
]


@pytest.mark.parametrize(("rule", "requests", "expected"), RUNS, ids=[rule for rule, _, _ in RUNS])
def test_groups_and_abort_on_error(rule: str, requests: list[tuple[bytes, bytes, int, int]], expected: str) -> None:
    """Groups run in ascending order; what the failing message says decides what still runs."""
    messages = [message(b"o", opening())]
    messages += [message(ident, ask(name), group, abort) for ident, name, group, abort in requests]
    answers = served([*messages, message(b"z", sml.PublicCloseRequest())])
    assert answers[0] == (b"o", "Open")
    assert answers[-1] == (b"z", "Close")
    assert " ".join(word for _, word in answers[1:-1]) == expected
    assert {ident for ident, _ in answers[1:-1]} <= {ident for ident, _, _, _ in requests}


# --- refusals by name ----------------------------------------------------------------------

OPEN, CLOSE = message(b"o", opening()), message(b"z", sml.PublicCloseRequest())
UNKNOWN = message(b"u", sml.OpaqueBody(0x0800, b"\x71\x01"))
REFUSED = [
    ("no open", [message(A, ask(b"a")), CLOSE], [(A, "fe0d"), (b"z", "Close")]),
    ("late open", [message(A, ask(b"a")), OPEN, CLOSE], [(A, "fe0d"), (b"o", "Open"), (b"z", "Close")]),
    ("no close", [OPEN, message(A, ask(b"a"))], [(b"o", "Open"), (A, "a"), (b"o", "fe14"), (b"o", "Close")]),
    ("two opens", [OPEN, message(b"p", opening()), CLOSE], [(b"o", "Open"), (b"p", "fe0d"), (b"z", "Close")]),
    ("after the close", [OPEN, CLOSE, message(A, ask(b"a"))], [(A, "fe0d"), (b"o", "Open"), (b"z", "Close")]),
    ("unknown tag", [OPEN, UNKNOWN, CLOSE], [(b"o", "Open"), (b"u", "fe01"), (b"z", "Close")]),
    ("a response as request", [OPEN, message(A, listed(b"a")), CLOSE], [(b"o", "Open"), (A, "fe0d"), (b"z", "Close")]),
    ("wrong password", [message(b"o", opening(password=b"wrong")), message(A, ask(b"a")), CLOSE],
     [(b"o", "fe02"), (b"z", "Close")]),
    ("unknown server", [message(b"o", opening(server_id=b"\x05other")), message(A, ask(b"a")), CLOSE],
     [(b"o", "fe03"), (b"z", "Close")]),
    ("only a close", [CLOSE], [(b"z", "Close")]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "messages", "expected"), REFUSED, ids=[case for case, _, _ in REFUSED])
def test_a_broken_file_gets_the_attention_of_its_fault(
    case: str, messages: list[sml.Message], expected: list[tuple[bytes, str]]
) -> None:
    """Each fault has its number and its transaction ID, and the answer always ends with a close."""
    assert served(messages) == expected


def test_a_message_with_a_wrong_checksum_is_named_and_the_others_run() -> None:
    """A flipped bit inside one message costs that message: FE 0B under its transaction ID."""
    payload = bytearray(sml.encode([OPEN, message(A, ask(b"good")), message(B, ask(b"evil")), CLOSE]))
    payload[payload.index(b"evil")] ^= 1
    answers = told(SmlServer(Device()).receive(sml.frame(bytes(payload))))
    assert answers == [(b"o", "Open"), (A, "good"), (B, "fe0b"), (b"z", "Close")]


def test_a_file_that_is_one_damaged_message_is_answered_too() -> None:
    """Nothing readable inside a whole frame: the peer learns why instead of waiting."""
    payload = bytearray(sml.encode([message(A, ask(b"evil"))]))
    payload[payload.index(b"evil")] ^= 1
    answers = told(SmlServer(Device()).receive(sml.frame(bytes(payload))))
    assert [word for _, word in answers] == ["fe0b", "Close"]


def test_a_refused_open_reaches_the_client_as_the_reason_for_every_request() -> None:
    """A station that used a wrong password hears exactly that, whichever answer it looks at."""
    server, client = SmlServer(Device()), SmlClient(CENTRAL)
    wire = client.request(DEVICE, [ask(b"a"), ask(b"b")], username="u", password=b"wrong")
    (answer,) = client.receive(server.receive(wire))
    assert answer.solicited
    assert answer.open is None
    for request in (0, 1):
        with pytest.raises(AttentionReceived, match="FE 02"):
            answer.answer(request)


# --- broadcast -----------------------------------------------------------------------------


def a_set(server_id: bytes | None = None) -> sml.SetProcParameterRequest:
    return sml.SetProcParameterRequest(
        server_id=server_id, parameter_tree_path=(NAME,), parameter_tree=sml.Tree(parameter_name=NAME)
    )


def test_a_broadcast_set_is_executed_in_silence() -> None:
    """A synchronisation token goes to 32 modules at once; 32 answers would be a storm."""
    device = Device()
    wire = sml.frame(sml.encode([message(b"o", opening(server_id=None)), message(A, a_set()), CLOSE]))
    assert SmlServer(device).receive(wire, broadcast=True) == b""
    assert device.sets == 1
    assert (A, "fd00") in told(SmlServer(device).receive(wire))


def test_a_broadcast_get_is_refused() -> None:
    """Reading from everybody at once is no service: FE 0C."""
    device = Device()
    wire = sml.frame(sml.encode([message(b"o", opening(server_id=None)), message(A, ask(b"a")), CLOSE]))
    assert (A, "fe0c") in told(SmlServer(device).receive(wire, broadcast=True))
    assert device.seen == []


# --- answers that take their time ----------------------------------------------------------


def test_a_pending_answer_holds_its_file_and_keeps_the_order() -> None:
    """A routed request is answered when the module has; files sent behind it wait their turn."""
    device = Device()
    server, client = SmlServer(device), SmlClient(CENTRAL)
    assert server.receive(client.request(DEVICE, [ask(b"later"), ask(b"b")])) == b""
    assert server.receive(client.request(DEVICE, [ask(b"c")])) == b""
    assert device.seen == [b"later"], "what comes after a pending request waits"
    ((pending, bodies),) = device.pending
    pending.complete(bodies)
    pending.complete([])
    first, second = client.receive(server.data_to_send())
    assert [first.answer(0), first.answer(1), second.answer(0)] == [
        (listed(b"later\0"),), (listed(b"b\0"),), (listed(b"c\0"),)
    ]  # fmt: skip


def test_files_sent_ahead_are_bounded() -> None:
    """A peer that floods a busy device loses its files, not the device its memory."""
    device = Device()
    server = SmlServer(device)
    file = sml.frame(sml.encode([OPEN, message(A, ask(b"later")), CLOSE]))
    server.receive(file * (FILES_WAITING_MAX + 5))
    assert server.dropped_files == 5
    assert server.files == FILES_WAITING_MAX


# --- bounds, time-outs, hostile bytes ------------------------------------------------------


def test_an_answer_that_would_not_fit_is_refused_as_busy() -> None:
    """A small request must not become an unbounded answer."""
    name = b"+" * 200
    messages = [OPEN, *(message(bytes([place]), ask(name)) for place in range(10)), CLOSE]
    answers = served(messages)
    assert len(answers) <= 1024
    assert answers[-1] == (b"z", "Close")
    assert "fe15" in {word for _, word in answers}
    device = Device()
    served(messages, device)
    assert len(device.seen) < 10, "what has no place in the answer is not executed either"


def test_a_client_bounds_its_own_files() -> None:
    """More requests than group numbers, or endless unanswered files, are our own mistake: LocalError."""
    client = SmlClient(CENTRAL)
    with pytest.raises(LocalError, match="255"):
        client.request(DEVICE, [ask(b"a")] * (REQUESTS_MAX + 1))
    for _ in range(FILES_WAITING_MAX):
        client.request(DEVICE, [])
    with pytest.raises(LocalError, match="unanswered"):
        client.request(DEVICE, [])


def test_time_out_of_an_unanswered_file() -> None:
    """A device that stays silent is reported lost at the deadline, once, and forgotten."""
    client = SmlClient(CENTRAL)
    assert client.next_deadline is None
    wire = client.request(DEVICE, [ask(b"a")], now=100.0)
    assert client.next_deadline == 100.0 + RESPONSE_TIMEOUT_S
    assert client.expire(100.0 + RESPONSE_TIMEOUT_S - 1) == []
    (lost,) = client.expire(100.0 + RESPONSE_TIMEOUT_S)
    assert "00000001" in str(lost)
    assert client.next_deadline is None
    (late,) = client.receive(SmlServer(Device()).receive(wire))
    assert not late.solicited


def test_half_a_frame_is_given_up_after_silence() -> None:
    """A peer that stops in mid-frame does not spoil the file it sends later."""
    server = SmlServer(Device())
    file = sml.frame(sml.encode([OPEN, CLOSE]))
    assert server.receive(file[:20], now=10.0) == b""
    assert server.next_deadline == 10.0 + FRAME_SILENCE_S
    server.expire(10.0)
    server.expire(10.0 + FRAME_SILENCE_S)
    assert server.next_deadline is None
    assert server.rejected == 1
    assert told(server.receive(file, now=20.0)) == [(b"o", "Open"), (b"z", "Close")]


def test_a_push_is_told_from_an_answer() -> None:
    """A device may send a file nobody asked for; the client hands it over as such."""
    body = sml.PublicOpenResponse(req_file_id=b"\0\0\0\x09", server_id=DEVICE)
    pushed = [message(A, body), message(B, listed(b"x")), message(C, sml.PublicCloseResponse())]
    (file,) = SmlClient(CENTRAL).receive(sml.frame(sml.encode(pushed)))
    assert not file.solicited
    assert file.responses == {B: (listed(b"x"),)}


def test_file_numbers_come_from_the_counter_handed_in() -> None:
    """A station that goes on counting after a restart never repeats a request file ID."""
    client = SmlClient(CENTRAL, counter=iter([7, 8]))
    server = SmlServer(Device())
    answers = [client.receive(server.receive(client.request(DEVICE, [])))[0] for _ in range(2)]
    assert [answer.req_file_id for answer in answers] == [b"\0\0\0\7", b"\0\0\0\x08"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_hostile_peer_neither_crashes_nor_silences_a_server(data: st.DataObject) -> None:
    """Garbage, flipped bits, cuts: afterwards a good file is still answered."""
    server = SmlServer(Device())
    good = sml.frame(sml.encode([OPEN, message(A, ask(b"a")), CLOSE]))
    evil = bytearray(good)
    for _ in range(data.draw(st.integers(0, 6))):
        evil[data.draw(st.integers(0, len(evil) - 1))] = data.draw(st.integers(0, 255))
    evil = evil[: data.draw(st.integers(0, len(evil)))]
    server.receive(data.draw(st.binary(max_size=40)) + bytes(evil), now=0.0)
    server.expire(FRAME_SILENCE_S)
    assert told(server.receive(good, now=10.0))[-1] == (b"z", "Close")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_hostile_device_cannot_crash_a_client(data: st.DataObject) -> None:
    """A station survives any answer, and finds the good one behind it."""
    client = SmlClient(CENTRAL)
    good = SmlServer(Device()).receive(client.request(DEVICE, [ask(b"a")]))
    evil = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        evil[data.draw(st.integers(0, len(evil) - 1))] ^= data.draw(st.integers(1, 255))
    found = client.receive(bytes(evil)) + client.receive(good)
    assert any(answer.responses.get(b"\0\0\0\1\0\1") == (listed(b"a\0"),) for answer in found)
