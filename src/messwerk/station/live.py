"""The state of each meter in memory: what is derived from its readings, brought up to date.

Everything here is rebuilt from archive and sync points when first asked for and then kept up
with each run of processing, so that a page refreshed every second costs nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..tuples import STATUS_SOI, SignedTuple
from .archive import REGISTER_COLUMNS, Archive, signed_tuple
from .calendar import QUARTER_S
from .contents import UnsignedReading
from .ingest import Outcome
from .intervals import Edges, Intervals, Readings, edges, intervals, tenths
from .store import Store
from .timesync import SyncPoint, TimeModel
from .values import ValueState

POWER_SPAN_S: Final = 60
"""Power now is the mean over so many seconds: one second of 0.1 Wh registers resolves only 360 W."""
EDGE_LEAD_S: Final = 2
EDGE_WINDOW_S: Final = 6
"""Readings received within [boundary - lead, boundary - lead + window) may stand on it: what is
no start of interval serves only within a second, and is heard at most two seconds late."""
RECENT: Final = 120
"""Newest readings kept for power and evidence."""

CANDIDATES: Final = (
    f"(status & {STATUS_SOI}) != 0 OR (received_us // 1000000 + {EDGE_LEAD_S}) % {QUARTER_S} < {EDGE_WINDOW_S}"
)
"""SQL over the archive: rows that can be the edge of a quarter hour."""


def may_be_edge(status: int, received_utc: float) -> bool:
    """The same rule as `CANDIDATES`, for one reading."""
    return bool(status & STATUS_SOI) or (int(received_utc) + EDGE_LEAD_S) % QUARTER_S < EDGE_WINDOW_S


@dataclass(frozen=True, slots=True)
class Recent:
    """One of the newest readings."""

    index: int
    received_utc: float
    status: int
    values: tuple[int, ...]
    """Columns as `intervals.REGISTERS`. [0.1 Wh, 0.1 varh]"""
    signed: SignedTuple | None
    power_w: float | None
    """As the telegram says; None where it does not."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the readings and sync points of one meter."""

    model: TimeModel
    edges: Edges
    intervals: Intervals
    """From the first edge to the last."""

    @property
    def error_s_max(self) -> float | None:
        """Largest uncertainty of any edge a bill may stand on. [s]"""
        sure = self.edges.uncertainty_s[~self.edges.vague]
        return float(sure.max()) if len(sure) else None

    def present(self) -> int:
        """Quarter hours that have a value, preliminary ones included."""
        return len(self.intervals) - self.intervals.count(ValueState.MISSING, ValueState.REFUSED)

    def missing(self, until_utc: float) -> int:
        """Quarter hours without value, up to the last one that ended before `until_utc`."""
        return self.intervals.count(ValueState.MISSING) + self.tail(until_utc)

    def tail(self, until_utc: float) -> int:
        """Missing quarter hours after the last edge that ended before `until_utc`."""
        if not len(self.edges):
            return 0
        return max(0, int(until_utc // QUARTER_S) - int(self.edges.quarter[-1]) // QUARTER_S)


class MeterState:
    """One meter: candidate readings, sync points, and what is derived from them."""

    def __init__(self, readings: Readings, points: list[SyncPoint], recent: Sequence[Recent]) -> None:
        self._lock = threading.Lock()
        self._readings = readings
        self._points = points
        self._added: list[Recent] = []
        self._disputed: set[int] = set()
        self._derived: Derived | None = None
        self.recent: deque[Recent] = deque(recent, maxlen=RECENT)

    @property
    def last(self) -> Recent | None:
        """The reading with the highest index among the newest."""
        return max(self.recent, key=lambda reading: reading.index, default=None)

    def add(self, reading: Recent) -> None:
        """Take a new reading."""
        with self._lock:
            self.recent.append(reading)
            if may_be_edge(reading.status, reading.received_utc):
                self._added.append(reading)
                self._derived = None

    def add_point(self, point: SyncPoint) -> None:
        """Take a new sync point."""
        with self._lock:
            self._points.append(point)
            self._derived = None

    def dispute(self, index: int) -> None:
        """Two contents claim this index."""
        with self._lock:
            self._disputed.add(index)
            self._derived = None

    @property
    def last_point(self) -> SyncPoint | None:
        """The sync point taken last."""
        return self._points[-1] if self._points else None

    def derived(self) -> Derived:
        """Model, edges and intervals, computed again only when something came in."""
        with self._lock:
            if self._derived is None:
                self._merge()
                model = TimeModel(self._points)
                found = edges(self._readings, model)
                start, end = (int(found.quarter[0]), int(found.quarter[-1])) if len(found) else (0, 0)
                self._derived = Derived(model, found, intervals(found, start, end))
            return self._derived

    def _merge(self) -> None:
        if self._added:
            self._readings = self._readings.merged(_readings(self._added))
            self._added = []
        if self._disputed:
            self._readings.disputed[np.isin(self._readings.index, list(self._disputed))] = True

    def profile_indices(self) -> NDArray[np.int64]:
        """Indices of the start-of-interval readings held, ascending."""
        with self._lock:
            self._merge()
            return self._readings.index[self._readings.start_of_interval]

    def phase_error_s(self) -> float | None:
        """How far the meter's newest period boundary lies from the nearest UTC quarter hour, + = late.

        None without boundary or without knowing when it was.
        """
        boundaries = self.profile_indices()
        if not len(boundaries):
            return None
        (utc,), _ = self.derived().model.utc_of(boundaries[-1:])
        return float(utc - np.rint(utc / QUARTER_S) * QUARTER_S) if np.isfinite(utc) else None

    def power_w(self) -> float | None:
        """Net power now: what the meter says, else the mean of the last minute; None when unknown."""
        readings = sorted(self.recent, key=lambda reading: reading.index)
        if not readings:
            return None
        newest = readings[-1]
        if newest.power_w is not None:
            return newest.power_w
        earlier = [r for r in readings if 0 < newest.index - r.index <= QUARTER_S]
        within = [r for r in earlier if newest.index - r.index <= POWER_SPAN_S]
        first = within[0] if within else earlier[-1] if earlier else None
        if first is None:
            return None
        tenths = (newest.values[0] - first.values[0]) - (newest.values[1] - first.values[1])
        return tenths * 360.0 / (newest.index - first.index)


class Live:
    """The states of all meters, loaded when first asked for."""

    def __init__(self, store: Store, archive: Archive) -> None:
        self._store, self._archive = store, archive
        self._states: dict[int, MeterState] = {}
        self._lock = threading.RLock()

    def state(self, meter_id: int) -> MeterState:
        """The state of one meter."""
        with self._lock:
            found = self._states.get(meter_id)
            if found is None:
                found = self._states[meter_id] = self._load(meter_id)
            return found

    def _load(self, meter_id: int) -> MeterState:
        readings = to_readings(self._archive.rows(meter_id, where=CANDIDATES))
        points = [
            SyncPoint(index, utc, uncertainty_s, source)
            for utc, index, uncertainty_s, source in self._store.rows(
                "SELECT utc, idx, uncertainty_s, source FROM sync_point WHERE meter_id = ? ORDER BY utc", (meter_id,)
            )
        ]
        newest = self._archive.newest(meter_id, RECENT)
        state = MeterState(readings, points, _recent_of(newest))
        for (index,) in self._store.rows("SELECT idx FROM dispute WHERE meter_id = ?", (meter_id,)):
            state.dispute(index)
        return state

    def last_point(self, meter_id: int) -> SyncPoint | None:
        """The sync point of a meter taken last; None also for one nobody has asked about yet."""
        with self._lock:
            known = self._states.get(meter_id)
        return known.last_point if known is not None else None

    def take(self, outcome: Outcome) -> None:
        """Bring the loaded states up to date with a run of processing.

        A state that is not loaded reads all of it from the store when it is.
        """
        with self._lock:
            for meter_id, signed, received_utc in outcome.signed:
                if meter_id in self._states:
                    self._states[meter_id].add(_recent_signed(signed, received_utc))
            for meter_id, reading, received_utc in outcome.unsigned:
                if meter_id in self._states:
                    self._states[meter_id].add(_recent_unsigned(reading, received_utc))
            for meter_id, point in outcome.sync_points:
                if meter_id in self._states:
                    self._states[meter_id].add_point(point)
            for meter_id, index in outcome.disputed:
                if meter_id in self._states:
                    self._states[meter_id].dispute(index)


# --- conversions ---------------------------------------------------------------------------


def _recent_signed(signed: SignedTuple, received_utc: float) -> Recent:
    registers = (signed.import_wh, signed.export_wh, signed.r1_varh, signed.r2_varh, signed.r3_varh, signed.r4_varh)
    values = tuple(tenths(raw, signed.scaler) for raw in registers)
    return Recent(signed.index, received_utc, signed.status, values, signed, None)


def _recent_unsigned(reading: UnsignedReading, received_utc: float) -> Recent:
    registers = (
        reading.import_wh, reading.export_wh, reading.r1_varh, reading.r2_varh, reading.r3_varh, reading.r4_varh,
    )  # fmt: skip
    values = tuple(tenths(raw, reading.scaler) for raw in registers)
    return Recent(reading.index, received_utc, reading.status, values, None, reading.power_w)


def _readings(recent: Sequence[Recent]) -> Readings:
    ordered = sorted({reading.index: reading for reading in recent}.values(), key=lambda reading: reading.index)
    return Readings(
        np.array([reading.index for reading in ordered], dtype=np.int64),
        np.array([reading.values for reading in ordered], dtype=np.int64).reshape(-1, 6),
        np.array([bool(reading.status & STATUS_SOI) for reading in ordered], dtype=np.bool_),
        np.array([reading.signed is not None for reading in ordered], dtype=np.bool_),
        np.zeros(len(ordered), dtype=np.bool_),
        np.array([reading.status & 0xFFFF_FFFF for reading in ordered], dtype=np.int64),
    )


def to_readings(table: pa.Table) -> Readings:
    """Archive rows of one meter as readings."""
    if not table.num_rows:
        return Readings.empty()
    scaler = table["scaler"].to_numpy().astype(np.int64)
    columns = [table[name].combine_chunks().fill_null(0).to_numpy() for name in REGISTER_COLUMNS]
    raw = np.stack(columns, axis=1)
    up, down = 10 ** np.maximum(scaler + 1, 0), 10 ** np.maximum(-scaler - 1, 0)
    values = np.sign(raw) * (np.abs(raw) * up[:, None] // down[:, None])
    status = table["status"].to_numpy()
    signed = table["signature_import"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    return Readings(
        table["seconds_index"].to_numpy().astype(np.int64), values,
        (status & np.uint64(STATUS_SOI)) != 0, signed, np.zeros(table.num_rows, dtype=np.bool_),
        (status & np.uint64(0xFFFF_FFFF)).astype(np.int64),
    )  # fmt: skip


def _recent_of(table: pa.Table) -> list[Recent]:
    recent = []
    for row in table.to_pylist():
        values = tuple(tenths(row[name], row["scaler"]) for name in REGISTER_COLUMNS)
        signed = signed_tuple(row) if row["signature_import"] is not None else None
        recent.append(Recent(row["seconds_index"], row["received_us"] / 1e6, row["status"], values, signed, None))
    return recent
