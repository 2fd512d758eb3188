"""What the bytes are, without asking what they mean: the tolerant view for logs and forensics."""

from __future__ import annotations

from dataclasses import dataclass

from .. import _core


@dataclass(frozen=True, slots=True)
class Element:
    """One TL field as it stands in the bytes."""

    offset: int
    depth: int
    """Lists around it."""
    type: str
    """`octet string`, `boolean`, `integer`, `unsigned`, `list`, `end of message` or `malformed`."""
    length: int
    """Value bytes; for a list its elements."""
    wire: bytes
    """TL and value; for a list its TL alone; for `malformed` the rest of the data."""

    @property
    def hex(self) -> str:
        """`wire` in hex digits, a blank between bytes."""
        return self.wire.hex(" ")

    def __str__(self) -> str:
        return f"{self.offset:5} {'  ' * self.depth}{self.type} {self.length}: {self.hex}"


def outline(payload: bytes) -> list[Element]:
    """Every element of an SML file in order; never raises.

    Where the bytes stop making sense the rest is one element of type `malformed`.
    """
    return [
        Element(offset, depth, kind, length, payload[offset:end])
        for offset, depth, kind, length, end in _core.outline(payload)
    ]
