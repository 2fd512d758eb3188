"""Many telegrams at once, as columns: for archives, replays and head-ends of whole fleets.

Objects cost ten times what the decoding costs, so a million telegrams come as arrays instead. The
telegrams accepted are those `FrameDecoder` and `decode` accept; values are as they were sent, exact
integers with their scaler, without the corrections `messwerk.sml.reading` makes for single meters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import LocalError
from ..identity import ServerId
from ..obis import ObisCode
from .binary import _PLAN
from .transport import MAX_FRAME

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS_INDEX = 1
UTC = 2


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """All values of one OBIS code; row r holds `value[r]` x 10**`scaler[r]` in `unit`.

    All three arrays are read-only and as long as the table.
    """

    obis: ObisCode
    unit: int | None
    """DLMS unit code; None where none was sent."""
    value: NDArray[np.int64]
    """0 where not valid."""
    scaler: NDArray[np.int8]
    valid: NDArray[np.bool_]
    """Whether the telegram held a number of this name."""

    def as_float(self) -> NDArray[np.float64]:
        """The values in `unit`, NaN where absent. For plots; sums and bills stay with integers."""
        scaled = self.value * np.power(10.0, self.scaler)
        return np.where(self.valid, scaled, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """One row for each list response, in the order of the data."""

    offset: NDArray[np.uint64]
    """Byte at which the row's telegram begins."""
    time: NDArray[np.uint32]
    """Sensor time, else the file's, else the first entry's. What it is says `time_kind`."""
    time_kind: NDArray[np.uint8]
    """0 none was sent, 1 a seconds index, 2 seconds since 1970 UTC. An index is never a date."""
    status: NDArray[np.uint64]
    """Status word of the first entry that carries one."""
    status_valid: NDArray[np.bool_]
    columns: tuple[Column, ...]
    """In the order in which the codes first appeared."""

    telegrams: int
    """Frames accepted, also those without a list response."""
    rejected: int
    bytes_skipped: int
    dropped: int
    """Messages that could not be read in good frames; with `strict`, files refused."""
    deviations: int
    """Leniencies used; which ones, `decode` tells of a single telegram."""
    left_out: int
    """Numbers without a place: beyond 63 bits, a second one of the same code, another unit than its
    column's, an object name that is no OBIS code, or more than 256 codes."""
    matched: int
    """Telegrams of the same form as an earlier one, which needed no parsing."""

    _server_ends: NDArray[np.int64]
    _server_octets: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, code: str | bytes) -> Column:
        """The column of an OBIS code. Raises KeyError where no telegram had it."""
        obis = ObisCode.parse(code) if isinstance(code, str) else code
        for column in self.columns:
            if column.obis == obis:
                return column
        raise KeyError(code)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @property
    def index(self) -> NDArray[np.uint32]:
        """Seconds index of each row, 0 where `index_valid` is False."""
        index: NDArray[np.uint32] = np.where(self.index_valid, self.time, np.uint32(0))
        return index

    @property
    def index_valid(self) -> NDArray[np.bool_]:
        """Rows whose `time` is a seconds index."""
        valid: NDArray[np.bool_] = self.time_kind == SECONDS_INDEX
        return valid

    def server_id(self, row: int) -> ServerId | None:
        """Who sent the row; None where the server ID is empty or too long for one.

        Raises IndexError.
        """
        first, end = self._server_ends[range(len(self))[row] :][:2]
        return ServerId(self._server_octets[first:end].tobytes()) if 1 <= end - first <= 32 else None

    def server_ids(self) -> pa.LargeBinaryArray:
        """The server IDs of all rows as an Arrow array over the same memory."""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self._server_ends), pa.py_buffer(self._server_octets)]
        return pa.Array.from_buffers(pa.large_binary(), len(self), buffers)

    def to_arrow(self) -> pa.Table:
        """An Arrow table: offset, server_id, index, utc, status, and for each code `1-0:1.8.0*255`
        its number and, with `:scaler` behind, its scaler. Absent values are null."""
        import pyarrow as pa

        def masked(values: NDArray[Any], valid: NDArray[np.bool_]) -> pa.Array:
            return pa.array(values, mask=~valid)

        table = {
            "offset": pa.array(self.offset),
            "server_id": self.server_ids(),
            "index": masked(self.time, self.index_valid),
            "utc": masked(self.time, self.time_kind == UTC),
            "status": masked(self.status, self.status_valid),
        }
        for column in self.columns:
            table[str(column.obis)] = masked(column.value, column.valid)
            table[f"{column.obis}:scaler"] = masked(column.scaler, column.valid)
        return pa.table(table)


def columns(data: bytes, *, max_frame: int = MAX_FRAME, strict: bool = False) -> Columns:
    """Read every telegram of a byte stream, of any mixture of meters, into columns.

    All frame and message checksums are checked. Rust with the GIL released; the result lies in
    place, nothing is copied. Oracle: the object path, in `tests/sml/test_columns.py`.
    Raises LocalError for a `max_frame` outside 16 bytes … 4 MiB.
    """
    return _columns(data, max_frame, strict, forms=True)


def _columns(data: bytes, max_frame: int, strict: bool, *, forms: bool) -> Columns:
    try:
        found, named = _core.columns(_PLAN, data, max_frame, strict, forms)
    except ValueError as error:
        raise LocalError(str(error)) from None
    counters = ("telegrams", "rejected", "bytes_skipped", "dropped", "deviations", "left_out", "matched")
    return Columns(
        offset=_array(found["offset"], np.uint64),
        time=_array(found["time"], np.uint32),
        time_kind=_array(found["time_kind"], np.uint8),
        status=_array(found["status"], np.uint64),
        status_valid=_array(found["status_valid"], np.bool_),
        columns=tuple(
            Column(
                ObisCode(code), unit or None, _array(value, np.int64), _array(scaler, np.int8), _array(valid, np.bool_)
            )
            for code, unit, value, scaler, valid in named
        ),
        _server_ends=_array(found["server_ends"], np.int64),
        _server_octets=_array(found["server_octets"], np.uint8),
        **{name: found[name] for name in counters},
    )


def _array(memory: _core.Array, dtype: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(memoryview(memory), dtype=dtype)


__all__ = ["Column", "Columns", "columns"]
