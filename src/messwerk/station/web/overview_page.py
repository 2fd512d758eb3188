"""The overview: one screen that says whether the station is well."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from nicegui import ui

from ..intervals import TOLERANCE_S
from ..views import EventView, Overview
from .charts import load_line
from .language import Language, utc_text
from .shell import Live, PanelLink, Text, Visitor, box, figure, frame, link, markup, sheet
from .source import Recent

EVENTS_SHOWN: Final = 12


def build(visitor: Visitor, recent: Recent, panels: Sequence[PanelLink], zone: ZoneInfo) -> None:
    """Lay the page out and start its timer."""
    language = visitor.language
    say = language.say
    live = Live(recent.overview)
    with frame(visitor, panels, here="/", title=say("Overview")):
        with box("headline"), box():
            Text("h1", say("Overview"))
            clock = live.text("p", lambda o: language.when(o.now_utc, zone), "lead")
            live.title(clock, lambda o: utc_text(o.now_utc))
        with box("grid"):
            _figures(live, language)
            with sheet(say("Load of all meters"), "span-8"):
                drawing = markup(load_line(recent.load, language), "curve")
                live.follow(lambda _: drawing.set_content(load_line(recent.load, language)))
            with sheet(say("Now"), "span-4"):
                _now(live, language)
            with box("span-8 stack"):
                with sheet(say("Newest events")):
                    live.html(lambda o: events_list(o.events[:EVENTS_SHOWN], language, zone))
                if panels:
                    with sheet(say("Devices")):
                        _devices(panels, language)
            with sheet(say("Evidence"), "span-4"):
                _evidence(live, language)
    ui.timer(1.0, lambda: live.show(recent.overview))


def _figures(live: Live[Overview], language: Language) -> None:
    say, number = language.say, language.number
    figure(
        live, say("Meters heard"),
        lambda o: f"{number(o.meters_heard)} / {number(o.meters)}",
        lambda o: say("in the last minute") if o.meters else say("No meters yet"),
        url="/meters", tone=lambda o: "warn" if o.meters_heard < o.meters else "good",
    )  # fmt: skip
    figure(
        live, say("Readings verified today"),
        lambda o: number(o.verified_today),
        lambda o: say("{amount} refused since the start", amount=number(o.counts.tuples_quarantined)),
        url="/meters?show=refused", note_tone=lambda o: "bad" if o.counts.tuples_quarantined else "",
    )  # fmt: skip
    figure(
        live, say("Gaps open"),
        lambda o: number(o.gaps),
        lambda o: say("in {amount} quarter hours", amount=number(o.intervals + o.gaps)),
        url="/meters?show=gaps", tone=lambda o: "warn" if o.gaps else "good",
    )  # fmt: skip
    figure(
        live, say("Alarms"),
        lambda o: number(o.alarms),
        lambda o: say("nobody has looked at") if o.alarms else say("all quiet"),
        url="/#events", tone=lambda o: "bad" if o.alarms else "good",
    )  # fmt: skip


def _now(live: Live[Overview], language: Language) -> None:
    say = language.say
    Text("div", say("Import"), "figure-label")
    live.text("div", lambda o: language.power(o.import_w), "figure-value medium good")
    Text("div", say("Export"), "figure-label")
    live.text("div", lambda o: language.power(o.export_w), "figure-value medium export")
    Text("h3", say("Time, seconds index to UTC"))
    live.text("div", lambda o: language.uncertainty(o.sync_error_s_max), "figure-value medium")
    live.html(lambda o: gauge(o.sync_error_s_max, TOLERANCE_S))
    Text("div", say("largest uncertainty of a quarter hour; {limit} s may be billed", limit=f"±{TOLERANCE_S:g}"),
         "figure-note")  # fmt: skip


def gauge(value: float | None, limit: float) -> str:
    """A bar that is full at `limit`."""
    share = 0.0 if value is None else min(1.0, value / limit)
    colour = "var(--accent)" if share < 0.5 else "var(--amber)" if share < 1 else "var(--red)"
    return f'<div class="gauge"><i style="width:{100 * share:.1f}%;background:{colour}"></i></div>'


def _evidence(live: Live[Overview], language: Language) -> None:
    say, number = language.say, language.number
    rows = (
        ("Signatures valid", lambda o: number(o.counts.signatures_valid)),
        ("Signatures invalid", lambda o: number(o.counts.signatures_invalid)),
        ("Signed tuples received", lambda o: number(o.counts.tuples_received)),
        ("Unsigned readings", lambda o: number(o.counts.unsigned_readings)),
        ("Journal, not yet processed", lambda o: say("{amount} batches", amount=number(o.journal_batches))),
        ("Archive, sealed", lambda o: say("{rows} rows in {files} files", rows=number(o.archive_rows_sealed),
                                          files=number(o.archive_files)) if o.archive_files else say("nothing yet")),
        ("Archive, not yet sealed", lambda o: say("{rows} rows", rows=number(o.archive_rows_open))),
    )  # fmt: skip
    with box("pairs", "dl"):
        for name, of in rows:
            Text("dt", say(name))
            live.text("dd", of)


def _devices(panels: Sequence[PanelLink], language: Language) -> None:
    with box("pairs tight", "dl"):
        for panel in panels:
            with box(tag="dt"):
                link(panel.title, panel.url)
            Text("dd", language.say(panel.note), "soft")


def events_list(events: Sequence[EventView], language: Language, zone: ZoneInfo) -> str:
    """Events with time, severity and text, newest first; markup."""
    if not events:
        return f'<div class="empty" id="events">{escape(language.say("Nothing has happened yet."))}</div>'
    rows = []
    for event in events:
        severity = escape(language.say(event.severity.value))
        rows.append(
            f'<time title="{utc_text(event.utc)}">{language.when(event.utc, zone)}</time>'
            f'<span class="mark severity-{event.severity.value}" role="img" aria-label="{severity}"></span>'
            f"<span>{_event_text(event)}</span>"
        )
    return f'<div class="events" id="events">{"".join(rows)}</div>'


def _event_text(event: EventView) -> str:
    """The event's words; the meter it is about leads to its page, named once."""
    if event.server_id is None:
        return escape(event.text)
    name, text = escape(str(event.server_id)), escape(event.text)
    anchor = f'<a class="link nowrap" href="/meters/{event.server_id.hex()}">{name}</a>'
    return text.replace(name, anchor, 1) if name in text else f"{text} {anchor}"
