"""Signed meter values in XML containers, and the rules between start and stop."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from evidence_material import (
    DAY,
    KEY_P192,
    KEY_P256,
    basic_list,
    charging_process,
    container,
    extended,
    extended_list,
    framed,
    isa,
    isa_list,
)
from messwerk import edl, evidence
from messwerk.edl import BasicValue
from messwerk.evidence import GivenKeys, Report, Stage, Verdict

POINT = KEY_P192.public.point
START = bytes.fromhex("8180816200ff")
LATER = {"time": DAY + 600, "seconds_index": 5311, "pagination": 8, "value": 123999}


def value_file(*values: edl.ExtendedValue, encoding: str = "hex") -> bytes:
    contexts = ("Transaction.Begin", "Transaction.End")
    return container(
        *(
            (framed(extended_list(value)), POINT, "1", context)
            for value, context in zip(values, contexts, strict=False)
        ),
        encoding=encoding,
    )


def broken(report: Report) -> list[str]:
    return [rule.name for rule in report.broken_rules]


@pytest.mark.parametrize("encoding", ["hex", "plain", "base64"])
def test_one_value_is_proven_in_every_encoding(encoding: str) -> None:
    """Containers write the telegram in hex, in spaced capitals called plain, or in base64."""
    report = evidence.examine(value_file(extended(), encoding=encoding))
    assert report.verdict is Verdict.PROVEN
    (finding,) = report.findings
    assert finding.exhibit.content == extended()
    assert finding.exhibit.stage is Stage.START
    shown = {field.name: (field.value, field.signed) for field in finding.exhibit.fields}
    assert shown["1-0:1.17.0*255"] == ("12345.6 Wh", True)
    assert shown["pagination"] == ("7", True)
    assert shown["context"] == ("Transaction.Begin", False)


def test_the_same_list_is_proven_as_bare_sml() -> None:
    """No container is needed: the telegram with a key given will do."""
    report = evidence.examine(framed(extended_list(extended())), GivenKeys((KEY_P192.public,)))
    assert report.verdict is Verdict.PROVEN


def test_a_single_register_carries_its_own_signature() -> None:
    """The basic layout: 48 bytes, one register."""
    value = BasicValue(
        server_id=extended().server_id, time=123, status=0x80, obis=edl.TOTAL_IMPORT, unit=30, scaler=-1, value=5,
        log_index=b"\x00\x01",
    )  # fmt: skip
    report = evidence.examine(framed(basic_list(value)), GivenKeys((KEY_P192.public,)))
    assert report.verdict is Verdict.PROVEN
    assert "48 bytes" in report.findings[0].exhibit.layout


def test_start_and_stop_make_a_transaction() -> None:
    """Both proven, every rule kept, the energy told; the order in the file does not matter."""
    start, stop = extended(), extended(**LATER)
    for values, contexts in (
        ((start, stop), ("Transaction.Begin", "Transaction.End")),
        ((stop, start), ("Stop", "Start")),
    ):
        data = container(*((framed(extended_list(v)), POINT, "4", c) for v, c in zip(values, contexts, strict=True)))
        report = evidence.examine(data)
        assert report.verdict is Verdict.PROVEN
        assert report.transactions[0].energy == "54.3 Wh"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"pagination": 7}, "pagination increases"),
        ({"pagination": 3}, "pagination increases"),
        ({"log_index": b"\x01\xa7"}, "same log index"),
        ({"contract_id": b"DE*8AA*999999"}, "same contract ID"),
        ({"value": 123455}, "register does not run backward"),
        ({"time": DAY - 1}, "time does not run backward"),
        ({"server_id": bytes.fromhex("09014d53570000009999")}, "same meter"),
        ({"obis": edl.TOTAL_IMPORT}, "same register"),
    ],
)
def test_a_pair_that_does_not_belong_together_is_not_proven(changes: dict[str, Any], rule: str) -> None:
    """Both signatures are right, and yet this is no transaction: the rule broken is named."""
    report = evidence.examine(value_file(extended(), extended(**(LATER | changes))))
    assert report.proven == 2
    assert report.verdict is Verdict.NOT_PROVEN
    assert broken(report) == [rule]


def test_equal_readings_are_no_fault() -> None:
    """A car that took nothing is billed nothing."""
    report = evidence.examine(value_file(extended(), extended(**(LATER | {"value": 123456}))))
    assert report.verdict is Verdict.PROVEN
    assert report.transactions[0].energy == "0.0 Wh"


def test_two_keys_are_no_transaction() -> None:
    """A stop signed by another key, each with its own key beside it."""
    data = container(
        (framed(extended_list(extended())), POINT, "1", "Start"),
        (framed(extended_list(extended(**LATER), KEY_P256)), KEY_P256.public.point, "1", "Stop"),
    )
    assert broken(evidence.examine(data)) == ["same key"]


def test_two_starts_are_no_transaction() -> None:
    """Which of them counts, nobody can say."""
    data = container(
        (framed(extended_list(extended())), POINT, "1", "Start"),
        (framed(extended_list(extended(**LATER))), POINT, "1", "Start"),
    )
    assert broken(evidence.examine(data)) == ["one start and one stop"]


def test_transactions_are_told_apart_by_number() -> None:
    """Several transactions in one file are judged each for itself."""
    data = container(
        (framed(extended_list(extended())), POINT, "1", "Start"),
        (framed(extended_list(extended(pagination=100, contract_id=b"other"))), POINT, "2", "Start"),
        (framed(extended_list(extended(**LATER))), POINT, "1", "Stop"),
        (framed(extended_list(extended(**(LATER | {"pagination": 101, "contract_id": b"other"})))), POINT, "2", "Stop"),
    )  # fmt: skip
    report = evidence.examine(data)
    assert report.verdict is Verdict.PROVEN
    assert [transaction.members for transaction in report.transactions] == [(0, 2), (1, 3)]


def test_an_isa_value_carries_its_start() -> None:
    """One value is a whole transaction; its own start reading is compared."""
    data = container((framed(isa_list(isa())), KEY_P256.public.point, "6", "Transaction.End"))
    report = evidence.examine(data)
    assert report.verdict is Verdict.PROVEN
    assert report.transactions[0].energy == "54.3 Wh"
    backward = isa(value=123455)
    report = evidence.examine(container((framed(isa_list(backward)), KEY_P256.public.point, "6", "")))
    assert broken(report) == ["register not below its start reading"]


def test_isa_start_and_stop_agree_on_the_start() -> None:
    """The stage stands in the signed list name, so the container's words are not needed."""
    begin = isa(list_name=START, time=DAY, value=123456, pagination=7)
    point = KEY_P256.public.point
    good = evidence.examine(
        container((framed(isa_list(isa())), point, "1", ""), (framed(isa_list(begin)), point, "1", ""))
    )
    assert good.verdict is Verdict.PROVEN
    assert [finding.exhibit.stage for finding in good.findings] == [Stage.STOP, Stage.START]
    other = isa(list_name=START, time=DAY, value=123456, pagination=7, start_value=123000)
    bad = evidence.examine(
        container((framed(isa_list(other)), point, "1", ""), (framed(isa_list(isa())), point, "1", ""))
    )
    assert "same start reading" in broken(bad)


def test_another_key_beside_the_value_does_not_prove_it() -> None:
    """The key in the container decides nothing against the one given."""
    data = container((framed(extended_list(extended())), KEY_P256.public.point, "1", ""))
    report = evidence.examine(data)
    assert report.verdict is Verdict.NOT_PROVEN
    assert "48 bytes, on secp256r1 it has 64" in report.findings[0].faults[0]
    assert evidence.examine(data, GivenKeys((KEY_P192.public,))).verdict is Verdict.PROVEN


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"<publicKey>", b"<publicKey>zz", "not hex digits or base64"),
        (b"<signedData format", b"<signed format", "no signedData"),
        (b'encoding="hex">1b', b'encoding="hex">1b1', "not SML in hex or base64"),
        (b'encoding="hex"', b'encoding="base64"', "not SML in hex or base64"),
        (b"1b1b1b1b0101", b"1b1b1b1b0202", "not SML in hex or base64"),
    ],
)  # fmt: skip
def test_broken_encodings_are_told(old: bytes, new: bytes, words: str) -> None:
    """Nothing is proven, nothing is raised, and the place is named."""
    data = value_file(extended())
    assert old in data
    data = data.replace(old, new).replace(
        b"</signedData>", b"</signed>" if b"no s" in words.encode() else b"</signedData>"
    )
    report = evidence.examine(data)
    assert report.verdict is not Verdict.PROVEN
    said = " ".join((*report.damaged, *(fault for finding in report.findings for fault in finding.faults)))
    assert words in said
    assert "value 1" in said or "key" in said


# --- the block itself ----------------------------------------------------------------------


def signed_meter_value(block: bytes, signature: bytes) -> bytes:
    def base(octets: bytes) -> str:
        return base64.b64encode(octets).decode()

    return (
        f'<signedMeterValue><publicKey encoding="base64">{base(POINT)}</publicKey>'
        f'<meterValueSignature encoding="base64">{base(signature)}</meterValueSignature>'
        "<signatureMethod>ECDSA192SHA256</signatureMethod><encodingMethod>EDL</encodingMethod>"
        f'<encodedMeterValue encoding="base64">{base(block)}</encodedMeterValue></signedMeterValue>'
    ).encode()


def test_a_block_without_its_list_is_proven() -> None:
    """signedMeterValue holds the hashed bytes themselves; the fields are read from them."""
    block = extended().block
    report = evidence.examine(signed_meter_value(block, KEY_P192.sign(block) + b"\x01\xa6"))
    assert report.verdict is Verdict.PROVEN
    assert report.findings[0].exhibit.content == extended()
    changed = block[:31] + bytes([block[31] ^ 1]) + block[32:]
    report = evidence.examine(signed_meter_value(changed, KEY_P192.sign(block) + b"\x01\xa6"))
    assert report.verdict is Verdict.NOT_PROVEN
    report = evidence.examine(signed_meter_value(block[:-1], b"x"))
    assert report.verdict is Verdict.NOT_UNDERSTOOD


# --- MENNEKES ------------------------------------------------------------------------------


def test_a_charging_process_is_proven() -> None:
    """The block is put together from the fields: local time, contract in hex, event counter as log index."""
    report = evidence.examine(charging_process(extended(), extended(**LATER)).encode())
    assert report.verdict is Verdict.PROVEN
    assert [finding.exhibit.content for finding in report.findings] == [extended(), extended(**LATER)]
    beside = [field for field in report.findings[0].exhibit.fields if not field.signed]
    assert {"MeteringPoint", "time with zone"} <= {field.name for field in beside}


def test_processes_within_a_bill_are_found() -> None:
    """A bill of a month holds many; namespaces are of no matter."""
    process = charging_process(extended(), extended(**LATER))
    bill = f'<b:Billing xmlns:b="urn:b" xmlns="urn:m">{process}<x>{process}</x></b:Billing>'
    report = evidence.examine(bill.encode())
    assert (report.verdict, report.proven, len(report.transactions)) == (Verdict.PROVEN, 4, 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Timestamp", "yesterday"), ("Timestamp", "1950-01-01T00:00:00Z"), ("Signature", "xyz"),
        ("EventCounter", "65536"), ("MeterStatus", "-1"), ("Value", "9" * 30), ("Value", "1e5"),
        ("Scaler", "200"), ("Pagination", ""),
        ("SecondIndex", "4294967296"), ("ServerId", "0901"), ("Signature", "00" * 67),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_hashed_are_named(name: str, text: str) -> None:
    """A wrong field makes the measurement unreadable, never a traceback or a guess."""
    report = evidence.examine(charging_process(extended(), extended(**LATER), **{name: text}).encode())
    assert report.verdict is Verdict.NOT_UNDERSTOOD
    assert all(name in part for part in report.damaged)


def test_a_changed_field_is_not_proven() -> None:
    """Every hashed field of a measurement counts."""
    for name, text in (("Value", "1"), ("MeterStatus", "0"), ("SecondIndex", "1"), ("Pagination", "9")):
        report = evidence.examine(charging_process(extended(), extended(**LATER), **{name: text}).encode())
        assert report.verdict is Verdict.NOT_PROVEN, name
        assert report.proven == 0, name
