"""All meters as a table: searched and filtered on the server, a page of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

from nicegui import ui

from ..views import Age, MeterRow
from .language import Language, utc_text
from .shell import Live, PanelLink, Text, Visitor, box, frame, link
from .source import StationViews

PAGE_ROWS: Final = 50
FILTERS: Final[dict[str, tuple[str, Callable[[MeterRow], bool]]]] = {
    "all": ("All", lambda row: True),
    "late": ("Late", lambda row: row.age is not Age.FRESH),
    "gaps": ("With gaps", lambda row: row.gaps > 0),
    "refused": ("With refused readings", lambda row: row.counts.tuples_quarantined > 0),
    "unsigned": ("Unsigned", lambda row: not row.signed),
}
"""Name in the address -> words and rule."""
HEADS: Final = (
    ("Meter", ""), ("Type", "wide-only"), ("Last reading", ""), ("Power now", "num"), ("Import", "num desk-only"),
    ("Export", "num wide-only"), ("Gaps", "num desk-only"), ("Signatures", "num desk-only"), ("Time", "num wide-only"),
)  # fmt: skip
AGE_WORDS: Final = {Age.FRESH: "on time", Age.LATE: "late", Age.STALE: "stale"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the visitor wants to see."""

    show: str = "all"
    search: str = ""
    page: int = 0

    def of(self, rows: Sequence[MeterRow]) -> list[MeterRow]:
        """Every row that fits, all pages."""
        rule = FILTERS.get(self.show, FILTERS["all"])[1]
        words = self.search.lower().split()
        return [row for row in rows if rule(row) and all(word in searchable(row) for word in words)]


def searchable(row: MeterRow) -> str:
    """What the search looks through: the ID with and without blanks, hex, type, source, key."""
    printed = str(row.server_id)
    parts = (printed, printed.replace(" ", ""), row.server_id.hex(), row.kind, row.source, row.key_fingerprint or "")
    return "\n".join(parts).lower()


def build(
    visitor: Visitor, station: StationViews, panels: Sequence[PanelLink], zone: ZoneInfo, *, show: str = "all"
) -> None:
    """Lay the page out and start its timer."""
    say = visitor.language.say
    with frame(visitor, panels, here="/meters", title=say("Meters")):
        with box("headline"), box():
            Text("h1", say("Meters"))
            count = Text("p", "", "lead")
        with box("headline"):
            search = ui.input(placeholder=say("Search by ID, type, source or key")).props(
                f'borderless dense clearable debounce=250 aria-label="{say("Search")}"'
            )
            search.classes("search")
            picks = box("picks").props(f'role="group" aria-label="{say("Filter")}"')
        board = _Board(visitor.language, zone, station, Choice(show=show if show in FILTERS else "all"), picks, count)
        search.on_value_change(lambda event: board.choose(search=event.value or "", page=0))
        board.refresh()
    ui.timer(1.0, board.refresh)


class _Board:
    """The table of one open page: rebuilt when other rows are to be seen, else only refreshed."""

    def __init__(
        self, language: Language, zone: ZoneInfo, station: StationViews, choice: Choice, picks: ui.element, count: Text
    ) -> None:
        self._language, self._zone, self._station, self._choice = language, zone, station, choice
        self._count = count
        self._lines: dict[str, Live[MeterRow]] = {}
        self._picks: dict[str, Text] = {}
        with picks:
            for name, (words, _) in FILTERS.items():
                pick = Text("button", language.say(words), "pick-one").on("click", self._picker(name))
                self._picks[name] = pick.props('type="button"')
        self._place = box()
        with box("picks") as self._pager:
            self._back = Text("button", language.say("Back"), "pick-one").on("click", lambda: self._turn(-1))
            self._span = Text("span", "", "soft")
            self._on = Text("button", language.say("Further"), "pick-one").on("click", lambda: self._turn(1))

    def choose(self, **change: object) -> None:
        """Change the visitor's choice and show what fits it."""
        self._choice = replace(self._choice, **change)  # type: ignore[arg-type]
        self.refresh()

    def _picker(self, name: str) -> Callable[[], None]:
        return lambda: self.choose(show=name, page=0)

    def _turn(self, by: int) -> None:
        self.choose(page=self._choice.page + by)

    def refresh(self) -> None:
        """Show the newest rows."""
        everything = self._station.meters()
        fitting = self._choice.of(everything)
        last_page = max(0, (len(fitting) - 1) // PAGE_ROWS)
        page = min(max(0, self._choice.page), last_page)
        seen = fitting[page * PAGE_ROWS : (page + 1) * PAGE_ROWS]
        if [row.server_id.hex() for row in seen] != list(self._lines) or not seen:
            self._rebuild(seen, empty=not everything)
        for row in seen:
            self._lines[row.server_id.hex()].show(row)
        say, number = self._language.say, self._language.number
        self._count.set_text(
            say("{shown} of {all}", shown=number(len(fitting)), all=number(len(everything))) if everything else ""
        )
        for name, pick in self._picks.items():
            pick.classes(replace="pick-one here" if name == self._choice.show else "pick-one")
        self._pager.classes(replace="picks" if last_page else "hidden")
        self._span.set_text(say("page {page} of {pages}", page=number(page + 1), pages=number(last_page + 1)))

    def _rebuild(self, rows: Sequence[MeterRow], *, empty: bool) -> None:
        say = self._language.say
        self._lines = {}
        self._place.clear()
        with self._place:
            if not rows:
                text = (
                    say("No meters yet. Give the station a communication module or an optical head to listen to, or "
                        "plug in a base module: it appears here by itself.")
                    if empty else say("No meter fits. Change the search or the filter.")
                )  # fmt: skip
                Text("div", text, "empty")
                return
            with box("sheet"), box("scroll"), box("rows", "table"):
                with box(tag="thead"), box(tag="tr"):
                    for title, kind in HEADS:
                        Text("th", say(title), kind).props('scope="col"')
                with box(tag="tbody"):
                    for row in rows:
                        self._lines[row.server_id.hex()] = self._line(row)

    def _line(self, row: MeterRow) -> Live[MeterRow]:
        language, say = self._language, self._language.say
        live = Live(row)
        with box("pick", "tr"):
            with box(tag="td"):
                link(str(row.server_id), f"/meters/{row.server_id.hex()}", "link nowrap")
            live.text("td", lambda m: say(m.kind), "wide-only soft")
            with box(tag="td"):
                age = live.text("span", lambda m: language.age(m.age_s))
                live.classes(age, lambda m: f"mark age-{m.age.value}")
                live.title(age, lambda m: f"{say(AGE_WORDS[m.age])} · {utc_text(m.last_seen_utc)}")
            live.text("td", lambda m: language.power(m.power_w), "num")
            live.text("td", lambda m: language.quantity(m.import_kwh, "kWh", 1), "num desk-only")
            live.text("td", lambda m: language.quantity(m.export_kwh, "kWh", 1), "num wide-only")
            gaps = live.text("td", lambda m: language.number(m.gaps))
            live.classes(gaps, lambda m: f"num desk-only {'warn' if m.gaps else ''}")
            with box("num desk-only", "td"):
                signatures = live.text("span", lambda m: signature_words(m, language))
                live.classes(signatures, lambda m: f"mark mark-{signature_state(m)}")
            live.text("td", lambda m: language.uncertainty(m.sync_error_s), "num wide-only")
        return live


def signature_state(row: MeterRow) -> str:
    """The value state that colours a meter's signatures."""
    if row.counts.signatures_invalid or row.counts.tuples_quarantined:
        return "refused"
    if not row.signed:
        return "measured_unsigned"
    return "preliminary" if row.counts.tuples_waiting else "measured_verified"


def signature_words(row: MeterRow, language: Language) -> str:
    """How many signatures are good, and how many are not."""
    if not row.signed:
        return language.say("unsigned")
    bad = row.counts.signatures_invalid
    valid = language.number(row.counts.signatures_valid)
    return f"{valid} / {language.number(bad)}" if bad else valid
