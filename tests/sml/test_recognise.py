"""Telling a person what their bytes are when they are not SML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk import sml
from messwerk.sml.recognise import recognise

MODE_D = b"/ESY5Q3DA1004 V3.03\r\n\r\n1-0:0.0.0*255(0273011003684)\r\n1-0:1.8.0*255(00026107.7034231*kWh)\r\n!\r\n"


def with_even_parity(text: bytes) -> bytes:
    """What a port set to 8N1 receives of a 7E1 transmission."""
    return bytes(byte | (byte.bit_count() % 2) << 7 for byte in text)


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (MODE_D, "IEC 62056-21"),
        (with_even_parity(MODE_D), "IEC 62056-21"),
        (MODE_D[24:], "IEC 62056-21"),
        (b"1b1b1b1b01010101760501", "SML in hex digits"),
        (b"0000 1B 1B 1B 1B 01 01 01 01 76", "SML in hex digits"),
        (b'<?xml version="1.0"?><sml/>', "XML"),
        (b"HTTP/1.1 200 OK\r\n", "HTTP"),
        (b"<!DOCTYPE html><p>", "HTTP"),
        (bytes.fromhex("7605032b181162006200726302017101 63fa3600"), "an SML file without transport frame"),
        (bytes.fromhex("7ea030 0223 21 13 6fe5 e6e700 0f 7e"), "HDLC"),
        (bytes.fromhex("68 0f 0f 68 08 01 72"), "M-Bus"),
        ("a note – in UTF-8\n".encode(), "text"),
        ("cut in the middle of a character –".encode()[:-1], "text"),
    ],
)
def test_what_is_found_at_meters(data: bytes, protocol: str) -> None:
    """Each protocol that shares ports and files with SML is named, with a remedy."""
    found = recognise(data)
    assert found is not None
    assert found[0] == protocol
    assert len(found[1]) > 10


@pytest.mark.parametrize("data", [b"", bytes(100), bytes(range(256)), b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76"])
def test_the_unknown_stays_unknown(data: bytes) -> None:
    """Noise, and SML itself, are not given a wrong name."""
    assert recognise(data) is None


@given(st.binary(max_size=200))
def test_it_never_fails(data: bytes) -> None:
    """Recognition is asked about hostile bytes and always answers."""
    recognise(data)


def test_a_telegram_is_not_taken_for_something_else() -> None:
    """A real frame is none of the foreign protocols."""
    close = sml.Message(transaction_id=b"\x01", body=sml.PublicCloseResponse())
    assert recognise(sml.frame(sml.encode([close]))) is None
