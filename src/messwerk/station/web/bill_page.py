"""Bills: the list, and the bill as an invoice whose every figure opens its derivation."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from nicegui import ui

from ...errors import MesswerkError
from ..views import BillLine, BillReading, BillRow, BillView
from .derivation import ALL_WEEK, BillDocument, EnergyLine
from .language import Language, hex_groups, utc_text
from .meter_page import verdict_mark
from .shell import PanelLink, Text, Visitor, box, frame, link, mark, markup, pairs, table
from .source import StationViews

FEED_IN: Final = "Feed-in"
"""Label of the line that pays for export; it stands after tax, because none is on it."""
LIST_EVERY_S: Final = 10.0
"""The list of bills is read again this often."""


def bill_url(bill_id: str) -> str:
    """Where a bill's page is."""
    return f"/bills/{quote(bill_id, safe='')}"


def build_list(visitor: Visitor, station: StationViews, panels: Sequence[PanelLink], zone: ZoneInfo) -> None:
    """Lay out the table of all bills."""
    language = visitor.language
    say = language.say
    with frame(visitor, panels, here="/bills", title=say("Bills")):
        with box("headline"):
            Text("h1", say("Bills"))
        rows = markup(_bills_table(station.bills(), language, zone))
    ui.timer(LIST_EVERY_S, lambda: rows.set_content(_bills_table(station.bills(), language, zone)), immediate=False)


def _bills_table(bills: Sequence[BillRow], language: Language, zone: ZoneInfo) -> str:
    say = language.say
    if not bills:
        text = say("No bills yet. A bill is made as soon as a calendar month is complete for a meter with verified "
                   "readings.")  # fmt: skip
        return f'<div class="empty">{escape(text)}</div>'
    heads = ((say("Month"), ""), (say("Meter"), ""), (say("Tariff"), "wide-only"), (say("Energy"), "num"),
             (say("Total"), "num"), (say("State"), "desk-only"))  # fmt: skip
    rows = [
        (
            f'<a class="nowrap" href="{bill_url(bill.bill_id)}">{escape(_month(bill, language))}</a>',
            f'<a class="nowrap" href="/meters/{bill.server_id.hex()}">{escape(str(bill.server_id))}</a>',
            escape(bill.tariff),
            language.quantity(bill.energy_kwh, "kWh", 1),
            language.money(bill.total_eur),
            mark("mark-measured_verified", say("complete")) if bill.complete else mark("mark-missing", say("no bill")),
        )
        for bill in bills
    ]
    return f'<div class="sheet">{table(heads, rows)}</div>'


def _month(row: BillRow, language: Language) -> str:
    year, month = row.month.split("-")[:2]
    return language.month(int(year), int(month))


def build(visitor: Visitor, station: StationViews, panels: Sequence[PanelLink], zone: ZoneInfo, bill_id: str) -> None:
    """Lay out one bill. It is a document: nothing on it moves."""
    language = visitor.language
    say = language.say
    try:
        bill = station.bill(bill_id)
    except (MesswerkError, KeyError):
        with frame(visitor, panels, here="", title=say("Bill")):
            link(say("All bills"), "/bills", "crumb")
            Text("h1", say("There is no such bill"))
            Text("p", bill_id, "lead")
        return
    with frame(visitor, panels, here="", title=f"{say('Bill')} {_month(bill.row, language)}"):
        with box("headline no-print"):
            link(f"‹ {say('All bills')}", "/bills", "crumb")
            with box("picks"):
                Text("button", say("Print"), "button").on("click", js_handler="() => window.print()")
                download = link(say("Download as JSON"), f"{bill_url(bill_id)}.json", "button main")
                download._props["download"] = f"{bill_id}.json"
        document = BillDocument(station.bill_json(bill_id), zone)
        markup(invoice(bill, document, language, zone), "paper", tag="article")


def invoice(bill: BillView, document: BillDocument, language: Language, zone: ZoneInfo) -> str:
    """The whole document as markup: it needs nothing but the stylesheet."""
    say, row = language.say, bill.row
    parts = [_head(bill, language, zone)]
    if not row.complete:
        missing = say(
            "This is no bill: {missing} of {all} quarter hours are missing or may not be used.",
            missing=language.number(bill.missing),
            all=language.number(bill.intervals + bill.missing),
        )
        parts.append(f'<div class="stamp">{escape(missing)}</div>')
    columns = "".join(
        f'<span class="{kind}">{escape(say(title))}</span>'
        for title, kind in (("Item", ""), ("Quantity", "num"), ("Price", "num"), ("Amount", "num"))
    )
    parts.append(f'<div class="paper-sum paper-columns">{columns}</div>')
    untaxed = [line for line in bill.lines if line.label == FEED_IN]
    parts += [_line(line, bill, document, language) for line in bill.lines if line not in untaxed]
    parts.append(_sum(say("Net"), language.money(bill.net_eur)))
    parts.append(_vat(bill, document, language))
    parts += [_line(line, bill, document, language) for line in untaxed]
    parts.append(_sum(say("Total"), language.money(row.total_eur), "total"))
    parts.append(f"<h2>{escape(say('Meter readings'))}</h2>")
    parts += [_reading(reading, language, zone) for reading in bill.readings]
    if bill.remarks:
        items = "".join(f"<li>{escape(say(remark))}</li>" for remark in bill.remarks)
        parts.append(f'<h2>{escape(say("Remarks"))}</h2><ul class="soft">{items}</ul>')
    parts.append(_proof(bill, language))
    return "".join(parts)


def _head(bill: BillView, language: Language, zone: ZoneInfo) -> str:
    say, row = language.say, bill.row
    days = round((row.end_utc - row.start_utc) / 86_400)
    span = f"{language.day(row.start_utc, zone)} – {language.day(row.end_utc - 1, zone)}"
    span = say("{span}, {days} days", span=span, days=language.number(days))
    facts = pairs(
        (
            (say("Meter"), escape(str(row.server_id))),
            (say("Period"), f'<span title="{utc_text(row.start_utc)} – {utc_text(row.end_utc)}">{span}</span>'),
            (say("Tariff"), escape(row.tariff)),
            (say("Bill number"), f'<span class="hex">{escape(row.bill_id)}</span>'),
        )
    )
    return (
        f'<div class="paper-head"><div><h1>{escape(say("Electricity bill"))}</h1>'
        f'<p class="lead">{escape(_month(row, language))}</p></div>{facts}</div>'
    )


def _fold(summary: str, derivation: str) -> str:
    return (
        f'<details class="paper-line"><summary>{summary}</summary><div class="derivation">{derivation}</div></details>'
    )


def _line(line: BillLine, bill: BillView, document: BillDocument, language: Language) -> str:
    quantity, price = (escape(localized(text, language)) for text in (line.quantity, line.unit_price))
    amount = language.money(line.amount_eur)
    summary = (
        f'<span><span class="turn"></span>{escape(item_name(line.label, language))}</span>'
        f'<span class="num quantity">{quantity}</span><span class="num price">{price}</span>'
        f'<span class="num">{amount}</span>'
    )
    product = f"{quantity} × {price}" if line.amount_eur >= 0 else f"−({quantity} × {price})"
    derivation = f"<p><strong>{product} = {amount}</strong></p>"
    if line.label == FEED_IN:
        derivation += f"<p>{escape(language.say('Paid for what was exported; no tax is on it.'))}</p>"
    if (energy := document.energy_line(line.label)) is not None:
        derivation += _energy_derivation(energy, bill, language)
    return _fold(summary, derivation)


def _energy_derivation(energy: EnergyLine, bill: BillView, language: Language) -> str:
    """When the price applies, and the quantity day by day down to the readings it lies between."""
    say = language.say
    when = localized_window(", ".join(energy.windows), language) or say("whenever no other price does")
    counted = say(
        "This price applies {when}. The quantity is the sum of {count} quarter hours, each the difference of two"
        " signed readings.",
        when=when,
        count=language.number(energy.quarters),
    )
    rows = [
        (
            part.day.strftime(language.date),
            language.number(part.quarters),
            f"{language.index(part.first_index)} – {language.index(part.last_index)}",
            f"{language.exact(part.energy_kwh)} kWh",
        )
        for part in energy.days
    ]
    rows.append((f"<strong>{escape(say('Sum'))}</strong>", language.number(energy.quarters), "",
                 f"<strong>{language.exact(energy.energy_kwh)} kWh</strong>"))  # fmt: skip
    heads = ((say("Day"), ""), (say("Quarter hours"), "num desk-only"), (say("Readings from – to"), "num"),
             (say("Energy"), "num"))  # fmt: skip
    ways = (
        (f"/meters/{bill.row.server_id.hex()}", say("See the load curve")),
        (f"{bill_url(bill.row.bill_id)}.json", say("Every quarter hour as JSON")),
    )
    links = " · ".join(f'<a class="link" href="{url}">{escape(name)}</a>' for url, name in ways)
    sheet = say("Price sheet {sheet}, SHA-256 {digest}", sheet=energy.sheet, digest=energy.sheet_digest[:16])
    return f'<p>{escape(counted)}</p>{table(heads, rows)}<p>{escape(sheet)}</p><p class="no-print">{links}</p>'


def _sum(name: str, amount: str, kind: str = "") -> str:
    return (
        f'<div class="paper-sum {kind}"><span>{escape(name)}</span><span class="desk-only"></span>'
        f'<span class="desk-only"></span><span class="num">{amount}</span></div>'
    )


def _vat(bill: BillView, document: BillDocument, language: Language) -> str:
    percent = language.quantity(bill.vat_percent, "%", 1 if bill.vat_percent % 1 else 0)
    net, vat = language.money(bill.net_eur), language.money(bill.vat_eur)
    summary = (
        f'<span><span class="turn"></span>{escape(language.say("VAT"))}</span>'
        f'<span class="num quantity">{percent}</span><span class="num price">{net}</span><span class="num">{vat}</span>'
    )
    rounding = language.say(document.rounding) if document.rounding else ""
    return _fold(summary, f"<p><strong>{net} × {percent} = {vat}</strong></p><p>{escape(rounding)}</p>")


def _reading(reading: BillReading, language: Language, zone: ZoneInfo) -> str:
    say = language.say
    summary = (
        f'<span><span class="turn"></span>{escape(say(reading.label))}, {language.when(reading.utc, zone)}</span>'
        f'<span class="num quantity">+A {language.quantity(reading.import_kwh, "kWh", 4)}</span>'
        f'<span class="num price">−A {language.quantity(reading.export_kwh, "kWh", 4)}</span>'
        f'<span class="num">{verdict_mark(reading.verdict, language)}</span>'
    )
    return _fold(
        summary,
        pairs(
            (
                (say("Seconds index"), language.index(reading.index)),
                (say("Time in UTC"), f"{utc_text(reading.utc)} {language.uncertainty(reading.uncertainty_s)}"),
                ("+A", f"{language.exact(reading.import_kwh)} kWh"),
                ("−A", f"{language.exact(reading.export_kwh)} kWh"),
                (say("Status word"), f'<span class="hex">{reading.status_word:#x}</span>'),
                (say("Verdict"), verdict_mark(reading.verdict, language)),
                (
                    say("SHA-256 of both signatures"),
                    f'<span class="hex">{escape(hex_groups(reading.signature_digest).lower())}</span>',
                ),
            )
        ),
    )


def _proof(bill: BillView, language: Language) -> str:
    say = language.say
    rows = [
        (say("Quarter hours used"), language.number(bill.intervals)),
        (say("Missing"), language.number(bill.missing)),
        (say("SHA-256 over every reading, key and price"),
         f'<span class="hex">{escape(hex_groups(bill.inputs_digest).lower())}</span>'),
    ]  # fmt: skip
    if bill.key_fingerprint:
        rows.insert(0, (say("Key fingerprint"), f'<span class="hex">{escape(bill.key_fingerprint)}</span>'))
    lead = say("Every figure above follows from signed meter readings. Open a line to see how.")
    return f'<div class="proof"><p class="no-print">{escape(lead)}</p>{pairs(rows)}</div>'


def localized_window(text: str, language: Language) -> str:
    """`Mon–Fri 06:00–22:00` with the language's days."""
    for day in ALL_WEEK:
        text = text.replace(day, language.say(day))
    return text


STANDING_CHARGE: Final = "Standing charge"


def item_name(label: str, language: Language) -> str:
    """A line's label with its fixed words translated; names of zones and tariffs stay."""
    rest = label.removeprefix(STANDING_CHARGE)
    return language.say(label) if rest == label else language.say(STANDING_CHARGE) + rest


def localized(text: str, language: Language) -> str:
    """A quantity or price such as `123.456 kWh` with the language's separators; other words stay."""
    words = []
    for word in text.split(" "):
        digits = word.removeprefix("-").replace(".", "", 1)
        if digits.isascii() and digits.isdigit():
            whole, _, decimals = word.removeprefix("-").partition(".")
            grouped = f"{int(whole):,}".replace(",", language.thousands)
            sign = "−" if word.startswith("-") else ""
            words.append(sign + grouped + (language.point + decimals if decimals else ""))
        else:
            words.append(language.say(word))
    return " ".join(words)
