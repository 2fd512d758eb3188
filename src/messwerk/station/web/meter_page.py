"""One meter: what it reads now, its month, its time, and the evidence for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from nicegui import ui

from ...errors import MesswerkError
from ...identity import ServerId
from ..values import ValueState
from ..views import EvidenceView, KeyView, LoadCurve, MeterView, QuarantineView, RegisterView, SyncState, Verification
from .charts import STATE_NAMES, load_curve_options, month_bounds, residual_options
from .language import Language, hex_groups, utc_text
from .meters_page import AGE_WORDS
from .shell import Live, PanelLink, Text, Visitor, box, figure, frame, link, mark, markup, pairs, sheet, table
from .source import StationViews

SLOW_EVERY_S: Final = 5
"""Time model and verification are read every so many seconds."""
CURVE_EVERY_S: Final = 60
"""The month is drawn anew this often, so that a quarter hour appears within a minute."""
QUARANTINE_SHOWN: Final = 10
UNSIGNED_WORDS: Final = "This interface carries no signature. Its values are shown, and never billed."
BLOCK_PARTS: Final = (
    (14, "server ID"), (4, "seconds index"), (4, "status"), (16, "first register"), (16, "second register"),
    (16, "third register"), (26, "zero"),
)  # fmt: skip
"""Lengths and meaning of the 96 bytes a signature covers."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What changes slowly: the time model and what the signatures say."""

    sync: SyncState
    verification: Verification


def build(
    visitor: Visitor, station: StationViews, panels: Sequence[PanelLink], zone: ZoneInfo, server_id: ServerId
) -> None:
    """Lay the page out and start its timer."""
    language = visitor.language
    say = language.say
    try:
        meter = station.meter(server_id)
        proofs = Proofs(station.sync_state(server_id), station.verification(server_id))
    except (MesswerkError, KeyError):
        with frame(visitor, panels, here="", title=say("Meter")):
            link(say("All meters"), "/meters", "crumb")
            Text("h1", say("This station knows no such meter"))
            Text("p", str(server_id), "lead")
        return
    live, slow = Live(meter), Live(proofs)
    with frame(visitor, panels, here="", title=str(server_id)):
        link(f"‹ {say('All meters')}", "/meters", "crumb")
        _headline(live, language)
        with box("grid"):
            _figures(live, language)
            with sheet(classes="curve-sheet"):
                month = _Month(language, zone, station, meter)
            with sheet(say("Registers"), "span-5"):
                live.html(lambda m: registers_table(m.registers, language))
                Text("h3", say("Status of the last reading"))
                live.html(lambda m: "".join(f'<span class="chip">{escape(say(word))}</span>' for word in m.status))
            with sheet(say("Identity and key"), "span-7"):
                live.html(lambda m: _identity(m, language, zone))
            with sheet(say("Time: from seconds index to UTC"), "span-7"):
                slow.html(lambda p: _sync_pairs(p.sync, language, zone))
                residuals = ui.echart(residual_options(proofs.sync, language, zone)).classes("residual-chart")
                slow.html(lambda p: _epochs(p.sync, language, zone))
            with sheet(say("Verification"), "span-5"):
                slow.html(lambda p: _counts(p.verification, language))
                slow.html(lambda p: _keys(p.verification.keys, language, zone))
            if meter.row.signed:
                with sheet():
                    _evidence(slow, language, zone)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        live.show(station.meter(server_id))
        if ticks % SLOW_EVERY_S == 0:
            slow.show(Proofs(station.sync_state(server_id), station.verification(server_id)))
        if ticks % CURVE_EVERY_S == 0:
            month.draw()
            residuals.options.update(residual_options(slow.snapshot.sync, language, zone))
            residuals.update()

    ui.timer(1.0, tick, immediate=False)


def _headline(live: Live[MeterView], language: Language) -> None:
    say = language.say
    row = live.snapshot.row
    with box("headline"):
        with box():
            Text("h1", str(row.server_id))
            live.text("p", lambda m: " · ".join(filter(None, (say(m.row.kind), m.row.source))), "lead")
        age = live.text("div", lambda m: f"{say('last reading')} {language.age(m.row.age_s)}")
        live.classes(age, lambda m: f"mark age-{m.row.age.value}")
        live.title(age, lambda m: f"{say(AGE_WORDS[m.row.age])} · {utc_text(m.row.last_seen_utc)}")


def _figures(live: Live[MeterView], language: Language) -> None:
    say = language.say

    def direction(meter: MeterView) -> str:
        power = meter.row.power_w
        if power is None:
            return say("no fresh reading")
        return say("export to the grid") if power < 0 else say("import from the grid")

    figure(live, say("Power now"), lambda m: language.power(m.row.power_w), direction,
           tone=lambda m: "export" if (m.row.power_w or 0) < 0 else "")  # fmt: skip
    figure(live, say("Import"), lambda m: language.quantity(m.row.import_kwh, "kWh", 1), lambda _: "+A · 1.8.0")
    figure(live, say("Export"), lambda m: language.quantity(m.row.export_kwh, "kWh", 1), lambda _: "−A · 2.8.0")
    figure(
        live, say("Seconds index"), lambda m: language.index(m.row.last_index),
        lambda m: say("{error} to UTC", error=language.uncertainty(m.row.sync_error_s)),

    )  # fmt: skip


def registers_table(registers: Sequence[RegisterView], language: Language) -> str:
    """OBIS code, meaning, value with every signed digit; markup."""
    say = language.say
    if not registers:
        return f'<div class="empty">{escape(say("No reading yet."))}</div>'
    return table(
        (("OBIS", ""), (say("Register"), ""), (say("Reading"), "num")),
        [
            (
                f'<code class="nowrap">{escape(register.obis)}</code>',
                escape(say(register.name)),
                f"{language.exact(register.value)} {escape(register.unit)}",
            )
            for register in registers
        ],
    )


def _identity(meter: MeterView, language: Language, zone: ZoneInfo) -> str:
    say = language.say
    rows = [(say("Server ID"), f'<span class="hex">{meter.row.server_id.hex(" ").upper()}</span>')]
    rows += [
        (say(name), escape(value))
        for name, value in (
            ("Manufacturer", meter.manufacturer),
            ("Device class", device_class(meter)),
            ("Firmware", meter.firmware),
        )
        if value
    ]
    if meter.first_utc is not None:
        rows.append((say("Values"), f"{language.when(meter.first_utc, zone)} – {language.when(meter.last_utc, zone)}"))
    counted = say("{present} quarter hours, {missing} missing", present=language.number(meter.row.intervals),
                  missing=language.number(meter.row.gaps))  # fmt: skip
    rows.append(("", counted))
    if meter.row.key_fingerprint:
        rows.append((say("Key fingerprint"), f'<span class="hex">{escape(meter.row.key_fingerprint)}</span>'))
        rows.append((say("Confirmation"), escape(say(meter.row.key_confirmation or ""))))
    else:
        rows.append((say("Key"), mark("mark-measured_unsigned", say("none"))))
    if meter.public_key:
        rows.append((say("Public key"), f'<span class="hex">{escape(meter.public_key)}</span>'))
    return pairs(rows)


def device_class(meter: MeterView) -> str | None:
    """What kind of SyM² module it says it is, in words and as sent."""
    return f"{meter.row.kind} ({meter.device_class})" if meter.device_class else None


# --- the month -------------------------------------------------------------------------------------


class _Month:
    """The load curve of one calendar month, with a step to its neighbours."""

    def __init__(self, language: Language, zone: ZoneInfo, station: StationViews, meter: MeterView) -> None:
        self._language, self._zone, self._station = language, zone, station
        self._server_id = meter.row.server_id
        shown = datetime.fromtimestamp(meter.last_utc or meter.row.last_seen_utc or 0, zone)
        self._at = (shown.year, shown.month)
        say = language.say
        with box("sheet-head"):
            self._title = Text("h2", "")
            with box("picks"):
                Text("button", "‹", "pick-one").props(f'aria-label="{say("Month before")}"').on(
                    "click", lambda: self._step(-1)
                )
                Text("button", "›", "pick-one").props(f'aria-label="{say("Month after")}"').on(
                    "click", lambda: self._step(1)
                )
        self._sum = Text("p", "", "soft small")
        self._chart = ui.echart(self._options()).classes("load-chart")
        markup(_legend(language))

    def _curve(self) -> LoadCurve:
        return self._station.load_curve(self._server_id, *month_bounds(*self._at, self._zone))

    def _options(self) -> dict[str, object]:
        curve = self._curve()
        language, say = self._language, self._language.say
        self._title.set_text(say("Load curve, {month}", month=language.month(*self._at)))
        hours = curve.resolution_s / 3600
        energy = [sum(filter(None, watts)) * hours / 1000 for watts in (curve.import_w, curve.export_w)]
        missing = sum(state is ValueState.MISSING for state in curve.state)
        self._sum.set_text(
            say("{count} quarter hours · import {imported} · export {exported} · {missing} missing",
                count=language.number(len(curve.state) - missing), imported=language.quantity(energy[0], "kWh", 1),
                exported=language.quantity(energy[1], "kWh", 1), missing=language.number(missing))
        )  # fmt: skip
        return load_curve_options(curve, language, self._zone)

    def draw(self) -> None:
        """Read the month again and draw it."""
        self._chart.options.update(self._options())
        self._chart.update()

    def _step(self, months: int) -> None:
        year, month = self._at
        years, month0 = divmod(month - 1 + months, 12)
        self._at = (year + years, month0 + 1)
        self.draw()


def _legend(language: Language) -> str:
    marks = (mark(f"mark-{state.value}", language.say(STATE_NAMES[state])) for state in ValueState)
    return f'<div class="legend">{"".join(marks)}</div>'


# --- time ------------------------------------------------------------------------------------------


def _sync_pairs(sync: SyncState, language: Language, zone: ZoneInfo) -> str:
    say = language.say
    phase = language.quantity(sync.phase_error_s, "s", 2)
    return pairs(
        (
            (say("Index expected now"), language.index(sync.index_now)),
            (say("Uncertainty now"), language.uncertainty(sync.uncertainty_now_s)),
            (say("Largest at a quarter hour"), language.uncertainty(sync.edge_error_s_max)),
            (say("Period boundary off the quarter hour"), phase),
            (say("Last sync point"), f'<span title="{utc_text(sync.last_sync_utc)}">'
                                     f"{language.when(sync.last_sync_utc, zone)}</span>"),
        )
    )  # fmt: skip


def _epochs(sync: SyncState, language: Language, zone: ZoneInfo) -> str:
    say = language.say
    return table(
        ((say("Epoch from"), ""), (say("First index"), "num"), (say("Drift"), "num"), (say("Points"), "num"),
         (say("Reason"), "")),
        [
            (
                language.when(epoch.start_utc, zone),
                language.index(epoch.first_index),
                language.quantity(epoch.drift_ppm, "ppm", 1),
                language.number(epoch.points),
                escape(say(epoch.reason)),
            )
            for epoch in sync.epochs[-6:]
        ],
    )  # fmt: skip


# --- verification and evidence ---------------------------------------------------------------------


def _counts(verification: Verification, language: Language) -> str:
    say, number, counts = language.say, language.number, verification.counts
    unsigned = (say("Unsigned readings"), mark("mark-measured_unsigned", number(counts.unsigned_readings)))
    if not (counts.tuples_received or verification.keys):
        return pairs([unsigned]) + f'<p class="soft small">{escape(say(UNSIGNED_WORDS))}</p>'
    rows = [
        (say("Signatures valid"), mark("mark-measured_verified", number(counts.signatures_valid))),
        (say("Signatures invalid"), mark("mark-refused", number(counts.signatures_invalid))
                                    if counts.signatures_invalid else number(0)),
        (say("Signed tuples received"), number(counts.tuples_received)),
        (say("in the archive"), number(counts.tuples_archived)),
        (say("waiting for a key"), number(counts.tuples_waiting)),
        (say("kept apart"), number(counts.tuples_quarantined)),
    ]  # fmt: skip
    if counts.unsigned_readings:
        rows.append(unsigned)
    rows.append((say("Hash layout"), escape(verification.hash_layout)))
    return pairs(rows)


def _keys(keys: Sequence[KeyView], language: Language, zone: ZoneInfo) -> str:
    say = language.say
    parts = []
    for key in keys:
        state = "mark-measured_verified" if key.accepted else "mark-refused"
        parts.append(
            f"<h3>{escape(say('Key'))} {escape(key.curve)}, {language.day(key.since_utc, zone)}</h3>"
            f'<div>{mark(state, key.fingerprint)}</div><div class="soft small">{escape(say(key.confirmation))}</div>'
        )
    return "".join(parts)


def _evidence(slow: Live[Proofs], language: Language, zone: ZoneInfo) -> None:
    """The newest tuple. While somebody has a block open it stands still, so that it can be read."""
    say = language.say
    held = False

    def hold(event: object) -> None:
        nonlocal held
        held = bool(getattr(event, "args", False))

    with box("sheet-head"):
        Text("h2", say("Newest signed tuple"))
        Text("span", say("stands still while opened"), "faint small")
    content = markup(_newest(slow.snapshot.verification.latest[:1], language, zone))
    with box("spaced", "details") as details:
        with box(tag="summary"):
            markup(f'<span class="turn"></span> {escape(say("The hashed bytes and both signatures"))}', "link")
        blocks = markup(_blocks(slow.snapshot.verification.latest[:1], language))
    details.on("toggle", hold, js_handler="(event) => emit(event.target.open)")

    def follow(proofs: Proofs) -> None:
        if not held:
            content.set_content(_newest(proofs.verification.latest[:1], language, zone))
            blocks.set_content(_blocks(proofs.verification.latest[:1], language))

    slow.follow(follow)
    slow.html(lambda p: _quarantine(p.verification.quarantine, language, zone))


def verdict_mark(verdict: str, language: Language) -> str:
    """A verdict in words with its symbol; markup."""
    state = {"valid": ValueState.VERIFIED, "unknown key": ValueState.PRELIMINARY}.get(verdict, ValueState.REFUSED)
    return mark(f"mark-{state.value}", language.say(verdict))


def _newest(latest: Sequence[EvidenceView], language: Language, zone: ZoneInfo) -> str:
    say = language.say
    if not latest:
        return f'<div class="empty">{escape(say("This meter has sent no signed tuple."))}</div>'
    evidence = latest[0]
    rows = [
        (say("Verdict"), verdict_mark(evidence.verdict, language)),
        (say("Seconds index"), language.index(evidence.index)),
        (say("Time"), f'<span title="{utc_text(evidence.utc)}">{language.when(evidence.utc, zone)}</span> '
                      f'<span class="soft">{language.uncertainty(evidence.uncertainty_s)}</span>'),
        (say("Status"), f'<span class="hex">{evidence.status_word:#x}</span> '
                        f'<span class="soft">{escape(", ".join(say(word) for word in evidence.status))}</span>'),
    ]  # fmt: skip
    rows += [
        (say(register.name), f"{language.exact(register.value)} {escape(register.unit)}")
        for register in evidence.registers
    ]
    return pairs(rows)


def _blocks(latest: Sequence[EvidenceView], language: Language) -> str:
    if not latest:
        return ""
    evidence, say = latest[0], language.say
    parts = []
    for title, block, signature in (
        ("+A, R1, R4", evidence.import_block, evidence.signature_import),
        ("−A, R2, R3", evidence.export_block, evidence.signature_export),
    ):
        parts.append(f"<h3>{escape(say('Hashed for {group}: 96 bytes, SHA-256', group=title))}</h3>")
        parts.append(f'<code class="hash">{_annotated(block, language)}</code>')
        parts.append(f"<h3>{escape(say('Signature r, s'))}</h3>")
        half = len(signature) // 2
        parts.append(f'<code class="hash">{hex_groups(signature[:half])}\n{hex_groups(signature[half:])}</code>')
    return "".join(parts)


def _annotated(block: str, language: Language) -> str:
    digits = block.replace(" ", "")
    lines, at = [], 0
    for length, meaning in BLOCK_PARTS:
        octets = digits[2 * at : 2 * (at + length)]
        lines.append(f"{hex_groups(octets, 2).lower()}  <b>{escape(language.say(meaning))}</b>")
        at += length
    return "\n".join(lines)


def _quarantine(kept: Sequence[QuarantineView], language: Language, zone: ZoneInfo) -> str:
    if not kept:
        return ""
    say = language.say
    rows = [
        (
            language.index(item.index),
            language.when(item.received_utc, zone),
            verdict_mark(item.verdict, language),
            escape(item.reason),
        )
        for item in kept[:QUARANTINE_SHOWN]
    ]
    heads = ((say("Seconds index"), "num"), (say("Received"), ""), (say("Verdict"), ""), (say("Reason"), ""))
    return f"<h3>{escape(say('Kept apart and never billed'))}</h3>" + table(heads, rows)
