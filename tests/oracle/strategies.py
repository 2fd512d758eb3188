"""Hypothesis strategies for everything the language can say, made from the declarations."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from messwerk import sml
from messwerk.sml.messages import BODY_TAGS, LIST_TYPE
from messwerk.sml.types import (
    INTEGERS,
    UNSIGNEDS,
    BooleanRule,
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

DEEPEST = 3
"""Levels of trees to generate; the bound itself has a test of its own."""


def sized(signed: bool, widest: int = 8) -> st.SearchStrategy[int]:
    """Integers of every width up to `widest` bytes."""
    classes = (INTEGERS if signed else UNSIGNEDS)[:widest]
    return st.one_of(*(_numbers(signed, width).map(cls) for width, cls in enumerate(classes, 1)))


def _numbers(signed: bool, width: int) -> st.SearchStrategy[int]:
    lowest = -(1 << 8 * width - 1) if signed else 0
    return st.integers(lowest, lowest + (1 << 8 * width) - 1)


def of_rule(rule: Rule, *, depth: int = 0, shortest: int = 0) -> st.SearchStrategy[Any]:
    """Values of one position; `shortest` 1 leaves out the empty octets that mean absent."""
    match rule:
        case OctetsRule():
            return st.binary(min_size=shortest, max_size=20)
        case BooleanRule():
            return st.booleans()
        case IntegerRule(signed, width):
            return st.one_of(_numbers(signed, width), sized(signed, width))
        case StatusRule():
            return sized(signed=False)
        case ValueRule(lists):
            simple = [st.booleans(), st.binary(min_size=shortest, max_size=20), sized(True), sized(False)]
            return st.one_of(*simple, *([of_rule(LIST_TYPE, depth=depth)] if lists else []))
        case ListRule(cls):
            return of_class(cls, depth=depth + (cls is sml.Tree))
        case ListOfRule(item):
            inner = of_rule(item, depth=depth)
            return st.just(()) if depth >= DEEPEST else st.lists(inner, max_size=3).map(tuple)
        case ChoiceRule(alternatives, bare):
            classes = [cls for _, cls in alternatives] + ([bare] if bare else [])
            return st.one_of(*(of_class(cls, depth=depth) for cls in classes))
    raise AssertionError(rule)


def _of_field(entry: FieldRule, depth: int) -> st.SearchStrategy[Any]:
    may_miss = entry.optional or entry.lenient_missing
    value = of_rule(entry.rule, depth=depth, shortest=int(may_miss))
    return st.one_of(st.none(), value) if may_miss else value


def of_class(cls: type, *, depth: int = 0) -> st.SearchStrategy[Any]:
    """Instances of a declared list or alternative."""
    if is_alternative(cls):
        return of_rule(fields_of(cls)[0].rule, depth=depth).map(cls)
    return st.deferred(lambda: st.builds(cls, **{entry.name: _of_field(entry, depth) for entry in fields_of(cls)}))


bodies = st.one_of(*(of_class(cls) for cls in BODY_TAGS.values()))
unknown_bodies = st.builds(
    sml.OpaqueBody,
    tag=st.sampled_from([0x0800, 0x0A01, 0xFE01]),
    content=st.sampled_from([b"\x01", b"\x71\x01", bytes.fromhex("73 62 05 f1 00") + b"\x01" * 17]),
)
forms = st.builds(sml.MessageForm, tag_width=st.sampled_from([2, 3, 4]), crc_width=st.just(2), kermit=st.booleans())
messages = st.builds(
    sml.Message,
    transaction_id=st.binary(max_size=20),
    group_no=_numbers(False, 1),
    abort_on_error=_numbers(False, 1),
    body=st.one_of(bodies, unknown_bodies),
    form=forms,
)
files = st.lists(messages, min_size=1, max_size=3).map(tuple)


@st.composite
def mutated(draw: st.DrawFn, original: bytes, most: int = 3) -> bytes:
    """`original` with a few bytes changed, lost, added or cut off."""
    wire = bytearray(original)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(0, len(wire) - 1)))
        match draw(st.sampled_from(["flip", "set", "lose", "add", "cut"])):
            case "flip" if wire:
                wire[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if wire:
                wire[at] = draw(st.sampled_from([0x00, 0x01, 0x1B, 0x62, 0x72, 0x76, 0xF1, 0xFF]))
            case "lose":
                del wire[at : at + draw(st.integers(1, 4))]
            case "add":
                wire[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "cut" if at > len(wire) // 2:
                del wire[at:]
    return bytes(wire)
