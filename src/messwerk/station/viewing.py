"""Makes the views: snapshots of what the station knows, for whoever shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Final

import numpy as np

from ..link.clock import Clock
from ..obis import OBIS_NAMES
from ..tuples import EXPORT_REGISTERS, HASH_LAYOUT, IMPORT_REGISTERS, SignedTuple
from .archive import Archive
from .calendar import QUARTER_S
from .events import Events
from .ingest import day_name
from .intervals import Edges, Intervals, intervals, tenths
from .invoicing import Invoicing
from .live import Derived, Live, MeterState, Recent
from .roster import Meter, Roster
from .settings import Settings
from .store import Store
from .timesync import TimeModel
from .values import STATE_CODES, ValueState
from .verify import Verdict, judge
from .views import (
    Age,
    Counts,
    EpochView,
    EvidenceView,
    GapView,
    KeyView,
    LoadCurve,
    MeterRow,
    MeterView,
    Overview,
    QuarantineView,
    RegisterView,
    SyncPointView,
    SyncState,
    Verification,
)

HEARD_WITHIN_S: Final = 60.0
EVENTS_ON_OVERVIEW: Final = 20
EVIDENCE_SHOWN: Final = 20
QUARANTINE_SHOWN: Final = 100
POINTS_SHOWN: Final = 500
CURVE_QUARTERS_MAX: Final = 40_000
"""Quarter hours of one load curve: a year has 35 136."""

STATUS_WORDS: Final = (
    (8, "load above start-up"), (9, "magnetic influence"), (10, "cover opened"), (11, "energy direction -A"),
    (12, "L1 direction -A"), (13, "L2 direction -A"), (14, "L3 direction -A"), (15, "rotating field reversed"),
    (16, "return stop"), (17, "fatal error"), (18, "voltage L1"), (19, "voltage L2"), (20, "voltage L3"),
    (21, "neutral missing"), (22, "start of interval"), (23, "power restored"), (24, "epoch changed"),
    (25, "synchronised"), (26, "profile row lost"), (27, "parameter changed"), (28, "firmware changed"),
    (29, "log overflow"), (30, "self-test fault"), (31, "time base synchronous"), (32, "time base uncertain"),
)  # fmt: skip
"""Bits of the status word in words; bits 0 to 7 only identify the word."""


def status_words(status: int) -> tuple[str, ...]:
    """What a status word says."""
    return tuple(text for bit, text in STATUS_WORDS if status >> bit & 1)


class Viewing:
    """Makes the views of one station. Methods take a meter's number in the store."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        archive: Archive,
        live: Live,
        events: Events,
        invoicing: Invoicing,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store, self._roster, self._archive, self._live = store, roster, archive, live
        self._events, self._invoicing, self._clock, self._settings = events, invoicing, clock, settings

    # --- overview and table ----------------------------------------------------------------

    def overview(self, failures: int) -> Overview:
        """The whole station on one screen."""
        now = self._clock.utc()
        rows = self.meters()
        powers = [row.power_w for row in rows if row.power_w is not None]
        errors = [row.sync_error_s for row in rows if row.sync_error_s is not None]
        files, sealed = self._archive.totals()
        today = self._store.one("SELECT tuples FROM verified_day WHERE day = ?", (day_name(now, self._settings.zone),))
        batches = self._store.one("SELECT count(*) FROM batch WHERE state = 0")
        return Overview(
            now_utc=now,
            meters=len(rows),
            meters_heard=sum(row.age_s is not None and row.age_s <= HEARD_WITHIN_S for row in rows),
            counts=_sum([row.counts for row in rows]),
            verified_today=int(today[0]) if today else 0,
            intervals=sum(row.intervals for row in rows),
            gaps=sum(row.gaps for row in rows),
            alarms=self._events.alarms(),
            sync_error_s_max=max(errors, default=None),
            import_w=sum(power for power in powers if power > 0),
            export_w=-sum(power for power in powers if power < 0),
            journal_batches=int(batches[0]) if batches else 0,
            archive_files=files,
            archive_rows_sealed=sealed,
            archive_rows_open=self._archive.hot_rows(),
            background_failures=failures,
            events=self._events.newest(EVENTS_ON_OVERVIEW),
        )

    def meters(self) -> list[MeterRow]:
        """All meters, by server ID."""
        return [self._row(meter, self._live.state(meter.meter_id)) for meter in self._roster.meters()]

    def _row(self, meter: Meter, state: MeterState) -> MeterRow:
        now, derived, last = self._clock.utc(), state.derived(), state.last
        keys = self._roster.keys(meter.meter_id)
        key = next((key for key in reversed(keys) if key.accepted), keys[-1] if keys else None)
        signed = bool(meter.counts.tuples_archived or keys)
        age_s = max(0.0, now - last.received_utc) if last is not None else None
        age = self._age(age_s, signed)
        return MeterRow(
            server_id=meter.server_id, kind=meter.kind, source=meter.source, signed=signed,
            key_fingerprint=key.key.fingerprint if key else None,
            key_confirmation=key.confirmation if key else None,
            last_index=last.index if last else None, last_seen_utc=last.received_utc if last else None,
            age_s=age_s, age=age, power_w=state.power_w() if age is not Age.STALE else None,
            import_kwh=_kwh(last.values[0]) if last else None, export_kwh=_kwh(last.values[1]) if last else None,
            intervals=derived.present(), gaps=derived.missing(now - self._settings.gap_grace_s),
            sync_error_s=derived.error_s_max, counts=meter.counts,
        )  # fmt: skip

    def _age(self, age_s: float | None, signed: bool) -> Age:
        expected_s = self._settings.expected_interval_s if signed else self._settings.expected_info_s
        if age_s is None or age_s > 10 * expected_s:
            return Age.STALE
        return Age.LATE if age_s > 2 * expected_s else Age.FRESH

    # --- one meter -------------------------------------------------------------------------

    def meter(self, meter_id: int) -> MeterView:
        """What a meter's page starts with."""
        meter, state = self._roster.meter(meter_id), self._live.state(meter_id)
        derived, last = state.derived(), state.last
        keys = [key for key in self._roster.keys(meter_id) if key.accepted] or list(self._roster.keys(meter_id))
        until = self._clock.utc() - self._settings.gap_grace_s
        found = derived.edges
        return MeterView(
            row=self._row(meter, state), manufacturer=meter.manufacturer,
            device_class=meter.device_class.hex(" ").upper() if meter.device_class else None, firmware=meter.firmware,
            public_key=_groups(keys[-1].key.point) if keys else None,
            status=status_words(last.status) if last else (),
            registers=_registers(last) if last else (),
            first_utc=float(found.quarter[0]) if len(found) else None,
            last_utc=float(found.quarter[-1]) if len(found) else None,
            gaps=_gaps(derived, until),
        )  # fmt: skip

    def load_curve(self, meter_id: int, start_utc: int, end_utc: int) -> LoadCurve:
        """Mean power of every quarter hour within [start, end); at most `CURVE_QUARTERS_MAX`, the newest.

        What has not ended yet, or may still be on its way, is not part of it: only what is overdue is missing.
        """
        edges = self._live.state(meter_id).derived().edges
        end_utc = min(end_utc, self._due_utc(edges))
        start_utc = max(start_utc, end_utc - CURVE_QUARTERS_MAX * QUARTER_S)
        found = intervals(edges, int(start_utc), max(int(start_utc), int(end_utc)))
        states = tuple(STATE_CODES[code] for code in found.state.tolist())
        # 0.1 Wh in a quarter hour are 0.4 W.
        power = [
            tuple(
                None if state in (ValueState.MISSING, ValueState.REFUSED) else tenth * 0.4
                for tenth, state in zip(found.energy[:, column].tolist(), states, strict=True)
            )
            for column in (0, 1)
        ]
        return LoadCurve(
            server_id=self._roster.meter(meter_id).server_id, resolution_s=QUARTER_S,
            start_utc=tuple(found.start_utc.tolist()), import_w=power[0], export_w=power[1], state=states,
            gaps=_runs(found),
        )  # fmt: skip

    def _due_utc(self, edges: Edges) -> int:
        """End of the last quarter hour that has a value, or should have one by now."""
        overdue = int(self._clock.utc() - self._settings.gap_grace_s) // QUARTER_S * QUARTER_S
        return max(overdue, int(edges.quarter[-1]) if len(edges) else 0)

    def sync_state(self, meter_id: int) -> SyncState:
        """What is known of a meter's time."""
        state, now = self._live.state(meter_id), self._clock.utc()
        derived = state.derived()
        model = derived.model
        index_now = model.index_at(now)
        rows = model.residuals()
        used = [point for point, _, taken in rows if taken]
        return SyncState(
            server_id=self._roster.meter(meter_id).server_id,
            index_now=index_now,
            uncertainty_now_s=float(model.utc_of([index_now])[1][0]) if index_now is not None else None,
            last_sync_utc=used[-1].utc if used else None,
            edge_error_s_max=derived.error_s_max,
            phase_error_s=state.phase_error_s(),
            epochs=_epochs(model),
            points=tuple(
                SyncPointView(
                    index=point.index, utc=point.utc, uncertainty_s=point.uncertainty_s,
                    residual_s=0.0 if np.isnan(residual) else residual, used=taken, source=point.source,
                )
                for point, residual, taken in rows[-POINTS_SHOWN:]
            ),
        )  # fmt: skip

    # --- evidence --------------------------------------------------------------------------

    def verification(self, meter_id: int) -> Verification:
        """Counts, keys, newest tuples, quarantine."""
        meter, state = self._roster.meter(meter_id), self._live.state(meter_id)
        model = state.derived().model
        newest = sorted((r for r in state.recent if r.signed is not None), key=lambda r: -r.index)[:EVIDENCE_SHOWN]
        keys = self._roster.keys(meter_id)
        latest = []
        for recent in newest:
            assert recent.signed is not None
            judgement = judge(recent.signed, keys)
            fingerprint = judgement.key.key.fingerprint if judgement.key else None
            latest.append(_evidence(recent.signed, recent.received_utc, model, judgement.verdict.value, fingerprint))
        return Verification(
            server_id=meter.server_id, counts=meter.counts, hash_layout=HASH_LAYOUT,
            keys=tuple(
                KeyView(
                    curve=key.key.curve.value, fingerprint=key.key.fingerprint, public_key=_groups(key.key.point),
                    confirmation=key.confirmation, accepted=key.accepted, since_utc=key.since_utc,
                )
                for key in keys
            ),
            latest=tuple(latest), quarantine=self._quarantine(meter, model),
        )  # fmt: skip

    def _quarantine(self, meter: Meter, model: TimeModel) -> tuple[QuarantineView, ...]:
        rows = self._store.rows(
            "SELECT received_us, verdict, reason, idx, status, scaler, import_wh, export_wh, r1_varh, r2_varh, r3_varh,"
            " r4_varh, signature_import, signature_export FROM quarantine WHERE meter_id = ?"
            " ORDER BY quarantine_id DESC LIMIT ?",
            (meter.meter_id, QUARANTINE_SHOWN),
        )
        shown = []
        for received_us, verdict, reason, idx, status, scaler, import_wh, export_wh, r1, r2, r3, r4, one, two in rows:
            signed = SignedTuple(
                server_id=bytes(meter.server_id), index=idx, status=status & (1 << 64) - 1, scaler=scaler,
                import_wh=import_wh, export_wh=export_wh, r1_varh=r1, r2_varh=r2, r3_varh=r3, r4_varh=r4,
                signature_import=one, signature_export=two,
            )  # fmt: skip
            evidence = _evidence(signed, received_us / 1e6, model, Verdict(verdict).value, None)
            shown.append(
                QuarantineView(
                    index=idx, received_utc=received_us / 1e6, verdict=verdict, reason=reason, evidence=evidence
                )
            )
        return tuple(shown)


# --- parts ---------------------------------------------------------------------------------


def _sum(counts: Sequence[Counts]) -> Counts:
    names = [entry.name for entry in fields(Counts)]
    return Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})


def _kwh(energy: int) -> Decimal:
    return Decimal(energy).scaleb(-4)


def _groups(octets: bytes) -> str:
    """Hex in groups of four, as printed on plates."""
    digits = octets.hex().upper()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def _register_rows(values: Sequence[int]) -> tuple[RegisterView, ...]:
    """Values in the order of `intervals.REGISTERS`, in 0.1 Wh and 0.1 varh."""
    import_a, r1, r4 = IMPORT_REGISTERS
    export_a, r2, r3 = EXPORT_REGISTERS
    return tuple(
        RegisterView(obis=str(code), name=OBIS_NAMES[bytes(code)], value=_kwh(value), unit=unit)
        for code, value, unit in zip(
            (import_a, export_a, r1, r2, r3, r4), values, ("kWh", "kWh", *["kvarh"] * 4), strict=True
        )
    )


def _registers(recent: Recent) -> tuple[RegisterView, ...]:
    rows = _register_rows(recent.values)
    if recent.signed is None and not any(recent.values[2:]):
        return rows[:2]  # an INFO interface without reactive registers
    return rows


def _evidence(
    signed: SignedTuple, received_utc: float, model: TimeModel, verdict: str, fingerprint: str | None
) -> EvidenceView:
    utc, uncertainty = (float(column[0]) for column in model.utc_of([signed.index]))
    known = bool(model)
    registers = (signed.import_wh, signed.export_wh, signed.r1_varh, signed.r2_varh, signed.r3_varh, signed.r4_varh)
    return EvidenceView(
        index=signed.index, utc=utc if known else None, uncertainty_s=uncertainty if known else None,
        received_utc=received_utc, status_word=signed.status, status=status_words(signed.status),
        registers=_register_rows([tenths(raw, signed.scaler) for raw in registers]),
        import_block=signed.import_block.hex(), export_block=signed.export_block.hex(),
        signature_import=signed.signature_import.hex(), signature_export=signed.signature_export.hex(),
        verdict=verdict, key_fingerprint=fingerprint,
    )  # fmt: skip


def _runs(found: Intervals) -> tuple[GapView, ...]:
    return tuple(
        GapView(start_utc=start, end_utc=end, intervals=(end - start) // QUARTER_S) for start, end in found.gaps()
    )


def _gaps(derived: Derived, until_utc: float) -> tuple[GapView, ...]:
    """Runs of missing values, the one after the last edge included."""
    runs = _runs(derived.intervals)
    tail = derived.tail(until_utc)
    if tail:
        start = int(derived.edges.quarter[-1])
        runs += (GapView(start_utc=start, end_utc=start + tail * QUARTER_S, intervals=tail),)
    return runs


def _epochs(model: TimeModel) -> tuple[EpochView, ...]:
    return tuple(
        EpochView(
            first_index=epoch.first_index, start_utc=epoch.start_utc, reason=epoch.reason,
            drift_ppm=epoch.drift_ppm, points=len(epoch.points),
        )
        for epoch in model.epochs
    )  # fmt: skip
