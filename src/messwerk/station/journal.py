"""The journal: what came in, byte for byte, durable before anybody is told so.

One row a batch: when and from whom, SHA-256, the bytes as they were on the wire. The same bytes
from the same source are one batch, however often they come. Everything else the station knows
is derived from here and can be derived again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..errors import LocalError
from .store import Store, microseconds

BATCH_MAX: Final = 16 << 20
"""Bytes of one batch; a profile pack of two days has 45 000. [design]"""
GROUP_MAX: Final = 1024
"""Batches one commit takes together. [design]"""
BACKLOG_MAX: Final = 64 << 20
"""Bytes waiting for a commit before intake is refused: the disk does not keep up. [design]"""
PROCESS_MAX: Final = 256
"""Batches handed out for processing at a time. [design]"""


class Kind(IntEnum):
    """How a batch came: decides what its times mean."""

    PULL = 1
    """Answers to our requests, sent at `sent_utc`."""
    PUSH = 2
    """A file a module sent by itself."""
    INFO = 3
    """Telegrams of an INFO interface, each sent as its second began."""


class BatchState(IntEnum):
    """How far a batch has come."""

    RECEIVED = 0
    """Durable, not yet read."""
    PROCESSED = 1
    """Read; its tuples are in the hot table, the archive or the quarantine, or wait for a key."""
    SET_ASIDE = 2
    """Reading it failed for a defect of ours: kept for ever, reported, and in nobody's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Bytes as they came in."""

    kind: Kind
    source: str
    """`pull 127.0.0.1:7259`, `push 127.0.0.1`, `tcp://127.0.0.1:7001` …"""
    raw: bytes
    received_utc: float
    sent_utc: float | None = None
    """When the request was sent; None for what came by itself."""
    batch_id: int = 0
    """Given by the journal."""


class Journal:
    """The batches of a store. `append` is for the event loop, `append_all` for everybody else."""

    def __init__(self, store: Store, executor: Executor | None = None) -> None:
        self._store = store
        self._executor = executor
        self._pending: list[tuple[Batch, asyncio.Future[int]]] = []
        self._pending_bytes = 0
        self._committer: asyncio.Task[None] | None = None

    def append_all(self, batches: Sequence[Batch]) -> list[int]:
        """Make batches durable in one commit; returns their numbers, the old one for a known batch.

        Raises NoRoom when the disk is full; then none of them is kept.
        """
        for batch in batches:
            if len(batch.raw) > BATCH_MAX:
                raise LocalError(f"{batch.source}: a batch of {len(batch.raw)} bytes is larger than {BATCH_MAX}")
        numbers = []
        with self._store.transaction() as write:
            for batch in batches:
                digest = hashlib.sha256(batch.raw).digest()
                sent_us = None if batch.sent_utc is None else microseconds(batch.sent_utc)
                row = write.execute(
                    "INSERT INTO batch (received_us, sent_us, kind, source, digest, raw) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (source, digest) DO NOTHING RETURNING batch_id",
                    (microseconds(batch.received_utc), sent_us, int(batch.kind), batch.source, digest, batch.raw),
                ).fetchone()
                if row is None:
                    row = write.execute(
                        "SELECT batch_id FROM batch WHERE source = ? AND digest = ?", (batch.source, digest)
                    ).fetchone()
                numbers.append(int(row[0]))
        return numbers

    async def append(self, batch: Batch) -> int:
        """Return when the batch is durable. Batches of many connections share one commit.

        Raises NoRoom when the disk is full, LocalError when the disk does not keep up.
        """
        if self._pending_bytes + len(batch.raw) > BACKLOG_MAX:
            raise LocalError(f"{self._pending_bytes} bytes wait for the disk already: intake is refused until they fit")
        durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append((batch, durable))
        self._pending_bytes += len(batch.raw)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit(), name="journal commit")
        return await durable

    async def _commit(self) -> None:
        """Commit group after group until nothing waits; what arrives meanwhile is the next group."""
        while self._pending:
            group, self._pending = self._pending[:GROUP_MAX], self._pending[GROUP_MAX:]
            batches = [batch for batch, _ in group]
            try:
                numbers = await asyncio.get_running_loop().run_in_executor(self._executor, self.append_all, batches)
            except Exception as error:
                for _, durable in group:
                    if not durable.done():
                        durable.set_exception(error)
            else:
                for (_, durable), number in zip(group, numbers, strict=True):
                    if not durable.done():
                        durable.set_result(number)
            self._pending_bytes -= sum(len(batch.raw) for batch in batches)

    async def flush(self) -> None:
        """Return when everything handed to `append` so far is durable or refused."""
        if self._committer is not None:
            await asyncio.shield(self._committer)

    # --- the other end ---------------------------------------------------------------------

    def unprocessed(self, limit: int = PROCESS_MAX) -> list[Batch]:
        """The oldest batches not yet read."""
        rows = self._store.rows(
            "SELECT batch_id, kind, source, raw, received_us, sent_us FROM batch WHERE state = ?"
            " ORDER BY batch_id LIMIT ?",
            (int(BatchState.RECEIVED), limit),
        )
        return [_batch(row) for row in rows]

    def batch(self, batch_id: int) -> Batch | None:
        """One batch by number; None once it was pruned."""
        row = self._store.one(
            "SELECT batch_id, kind, source, raw, received_us, sent_us FROM batch WHERE batch_id = ?", (batch_id,)
        )
        return _batch(row) if row else None

    def count(self) -> int:
        """Batches not yet read."""
        row = self._store.one("SELECT count(*) FROM batch WHERE state = ?", (int(BatchState.RECEIVED),))
        return int(row[0]) if row else 0

    def prune(self, before_utc: float) -> int:
        """Forget batches received before a moment; returns how many.

        Kept are those still needed: not yet read, waiting for a key, in the hot table, or
        evidence of a quarantined tuple.
        """
        with self._store.transaction() as write:
            return write.execute(
                "DELETE FROM batch WHERE received_us < ? AND state = ?"
                " AND batch_id NOT IN (SELECT batch_id FROM waiting)"
                " AND batch_id NOT IN (SELECT batch_id FROM hot)"
                " AND batch_id NOT IN (SELECT batch_id FROM quarantine)",
                (microseconds(before_utc), int(BatchState.PROCESSED)),
            ).rowcount


def _batch(row: tuple[int, int, str, bytes, int, int | None]) -> Batch:
    batch_id, kind, source, raw, received_us, sent_us = row
    return Batch(
        kind=Kind(kind), source=source, raw=raw, received_utc=received_us / 1e6,
        sent_utc=None if sent_us is None else sent_us / 1e6, batch_id=batch_id,
    )  # fmt: skip
