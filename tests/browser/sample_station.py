"""A station made of view dataclasses alone: two meters, a month with flaws, a bill, some events.

Time stands still unless `moving` is set, so that a test knows every figure on every page.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from messwerk.errors import LocalError
from messwerk.identity import DeviceId, ServerId
from messwerk.seconds_index import SecondsIndex
from messwerk.signing import Curve, PrivateKey
from messwerk.station.billing import Bill, BilledReading, head, make_bill, reading_rows
from messwerk.station.tariff import PriceSheet, Window, Zone
from messwerk.station.values import ValueState
from messwerk.station.views import (
    Age,
    BillLine,
    BillReading,
    BillRow,
    BillView,
    Counts,
    EpochView,
    EventView,
    EvidenceView,
    GapView,
    KeyView,
    LoadCurve,
    MeterRow,
    MeterView,
    Overview,
    QuarantineView,
    RegisterView,
    Severity,
    SyncPointView,
    SyncState,
    Verification,
)  # fmt: skip
from messwerk.tuples import STATUS_SOI, SignedTuple

ZONE = ZoneInfo("Europe/Berlin")
NOW = int(datetime(2026, 11, 21, 10, 47, 12, tzinfo=ZONE).timestamp())
MONTH = (datetime(2026, 10, 1, tzinfo=ZONE).timestamp(), datetime(2026, 11, 1, tzinfo=ZONE).timestamp())
HOUSE_ID = DeviceId.parse("1LGZ0063539421")
HOUSE = HOUSE_ID.server_id
WORKSHOP = ServerId.from_mac(bytes.fromhex("0015112_2AABB".replace("_", "")))
SILENT = ServerId.from_mac(bytes.fromhex("00151122AACC"))
KEY = PrivateKey.from_seed(Curve.P256, b"sample station")
INDEX = 14_861_200
SHEET = PriceSheet(
    name="Zweitarif", version="2026-1", valid_from=date(2026, 1, 1),
    zones=(
        Zone(name="HT", price_ct_per_kwh=Decimal("28.90"),
             windows=(Window(days=("Mon", "Tue", "Wed", "Thu", "Fri"), start="06:00", end="22:00"),)),
        Zone(name="NT", price_ct_per_kwh=Decimal("24.10")),
    ),
    standing_charge_eur_per_day=Decimal("0.42"), vat_percent=Decimal("19"), feed_in_ct_per_kwh=Decimal("7.86"),
)  # fmt: skip


def sample_tuple(index: int = INDEX, *, import_wh: int = 41_233_456_7) -> SignedTuple:
    """A tuple whose signatures are real."""
    return SignedTuple.sign(
        KEY, server_id=WORKSHOP, index=SecondsIndex(index), status=STATUS_SOI | 0x1C0104, scaler=-1,
        import_wh=import_wh, export_wh=1_200_003, r1_varh=9_876_543, r2_varh=42, r3_varh=7, r4_varh=220_145,
    )  # fmt: skip


def month_bill() -> Bill:
    """October's bill, made by the station's own rules from readings on every quarter hour."""
    start, end = int(MONTH[0]), int(MONTH[1])
    readings, import_wh, export_wh = [], 399_489_546, 1_100_000
    for at, quarter in enumerate(range(start, end + 900, 900)):
        signed = SignedTuple(
            server_id=WORKSHOP, index=SecondsIndex(11_000_204 + 900 * at), status=STATUS_SOI | 0x1C0104, scaler=-1,
            import_wh=import_wh, export_wh=export_wh, r1_varh=0, r2_varh=0, r3_varh=0, r4_varh=0,
            signature_import=b"\x11" * 64, signature_export=b"\x22" * 64,
        )  # fmt: skip
        readings.append(
            BilledReading(quarter_utc=quarter, utc=quarter + 0.2, uncertainty_s=0.21, signed=signed,
                          key_fingerprint=KEY.public.fingerprint, verdict="valid")
        )  # fmt: skip
        hour = (quarter - start) % 86_400 / 3_600
        import_wh += int(10 * (60 + 640 * _bell(hour * 3_600, 10.5, 4)))
        export_wh += int(10 * 90 * _bell(hour * 3_600, 13))
    return make_bill(WORKSHOP, "2026-10", start, end, readings, [SHEET])


class SampleStation:
    """Answers every question a page asks."""

    def __init__(self, *, moving: bool = False, empty: bool = False) -> None:
        self._started = time.monotonic() if moving else None
        self._empty = empty

    @property
    def _passed(self) -> int:
        return 0 if self._started is None else int(time.monotonic() - self._started)

    def overview(self) -> Overview:
        if self._empty:
            return Overview(
                now_utc=NOW, meters=0, meters_heard=0, counts=Counts(), verified_today=0, intervals=0, gaps=0, alarms=0,
                sync_error_s_max=None, import_w=0.0, export_w=0.0, journal_batches=0, archive_files=0,
                archive_rows_sealed=0, archive_rows_open=0, background_failures=0, events=(),
            )  # fmt: skip
        return Overview(
            now_utc=NOW + self._passed, meters=3, meters_heard=2,
            counts=Counts(tuples_received=38_912, tuples_archived=38_871, signatures_valid=77_822, signatures_invalid=2,
                          tuples_quarantined=1, unsigned_readings=38_833),
            verified_today=12_345 + self._passed, intervals=6_717, gaps=3, alarms=1, sync_error_s_max=0.42,
            import_w=2_480.0 + 90 * math.sin(self._passed), export_w=1_310.0, journal_batches=4, archive_files=62,
            archive_rows_sealed=1_204_881, archive_rows_open=412, background_failures=0, events=tuple(self.events(20)),
        )  # fmt: skip

    def meters(self) -> Sequence[MeterRow]:
        if self._empty:
            return ()
        workshop = MeterRow(
            server_id=WORKSHOP, kind="E750 base module, direct", source="push 127.0.0.1:7260", signed=True,
            key_fingerprint=KEY.public.fingerprint, key_confirmation="taken over from the module",
            last_index=INDEX + self._passed, last_seen_utc=NOW - 1.0 + self._passed, age_s=1.2, age=Age.FRESH,
            power_w=2_480.0, import_kwh=Decimal("41233.4567"), export_kwh=Decimal("120.0003"), intervals=3_358, gaps=2,
            sync_error_s=0.42,
            counts=Counts(tuples_received=38_912, tuples_archived=38_871, signatures_valid=77_822 + 2 * self._passed,
                          signatures_invalid=2, tuples_quarantined=1),
        )  # fmt: skip
        house = MeterRow(
            server_id=HOUSE, kind="base meter", source="optical head tcp://127.0.0.1:7258", signed=False,
            key_fingerprint=None, key_confirmation=None, last_index=3_024_117, last_seen_utc=NOW - 3.0, age_s=3.4,
            age=Age.LATE, power_w=-1_310.0, import_kwh=Decimal("1234.5678"), export_kwh=Decimal("876.1234"),
            intervals=3_359, gaps=1, sync_error_s=0.3, counts=Counts(unsigned_readings=38_833),
        )  # fmt: skip
        silent = replace(
            workshop, server_id=SILENT, last_seen_utc=NOW - 7_300.0, age_s=7_300.0, age=Age.STALE, power_w=None,
            import_kwh=None, export_kwh=None, intervals=0, gaps=0, sync_error_s=None, last_index=None,
            key_fingerprint=None, counts=Counts(tuples_received=12, tuples_waiting=12),
        )  # fmt: skip
        return (workshop, house, silent)

    def meter(self, server_id: ServerId) -> MeterView:
        row = self._row(server_id)
        values = (
            ("1.8.0", "active energy +A", row.import_kwh, "kWh"),
            ("2.8.0", "active energy -A", row.export_kwh, "kWh"),
        )
        registers = [
            RegisterView(obis=f"1-0:{code}*255", name=name, value=value, unit=unit)
            for code, name, value, unit in values
            if value is not None
        ]
        if row.signed and registers:
            registers.append(
                RegisterView(obis="1-0:5.8.0*255", name="reactive energy R1 (quadrant I)", value=Decimal("987.6543"),
                             unit="kvarh")
            )  # fmt: skip
        return MeterView(
            row=row, manufacturer="LGZ", device_class="81 81 C7 82 41 FF" if row.signed else None, firmware="01.02",
            public_key=KEY.public.point.hex(" ", 4).upper() if row.key_fingerprint else None,
            status=("load above start-up", "voltage L1", "voltage L2", "voltage L3"),
            registers=tuple(registers), first_utc=MONTH[0] - 5 * 86_400, last_utc=NOW // 900 * 900, gaps=self._gaps(),
        )  # fmt: skip

    @staticmethod
    def _gaps() -> tuple[GapView, ...]:
        start = int(datetime(2026, 11, 9, 13, 0, tzinfo=ZONE).timestamp())
        return (GapView(start_utc=start, end_utc=start + 20 * 900, intervals=20),)

    def _row(self, server_id: ServerId) -> MeterRow:
        for row in self.meters():
            if row.server_id == server_id:
                return row
        raise LocalError(f"no meter {server_id}")

    def load_curve(self, server_id: ServerId, start_utc: int, end_utc: int) -> LoadCurve:
        starts = tuple(range(start_utc, min(end_utc, NOW // 900 * 900), 900))
        states = [self._state(start, signed=self._row(server_id).signed) for start in starts]
        sun = [_bell((start - start_utc) % 86_400, 12.5) for start in starts]
        net = [
            600 + 300 * math.sin(start / 5_000) + 2_600 * _bell((start - start_utc) % 86_400, 9.5, 1.6)
            + 900 * _bell((start - start_utc) % 86_400, 19) - 4_200 * light * (0.55 + 0.45 * math.sin(start / 260_000))
            for start, light in zip(starts, sun, strict=True)
        ]  # fmt: skip
        present = [state is not ValueState.MISSING for state in states]
        return LoadCurve(
            server_id=server_id, resolution_s=900, start_utc=starts,
            import_w=tuple(max(0.0, watts) if there else None for watts, there in zip(net, present, strict=True)),
            export_w=tuple(max(0.0, -watts) if there else None for watts, there in zip(net, present, strict=True)),
            state=tuple(states), gaps=self._gaps(),
        )  # fmt: skip

    def _state(self, start: int, *, signed: bool) -> ValueState:
        gap = self._gaps()[0]
        if gap.start_utc <= start < gap.end_utc:
            return ValueState.MISSING
        if gap.end_utc + 86_400 <= start < gap.end_utc + 86_400 + 30 * 900:
            return ValueState.SUBSTITUTE
        if gap.end_utc + 3 * 86_400 <= start < gap.end_utc + 3 * 86_400 + 12 * 900:
            return ValueState.REFUSED
        if start > NOW - 3_600:
            return ValueState.PRELIMINARY
        return ValueState.VERIFIED if signed else ValueState.UNSIGNED

    def sync_state(self, server_id: ServerId) -> SyncState:
        points = tuple(
            SyncPointView(index=INDEX - 3_600 * at, utc=NOW - 3_600.0 * at, uncertainty_s=0.12 + 0.05 * (at % 3),
                          residual_s=3.1 if at == 40 else 0.08 * math.sin(at * 1.7), used=at != 40, source="pull")
            for at in range(119, -1, -1)
        )  # fmt: skip
        return SyncState(
            server_id=server_id, index_now=INDEX + self._passed, uncertainty_now_s=0.14, last_sync_utc=NOW - 12.0,
            edge_error_s_max=0.42, phase_error_s=0.37,
            epochs=(
                EpochView(first_index=11_000_000, start_utc=NOW - 70 * 3_600.0, reason="first contact", drift_ppm=17.8,
                          points=50),
                EpochView(first_index=INDEX - 40 * 3_600, start_utc=NOW - 40 * 3_600.0, reason="power returned",
                          drift_ppm=18.1, points=70),
            ), points=points,
        )  # fmt: skip

    def verification(self, server_id: ServerId) -> Verification:
        row = self._row(server_id)
        if not row.signed:
            return Verification(server_id=server_id, counts=row.counts, hash_layout="FNN-BZ-RLM-96", keys=(), latest=(),
                                quarantine=())  # fmt: skip
        newest = self._evidence(sample_tuple(INDEX + self._passed), "valid")
        bad = self._evidence(sample_tuple(INDEX - 500, import_wh=1), "bad signature")
        kept = QuarantineView(
            index=bad.index, received_utc=NOW - 500.0, verdict="bad signature",
            reason="import group: signature does not fit key and content <b>", evidence=bad,
        )  # fmt: skip
        key = KeyView(curve="secp256r1", fingerprint=KEY.public.fingerprint, public_key=KEY.public.point.hex(),
                      confirmation="taken over from the module", accepted=True, since_utc=MONTH[0])  # fmt: skip
        return Verification(server_id=server_id, counts=row.counts, hash_layout="FNN-BZ-RLM-96", keys=(key,),
                            latest=(newest,), quarantine=(kept,))  # fmt: skip

    @staticmethod
    def _evidence(signed: SignedTuple, verdict: str) -> EvidenceView:
        return EvidenceView(
            index=signed.index, utc=NOW - 1.0, uncertainty_s=0.14, received_utc=NOW - 0.6, status_word=signed.status,
            status=("start of interval", "load above start-up"),
            registers=(
                RegisterView(obis="1-0:1.8.0*255", name="active energy +A", unit="kWh",
                             value=Decimal(signed.import_wh).scaleb(signed.scaler - 3)),
                RegisterView(obis="1-0:2.8.0*255", name="active energy -A", unit="kWh",
                             value=Decimal(signed.export_wh).scaleb(signed.scaler - 3)),
            ),
            import_block=signed.import_block.hex(), export_block=signed.export_block.hex(),
            signature_import=signed.signature_import.hex(), signature_export=signed.signature_export.hex(),
            verdict=verdict, key_fingerprint=KEY.public.fingerprint,
        )  # fmt: skip

    def bills(self) -> Sequence[BillRow]:
        return () if self._empty else (self.bill(BILL.bill_id).row,)

    def bill(self, bill_id: str) -> BillView:
        if bill_id != BILL.bill_id:
            raise LocalError(f"no bill {bill_id}")
        document = head(BILL)
        row = BillRow(
            bill_id=bill_id, server_id=WORKSHOP, month=BILL.month, start_utc=BILL.start_utc, end_utc=BILL.end_utc,
            from_local=document["from"], to_local=document["to"], energy_kwh=BILL.energy_kwh, total_eur=BILL.total_eur,
            tariff=f"{SHEET.name} {SHEET.version}", complete=BILL.complete,
        )  # fmt: skip
        assert BILL.feed_in is not None
        lines = [
            BillLine(label=line.label, quantity=f"{line.quantity} {line.unit}",
                     unit_price=f"{line.unit_price} {line.price_unit}",
                     amount_eur=-line.amount_eur if line is BILL.feed_in else line.amount_eur)
            for line in (*BILL.lines, BILL.feed_in)
        ]  # fmt: skip
        readings = tuple(
            BillReading(label=label, index=reading.signed.index, utc=reading.utc, uncertainty_s=reading.uncertainty_s,
                        import_kwh=Decimal(reading.import_tenths).scaleb(-4),
                        export_kwh=Decimal(reading.signed.export_wh).scaleb(-4), status_word=reading.signed.status,
                        verdict="valid", signature_digest=reading.signature_digest)
            for label, reading in (("start", BILL.readings[0]), ("end", BILL.readings[-1]))
        )  # fmt: skip
        return BillView(
            row=row, lines=tuple(lines), net_eur=BILL.net_eur, vat_percent=BILL.vat_percent, vat_eur=BILL.vat_eur,
            readings=readings, key_fingerprint=KEY.public.fingerprint, inputs_digest=BILL.inputs_digest,
            intervals=BILL.quarters, missing=len(BILL.missing), remarks=BILL.remarks,
        )  # fmt: skip

    def bill_json(self, bill_id: str) -> str:
        if bill_id != BILL.bill_id:
            raise LocalError(f"no bill {bill_id}")
        return json.dumps({**head(BILL), "readings": reading_rows(BILL)})

    def events(self, limit: int) -> Sequence[EventView]:
        rows = (
            (
                1,
                Severity.ALARM,
                "bad_signature",
                WORKSHOP,
                "signature of #14 860 700 does not fit; the tuple is kept apart",
            ),
            (40, Severity.INFO, "sealed", None, "sealed 38 400 rows into the archive"),
            (310, Severity.WARNING, "pull_failed", SILENT, "no answer from 127.0.0.1:7259 <script>alert(1)</script>"),
            (900, Severity.INFO, "new_meter", WORKSHOP, "a base module appeared with its public key"),
        )
        return [
            EventView(event_id=9 - at, utc=NOW - age, severity=severity, kind=kind, server_id=server_id, text=text,
                      acknowledged=False)
            for at, (age, severity, kind, server_id, text) in enumerate(rows)
        ][:limit]  # fmt: skip


def _bell(second: float, hour: float, width_h: float = 2.4) -> float:
    return math.exp(-(((second / 3_600 - hour) / width_h) ** 2))


BILL = month_bill()
