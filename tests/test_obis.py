"""OBIS codes: text and bytes, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.errors import InvalidIdentifier
from messwerk.obis import OBIS_NAMES, ObisCode, obis_text

SPELLINGS = [
    ("1-0:1.8.0*255", "0100010800ff"),
    ("1-0:1.8.0", "0100010800ff"),
    ("1.8.0", "0100010800ff"),
    ("16.7", "0100100700ff"),
    ("129-129:199.132.4*255", "8181c78404ff"),
    ("0-0:96.8.0*255", "0000600800ff"),
    ("01 00 63 01 00 FF", "0100630100ff"),
    ("01:00:63:01:00:ff", "0100630100ff"),
    ("  2.8.1 ", "0100020801ff"),
]


@pytest.mark.parametrize(("text", "wire"), SPELLINGS)
def test_every_customary_spelling_names_the_same_six_bytes(text: str, wire: str) -> None:
    """Users type short forms, makers print hex: all of them reach the bytes of the wire."""
    assert ObisCode.parse(text) == bytes.fromhex(wire)


@pytest.mark.parametrize("text", ["", "1", "1-0:1.8.0*256", "1-0:1.8.0*255x", "0100", "ff ff", "a.b.c", "1-0-1.8.0"])
def test_anything_else_is_refused_with_a_name_for_the_right_form(text: str) -> None:
    """A typo must not become another quantity."""
    with pytest.raises(InvalidIdentifier):
        ObisCode.parse(text)


@pytest.mark.parametrize("octets", [b"", b"\x01", bytes(5), bytes(7)])
def test_a_code_has_exactly_six_bytes(octets: bytes) -> None:
    """A truncated name from the wire is not silently padded."""
    with pytest.raises(InvalidIdentifier, match="6 bytes"):
        ObisCode(octets)


@settings(deadline=None)
@given(st.binary(min_size=6, max_size=6))
def test_printing_and_reading_are_inverse(octets: bytes) -> None:
    """What we print can be typed back: str, hex and bytes agree for every code."""
    code = ObisCode(octets)
    assert ObisCode.parse(str(code)) == code
    assert ObisCode.parse(octets.hex(" ")) == code
    assert code == octets
    assert hash(code) == hash(octets)


def test_names_are_found_by_code_and_for_any_storage_group() -> None:
    """A code of our table has its English name, F other than 255 falls back, the unknown stays unknown."""
    assert ObisCode.parse("1.8.0").name == "active energy +A"
    assert ObisCode.parse("1-0:1.8.0*3").name == "active energy +A"
    assert ObisCode.parse("9-9:9.9.9*9").name is None
    assert all(len(code) == 6 for code in OBIS_NAMES)


def test_object_names_of_other_lengths_print_as_hex() -> None:
    """LMN names have nine bytes; they must print too."""
    assert obis_text(bytes.fromhex("0100010800ff")) == "1-0:1.8.0*255"
    assert obis_text(bytes.fromhex("0701")) == "0701"
