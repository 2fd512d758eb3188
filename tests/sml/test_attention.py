"""Attention numbers by name, number and text."""

from __future__ import annotations

from messwerk.sml import Attention, attention_text


def test_every_number_finds_its_name() -> None:
    """The six bytes and the member lead to each other, and every member has words."""
    for member in Attention:
        assert Attention.of(member.number) is member
        assert len(member.number) == 6
        assert member.text


def test_hints_are_no_errors() -> None:
    """FDxx says done or later, FExx refuses."""
    assert [member.name for member in Attention if not member.is_error] == ["ACKNOWLEDGED", "ACCEPTED"]
    assert Attention.UNKNOWN_SERVER.number.hex() == "8181c7c7fe03"


def test_unknown_numbers_are_named_by_their_digits() -> None:
    """An application's own number is shown, never taken for one of ours."""
    number = bytes.fromhex("8181c7c7e001")
    assert Attention.of(number) is None
    assert attention_text(number) == "application number 81 81 C7 C7 E0 01"
    assert Attention.of(b"\xfe\x03") is None
    assert attention_text(Attention.BUSY.number) == Attention.BUSY.text
