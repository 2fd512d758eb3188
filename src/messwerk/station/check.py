"""Proves a station's folder whole: every byte that has a digest, every row that has a signature.

Nothing is repaired here. A fault says what is wrong and where; a folder without faults holds
exactly the evidence it says it holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreDamaged
from ..identity import ServerId
from .archive import MANIFEST, SCHEMA, Archive, bucket_of, signed_tuples
from .invoicing import Invoicing
from .roster import Roster
from .store import Store
from .verify import Verdict, Verifier

FAULTS_MAX: Final = 1000
"""Faults named; more are only counted."""
BATCHES_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 50_000

Progress = Callable[[str, int, int], None]
"""Called with what is being checked, how many are done, how many there are."""


@dataclass(slots=True)
class Report:
    """What was looked at, and what is wrong with it."""

    files: int = 0
    rows: int = 0
    signatures: int = 0
    batches: int = 0
    bills: int = 0
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def fault(self, text: str) -> None:
        """Note a fault."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(text)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


class Check:
    """One run over one folder. Nobody may write to it meanwhile."""

    def __init__(
        self, store: Store, roster: Roster, archive: Archive, verifier: Verifier, invoicing: Invoicing
    ) -> None:
        self._store, self._roster, self._archive = store, roster, archive
        self._verifier, self._invoicing = verifier, invoicing
        self._report = Report()
        self._signed: dict[int, int] = {}
        self._unsigned: dict[int, int] = {}
        self._ids = {bytes(meter.server_id): meter.meter_id for meter in roster.meters()}

    def run(self, progress: Progress = lambda *_: None) -> Report:
        """Look at everything."""
        for problem in self._store.integrity():
            self._report.fault(f"database: {problem}")
        self._manifest()
        self._files(progress)
        self._hot(progress)
        self._counts()
        self._batches(progress)
        self._bills(progress)
        return self._report

    # --- files -----------------------------------------------------------------------------

    def _manifest(self) -> None:
        """Table, manifest and folder name the same files."""
        files = self._store.rows("SELECT path, rows, sha256 FROM archive_file")
        table = {path: (rows, sha256) for path, rows, sha256 in files}
        path = self._archive.root / MANIFEST
        try:
            listed = {row["path"]: (row["rows"], row["sha256"]) for row in json.loads(path.read_text())["files"]}
        except FileNotFoundError:
            listed = {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._report.fault(f"{MANIFEST} cannot be read: {error}")
            return
        for name in sorted(table.keys() ^ listed.keys()):
            self._report.fault(f"{name}: {'not in the manifest' if name in table else 'in the manifest only'}")
        for name in sorted(table.keys() & listed.keys()):
            if table[name] != listed[name]:
                self._report.fault(f"{name}: the manifest says other rows or another digest")
        on_disk = {file.relative_to(self._archive.root).as_posix() for file in self._archive.root.rglob("*.parquet")}
        for name in sorted(on_disk - table.keys()):
            self._report.fault(f"{name}: a file nobody sealed")

    def _files(self, progress: Progress) -> None:
        files = self._store.rows(
            "SELECT file_id, path, month, bucket, rows, size, sha256 FROM archive_file ORDER BY path"
        )
        for place, file in enumerate(files):
            progress("sealed files", place, len(files))
            self._file(*file)
        progress("sealed files", len(files), len(files))
        self._doubles([self._archive.root / path for _, path, *_ in files])

    def _file(self, file_id: int, path: str, month: str, bucket: int, rows: int, size: int, sha256: str) -> None:
        self._report.files += 1
        try:
            content = (self._archive.root / path).read_bytes()
        except OSError as error:
            self._report.fault(f"{path}: {error.strerror or error}")
            return
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            self._report.fault(f"{path}: its content is not what was sealed")
            return
        table = pq.read_table(pa.BufferReader(content))
        if not table.schema.equals(SCHEMA) or table.num_rows != rows:
            self._report.fault(f"{path}: {table.num_rows} rows of another form, {rows} were sealed")
            return
        keys = list(zip(table["server_id"].to_pylist(), table["seconds_index"].to_pylist(), strict=True))
        if keys != sorted(set(keys)):
            self._report.fault(f"{path}: rows are not sorted, or one is there twice")
        if f"month={month}/bucket={bucket:02d}/" not in path or {bucket_of(name) for name, _ in keys} - {bucket}:
            self._report.fault(f"{path}: rows of another bucket")
        self._ranges(file_id, path, keys)
        self._verify(table, path)

    def _ranges(self, file_id: int, path: str, keys: list[tuple[bytes, int]]) -> None:
        """The index of the file's contents says what is in it."""
        stated = {
            meter_id: (first, last, rows)
            for meter_id, first, last, rows in self._store.rows(
                "SELECT meter_id, first_idx, last_idx, rows FROM archive_range WHERE file_id = ?", (file_id,)
            )
        }
        found: dict[int, tuple[int, int, int]] = {}
        for server_id, index in keys:
            first, last, rows = found.get(self._ids.get(server_id, -1), (index, index, 0))
            found[self._ids.get(server_id, -1)] = (min(first, index), max(last, index), rows + 1)
        if stated != found:
            self._report.fault(f"{path}: its ranges in the database are wrong")

    def _doubles(self, files: list[Path]) -> None:
        """No key is in two files, or in a file and still hot."""
        if not files:
            return
        hot_keys = self._store.rows("SELECT server_id, idx FROM hot JOIN meter USING (meter_id)")
        hot = pa.table(
            {
                "server_id": pa.array([server_id for server_id, _ in hot_keys], pa.binary()),
                "seconds_index": pa.array([index for _, index in hot_keys], pa.uint32()),
            }
        )
        doubles = self._archive.sql(
            "SELECT server_id, seconds_index FROM (SELECT server_id, seconds_index"
            " FROM read_parquet(?, hive_partitioning=false) UNION ALL FROM hot)"
            " GROUP BY ALL HAVING count(*) > 1 LIMIT 100",
            [[str(path) for path in files if path.exists()]],
            hot=hot,
        )
        for row in doubles.to_pylist():
            self._report.fault(f"{ServerId(row['server_id'])} #{row['seconds_index']} is there twice")

    # --- rows ------------------------------------------------------------------------------

    def _hot(self, progress: Progress) -> None:
        meters = sorted(self._ids.items())
        for place, (_, meter_id) in enumerate(meters):
            progress("rows not yet sealed", place, len(meters))
            self._verify(self._archive.hot_of(meter_id), "hot rows")
        progress("rows not yet sealed", len(meters), len(meters))

    def _verify(self, table: pa.Table, where: str) -> None:
        for part in _slices(table):
            self._report.rows += part.num_rows
            signed = signed_tuples(part)
            work = [(one, self._roster.keys(self._ids.get(one.server_id, -1))) for one in signed]
            for one, judgement in zip(signed, self._verifier.judge_all(work), strict=True):
                self._report.signatures += 2
                if judgement.verdict is not Verdict.VALID:
                    self._report.fault(f"{where}: {ServerId(one.server_id)} #{one.index}: {judgement.reason}")
            for server_id, valid in zip(
                part["server_id"].to_pylist(), np.asarray(part["signature_import"].is_valid()), strict=True
            ):
                counts = self._signed if valid else self._unsigned
                meter_id = self._ids.get(server_id, -1)
                counts[meter_id] = counts.get(meter_id, 0) + 1

    def _counts(self) -> None:
        """What the roster counts is what is there."""
        apart = dict(self._store.rows("SELECT meter_id, count(*) FROM quarantine GROUP BY meter_id"))
        for meter in self._roster.meters():
            for what, stated, found in (
                ("verified tuples", meter.counts.tuples_archived, self._signed.get(meter.meter_id, 0)),
                ("unsigned readings", meter.counts.unsigned_readings, self._unsigned.get(meter.meter_id, 0)),
                ("tuples set apart", meter.counts.tuples_quarantined, apart.get(meter.meter_id, 0)),
            ):
                if stated != found:
                    self._report.fault(f"{meter.server_id}: {stated} {what} were counted, {found} are there")

    # --- journal and bills -----------------------------------------------------------------

    def _batches(self, progress: Progress) -> None:
        """Every raw batch has the digest it came with."""
        row = self._store.one("SELECT count(*) FROM batch")
        total, last = int(row[0]) if row else 0, 0
        while rows := self._store.rows(
            "SELECT batch_id, digest, raw FROM batch WHERE batch_id > ? ORDER BY batch_id LIMIT ?",
            (last, BATCHES_AT_ONCE),
        ):
            for batch_id, digest, raw in rows:
                self._report.batches += 1
                if hashlib.sha256(raw).digest() != digest:
                    self._report.fault(f"batch {batch_id}: its bytes are not those that came in")
            last = rows[-1][0]
            progress("journal", self._report.batches, total)

    def _bills(self, progress: Progress) -> None:
        """Every bill follows from the archive as it is now."""
        rows: list[tuple[Any, ...]] = self._store.rows(
            "SELECT bill_id, meter_id, month, inputs_digest, head FROM bill WHERE complete = 1 ORDER BY bill_id"
        )
        for place, (bill_id, meter_id, month, digest, text) in enumerate(rows):
            progress("bills", place, len(rows))
            self._report.bills += 1
            try:
                bill = self._invoicing.compute(meter_id, month)
            except StoreDamaged as error:
                self._report.fault(f"bill {bill_id}: {error}")
                continue
            if bill is None or bill.inputs_digest != digest:
                self._report.fault(f"bill {bill_id}: its inputs are not what the archive holds now")
            elif str(bill.total_eur) != json.loads(text)["total_eur"]:
                self._report.fault(f"bill {bill_id}: computed again it is {bill.total_eur} EUR")
        progress("bills", len(rows), len(rows))


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, ROWS_AT_ONCE):
        yield table.slice(start, ROWS_AT_ONCE)
