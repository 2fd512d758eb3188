"""SML as JSON: nothing is lost, and wrong texts are refused by the field that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import EncodeError, SourceError
from messwerk.sml.json import from_json, to_json
from oracle.strategies import messages

CLOSE = sml.Message(transaction_id=b"\x00\x03", body=sml.PublicCloseResponse())


def document(message: dict[str, Any]) -> str:
    return json.dumps({"sml": "urn:messwerk:sml:1", "files": [[message]]})


def close_with(**changes: Any) -> str:
    return document({"transactionId": "0003", "messageBody": {"SML_PublicClose.Res": {}}, **changes})


def list_entry_with(**changes: Any) -> str:
    entry = {"objName": "0100010800ff", "value": {"u8": 1}, **changes}
    return close_with(messageBody={"SML_GetList.Res": {"serverId": "01", "valList": [entry]}})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(messages, max_size=2).map(tuple), max_size=2))
def test_any_message_survives_json(files: list[tuple[sml.Message, ...]]) -> None:
    """Every body, alternative, width and wire form comes back equal, so its bytes come back too."""
    assert from_json(to_json(files)) == files


def test_real_telegrams_come_back_byte_exact(shared: Path) -> None:
    """Each captured telegram goes to JSON and back to the very bytes the meter sent."""
    for path in sorted((shared / "captures").glob("*.bin")):
        decoder = sml.FrameDecoder()
        for event in decoder.receive(path.read_bytes()):
            if isinstance(event, sml.Frame):
                (messages,) = from_json(to_json([sml.decode(event.payload).messages]))
                assert sml.frame(sml.encode(messages)) == event.raw, path.name


def test_what_it_looks_like() -> None:
    """The documented shape: specification names, hex octets, widths where they matter."""
    entry = sml.ListEntry(
        obj_name=bytes.fromhex("0100010800ff"), status=sml.Unsigned24(0x10180), val_time=sml.SecIndex(sml.Unsigned8(5)),
        unit=30, scaler=-1, value=sml.Unsigned64(2**64 - 1),
    )  # fmt: skip
    message = sml.Message(transaction_id=b"\x01", body=sml.GetListResponse(server_id=b"\x0a", val_list=(entry,)))
    assert json.loads(to_json([[message]]))["files"] == [
        [
            {
                "transactionId": "01", "groupNo": 0, "abortOnError": 0,
                "messageBody": {"SML_GetList.Res": {"serverId": "0a", "valList": [{
                    "objName": "0100010800ff", "status": {"u24": 65920}, "valTime": {"secIndex": {"u8": 5}},
                    "unit": 30, "scaler": -1, "value": {"u64": 18446744073709551615},
                }]}},
            }
        ]
    ]  # fmt: skip


def test_defaults_may_be_left_out() -> None:
    """A person may write the shortest text: group, abort and form have their usual values."""
    assert from_json(close_with()) == [(CLOSE,)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "not SML in JSON"),
        ('{"sml": "2"}', "not SML in JSON"),
        ("[" * 5000 + "]" * 5000, "nested more deeply"),
    ],
)
def test_a_text_that_is_no_sml(text: str, complaint: str) -> None:
    """Broken, foreign and hostile texts are refused as a source."""
    with pytest.raises(SourceError, match=complaint):
        from_json(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"sml": "urn:messwerk:sml:1"}', "files"),
        ('{"sml": "urn:messwerk:sml:1", "files": [5]}', r"files\[0\]"),
        (close_with(transactionId=None), "transactionId"),
        (close_with(transactionId="0g"), "transactionId"),
        (close_with(groupNo=256), "groupNo"),
        (close_with(groupNo=True), "groupNo"),
        (close_with(groupNo=1.0), "groupNo"),
        (close_with(surprise=1), "only transactionId"),
        (close_with(messageBody={}), "messageBody"),
        (close_with(messageBody={"SML_Nothing.Res": {}}), "messageBody"),
        (close_with(messageBody={"SML_PublicClose.Res": {"more": 1}}), "SML_PublicClose.Res"),
        (close_with(messageBody={"SML_GetList.Res": {"serverId": "01"}}), "valList: expected a value, found nothing"),
        (close_with(messageBody={"opaque": {"tag": 2048}}), "opaque.content"),
        (close_with(form={"tagWidth": "two"}), "form.tagWidth"),
        (list_entry_with(value=5), "valList\\[0\\].value"),
        (list_entry_with(value={"u8": 256}), "fits u8"),
        (list_entry_with(value={"u8": 1, "u16": 1}), "2 members"),
        (list_entry_with(value={"u9": 1}), "u9"),
        (list_entry_with(unit={"u16": 1}), "valList\\[0\\].unit"),
        (list_entry_with(unit={"i8": 1}), "valList\\[0\\].unit"),
        (list_entry_with(status={"i8": 1}), "valList\\[0\\].status"),
        (list_entry_with(valTime={"smlTime": 1}), "valTime"),
        (list_entry_with(valTime={"localTimestamp": {"timestamp": 1}}), "localOffset"),
    ],
)
def test_a_wrong_field_is_named(text: str, path: str) -> None:
    """Each mistake in a text names the field it stands in, and is no crash."""
    with pytest.raises(EncodeError, match=path):
        from_json(text)
