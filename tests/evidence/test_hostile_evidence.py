"""Files made to break the verifier: bounded, refused with a sentence, never a traceback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_material import (
    KEY_P192,
    bare,
    container,
    extended,
    extended_list,
    framed,
    identity_body,
    signed,
    tuple_body,
)
from messwerk import evidence
from messwerk.errors import MesswerkError, SourceError
from messwerk.evidence import Report, Verdict, xml_files

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE values [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><values><value><signedData>&j;</signedData></value></values>"
)
OUTSIDE = '<!DOCTYPE values [<!ENTITY x SYSTEM "file:///etc/hostname">]><values>&x;</values>'


def judged(data: bytes) -> Report | None:
    """The report, or None where the file was refused with an error of ours."""
    try:
        return evidence.examine(data)
    except MesswerkError:
        return None


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, "<!DOCTYPE values><values/>"], ids=["bomb", "outside", "empty"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_document_types_are_refused(text: str, encoding: str) -> None:
    """No entity is expanded and nothing fetched, whatever encoding hides the declaration."""
    with pytest.raises(SourceError, match="document type"):
        evidence.examine(text.replace('<?xml version="1.0"?>', "").encode(encoding))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"<values>", "not well-formed"),
        (b"<values/>", "holds no <value>"),
        (b"<hello/>", "its root is <hello>"),
        (b"<a>" * 100, "nests deeper"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "not well-formed"),
        (b'<SML xmlns="urn:messwerk:sml:1"><file><message/></file></SML>', "message"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": 1}', "no evidence that is known"),
        (b'{"sml": "urn:messwerk:sml:1", "files": 5}', "files"),
        (b"1" * 5000, "neither evidence nor SML"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"1b1b1b1b 0101010", "not hex"),
        (b"\xff\xfe\x00\x00", "not well-formed"),
        (b"\x00" * 100, "neither evidence nor SML"),
        (b"\x76\x05\x00", "neither evidence nor SML"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_told(data: bytes, words: str) -> None:
    """One clear error each."""
    with pytest.raises(MesswerkError, match=words):
        evidence.examine(data)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, its elements, its values and each value have a limit that is named."""
    monkeypatch.setattr(evidence, "MAX_BYTES", 1000)
    with pytest.raises(SourceError, match="larger than"):
        evidence.examine(b"<" * 1001)
    monkeypatch.setattr(evidence, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(xml_files, "MAX_ELEMENTS", 50)
    with pytest.raises(SourceError, match="more than 50 elements"):
        evidence.examine(b"<values>" + b"<value/>" * 50 + b"</values>")
    monkeypatch.setattr(xml_files, "MAX_VALUES", 3)
    with pytest.raises(SourceError, match="more than 3"):
        evidence.examine(b"<values>" + b"<value/>" * 4 + b"</values>")
    long = b"<values><value><signedData>" + b"0" * (xml_files.MAX_SIGNED_TEXT + 1) + b"</signedData></value></values>"
    report = evidence.examine(long)
    assert report.verdict is Verdict.NOT_UNDERSTOOD
    assert "longer than 64 KiB" in report.damaged[0]


def test_nothing_but_beginnings_is_given_up() -> None:
    """A start word costs an attacker 8 bytes and us a sentence: their number is bounded."""
    with pytest.raises(SourceError, match="more than 10000 parts"):
        evidence.examine(bytes.fromhex("1b1b1b1b01010101") * 40_000)
    with pytest.raises(SourceError, match="JSON file is larger"):
        evidence.examine(b"[" + b"[]," * (6 << 20) + b"[]]")


FRAME = framed(identity_body(), tuple_body(signed()))
VALUE = container((framed(extended_list(extended())), KEY_P192.public.point, "1", "Start"))


@pytest.mark.parametrize("cut", range(8, len(FRAME), 9))
def test_a_truncated_telegram_is_never_proven(cut: int) -> None:
    """Cut anywhere: an error or a report, and no proof of what is not there."""
    report = judged(FRAME[:cut])
    assert report is None or report.verdict is not Verdict.PROVEN


@pytest.mark.parametrize("cut", range(1, len(VALUE), 23))
def test_a_truncated_container_is_refused(cut: int) -> None:
    """XML that ends too early is not well-formed."""
    with pytest.raises(MesswerkError):
        evidence.examine(VALUE[:cut])


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([b"", b"<", b"{", b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01", b"1b1b1b1b01010101", b"\x76\x02"]),
    rest=st.binary(max_size=300),
)
def test_any_bytes_are_survived(start: bytes, rest: bytes) -> None:
    """Whatever comes: a report or an error of ours."""
    report = judged(start + rest)
    assert report is None or report.verdict is not Verdict.PROVEN


@settings(max_examples=200, deadline=None)
@given(base=st.sampled_from([FRAME, VALUE, bare(identity_body(), tuple_body(signed()))]), data=st.data())
def test_any_mutation_is_survived(base: bytes, data: st.DataObject) -> None:
    """Pieces of good files put together wrongly: a report or an error of ours."""
    at = data.draw(st.integers(0, len(base)))
    size = data.draw(st.integers(0, 40))
    piece = data.draw(st.binary(max_size=20))
    judged(base[:at] + piece + base[at + size :])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["server_id", "readings", "lines", "missing", "energy_kwh", "tariff", "net_eur", "feed_in"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=5),
    )
)  # fmt: skip
def test_any_json_that_calls_itself_a_bill_is_survived(members: dict[str, object]) -> None:
    """Members of the wrong kind are named, not stumbled over."""
    assert judged(json.dumps({"format": "messwerk bill 1", **members}).encode()) is None
