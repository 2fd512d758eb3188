"""The display's segments: text to segments, segments back to text, and what the glass refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320.display import DARK, SYMBOLS, DisplayState
from messwerk.panels import lcd

# The reader below shares nothing with the writer: it is the pattern table printed in data sheets of
# seven-segment drivers (bit 0 = a … bit 6 = g), read backwards. Look-alikes have one reading.
DRIVER_PATTERNS = {
    0x00: " ", 0x40: "-", 0x3F: "0", 0x06: "1", 0x5B: "2", 0x4F: "3", 0x66: "4", 0x6D: "5", 0x7D: "6",
    0x07: "7", 0x7F: "8", 0x6F: "9", 0x77: "A", 0x7C: "b", 0x39: "C", 0x58: "c", 0x5E: "d", 0x79: "E",
    0x71: "F", 0x3D: "G", 0x76: "H", 0x74: "h", 0x04: "i", 0x1E: "J", 0x38: "L", 0x54: "n", 0x5C: "o",
    0x73: "P", 0x50: "r", 0x78: "t", 0x3E: "U", 0x1C: "u", 0x6E: "y", 0x08: "_", 0x48: "=", 0x37: "N",
    0x67: "q",
}  # fmt: skip
READS_AS = str.maketrans({"S": "5", "O": "0", "I": "1"})


def read_field(lit: frozenset[str] | set[str], field: str, cells: int) -> str:
    """What a person reads in one field."""
    text = ""
    for cell in range(cells):
        letters = {name[-1] for name in lit if re.fullmatch(rf"{field}{cell}[a-gp]", name)}
        pattern = sum(1 << "abcdefg".index(letter) for letter in letters - {"p"})
        text += DRIVER_PATTERNS.get(pattern, "?") + ("." if "p" in letters else "")
    return text


def as_read(text: str) -> str:
    """The text with look-alikes replaced: what a reader must answer."""
    return text.translate(READS_AS)


MOMENTS = [
    (DisplayState(upper_code="1.8.0", upper_value="001234", upper_unit="kWh"), "1.8.0", "  001234", "", ""),
    (DisplayState(upper_code="C.90.2", upper_value="4F3A12C7"), "C.90.2", "4F3A12C7", "", ""),
    (DisplayState(upper_code="F.F.", upper_value="00010000"), "F.F.", "00010000", "", ""),
    (DisplayState(lower_code="P", lower_value="-1234", lower_unit="W"), "", "", "P", " 1234"),
    (DisplayState(lower_code="P", lower_value="0", lower_unit="W"), "", "", "P", "    0"),
    (DisplayState(lower_code="E", lower_value="1234.5", lower_unit="kWh"), "", "", "E", "1234.5"),
    (DisplayState(lower_code="365d", lower_value="----"), "", "", "365d", " ----"),
    (DisplayState(lower_code="PIn", lower_value="0---"), "", "", "P1n", " 0---"),
    (DisplayState(lower_code="HIS", lower_value="CLr"), "", "", "H15", "  CLr"),
    (DisplayState(lower_code="InF", lower_value="On"), "", "", "1nF", "   0n"),
    (DisplayState(lower_code="InF", lower_value="OFF"), "", "", "1nF", "  0FF"),
]


@pytest.mark.parametrize(("state", "upper_code", "upper_value", "lower_code", "lower_value"), MOMENTS)
def test_an_independent_reader_reads_what_was_written(
    state: DisplayState, upper_code: str, upper_value: str, lower_code: str, lower_value: str
) -> None:
    """Every text the manual's lists and menu use comes back from the segments alone."""
    lit = lcd.segments(state)
    assert read_field(lit, "uc", 5).rstrip() == upper_code
    assert read_field(lit, "uv", 8).rstrip() == upper_value.rstrip()
    assert read_field(lit, "lc", 4).rstrip() == lower_code
    assert read_field(lit, "lv", 5).rstrip() == lower_value.rstrip()


def test_every_glyph_is_a_pattern_known_to_the_field() -> None:
    """Each character of the table has the form a seven-segment driver's data sheet gives it."""
    for character, letters in lcd.GLYPHS.items():
        pattern = sum(1 << "abcdefg".index(letter) for letter in letters)
        assert DRIVER_PATTERNS.get(pattern) == as_read(character), character


@given(st.integers(min_value=-99_999, max_value=99_999))
def test_every_power_keeps_its_sign(power_w: int) -> None:
    """The sign is a segment of its own, so five digits are left for the magnitude."""
    lit = lcd.segments(DisplayState(lower_code="P", lower_value=str(power_w), lower_unit="W"))
    magnitude = int(read_field(lit, "lv", 5).strip())
    assert (-magnitude if lcd.MINUS in lit else magnitude) == power_w


@given(st.text(alphabet="0123456789-AbCdEFHLnoPrtu", max_size=8))
def test_any_text_of_the_alphabet_comes_back(text: str) -> None:
    """Writing and reading the value field are inverse, look-alikes aside."""
    assert read_field(lcd.write(lcd.UPPER_VALUE, text, right=True), "uv", 8) == as_read(text).rjust(8)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (DisplayState(upper_value="123456789"), "9 cells|needs 9"),
        (DisplayState(lower_value="-123456"), "needs 6"),
        (DisplayState(upper_code="Wh"), "'W'"),
        (DisplayState(upper_unit="MWh"), "MWh"),
        (DisplayState(lower_unit="kvarh"), "kvarh"),
    ],
)
def test_what_the_glass_cannot_show_is_refused(state: DisplayState, why: str) -> None:
    """Text too long, without a form, or in a unit that is not on the glass raises, never vanishes."""
    with pytest.raises(ValueError, match=why):
        lcd.segments(state)


def test_the_display_test_lights_everything_in_two_halves() -> None:
    """Upper and lower half share nothing and together are all segments of the glass."""
    upper = lcd.segments(DisplayState(all_upper=True))
    lower = lcd.segments(DisplayState(all_lower=True))
    assert not upper & lower
    assert upper | lower == lcd.ALL


def test_symbols_and_disk_have_one_segment_each() -> None:
    """Each symbol and each bar of the disk switches exactly one segment; off switches all off."""
    assert {len(lcd.segments(DisplayState(symbols=frozenset({symbol})))) for symbol in SYMBOLS} == {1}
    bars = [lcd.segments(DisplayState(disk=bar)) for bar in range(5)]
    assert bars[0] == frozenset()
    assert len(frozenset().union(*bars)) == 4
    assert lcd.segments(DARK) == frozenset()


def test_the_drawing_holds_each_segment_once() -> None:
    """All segments exist in the drawing whatever is lit, so switching needs class names only."""
    drawing = lcd.svg()
    drawn = re.findall(r'data-segment="([^"]+)"', drawing)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == lcd.ALL
    for name in lcd.ALL:
        assert f".lit-{name} .{name}" in drawing
    assert "http://www.w3.org/2000/svg" in drawing
    assert drawing.count("http") == 1, "nothing is fetched from elsewhere"


def test_equal_moments_give_equal_class_names() -> None:
    """The page compares class names to find out whether anything changed at all."""
    once = lcd.lit_classes(lcd.segments(MOMENTS[0][0]))
    again = lcd.lit_classes(sorted(lcd.segments(MOMENTS[0][0]), reverse=True))
    assert once == again
    assert 'class="lcd lit-' in lcd.svg(lcd.segments(MOMENTS[0][0]))


def test_the_display_speaks() -> None:
    """A screen reader gets both lines and the symbols as words."""
    state = DisplayState(
        upper_code="1.8.0", upper_value="001234", upper_unit="kWh", lower_code="P", lower_value="-7", lower_unit="W",
        symbols=frozenset({"L1", "L2", "-A", "arrow_left", "INFO"}),
    )  # fmt: skip
    assert lcd.spoken(state) == "1.8.0 001234 kWh, P -7 W, -A L1 L2"
    assert lcd.spoken(DARK) == ""
    assert 'aria-label="1.8.0 &quot;x"' in lcd.svg(label='1.8.0 "x')
