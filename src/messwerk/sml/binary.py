"""The binary encoding: SML files to messages and back.

A file is a run of messages. Each is found by walking its TL bytes, checked by its CRC, and read
field by field as its table declares; Rust does it from a plan that is written down here once from
the declarations. Its slow, readable twin is `tests/oracle/binary.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .. import _core
from ..errors import ChecksumMismatch, DecodeError, EncodeError, SmlError
from .leniency import Deviation, Leniency
from .messages import BODY_TAGS, LIST_TYPE, Message, MessageForm, OpaqueBody, Tree
from .types import (
    INTEGERS,
    UNSIGNEDS,
    BooleanRule,
    ChoiceRule,
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

MAX_DEPTH: Final = _core.MAX_DEPTH
"""Nested lists in a body that is passed on unread; no declared type comes near it."""
MAX_TREE_DEPTH: Final = _core.MAX_TREE_DEPTH
"""Nested parameter trees."""
MAX_MESSAGES: Final = _core.MAX_MESSAGES
"""Messages in one file."""


@dataclass(frozen=True, slots=True)
class SmlFile:
    """What a payload holds: its messages, what was tolerated, and what had to be dropped."""

    messages: tuple[Message, ...]
    deviations: tuple[Deviation, ...] = ()
    """Leniencies used in the messages that were kept, in order."""
    dropped: tuple[SmlError, ...] = ()
    """One error for every message that could not be kept, and for a rest that is no message."""


def decode(payload: bytes, *, strict: bool = False) -> SmlFile:
    """Read the messages of an SML file (a frame's payload, without transport).

    A message that is wrong is dropped and reported in `dropped`, the others are kept; errors name
    offset and field. Raises DecodeError or ChecksumMismatch when nothing can be read; with `strict`
    at the first error or deviation.
    """
    messages, deviations, dropped = _core.decode(_PLAN, payload, strict)
    if messages and not deviations and not dropped:
        return SmlFile(messages)
    noted = tuple(_deviation(payload, *found) for found in deviations)
    errors = tuple(_error(*found) for found in dropped)
    if strict and noted:
        raise DecodeError(
            offset=noted[0].offset, path=noted[0].path, expected="the specified form", found=noted[0].leniency.what
        )
    if errors and (strict or not messages):
        raise errors[0]
    if not messages:
        raise DecodeError(offset=0, path="", expected="a message", found="the end of the data")
    return SmlFile(messages, noted, errors)


def encode(messages: Iterable[Message], *, minimal: bool = False) -> bytes:
    """Write an SML file, without transport frame.

    A plain int takes the full width of its field (with `minimal` the fewest bytes), a sized one
    (`Unsigned24(5)`) its own; both are legal. Raises EncodeError naming the field.
    """
    return _core.encode(_PLAN, messages, minimal)


def plan_text() -> str:
    """The declarations as text for Rust; its grammar is told in `rust/src/plan.rs`."""
    return "\n".join(_plan_lines()) + "\n"


def _deviation(payload: bytes, name: str, offset: int, end: int, path: str) -> Deviation:
    leniency = Leniency[name]
    found = payload[offset:end]
    detail = f"{len(found)} zero bytes" if leniency is Leniency.EXTRA_ZEROS else found.hex(" ")
    return Deviation(leniency, offset, path, detail)


def _error(offset: int, path: str, expected: str | int, found: str | int) -> SmlError:
    if isinstance(expected, int) and isinstance(found, int):
        return ChecksumMismatch(what="message", offset=offset, expected=expected, found=found)
    return DecodeError(offset=offset, path=path, expected=str(expected), found=str(found))


def _encode_error(path: str, expected: str, culprit: object) -> EncodeError:
    text = repr(culprit)
    return EncodeError(path=path, expected=expected, found=text if len(text) <= 80 else f"{text[:77]}…")


def _classes() -> tuple[type, ...]:
    """Every declared list and alternative that a body can hold, each once."""
    found: dict[type, None] = {}
    ahead: list[type] = [*BODY_TAGS.values(), *(cls for _, cls in LIST_TYPE.alternatives)]
    while ahead:
        cls = ahead.pop(0)
        if cls not in found:
            found[cls] = None
            ahead += [inner for entry in fields_of(cls) for inner in _inner_classes(entry.rule)]
    return tuple(found)


def _inner_classes(rule: Rule) -> Iterator[type]:
    match rule:
        case ListRule(cls):
            yield cls
        case ListOfRule(item):
            yield from _inner_classes(item)
        case ChoiceRule(alternatives, bare):
            yield from (cls for _, cls in alternatives)
            if bare is not None:
                yield bare


def _plan_lines() -> Iterator[str]:
    for cls in _classes():
        form = "alternative" if is_alternative(cls) else "tree" if cls is Tree else "list"
        yield f"{form} {cls.__name__}"
        for entry in fields_of(cls):
            mark = "? " if entry.optional else "! " if entry.lenient_missing else ""
            yield f"  {entry.name} {mark}{_rule_text(entry.rule)}"
    for tag, cls in BODY_TAGS.items():
        yield f"body {tag:08x} {cls.__name__}"
    yield f"list_type {_rule_text(LIST_TYPE)}"


def _rule_text(rule: Rule) -> str:
    match rule:
        case OctetsRule():
            return "octets"
        case BooleanRule():
            return "boolean"
        case IntegerRule(signed, width):
            return f"{'integer' if signed else 'unsigned'} {width}"
        case StatusRule():
            return "status"
        case ValueRule(lists):
            return "value" if lists else "simple"
        case ListRule(cls):
            return f"list {cls.__name__}"
        case ListOfRule(item):
            return f"many {_rule_text(item)}"
        case ChoiceRule(alternatives, bare):
            words = [f"{tag}={cls.__name__}" for tag, cls in alternatives]
            return " ".join(["choice", *words, *([f"bare={bare.__name__}"] if bare else [])])


_FORMS: Final = [
    MessageForm(tag_width=tag_width, crc_width=crc_width, kermit=kermit)
    for tag_width in (1, 2, 3, 4)
    for crc_width in (1, 2)
    for kermit in (False, True)
]
_PLAN: Final = _core.Plan(
    plan_text(), _classes(), Message, OpaqueBody, _FORMS, INTEGERS, UNSIGNEDS, _encode_error
)  # fmt: skip

__all__ = ["MAX_DEPTH", "MAX_MESSAGES", "MAX_TREE_DEPTH", "SmlFile", "decode", "encode", "plan_text"]
