"""`messwerk read` as people and programs run it: real files, pipes, terminals, ptys and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import pty as unix_pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import (
    MESSWERK,
    SERVER,
    Call,
    command,
    connected,
    finish,
    meter_hangs_up,
    parsed,
    run,
    telegram,
    until,
)

from messwerk import __version__, sml
from messwerk.link.serial import Pty
from messwerk.link.tcp import Broadcast


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Noise, a telegram, a telegram with a flipped bit, a telegram, half a telegram."""
    broken = bytearray(telegram(2))
    broken[100] ^= 1
    path = tmp_path / "meter.bin"
    path.write_bytes(b"\x00\x0c" + telegram(1) + broken + telegram(3) + telegram(4)[:50])
    return path


# --- JSON ---


def test_json_lines_and_summary(file: Path) -> None:
    """One line a telegram with exact values, then the counts; what is damaged is counted, not read."""
    done = run("read", "--json", str(file))
    telegrams, summary = parsed(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert summary == {"telegrams": 2, "rejected": 2, "bytes_skipped": 2 + len(telegram(2)) + 50}
    assert [one["seconds_index"] for one in telegrams] == [1, 3]
    first = telegrams[0]
    assert first["server_id"] == SERVER.hex()
    assert first["power_w"] == "-1105"
    assert first["flags"] == ["above_starting_power", "sum_exports", "l1_voltage", "l2_voltage", "l3_voltage"]
    assert first["entries"][1] == {
        "obis": "1-0:1.8.0*255", "name": "active energy +A", "value": "12345.7", "unit": "Wh", "raw": 123457,
        "scaler": -1, "status": 0x1C0904,
    }  # fmt: skip
    assert first["entries"][0]["value"] == "LGZ"
    assert first["entries"][0]["raw"] == b"LGZ".hex()


def test_once_stops_after_the_first_telegram(file: Path) -> None:
    """`--once` prints one telegram, and counts only what came before its end."""
    telegrams, summary = parsed(run("read", "--json", "--once", str(file)).stdout)
    assert [one["seconds_index"] for one in telegrams] == [1]
    assert summary == {"telegrams": 1, "rejected": 0, "bytes_skipped": 2}


def test_standard_input(file: Path) -> None:
    """`-` reads a pipe with the same result as the file."""
    assert run("read", "--json", "-", input=file.read_bytes()).stdout == run("read", "--json", str(file)).stdout


def test_verbose_says_what_was_rejected(file: Path) -> None:
    """`--verbose` names each rejection with its offset on stderr; stdout stays for programs."""
    done = run("read", "--json", "--verbose", str(file))
    assert f"rejected at byte {2 + len(telegram(1))}: frame at byte 0: CRC" in done.stderr
    assert parsed(done.stdout)[1]["telegrams"] == 2


def test_output_closed_early(tmp_path: Path) -> None:
    """`| head -1` ends the command quietly with status 0."""
    path = tmp_path / "long.bin"
    path.write_bytes(telegram(1) * 3000)
    command = [*MESSWERK, "read", "--json", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


# --- tables ---


def test_a_file_is_shown_as_a_table(file: Path) -> None:
    """Without --json a person sees names, units, kWh, direction and status of the last telegram."""
    shown = run("read", str(file)).stdout
    for word in (
        "1 LGZ 00 5454 1129",
        "active energy +A",
        "12.3459",
        "kWh",
        "feeding in 1105 W",
        "second 3",
        "telegrams 2",
    ):
        assert word in shown


def test_a_live_source_without_a_terminal_is_shown_telegram_by_telegram(tmp_path: Path) -> None:
    """Piped into a log, a live source gives each telegram as it comes."""

    async def scene() -> str:
        async with Broadcast("127.0.0.1", 0) as meter, command("read", f"tcp://127.0.0.1:{meter.port}") as reader:
            await connected(meter)
            meter.send(telegram(1) + telegram(2))
            await meter_hangs_up(meter)
            return (await finish(reader))[1]

    shown = asyncio.run(scene())
    assert shown.count("active energy +A") == 2


def test_a_terminal_shows_a_live_table(tmp_path: Path) -> None:
    """On a terminal the table lives: it waits, shows the age of the telegram, and Ctrl-C ends it cleanly."""
    with Pty(tmp_path / "head", baud=100_000) as head:
        screen, terminal = unix_pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        process = subprocess.Popen(
            [*MESSWERK, "read", str(head.path)], stdout=terminal, stderr=subprocess.PIPE, env=environment
        )
        os.close(terminal)

        async def shine() -> None:
            await until(lambda: head.has_reader)
            await asyncio.sleep(0.2)
            await head.send(telegram(1))

        asyncio.run(shine())
        shown = b""
        deadline = time.monotonic() + 20
        while b"s ago" not in shown and time.monotonic() < deadline:
            shown += os.read(screen, 65536)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(screen, 65536)
            except OSError:
                break
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        os.close(screen)
    text = shown.decode()
    for word in ("waiting for the first telegram", "active energy +A", "feeding in", "s ago", "telegrams 1"):
        assert word in text


# --- live sources ---


async def test_a_pty_at_line_pace(tmp_path: Path) -> None:
    """A pty is read as a serial device: telegrams at 9600 8N1 arrive, Ctrl-C prints the summary."""
    with Pty(tmp_path / "head") as head:
        async with command("read", "--json", str(head.path)) as reader:
            await until(lambda: head.has_reader)
            await asyncio.sleep(0.2)
            await head.send(telegram(1))
            await head.send(telegram(2))
            assert reader.stdout is not None
            first = await asyncio.wait_for(reader.stdout.readline(), 10)
            await asyncio.wait_for(reader.stdout.readline(), 10)
            reader.send_signal(signal.SIGINT)
            status, rest, errors = await finish(reader)
    assert json.loads(first)["seconds_index"] == 1
    assert json.loads(rest) == {"summary": {"telegrams": 2, "rejected": 0, "bytes_skipped": 0}}
    assert (status, errors) == (0, "")


async def test_a_device_that_vanishes(tmp_path: Path) -> None:
    """When the adapter is unplugged, what was read stands, and the error says what happened."""
    head = Pty(tmp_path / "head", baud=100_000)
    async with command("read", "--json", str(head.path)) as reader:
        await until(lambda: head.has_reader)
        await asyncio.sleep(0.2)
        await head.send(telegram(1))
        assert reader.stdout is not None
        await asyncio.wait_for(reader.stdout.readline(), 10)
        head.close()
        status, rest, errors = await finish(reader)
    assert json.loads(rest)["summary"]["telegrams"] == 1
    assert status == 1
    assert "is gone" in errors


async def test_a_tcp_meter(tmp_path: Path) -> None:
    """`--once` on a TCP port takes one telegram, even one cut into single bytes."""
    async with (
        Broadcast("127.0.0.1", 0) as meter,
        command("read", "--json", "--once", f"tcp://127.0.0.1:{meter.port}") as reader,
    ):
        await connected(meter)
        for byte in telegram(1):
            meter.send(bytes([byte]))
            await asyncio.sleep(0)
        status, output, _ = await finish(reader)
    assert status == 0
    assert [one["seconds_index"] for one in parsed(output)[0]] == [1]


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (b"", "closed without a byte"),
        (os.urandom(5000), "is not SML"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not SML but HTTP"),
        (telegram(1)[:100], "holds no whole telegram"),
        (b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01" * 500, "holds no whole telegram"),
        (b"\x1b" * 20000, "is not SML"),
    ],
)
async def test_a_tcp_peer_that_misbehaves(sent: bytes, complaint: str) -> None:
    """Garbage, silence and half telegrams over TCP end in one clear sentence and status 1."""
    async with Broadcast("127.0.0.1", 0) as meter, command("read", "--json", f"tcp://127.0.0.1:{meter.port}") as reader:
        await connected(meter)
        meter.send(sent)
        await meter_hangs_up(meter)
        status, output, errors = await finish(reader)
    assert status == 1
    assert complaint in errors
    assert "Traceback" not in errors
    assert json.loads(output)["summary"]["telegrams"] == 0


async def test_interrupted_before_anything_came() -> None:
    """Ctrl-C while waiting ends with the summary and the status shells expect, without a traceback."""
    async with Broadcast("127.0.0.1", 0) as meter, command("read", "--json", f"tcp://127.0.0.1:{meter.port}") as reader:
        await connected(meter)
        reader.send_signal(signal.SIGTERM)
        status, output, errors = await finish(reader)
    assert (status, errors) == (130, "")
    assert json.loads(output)["summary"] == {"telegrams": 0, "rejected": 0, "bytes_skipped": 0}


async def test_a_silent_meter_is_given_up() -> None:
    """`--silence` bounds the wait for a meter that says nothing."""
    async with (
        Broadcast("127.0.0.1", 0) as meter,
        command("read", "--silence", "0.2", f"tcp://127.0.0.1:{meter.port}") as reader,
    ):
        status, _, errors = await finish(reader)
    assert status == 1
    assert "sent nothing for 0.2 s" in errors


# --- bad input ---


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"/ESY5Q3DA1004 V3.03\r\n\r\n1-0:1.8.0*255(00026107.7034231*kWh)\r\n!\r\n", "not SML but IEC 62056-21"),
        (telegram(1)[:-20], "the end of the stream"),
        (telegram(1)[:-1] + b"\x00", "CRC"),
        (os.urandom(1000), "is not SML"),
        (b"just a note\n", "is not SML but text"),
    ],
)
def test_a_bad_file_is_named(call: Call, tmp_path: Path, content: bytes, complaint: str) -> None:
    """Empty, foreign, cut and corrupt files each get their own sentence, and status 1."""
    path = tmp_path / "input"
    path.write_bytes(content)
    for options in ([], ["--json"]):
        status, _, errors = call("read", *options, path)
        assert status == 1
        assert complaint in errors.replace("\n", " ")
        assert errors.startswith("error: ")


@pytest.mark.parametrize(
    ("args", "status", "complaint"),
    [
        (["read", "no-such-file"], 1, "cannot be read"),
        (["read", "tcp://127.0.0.1:1"], 1, "nothing listens at 127.0.0.1:1"),
        (["read", "tcp://nowhere"], 1, "tcp://host:port"),
        (["read"], 2, "SOURCE"),
        (["red"], 2, "red"),
        (["read", "--baud", "fast", "x"], 2, "--baud"),
    ],
)
def test_a_wrong_call_is_explained(call: Call, args: list[str], status: int, complaint: str) -> None:
    """Mistyped sources, commands and options are explained without a traceback."""
    ended, _, errors = call(*args)
    assert ended == status
    assert complaint in errors


def test_a_payload_that_cannot_be_decoded_is_rejected(tmp_path: Path) -> None:
    """A frame with the right CRC around nonsense counts as rejected, and its bytes as skipped."""
    nonsense = sml.frame(b"\x76\xff\xff")
    path = tmp_path / "input"
    path.write_bytes(nonsense + telegram(1) + nonsense)
    _, summary = parsed(run("read", "--json", str(path)).stdout)
    assert summary == {"telegrams": 1, "rejected": 2, "bytes_skipped": 2 * len(nonsense)}


def test_version_and_help() -> None:
    """The command says its version, and its help names every subcommand."""
    assert run("--version").stdout == f"messwerk {__version__}\n"
    assert " read " in run("--help").stdout
    assert "tcp://host:port" in run("read", "-h", env={**os.environ, "COLUMNS": "200"}).stdout


# --- real meters ---


def x25(data: bytes) -> int:
    """CRC-16/X-25, written once more, bit by bit, so that nothing of ours is its own judge."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            mix = (register ^ byte >> bit) & 1
            register >>= 1
            register ^= 0x8408 if mix else 0
    return register ^ 0xFFFF


def whole_frames(data: bytes) -> list[bytes]:
    """Every CRC-valid frame, found by trying each end word after each start word."""
    escape, found, at = b"\x1b" * 4, [], 0
    while (start := data.find(escape + b"\x01" * 4, at)) >= 0:
        at = start + 1
        end = start + 8
        while (end := data.find(escape + b"\x1a", end)) >= 0 and end - start < 2000:
            frame = data[start : end + 8]
            whole = (end - start) % 4 == 0 and len(frame) == end + 8 - start
            if whole and x25(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
                found.append(frame)
                at = end + 8
                break
            end += 1
    return found


def test_every_valid_telegram_of_every_real_meter_is_read(call: Call, shared: Path) -> None:
    """All CRC-valid telegrams of the captures are read and no other, by an independent count."""
    total = 0
    for path in sorted((shared / "captures").glob("*.bin")):
        data = path.read_bytes()
        expected = whole_frames(data)
        status, shown, _ = call("read", "--json", path)
        telegrams, summary = parsed(shown)
        assert summary["telegrams"] == len(telegrams) == len(expected), path.name
        assert summary["bytes_skipped"] == len(data) - sum(len(frame) for frame in expected), path.name
        assert status == (0 if expected else 1), path.name
        assert all(one["entries"] for one in telegrams), path.name
        total += len(expected)
    assert total > 100
