"""An SML file element by element, each with its offset, its name and what it means.

The tolerant view with labels: the bytes are walked as `outline` walks them, and the declared
tables say what each place is called. It never raises; where bytes and tables part, the rest of
that list goes unnamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from .. import _core
from ..identity import ServerId
from ..obis import ObisCode
from ..units import unit_symbol
from .attention import attention_text
from .messages import BODY_TAGS, COSEM_TAGS, LIST_TYPE
from .names import ALTERNATIVE_NAMES, BODY_NAMES
from .outline import Element, outline
from .reading import decimal_text, octets_text
from .status import status_flags
from .transport import Frame
from .types import (
    ChoiceRule,
    FieldRule,
    IntegerRule,
    ListOfRule,
    ListRule,
    OctetsRule,
    Rule,
    StatusRule,
    ValueRule,
    fields_of,
    is_alternative,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One element with its place in the message."""

    element: Element
    name: str
    """Name in the specification, `[2]` for the third of a list, empty where it is unknown."""
    path: str
    """Names from the body down, with the Python names of the declarations as errors use them:
    `GetListResponse.val_list[2].unit`."""
    meaning: str
    """What it says, for people; empty for lists and what speaks for itself."""


def listing(payload: bytes) -> list[Line]:
    """Every element of an SML file (a frame's payload) in order, named and explained."""
    return list(_Namer(payload).lines())


def offset_in_stream(frame: Frame, payload_offset: int) -> int:
    """Where a payload byte stands in the stream: the start word and doubled escapes lie before it."""
    doubled = frame.payload.count(_ESCAPE, 0, payload_offset)
    return frame.offset + 2 * len(_ESCAPE) + payload_offset + doubled * len(_ESCAPE)


_ESCAPE: Final = b"\x1b\x1b\x1b\x1b"
_ENVELOPE: Final = (
    FieldRule("transaction_id", "transactionId", OctetsRule(), False),
    FieldRule("group_no", "groupNo", IntegerRule(False, 1), False),
    FieldRule("abort_on_error", "abortOnError", IntegerRule(False, 1), False),
)
_CODES: Final = ("objName", "parameterName", "listName", "attribute")
_LISTS_OF_CODES: Final = (".parameter_tree_path[", ".object_list[")
"""Where octets are OBIS codes: fields by name, and items of lists by their path."""
_ABORT: Final = {0: "continue", 1: "skip to the next group", 2: "finish the group, then stop", 255: "stop at once"}


@dataclass(slots=True)
class _Label:
    """What the next element of a list is called and may hold."""

    name: str = ""
    path: str = ""
    rule: Rule | None = None


@dataclass(slots=True)
class _Open:
    """A list whose elements are still coming."""

    labels: Iterator[_Label]
    remaining: int
    start: int
    chosen: list[int] = field(default_factory=list)
    """The tag of a choice once it has been read; the labels look into it."""
    siblings: dict[str, int] = field(default_factory=dict)
    """Integers of this list by name, so that a value finds its unit and scaler."""


class _Namer:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._open: list[_Open] = []

    def lines(self) -> Iterator[Line]:
        for element in outline(self._payload):
            while self._open and not self._open[-1].remaining:
                self._open.pop()
            if self._open:
                self._open[-1].remaining -= 1
                label = next(self._open[-1].labels, _Label())
            elif element.type == "end of message":
                label = _Label("fill")
            else:
                label = _Label("message", "Message")
            yield Line(element, label.name, label.path, self._meaning(label, element))
            if element.type == "list":
                self._open.append(self._enter(label, element))
            elif self._open and element.type in ("integer", "unsigned"):
                self._open[-1].siblings[label.name] = _number(element)

    def _enter(self, label: _Label, element: Element) -> _Open:
        inside = _Open(iter(()), element.length, element.offset)
        rule = label.rule
        if label.name == "message" and not self._open:
            inside.labels = _envelope_labels()
        elif label.name == "messageBody":
            inside.labels = _body_labels(inside.chosen)
        elif isinstance(rule, ListRule):
            inside.labels = _field_labels(fields_of(rule.cls), label.path)
        elif isinstance(rule, ListOfRule):
            inside.labels = _item_labels(rule.item, label)
        elif isinstance(rule, ChoiceRule):
            inside.labels = _choice_labels(rule, label, inside.chosen)
        elif isinstance(rule, ValueRule) and rule.lists:
            inside.labels = _choice_labels(LIST_TYPE, label, inside.chosen)
        return inside

    def _meaning(self, label: _Label, element: Element) -> str:
        match element.type:
            case "list" | "malformed":
                return "" if element.type == "list" else "the bytes make no sense from here on"
            case "end of message":
                return ""
            case "boolean":
                return "true" if element.wire[-1] else "false"
            case "octet string":
                return _octets_meaning(label, element)
        return self._number_meaning(label, _number(element), element)

    def _number_meaning(self, label: _Label, number: int, element: Element) -> str:
        if self._open and label.name in ("choice", "tag"):
            self._open[-1].chosen.append(number)
        match label.name:
            case "tag":
                return BODY_NAMES[BODY_TAGS[number]] if number in BODY_TAGS else COSEM_TAGS.get(number, "unknown body")
            case "crc16":
                return self._crc_meaning(element, number)
            case "abortOnError":
                return _ABORT.get(number, f"{number}: not defined")
            case "choice":
                return str(number)
            case "secIndex" | "bareSecIndex":
                return f"second {number:,}"
            case "timestamp":
                return f"{datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M:%S} UTC" if number < 1 << 32 else ""
            case "localOffset" | "seasonTimeOffset":
                return f"{number} min"
        if label.name.startswith("unit"):
            return unit_symbol(number) or ("no unit" if number == 0 else f"{number}: not assigned")
        if label.name.startswith("scaler"):
            return f"x 10^{number}"
        if isinstance(label.rule, StatusRule):
            return _status_meaning(number)
        if isinstance(label.rule, ChoiceRule) and label.rule.bare_u32 is not None:
            return f"second {number:,}, without the choice around it"
        if label.name.startswith("value") and self._open:
            return self._quantity(label.name.removeprefix("value"), number)
        return str(number)

    def _quantity(self, suffix: str, number: int) -> str:
        siblings = self._open[-1].siblings
        unit = unit_symbol(siblings.get(f"unit{suffix}"))
        return f"{decimal_text(number, siblings.get(f'scaler{suffix}', 0))} {unit or ''}".rstrip()

    def _crc_meaning(self, element: Element, found: int) -> str:
        start = self._open[-1].start if self._open else 0
        right = int.from_bytes(_core.crc16_x25(self._payload[start : element.offset]).to_bytes(2, "little"), "big")
        return "right" if found == right else f"{found:04x}, but X-25 gives {right:04x}"


def _number(element: Element) -> int:
    return int.from_bytes(element.wire[-element.length :], "big", signed=element.type == "integer")


def _octets_meaning(label: _Label, element: Element) -> str:
    octets = element.wire[len(element.wire) - element.length :]
    if not octets:
        return "not set"
    if label.name == "serverId":
        return str(ServerId(octets)) if len(octets) <= 32 else ""
    if label.name == "attentionNo":
        return attention_text(octets)
    if len(octets) == 6 and (label.name in _CODES or any(name in label.path for name in _LISTS_OF_CODES)):
        code = ObisCode(octets)
        return f"{code} {code.name or ''}".rstrip()
    if label.name == "value" and len(octets) == 10 and (device_id := ServerId(octets).device_id) is not None:
        return str(device_id)
    text = octets_text(octets)
    return text if text != octets.hex() else ""


def _status_meaning(word: int) -> str:
    flags = status_flags(word)
    names = [] if flags is None else [flag.name.lower().replace("_", " ") for flag in flags if flag.name]
    return " ".join([f"{word:#x}", *([f"({', '.join(names)})"] if names else [])])


def _envelope_labels() -> Iterator[_Label]:
    for entry in _ENVELOPE:
        yield _Label(entry.asn1_name, f"Message.{entry.name}", entry.rule)
    yield _Label("messageBody", "Message.body")
    yield _Label("crc16", "Message.crc16")
    yield _Label("endOfSmlMsg", "Message.end")


def _body_labels(chosen: list[int]) -> Iterator[_Label]:
    yield _Label("tag", "Message.body.tag")
    cls = BODY_TAGS.get(chosen[0]) if chosen else None
    if cls is not None:
        yield _Label(BODY_NAMES[cls], cls.__name__, ListRule(cls))


def _field_labels(rules: tuple[FieldRule, ...], path: str) -> Iterator[_Label]:
    for entry in rules:
        yield _Label(entry.asn1_name, f"{path}.{entry.name}", entry.rule)


def _item_labels(item: Rule, label: _Label) -> Iterator[_Label]:
    index = 0
    while True:
        yield _Label(f"[{index}]", f"{label.path}[{index}]", item)
        index += 1


def _choice_labels(rule: ChoiceRule, label: _Label, chosen: list[int]) -> Iterator[_Label]:
    yield _Label("choice", label.path)
    cls = dict(rule.alternatives).get(chosen[0]) if chosen else None
    if cls is not None:
        inner = fields_of(cls)[0].rule if is_alternative(cls) else ListRule(cls)
        yield _Label(ALTERNATIVE_NAMES[cls], label.path, inner)


__all__ = ["Line", "listing", "offset_in_stream"]
