"""From journal to evidence: reads each batch once, judges every tuple, keeps what stands.

A batch is read, its new tuples are verified on all cores, and one transaction writes everything
that follows from it: rows, quarantine, sync points, counts, and that the batch is done. Killed
anywhere, the batch is simply read again; a tuple known already changes nothing, so the result
does not depend on order, repetition or interruption.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from ..errors import InvalidIdentifier, MesswerkError
from ..identity import ServerId
from ..tuples import SignedTuple
from .archive import Archive, unsigned_digest
from .calendar import BERLIN, local_day
from .contents import Contents, Identity, UnsignedReading, read
from .events import Events
from .journal import Batch, BatchState, Journal, Kind
from .roster import CONTESTED, Roster, public_key_of
from .store import Store, microseconds
from .timesync import SyncPoint, adds
from .verify import Judgement, Verdict, Verifier, content_digest, digest
from .views import Severity

log = logging.getLogger(__name__)

PUSHED_UTC_UNCERTAINTY_S: Final = 1.0
"""A pushed row that carries index and UTC was dated by its module's own clock. [design]"""


@dataclass(slots=True)
class Outcome:
    """What one run of processing added; the live state of meters is brought up to date from it."""

    batches: int = 0
    signed: list[tuple[int, SignedTuple, float]] = field(default_factory=list)
    """(meter, tuple, when received): new and valid."""
    unsigned: list[tuple[int, UnsignedReading, float]] = field(default_factory=list)
    """(meter, reading, when received): new."""
    sync_points: list[tuple[int, SyncPoint]] = field(default_factory=list)
    disputed: list[tuple[int, int]] = field(default_factory=list)
    """(meter, index)"""
    new_meters: list[tuple[bytes, int]] = field(default_factory=list)
    duplicates: int = 0
    problems: int = 0


class Ingest:
    """Processes the journal of one station. One thread at a time calls `run`."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        roster: Roster,
        archive: Archive,
        events: Events,
        verifier: Verifier,
        *,
        last_point: Callable[[int], SyncPoint | None],
        sync_every_s: float = 60.0,
        zone: ZoneInfo = BERLIN,
    ) -> None:
        """`last_point` tells the sync point of a meter kept last; one in `sync_every_s` is enough."""
        self._store, self._journal, self._roster = store, journal, roster
        self._archive, self._events, self._verifier = archive, events, verifier
        self._last_point, self._sync_every_s = last_point, sync_every_s
        self._zone = zone

    def run(self) -> Outcome | None:
        """Process the oldest batches; None when there are none.

        A batch on which our own code fails is set aside with an alarm, so that those behind it
        are still processed. Raises what the store raises: then nothing has changed.
        """
        batches = self._journal.unprocessed()
        if not batches:
            return None
        try:
            return self._process(batches)
        except MesswerkError:
            raise
        except Exception:
            if len(batches) > 1:
                log.warning("processing %d batches failed, trying the first alone", len(batches))
            return self._process_alone(batches[0])

    def _process_alone(self, batch: Batch) -> Outcome:
        try:
            return self._process([batch])
        except MesswerkError:
            raise
        except Exception as error:
            log.exception("batch %d cannot be processed, please report this", batch.batch_id)
            with self._store.transaction() as write:
                write.execute(
                    "UPDATE batch SET state = ? WHERE batch_id = ?", (int(BatchState.SET_ASIDE), batch.batch_id)
                )
                self._events.add(
                    batch.received_utc, Severity.ALARM, "set_aside",
                    f"batch {batch.batch_id} of {batch.source} cannot be processed ({type(error).__name__}): "
                    "it is kept, please report this",
                )  # fmt: skip
            return Outcome(batches=1, problems=1)

    def _process(self, batches: Sequence[Batch]) -> Outcome:
        found = [(batch, read(batch.raw)) for batch in batches]
        self._meet_identities(found)
        judged = self._judge(found)
        outcome = Outcome(batches=len(batches))
        with self._store.transaction() as write:
            run = _Run(self, write, outcome)
            for batch, contents in found:
                run.batch(batch, contents, judged)
        for server_id, meter_id in outcome.new_meters:
            self._roster.remember(server_id, meter_id)
        return outcome

    # --- identities and keys ---------------------------------------------------------------

    def _meet_identities(self, found: Sequence[tuple[Batch, Contents]]) -> None:
        """Take note of keys before tuples are judged; batches that waited for them are read again."""
        for batch, contents in found:
            for identity in contents.identities:
                self._meet(batch, identity)

    def _meet(self, batch: Batch, identity: Identity) -> None:
        if not 1 <= len(identity.server_id) <= 14:
            return
        with self._store.transaction() as write:
            meter_id, _ = self._roster.enter(write, identity.server_id, batch.received_utc, batch.source)
            write.execute(
                "UPDATE meter SET manufacturer = coalesce(?, manufacturer),"
                " device_class = coalesce(?, device_class), firmware = coalesce(?, firmware) WHERE meter_id = ?",
                (identity.manufacturer, identity.device_class, identity.firmware, meter_id),
            )
            if identity.public_key:
                self._meet_key(write, batch, meter_id, identity.server_id, identity.public_key)
        self._roster.remember(identity.server_id, meter_id)

    def _meet_key(self, write: sqlite3.Connection, batch: Batch, meter_id: int, server_id: bytes, point: bytes) -> None:
        name = ServerId(server_id)
        try:
            key = public_key_of(point)
        except InvalidIdentifier as error:
            self._events.add(
                batch.received_utc, Severity.ALARM, "unusable_key", f"{name} shows an unusable key: {error}",
                meter_id=meter_id, once=True,
            )  # fmt: skip
            return
        confirmation = self._roster.meet_key(write, meter_id, key, batch.received_utc)
        if confirmation == CONTESTED:
            self._events.add(
                batch.received_utc, Severity.ALARM, "key_changed",
                f"{name} shows another key, {key.fingerprint}: nothing signed with it is billed until it is confirmed",
                meter_id=meter_id,
            )  # fmt: skip
        elif confirmation is not None:
            self._events.add(
                batch.received_utc, Severity.INFO, "new_key",
                f"{name}: key {key.fingerprint} taken over; compare it with the plate", meter_id=meter_id,
            )  # fmt: skip
            requeue_waiting(write, server_id)

    def judge_again(self, meter_id: int, server_id: bytes) -> None:
        """A key was accepted: what waited for it, or was refused for want of it, is read again."""
        with self._store.transaction() as write:
            requeue_waiting(write, server_id)
            bad = Verdict.BAD_SIGNATURE.value
            write.execute(
                "UPDATE batch SET state = ? WHERE batch_id IN"
                " (SELECT batch_id FROM quarantine WHERE meter_id = ? AND verdict = ?)",
                (int(BatchState.RECEIVED), meter_id, bad),
            )
            dropped = write.execute(
                "SELECT count(*), coalesce(sum(valid), 0) FROM quarantine WHERE meter_id = ? AND verdict = ?",
                (meter_id, bad),
            ).fetchone()
            write.execute("DELETE FROM quarantine WHERE meter_id = ? AND verdict = ?", (meter_id, bad))
            write.execute(
                "UPDATE meter SET tuples_quarantined = tuples_quarantined - ?1,"
                " signatures_valid = signatures_valid - ?2, signatures_invalid = signatures_invalid - (2 * ?1 - ?2)"
                " WHERE meter_id = ?3",
                (dropped[0], dropped[1], meter_id),
            )

    # --- verdicts --------------------------------------------------------------------------

    def _judge(self, found: Sequence[tuple[Batch, Contents]]) -> dict[bytes, Judgement]:
        """Judgement of every tuple that is not kept already, by digest."""
        wanted: dict[int | None, dict[bytes, SignedTuple]] = {}
        for _, contents in found:
            for signed in contents.tuples:
                wanted.setdefault(self._roster.find(signed.server_id), {})[digest(signed)] = signed
        work: list[tuple[bytes, SignedTuple]] = []
        for meter_id, tuples in wanted.items():
            kept: set[bytes] = set()
            if meter_id is not None:
                kept = set(self._archive.digests(meter_id, [signed.index for signed in tuples.values()]).values())
            work += [(name, signed) for name, signed in tuples.items() if name not in kept]
        judgements = self._verifier.judge_all(
            [(signed, self._roster.keys(self._roster.find(signed.server_id) or 0)) for _, signed in work]
        )
        return {name: judgement for (name, _), judgement in zip(work, judgements, strict=True)}


class _Run:
    """One transaction of processing."""

    def __init__(self, ingest: Ingest, write: sqlite3.Connection, outcome: Outcome) -> None:
        self._ingest, self._write, self._outcome = ingest, write, outcome
        self._kept: dict[tuple[int, int], bytes] = {}
        """Digest of what is kept under (meter, index), as far as looked up or written."""
        self._points: dict[int, SyncPoint] = {}
        """The sync point of each meter this run kept last."""

    def batch(self, batch: Batch, contents: Contents, judged: dict[bytes, Judgement]) -> None:
        """Write everything that follows from one batch, and that it is done."""
        self._outcome.problems += contents.problem_count
        if contents.problem_count:
            self._event(
                batch, Severity.WARNING, "unreadable",
                f"{batch.source}: {contents.problem_count} unreadable parts in batch {batch.batch_id}, "
                f"first: {contents.problems[0]}",
            )  # fmt: skip
        waiting: dict[bytes, int] = {}
        self._look_up(batch, contents)
        verified = 0
        for signed in contents.tuples:
            judgement = judged.get(digest(signed))
            if judgement is None:
                self._outcome.duplicates += 1
            elif judgement.verdict is Verdict.UNKNOWN_KEY:
                waiting[signed.server_id] = waiting.get(signed.server_id, 0) + 1
                self._unknown_key(batch, signed, judgement)
            else:
                verified += self._tuple(batch, signed, judgement)
        for reading in contents.readings:
            self._reading(batch, reading)
        self._times(batch, contents)
        self._write.execute("DELETE FROM waiting WHERE batch_id = ?", (batch.batch_id,))
        for server_id, count in waiting.items():
            self._write.execute(
                "INSERT INTO waiting (batch_id, server_id, tuples) VALUES (?, ?, ?)",
                (batch.batch_id, server_id, count),
            )
        if verified:
            self._write.execute(
                "INSERT INTO verified_day (day, tuples) VALUES (?, ?)"
                " ON CONFLICT (day) DO UPDATE SET tuples = tuples + excluded.tuples",
                (day_name(batch.received_utc, self._ingest._zone), verified),
            )
        self._write.execute(
            "UPDATE batch SET state = ? WHERE batch_id = ?", (int(BatchState.PROCESSED), batch.batch_id)
        )

    def _look_up(self, batch: Batch, contents: Contents) -> None:
        """What is kept already under the keys of this batch."""
        wanted: dict[int, set[int]] = {}
        keys = [(signed.server_id, int(signed.index)) for signed in contents.tuples]
        keys += [(reading.server_id, reading.index) for reading in contents.readings]
        for server_id, index in keys:
            meter_id = self._meter(server_id, batch)
            if (meter_id, index) not in self._kept:
                wanted.setdefault(meter_id, set()).add(index)
        for meter_id, indices in wanted.items():
            for index, kept in self._ingest._archive.digests(meter_id, sorted(indices)).items():
                self._kept[meter_id, index] = kept

    def _meter(self, server_id: bytes, batch: Batch) -> int:
        """Number of the meter, entered when it is met for the first time."""
        meter_id, new = self._ingest._roster.enter(self._write, server_id, batch.received_utc, batch.source)
        if new and (server_id, meter_id) not in self._outcome.new_meters:
            self._outcome.new_meters.append((bytes(server_id), meter_id))
            self._event(
                batch, Severity.INFO, "new_meter", f"{ServerId(server_id)} heard for the first time, {batch.source}",
                meter_id=meter_id,
            )  # fmt: skip
        return meter_id

    # --- signed ----------------------------------------------------------------------------

    def _tuple(self, batch: Batch, signed: SignedTuple, judgement: Judgement) -> int:
        """Keep a valid tuple or set a refused one apart; returns 1 when a valid one is new."""
        meter_id = self._meter(signed.server_id, batch)
        if judgement.verdict is not Verdict.VALID:
            self._quarantine(batch, meter_id, signed, judgement.verdict, judgement.reason, judgement.signatures_valid)
            return 0
        name = digest(signed)
        kept = self._kept.get((meter_id, signed.index))
        if kept is None:
            self._keep(batch, meter_id, signed, name, judgement)
            return 1
        if kept != name and not self._same_content(meter_id, signed):
            self._dispute(batch, meter_id, signed)
        else:
            self._outcome.duplicates += 1
        return 0

    def _keep(self, batch: Batch, meter_id: int, signed: SignedTuple, name: bytes, judgement: Judgement) -> None:
        assert judgement.key is not None, "a valid tuple has a key"
        self._kept[meter_id, signed.index] = name
        self._write.execute(
            "INSERT INTO hot (meter_id, idx, received_us, batch_id, key_id, status, scaler, import_wh, r1_varh,"
            " r4_varh, export_wh, r2_varh, r3_varh, signature_import, signature_export, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (meter_id, signed.index, microseconds(batch.received_utc), batch.batch_id, judgement.key.key_id,
             signed_64(signed.status), signed.scaler, signed.import_wh, signed.r1_varh, signed.r4_varh,
             signed.export_wh, signed.r2_varh, signed.r3_varh, signed.signature_import, signed.signature_export, name),
        )  # fmt: skip
        self._write.execute(
            "UPDATE meter SET tuples_archived = tuples_archived + 1, signatures_valid = signatures_valid + 2,"
            " last_seen_us = max(last_seen_us, ?) WHERE meter_id = ?",
            (microseconds(batch.received_utc), meter_id),
        )
        self._outcome.signed.append((meter_id, signed, batch.received_utc))

    def _same_content(self, meter_id: int, signed: SignedTuple) -> bool:
        """Whether what is kept says the same and merely carries another valid signature."""
        kept = next((one for id_, one, _ in self._outcome.signed if (id_, one.index) == (meter_id, signed.index)), None)
        kept = kept or self._ingest._archive.tuple_at(meter_id, signed.index)
        return kept is not None and content_digest(kept) == content_digest(signed)

    def _dispute(self, batch: Batch, meter_id: int, signed: SignedTuple) -> None:
        """Two valid contents under one key: both are kept, neither is billed."""
        reason = f"another validly signed content of #{signed.index} was received before"
        if not self._quarantine(batch, meter_id, signed, Verdict.TAMPERED, reason, 2):
            return
        self._write.execute(
            "INSERT INTO dispute (meter_id, idx) VALUES (?, ?) ON CONFLICT DO NOTHING", (meter_id, signed.index)
        )
        self._outcome.disputed.append((meter_id, signed.index))

    def _quarantine(
        self, batch: Batch, meter_id: int, signed: SignedTuple, verdict: Verdict, reason: str, valid: int
    ) -> bool:
        """Set a tuple apart with its evidence; returns whether it is new there."""
        new = self._write.execute(
            "INSERT INTO quarantine (meter_id, idx, received_us, batch_id, verdict, reason, valid, status, scaler,"
            " import_wh, r1_varh, r4_varh, export_wh, r2_varh, r3_varh, signature_import, signature_export, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (meter_id, signed.index, microseconds(batch.received_utc), batch.batch_id, verdict.value, reason, valid,
             signed_64(signed.status), signed.scaler, signed.import_wh, signed.r1_varh, signed.r4_varh,
             signed.export_wh, signed.r2_varh, signed.r3_varh, signed.signature_import, signed.signature_export,
             digest(signed)),
        ).rowcount  # fmt: skip
        if not new:
            self._outcome.duplicates += 1
            return False
        self._write.execute(
            "UPDATE meter SET tuples_quarantined = tuples_quarantined + 1, signatures_valid = signatures_valid + ?,"
            " signatures_invalid = signatures_invalid + ? WHERE meter_id = ?",
            (valid, 2 - valid, meter_id),
        )
        self._event(
            batch, Severity.ALARM, verdict.name.lower(),
            f"{ServerId(signed.server_id)} #{signed.index} set apart, {verdict.value}: {reason}; "
            f"evidence in batch {batch.batch_id}",
            meter_id=meter_id,
        )  # fmt: skip
        return True

    def _unknown_key(self, batch: Batch, signed: SignedTuple, judgement: Judgement) -> None:
        meter_id = self._meter(signed.server_id, batch)
        self._event(
            batch, Severity.WARNING, "unknown_key",
            f"{ServerId(signed.server_id)}: its tuples wait for a key: {judgement.reason}", meter_id=meter_id,
        )  # fmt: skip

    # --- unsigned --------------------------------------------------------------------------

    def _reading(self, batch: Batch, reading: UnsignedReading) -> None:
        meter_id = self._meter(reading.server_id, batch)
        registers = (
            reading.import_wh, reading.export_wh, reading.r1_varh, reading.r2_varh, reading.r3_varh, reading.r4_varh,
        )  # fmt: skip
        name = unsigned_digest(reading.status, reading.scaler, registers)
        kept = self._kept.get((meter_id, reading.index))
        if kept is not None:
            self._outcome.duplicates += 1
            if kept != name:
                self._event(
                    batch, Severity.WARNING, "unsigned_conflict",
                    f"{ServerId(reading.server_id)}: two telegrams with #{reading.index} differ; the first one stands",
                    meter_id=meter_id,
                )  # fmt: skip
            return
        self._kept[meter_id, reading.index] = name
        self._write.execute(
            "INSERT INTO hot (meter_id, idx, received_us, batch_id, status, scaler, import_wh, export_wh, r1_varh,"
            " r2_varh, r3_varh, r4_varh, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (meter_id, reading.index, microseconds(batch.received_utc), batch.batch_id, signed_64(reading.status),
             reading.scaler, *registers, name),
        )  # fmt: skip
        self._write.execute(
            "UPDATE meter SET unsigned_readings = unsigned_readings + 1, last_seen_us = max(last_seen_us, ?)"
            " WHERE meter_id = ?",
            (microseconds(batch.received_utc), meter_id),
        )
        self._outcome.unsigned.append((meter_id, reading, batch.received_utc))

    # --- time ------------------------------------------------------------------------------

    def _times(self, batch: Batch, contents: Contents) -> None:
        """Keep what joins index and UTC: answered times, dated rows, telegrams as they came."""
        points = [
            (server_id, SyncPoint(index, float(utc), PUSHED_UTC_UNCERTAINTY_S, "push"))
            for server_id, index, utc in contents.dated_rows
        ]
        if batch.kind is Kind.PULL and batch.sent_utc is not None:
            points += [
                (server_id, SyncPoint.from_answer(index, batch.sent_utc, batch.received_utc))
                for server_id, index in contents.ref_times
            ]
        elif batch.kind is Kind.INFO:
            points += [
                (reading.server_id, SyncPoint.from_telegram(reading.index, batch.received_utc))
                for reading in contents.readings[-1:]
            ]
        for server_id, point in points:
            if not 1 <= len(server_id) <= 32:
                continue
            meter_id = self._meter(server_id, batch)
            last = self._points.get(meter_id) or self._ingest._last_point(meter_id)
            if not adds(last, point, self._ingest._sync_every_s):
                continue
            self._points[meter_id] = point
            self._write.execute(
                "INSERT INTO sync_point (meter_id, utc, idx, uncertainty_s, source) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (meter_id, point.utc, point.index, point.uncertainty_s, point.source),
            )
            self._outcome.sync_points.append((meter_id, point))

    def _event(self, batch: Batch, severity: Severity, kind: str, text: str, *, meter_id: int | None = None) -> None:
        self._ingest._events.add(batch.received_utc, severity, kind, text, meter_id=meter_id, once=True)


def requeue_waiting(write: sqlite3.Connection, server_id: bytes) -> None:
    """Have the batches that wait for a meter's key read again."""
    write.execute(
        "UPDATE batch SET state = ? WHERE batch_id IN (SELECT batch_id FROM waiting WHERE server_id = ?)",
        (int(BatchState.RECEIVED), bytes(server_id)),
    )


def day_name(utc: float, zone: ZoneInfo) -> str:
    """The local day as the store names it."""
    return local_day(utc, zone).isoformat()


def signed_64(status: int) -> int:
    """A status word as SQLite keeps it: the same 64 bits, signed."""
    return status - (1 << 64) if status >= 1 << 63 else status
