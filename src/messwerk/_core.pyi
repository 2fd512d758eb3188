"""Typed face of the Rust extension: loops over bytes and columns, never policy.

Everything here is private to the packages that use it; people call `messwerk.sml`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .sml.messages import Message, MessageForm

LARGEST_MAX_FRAME: int
MAX_DEPTH: int
MAX_MESSAGES: int
MAX_TREE_DEPTH: int

def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25; `b"123456789"` gives 0x906E."""

def crc16_kermit(data: bytes) -> int:
    """CRC-16/Kermit; `b"123456789"` gives 0x2189."""

class Plan:
    """The declared types, compiled from `messwerk.sml.binary.plan_text()`."""

    def __new__(
        cls,
        text: str,
        classes: Sequence[type],
        message: type,
        opaque: type,
        forms: Sequence[MessageForm],
        integers: Sequence[type[int]],
        unsigneds: Sequence[type[int]],
        encode_error: Callable[[str, str, object], Exception],
    ) -> Plan: ...

def decode(
    plan: Plan, payload: bytes, strict: bool
) -> tuple[
    tuple[Message, ...],
    list[tuple[str, int, int, str]],
    list[tuple[int, str, str | int, str | int]],
]:
    """Messages; deviations (leniency, offset, end, path); dropped (offset, path, expected, found)."""

def encode(plan: Plan, messages: Iterable[Message], minimal: bool) -> bytes: ...
def outline(payload: bytes) -> list[tuple[int, int, str, int, int]]:
    """(offset, depth, type, length, end) of every element."""

def encode_with_places(plan: Plan, messages: Iterable[Message]) -> tuple[bytes, list[tuple[int, str, int, int, int]]]:
    """An SML file and (message, path, offset, width, kind) of its values."""

class Template:
    """Telegrams of one form; kinds of fields are 0 signed, 1 unsigned, 2 octets."""

    def __new__(cls, file: bytes, fields: Sequence[tuple[int, int, int]]) -> Template: ...
    def encode(self, rows: int, values: Sequence[object]) -> tuple[Array, Array]: ...

class Array:
    """Read-only memory of one column, for `numpy.frombuffer`."""

    def __buffer__(self, flags: int, /) -> memoryview: ...

def columns(
    plan: Plan, data: bytes, max_frame: int, strict: bool, forms: bool
) -> tuple[dict[str, Any], list[tuple[bytes, int, Array, Array, Array]]]:
    """Counters and arrays by name; (code, unit, value, scaler, valid) of every column."""

def frame(payload: bytes) -> bytes: ...

class FrameDecoder:
    """Frames as (payload, raw, offset, fill, kermit), rejections as
    (offset, size, at, expected, found)."""

    def __new__(cls, max_frame: int, strict: bool) -> FrameDecoder: ...
    @property
    def telegrams(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def bytes_skipped(self) -> int: ...
    def receive(self, data: bytes) -> list[tuple[object, ...]]: ...
    def close(self) -> list[tuple[object, ...]]: ...
