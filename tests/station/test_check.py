"""The check: finds a whole folder whole, and every kind of damage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from messwerk.link.clock import VirtualClock
from messwerk.station.archive import MANIFEST
from messwerk.station.journal import Batch, Kind
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from station_meters import INFO_METER, SigningMeter, flip, info_telegram

METER = SigningMeter()
START = METER.utc(0)


@pytest.fixture
async def station(tmp_path: Path) -> Iterator[Station]:
    """A folder with sealed and hot rows, unsigned ones, and one set apart."""
    made = Station(tmp_path / "station", VirtualClock(START + 86400.0), Settings())
    rows, at = METER.rows(START, 40), START + 86400.0
    for raw in (METER.identity(), METER.time(86400), METER.pack(rows[:30]), flip(METER.push([rows[3]]), rows[3])):
        made.journal.append_all([Batch(kind=Kind.PULL, source="here", raw=raw, received_utc=at, sent_utc=at)])
    for index in range(5):
        made.journal.append_all(
            [Batch(kind=Kind.INFO, source="there", raw=info_telegram(index, index), received_utc=at + index)]
        )
    await made.process()
    await made.seal()
    made.journal.append_all(
        [Batch(kind=Kind.PULL, source="here", raw=METER.pack(rows[30:], 9), received_utc=at, sent_utc=at)]
    )
    await made.process()
    yield made
    await made.close()


async def test_a_whole_folder_is_whole(station: Station) -> None:
    """Nothing is wrong, and everything was looked at; progress reaches its end."""
    told: list[tuple[str, int, int]] = []
    report = await station.check(lambda *step: told.append(step))
    assert report.faults == []
    assert report.whole
    assert (report.rows, report.signatures, report.batches) == (45, 80, 10)
    assert {what for what, done, total in told if done == total} >= {"sealed files", "journal"}


def execute(sql: str) -> Callable[[Station], None]:
    def damage(station: Station) -> None:
        with station.store.transaction() as write:
            write.execute(sql)

    return damage


def sealed(station: Station) -> Path:
    """The file of the signed meter."""
    bucket = METER.server_id[-1] % 16
    (path,) = station.archive.root.glob(f"*/bucket={bucket:02d}/*.parquet")
    return path


def flip_byte(station: Station) -> None:
    content = bytearray(sealed(station).read_bytes())
    content[len(content) // 2] ^= 1
    sealed(station).write_bytes(bytes(content))


def forge_manifest(station: Station) -> None:
    path = station.archive.root / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))


def copy_file(station: Station) -> None:
    sealed(station).with_name("copy.parquet").write_bytes(sealed(station).read_bytes())


def seal_twice(station: Station) -> None:
    """A hot row that is sealed already, as a broken sealer would leave it."""
    with station.store.transaction() as write:
        write.execute("UPDATE hot SET idx = 900 WHERE idx = 27000")


DAMAGES = [
    (flip_byte, "not what was sealed", "a flipped byte"),
    (lambda station: sealed(station).unlink(), "No such file", "a lost file"),
    (copy_file, "a file nobody sealed", "a file too many"),
    (forge_manifest, "another digest", "a forged manifest"),
    (lambda station: (station.archive.root / MANIFEST).unlink(), "not in the manifest", "a lost manifest"),
    (execute("UPDATE hot SET import_wh = import_wh + 1 WHERE idx = 27000"), "import group", "an altered hot row"),
    (execute("DELETE FROM hot WHERE idx = 27000"), "10 are there|39 are there", "a lost hot row"),
    (seal_twice, "is there twice", "a key twice"),
    (execute("UPDATE archive_range SET last_idx = last_idx + 900"), "ranges", "a wrong index"),
    (execute("UPDATE batch SET raw = x'00' WHERE batch_id = 2"), "batch 2", "altered raw bytes"),
    (execute("DELETE FROM quarantine"), "set apart were counted", "lost evidence"),
    (execute("UPDATE meter SET tuples_archived = 7"), "7 verified tuples", "a wrong count"),
]


@pytest.mark.parametrize(("damage", "says", "why"), DAMAGES, ids=[row[2] for row in DAMAGES])
async def test_every_damage_is_found(station: Station, damage: Callable[[Station], None], says: str, why: str) -> None:
    """Whatever is altered, lost or added by hand, the check names it."""
    damage(station)
    report = await station.check()
    assert not report.whole, why
    assert any(re.search(says, fault) for fault in report.faults), report.faults
    assert station.roster.find(INFO_METER) is not None
