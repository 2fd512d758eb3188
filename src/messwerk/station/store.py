"""The station's memory: one SQLite file in one folder, held by one station at a time.

WAL with `synchronous=FULL`: a transaction that has returned survives a kill and a power cut.
One connection writes, under a lock; another one reads beside it and never waits for a commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

from ..errors import BusyError, LocalError, NoRoom, StoreDamaged

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind; SQLite's own lock still stands
    fcntl = None  # type: ignore[assignment]

DATABASE: Final = "station.db"
LOCK: Final = "station.lock"

_FIRST_SCHEMA: Final = """
CREATE TABLE meter (
    meter_id INTEGER PRIMARY KEY, server_id BLOB NOT NULL UNIQUE, source TEXT NOT NULL,
    first_seen_us INTEGER NOT NULL, last_seen_us INTEGER NOT NULL,
    manufacturer TEXT, device_class BLOB, firmware TEXT,
    tuples_archived INTEGER NOT NULL DEFAULT 0,
    signatures_valid INTEGER NOT NULL DEFAULT 0, signatures_invalid INTEGER NOT NULL DEFAULT 0,
    tuples_quarantined INTEGER NOT NULL DEFAULT 0, unsigned_readings INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE public_key (
    key_id INTEGER PRIMARY KEY, meter_id INTEGER NOT NULL REFERENCES meter, curve TEXT NOT NULL,
    point BLOB NOT NULL, confirmation TEXT NOT NULL, accepted INTEGER NOT NULL, since_us INTEGER NOT NULL,
    UNIQUE (meter_id, curve, point)
);
CREATE TABLE module (
    module_id INTEGER PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL,
    username TEXT, password TEXT, UNIQUE (host, port)
);
CREATE TABLE batch (
    batch_id INTEGER PRIMARY KEY AUTOINCREMENT, received_us INTEGER NOT NULL, sent_us INTEGER,
    kind INTEGER NOT NULL, source TEXT NOT NULL, digest BLOB NOT NULL, state INTEGER NOT NULL DEFAULT 0,
    raw BLOB NOT NULL, UNIQUE (source, digest)
);
CREATE INDEX batch_state ON batch (state, batch_id);
CREATE TABLE waiting (
    batch_id INTEGER NOT NULL REFERENCES batch ON DELETE CASCADE, server_id BLOB NOT NULL, tuples INTEGER NOT NULL,
    PRIMARY KEY (server_id, batch_id)
) WITHOUT ROWID;
CREATE TABLE hot (
    row_id INTEGER PRIMARY KEY AUTOINCREMENT, meter_id INTEGER NOT NULL REFERENCES meter, idx INTEGER NOT NULL,
    received_us INTEGER NOT NULL, batch_id INTEGER NOT NULL, key_id INTEGER REFERENCES public_key,
    status INTEGER NOT NULL, scaler INTEGER NOT NULL,
    import_wh INTEGER NOT NULL, r1_varh INTEGER, r4_varh INTEGER,
    export_wh INTEGER, r2_varh INTEGER, r3_varh INTEGER,
    signature_import BLOB, signature_export BLOB, digest BLOB NOT NULL, UNIQUE (meter_id, idx)
);
CREATE TABLE quarantine (
    quarantine_id INTEGER PRIMARY KEY, meter_id INTEGER NOT NULL REFERENCES meter, idx INTEGER NOT NULL,
    received_us INTEGER NOT NULL, batch_id INTEGER NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,
    valid INTEGER NOT NULL, status INTEGER NOT NULL, scaler INTEGER NOT NULL,
    import_wh INTEGER NOT NULL, r1_varh INTEGER NOT NULL, r4_varh INTEGER NOT NULL,
    export_wh INTEGER NOT NULL, r2_varh INTEGER NOT NULL, r3_varh INTEGER NOT NULL,
    signature_import BLOB NOT NULL, signature_export BLOB NOT NULL, digest BLOB NOT NULL,
    UNIQUE (meter_id, idx, digest)
);
CREATE TABLE dispute (
    meter_id INTEGER NOT NULL REFERENCES meter, idx INTEGER NOT NULL, PRIMARY KEY (meter_id, idx)
) WITHOUT ROWID;
CREATE TABLE sync_point (
    meter_id INTEGER NOT NULL REFERENCES meter, utc REAL NOT NULL, idx INTEGER NOT NULL,
    uncertainty_s REAL NOT NULL, source TEXT NOT NULL, PRIMARY KEY (meter_id, utc, idx)
) WITHOUT ROWID;
CREATE TABLE archive_file (
    file_id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, month TEXT NOT NULL, bucket INTEGER NOT NULL,
    level INTEGER NOT NULL, rows INTEGER NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    sealed_us INTEGER NOT NULL
);
CREATE TABLE archive_range (
    file_id INTEGER NOT NULL REFERENCES archive_file ON DELETE CASCADE, meter_id INTEGER NOT NULL REFERENCES meter,
    first_idx INTEGER NOT NULL, last_idx INTEGER NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (meter_id, file_id)
) WITHOUT ROWID;
CREATE TABLE verified_day (day TEXT PRIMARY KEY, tuples INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE price_sheet (digest TEXT PRIMARY KEY, sheet TEXT NOT NULL, added_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE bill (
    bill_id TEXT PRIMARY KEY, meter_id INTEGER NOT NULL REFERENCES meter, month TEXT NOT NULL,
    inputs_digest TEXT NOT NULL, complete INTEGER NOT NULL, head TEXT NOT NULL, readings BLOB NOT NULL,
    made_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE event (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT, utc_us INTEGER NOT NULL, severity TEXT NOT NULL, kind TEXT NOT NULL,
    meter_id INTEGER REFERENCES meter, text TEXT NOT NULL, acknowledged INTEGER NOT NULL DEFAULT 0
);
"""

_SCHEMAS: Final = (
    _FIRST_SCHEMA,
    "CREATE TABLE info_source (source TEXT PRIMARY KEY) WITHOUT ROWID;",
)
"""What takes a database from version n to n + 1; a step that was released is never changed."""
SCHEMA_VERSION: Final = len(_SCHEMAS)


def microseconds(utc: float) -> int:
    """UTC seconds as the integer the store keeps."""
    return round(utc * 1_000_000)


class Store:
    """The SQLite file of one data folder. Close it, or use it as a context."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder. Raises BusyError when another station holds it."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise LocalError(f"the data folder {folder} cannot be made: {error.strerror or error}") from error
        self._lock_file = _hold(folder)
        self._write_lock, self._read_lock = threading.RLock(), threading.Lock()
        self._depth = 0
        self._closed = False
        try:
            self._writer = self._connect()
            self._prepare()
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only=ON")
        except BaseException:
            self._lock_file.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        path = self.folder / DATABASE
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
            path.chmod(0o600)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error as error:
            raise _translated(error, path) from error
        return connection

    def _prepare(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LocalError(f"{self.folder} was written by a newer Messwerk (schema {version}): install that version")
        for step in range(version, SCHEMA_VERSION):
            with self.transaction() as write:
                for statement in filter(str.strip, _SCHEMAS[step].split(";")):
                    write.execute(statement)
                write.execute(f"PRAGMA user_version={step + 1}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: all of the block or nothing of it; durable when the block has ended.

        Blocks of one thread nest; the outermost one commits. Raises NoRoom when the disk is full.
        """
        with self._write_lock:
            if self._closed:
                raise LocalError(f"the station of {self.folder} is closed")
            self._depth += 1
            try:
                if self._depth == 1:
                    self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                if self._depth == 1:
                    self._writer.execute("COMMIT")
            except BaseException as error:
                if self._depth == 1 and self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _translated(error, self.folder / DATABASE) from error
                raise
            finally:
                self._depth -= 1

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read what is committed. Never waits for a writer."""
        with self._read_lock:
            if self._closed:
                raise LocalError(f"the station of {self.folder} is closed")
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise _translated(error, self.folder / DATABASE) from error

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with its own file; empty when it is whole."""
        with self._write_lock:
            return [row[0] for row in self._writer.execute("PRAGMA integrity_check") if row[0] != "ok"]

    def close(self) -> None:
        """Let go of the folder; safe to call twice."""
        with self._write_lock, self._read_lock:
            if self._closed:
                return
            self._closed = True
            self._reader.close()
            self._writer.close()
            self._lock_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _hold(folder: Path) -> IO[str]:
    """Take the folder's lock; it goes with the process, also when that is killed."""
    path = folder / LOCK
    try:
        file = path.open("a+")
    except OSError as error:
        raise LocalError(f"the data folder {folder} cannot be written: {error.strerror or error}") from error
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read(32).strip()
            file.close()
            by = f"another station (process {holder})" if holder.isdigit() else "another station"
            raise BusyError(f"{folder} is held by {by}: stop that one, or give this one a folder of its own") from error
    try:
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
    except OSError as error:
        file.close()
        raise NoRoom(f"{folder} cannot be written: {error.strerror or error}; free some space") from error
    return file


def _translated(error: sqlite3.Error, path: Path) -> LocalError | StoreDamaged:
    """Our error for one of SQLite's, with the remedy."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name in ("SQLITE_FULL", "SQLITE_TOOBIG") or name.startswith("SQLITE_IOERR_WRITE"):
        return NoRoom(f"no room for {path}: free some space on its disk; nothing was acknowledged")
    if name.startswith("SQLITE_IOERR"):
        return NoRoom(f"the disk refuses {path} ({name}): free some space or replace it; nothing was acknowledged")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreDamaged(f"{path} is damaged ({error}): restore the folder from a backup")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BusyError(f"{path} is in use by another program: close it")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return LocalError(f"{path} cannot be opened for writing: check owner and permissions ({error})")
    return LocalError(f"{path}: {error}")
