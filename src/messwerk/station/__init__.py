"""The central station: takes in what meters sign, knows when it was, bills what it can prove.

SQLite remembers, Parquet archives, DuckDB computes. The station knows devices by their telegrams
alone; everything with a calendar in it lives here and can be recomputed from signed tuples.
"""

from .journal import Batch, Journal, Kind
from .settings import Settings
from .station import Station
from .tariff import PriceSheet, Window, Zone
from .timesync import SyncPoint, TimeModel
from .values import ValueState
from .verify import Verdict

__all__ = [
    "Batch", "Journal", "Kind", "PriceSheet", "Settings", "Station", "SyncPoint", "TimeModel", "ValueState", "Verdict",
    "Window", "Zone",
]  # fmt: skip
