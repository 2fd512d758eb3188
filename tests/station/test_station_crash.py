"""Killed at any moment: nothing acknowledged is missing, nothing is there twice."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from messwerk.link.clock import RealClock
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from station_meters import SigningMeter

METER = SigningMeter()
TUPLES_A_BATCH = 4
BATCHES = 400

VICTIM = """
    import asyncio, sys
    from pathlib import Path
    from messwerk.link.clock import RealClock
    from messwerk.station.journal import Batch, Kind
    from messwerk.station.settings import Settings
    from messwerk.station.station import Station

    async def main(folder, frames, first):
        station = Station(Path(folder), RealClock(), Settings(seal_every_s=0.02))
        raw = Path(frames).read_bytes().split(b"|cut|")

        async def seal():
            while True:
                await station.seal()
                await asyncio.sleep(0.01)

        station._keep_running("processing", station._process_forever)
        station._keep_running("sealing", seal)
        for number in range(first, len(raw)):
            utc = 1.79e9 + number
            await station.journal.append(
                Batch(kind=Kind.PULL, source="pull here", raw=raw[number], received_utc=utc, sent_utc=utc)
            )
            print(number, flush=True)
            station._arrived.set()
            await asyncio.sleep(0)
        await asyncio.sleep(60)

    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def frames() -> list[bytes]:
    """Identity first, then batches of tuples; each batch repeats the last tuple of the one before."""
    files = [METER.identity()]
    step = TUPLES_A_BATCH - 1
    for number in range(BATCHES):
        first = number * step
        files.append(METER.push([METER.tuple_at(index) for index in range(first, first + TUPLES_A_BATCH)], number + 2))
    return files


def held(folder: Path) -> tuple[list[int], int, int]:
    """Indices in hot and sealed rows with repetition, what the counts say, and batches unread."""

    async def look() -> tuple[list[int], int, int]:
        station = Station(folder, RealClock(), Settings())
        try:
            await station.process()
            indices = [row[0] for row in station.store.rows("SELECT idx FROM hot")]
            for (path,) in station.store.rows("SELECT path FROM archive_file"):
                table = station.archive.sql(
                    "SELECT seconds_index FROM read_parquet(?, hive_partitioning=false)",
                    [str(station.archive.root / path)],
                )
                indices += table["seconds_index"].to_pylist()
            return sorted(indices), station.overview().counts.tuples_archived, station.journal.count()
        finally:
            await station.close()

    return asyncio.run(look())


def test_a_killed_station_has_everything_it_acknowledged_once(tmp_path: Path) -> None:
    """Ten kills at random moments of journalling, processing and sealing; then the sum is exact."""
    rng = random.Random(3)
    folder, spool = tmp_path / "station", tmp_path / "frames"
    spool.write_bytes(b"|cut|".join(frames()))
    acknowledged = -1
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(VICTIM), str(folder), str(spool), str(acknowledged + 1)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()  # it runs
        time.sleep(rng.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        told = [int(line), *(int(line) for line in process.stdout)]
        process.wait()
        process.stdout.close()
        acknowledged = told[-1]
        if acknowledged >= BATCHES - 50:
            break
    indices, counted, unread = held(folder)
    expected = acknowledged * (TUPLES_A_BATCH - 1)
    assert unread == 0
    assert indices == sorted(set(indices)), "nothing twice"
    assert indices == list(range(len(indices))), "strictly increasing without hole"
    assert expected <= len(indices) - 1 <= expected + TUPLES_A_BATCH - 1, "nothing acknowledged is missing"
    assert counted == len(indices)
