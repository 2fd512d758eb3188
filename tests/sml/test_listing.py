"""The named view of a file: every byte accounted for, every place called by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.sml.listing import Line, listing
from oracle.strategies import messages

LIST = sml.Message(
    transaction_id=b"\x01",
    body=sml.GetListResponse(
        server_id=bytes.fromhex("0a014c475a0003403b49"), list_name=bytes.fromhex("0100620affff"),
        act_sensor_time=sml.SecIndex(4711),
        val_list=(
            sml.ListEntry(
                obj_name=bytes.fromhex("0100010800ff"), status=sml.Unsigned32(0x1C0104), val_time=sml.BareSecIndex(7),
                unit=30, scaler=-1, value=sml.Unsigned64(123),
            ),
            sml.ListEntry(obj_name=bytes.fromhex("010060320101"), value=b"LGZ"),
        ),
    ),
)  # fmt: skip


def by_path(lines: list[Line]) -> dict[str, str]:
    """The last meaning at each path."""
    return {line.path: line.meaning for line in lines}


def test_names_paths_and_meanings() -> None:
    """Each element has the specification's name, the path that errors use, and its meaning in words."""
    lines = listing(sml.encode([LIST]))
    meanings = by_path(lines)
    assert meanings["Message.body.tag"] == "SML_GetList.Res"
    assert meanings["GetListResponse.server_id"] == "1 LGZ 00 5454 1129"
    assert meanings["GetListResponse.list_name"] == "1-0:98.10.255*255 current list"
    assert meanings["GetListResponse.act_sensor_time"] == "second 4,711"
    assert meanings["GetListResponse.val_list[0].obj_name"] == "1-0:1.8.0*255 active energy +A"
    assert meanings["GetListResponse.val_list[0].status"].startswith("0x1c0104 (above starting power, l1 voltage")
    assert meanings["GetListResponse.val_list[0].val_time"] == "second 7, without the choice around it"
    assert meanings["GetListResponse.val_list[0].unit"] == "Wh"
    assert meanings["GetListResponse.val_list[0].scaler"] == "x 10^-1"
    assert meanings["GetListResponse.val_list[0].value"] == "12.3 Wh"
    assert meanings["GetListResponse.val_list[1].value"] == "LGZ"
    assert meanings["GetListResponse.val_list[1].unit"] == "not set"
    assert meanings["Message.crc16"] == "right"
    assert [line.name for line in lines[:6]] == [
        "message", "transactionId", "groupNo", "abortOnError", "messageBody", "tag",
    ]  # fmt: skip


def test_a_wrong_crc_is_shown_with_the_right_one() -> None:
    """A damaged message still lists, and its CRC says what it should have been."""
    payload = bytearray(sml.encode([LIST]))
    payload[3] ^= 1
    assert "but X-25 gives" in by_path(listing(bytes(payload)))["Message.crc16"]


@pytest.mark.parametrize(
    ("body", "path", "meaning"),
    [
        (
            sml.AttentionResponse(server_id=b"\x01", attention_no=bytes.fromhex("8181c7c7fe03")),
            "AttentionResponse.attention_no", "server ID not available",
        ),
        (
            sml.PublicOpenResponse(req_file_id=b"\x01", server_id=b"\x01", ref_time=sml.Timestamp(1_700_000_000)),
            "PublicOpenResponse.ref_time", "2023-11-14 22:13:20 UTC",
        ),
        (
            sml.GetProcParameterRequest(parameter_tree_path=(bytes.fromhex("8181c78401ff"),)),
            "GetProcParameterRequest.parameter_tree_path[0]", "129-129:199.132.1*255 special tuples",
        ),
        (
            sml.GetProcParameterResponse(
                server_id=b"\x01", parameter_tree_path=(b"\x01" * 6,),
                parameter_tree=sml.Tree(
                    parameter_name=b"\x01" * 6,
                    parameter_value=sml.PeriodParameter(
                        sml.PeriodEntry(obj_name=b"\x01" * 6, unit=27, scaler=0, value=sml.Integer8(-5))
                    ),
                ),
            ),
            "GetProcParameterResponse.parameter_tree.parameter_value.value", "-5 W",
        ),
        (sml.OpaqueBody(0x0800, b"\x71\x01"), "Message.body.tag", "GetCosem.Req"),
        (sml.OpaqueBody(0x1234, b"\x71\x01"), "Message.body.tag", "unknown body"),
    ],
)  # fmt: skip
def test_other_bodies(body: sml.Body, path: str, meaning: str) -> None:
    """Attentions, dates, tree paths, period entries and foreign bodies are explained too."""
    message = sml.Message(transaction_id=b"\x01", body=body)
    assert by_path(listing(sml.encode([message])))[path] == meaning


def test_every_byte_of_real_telegrams_is_named(shared: Path) -> None:
    """In the captures no element is without a name, and the elements make up the whole payload."""
    for path in sorted((shared / "captures").glob("*.bin")):
        for event in sml.FrameDecoder().receive(path.read_bytes()):
            if isinstance(event, sml.Frame):
                lines = listing(event.payload)
                assert b"".join(line.element.wire for line in lines) == event.payload
                assert all(line.name for line in lines), path.name
                assert [line.meaning for line in lines if line.name == "crc16"] == ["right"] * 3


@settings(max_examples=150, deadline=None)
@given(messages)
def test_any_message_is_named_throughout(message: sml.Message) -> None:
    """Every declared place has a name; only the inside of foreign bodies has none."""
    lines = listing(sml.encode([message]))
    if not isinstance(message.body, sml.OpaqueBody):
        assert all(line.name for line in lines)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=40).map(lambda tail: sml.encode([LIST])[:-20] + tail)))
def test_it_never_fails(data: bytes) -> None:
    """Any bytes can be listed, and nothing of them is left out."""
    assert b"".join(line.element.wire for line in listing(data)) == data
