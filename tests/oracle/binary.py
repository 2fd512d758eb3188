"""The binary encoding, slow and readable: the oracle of the Rust reader and writer.

Written from the same declarations, with nothing in common but them. `decode` and `encode` behave
as `messwerk.sml.decode` and `.encode` do; the words of an error may differ, its place may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from messwerk.errors import ChecksumMismatch, DecodeError, EncodeError, SmlError
from messwerk.sml.binary import SmlFile
from messwerk.sml.leniency import Deviation, Leniency
from messwerk.sml.messages import BODY_TAGS, LIST_TYPE, Message, MessageForm, OpaqueBody, Tree
from messwerk.sml.types import (
    INTEGERS,
    UNSIGNEDS,
    BooleanRule,
    ChoiceRule,
    FieldRule,
    Integer,
    IntegerRule,
    ListOfRule,
    ListRule,
    OctetsRule,
    Rule,
    StatusRule,
    Unsigned,
    ValueRule,
    fields_of,
    is_alternative,
)

MAX_TL_BYTES: Final = 4
MAX_DEPTH: Final = 16
MAX_TREE_DEPTH: Final = 32
MAX_MESSAGES: Final = 1024

_OCTETS, _BOOLEAN, _INTEGER, _UNSIGNED, _LIST = 0, 4, 5, 6, 7
_WALK_DEPTH: Final = MAX_DEPTH + 2 * MAX_TREE_DEPTH
"""A tree costs two lists a level: its own and its child list."""
_TYPE_NAMES: Final = {0: "octet string", 4: "boolean", 5: "integer", 6: "unsigned", 7: "list"}


def decode(payload: bytes, *, strict: bool = False) -> SmlFile:
    """Twin of `messwerk.sml.decode`."""
    return _FileReader(bytes(payload), strict).read()


def encode(messages: Iterable[Message], *, minimal: bool = False) -> bytes:
    """Twin of `messwerk.sml.encode`."""
    return b"".join(_Writer(minimal).message(message) for message in messages)


# --- CRC -----------------------------------------------------------------------------------


def register(data: bytes, register: int) -> int:
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return register


def wire_x25(data: bytes) -> int:
    """CRC-16/X-25 as the Unsigned16 the wire carries: low byte first."""
    return int.from_bytes((register(data, 0xFFFF) ^ 0xFFFF).to_bytes(2, "little"), "big")


def swapped(word: int) -> int:
    return word >> 8 | (word & 0xFF) << 8


def wire_kermit(data: bytes) -> int:
    """CRC-16/Kermit as the Unsigned16 the wire carries: high byte first."""
    return register(data, 0)


# --- the walk ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Head:
    """One TL field: `length` counts value bytes, for a list its elements."""

    type: int
    length: int
    start: int
    body: int

    @property
    def end(self) -> int:
        return self.body + self.length


def _head(data: bytes, offset: int, path: str) -> _Head:
    def wrong(expected: str, found: str) -> DecodeError:
        return DecodeError(offset=offset, path=path, expected=expected, found=found)

    if offset >= len(data):
        raise wrong("an element", "the end of the data")
    first = data[offset]
    kind, length, at = first >> 4 & 7, first & 15, offset + 1
    if kind not in _TYPE_NAMES:
        raise wrong("a TL byte of a known type", f"{first:02x}")
    more = first & 0x80
    if more and kind == _BOOLEAN:
        raise wrong("a boolean of one TL byte", f"{first:02x}")
    while more:
        if at - offset == MAX_TL_BYTES:
            raise wrong(f"at most {MAX_TL_BYTES} TL bytes", "more")
        if at >= len(data):
            raise wrong("another TL byte", "the end of the data")
        byte = data[at]
        if byte & 0x70:
            raise wrong("a TL continuation byte", f"{byte:02x}")
        more, length, at = byte & 0x80, length << 4 | byte & 15, at + 1
    if kind == _LIST:
        if length > len(data) - at:
            raise wrong("a list that fits the data", f"{length} elements in {len(data) - at} bytes")
        return _Head(kind, length, offset, at)
    length -= at - offset
    if length < 0:
        raise wrong("a length that covers its own TL bytes", data[offset:at].hex())
    if length > len(data) - at:
        raise wrong("an element that fits the data", f"{length} bytes where {len(data) - at} are left")
    if kind == _BOOLEAN and length != 1:
        raise wrong("a boolean of one byte", f"{length} bytes")
    if kind in (_INTEGER, _UNSIGNED) and not 1 <= length <= 8:
        raise wrong("an integer of 1 to 8 bytes", f"{length} bytes")
    return _Head(kind, length, offset, at)


def _skip(data: bytes, offset: int, path: str, deepest: int) -> int:
    """The offset behind one element. Raises DecodeError where the TL bytes make no sense."""
    pending = [1]
    while pending:
        if not pending[-1]:
            pending.pop()
            continue
        pending[-1] -= 1
        head = _head(data, offset, path)
        if head.type != _LIST:
            offset = head.end
            continue
        if len(pending) > deepest:
            raise DecodeError(offset=offset, path=path, expected=f"at most {deepest} nested lists", found="more")
        pending.append(head.length)
        offset = head.body
    return offset


# --- reading -------------------------------------------------------------------------------


class _FileReader:
    def __init__(self, data: bytes, strict: bool) -> None:
        self.data = data
        self.strict = strict
        self.deviations: list[Deviation] = []
        self.dropped: list[SmlError] = []
        self.trees = 0

    def read(self) -> SmlFile:
        messages: list[Message] = []
        offset = count = 0
        while offset < len(self.data):
            if self.data[offset] == 0:
                zeros = len(self.data) - offset - len(self.data[offset:].lstrip(b"\0"))
                self.tolerate(Leniency.EXTRA_ZEROS, offset, "", f"{zeros} zero bytes")
                offset += zeros
                continue
            kept = len(self.deviations)
            try:
                if count == MAX_MESSAGES:
                    raise DecodeError(offset=offset, path="", expected=f"at most {MAX_MESSAGES} messages", found="more")
                marks = self.envelope(offset)
            except DecodeError as error:
                self.drop(error)
                break
            count += 1
            try:
                messages.append(self.message(marks))
            except SmlError as error:
                del self.deviations[kept:]
                self.drop(error)
            offset = marks[-1] + 1
        if not messages:
            raise (
                self.dropped[0]
                if self.dropped
                else DecodeError(offset=0, path="", expected="a message", found="the end of the data")
            )
        return SmlFile(tuple(messages), tuple(self.deviations), tuple(self.dropped))

    def drop(self, error: SmlError) -> None:
        if self.strict:
            raise error
        self.dropped.append(error)

    def tolerate(self, leniency: Leniency, offset: int, path: str, detail: str) -> None:
        if self.strict:
            raise DecodeError(offset=offset, path=path, expected="the specified form", found=leniency.what)
        self.deviations.append(Deviation(leniency, offset, path, detail))

    def envelope(self, offset: int) -> list[int]:
        """Offsets of the message and of its six elements."""
        head = _head(self.data, offset, "Message")
        if (head.type, head.length) != (_LIST, 6):
            raise DecodeError(offset=offset, path="Message", expected="a list of 6", found=self.found(offset))
        marks = [offset, head.body]
        for _ in range(5):
            marks.append(_skip(self.data, marks[-1], "Message", _WALK_DEPTH - 1))
        if self.data[marks[-1] : marks[-1] + 1] != b"\0":
            raise DecodeError(offset=marks[-1], path="Message", expected="the end mark 00", found=self.found(marks[-1]))
        return marks

    def message(self, marks: list[int]) -> Message:
        start, at_id, at_group, at_abort, at_body, at_crc, _ = marks
        crc_width, kermit = self.checksum(start, at_crc)
        transaction_id, _ = self.value(OctetsRule(), at_id, "Message.transaction_id")
        group_no, _ = self.value(IntegerRule(False, 1), at_group, "Message.group_no")
        abort_on_error, _ = self.value(IntegerRule(False, 1), at_abort, "Message.abort_on_error")
        head = self.list_head(at_body, "Message.body", 2)
        tag_head = self.integer_head(head.body, "Message.body", _UNSIGNED, 4)
        tag = int.from_bytes(self.data[tag_head.body : tag_head.end], "big")
        form = MessageForm(tag_width=tag_head.length, crc_width=crc_width, kermit=kermit)
        body: Any
        if tag in BODY_TAGS:
            cls = BODY_TAGS[tag]
            body, _ = self.value(ListRule(cls), tag_head.end, cls.__name__)
        else:
            _skip(self.data, tag_head.end, "OpaqueBody", MAX_DEPTH)
            body = OpaqueBody(tag, self.data[tag_head.end : at_crc])
        return Message(
            transaction_id=transaction_id, group_no=group_no, abort_on_error=abort_on_error, body=body, form=form
        )

    def checksum(self, start: int, at_crc: int) -> tuple[int, bool]:
        head = self.integer_head(at_crc, "Message.crc16", _UNSIGNED, 2)
        found = int.from_bytes(self.data[head.body : head.end], "big")
        covered = self.data[start:at_crc]
        expected = wire_x25(covered)
        kermit = found != expected and found == wire_kermit(covered) and not self.strict
        if found != expected and not kermit:
            raise ChecksumMismatch(what="message", offset=start, expected=swapped(expected), found=swapped(found))
        if kermit:
            self.tolerate(Leniency.KERMIT_MESSAGE, at_crc, "Message.crc16", self.data[at_crc : head.end].hex(" "))
        if head.length == 1:
            self.tolerate(Leniency.SHORT_CRC, at_crc, "Message.crc16", self.data[at_crc : head.end].hex(" "))
        return head.length, kermit

    def found(self, offset: int) -> str:
        if offset >= len(self.data):
            return "the end of the data"
        try:
            head = _head(self.data, offset, "")
        except DecodeError as error:
            return error.found
        if head.type == _LIST:
            return f"a list of {head.length}"
        return f"{_TYPE_NAMES[head.type]} of {head.length} bytes ({self.data[offset : head.end][:12].hex(' ')})"

    def wrong(self, offset: int, path: str, expected: str) -> DecodeError:
        return DecodeError(offset=offset, path=path, expected=expected, found=self.found(offset))

    def list_head(self, offset: int, path: str, length: int) -> _Head:
        head = _head(self.data, offset, path)
        if (head.type, head.length) != (_LIST, length):
            raise self.wrong(offset, path, f"a list of {length}")
        return head

    def integer_head(self, offset: int, path: str, kind: int, width: int) -> _Head:
        head = _head(self.data, offset, path)
        if head.type != kind or head.length > width:
            raise self.wrong(offset, path, f"{_TYPE_NAMES[kind]} of at most {width} bytes")
        return head

    def field(self, entry: FieldRule, offset: int, path: str) -> tuple[Any, int]:
        if self.data[offset] == 0x01:
            if entry.optional:
                return None, offset + 1
            if entry.lenient_missing:
                self.tolerate(Leniency.MISSING_VALUE, offset, path, "01")
                return None, offset + 1
        return self.value(entry.rule, offset, path)

    def value(self, rule: Rule, offset: int, path: str) -> tuple[Any, int]:
        """One element read by its rule, and the offset behind it."""
        match rule:
            case OctetsRule():
                head = _head(self.data, offset, path)
                if head.type != _OCTETS:
                    raise self.wrong(offset, path, "octet string")
                return self.data[head.body : head.end], head.end
            case BooleanRule():
                head = _head(self.data, offset, path)
                if head.type != _BOOLEAN:
                    raise self.wrong(offset, path, "boolean")
                return self.data[head.body] != 0, head.end
            case IntegerRule(signed, width):
                head = self.integer_head(offset, path, _INTEGER if signed else _UNSIGNED, width)
                return self.integer(head, plain_width=width), head.end
            case StatusRule():
                head = self.integer_head(offset, path, _UNSIGNED, 8)
                return self.integer(head), head.end
            case ValueRule(lists):
                return self.implicit(lists, offset, path)
            case ListRule(cls):
                return self.list(cls, offset, path)
            case ListOfRule(item):
                head = _head(self.data, offset, path)
                if head.type != _LIST:
                    raise self.wrong(offset, path, "a list")
                items, offset = [], head.body
                for index in range(head.length):
                    value, offset = self.value(item, offset, f"{path}[{index}]")
                    items.append(value)
                return tuple(items), offset
            case ChoiceRule():
                return self.choice(rule, offset, path)

    def integer(self, head: _Head, plain_width: int = 0) -> int:
        raw = self.data[head.body : head.end]
        if head.type == _INTEGER:
            number = int.from_bytes(raw, "big", signed=True)
            return number if head.length == plain_width else INTEGERS[head.length - 1](number)
        number = int.from_bytes(raw, "big")
        return number if head.length == plain_width else UNSIGNEDS[head.length - 1](number)

    def implicit(self, lists: bool, offset: int, path: str) -> tuple[Any, int]:
        head = _head(self.data, offset, path)
        if head.type == _LIST:
            if not lists:
                raise self.wrong(offset, path, "a simple value")
            return self.choice(LIST_TYPE, offset, path)
        if head.type == _OCTETS:
            return self.data[head.body : head.end], head.end
        if head.type == _BOOLEAN:
            return self.data[head.body] != 0, head.end
        return self.integer(head), head.end

    def list(self, cls: type, offset: int, path: str) -> tuple[Any, int]:
        if cls is Tree:
            self.trees += 1
            if self.trees > MAX_TREE_DEPTH:
                self.trees = 0
                raise self.wrong(offset, path, f"at most {MAX_TREE_DEPTH} nested trees")
        rules = fields_of(cls)
        offset = self.list_head(offset, path, len(rules)).body
        values = {}
        for entry in rules:
            values[entry.name], offset = self.field(entry, offset, f"{path}.{entry.name}")
        self.trees -= cls is Tree
        return cls(**values), offset

    def choice(self, rule: ChoiceRule, offset: int, path: str) -> tuple[Any, int]:
        head = _head(self.data, offset, path)
        if rule.bare_u32 is not None and head.type == _UNSIGNED and head.length <= 4:
            self.tolerate(Leniency.BARE_TIME, offset, path, self.data[offset : head.end].hex(" "))
            return rule.bare_u32(self.integer(head, plain_width=4)), head.end
        if (head.type, head.length) != (_LIST, 2):
            raise self.wrong(offset, path, "a choice (a list of 2)")
        tag_head = self.integer_head(head.body, path, _UNSIGNED, 1)
        tag = self.data[tag_head.body]
        cls = dict(rule.alternatives).get(tag)
        if cls is None:
            known = ", ".join(f"{known:02x}" for known, _ in rule.alternatives)
            raise self.wrong(head.body, path, f"a choice tag of {known}")
        if is_alternative(cls):
            inner, offset = self.value(fields_of(cls)[0].rule, tag_head.end, path)
            return cls(inner), offset
        return self.list(cls, tag_head.end, path)


# --- writing -------------------------------------------------------------------------------


def _octets_tl(length: int) -> bytes:
    """TL bytes of an octet string: the length counts them too."""
    for count in range(1, MAX_TL_BYTES + 1):
        if length + count < 16**count:
            return _tl(_OCTETS, length + count, count)
    raise ValueError(length)


def _list_tl(length: int) -> bytes:
    for count in range(1, MAX_TL_BYTES + 1):
        if length < 16**count:
            return _tl(_LIST, length, count)
    raise ValueError(length)


def _tl(kind: int, length: int, count: int) -> bytes:
    nibbles = [length >> 4 * (count - 1 - index) & 15 for index in range(count)]
    nibbles[0] |= kind << 4
    return bytes(nibble | (0x80 if index < count - 1 else 0) for index, nibble in enumerate(nibbles))


def _fewest_bytes(value: int, signed: bool) -> int:
    bits = (value if value >= 0 else ~value).bit_length() + signed
    return max(1, (bits + 7) // 8)


class _Writer:
    def __init__(self, minimal: bool) -> None:
        self.minimal = minimal
        self.trees = 0

    def message(self, message: Message) -> bytes:
        body, form = message.body, message.form
        tags = {cls: tag for tag, cls in BODY_TAGS.items()}
        if isinstance(body, OpaqueBody):
            tag, content = body.tag, body.content
            try:
                whole = _skip(content, 0, "OpaqueBody", MAX_DEPTH) == len(content)
            except DecodeError as error:
                raise EncodeError(path="OpaqueBody.content", expected=error.expected, found=error.found) from None
            if not whole or not 0 <= tag < 1 << 32:
                raise EncodeError(path="OpaqueBody", expected="a 32-bit tag and exactly one element", found=repr(body))
        elif type(body) in tags:
            tag = tags[type(body)]
            content = self.list(body, type(body).__name__)
        else:
            raise EncodeError(path="Message.body", expected="a message body", found=type(body).__name__)
        tag_width = max(form.tag_width, _fewest_bytes(tag, False))
        wire = (
            b"\x76"
            + self.value(OctetsRule(), message.transaction_id, "Message.transaction_id")
            + self.value(IntegerRule(False, 1), message.group_no, "Message.group_no")
            + self.value(IntegerRule(False, 1), message.abort_on_error, "Message.abort_on_error")
            + b"\x72"
            + self.integer(tag, tag_width, False)
            + content
        )
        crc = wire_kermit(wire) if form.kermit else wire_x25(wire)
        crc_width = max(form.crc_width, _fewest_bytes(crc, False))
        return wire + self.integer(crc, crc_width, False) + b"\0"

    def integer(self, value: int, width: int, signed: bool) -> bytes:
        return bytes([(_INTEGER if signed else _UNSIGNED) << 4 | width + 1]) + int(value).to_bytes(
            width, "big", signed=signed
        )

    def value(self, rule: Rule, value: Any, path: str) -> bytes:
        """One element written by its rule."""

        def wrong(expected: str) -> EncodeError:
            return EncodeError(path=path, expected=expected, found=repr(value))

        match rule:
            case OctetsRule():
                if not isinstance(value, bytes):
                    raise wrong("bytes")
                if len(value) > 0xFFFF - MAX_TL_BYTES:
                    raise EncodeError(path=path, expected="at most 65531 bytes", found=f"{len(value)} bytes")
                return _octets_tl(len(value)) + value
            case BooleanRule():
                if not isinstance(value, bool):
                    raise wrong("a bool")
                return b"\x42\x01" if value else b"\x42\x00"
            case IntegerRule(signed, width):
                return self.sized(value, signed, width, wrong)
            case StatusRule():
                if not isinstance(value, Unsigned):
                    raise wrong("a sized unsigned, as Unsigned32(…)")
                return self.integer(value, value.width, False)
            case ValueRule(lists):
                match value:
                    case bool():
                        return self.value(BooleanRule(), value, path)
                    case bytes():
                        return self.value(OctetsRule(), value, path)
                    case Integer() | Unsigned():
                        return self.integer(value, value.width, isinstance(value, Integer))
                if lists and type(value) in (cls for _, cls in LIST_TYPE.alternatives):
                    return self.value(LIST_TYPE, value, path)
                raise wrong("a bool, bytes, a sized integer or a list type")
            case ListRule(cls):
                if type(value) is not cls:
                    raise wrong(cls.__name__)
                return self.list(value, path)
            case ListOfRule(item):
                if not isinstance(value, tuple):
                    raise wrong("a tuple")
                if len(value) > 0xFFFF:
                    raise EncodeError(path=path, expected="at most 65535 elements", found=f"{len(value)} elements")
                return _list_tl(len(value)) + b"".join(
                    self.value(item, element, f"{path}[{index}]") for index, element in enumerate(value)
                )
            case ChoiceRule(alternatives, bare):
                if bare is not None and type(value) is bare:
                    return self.value(fields_of(bare)[0].rule, value.value, path)
                tags = {cls: tag for tag, cls in alternatives}
                if type(value) not in tags:
                    raise wrong(" or ".join(cls.__name__ for cls in tags))
                head = b"\x72\x62" + bytes([tags[type(value)]])
                if is_alternative(type(value)):
                    return head + self.value(fields_of(type(value))[0].rule, value.value, path)
                return head + self.list(value, path)

    def sized(self, value: Any, signed: bool, width: int, wrong: Callable[[str], EncodeError]) -> bytes:
        expected = f"{'integer' if signed else 'unsigned'} of at most {width} bytes"
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong(expected)
        if isinstance(value, (Integer, Unsigned)):
            if isinstance(value, Integer) != signed or value.width > width:
                raise wrong(expected)
            return self.integer(value, value.width, signed)
        lowest = -(1 << 8 * width - 1) if signed else 0
        if not lowest <= value < lowest + (1 << 8 * width):
            raise wrong(expected)
        return self.integer(value, _fewest_bytes(value, signed) if self.minimal else width, signed)

    def list(self, value: Any, path: str) -> bytes:
        rules = fields_of(type(value))
        if isinstance(value, Tree):
            self.trees += 1
            if self.trees > MAX_TREE_DEPTH:
                raise EncodeError(path=path, expected=f"at most {MAX_TREE_DEPTH} nested trees", found="more")
        wire = [_list_tl(len(rules))]
        for entry in rules:
            element = getattr(value, entry.name)
            if element is None and (entry.optional or entry.lenient_missing):
                wire.append(b"\x01")
            else:
                wire.append(self.value(entry.rule, element, f"{path}.{entry.name}"))
        self.trees -= isinstance(value, Tree)
        return b"".join(wire)
