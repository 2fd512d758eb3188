"""Bills as the station keeps them: finds finished months, gathers the evidence, keeps the documents.

The evidence is read from the archive and verified again for every bill: a bill stands on what
the archive proves now, not on what was once believed.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ..errors import EvidenceError, LocalError
from ..identity import ServerId
from ..link.clock import Clock
from .archive import Archive, signed_tuples
from .billing import Bill, BilledReading, head, make_bill, reading_rows
from .calendar import local_day, midnight_utc, month_bounds, months_between
from .intervals import intervals
from .live import Live
from .proof import make_package
from .roster import Roster
from .store import Store, microseconds
from .tariff import DEFAULT_SHEET, PriceSheet
from .values import ValueState
from .verify import Verdict, Verifier
from .views import BillLine, BillReading, BillRow, BillView

_PAGES: Final = Environment(
    loader=PackageLoader("messwerk.station", "."), autoescape=select_autoescape(), undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


class Invoicing:
    """The bills of one station. Methods take a meter's number in the store."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        archive: Archive,
        live: Live,
        verifier: Verifier,
        clock: Clock,
        zone: ZoneInfo,
    ) -> None:
        self._store, self._roster, self._archive, self._live = store, roster, archive, live
        self._verifier, self._clock, self._zone = verifier, clock, zone

    # --- price sheets ----------------------------------------------------------------------

    def sheets(self) -> tuple[PriceSheet, ...]:
        """The price sheets, oldest first; the default one while none was added."""
        rows = self._store.rows("SELECT sheet FROM price_sheet")
        sheets = [PriceSheet.from_json(text) for (text,) in rows]
        return tuple(sorted(sheets, key=lambda sheet: (sheet.valid_from, sheet.version))) or (DEFAULT_SHEET,)

    def add_sheet(self, sheet: PriceSheet) -> None:
        """Keep a price sheet; the same one again changes nothing."""
        with self._store.transaction() as write:
            write.execute(
                "INSERT INTO price_sheet (digest, sheet, added_us) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (sheet.digest, sheet.to_json(), microseconds(self._clock.utc())),
            )

    # --- making ----------------------------------------------------------------------------

    def make_due(self) -> list[BillRow]:
        """Bills of every finished month whose values are all there and that has none yet."""
        done = {
            (meter_id, month)
            for meter_id, month in self._store.rows("SELECT meter_id, month FROM bill WHERE complete = 1")
        }
        made = []
        for meter in self._roster.meters():
            if not meter.counts.tuples_archived:
                continue
            derived = self._live.state(meter.meter_id).derived()
            if not len(derived.edges):
                continue
            first, last = int(derived.edges.quarter[0]), int(derived.edges.quarter[-1])
            for month in months_between(first, last, self._zone):
                span = self._span(first, month)
                if (meter.meter_id, month) in done or span is None or span[1] > last:
                    continue
                values = intervals(derived.edges, *span)
                if values.count(ValueState.VERIFIED) < len(values):
                    continue
                bill = self.compute(meter.meter_id, month)
                if bill is not None and bill.complete:
                    made.append(self._keep(meter.meter_id, bill))
        return made

    def _span(self, first_quarter: int, month: str) -> tuple[int, int] | None:
        """What of a month is billed: from the first whole local day with readings; None for no day."""
        start, end = month_bounds(month, self._zone)
        first_day = local_day(first_quarter - 1, self._zone) + dt.timedelta(days=1)
        start = max(start, midnight_utc(first_day, self._zone))
        return (start, end) if start < end else None

    def make(self, meter_id: int, month: str) -> BillView:
        """The bill of one month, kept also where values are missing. Raises LocalError without any reading."""
        bill = self.compute(meter_id, month)
        if bill is None:
            raise LocalError(f"no day of {month} is covered by readings of this meter")
        return self.view(self._keep(meter_id, bill).bill_id)

    def compute(self, meter_id: int, month: str) -> Bill | None:
        """The bill of one month from the archive; None where the meter has no whole day in it.

        A meter first read within the month is billed from its first whole local day.
        """
        edges = self._live.state(meter_id).derived().edges
        span = self._span(int(edges.quarter[0]), month) if len(edges) else None
        if span is None:
            return None
        readings = self._evidence(meter_id, *span)
        return make_bill(self._roster.meter(meter_id).server_id, month, *span, readings, self.sheets())

    def _evidence(self, meter_id: int, start: int, end: int) -> list[BilledReading]:
        """The signed readings on the span's quarter hours, read from the archive and verified now."""
        found = self._live.state(meter_id).derived().edges
        inside = np.flatnonzero(
            (found.quarter >= start) & (found.quarter <= end) & found.readings.signed & ~found.vague
        )
        indices = found.readings.index[inside].tolist()
        if not indices:
            return []
        signed = signed_tuples(self._archive.rows(meter_id, indices[0], indices[-1], only=indices))
        place_of = dict(zip(indices, inside.tolist(), strict=True))
        keys = self._roster.keys(meter_id)
        readings = []
        for one, judgement in zip(signed, self._verifier.judge_all([(one, keys) for one in signed]), strict=True):
            place = place_of[one.index]
            readings.append(
                BilledReading(
                    quarter_utc=int(found.quarter[place]), utc=float(found.utc[place]),
                    uncertainty_s=float(found.uncertainty_s[place]), signed=one,
                    key_fingerprint=judgement.key.key.fingerprint if judgement.key else "",
                    verdict="valid" if judgement.verdict is Verdict.VALID else judgement.reason,
                    disputed=bool(found.readings.disputed[place]),
                )
            )  # fmt: skip
        return readings

    def _keep(self, meter_id: int, bill: Bill) -> BillRow:
        document = head(bill)
        readings = zlib.compress(json.dumps(reading_rows(bill), separators=(",", ":")).encode())
        with self._store.transaction() as write:
            write.execute(
                "INSERT INTO bill (bill_id, meter_id, month, inputs_digest, complete, head, readings, made_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (bill.bill_id, meter_id, bill.month, bill.inputs_digest, bill.complete, json.dumps(document), readings,
                 microseconds(self._clock.utc())),
            )  # fmt: skip
        return _row(document)

    # --- reading ---------------------------------------------------------------------------

    def rows(self) -> list[BillRow]:
        """All bills, newest month first."""
        rows = self._store.rows("SELECT head FROM bill ORDER BY month DESC, bill_id")
        return [_row(json.loads(text)) for (text,) in rows]

    def _document(self, bill_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        row = self._store.one("SELECT head, readings FROM bill WHERE bill_id = ?", (bill_id,))
        if row is None:
            raise LocalError(f"no bill {bill_id!r}: `messwerk station bills` lists the ones made")
        return json.loads(row[0]), json.loads(zlib.decompress(row[1]))

    def view(self, bill_id: str) -> BillView:
        """One bill for a page. Raises LocalError for an unknown one."""
        document, _ = self._document(bill_id)
        lines = [*document["lines"], *([document["feed_in"]] if document["feed_in"] else [])]
        return BillView(
            row=_row(document),
            lines=tuple(
                BillLine(
                    label=line["label"], quantity=f"{line['quantity']} {line['unit']}",
                    unit_price=f"{line['unit_price']} {line['price_unit']}",
                    amount_eur=Decimal(line["amount_eur"]) * (-1 if line is document["feed_in"] else 1),
                )
                for line in lines
            ),
            net_eur=Decimal(document["net_eur"]), vat_percent=Decimal(document["vat_percent"]),
            vat_eur=Decimal(document["vat_eur"]),
            readings=tuple(
                _reading(label, document[f"{label}_reading"])
                for label in ("start", "end") if document[f"{label}_reading"]
            ),
            key_fingerprint=", ".join(document["keys"]) or None, inputs_digest=document["inputs_digest"],
            intervals=document["quarter_hours"], missing=len(document["missing"]), remarks=tuple(document["remarks"]),
        )  # fmt: skip

    def json(self, bill_id: str) -> str:
        """The whole document: head and every reading."""
        document, readings = self._document(bill_id)
        return json.dumps({**document, "readings": readings}, indent=1)

    def html(self, bill_id: str) -> str:
        """The bill as a page that prints on A4."""
        document, readings = self._document(bill_id)
        return _PAGES.get_template("bill.html").render(
            bill=document, days=_days(document, readings, self._zone), number=_number, moment=_moment
        )

    def proof(self, bill_id: str) -> bytes:
        """The proof package of a bill, made from the archive as it is now.

        Raises EvidenceError when the archive no longer gives this bill.
        """
        document, _ = self._document(bill_id)
        meter_id = self._roster.require(bytes.fromhex(document["server_id"]))
        bill = self.compute(meter_id, document["month"])
        if bill is None or bill.inputs_digest != document["inputs_digest"]:
            raise EvidenceError(f"the archive no longer gives bill {bill_id}: run `messwerk station check`")
        points = [point for point, _, _ in self._live.state(meter_id).derived().model.residuals()]
        return make_package(bill, self.html(bill_id), self._roster.keys(meter_id), points)


def _row(document: Mapping[str, Any]) -> BillRow:
    return BillRow(
        bill_id=document["bill_id"], server_id=ServerId(bytes.fromhex(document["server_id"])), month=document["month"],
        start_utc=document["start_utc"], end_utc=document["end_utc"], from_local=document["from"],
        to_local=document["to"], energy_kwh=Decimal(document["energy_kwh"]), total_eur=Decimal(document["total_eur"]),
        tariff=", ".join(f"{sheet['name']} {sheet['version']}" for sheet in document["tariff"]),
        complete=document["complete"],
    )  # fmt: skip


def _reading(label: str, row: Mapping[str, Any]) -> BillReading:
    return BillReading(
        label=label, index=row["index"], utc=row["utc"], uncertainty_s=row["uncertainty_s"],
        import_kwh=Decimal(row["import_kwh"]), export_kwh=Decimal(row["export_kwh"]),
        status_word=int(row["status"], 16), verdict=row["verdict"], signature_digest=row["signature_digest"],
    )  # fmt: skip


def _days(document: Mapping[str, Any], readings: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> list[dict[str, Any]]:
    """The bill's derivation by local day: energy of each zone, and the readings it lies between."""
    missing = set(document["missing"])
    days: dict[dt.date, dict[str, Any]] = {}
    for first, last in pairwise(readings):
        start = first["quarter_utc"]
        if last["quarter_utc"] - start != 900 or first["zone"] is None:
            continue
        if dt.datetime.fromtimestamp(start, zone).isoformat() in missing:
            continue
        day = days.setdefault(
            local_day(start, zone), {"zones": {}, "quarters": 0, "first": first, "energy": Decimal(0), "last": last}
        )
        energy = Decimal(last["import_kwh"]) - Decimal(first["import_kwh"])
        day["zones"][first["zone"]] = day["zones"].get(first["zone"], Decimal(0)) + energy
        day["energy"] += energy
        day["quarters"] += 1
        day["last"] = last
    return [{"day": day.isoformat(), **row} for day, row in sorted(days.items())]


def _number(value: str | Decimal, digits: int | None = None) -> str:
    """A number with thousands separated by a thin space."""
    amount = Decimal(value)
    return f"{amount:,}".replace(",", "\u202f") if digits is None else f"{amount:,.{digits}f}".replace(",", "\u202f")


def _moment(utc: float) -> str:
    """To the nearest second; the bill's JSON has the exact estimate."""
    return dt.datetime.fromtimestamp(round(utc), dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
