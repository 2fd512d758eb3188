"""What the pages ask of a station, and the short memory all open pages share."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ...identity import ServerId
from ..views import BillRow, BillView, EventView, LoadCurve, MeterRow, MeterView, Overview, SyncState, Verification

HISTORY_S: Final = 1_800
"""Longest span of the load line on the overview; one sample a second."""


class StationViews(Protocol):
    """The part of a `Station` that pages read. Every call gives a frozen snapshot, cheaply."""

    def overview(self) -> Overview: ...

    def meters(self) -> Sequence[MeterRow]: ...

    def meter(self, server_id: ServerId) -> MeterView: ...

    def load_curve(self, server_id: ServerId, start_utc: int, end_utc: int) -> LoadCurve: ...

    def sync_state(self, server_id: ServerId) -> SyncState: ...

    def verification(self, server_id: ServerId) -> Verification: ...

    def bills(self) -> Sequence[BillRow]: ...

    def bill(self, bill_id: str) -> BillView: ...

    def bill_json(self, bill_id: str) -> str: ...

    def events(self, limit: int) -> Sequence[EventView]: ...


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The load of all meters at one moment; both directions positive."""

    utc: float
    import_w: float
    export_w: float


class Recent:
    """The newest overview and half an hour of load, read once a second for all visitors together."""

    def __init__(self, station: StationViews) -> None:
        self._station = station
        self.overview = station.overview()
        self.load: deque[LoadSample] = deque(maxlen=HISTORY_S)
        self._keep()

    def refresh(self) -> None:
        """Take a new snapshot and keep its load; a clock that jumped back or far ahead starts anew."""
        self.overview = self._station.overview()
        if not 0 <= self.overview.now_utc - self.load[-1].utc <= HISTORY_S:
            self.load.clear()
        self._keep()

    def _keep(self) -> None:
        self.load.append(LoadSample(self.overview.now_utc, self.overview.import_w, self.overview.export_w))
