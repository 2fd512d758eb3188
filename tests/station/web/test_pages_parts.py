"""Parts of pages that need no browser: preferences, search, shared memory, derivations."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from messwerk.station.views import Counts, Overview
from messwerk.station.web.bill_page import item_name, localized, localized_window
from messwerk.station.web.derivation import BillDocument, window_text
from messwerk.station.web.language import ENGLISH, GERMAN_LANGUAGE
from messwerk.station.web.mount import preference
from messwerk.station.web.shell import mark, pairs, preference_url, table
from messwerk.station.web.source import HISTORY_S, Recent

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("back", "leads_to"),
    [
        ("/meters", "/meters"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_switch_never_leads_elsewhere(back: str, leads_to: str) -> None:
    """The way back is a path of this server, whatever the address says."""
    assert preference(language="de", back=back).headers["location"] == leads_to


def test_only_known_choices_are_kept() -> None:
    """A language or theme we do not have sets no cookie."""
    assert "set-cookie" not in preference(language="xx", theme="pink", back="/").headers
    kept = preference(theme="dark", back="/").headers["set-cookie"]
    assert "messwerk_theme=dark" in kept
    assert "HttpOnly" in kept
    assert preference_url("/bills/a b", theme="dark") == "/preference?theme=dark&back=%2Fbills%2Fa%20b"


def overview(now_utc: float, import_w: float = 100.0) -> Overview:
    """An overview of nothing but a load."""
    return Overview(
        now_utc=now_utc, meters=0, meters_heard=0, counts=Counts(), verified_today=0, intervals=0, gaps=0, alarms=0,
        sync_error_s_max=None, import_w=import_w, export_w=0.0, journal_batches=0, archive_files=0,
        archive_rows_sealed=0, archive_rows_open=0, background_failures=0, events=(),
    )  # fmt: skip


class Clockwork:
    """A station that knows nothing but the time."""

    def __init__(self) -> None:
        self.now_utc = 1_000.0

    def overview(self) -> Overview:
        return overview(self.now_utc)


def test_the_shared_memory_is_bounded_and_survives_clock_jumps() -> None:
    """Half an hour of samples at most; a clock set back or far ahead starts anew."""
    station = Clockwork()
    recent = Recent(station)  # type: ignore[arg-type]
    for _ in range(2 * HISTORY_S):
        station.now_utc += 1.0
        recent.refresh()
    assert len(recent.load) == HISTORY_S
    station.now_utc -= 500.0
    recent.refresh()
    assert [sample.utc for sample in recent.load] == [station.now_utc]
    station.now_utc += 86_400.0
    recent.refresh()
    assert len(recent.load) == 1


def document(**changes: Any) -> BillDocument:
    """Five quarter hours over a change of price zone at 06:00 on Monday 5 October 2026."""
    first = 1_791_171_000  # 05:30 local
    readings = [
        {"quarter_utc": first + 900 * at, "index": 1_000 + 900 * at, "import_kwh": f"{10 + at * at}.5000",
         "export_kwh": "0.0000", "zone": "NT" if at < 2 else "HT"}
        for at in range(6)
    ]  # fmt: skip
    week = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    sheet = {
        "name": "Two zones", "version": "1", "valid_from": "2026-01-01", "digest": "ab" * 32,
        "zones": [
            {"name": "HT", "windows": [{"days": week, "start": "06:00", "end": "22:00"}]},
            {"name": "NT", "windows": []},
        ],
    }  # fmt: skip
    return BillDocument(json.dumps({"tariff": [sheet], "readings": readings, "missing": [], **changes}), BERLIN)


def test_a_line_is_taken_apart_into_its_days() -> None:
    """Energy of a zone is the sum of the differences that begin in it, with the indexes it lies between."""
    night = document().energy_line("NT Two zones 1")
    day = document().energy_line("HT Two zones 1")
    assert night is not None
    assert day is not None
    assert (night.quarters, str(night.energy_kwh), night.windows) == (2, "4.0000", ())
    assert (day.quarters, str(day.energy_kwh), day.windows) == (3, "21.0000", ("Mon–Fri 06:00–22:00",))
    assert (day.days[0].first_index, day.days[0].last_index) == (2_800, 5_500)


def test_what_was_not_billed_is_not_in_the_derivation() -> None:
    """A quarter hour listed as missing adds nothing, and other lines are no energy lines."""
    partly = document(missing=["2026-10-05T06:15:00+02:00"]).energy_line("HT Two zones 1")
    assert partly is not None
    assert (partly.quarters, str(partly.energy_kwh)) == (2, "14.0000")
    assert document().energy_line("Standing charge Two zones 1") is None
    assert BillDocument("{}", BERLIN).energy_line("HT") is None


def test_windows_join_days_that_follow_each_other() -> None:
    """Mon–Wed, Fri and a single day are written as people write them."""
    window = {"days": ["Fri", "Mon", "Tue", "Wed", "Sun"], "start": "06:00", "end": "24:00"}
    assert window_text(window) == "Mon–Wed, Fri, Sun 06:00–24:00"
    assert localized_window(window_text(window), GERMAN_LANGUAGE) == "Mo–Mi, Fr, So 06:00–24:00"


@pytest.mark.parametrize(
    ("text", "english", "german"),
    [
        ("3838.5770 kWh", "3,838.5770 kWh", "3.838,5770 kWh"),
        ("31 days", "31 days", "31 Tage"),
        ("0.35 EUR/day", "0.35 EUR/day", "0,35 EUR/Tag"),
        ("-3.72 EUR", "−3.72 EUR", "−3,72 EUR"),
        ("²½ x", "²½ x", "²½ x"),
    ],
)
def test_quantities_of_a_bill_are_written_in_the_language(text: str, english: str, german: str) -> None:
    """Every digit stays; only separators and known words change."""
    assert localized(text, ENGLISH) == english
    assert localized(text, GERMAN_LANGUAGE) == german


def test_labels_keep_the_names_of_the_tariff() -> None:
    """The fixed words of a label are translated, the tariff's own name is not."""
    assert item_name("Standing charge Two zones 1", GERMAN_LANGUAGE) == "Grundpreis Two zones 1"
    assert item_name("HT Two zones 1", GERMAN_LANGUAGE) == "HT Two zones 1"


def test_markup_from_values_is_escaped() -> None:
    """Names in lists and marks cannot become markup."""
    assert "<b>" not in mark("x", "<b>")
    assert "<b>" not in pairs([("<b>", "value")])
    assert "<b>" not in table([("<b>", "")], [])
