"""`messwerk gateway` on real sockets: twins on a TCP line, discovered, paired, read, reset, pushed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from messwerk.e320.lmn_port import LmnPort
from messwerk.identity import ServerId
from messwerk.link.clock import RealClock
from messwerk.link.node import drive
from messwerk.station.settings import Settings
from messwerk.station.station import Station

sys.path.insert(0, str(Path(__file__).parent))
from metering_point import make_meter

MESSWERK = [sys.executable, "-c", "from messwerk.cli import main; main()", "gateway"]
METER = "1LGZ0063539421"


@asynccontextmanager
async def twins(folder: Path, count: int = 1) -> AsyncIterator[str]:
    """Meters on a TCP line; gives its address."""
    process = await asyncio.create_subprocess_exec(
        *MESSWERK, "twins", "--count", str(count), "--tcp", "127.0.0.1:0", "--data", str(folder / "lmn"),
        "--load", "constant:100,200,300", stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        yield said.split(" on ")[1].split(",")[0]
    finally:
        process.terminate()
        await process.communicate()


async def gateway(folder: Path, *args: str) -> tuple[int, str, str]:
    """One gateway command to its end."""
    process = await asyncio.create_subprocess_exec(
        *MESSWERK, *args, "--state", str(folder / "gateway.json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, stdout.decode(), stderr.decode()


async def test_a_meter_from_delivery_to_reset(tmp_path: Path) -> None:
    """Each command does what it says, and the state file carries the pairing from one to the next."""
    listed = str(tmp_path / "lmn" / "delivery-list.csv")
    async with twins(tmp_path) as line:
        status, out, _ = await gateway(tmp_path, "discover", "--line", line, "--for", "2.5")
        assert (status, "not known" in out) == (0, True), out
        status, out, err = await gateway(tmp_path, "pair", METER, "--line", line, "--delivery-list", listed)
        assert (status, out) == (0, "1 LGZ 00 6353 9421 is paired\n"), err
        status, out, err = await gateway(tmp_path, "read", METER, "--line", line)
        assert "over TLS" in out, err
        assert "600 W" in out
        status, out, err = await gateway(tmp_path, "reset", METER, "--line", line)
        assert "as it was delivered" in out, err
        key = (tmp_path / "lmn" / "delivery-list.csv").read_text().split(";")[1].strip()
        assert key not in out + err


async def test_readings_appear_in_the_station(tmp_path: Path) -> None:
    """A running gateway pushes; the station has the meter and its index."""
    async with twins(tmp_path) as line, Station(tmp_path / "station", RealClock(), Settings()) as station:
        server = await station.serve_push("127.0.0.1", 0)
        args = ["run", "--line", line, "--push", f"127.0.0.1:{server.port}", "--for", "7"]
        status, out, err = await gateway(
            tmp_path, *args, "--delivery-list", str(tmp_path / "lmn" / "delivery-list.csv")
        )
        assert status == 0
        assert "over TLS" in out, err
        async with asyncio.timeout(10):
            while not station.meters():  # noqa: ASYNC110, the station works in a thread of its own
                await asyncio.sleep(0.05)
        (row,) = station.meters()
        assert row.server_id == ServerId.parse(METER)
        assert row.last_index is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
async def test_a_meter_on_a_serial_device(tmp_path: Path) -> None:
    """A meter at the other end of a serial device at 921 600 bit/s is found."""
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    port, clock, loop = LmnPort(make_meter(), Random(1)), RealClock(), asyncio.get_running_loop()

    async def send(data: bytes) -> None:
        os.write(master, data)

    async def receive() -> bytes:
        return await loop.run_in_executor(None, os.read, master, 4096)

    meter = asyncio.ensure_future(drive(port, receive, send, clock, lambda: False))
    try:
        status, out, err = await gateway(tmp_path, "discover", "--line", os.ttyname(slave), "--for", "2.5")
        assert (status, "1 LGZ 00 6353 9421" in out) == (0, True), err
    finally:
        os.write(slave, b"x")  # so that the last read ends
        meter.cancel()
        await asyncio.gather(meter, return_exceptions=True)
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["read", METER, "--line", "tcp://127.0.0.1:1"], "nothing listens"),
        (["read", METER, "--line", "nowhere"], "no serial device"),
        (["pair", METER, "--line", "tcp://x"], "not HOST:PORT"),
    ],
)
async def test_what_goes_wrong_is_said(args: list[str], words: str, tmp_path: Path) -> None:
    """A line that is not there ends in one sentence and status 1."""
    status, _, err = await gateway(tmp_path, *args)
    assert status == 1
    assert words in " ".join(err.split())
