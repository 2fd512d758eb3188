"""Real pseudo terminals: the meter's side, the reader's side, and the pace between them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from messwerk.errors import BusyError, PeerLost, SourceError
from messwerk.link.serial import Pty, open_serial

BYTES = bytes(range(256))


async def gather(line: object, size: int) -> bytes:
    """Read `size` bytes from a line, failing the test rather than waiting for ever."""
    data = b""
    async with asyncio.timeout(5):
        while len(data) < size:
            data += await line.read()  # type: ignore[attr-defined]
    return data


async def test_every_byte_value_passes_unchanged(tmp_path: Path) -> None:
    """The line is raw: no echo, no newline translation, no flow-control characters swallowed."""
    with Pty(tmp_path / "head") as pty:
        async with await open_serial(pty.path) as line:
            await pty.send(BYTES)
            assert await gather(line, 256) == BYTES
            assert (pty.bytes_sent, pty.bytes_dropped) == (256, 0)


async def test_bytes_leave_at_the_pace_of_9600_8n1(tmp_path: Path) -> None:
    """A telegram takes its air time (10 bits a byte) and never arrives early at any byte."""
    with Pty(tmp_path / "head") as pty:
        async with await open_serial(pty.path) as line:
            start = time.monotonic()
            sending = asyncio.create_task(pty.send(BYTES))
            received = 0
            while received < 256:
                received += len(await line.read())
                assert received <= (time.monotonic() - start) * 960 + 1
            await sending
            assert time.monotonic() - start >= 256 / 960


async def test_without_a_reader_bytes_are_lost_and_never_block(tmp_path: Path) -> None:
    """An optical head shines into an empty room: sending goes on, and no stale bytes wait."""
    with Pty(tmp_path / "head", baud=1_000_000) as pty:
        await pty.send(bytes(100_000))
        assert (pty.bytes_sent, pty.bytes_dropped, pty.has_reader) == (0, 100_000, False)
        async with await open_serial(pty.path) as line:
            await pty.send(b"fresh")
            assert await gather(line, 5) == b"fresh"


async def test_a_reader_that_stops_reading_does_not_stop_the_meter(tmp_path: Path) -> None:
    """When the terminal's buffer is full the rest is dropped and counted, without blocking."""
    with Pty(tmp_path / "head", baud=10_000_000) as pty:
        descriptor = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
        try:
            await pty.send(bytes(200_000))
            assert pty.bytes_dropped > 100_000
            assert pty.bytes_sent + pty.bytes_dropped == 200_000
        finally:
            os.close(descriptor)


async def test_the_next_reader_gets_nothing_stale(tmp_path: Path) -> None:
    """What one program left unread is gone before the next opens, so no telegram begins halfway."""
    with Pty(tmp_path / "head", baud=1_000_000) as pty:
        descriptor = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
        await pty.send(b"stale")
        os.close(descriptor)
        await pty.send(b"nobody hears this")
        descriptor = os.open(pty.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        await pty.send(b"fresh")
        assert os.read(descriptor, 100) == b"fresh"
        assert not termios.tcgetattr(descriptor)[3] & (termios.ECHO | termios.ICANON), "still raw"
        os.close(descriptor)


async def test_what_readers_write_is_ignored(tmp_path: Path) -> None:
    """A reader may send as much as it likes to the one-way interface without blocking."""
    with Pty(tmp_path / "head", baud=1_000_000) as pty:
        async with await open_serial(pty.path) as line:
            for _ in range(20):
                await line.write(bytes(1000))
                await pty.send(b"x")
            assert await gather(line, 20) == b"x" * 20


def test_the_link_is_stable_and_goes_away(tmp_path: Path) -> None:
    """The name readers use survives a restart, replaces a dead link and is removed on closing."""
    path = tmp_path / "deep" / "head"
    first = Pty(path)
    assert path.readlink() == first.device
    second = Pty(path)
    assert path.readlink() == second.device
    first.close()
    assert path.readlink() == second.device, "closing the old one leaves the new one's link alone"
    second.close()
    second.close()
    assert not path.is_symlink()


def test_a_file_is_never_replaced_by_the_link(tmp_path: Path) -> None:
    """A path that holds somebody's file is refused, and the file stays."""
    path = tmp_path / "precious"
    path.write_text("keep me")
    with pytest.raises(BusyError, match="choose another name"):
        Pty(path)
    assert path.read_text() == "keep me"


async def test_two_readers_cannot_share_one_line(tmp_path: Path) -> None:
    """Two programs on one serial line would each get half the bytes: the second is told so."""
    with Pty(tmp_path / "head") as pty:
        async with await open_serial(pty.path):
            with pytest.raises(BusyError, match="in use by another program"):
                await open_serial(pty.path)


async def test_an_unplugged_device_is_peer_lost(tmp_path: Path) -> None:
    """When the device vanishes while we read, the error says so; nothing spins on empty reads."""
    pty = Pty(tmp_path / "head")
    async with await open_serial(pty.device) as line:
        reading = asyncio.create_task(line.read())
        await asyncio.sleep(0.05)
        pty.close()
        with pytest.raises(PeerLost, match="is gone"):
            await asyncio.wait_for(reading, 5)


async def test_what_is_no_serial_device_is_named(tmp_path: Path) -> None:
    """A missing device, and a device that is no terminal, give an error that says what to do."""
    with pytest.raises(SourceError, match="is the adapter plugged in"):
        await open_serial(tmp_path / "nothing")
    with pytest.raises(SourceError, match="does not work as a serial device"):
        await open_serial("/dev/null")


def test_a_plain_program_can_read_it(tmp_path: Path) -> None:
    """Readers that set nothing up (cat, dd) get the raw bytes too."""

    async def meter() -> bytes:
        with Pty(tmp_path / "head", baud=100_000) as pty:
            dd = await asyncio.create_subprocess_exec(
                "dd", f"if={pty.path}", "bs=1", "count=256", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            while not pty.has_reader:  # noqa: ASYNC110, another program's doing
                await asyncio.sleep(0.01)
            await pty.send(BYTES)
            output, _ = await asyncio.wait_for(dd.communicate(), 10)
            return output

    assert sys.platform == "win32" or asyncio.run(meter()) == BYTES
