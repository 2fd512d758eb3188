"""Numbers, times and words as pages write them."""

from __future__ import annotations

import ast
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import messwerk
from messwerk.station.values import ValueState
from messwerk.station.viewing import STATUS_WORDS
from messwerk.station.web.charts import STATE_NAMES
from messwerk.station.web.language import ENGLISH, GERMAN_LANGUAGE, choose, hex_groups, utc_text
from messwerk.station.web.meter_page import BLOCK_PARTS, UNSIGNED_WORDS
from messwerk.station.web.meters_page import AGE_WORDS, FILTERS, HEADS
from messwerk.station.web.words import GERMAN

BERLIN = ZoneInfo("Europe/Berlin")


def plain(text: str) -> str:
    """With ordinary blanks."""
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "digits", "english", "german"),
    [
        (1234567, 0, "1,234,567", "1.234.567"),
        (Decimal("41233.4567"), 1, "41,233.4", "41.233,4"),
        (Decimal("-0.99"), 1, "−0.9", "−0,9"),
        (Decimal("-0.04"), 1, "0.0", "0,0"),
        (0.46, 1, "0.5", "0,5"),
        (-1310.0, 0, "−1,310", "−1.310"),
        (None, 3, "–", "–"),
    ],
)
def test_numbers(value: Decimal | float | None, digits: int, english: str, german: str) -> None:
    """Exact values are cut toward zero, measured floats rounded; separators follow the language."""
    assert ENGLISH.number(value, digits) == english
    assert GERMAN_LANGUAGE.number(value, digits) == german


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9), st.integers(0, 4)
)
def test_a_reading_never_looks_larger_than_it_was_signed(value: Decimal, digits: int) -> None:
    """Whatever the digits shown, the number on the page is not beyond the value."""
    shown = Decimal(ENGLISH.number(value, digits).replace(",", "").replace("−", "-"))
    assert abs(shown) <= abs(value)
    assert Decimal(ENGLISH.exact(value).replace(",", "").replace("−", "-")) == value


@pytest.mark.parametrize(
    ("watts", "text"),
    [(0.0, "0 W"), (-1310.4, "−1,310 W"), (9_999.0, "9,999 W"), (10_000.0, "10.00 kW"), (-12_345.0, "−12.35 kW")],
)
def test_power_changes_its_unit_at_ten_kilowatts(watts: float, text: str) -> None:
    """Small powers in W, large ones in kW."""
    assert plain(ENGLISH.power(watts)) == text


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (None, "never", "nie"),
        (-0.4, "0 s ago", "vor 0 s"),
        (3.9, "3 s ago", "vor 3 s"),
        (130, "2 min ago", "vor 2 min"),
        (7_300, "2 h ago", "vor 2 h"),
        (5 * 86_400, "5 days ago", "vor 5 Tage"),
    ],
)
def test_ages(seconds: float | None, english: str, german: str) -> None:
    """One unit, never a negative age."""
    assert plain(ENGLISH.age(seconds)) == english
    assert plain(GERMAN_LANGUAGE.age(seconds)).startswith(german)


def test_times_are_local_and_name_utc_beside() -> None:
    """The repeated hour of autumn is told apart by the UTC text."""
    first, second = 1_792_888_200, 1_792_891_800
    assert ENGLISH.when(first, BERLIN) == ENGLISH.when(second, BERLIN) == "25 Oct 2026, 02:30:00"
    assert utc_text(first) == "2026-10-25T00:30:00Z"
    assert utc_text(second) == "2026-10-25T01:30:00Z"
    assert GERMAN_LANGUAGE.when(first - 0.05, BERLIN) == "25.10.2026, 02:30:00"
    assert utc_text(None) == ""


def test_identifiers_and_money() -> None:
    """Index, hex groups and euros have one form each."""
    assert plain(ENGLISH.index(14861200)) == "#14 861 200"
    assert hex_groups(bytes(range(6)), 4) == "0001 0203 0405"
    assert plain(ENGLISH.money(Decimal("-1234.50"))) == "−€ 1,234.50"
    assert plain(GERMAN_LANGUAGE.money(Decimal("1234.50"))) == "1.234,50 €"
    assert plain(ENGLISH.uncertainty(0.42)) == "± 0.4 s"


@pytest.mark.parametrize(
    ("cookie", "accepts", "code"),
    [
        (None, "", "en"),
        (None, "de-DE,de;q=0.9", "de"),
        (None, "fr,de;q=0.5", "de"),
        ("en", "de", "en"),
        ("xx", "de", "de"),
        (None, "," * 5000, "en"),
    ],
)
def test_the_language_is_chosen_from_cookie_then_browser(cookie: str | None, accepts: str, code: str) -> None:
    """A visitor's own choice wins; nonsense falls back to English."""
    assert choose(cookie, accepts).code == code


def phrases() -> set[str]:
    """Every phrase said with a literal in the source of pages and panels."""
    root = Path(messwerk.__file__).parent
    found = set()
    for file in [*(root / "station" / "web").glob("*.py"), *(root / "panels").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "say":
                    found.add(str(node.args[0].value))
    return found


def test_every_phrase_has_its_german() -> None:
    """A phrase said on a page, or chosen from one of its tables, is never left in English."""
    tables = {words for words, _ in FILTERS.values()} | {title for title, _ in HEADS} | set(AGE_WORDS.values())
    tables |= {meaning for _, meaning in BLOCK_PARTS} | set(STATE_NAMES.values()) | {UNSIGNED_WORDS}
    tables |= {words for _, words in STATUS_WORDS}
    assert len(phrases()) > 100
    assert sorted((phrases() | tables) - set(GERMAN)) == []


def test_both_languages_fill_the_same_fields() -> None:
    """`{count}` in English is `{count}` in German."""
    for english, german in GERMAN.items():
        fields = {part.split("}")[0] for part in english.split("{")[1:]}
        assert fields == {part.split("}")[0] for part in german.split("{")[1:]}, english


def test_every_state_has_a_name() -> None:
    """No value state is without words and colour."""
    assert set(STATE_NAMES) == set(ValueState)
