"""The archive: sealed once, found again, crash at any step only repeats work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from messwerk.errors import NoRoom
from messwerk.link.clock import VirtualClock
from messwerk.station import archive as archive_module
from messwerk.station.archive import MANIFEST, SCHEMA, bucket_of, signed_tuples
from messwerk.station.journal import Batch, Kind
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from station_meters import SigningMeter

METER = SigningMeter()
OTHER = SigningMeter(seed=b"other", mac="00151122aabc")
START = METER.utc(0)


def fill(station: Station, meter: SigningMeter, first: int, count: int, number: int) -> None:
    """Quarter-hour rows into the journal, with key and time."""
    at = START + 86400.0
    for place, raw in enumerate((meter.identity(number), meter.time(86400, number + 1), meter.pack(
        meter.rows(START + 900 * first, count), number + 2
    ))):  # fmt: skip
        station.journal.append_all(
            [Batch(kind=Kind.PULL, source="pull here", raw=raw, received_utc=at + place, sent_utc=at + place)]
        )


@pytest.fixture
async def station(tmp_path: Path) -> Iterator[Station]:
    """A station with 30 quarter hours of two meters, not sealed."""
    made = Station(tmp_path / "station", VirtualClock(START + 86400.0), Settings())
    fill(made, METER, 0, 30, 1)
    fill(made, OTHER, 0, 30, 11)
    await made.process()
    yield made
    await made.close()


def kept(station: Station, meter: SigningMeter = METER) -> list[int]:
    return [int(one.index) for one in signed_tuples(station.archive.rows(station.roster.require(meter.server_id)))]


INDICES = [900 * place for place in range(30)]


async def test_sealing_changes_nothing_that_is_read(station: Station) -> None:
    """Hot or sealed, the rows are the same, byte for byte, and still verify."""
    meter_id = station.roster.require(METER.server_id)
    before = station.archive.rows(meter_id)
    report = await station.seal()
    assert (report.rows, station.archive.hot_rows()) == (60, 0)
    assert station.archive.rows(meter_id).equals(before)
    for signed in signed_tuples(station.archive.rows(meter_id)):
        signed.verify(METER.key.public)
    assert kept(station) == INDICES


async def test_sealed_files_are_sorted_named_by_digest_and_listed(station: Station) -> None:
    """Any tool can read them: a bucket of a month each, sorted by meter and index, manifest beside."""
    await station.seal()
    manifest = json.loads((station.archive.root / MANIFEST).read_text())
    files = sorted(path for path in station.archive.root.rglob("*.parquet"))
    assert [str(path.relative_to(station.archive.root)) for path in files] == [row["path"] for row in manifest["files"]]
    for path, row in zip(files, manifest["files"], strict=True):
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert row["sha256"].startswith(path.stem)
        table = pq.ParquetFile(path).read()
        assert table.schema.equals(SCHEMA)
        keys = list(zip(table["server_id"].to_pylist(), table["seconds_index"].to_pylist(), strict=True))
        assert keys == sorted(set(keys))
        assert {f"bucket={bucket_of(server_id):02d}" for server_id, _ in keys} == {path.parent.name}


async def test_months_are_those_of_the_meter(station: Station) -> None:
    """A row belongs to the month it was measured in, also when it was fetched later."""
    await station.seal()
    months = {path.parent.parent.name for path in station.archive.root.rglob("*.parquet")}
    assert months == {"month=2026-09"}


async def test_many_small_files_become_one(station: Station) -> None:
    """Compaction keeps every row once; replaced files go one run later."""
    for place in range(10):
        fill(station, METER, 30 + place, 1, 100 + 10 * place)
        await station.process()
        await station._in_worker(station.archive.seal, station._date, 0.0)
    before = len(list(station.archive.root.rglob("*.parquet")))
    await station.seal()
    files, rows = station.archive.totals()
    assert files < 5 < before
    assert rows == 70
    assert kept(station) == [900 * place for place in range(40)]
    await station.seal()
    assert len(list(station.archive.root.rglob("*.parquet"))) == files


STEPS = ["fsync", "replace", "enter", "delete", "manifest"]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_of_sealing_repeats_work_only(
    station: Station, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the file is synced, renamed, entered, emptied from hot or listed: nothing lost, nothing twice."""

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt(step)

    with monkeypatch.context() as patch:
        match step:
            case "fsync":
                patch.setattr(archive_module.os, "fsync", crash)
            case "replace":
                patch.setattr(Path, "replace", crash)
            case "enter":
                patch.setattr(archive_module.Archive, "_enter", crash)
            case "delete":
                patch.setattr(archive_module.np, "array", crash)
            case "manifest":
                patch.setattr(archive_module.Archive, "_write_manifest", crash)
        with pytest.raises(KeyboardInterrupt):
            station.archive.seal(station._date, 0.0)
    folder = station.folder
    await station.close()
    again = Station(folder, VirtualClock(START + 86400.0), Settings())
    try:
        known = {path for (path,) in again.store.rows("SELECT path FROM archive_file")}
        on_disk = {path.relative_to(again.archive.root).as_posix() for path in again.archive.root.rglob("*.parquet")}
        assert on_disk == known, "what no transaction knows is swept away"
        assert kept(again) == INDICES
        await again.seal()
        assert kept(again) == INDICES == kept(again, OTHER)
        assert again.archive.totals()[1] == 60
    finally:
        await again.close()


async def test_a_disk_without_room_leaves_rows_hot(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be written is an error with its remedy; the rows stay where they were."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive_module.os, "fsync", full)
        with pytest.raises(NoRoom, match="free some space"):
            await station.seal()
    assert station.archive.hot_rows() == 60
    assert not list(station.archive.root.rglob("*.tmp"))
    assert kept(station) == INDICES


async def test_sealed_tuples_are_recognised(station: Station) -> None:
    """Digests are found in sealed files as in hot rows: a duplicate is told from a tamper after months too."""
    meter_id = station.roster.require(METER.server_id)
    hot = station.archive.digests(meter_id, [0, 900, 901])
    await station.seal()
    assert station.archive.digests(meter_id, [0, 900, 901]) == hot
    assert sorted(hot) == [0, 900]
    assert station.archive.tuple_at(meter_id, 900) == METER.tuple_at(900)
    assert station.archive.tuple_at(meter_id, 901) is None
