"""What the bytes are, without asking what they mean: the tolerant view for logs and forensics."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import DecodeError
from .binary import _LIST, _TYPE_NAMES, _head

MAX_ELEMENTS = 100_000


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
    elements: list[Element] = []
    open_lists: list[int] = []
    offset = 0
    while offset < len(payload):
        while open_lists and not open_lists[-1]:
            open_lists.pop()
        depth = len(open_lists)
        if open_lists:
            open_lists[-1] -= 1
        if payload[offset] == 0:
            elements.append(Element(offset, depth, "end of message", 0, payload[offset : offset + 1]))
            offset += 1
            continue
        try:
            head = _head(payload, offset, "")
        except DecodeError:
            elements.append(Element(offset, depth, "malformed", len(payload) - offset, payload[offset:]))
            break
        end = head.body if head.type == _LIST else head.end
        elements.append(Element(offset, depth, _TYPE_NAMES[head.type], head.length, payload[offset:end]))
        if head.type == _LIST:
            open_lists.append(head.length)
        offset = end
    return elements
