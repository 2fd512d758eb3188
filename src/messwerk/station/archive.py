"""The archive: every verified tuple, every hashed byte of it, where any tool can read it.

    archive/month=2026-10/bucket=07/3f9c….parquet      sealed: zstd, sorted, unique, immutable
    station.db, table hot                              not yet sealed, durable all the same

Sealing writes a file under a temporary name, syncs it, renames it to its own digest, and then
moves the rows from hot to sealed in one transaction. A kill at any point leaves rows hot that
are sealed again, never a row lost or double; a file no transaction knows is removed at the next
start. Queries run in DuckDB, in memory only, over sealed and hot together.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import NoRoom, StoreDamaged
from ..seconds_index import SECONDS_INDEX_MAX, SecondsIndex
from ..tuples import SignedTuple
from .store import Store, microseconds
from .verify import digest

log = logging.getLogger(__name__)

BUCKETS: Final = 16
"""Directories a month is spread over; a job is a function of one of them."""
SEAL_CHUNK: Final = 200_000
"""Rows sealed at a time: some 300 MB in memory on their way from SQLite to Parquet. [design]"""
COMPACT_FILES: Final = 8
"""More files than this in one bucket of a month are merged into one."""
ROW_GROUP: Final = 65_536
"""Rows read at least to find one: a group of one meter's seconds is 18 hours."""
MEMORY_LIMIT: Final = "1500MB"
MANIFEST: Final = "manifest.json"

SCHEMA: Final = pa.schema(
    [
        pa.field("server_id", pa.binary(), nullable=False),
        pa.field("seconds_index", pa.uint32(), nullable=False),
        pa.field("received_us", pa.int64(), nullable=False),
        pa.field("status", pa.uint64(), nullable=False),
        pa.field("scaler", pa.int8(), nullable=False),
        pa.field("import_wh", pa.int64(), nullable=False),
        pa.field("r1_varh", pa.int64()),
        pa.field("r4_varh", pa.int64()),
        pa.field("export_wh", pa.int64()),
        pa.field("r2_varh", pa.int64()),
        pa.field("r3_varh", pa.int64()),
        pa.field("signature_import", pa.binary()),
        pa.field("signature_export", pa.binary()),
        pa.field("key_fingerprint", pa.string()),
    ],
    metadata={"written by": "Messwerk", "registers": "raw x 10**scaler Wh or varh", "unsigned": "signatures are null"},
)
"""Columns of a sealed file: every field of the hashed blocks, both signatures, when it came."""
COLUMNS: Final = tuple(SCHEMA.names)

REGISTER_COLUMNS: Final = ("import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh")

_HOT: Final = """
    SELECT server_id, idx, received_us, status, scaler, import_wh, r1_varh, r4_varh, export_wh, r2_varh, r3_varh,
           signature_import, signature_export, key_id, row_id
    FROM hot JOIN meter USING (meter_id)
"""


@dataclass(frozen=True, slots=True)
class SealReport:
    """What a run of `seal` or `compact` did."""

    rows: int
    files: int


def bucket_of(server_id: bytes) -> int:
    """The bucket of a meter: its serial number, or the end of its address, modulo `BUCKETS`."""
    return int.from_bytes(server_id[-4:], "big") % BUCKETS


class Archive:
    """Sealed files and the hot table of one store."""

    def __init__(self, store: Store, fingerprints: Callable[[], dict[int, str]]) -> None:
        """`fingerprints` gives the fingerprint of each key number, for the sealed files."""
        self._store = store
        self.root = store.folder / "archive"
        self._fingerprints = fingerprints
        self._sealing = threading.Lock()
        self._retired: list[Path] = []
        self._duckdb = duckdb.connect(":memory:")
        self._duckdb.execute("SET TimeZone='UTC'")
        self._duckdb.execute("SET autoinstall_known_extensions=false")
        self._duckdb.execute(f"SET memory_limit='{MEMORY_LIMIT}'")
        self._querying = threading.Lock()
        self.root.mkdir(exist_ok=True, mode=0o700)
        self._sweep()

    def _sweep(self) -> None:
        """Remove what a kill left behind: temporary files and files no transaction knows."""
        known = {path for (path,) in self._store.rows("SELECT path FROM archive_file")}
        for path in self.root.rglob("*"):
            if path.is_file() and path.name != MANIFEST and path.relative_to(self.root).as_posix() not in known:
                log.info("removing %s: written by a run that did not end", path)
                path.unlink()

    # --- what is there ---------------------------------------------------------------------

    def totals(self) -> tuple[int, int]:
        """Sealed files and the rows in them."""
        row = self._store.one("SELECT count(*), coalesce(sum(rows), 0) FROM archive_file")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def hot_rows(self) -> int:
        """Rows not yet sealed."""
        row = self._store.one("SELECT count(*) FROM hot")
        return int(row[0]) if row else 0

    def _files(self, meter_id: int, first: int, last: int) -> list[Path]:
        rows = self._store.rows(
            "SELECT path FROM archive_range JOIN archive_file USING (file_id)"
            " WHERE meter_id = ? AND first_idx <= ? AND last_idx >= ?",
            (meter_id, last, first),
        )
        return [self.root / path for (path,) in rows]

    def rows(
        self,
        meter_id: int,
        first: int = 0,
        last: int = SECONDS_INDEX_MAX,
        *,
        where: str = "TRUE",
        only: Sequence[int] | None = None,
    ) -> pa.Table:
        """All rows of a meter with first <= index <= last, ascending, each index once.

        `where` is SQL over the columns of `SCHEMA`, written by us and never by a user; `only`
        leaves just these indices.
        Hot rows are read before the list of files: a row sealed in between is seen twice and
        counted once, never missed.
        """
        hot = self._hot_table(
            self._store.rows(_HOT + "WHERE meter_id = ? AND idx BETWEEN ? AND ?", (meter_id, first, last))
        )
        server = self._store.one("SELECT server_id FROM meter WHERE meter_id = ?", (meter_id,))
        files = self._files(meter_id, first, last)
        if server is None:
            return SCHEMA.empty_table()
        tables = {"hot": hot}
        if only is not None:
            tables["wanted"] = pa.table({"seconds_index": pa.array(only, pa.uint32())})
            where = f"({where}) AND seconds_index IN (FROM wanted)"
        columns = ", ".join(COLUMNS)
        select = f"SELECT {columns} FROM hot WHERE {where}"  # noqa: S608  (columns and `where` are ours)
        parameters: list[Any] = []
        if files:
            select = (
                f"SELECT {columns} FROM read_parquet(?, hive_partitioning=false)"  # noqa: S608
                f" WHERE server_id = ? AND seconds_index BETWEEN ? AND ? AND ({where}) UNION ALL {select}"
            )
            parameters = [[str(path) for path in files], bytes(server[0]), first, last]
        sql = (
            f"SELECT * FROM ({select})"  # noqa: S608
            " QUALIFY row_number() OVER (PARTITION BY seconds_index ORDER BY received_us) = 1 ORDER BY seconds_index"
        )
        return self.sql(sql, parameters, **tables).cast(SCHEMA)

    def sql(self, text: str, parameters: Sequence[Any] = (), **tables: pa.Table) -> pa.Table:
        """Run SQL in DuckDB; `tables` are visible under their names. Raises StoreDamaged."""
        with self._querying:
            cursor = self._duckdb.cursor()
            try:
                for name, table in tables.items():
                    cursor.register(name, table)
                return cursor.sql(text, params=list(parameters)).to_arrow_table()
            except duckdb.IOException as error:
                raise StoreDamaged(f"the archive cannot be read: {error}") from error
            finally:
                cursor.close()

    def digests(self, meter_id: int, indices: Sequence[int]) -> dict[int, bytes]:
        """Digest of what is kept under each of these indices; absent where nothing is."""
        found = {
            int(index): bytes(digest)
            for index, digest in self._store.rows(
                "SELECT idx, digest FROM hot WHERE meter_id = ? AND idx IN (SELECT value FROM json_each(?))",
                (meter_id, json.dumps(list(indices))),
            )
        }
        missing = [index for index in indices if index not in found]
        if missing and self._files(meter_id, min(missing), max(missing)):
            table = self.rows(meter_id, min(missing), max(missing), only=missing)
            for row in table.to_pylist():
                found[row["seconds_index"]] = row_digest(row)
        return found

    def hot_of(self, meter_id: int) -> pa.Table:
        """The rows of a meter that are not sealed yet."""
        return self._hot_table(self._store.rows(_HOT + "WHERE meter_id = ? ORDER BY idx", (meter_id,)))

    def newest(self, meter_id: int, count: int) -> pa.Table:
        """The rows with the highest indices, ascending; at most `count`."""
        row = self._store.one(
            "SELECT max(top) FROM (SELECT max(idx) AS top FROM hot WHERE meter_id = ?1"
            " UNION ALL SELECT max(last_idx) FROM archive_range WHERE meter_id = ?1)",
            (meter_id,),
        )
        if row is None or row[0] is None:
            return SCHEMA.empty_table()
        span = 4 * count
        table = self.rows(meter_id, max(0, row[0] - span), row[0])
        if table.num_rows < 2:  # quarter hours only: look further back
            table = self.rows(meter_id, max(0, row[0] - 86400), row[0])
        return table.slice(max(0, table.num_rows - count))

    def tuple_at(self, meter_id: int, index: int) -> SignedTuple | None:
        """The signed tuple kept under a key; None when there is none or it is unsigned."""
        found = signed_tuples(self.rows(meter_id, index, index))
        return found[0] if found else None

    def _hot_table(self, rows: Iterable[tuple[Any, ...]]) -> pa.Table:
        names = self._fingerprints()
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(15)]
        columns[3] = [status & (1 << 64) - 1 for status in columns[3]]
        columns[13] = [None if key_id is None else names.get(key_id) for key_id in columns[13]]
        return pa.table(
            [pa.array(column, field.type) for column, field in zip(columns[:14], SCHEMA, strict=True)], schema=SCHEMA
        )

    # --- sealing ---------------------------------------------------------------------------

    def seal(self, utc_of: Callable[[bytes, NDArray[np.int64]], NDArray[np.float64]], now_utc: float) -> SealReport:
        """Move hot rows into sealed files; `utc_of` dates them, to choose the month.

        Rows that cannot be dated go into the month they were received in. Raises NoRoom.
        """
        rows = files = 0
        with self._sealing:
            self._remove_retired()
            while chunk := self._store.rows(_HOT + "ORDER BY row_id LIMIT ?", (SEAL_CHUNK,)):
                table = self._hot_table(chunk)
                row_ids = np.array([row[14] for row in chunk], dtype=np.int64)
                places = _places(table, utc_of)
                written = []
                for month, bucket in sorted(set(places)):
                    chosen = np.array([place == (month, bucket) for place in places])
                    written.append(self._write(table.filter(pa.array(chosen)), month, bucket, level=0))
                with self._store.transaction() as write:
                    for file in written:
                        self._enter(write, file, now_utc)
                    write.executemany("DELETE FROM hot WHERE row_id = ?", [(int(row_id),) for row_id in row_ids])
                rows += len(chunk)
                files += len(written)
            if rows:
                self._write_manifest()
        return SealReport(rows, files)

    def compact(self, now_utc: float, *, more_than: int = COMPACT_FILES) -> SealReport:
        """Merge the files of every bucket of a month that has more than `more_than` into one."""
        rows = files = 0
        with self._sealing:
            self._remove_retired()
            crowded = self._store.rows(
                "SELECT month, bucket FROM archive_file GROUP BY month, bucket HAVING count(*) > ?", (more_than,)
            )
            for month, bucket in crowded:
                old = self._store.rows(
                    "SELECT file_id, path, rows FROM archive_file WHERE month = ? AND bucket = ?", (month, bucket)
                )
                table = self.sql(
                    f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?, hive_partitioning=false)"  # noqa: S608
                    " ORDER BY server_id, seconds_index",
                    [[str(self.root / path) for _, path, _ in old]],
                ).cast(SCHEMA)
                if table.num_rows != sum(count for _, _, count in old):
                    raise StoreDamaged(f"bucket {bucket} of {month} does not hold the rows it should: run a check")
                merged = self._write(table, month, bucket, level=1)
                with self._store.transaction() as write:
                    write.executemany(
                        "DELETE FROM archive_file WHERE file_id = ?", [(file_id,) for file_id, _, _ in old]
                    )
                    self._enter(write, merged, now_utc)
                self._retired += [self.root / path for _, path, _ in old if path != merged.path]
                rows, files = rows + table.num_rows, files + 1
            if rows:
                self._write_manifest()
        return SealReport(rows, files)

    def _remove_retired(self) -> None:
        """Files a merge replaced are removed one run later, when no query can still read them."""
        for path in self._retired:
            path.unlink(missing_ok=True)
        self._retired.clear()

    def _write(self, table: pa.Table, month: str, bucket: int, *, level: int) -> _Sealed:
        table = table.sort_by([("server_id", "ascending"), ("seconds_index", "ascending")])
        buffer = io.BytesIO()
        pq.write_table(
            table, buffer, compression="zstd", row_group_size=ROW_GROUP,
            use_dictionary=["server_id", "key_fingerprint", "scaler", "status"],
        )  # fmt: skip
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = f"month={month}/bucket={bucket:02d}/{sha256[:32]}.parquet"
        write_durably(self.root / path, content)
        return _Sealed(path, month, bucket, level, table, len(content), sha256)

    def _enter(self, write: Any, file: _Sealed, now_utc: float) -> None:
        file_id = write.execute(
            "INSERT INTO archive_file (path, month, bucket, level, rows, size, sha256, sealed_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING file_id",
            (file.path, file.month, file.bucket, file.level, file.table.num_rows, file.size, file.sha256,
             microseconds(now_utc)),
        ).fetchone()[0]  # fmt: skip
        ranges = file.table.group_by("server_id").aggregate(
            [("seconds_index", "min"), ("seconds_index", "max"), ("seconds_index", "count")]
        )
        for row in ranges.to_pylist():
            write.execute(
                "INSERT INTO archive_range (file_id, meter_id, first_idx, last_idx, rows)"
                " SELECT ?, meter_id, ?, ?, ? FROM meter WHERE server_id = ?",
                (file_id, row["seconds_index_min"], row["seconds_index_max"], row["seconds_index_count"],
                 row["server_id"]),
            )  # fmt: skip

    def _write_manifest(self) -> None:
        """Say which files there are, with their digests, in a file that travels with the archive."""
        rows = self._store.rows("SELECT path, rows, size, sha256, level, sealed_us FROM archive_file ORDER BY path")
        files = [
            {"path": path, "rows": count, "size": size, "sha256": sha256, "level": level, "sealed": _iso(sealed_us)}
            for path, count, size, sha256, level, sealed_us in rows
        ]
        write_durably(self.root / MANIFEST, json.dumps({"files": files}, indent=1).encode())

    def close(self) -> None:
        """Let go of DuckDB."""
        with self._querying:
            self._duckdb.close()


@dataclass(frozen=True, slots=True)
class _Sealed:
    path: str
    month: str
    bucket: int
    level: int
    table: pa.Table
    size: int
    sha256: str


def _places(
    table: pa.Table, utc_of: Callable[[bytes, NDArray[np.int64]], NDArray[np.float64]]
) -> list[tuple[str, int]]:
    """Month and bucket of each row."""
    received = table["received_us"].to_numpy() / 1e6
    index = table["seconds_index"].to_numpy().astype(np.int64)
    servers = table["server_id"].to_pylist()
    utc = received.copy()
    by_server: dict[bytes, list[int]] = {}
    for place, server_id in enumerate(servers):
        by_server.setdefault(server_id, []).append(place)
    for server_id, members in by_server.items():
        dated = utc_of(server_id, index[members])
        utc[members] = np.where(np.isfinite(dated), dated, received[members])
    months = np.datetime_as_string(utc.astype("datetime64[s]"), unit="M")
    return [(str(month), bucket_of(server_id)) for month, server_id in zip(months, servers, strict=True)]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent, whatever happens. Raises NoRoom or LocalError."""
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise NoRoom(f"{path} cannot be written: {error.strerror or error}; free some space on its disk") from error


def signed_tuple(row: Mapping[str, Any]) -> SignedTuple:
    """The signed tuple of one row."""
    return SignedTuple(
        server_id=row["server_id"], index=SecondsIndex(row["seconds_index"]), status=row["status"],
        scaler=row["scaler"], import_wh=row["import_wh"], export_wh=row["export_wh"],
        r1_varh=row["r1_varh"], r2_varh=row["r2_varh"], r3_varh=row["r3_varh"], r4_varh=row["r4_varh"],
        signature_import=row["signature_import"], signature_export=row["signature_export"],
    )  # fmt: skip


def signed_tuples(table: pa.Table) -> list[SignedTuple]:
    """The signed tuples of a table of rows, in its order; unsigned rows are left out."""
    return [signed_tuple(row) for row in table.to_pylist() if row["signature_import"] is not None]


def row_digest(row: Mapping[str, Any]) -> bytes:
    """What makes two rows the same: everything but when they came."""
    if row["signature_import"] is not None:
        return digest(signed_tuple(row))
    return unsigned_digest(row["status"], row["scaler"], [row[name] for name in REGISTER_COLUMNS])


def unsigned_digest(status: int, scaler: int, registers: Sequence[int | None]) -> bytes:
    """The digest of an unsigned reading; registers in the order of `REGISTER_COLUMNS`."""
    return hashlib.sha256(repr((status, scaler, tuple(registers))).encode()).digest()


def _iso(utc_us: int) -> str:
    return dt.datetime.fromtimestamp(utc_us / 1e6, dt.UTC).isoformat()
