"""Strategies for any message at all, built from the declared tables."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from messwerk.sml.messages import BODY_TAGS, LIST_TYPE, Message, MessageForm, OpaqueBody
from messwerk.sml.types import (
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

FILLED_OCTETS = st.binary(min_size=1, max_size=20)
"""Never empty: in an optional slot an empty string and an absent one are the same on the wire."""


def sized(classes: tuple[type, ...]) -> st.SearchStrategy[Any]:
    """An integer of any of these wire widths, over their whole range."""
    return st.one_of([st.integers(*limits(cls)).map(cls) for cls in classes])


def limits(cls: Any) -> tuple[int, int]:
    bits = 8 * cls.width
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if cls in INTEGERS else (0, (1 << bits) - 1)


def of_rule(rule: Rule, depth: int) -> st.SearchStrategy[Any]:
    """Values that a field with this rule may hold, in the form reading gives them."""
    match rule:
        case OctetsRule():
            return FILLED_OCTETS
        case BooleanRule():
            return st.booleans()
        case IntegerRule(signed, width):
            family = INTEGERS if signed else UNSIGNEDS
            return (
                st.one_of(st.integers(*limits(family[width - 1])), sized(family[: width - 1]))
                if width > 1
                else (st.integers(*limits(family[0])))
            )
        case StatusRule():
            return sized(UNSIGNEDS)
        case ValueRule(lists):
            simple = st.one_of(st.booleans(), FILLED_OCTETS, sized(INTEGERS), sized(UNSIGNEDS))
            return st.one_of(simple, of_rule(LIST_TYPE, depth)) if lists else simple
        case ListRule(cls):
            return of_list(cls, depth - 1)
        case ListOfRule(item):
            return st.lists(of_rule(item, depth), max_size=3).map(tuple)
        case ChoiceRule(alternatives, bare):
            classes = [cls for _, cls in alternatives] + ([bare] if bare else [])
            return st.one_of([of_alternative(cls, depth) for cls in classes])


def of_alternative(cls: Any, depth: int) -> st.SearchStrategy[Any]:
    return of_rule(fields_of(cls)[0].rule, depth).map(cls) if is_alternative(cls) else of_list(cls, depth)


def of_list(cls: Any, depth: int) -> st.SearchStrategy[Any]:
    """A declared list; below a depth of zero only its mandatory fields are filled."""

    def build() -> st.SearchStrategy[Any]:
        fields = {}
        for entry in fields_of(cls):
            optional = entry.optional or entry.lenient_missing
            if optional and depth <= 0:
                fields[entry.name] = st.none()
            else:
                value = of_rule(entry.rule, depth)
                fields[entry.name] = st.one_of(st.none(), value) if optional else value
        return st.builds(cls, **fields)

    return st.deferred(build)


OPAQUE = st.builds(
    OpaqueBody, st.integers(0x0B00, 0xFF00), st.sampled_from([b"\x71\x01", b"\x72\x62\x01\x52\xff", b"\x70"])
)

MESSAGES = st.builds(
    Message,
    transaction_id=FILLED_OCTETS,
    group_no=st.integers(0, 255),
    abort_on_error=st.integers(0, 255),
    body=st.one_of([*(of_list(cls, 2) for cls in BODY_TAGS.values()), OPAQUE]),
    form=st.builds(MessageForm, tag_width=st.sampled_from([2, 3, 4]), kermit=st.booleans()),
)
"""Any message: every body, every alternative, every width."""
