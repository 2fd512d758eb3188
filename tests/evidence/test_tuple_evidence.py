"""Tuples and profile rows of SyM² modules as evidence, in every form SML takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_material import (
    KEY_BP256,
    KEY_P192,
    KEY_P256,
    bare,
    framed,
    identity_body,
    pack_body,
    row_body,
    signed,
    tuple_body,
)
from messwerk import evidence, sml
from messwerk.errors import SourceError
from messwerk.evidence import GivenKeys, Verdict
from messwerk.signing import PrivateKey
from messwerk.sml.json import to_json
from messwerk.sml.xml import to_xml

ONE = signed()
GIVEN = GivenKeys((KEY_P256.public,))


def in_every_form() -> dict[str, bytes]:
    payload = bare(identity_body(), tuple_body(ONE))
    messages = sml.decode(payload).messages
    return {
        "framed": sml.frame(payload),
        "bare": payload,
        "hex": sml.frame(payload).hex(" ").encode(),
        "xml": to_xml([messages]).encode(),
        "json": to_json([messages]).encode(),
        "noise around": b"\x00noise" + sml.frame(payload),
    }


@pytest.mark.parametrize("form", in_every_form())
def test_a_tuple_is_proven_in_every_form(form: str) -> None:
    """Binary with and without frame, hex digits, XML and JSON hold the same evidence."""
    report = evidence.examine(in_every_form()[form], GIVEN)
    assert report.verdict is Verdict.PROVEN
    (finding,) = report.findings
    assert [block.content for block in finding.exhibit.blocks] == [ONE.import_block, ONE.export_block]
    shown = {field.name: field.value for field in finding.exhibit.fields}
    assert shown["seconds index"] == "123456789"
    assert shown["1-0:1.8.0*255 active energy +A"] == "987654321.0 Wh"
    assert shown["1-0:5.8.0*255 reactive energy R1 (quadrant I)"] == "123456789.0 varh"


@pytest.mark.parametrize("key", [KEY_P192, KEY_P256, KEY_BP256], ids=["P-192", "P-256", "brainpool"])
def test_every_curve_is_told_from_the_key_itself(key: PrivateKey) -> None:
    """Real meters sign on three curves; the file's own key says which."""
    report = evidence.examine(framed(identity_body(key), tuple_body(signed(key))))
    assert report.verdict is Verdict.PROVEN
    assert report.keys == (key.public,)
    assert not report.findings[0].given
    assert "belongs to this meter: it comes from the file itself" in report.unproven[0]


def test_without_any_key_nothing_is_proven() -> None:
    """A missing key is no excuse, and the remedy is named."""
    report = evidence.examine(framed(tuple_body(ONE)))
    assert report.verdict is Verdict.NOT_PROVEN
    assert "--key" in report.findings[0].faults[0]


def test_a_key_given_beats_the_one_in_the_file() -> None:
    """A forger's file carries the forger's key: it is named, and proves nothing to who knows better."""
    forged = framed(identity_body(KEY_BP256), tuple_body(signed(KEY_BP256)))
    report = evidence.examine(forged, GIVEN)
    assert report.verdict is Verdict.NOT_PROVEN
    assert "fits, but it is not the one given" in report.findings[0].remarks[0]


def test_a_fingerprint_given_chooses_among_the_files_keys() -> None:
    """The plate's fingerprint is enough where the file carries the key."""
    data = framed(identity_body(), tuple_body(ONE))
    right, wrong = GivenKeys((), (KEY_P256.public.fingerprint.lower(),)), GivenKeys((), ("0000 0000 0000 0000",))
    assert evidence.examine(data, right).verdict is Verdict.PROVEN
    report = evidence.examine(data, wrong)
    assert report.verdict is Verdict.NOT_PROVEN
    assert "fingerprint" in report.findings[0].faults[0]


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        ({"import_wh": 1}, ["import"]),
        ({"r4_varh": 1}, ["import"]),
        ({"export_wh": 1}, ["export"]),
        ({"r2_varh": 1}, ["export"]),
        ({"index": 1}, ["import", "export"]),
        ({"status": 0x101}, ["import", "export"]),
        ({"scaler": 0}, ["import", "export"]),
        ({"server_id": b"\x05other!"}, ["import", "export"]),
        ({"signature_import": bytes(63) + b"\x01"}, ["import"]),
        ({"signature_export": b""}, ["export"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_changed_tuple_is_not_proven(changes: dict[str, object], groups: list[str]) -> None:
    """The group that was touched is named; what was changed, data or signature, is not claimed to be known."""
    report = evidence.examine(framed(tuple_body(replace(ONE, **changes))), GIVEN)
    assert report.verdict is Verdict.NOT_PROVEN
    faults = report.findings[0].faults
    assert [fault.split()[0] for fault in faults] == groups
    assert all("cannot be told" in fault or "bytes, on secp256r1" in fault for fault in faults)


def test_status_bits_that_are_not_hashed_are_marked() -> None:
    """Only 32 bits of the status word are signed: the rest may have been written by anybody."""
    report = evidence.examine(framed(tuple_body(replace(ONE, status=0x7_0000_0100))), GIVEN)
    assert report.verdict is Verdict.PROVEN
    unsigned = [field for field in report.findings[0].exhibit.fields if not field.signed]
    assert [(field.name, field.value) for field in unsigned] == [("status, bits 32 and above", "00000007")]


@pytest.mark.parametrize("body", [pack_body(ONE, signed(index=123457689)), row_body(ONE)], ids=["pack", "list"])
def test_profile_rows_prove_themselves(body: sml.Body) -> None:
    """A row is a tuple whose columns have other names; the signed names are rebuilt."""
    report = evidence.examine(framed(body), GIVEN)
    assert report.verdict is Verdict.PROVEN
    assert report.proven == (2 if isinstance(body, sml.GetProfilePackResponse) else 1)
    assert report.findings[0].exhibit.content == ONE


def test_a_pack_of_one_group_proves_that_group() -> None:
    """A client may ask for fewer columns: a complete group with its signature stands alone."""
    report = evidence.examine(framed(pack_body(ONE, columns=(3, 2, 1, 0))), GIVEN)
    assert report.verdict is Verdict.PROVEN
    assert [block.name for block in report.findings[0].exhibit.blocks] == ["import"]


@pytest.mark.parametrize(
    ("columns", "fault"),
    [((0, 1, 3), "cannot be checked without 1-0:8.8.0*255"), ((0, 1, 2, 3, 4), "export registers carry no signature")],
)
def test_columns_that_are_missing_are_not_proven(columns: tuple[int, ...], fault: str) -> None:
    """What no signature covers is shown as such and spoils the verdict."""
    report = evidence.examine(framed(pack_body(ONE, columns=columns)), GIVEN)
    assert report.verdict is Verdict.NOT_PROVEN
    assert fault in " ".join(report.findings[0].faults)
    assert any(not field.signed for field in report.findings[0].exhibit.fields)


def test_rows_and_lists_without_signature_are_counted() -> None:
    """Readings that nobody signed prove nothing, and that is said."""
    report = evidence.examine(framed(pack_body(ONE, columns=(0, 1, 2))))
    assert report.verdict is Verdict.NOT_PROVEN
    assert report.faults == ("nothing in the file carries a signature",)
    assert "1 reading without signature" in report.unproven[-1]


def test_a_damaged_frame_spoils_the_whole() -> None:
    """Good tuples stay proven one by one, but the file as a whole is not."""
    cut = framed(tuple_body(ONE)) + framed(tuple_body(signed(index=5)))[:100]
    report = evidence.examine(cut, GIVEN)
    assert (report.verdict, report.proven) == (Verdict.NOT_PROVEN, 1)
    assert report.damaged


def test_wrong_check_sums_do_not_hide_a_signature() -> None:
    """A CRC is no proof: with a wrong one the signature decides, and the CRC is mentioned."""
    payload = bytearray(bare(tuple_body(ONE)))
    at = payload.index(b"\x63", payload.index(ONE.signature_export) + 64)
    payload[at + 1] ^= 0xFF
    raw = bytearray(sml.frame(bytes(payload)))
    raw[-1] ^= 0xFF
    report = evidence.examine(bytes(raw), GIVEN)
    assert (report.verdict, report.proven) == (Verdict.PROVEN, 1)
    assert sum("check sum" in remark for remark in report.remarks) == 2


FRAME = framed(tuple_body(ONE))


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(FRAME) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_found_or_harmless(at: int, flip: int) -> None:
    """With one byte changed anywhere, nothing is proven that the module did not sign."""
    changed = bytearray(FRAME)
    changed[at] ^= flip
    try:
        report = evidence.examine(bytes(changed), GIVEN)
    except SourceError:
        return
    for finding in report.findings:
        if finding.verdict is Verdict.PROVEN:
            assert [block.content for block in finding.exhibit.blocks] == [ONE.import_block, ONE.export_block]


@settings(max_examples=80, deadline=None)
@given(export=st.booleans(), at=st.integers(0, 95), flip=st.integers(1, 255))
def test_any_changed_byte_of_a_block_breaks_its_signature(export: bool, at: int, flip: int) -> None:
    """The same said of the hashed block itself, padding included."""
    block = bytearray(ONE.export_block if export else ONE.import_block)
    signature = ONE.signature_export if export else ONE.signature_import
    block[at] ^= flip
    exhibit = evidence.read(FRAME).exhibits[0]
    tampered = replace(exhibit, blocks=(evidence.SignedBlock("block", bytes(block), signature),))
    report = evidence.judge(evidence.Contents("test", exhibits=[tampered]), GIVEN)
    assert report.verdict is Verdict.NOT_PROVEN
