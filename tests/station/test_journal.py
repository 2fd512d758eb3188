"""The journal: durable before anybody is told so, once each, one station a folder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from messwerk.errors import BusyError, LocalError, NoRoom, StoreDamaged
from messwerk.station.journal import Batch, Journal, Kind
from messwerk.station.store import DATABASE, Store


def batch(number: int, source: str = "pull a") -> Batch:
    return Batch(kind=Kind.PULL, source=source, raw=b"batch %d" % number, received_utc=1e9 + number, sent_utc=1e9)


def test_a_batch_comes_back_as_it_was(tmp_path: Path) -> None:
    """Kind, source, bytes and times survive; the number tells it apart."""
    with Store(tmp_path) as store:
        journal = Journal(store)
        (number,) = journal.append_all([batch(1)])
        assert journal.batch(number) == journal.unprocessed()[0]
        found = journal.unprocessed()[0]
        assert (found.kind, found.source, found.raw, found.received_utc, found.sent_utc) == (
            Kind.PULL, "pull a", b"batch 1", 1e9 + 1, 1e9,
        )  # fmt: skip


def test_the_same_bytes_of_the_same_source_are_one_batch(tmp_path: Path) -> None:
    """Sent twice, or twice in one commit: one row, one number; another source is another batch."""
    with Store(tmp_path) as store:
        journal = Journal(store)
        first = journal.append_all([batch(1), batch(1), batch(2)])
        assert first[0] == first[1] != first[2]
        assert journal.append_all([batch(2), batch(1)]) == [first[2], first[0]]
        assert journal.count() == 2
        journal.append_all([batch(1, "pull b")])
        assert journal.count() == 3


async def test_many_connections_share_a_commit(tmp_path: Path) -> None:
    """A thousand batches at once are durable when `append` returns, in far fewer commits."""
    with Store(tmp_path) as store:
        journal = Journal(store)
        commits = 0
        append_all = journal.append_all

        def counted(batches: list[Batch]) -> list[int]:
            nonlocal commits
            commits += 1
            return append_all(batches)

        journal.append_all = counted  # type: ignore[assignment,method-assign]
        numbers = await asyncio.gather(*(journal.append(batch(number)) for number in range(1000)))
        assert len(set(numbers)) == 1000 == journal.count()
        assert commits <= 3


async def test_a_batch_that_is_too_large_is_refused_alone(tmp_path: Path) -> None:
    """An oversized batch raises for its sender and leaves the journal usable."""
    with Store(tmp_path) as store:
        journal = Journal(store)
        large = Batch(kind=Kind.PUSH, source="push", raw=bytes(17 << 20), received_utc=0)
        with pytest.raises(LocalError, match="larger"):
            await journal.append(large)
        assert await journal.append(batch(1)) > 0


def test_a_second_station_on_the_folder_is_refused(tmp_path: Path) -> None:
    """Two stations on one folder would both acknowledge: the second is told who holds it and what to do."""
    with Store(tmp_path), pytest.raises(BusyError, match=rf"process {os.getpid()}.*folder of its own"):
        Store(tmp_path)
    Store(tmp_path).close()


def test_old_batches_are_forgotten_unless_needed(tmp_path: Path) -> None:
    """Pruning keeps what was not read yet."""
    with Store(tmp_path) as store:
        journal = Journal(store)
        numbers = journal.append_all([batch(1), batch(2)])
        with store.transaction() as write:
            write.execute("UPDATE batch SET state = 1 WHERE batch_id = ?", (numbers[0],))
        assert journal.prune(2e9) == 1
        assert [one.batch_id for one in journal.unprocessed()] == [numbers[1]]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    """A file that is no database is not overwritten; the message says what to do."""
    (tmp_path / DATABASE).write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreDamaged, match="backup"):
        Store(tmp_path)


def test_a_database_of_the_future_is_left_alone(tmp_path: Path) -> None:
    """A newer schema is not touched by an older program."""
    with Store(tmp_path) as store, store.transaction() as write:
        write.execute("PRAGMA user_version=99")
    with pytest.raises(LocalError, match="newer Messwerk"):
        Store(tmp_path)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """What fails in the middle leaves no trace, also from an inner block."""
    with Store(tmp_path) as store:
        journal = Journal(store)

        def fail() -> None:
            with store.transaction():
                journal.append_all([batch(1)])
                raise RuntimeError("power cut")

        with pytest.raises(RuntimeError):
            fail()
        assert journal.count() == 0


FULL = """
    import asyncio, resource, sys
    from pathlib import Path
    from messwerk.errors import NoRoom
    from messwerk.station.journal import Batch, Journal, Kind
    from messwerk.station.store import Store
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = Store(Path(sys.argv[1]))
    journal = Journal(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    acknowledged = []
    for number in range(100):
        raw = number.to_bytes(4, "big") * 5000
        try:
            journal.append_all([Batch(kind=Kind.PUSH, source="push", raw=raw, received_utc=0)])
        except NoRoom as error:
            print("refused", error)
            break
        print("acknowledged", number, flush=True)
"""


def test_a_full_disk_acknowledges_nothing(tmp_path: Path) -> None:
    """When the disk takes no more, the error says so, and all that was acknowledged is there afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("refused no room") or lines[-1].startswith("refused the disk")
    acknowledged = sum(line.startswith("acknowledged") for line in lines)
    assert acknowledged > 3
    with Store(tmp_path) as store:
        assert Journal(store).count() == acknowledged


KILLED = """
    import sys
    from pathlib import Path
    from messwerk.station.journal import Batch, Journal, Kind
    from messwerk.station.store import Store
    journal = Journal(Store(Path(sys.argv[1])))
    number = journal.count()
    while True:
        journal.append_all([Batch(kind=Kind.PUSH, source="push", raw=b"%d" % number, received_utc=0)])
        print(number, flush=True)
        number += 1
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Killed again and again in the middle of commits, the journal has every batch it told about, once."""
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told = -1
        for line in process.stdout:
            told = int(line)
            if told % 50 == 30 + round_:
                break
        process.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in process.stdout)])
        process.wait()
        process.stdout.close()
        with Store(tmp_path) as store:
            rows = store.rows("SELECT raw FROM batch ORDER BY batch_id")
            kept = [int(raw) for (raw,) in rows]
        assert kept == list(range(len(kept)))
        assert len(kept) in (told + 1, told + 2)


def test_no_room_is_a_local_error() -> None:
    """A full disk is the operator's to remedy, never the peer's fault."""
    assert issubclass(NoRoom, LocalError)
