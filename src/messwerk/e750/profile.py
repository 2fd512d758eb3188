"""The load profile: a ring of signed register readings in one crash-safe file.

A row is the tuple of a period boundary: index, status, six registers, both signatures. Rows
have a fixed size and a CRC-32 of their own; the ring has no pointer that could disagree with
its rows, because the newest row is simply the one with the highest index.
Source: E750 brochure (six channels, 15 minutes, at least three months).
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from struct import Struct
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalError, StoreDamaged
from ..seconds_index import SecondsIndex
from ..tuples import SignedTuple

CAPACITY: Final = 9216
"""Rows kept: 96 days of quarter hours, four more than the longest three months. [design]"""
SCALER: Final = -1
"""Registers are kept in 0.1 Wh and 0.1 varh. [design]"""
SIGNATURE_SIZE: Final = 64
"""Bytes reserved for one signature; shorter ones (P-192: 48) are zero-padded on disk."""

_HEADER: Final = Struct("<8sIbBxx14sxx")
_MAGIC: Final = b"MWE750P1"
_ROW: Final = np.dtype(
    [("index", "<u4"), ("status", "<u8"), ("values", "<i8", 6), ("signatures", "u1", (2, SIGNATURE_SIZE))]
)
"""Registers in the order of the wire: +A, R1, R4, -A, R2, R3."""
_ROW_SIZE: Final = _ROW.itemsize + 4


class LoadProfile:
    """Rows of one base module, oldest overwritten first. `signature_size` is that of its curve."""

    def __init__(self, path: Path, server_id: bytes, *, signature_size: int = 64, capacity: int = CAPACITY) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.server_id, self.capacity = path, bytes(server_id), capacity
        self.signature_size = signature_size
        self.damaged = 0
        """Rows whose CRC failed: torn by a kill, or by the disk. They are left out."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._order: NDArray[np.int64]
        self._indices: NDArray[np.int64]
        try:
            self._prepare()
            self._load()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Write or check the header and make room for all rows now rather than when the disk is full."""
        expected = _HEADER.pack(_MAGIC, self.capacity, SCALER, self.signature_size, self.server_id)
        found = os.pread(self._file, _HEADER.size, 0)
        if not found:
            try:
                os.posix_fallocate(self._file, 0, _HEADER.size + self.capacity * _ROW_SIZE)
            except OSError as error:
                raise LocalError(f"no room for the load profile {self.path}: {error.strerror or error}") from error
            os.pwrite(self._file, expected, 0)
        elif not any(found):  # killed between making room and writing the header: nothing was stored yet
            os.pwrite(self._file, expected, 0)
        elif found != expected:
            raise StoreDamaged(
                f"{self.path} is no load profile of {self.server_id.hex()} with {self.capacity} rows and "
                f"{self.signature_size}-byte signatures: use the folder of that module, or an empty one"
            )

    def _load(self) -> None:
        content = os.pread(self._file, self.capacity * _ROW_SIZE, _HEADER.size)
        whole_records = np.frombuffer(content, dtype=np.uint8, count=len(content) // _ROW_SIZE * _ROW_SIZE)
        written = whole_records.reshape(-1, _ROW_SIZE).any(axis=1)
        slots, indices = [], []
        for slot in np.flatnonzero(written).tolist():
            record = content[slot * _ROW_SIZE : (slot + 1) * _ROW_SIZE]
            if _whole(record):
                slots.append(slot)
                indices.append(int.from_bytes(record[:4], "little"))
            else:
                self.damaged += 1
        order = np.argsort(np.asarray(indices, dtype=np.int64), kind="stable")
        self._order = np.asarray(slots, dtype=np.int64)[order]
        self._indices = np.asarray(indices, dtype=np.int64)[order]
        self._next = (int(self._order[-1]) + 1) % self.capacity if len(self._order) else 0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def first_index(self) -> SecondsIndex | None:
        """Index of the oldest row; None when the profile is empty."""
        return SecondsIndex(int(self._indices[0])) if len(self._indices) else None

    @property
    def last_index(self) -> SecondsIndex | None:
        """Index of the newest row; None when the profile is empty."""
        return SecondsIndex(int(self._indices[-1])) if len(self._indices) else None

    def append(self, row: SignedTuple) -> SecondsIndex | None:
        """Store a row; returns the index of the row it pushed out, if any.

        Raises LocalError when the row is not newer than the newest, has another scaler or
        server ID, or the disk refuses.
        """
        if self.last_index is not None and row.index <= self.last_index:
            raise LocalError(f"row #{row.index} is not newer than #{self.last_index}: the index never goes back")
        if row.scaler != SCALER or row.server_id != self.server_id:
            raise LocalError(f"row #{row.index} is of another module or scaler")
        record = np.zeros((), dtype=_ROW)
        record["index"], record["status"] = row.index, row.status
        record["values"] = (row.import_wh, row.r1_varh, row.r4_varh, row.export_wh, row.r2_varh, row.r3_varh)
        for place, signature in enumerate((row.signature_import, row.signature_export)):
            record["signatures"][place, : len(signature)] = np.frombuffer(signature, dtype=np.uint8)
        content = record.tobytes()
        slot = self._next
        try:
            os.pwrite(self._file, content + zlib.crc32(content).to_bytes(4, "little"), _HEADER.size + slot * _ROW_SIZE)
        except OSError as error:
            raise LocalError(f"cannot write {self.path}: {error.strerror or error}") from error
        pushed_out = None
        overwritten = np.flatnonzero(self._order == slot)
        if len(overwritten):
            at = int(overwritten[0])
            pushed_out = SecondsIndex(int(self._indices[at]))
            self._order = np.delete(self._order, at)
            self._indices = np.delete(self._indices, at)
        self._order = np.append(self._order, slot)
        self._indices = np.append(self._indices, row.index)
        self._next = (slot + 1) % self.capacity
        return pushed_out

    def rows(
        self, begin: int | None = None, end: int | None = None, *, limit: int | None = None
    ) -> tuple[SignedTuple, ...]:
        """Rows with begin <= index <= end, oldest first, at most `limit`. None leaves a side open."""
        start = 0 if begin is None else int(np.searchsorted(self._indices, begin, side="left"))
        stop = len(self._indices) if end is None else int(np.searchsorted(self._indices, end, side="right"))
        if limit is not None:
            stop = min(stop, start + limit)
        rows = (self._read(int(slot)) for slot in self._order[start:stop])
        return tuple(row for row in rows if row is not None)

    def _read(self, slot: int) -> SignedTuple | None:
        record = os.pread(self._file, _ROW_SIZE, _HEADER.size + slot * _ROW_SIZE)
        if not _whole(record):
            self.damaged += 1
            return None
        row = np.frombuffer(record, dtype=_ROW, count=1)[0]
        import_wh, r1, r4, export_wh, r2, r3 = row["values"].tolist()
        signatures = row["signatures"].tobytes()
        return SignedTuple(
            server_id=self.server_id, index=SecondsIndex(int(row["index"])), status=int(row["status"]), scaler=SCALER,
            import_wh=import_wh, export_wh=export_wh, r1_varh=r1, r2_varh=r2, r3_varh=r3, r4_varh=r4,
            signature_import=signatures[: self.signature_size],
            signature_export=signatures[SIGNATURE_SIZE : SIGNATURE_SIZE + self.signature_size],
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _whole(record: bytes) -> bool:
    """Whether a written record is a row: its CRC-32 fits."""
    return len(record) == _ROW_SIZE and zlib.crc32(record[:-4]) == int.from_bytes(record[-4:], "little")
