"""`messwerk up` as a user runs it: figures, going on, refusals, and kills at random moments."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from messwerk.link.clock import RealClock
from messwerk.station import Station
from messwerk.system import history_start

MESSWERK = [sys.executable, "-m", "messwerk"]


@pytest.fixture
def port() -> int:
    """The first of four free ports in a row."""
    for _ in range(50):
        base = random.randrange(20_000, 60_000, 4)
        held = []
        try:
            for number in range(base, base + 4):
                held.append(socket.create_server(("127.0.0.1", number)))
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
        return base
    raise AssertionError("no four free ports in a row")


def up(data: Path, port: int, *more: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [*MESSWERK, "up", "--headless", "--data", str(data), "--port", str(port), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def summary(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON line on stdout."""
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_month_is_simulated_verified_and_billed_then_it_goes_on(tmp_path: Path, port: int) -> None:
    """The promise of the first minute: history over the wire, every signature right, a full month billed.

    A second run on the same folder continues: nothing twice, no gap, the same bill.
    """
    first = summary(up(tmp_path / "d", port, "--for", "5"))
    assert first["signatures_valid"] > 1000
    assert first["signatures_invalid"] == 0
    assert first["gaps"] == 0
    assert first["sync_error_s_max"] < 2
    assert first["tuples_archived"] == first["tuples_received"]
    assert first["signatures_valid"] == 2 * first["tuples_archived"]
    assert first["e320_telegrams"] > 31 * 96
    (bill,) = first["bills"]
    assert float(bill["energy_kwh"]) > 100
    assert float(bill["total_eur"]) > 0
    assert bill["from"][8:19] == bill["to"][8:19] == "01T00:00:00"

    result = up(tmp_path / "d", port, "--for", "3")
    assert "going on in" in result.stderr
    second = summary(result)
    assert second["tuples_archived"] > first["tuples_archived"]
    assert second["gaps"] == second["signatures_invalid"] == 0
    assert second["bills"] == first["bills"]


def test_two_on_one_folder_and_a_port_in_use_are_refused_in_words(tmp_path: Path, port: int) -> None:
    """The second system on a folder, and one whose port is taken, say what to do and touch nothing."""
    with subprocess.Popen(
        [*MESSWERK, "up", "--headless", "--history-days", "0", "--data", str(tmp_path / "d"), "--port", str(port)],
        stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stderr is not None
        while "live" not in running.stderr.readline():
            assert running.poll() is None
        same_folder = up(tmp_path / "d", port + 1000, "--history-days", "0")
        same_port = up(tmp_path / "other", port, "--history-days", "0")
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
        assert "Traceback" not in running.stderr.read()
    assert same_folder.returncode == 1
    assert "--data" in same_folder.stderr
    assert "in use" in same_folder.stderr
    assert same_port.returncode == 1
    assert f"port {port + 1} of 127.0.0.1 is in use" in same_port.stderr.replace("\n", " ")
    assert "Traceback" not in same_folder.stderr + same_port.stderr


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path, port: int) -> None:
    """--data naming a file is an error that names the remedy."""
    (tmp_path / "file").write_text("mine")
    result = up(tmp_path / "file", port, "--history-days", "0")
    assert result.returncode == 1
    assert "--data" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


TELLING = """
import asyncio, json, pathlib, sys
from messwerk.e750 import CommunicationModule
from messwerk.system import Options, System

def waiting(module):
    return {
        server_id.hex(): {index for index, _ in (*position.waiting, *position.fetched)}
        for server_id, position in module.push.positions.items()
    }

receive = CommunicationModule.push_received

def telling(self, data):
    before = waiting(self)
    acknowledged = receive(self, data)
    if acknowledged:
        after = waiting(self)
        for server_id, indices in before.items():
            print(json.dumps([server_id, sorted(indices - after[server_id])]), flush=True)
    return acknowledged

CommunicationModule.push_received = telling

async def main():
    options = Options(data=pathlib.Path(sys.argv[1]), port=int(sys.argv[2]), history_days=1, headless=True)
    async with System(options) as system:
        print(json.dumps("up"), flush=True)
        await system.catch_up(lambda done, total: None)
        await system.live()

asyncio.run(main())
"""


def test_kill_at_ten_random_moments_loses_nothing_acknowledged(tmp_path: Path, port: int) -> None:
    """Whatever a push was acknowledged for is in the archive, once; indexes only ever increase."""
    rng = random.Random(os.urandom(4))
    acknowledged: set[tuple[str, int]] = set()
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", TELLING, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(rng.uniform(0.1, 3.5))
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.read().splitlines()
        assert lines[0], "the system did not come up again"
        for line in lines[1:]:
            server_id, indices = json.loads(line)
            acknowledged |= {(server_id, index) for index in indices}
    assert len(acknowledged) > 90, "a day of profile rows at least"
    result = summary(up(tmp_path, port, "--for", "4"))
    assert result["signatures_invalid"] == result["gaps"] == 0

    station = Station(tmp_path / "station", RealClock())
    try:
        for meter in station.roster.meters():
            rows = station.archive.rows(meter.meter_id)
            indices = rows["seconds_index"].to_pylist()
            assert indices == sorted(set(indices))
            wanted = {index for server_id, index in acknowledged if server_id == meter.server_id.hex()}
            assert wanted <= set(indices)
            received = rows.sort_by("received_us")["seconds_index"].to_pylist()
            if not wanted:  # the E320: in the order heard, its index never stood or went back
                assert received == sorted(received)
            (count,) = station.store.one("SELECT count(*) FROM hot WHERE meter_id = ?", (meter.meter_id,)) or (0,)
            assert count + sealed_rows(station, meter.meter_id) == len(indices), "no key is kept twice"
    finally:
        station.archive.close()
        station.store.close()


def sealed_rows(station: Station, meter_id: int) -> int:
    """Rows of a meter in sealed files, counted without removing doubles."""
    server = bytes(station.roster.meter(meter_id).server_id)
    files = [str(path) for path in station.archive.root.rglob("*.parquet")]
    if not files:
        return 0
    counted = station.archive.sql("SELECT count(*) AS n FROM read_parquet(?) WHERE server_id = ?", [files, server])
    return int(counted["n"][0].as_py())


@pytest.mark.parametrize(
    ("now", "days", "start"),
    [
        (1_795_219_200, 35, "2026-09-30T21:00:00"),  # 21 November: back to October and an hour
        (1_793_750_400, 35, "2026-09-30T00:00:00"),  # 4 November: 35 days are more than that
        (1_795_219_200, 3, "2026-11-18T00:00:00"),  # a short history is what was asked for
        (1_768_003_200, 35, "2025-11-30T22:00:00"),  # 10 January: December of the year before
    ],
)
def test_history_holds_a_full_month(now: int, days: int, start: str) -> None:
    """The default history always contains the last full calendar month, whatever day it is."""
    from datetime import UTC, datetime

    found = history_start(now, days, ZoneInfo("Europe/Berlin"))
    assert datetime.fromtimestamp(found, UTC).isoformat()[:19] == start
    assert found % 900 == 0
