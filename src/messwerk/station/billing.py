"""The bill of one meter and month, computed from signed readings and price sheets alone.

Pure: no store, no clock, no archive. Whoever has the readings with their signatures, the keys
and the price sheets computes the same bill to the cent, and the same digest of its inputs.

Energy is an exact integer of 0.1 Wh. Each line's amount is rounded to the cent half up
(kaufmännisch), tax once on the net sum; nothing else is rounded.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from ..errors import LocalError
from ..identity import ServerId
from ..tuples import HASH_LAYOUT, SignedTuple
from .calendar import QUARTER_S, local_day, midnight_utc
from .intervals import TOLERANCE_S, tenths
from .tariff import PriceSheet, sheet_for
from .verify import signature_digest

FORMAT: Final = "messwerk bill 1"
CENT: Final = Decimal("0.01")
ROUNDING: Final = "each line half up to the cent, tax once on the net sum"


@dataclass(frozen=True, slots=True)
class BilledReading:
    """A signed reading on a quarter hour, with everything a bill says about it."""

    quarter_utc: int
    utc: float
    uncertainty_s: float
    signed: SignedTuple
    key_fingerprint: str
    verdict: str
    """`valid`, or why it may not be used."""
    disputed: bool = False

    @property
    def import_tenths(self) -> int:
        """+A in 0.1 Wh, truncated toward zero where the meter is finer."""
        return tenths(self.signed.import_wh, self.signed.scaler)

    @property
    def export_tenths(self) -> int:
        """-A in 0.1 Wh."""
        return tenths(self.signed.export_wh, self.signed.scaler)

    @property
    def usable(self) -> bool:
        """Whether a bill may stand on it."""
        return self.verdict == "valid" and not self.disputed

    @property
    def signature_digest(self) -> str:
        """SHA-256 over both signatures, hex."""
        return signature_digest(self.signed.signature_import, self.signed.signature_export)


@dataclass(frozen=True, slots=True)
class Line:
    """One priced quantity."""

    label: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    """In `price_unit`, net."""
    price_unit: str
    amount_eur: Decimal
    quarters: int
    """Quarter hours the quantity is the sum of; 0 for charges by the day."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one meter owes for one month, and what that stands on."""

    server_id: ServerId
    month: str
    start_utc: int
    end_utc: int
    lines: tuple[Line, ...]
    net_eur: Decimal
    vat_percent: Decimal
    vat_eur: Decimal
    feed_in: Line | None
    total_eur: Decimal
    import_tenths: int
    export_tenths: int
    quarters: int
    missing: tuple[int, ...]
    """Starts of the quarter hours without usable value. [UTC s]"""
    readings: tuple[BilledReading, ...]
    sheets: tuple[PriceSheet, ...]
    remarks: tuple[str, ...]
    inputs_digest: str

    @property
    def complete(self) -> bool:
        """Whether every quarter hour has a proven value: otherwise this is no bill."""
        return not self.missing and self.quarters > 0

    @property
    def bill_id(self) -> str:
        """Month, meter and inputs: the same inputs are the same bill."""
        return f"{self.month}-{self.server_id.hex()}-{self.inputs_digest[:8]}"

    @property
    def energy_kwh(self) -> Decimal:
        """Import of the span."""
        return _kwh(self.import_tenths)


def make_bill(
    server_id: bytes,
    month: str,
    start_utc: int,
    end_utc: int,
    readings: Sequence[BilledReading],
    sheets: Sequence[PriceSheet],
) -> Bill:
    """Compute the bill of [start, end), local midnights, from readings on its quarter hours.

    Each quarter hour with usable readings at both edges counts into the zone its start lies in;
    the others are listed as missing. Raises LocalError without price sheet or with a span that
    is no row of local days.
    """
    sheets = tuple(sorted(sheets, key=lambda sheet: (sheet.valid_from, sheet.version, sheet.digest)))
    by_quarter = {reading.quarter_utc: reading for reading in readings}
    kept = tuple(by_quarter[q] for q in sorted(by_quarter) if start_utc <= q <= end_utc)
    lines: list[Line] = []
    missing: list[int] = []
    import_tenths = export_tenths = 0
    used: list[PriceSheet] = []
    for sheet, first, last in _spans(sheets, start_utc, end_utc):
        used.append(sheet)
        energy, quarters = [0] * len(sheet.zones), [0] * len(sheet.zones)
        zones = sheet.zone_of(first, last).tolist()
        for start, zone in zip(range(first, last, QUARTER_S), zones, strict=True):
            value = _value(by_quarter.get(start), by_quarter.get(start + QUARTER_S))
            if value is None:
                missing.append(start)
                continue
            energy[zone] += value[0]
            quarters[zone] += 1
            import_tenths += value[0]
            export_tenths += value[1]
        lines += [
            _energy_line(f"{zone.name} {sheet.name} {sheet.version}", amount, zone.price_ct_per_kwh, count)
            for zone, amount, count in zip(sheet.zones, energy, quarters, strict=True)
        ]
        days = (local_day(last - 1, sheet.zone_info) - local_day(first, sheet.zone_info)).days + 1
        lines.append(_standing_line(sheet, days))
    latest = used[-1]
    net_eur = sum((line.amount_eur for line in lines), Decimal(0))
    vat_eur = (net_eur * latest.vat_percent / 100).quantize(CENT, ROUND_HALF_UP)
    feed_in = None
    if export_tenths and latest.feed_in_ct_per_kwh:
        feed_in = _energy_line("Feed-in", export_tenths, latest.feed_in_ct_per_kwh, 0)
    quarters_all = (end_utc - start_utc) // QUARTER_S
    return Bill(
        server_id=ServerId(server_id), month=month, start_utc=start_utc, end_utc=end_utc, lines=tuple(lines),
        net_eur=net_eur, vat_percent=latest.vat_percent, vat_eur=vat_eur, feed_in=feed_in,
        total_eur=net_eur + vat_eur - (feed_in.amount_eur if feed_in else Decimal(0)),
        import_tenths=import_tenths, export_tenths=export_tenths, quarters=quarters_all, missing=tuple(missing),
        readings=kept, sheets=tuple(used),
        remarks=_remarks(by_quarter, start_utc, end_utc, import_tenths, missing, quarters_all),
        inputs_digest=inputs_digest(server_id, month, start_utc, end_utc, kept, used),
    )  # fmt: skip


def _spans(sheets: Sequence[PriceSheet], start_utc: int, end_utc: int) -> list[tuple[PriceSheet, int, int]]:
    """Each price sheet in force, with the span of local days it covers."""
    if not sheets:
        raise LocalError("there is no price sheet: add one before billing")
    zone = sheets[-1].zone_info
    day, last = local_day(start_utc, zone), local_day(end_utc - 1, zone)
    midnights = midnight_utc(day, zone), midnight_utc(local_day(end_utc, zone), zone)
    if start_utc >= end_utc or midnights != (start_utc, end_utc):
        raise LocalError(f"a bill runs from a local midnight to a later one in {zone.key}")
    spans: list[tuple[PriceSheet, int, int]] = []
    while day <= last:
        sheet, first = sheet_for(tuple(sheets), day), midnight_utc(day, zone)
        after = midnight_utc(day + dt.timedelta(days=1), zone)
        if spans and spans[-1][0] == sheet:
            spans[-1] = (sheet, spans[-1][1], after)
        else:
            spans.append((sheet, first, after))
        day += dt.timedelta(days=1)
    return spans


def _value(first: BilledReading | None, last: BilledReading | None) -> tuple[int, int] | None:
    """Import and export of a quarter hour in 0.1 Wh; None where it may not be billed."""
    if first is None or last is None or not first.usable or not last.usable:
        return None
    energy = [after - before for after, before in zip(_registers(last), _registers(first), strict=True)]
    stray_s = abs(last.utc - first.utc - QUARTER_S)
    if min(energy) < 0 or last.signed.index <= first.signed.index or stray_s > TOLERANCE_S:
        return None
    return energy[0], energy[1]


def _registers(reading: BilledReading) -> list[int]:
    """All six in 0.1 Wh and 0.1 varh, import and export first."""
    signed = reading.signed
    raw = (signed.import_wh, signed.export_wh, signed.r1_varh, signed.r2_varh, signed.r3_varh, signed.r4_varh)
    return [tenths(value, signed.scaler) for value in raw]


def _energy_line(label: str, energy: int, price_ct: Decimal, quarters: int) -> Line:
    amount = (_kwh(energy) * price_ct / 100).quantize(CENT, ROUND_HALF_UP)
    return Line(label, _kwh(energy), "kWh", price_ct, "ct/kWh", amount, quarters)


def _standing_line(sheet: PriceSheet, days: int) -> Line:
    amount = (sheet.standing_charge_eur_per_day * days).quantize(CENT, ROUND_HALF_UP)
    label = f"Standing charge {sheet.name} {sheet.version}"
    return Line(label, Decimal(days), "days", sheet.standing_charge_eur_per_day, "EUR/day", amount, 0)


def _remarks(
    by_quarter: dict[int, BilledReading], start_utc: int, end_utc: int, total: int, missing: list[int], quarters: int
) -> tuple[str, ...]:
    """What a reader must know, and the check that the parts make the whole."""
    remarks = []
    if missing:
        remarks.append(
            f"{len(missing)} of {quarters} quarter hours have no value that can be proven: this is no bill yet"
        )
    first, last = by_quarter.get(start_utc), by_quarter.get(end_utc)
    if first is not None and last is not None and not missing:
        difference = last.import_tenths - first.import_tenths
        same = "equals" if difference == total else f"differs by {total - difference} x 0.1 Wh from"
        remarks.append(f"the sum of the quarter hours {same} the difference of the registers")
    return tuple(remarks)


def inputs_digest(
    server_id: bytes,
    month: str,
    start_utc: int,
    end_utc: int,
    readings: Sequence[BilledReading],
    sheets: Sequence[PriceSheet],
) -> str:
    """SHA-256 over everything the amount depends on, in a stated order.

    That a reading stands on its quarter hour is an input, how exactly its UTC is known is not:
    later sync points sharpen it and the bill stays the same bill.
    """
    digest = hashlib.sha256(f"{FORMAT}|{bytes(server_id).hex()}|{month}|{start_utc}|{end_utc}".encode())
    for sheet in sheets:
        digest.update(f"|sheet {sheet.digest}".encode())
    for reading in readings:
        stated = (
            f"|{reading.quarter_utc} {reading.signed.index} {reading.key_fingerprint} {reading.verdict}"
            f" {reading.disputed} "
        )
        digest.update(stated.encode() + reading.signed.import_block + reading.signed.export_block)
        digest.update(reading.signed.signature_import + reading.signed.signature_export)
    return digest.hexdigest()


# --- documents -----------------------------------------------------------------------------


def head(bill: Bill) -> dict[str, Any]:
    """The bill as JSON, without the table of its readings: what a person reads."""
    zone = bill.sheets[-1].zone_info
    return {
        "format": FORMAT,
        "bill_id": bill.bill_id,
        "meter": str(bill.server_id),
        "server_id": bill.server_id.hex(),
        "month": bill.month,
        "from": _local(bill.start_utc, zone),
        "to": _local(bill.end_utc, zone),
        "start_utc": bill.start_utc,
        "end_utc": bill.end_utc,
        "complete": bill.complete,
        "energy_kwh": str(bill.energy_kwh),
        "export_kwh": str(_kwh(bill.export_tenths)),
        "lines": [_line(line) for line in bill.lines],
        "net_eur": str(bill.net_eur),
        "vat_percent": str(bill.vat_percent),
        "vat_eur": str(bill.vat_eur),
        "feed_in": _line(bill.feed_in) if bill.feed_in else None,
        "total_eur": str(bill.total_eur),
        "rounding": ROUNDING,
        "quarter_hours": bill.quarters,
        "missing": [_local(start, zone) for start in bill.missing],
        "remarks": list(bill.remarks),
        "tariff": [{**json.loads(sheet.to_json()), "digest": sheet.digest} for sheet in bill.sheets],
        "hash_layout": HASH_LAYOUT,
        "keys": sorted({reading.key_fingerprint for reading in bill.readings}),
        "start_reading": _reading(bill.readings[0]) if bill.readings else None,
        "end_reading": _reading(bill.readings[-1]) if bill.readings else None,
        "inputs_digest": bill.inputs_digest,
    }


def reading_rows(bill: Bill) -> list[dict[str, Any]]:
    """Every reading the bill stands on: quarter hour n is the difference of rows n and n + 1."""
    zones: dict[int, str] = {}
    for sheet, first, last in _spans(bill.sheets, bill.start_utc, bill.end_utc):
        names = [sheet.zones[zone].name for zone in sheet.zone_of(first, last).tolist()]
        zones.update(zip(range(first, last, QUARTER_S), names, strict=True))
    return [{**_reading(reading), "zone": zones.get(reading.quarter_utc)} for reading in bill.readings]


def _reading(reading: BilledReading) -> dict[str, Any]:
    signed = reading.signed
    return {
        "quarter_utc": reading.quarter_utc,
        "index": int(signed.index),
        "utc": round(reading.utc, 3),
        "uncertainty_s": round(reading.uncertainty_s, 3),
        "import_kwh": str(_kwh(reading.import_tenths)),
        "export_kwh": str(_kwh(reading.export_tenths)),
        "status": f"{signed.status:08X}",
        "verdict": "disputed" if reading.disputed else reading.verdict,
        "key": reading.key_fingerprint,
        "signature_digest": reading.signature_digest,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "label": line.label,
        "quantity": str(line.quantity),
        "unit": line.unit,
        "unit_price": str(line.unit_price),
        "price_unit": line.price_unit,
        "amount_eur": str(line.amount_eur),
        "quarter_hours": line.quarters,
    }


def _local(utc: int, zone: Any) -> str:
    return dt.datetime.fromtimestamp(utc, zone).isoformat()


def _kwh(energy: int) -> Decimal:
    """0.1 Wh as kWh, exact."""
    return Decimal(energy).scaleb(-4)
