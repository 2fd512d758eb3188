"""The declarations: sized integers, field rules, and the plan Rust runs from."""

from __future__ import annotations

import dataclasses

import pytest

from messwerk import sml
from messwerk.sml.binary import plan_text
from messwerk.sml.messages import BODY_TAGS
from messwerk.sml.types import INTEGERS, UNSIGNEDS, fields_of, is_alternative


@pytest.mark.parametrize("width", range(1, 9))
def test_sized_integers_hold_exactly_their_width(width: int) -> None:
    """A sized integer refuses what its bytes cannot carry, and says so."""
    signed, unsigned = INTEGERS[width - 1], UNSIGNEDS[width - 1]
    assert (signed.width, unsigned.width) == (width, width)
    top = 1 << 8 * width
    assert unsigned(top - 1) == top - 1
    assert signed(-top // 2) == -top // 2
    for cls, value in [(unsigned, top), (unsigned, -1), (signed, top // 2), (signed, -top // 2 - 1)]:
        with pytest.raises(ValueError, match="does not fit"):
            cls(value)


def test_a_sized_integer_is_the_number_and_shows_its_width() -> None:
    """It works wherever an int does, and its repr names the width."""
    assert sml.Unsigned24(5) == 5
    assert repr(sml.Integer40(-1)) == "Integer40(-1)"
    with pytest.raises(TypeError, match="which width"):
        sml.Unsigned(1)


def test_field_rules_follow_the_specification() -> None:
    """Order, ASN.1 names and absence of a list entry are those of the specification."""
    entry = fields_of(sml.ListEntry)
    assert [rule.asn1_name for rule in entry] == [
        "objName", "status", "valTime", "unit", "scaler", "value", "valueSignature",
    ]  # fmt: skip
    assert [rule.optional for rule in entry] == [False, True, True, True, True, False, True]
    assert [rule.name for rule in entry if rule.lenient_missing] == ["value"]
    assert len(fields_of(sml.TupelEntry)) == 23


def test_wire_types_cannot_be_changed() -> None:
    """A telegram that was read stays what it was."""
    close = sml.PublicCloseResponse()
    with pytest.raises(dataclasses.FrozenInstanceError):
        close.global_signature = b"x"  # type: ignore[misc]


def test_alternatives_stand_for_their_one_value() -> None:
    """Transparent choices are marked, lists are not."""
    assert is_alternative(sml.SecIndex)
    assert is_alternative(sml.TupelParameter)
    assert not is_alternative(sml.LocalTimestamp)


def test_the_plan_declares_every_body_and_only_known_classes() -> None:
    """What Rust runs is the declarations and nothing else."""
    lines = plan_text().splitlines()
    assert [line.split()[2] for line in lines if line.startswith("body ")] == [
        cls.__name__ for cls in BODY_TAGS.values()
    ]
    assert "  val_time ? choice 1=SecIndex 2=Timestamp 3=LocalTimestamp bare=BareSecIndex" in lines
    assert "  value ! value" in lines
    assert lines.count("tree Tree") == 1
