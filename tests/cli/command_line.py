"""Running the command as its users do, and telegrams to feed it; shared by the tests of `messwerk …`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from messwerk import sml
from messwerk.link.tcp import Broadcast
from messwerk.obis import ObisCode

Call = Callable[..., tuple[int, str, str]]
"""Type of the fixture `call`: arguments to exit status, stdout, stderr."""
MESSWERK = [sys.executable, "-c", "from messwerk.cli import main; main()"]
SERVER = bytes.fromhex("0a014c475a0003403b49")


def telegram(index: int, power_w: int = -1105) -> bytes:
    """A push telegram of a base meter with one energy and one power."""
    time_ = sml.SecIndex(index)
    entries = (
        sml.ListEntry(obj_name=bytes(ObisCode.parse("96.50.1*1")), value=b"LGZ"),
        sml.ListEntry(
            obj_name=bytes(ObisCode.parse("1.8.0")), status=sml.Unsigned32(0x1C0904), val_time=time_, unit=30,
            scaler=-1, value=sml.Unsigned64(123456 + index),
        ),
        sml.ListEntry(obj_name=bytes(ObisCode.parse("16.7.0")), unit=27, scaler=0, value=sml.Integer64(power_w)),
    )  # fmt: skip
    bodies = [
        sml.PublicOpenResponse(req_file_id=index.to_bytes(4, "big"), server_id=SERVER, ref_time=time_),
        sml.GetListResponse(server_id=SERVER, act_sensor_time=time_, val_list=entries),
        sml.PublicCloseResponse(),
    ]
    return sml.frame(
        sml.encode([sml.Message(transaction_id=bytes([number]), body=body) for number, body in enumerate(bodies)])
    )


def run(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; `input` may be bytes."""
    done = subprocess.run([*MESSWERK, *args], capture_output=True, timeout=60, **more)
    return subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())


def parsed(output: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The telegrams and the summary of `--json` output."""
    *lines, last = [json.loads(line) for line in output.splitlines()]
    return lines, last["summary"]


@asynccontextmanager
async def command(*args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command running beside the test, killed if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(*MESSWERK, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def finish(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command that ends within 20 s."""
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def connected(meter: Broadcast) -> None:
    async with asyncio.timeout(20):
        while not meter.connections:  # noqa: ASYNC110, another program's doing
            await asyncio.sleep(0.01)


async def meter_hangs_up(meter: Broadcast) -> None:
    """Close every connection after what was sent has been delivered."""
    for transport in tuple(meter._connections):
        transport.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for another program to do something; fail after 20 s."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110, another program's doing
            await asyncio.sleep(0.02)
