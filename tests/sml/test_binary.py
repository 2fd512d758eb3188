"""The binary encoding: bytes both ways, the declarations as properties, the oracle beside Rust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import ChecksumMismatch, DecodeError, EncodeError, SmlError
from messwerk.sml.binary import MAX_DEPTH, MAX_MESSAGES, MAX_TREE_DEPTH
from messwerk.sml.messages import BODY_TAGS
from oracle import binary as oracle
from oracle import strategies
from oracle.kinds import closing, entry, many, message, octets, opening, push, values

VALUES: list[tuple[str, Any, str]] = [
    ("01", None, "Q12: absent"),
    ("04 4c475a", b"LGZ", "octets"),
    ("81 01 " + "aa" * 15, b"\xaa" * 15, "fifteen octets need two TL bytes: with one the length would be 16"),
    ("83 02 " + "bb" * 48, b"\xbb" * 48, "public key, as captured"),
    ("42 00", False, "boolean"),
    ("42 01", True, "boolean"),
    ("52 ff", sml.Integer8(-1), "one byte"),
    ("53 8b28", sml.Integer16(-29912), "negative by its type"),
    ("54 00ffff", sml.Integer24(65535), "three bytes, the leading zero keeps it positive"),
    ("56 ffffffffff", sml.Integer40(-1), "EMH energy width"),
    ("59 0000000000000142", sml.Integer64(322), "LGZ power"),
    ("62 ff", sml.Unsigned8(255), "never sign-extended"),
    ("64 ca d3a9", sml.Unsigned24(0xCAD3A9), "esphome#5250 sign-extended this"),
    ("69 ffffffffffffffff", sml.Unsigned64(2**64 - 1), "largest"),
    ("72 62 01 72 62 01 65 0000002a", sml.TimeValue(sml.SecIndex(42)), "1.04: time as value"),
    ("72 62 01 72 62 02 65 5b6d3c18", sml.TimeValue(sml.Timestamp(0x5B6D3C18)), "1.04: UTC as value"),
    (
        "72 62 02 73 72 62 01 65 0000002a 62 04 52 07",
        sml.TimestampedValue(
            sml_time=sml.SecIndex(42), status=sml.Unsigned8(4), simple_value=sml.Integer8(7)
        ),
        "1.05: timestamped value",
    ),
    (
        "72 62 03 72 62 01 72 52 ff 62 1e",
        sml.CosemValue(sml.ScalerUnit(scaler=-1, unit=30)),
        "1.05: scaler and unit as value",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "value", "why"), VALUES)
def test_values_both_ways(wire: str, value: Any, why: str) -> None:
    """Each form of SML_Value is read to its type and written to the same bytes."""
    file = opening() + values(entry("0100010800ff", bytes.fromhex(wire))) + closing()
    decoded = sml.decode(file)
    body = decoded.messages[1].body
    assert isinstance(body, sml.GetListResponse)
    found = body.val_list[0].value
    assert found == value, why
    assert type(found) is type(value), why
    assert sml.encode(decoded.messages) == file


def body_bytes(body: Any, *, minimal: bool = False) -> str:
    """The bytes of a body alone."""
    wire = sml.encode([sml.Message(transaction_id=b"", body=body)], minimal=minimal)
    return wire[len(bytes.fromhex("76 01 6200 6200 72 63 0000")) : -4].hex()


def test_widths_full_own_and_fewest() -> None:
    """A plain int takes its field's width, a sized one its own, `minimal` the fewest bytes."""
    body = sml.GetProfileListResponse(
        server_id=b"", act_time=sml.SecIndex(5), reg_period=900, parameter_tree_path=(b"",), status=5,
        val_time=sml.SecIndex(sml.Unsigned24(5)), period_list=(),
    )  # fmt: skip
    assert body_bytes(body) == (
        "79 01 72620165 00000005 65 00000384 71 01 72620164 000005 69 0000000000000005 70 01 01".replace(" ", "")
    )
    assert body_bytes(body, minimal=True) == (
        "79 01 72620162 05 63 0384 71 01 72620164 000005 62 05 70 01 01".replace(" ", "")
    )


@pytest.mark.parametrize("name", ["GetListResponse.val_list[0].unit", "GetListResponse.server_id", "Message.body"])
def test_what_cannot_be_written_is_named(name: str) -> None:
    """Local misuse is an EncodeError with the path of the field."""
    good: dict[str, Any] = {"server_id": b"s", "val_list": (sml.ListEntry(obj_name=b"o", unit=30, value=b""),)}
    body: Any
    if name.endswith("unit"):
        body = sml.GetListResponse(**good | {"val_list": (sml.ListEntry(obj_name=b"o", unit=300, value=b""),)})
    elif name.endswith("server_id"):
        body = sml.GetListResponse(**good | {"server_id": "text"})
    else:
        body = "no body"
    with pytest.raises(EncodeError) as caught:
        sml.encode([sml.Message(transaction_id=b"", body=body)])
    assert caught.value.path == name


@pytest.mark.parametrize(
    "value",
    [5, 5.0, "text", sml.SecIndex(5), None.__class__],
    ids=["plain int", "float", "text", "bare time", "class"],
)
def test_a_value_must_say_its_type(value: Any) -> None:
    """An implicit choice needs a type of its own; a plain int has no width and is refused."""
    body = sml.PeriodEntry(obj_name=b"", unit=0, scaler=0, value=value)
    tree = sml.Tree(parameter_name=b"", parameter_value=sml.PeriodParameter(body))
    message = sml.GetProcParameterResponse(server_id=b"", parameter_tree_path=(b"",), parameter_tree=tree)
    with pytest.raises(EncodeError, match=r"parameter_value\.value"):
        sml.encode([sml.Message(transaction_id=b"", body=message)])


# --- captures ------------------------------------------------------------------------------


def captured(shared: Path) -> list[bytes]:
    """The payload of every whole telegram of every capture."""
    payloads = []
    for path in sorted((shared / "captures").glob("*.bin")):
        decoder = sml.FrameDecoder()
        events = decoder.receive(path.read_bytes()) + decoder.close()
        payloads += [event.payload for event in events if isinstance(event, sml.Frame)]
    return payloads


def test_every_capture_telegram_returns_to_its_bytes(shared: Path) -> None:
    """Widths, tags and quirks of real meters are kept: reading and writing changes no byte."""
    payloads = captured(shared)
    assert len(payloads) == 108
    for payload in payloads:
        file = sml.decode(payload)
        assert not file.dropped
        assert sml.encode(file.messages) == payload


def test_captures_read_as_the_oracle_reads_them(shared: Path) -> None:
    """Rust and the slow readable twin agree on every real telegram, in both modes."""
    for payload in captured(shared):
        agree(payload)


# --- properties ----------------------------------------------------------------------------


def place(error: SmlError) -> tuple[object, ...]:
    """What of an error both implementations must agree on: not its words."""
    if isinstance(error, ChecksumMismatch):
        return ("checksum", error.offset, error.expected, error.found)
    assert isinstance(error, DecodeError)
    return ("structure", error.offset, error.path)


def agree(payload: bytes) -> None:
    """Rust and oracle accept, drop and report the same."""

    def read(decode: Any, *, strict: bool) -> object:
        try:
            file = decode(payload, strict=strict)
        except SmlError as error:
            return place(error)
        return file.messages, file.deviations, [place(error) for error in file.dropped]

    for strict in (False, True):
        assert read(sml.decode, strict=strict) == read(oracle.decode, strict=strict)


@pytest.mark.parametrize("cls", BODY_TAGS.values(), ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_any_body_survives_the_wire(cls: type, data: st.DataObject) -> None:
    """decode(encode(x)) == x for every registered type, and the bytes are stable."""
    sent = sml.Message(transaction_id=b"\x01", body=data.draw(strategies.of_class(cls)))
    wire = sml.encode([sent])
    assert wire == oracle.encode([sent])
    received = sml.decode(wire)
    assert received.messages == (sent,)
    assert not received.dropped
    assert sml.encode(received.messages) == wire
    assert sml.encode([sent], minimal=True) == oracle.encode([sent], minimal=True)


@given(strategies.files)
@settings(max_examples=60)
def test_any_file_survives_the_wire(file: tuple[sml.Message, ...]) -> None:
    """Envelopes, several messages and bodies we do not know pass unharmed."""
    received = sml.decode(sml.encode(file))
    assert received.messages == file
    assert [message.form for message in received.messages] == [message.form for message in file]


@given(st.data())
@settings(max_examples=150)
def test_damaged_files_are_read_as_the_oracle_reads_them(data: st.DataObject) -> None:
    """After any damage both readers accept, drop and report the same."""
    original = data.draw(st.one_of(strategies.files.map(sml.encode), st.just(push())))
    damaged = data.draw(strategies.mutated(original))
    agree(repaired(damaged) if data.draw(st.booleans()) else damaged)


def repaired(payload: bytes) -> bytes:
    """`payload` with right message checksums as far as its structure can be walked."""
    wire, at = bytearray(payload), 0
    reader = oracle._FileReader(payload, False)
    while at < len(wire):
        try:
            marks = reader.envelope(at)
        except SmlError:
            break
        covered, crc = bytes(wire[marks[0] : marks[5]]), marks[5]
        if wire[crc] == 0x63:
            wire[crc + 1 : crc + 3] = oracle.wire_x25(covered).to_bytes(2, "big")
        at = marks[-1] + 1
    return bytes(wire)


# --- errors and bounds ---------------------------------------------------------------------


def test_an_error_names_offset_path_expected_and_found() -> None:
    """The message helps the person at the meter."""
    wrong = entry("0100010800ff", b"\x52\x01", unit=b"\x52\x1e")
    file = opening() + values(entry("010060320101", octets(b"X")), wrong) + closing()
    decoded = sml.decode(file)
    [error] = decoded.dropped
    assert isinstance(error, DecodeError)
    assert error.path == "GetListResponse.val_list[1].unit"
    assert file[error.offset : error.offset + 2] == b"\x52\x1e"
    assert str(error).endswith("expected unsigned of at most 1 byte, found integer of 1 byte (52 1e)")
    assert len(decoded.messages) == 2
    with pytest.raises(DecodeError, match="val_list"):
        sml.decode(file, strict=True)


def test_a_message_with_a_wrong_checksum_is_dropped_and_the_others_kept() -> None:
    """Message checksums stand on their own inside a good frame."""
    file = opening() + values(crc="wrong") + closing()
    decoded = sml.decode(file)
    assert [type(message.body).__name__ for message in decoded.messages] == [
        "PublicOpenResponse",
        "PublicCloseResponse",
    ]
    [error] = decoded.dropped
    assert isinstance(error, ChecksumMismatch)
    assert error.offset == len(opening())


@pytest.mark.parametrize("payload", [b"", b"\0\0", b"/ESY5Q3DA1004 V3.03\r\n", b"\x76"])
def test_nothing_readable_is_an_error(payload: bytes) -> None:
    """A caller that gets a file back gets at least one message."""
    with pytest.raises(DecodeError):
        sml.decode(payload)


def test_messages_are_bounded() -> None:
    """The rest of an endless file is dropped, not read."""
    close = closing()
    assert len(sml.decode(close * MAX_MESSAGES).messages) == MAX_MESSAGES
    decoded = sml.decode(close * (MAX_MESSAGES + 5))
    assert len(decoded.messages) == MAX_MESSAGES
    [error] = decoded.dropped
    assert isinstance(error, DecodeError)
    assert error.offset == MAX_MESSAGES * len(close)


def tree(levels: int) -> sml.Tree:
    inner = sml.Tree(parameter_name=b"leaf")
    for _ in range(levels - 1):
        inner = sml.Tree(parameter_name=b"node", child_list=(inner,))
    return inner


def test_trees_are_bounded_in_both_directions() -> None:
    """Nesting is data of the peer's choosing, so it has a limit on the way in and out."""

    def response(levels: int) -> sml.Message:
        body = sml.GetProcParameterResponse(server_id=b"s", parameter_tree_path=(), parameter_tree=tree(levels))
        return sml.Message(transaction_id=b"", body=body)

    deepest = sml.encode([response(MAX_TREE_DEPTH)])
    assert sml.decode(deepest).messages == (response(MAX_TREE_DEPTH),)
    with pytest.raises(EncodeError, match="nested trees"):
        sml.encode([response(MAX_TREE_DEPTH + 1)])
    tree_wire = b"\x73\x01\x01\x01"
    for _ in range(MAX_TREE_DEPTH):
        tree_wire = many(b"\x01", b"\x01", many(tree_wire))
    hostile = message(1, "00000501", many(b"\x01", many(b"\x01"), tree_wire))
    with pytest.raises(DecodeError, match="nested trees"):
        sml.decode(hostile)


def test_depth_of_unknown_bodies_is_bounded() -> None:
    """An opaque body is passed on unread, so its depth is limited by itself."""
    for depth, fine in [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)]:
        file = message(1, "00000a01", b"\x71" * depth + b"\x01") + closing()
        assert isinstance(sml.decode(file).messages[0].body, sml.OpaqueBody) is fine


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("ff8f8f0f", "a list bomb of 65 535 elements"),
        ("f1808080 00", "five TL bytes"),
        ("51", "an integer without bytes"),
        ("5a" + "00" * 9, "an integer of nine bytes"),
        ("82 42 00", "a long boolean is reserved"),
        ("30 00", "a reserved type"),
        ("0f 00", "longer than the data"),
        ("00", "an end mark inside"),
    ],
)
def test_malformed_elements_stop_the_file_with_their_place(body: str, why: str) -> None:
    """Where the structure is lost the rest of the file is dropped, and nothing is reserved for it."""
    file = closing() + message(2, "00000201", bytes.fromhex(body))
    decoded = sml.decode(file)
    assert len(decoded.messages) == 1, why
    [error] = decoded.dropped
    assert error.offset >= len(closing())  # type: ignore[attr-defined]
    agree(file)


def test_unknown_bodies_pass_byte_exact() -> None:
    """COSEM services and future tags are carried, never lost (and never understood)."""
    content = many(b"\x62\x07", many(b"\x01"), octets(b"abc"))
    [found] = sml.decode(message(1, "00000801", content)).messages
    assert found.body == sml.OpaqueBody(0x0801, content)
    assert sml.encode([found]) == message(1, "00000801", content)
    for broken in (b"", content + b"\x01", content[:-1]):
        with pytest.raises(EncodeError, match="OpaqueBody"):
            sml.encode([sml.Message(transaction_id=b"", body=sml.OpaqueBody(0x0801, broken))])


def test_bytes_that_are_no_bytes_are_refused() -> None:
    """A subclass of bytes is written as bytes; a list is not."""
    from messwerk.obis import ObisCode

    code = ObisCode.parse("1.8.0")
    request = sml.GetListRequest(client_id=b"", list_name=code)
    assert sml.decode(sml.encode([sml.Message(transaction_id=b"", body=request)])).messages[0].body == request
    with pytest.raises(EncodeError):
        sml.encode([sml.Message(transaction_id=[1, 2], body=request)])  # type: ignore[arg-type]
