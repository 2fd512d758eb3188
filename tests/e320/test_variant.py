"""Type designations both ways, their consistency rules, and what follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320.variant import Connection, FirmwareParameters, Variant
from messwerk.errors import InvalidIdentifier
from messwerk.metrology import Mode

variants = st.builds(
    Variant,
    connection=st.sampled_from(Connection),
    mode=st.sampled_from(Mode),
    accuracy=st.sampled_from(["A", "B"]),
    registered_power=st.booleans(),
    lmn=st.booleans(),
)

CODES = [  # text as people write it, what it means
    ("E32-AM1D.A3A.A0-S10-S1", Variant(lmn=False)),
    ("E32-AM1D.A3A.A0-S1B-S1", Variant()),
    ("E320-AM1D.A3A.A0-S1B-S1", Variant()),
    ("e32am1da3aa0s1bs1", Variant()),
    ("E32-AMCD.C5A.B2-R1B-S1", Variant(Connection.TRANSFORMER_6A, Mode.FOUR_QUADRANT, "B", registered_power=True)),
    ("E32-AM3D.A4A.B0-S1B-S1", Variant(Connection.DIRECT_100A, Mode.BALANCED_EXPORT, "B")),
]


@pytest.mark.parametrize(("text", "variant"), CODES)
def test_reading(text: str, variant: Variant) -> None:
    """Printed and loosely written designations are read alike."""
    assert Variant.parse(text) == variant


@given(variants)
def test_both_ways(variant: Variant) -> None:
    """What is printed reads back as the same type."""
    assert Variant.parse(variant.code) == variant


REFUSED = [
    ("E32-AM2D.A3A.A0-S1B-S1", "maximum current .* is '2'"),
    ("E32-AM1D.A6A.A0-S1B-S1", "measurement modes 2"),
    ("E32-AM1D.C3A.A2-S1B-S1", "contradicts itself"),
    ("E32-AM1D.A5A.A0-S1B-S1", "contradicts itself"),
    ("E32-AM1D.A3A.A2-S1B-S1", "contradicts itself"),
    ("E32-AM1D.A3A.A0-S1B-S2", "hardware series"),
    ("E750", "not an E320 type designation"),
    ("", "not an E320 type designation"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    """A wrong letter is named with its place and what may stand there; contradictions are explained."""
    with pytest.raises(InvalidIdentifier, match=reason):
        Variant.parse(text)


def test_what_follows_from_the_type() -> None:
    """Start-up power, LED constant, diagram number, faceplate text and hints follow from the designation."""
    direct = Variant.parse("E32-AM3D.A1A.A0-S1B-S1")
    assert direct.start_power_w == pytest.approx(17.25)
    assert (direct.rating.pulses_per_kwh, direct.rating.circuit_diagram) == (5000, "4000")
    assert (direct.mode_text, direct.model, direct.warnings) == ("Einrichtungszähler +A", "E320-AM3D", ())
    transformer = Variant.parse("E32-AMCD.A1A.A0-R10-S1")
    assert transformer.start_power_w == pytest.approx(2.07)
    assert transformer.rating.circuit_diagram == "4010"
    assert len(transformer.warnings) == 3


def test_a_pin_has_four_digits() -> None:
    """A firmware parameter that no button could enter is refused."""
    with pytest.raises(InvalidIdentifier, match="four digits"):
        FirmwareParameters(pin="12a4")
