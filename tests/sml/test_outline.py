"""The tolerant view: every byte is in it, whatever the bytes are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from messwerk import sml


@given(st.binary(max_size=200))
def test_an_outline_never_raises_and_covers_every_byte(data: bytes) -> None:
    """Forensics must work on any bytes, and must not lose one."""
    elements = sml.outline(data)
    assert b"".join(element.wire for element in elements) == data
    assert [element.offset for element in elements] == sorted({element.offset for element in elements})


def test_an_outline_shows_depth_type_and_length() -> None:
    """A close message, element by element."""
    close = sml.encode([sml.Message(transaction_id=b"\x01\x02", body=sml.PublicCloseResponse())])
    found = [(element.depth, element.type, element.length) for element in sml.outline(close)]
    assert found == [
        (0, "list", 6), (1, "octet string", 2), (1, "unsigned", 1), (1, "unsigned", 1), (1, "list", 2),
        (2, "unsigned", 2), (2, "list", 1), (3, "octet string", 0), (1, "unsigned", 2), (1, "end of message", 0),
    ]  # fmt: skip
    assert sml.outline(close)[1].hex == "03 01 02"
    assert str(sml.outline(close)[1]) == "    1   octet string 2: 03 01 02"
