"""`messwerk read` on lines that break, and into recordings, CSV and MQTT."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from command_line import SERVER, command, connected, finish, meter_hangs_up, parsed, run, telegram, until

from messwerk.errors import MesswerkError, PeerLost, SourceError
from messwerk.link.serial import Pty
from messwerk.link.tcp import Broadcast

HOST = "127.0.0.1"


# --- follow ---


async def test_a_meter_that_comes_back_is_read_on() -> None:
    """With --follow a closed connection is opened again; half a telegram is counted, nothing is lost."""
    meter = await Broadcast(HOST, 0).start()
    async with command("read", "--json", "--follow", f"tcp://{HOST}:{meter.port}") as reader:
        await connected(meter)
        meter.send(telegram(1) + telegram(2)[:50])
        await meter_hangs_up(meter)
        await until(lambda: not meter.connections)
        await connected(meter)
        meter.send(telegram(3))
        assert reader.stdout is not None
        seen = [json.loads(await asyncio.wait_for(reader.stdout.readline(), 20))["seconds_index"] for _ in range(2)]
        await meter.close()
        meter = await Broadcast(HOST, meter.port).start()
        await connected(meter)
        meter.send(telegram(4))
        seen.append(json.loads(await asyncio.wait_for(reader.stdout.readline(), 20))["seconds_index"])
        reader.send_signal(signal.SIGINT)
        status, rest, errors = await finish(reader)
    await meter.close()
    assert seen == [1, 3, 4]
    assert json.loads(rest) == {"summary": {"telegrams": 3, "rejected": 1, "bytes_skipped": 50}}
    assert status == 0
    assert errors.count("connecting again in 1 s") == 2


async def test_an_adapter_that_is_plugged_in_again(tmp_path: Path) -> None:
    """With --follow a serial device may vanish and come back under its stable name."""
    head = Pty(tmp_path / "head", baud=100_000)
    async with command("read", "--json", "--follow", str(head.path)) as reader:
        await until(lambda: head.has_reader)
        await asyncio.sleep(0.2)
        await head.send(telegram(1))
        assert reader.stdout is not None
        first = await asyncio.wait_for(reader.stdout.readline(), 20)
        head.close()
        head = Pty(tmp_path / "head", baud=100_000)
        await until(lambda: head.has_reader)
        await asyncio.sleep(0.2)
        await head.send(telegram(2))
        second = await asyncio.wait_for(reader.stdout.readline(), 20)
        reader.send_signal(signal.SIGINT)
        await finish(reader)
    head.close()
    assert [json.loads(line)["seconds_index"] for line in (first, second)] == [1, 2]


async def test_bytes_without_telegrams_count_as_lost() -> None:
    """The watchdog looks at telegrams, not bytes: a line of noise is reported and opened anew."""
    async with (
        Broadcast(HOST, 0) as meter,
        command("read", "--follow", "--silence", "0.5", f"tcp://{HOST}:{meter.port}") as reader,
    ):
        await connected(meter)
        noise = asyncio.create_task(send_for_ever(meter, b"\x55" * 10))
        await until(lambda: not meter.connections)
        await connected(meter)
        noise.cancel()
        reader.send_signal(signal.SIGINT)
        status, _, errors = await finish(reader)
    assert "sent bytes, but no telegram for 0.5 s" in errors
    assert status == 130


async def send_for_ever(meter: Broadcast, data: bytes) -> None:
    while True:
        meter.send(data)
        await asyncio.sleep(0.05)


def test_following_a_file_ends_with_the_file(tmp_path: Path) -> None:
    """--follow is for live sources; a file still ends."""
    path = tmp_path / "meter.bin"
    path.write_bytes(telegram(1))
    assert parsed(run("read", "--json", "--follow", str(path)).stdout)[1]["telegrams"] == 1


# --- http ---


async def test_a_bridge_that_is_asked_over_http() -> None:
    """An http:// source is asked again and again; each answer is a telegram."""
    served = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        body = telegram(served)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with command("read", "--json", f"http://me:secret@{HOST}:{port}/data") as reader:
        assert reader.stdout is not None
        seen = [json.loads(await asyncio.wait_for(reader.stdout.readline(), 20))["seconds_index"] for _ in range(2)]
        reader.send_signal(signal.SIGINT)
        status, _, errors = await finish(reader)
    server.close()
    assert (seen, status, errors) == ([1, 2], 0, "")


# --- recordings ---


async def test_a_recording_replays_as_it_was(tmp_path: Path) -> None:
    """--record keeps bytes and times; --replay gives the same output at the same pace, or faster."""
    recording = tmp_path / "line.rec"
    async with (
        Broadcast(HOST, 0) as meter,
        command("read", "--json", "--record", str(recording), f"tcp://{HOST}:{meter.port}") as reader,
    ):
        await connected(meter)
        meter.send(b"noise" + telegram(1))
        await asyncio.sleep(1.0)
        meter.send(telegram(2))
        await meter_hangs_up(meter)
        status, live, _ = await finish(reader)
    assert status == 0
    start = time.monotonic()
    done = await asyncio.to_thread(run, "read", "--json", "--replay", str(recording))
    assert time.monotonic() - start >= 0.9
    assert done.stdout == live
    assert run("read", "--json", "--replay", str(recording), "--speed", "0").stdout == live
    assert run("read", "--json", str(recording)).stdout == live, "named as a SOURCE it is read without waiting"
    assert "2 telegrams, 0 violations" in run("lint", str(recording)).stdout


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    """Evidence of a line is not lost to a repeated command."""
    (tmp_path / "meter.bin").write_bytes(telegram(1))
    recording = tmp_path / "line.rec"
    recording.write_text("precious")
    done = run("read", "--record", str(recording), str(tmp_path / "meter.bin"))
    assert (done.returncode, recording.read_text()) == (1, "precious")
    assert "never overwrites" in done.stderr


def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    """--replay of something else, and both sources at once, are explained."""
    other = tmp_path / "meter.bin"
    other.write_bytes(telegram(1))
    assert "is no recording" in run("read", "--replay", str(other)).stderr
    assert run("read", "--replay", str(other), str(other)).returncode == 2


# --- CSV ---


def test_csv(tmp_path: Path) -> None:
    """--csv gives a header and one row a value, exact, with the summary kept off stdout."""
    path = tmp_path / "meter.bin"
    path.write_bytes(telegram(1) + telegram(2))
    done = run("read", "--csv", str(path))
    rows = list(csv.DictReader(StringIO(done.stdout)))
    assert len(rows) == 6
    assert rows[1] == {
        "server_id": SERVER.hex(), "seconds_index": "1", "obis": "1-0:1.8.0*255", "name": "active energy +A",
        "value": "12345.7", "unit": "Wh", "raw": "123457", "scaler": "-1", "status": str(0x1C0904),
    }  # fmt: skip
    assert "telegrams 2" in done.stderr
    assert run("read", "--csv", "--json", str(path)).returncode == 2


# --- MQTT ---


class Broker:
    """The least MQTT 3.1.1 broker: it acknowledges and keeps what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, bool]] = []
        self.connects: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readexactly(1))[0]
                length, shift = 0, 0
                while (byte := (await reader.readexactly(1))[0]) & 0x80:
                    length, shift = length | (byte & 0x7F) << shift, shift + 7
                packet = await reader.readexactly(length | byte << shift)
                if head >> 4 == 1:
                    self.connects.append(packet)
                    writer.write(b"\x20\x02\x00\x00")
                elif head >> 4 == 3:
                    size = struct.unpack_from(">H", packet)[0]
                    topic, rest = packet[2 : 2 + size].decode(), packet[2 + size :]
                    if head & 0x06:
                        writer.write(b"\x40\x02" + rest[:2])
                        rest = rest[2:]
                    self.published.append((topic, rest.decode(), bool(head & 1)))
                elif head >> 4 == 12:
                    writer.write(b"\xd0\x00")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def topics(self, prefix: str) -> dict[str, str]:
        return {topic: payload for topic, payload, _ in self.published if topic.startswith(prefix)}


@asynccontextmanager
async def broker() -> AsyncIterator[tuple[Broker, int]]:
    kept = Broker()
    server = await asyncio.start_server(kept.serve, HOST, 0)
    try:
        yield kept, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in kept.writers:
            writer.close()


async def test_telegrams_reach_an_mqtt_broker(tmp_path: Path) -> None:
    """--mqtt announces each value once for Home Assistant, publishes each telegram and says goodbye."""
    path = tmp_path / "meter.bin"
    path.write_bytes(telegram(1) + telegram(2))
    async with broker() as (kept, port):
        url = f"mqtt://me:secret@{HOST}:{port}/house"
        async with command("read", "--json", "--mqtt", url, str(path)) as reader:
            status, output, errors = await finish(reader)
    assert (status, errors) == (0, "")
    assert parsed(output)[1]["telegrams"] == 2
    assert b"me" in kept.connects[0]
    assert b"house/status" in kept.connects[0], "the will"
    server = SERVER.hex()
    states = [json.loads(payload) for topic, payload, _ in kept.published if topic == f"house/{server}/state"]
    assert [state["seconds_index"] for state in states] == ["1", "2"]
    assert states[0]["1-0:1.8.0*255"] == "12345.7"
    assert states[0]["power_w"] == "-1105"
    configs = kept.topics("homeassistant/sensor/")
    assert len(configs) == 2, "the numbers, each once"
    energy = json.loads(configs[f"homeassistant/sensor/messwerk_{server}/0100010800ff/config"])
    assert energy["unit_of_measurement"] == "Wh"
    assert (energy["device_class"], energy["state_class"]) == ("energy", "total_increasing")
    assert energy["state_topic"] == f"house/{server}/state"
    assert energy["value_template"] == "{{ value_json['1-0:1.8.0*255'] }}"
    statuses = [(payload, retained) for topic, payload, retained in kept.published if topic == "house/status"]
    assert [payload for payload, _ in statuses] == ["online", "offline"]


async def test_a_broker_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the broker is away telegrams wait; after a reconnection they are published."""
    from messwerk.cli import mqtt
    from messwerk.cli.mqtt import Mqtt
    from messwerk.sml import FrameDecoder, decode, readings

    monkeypatch.setattr(mqtt, "RETRY_S", 0.1)
    frames = FrameDecoder().receive(telegram(1) + telegram(2))
    one, two = (readings(decode(frame.payload))[0] for frame in frames)  # type: ignore[union-attr]
    state = f"messwerk/{SERVER.hex()}/state"
    async with broker() as (kept, port), Mqtt(f"mqtt://{HOST}:{port}") as output:
        await output.show(one)
        await until(lambda: kept.topics(state))
        for writer in kept.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
        await output.show(two)
        await until(lambda: '"seconds_index": "2"' in kept.topics(state).get(state, ""))
        assert len(kept.connects) == 2


async def test_a_broker_that_is_away_costs_no_memory() -> None:
    """The queue for an absent broker is short and drops the oldest states, never the announcements."""
    from messwerk.cli.mqtt import MAX_WAITING, Mqtt

    output = Mqtt(f"mqtt://{HOST}:1")
    output._put("announcement", "{}", retain=True)
    for number in range(MAX_WAITING + 5):
        output._put("state", str(number), retain=False)
    assert output.dropped == 5
    assert list(output._waiting)[:2] == [("announcement", "{}", True), ("state", "5", False)]


@pytest.mark.parametrize(
    ("url", "error", "complaint"),
    [
        ("http://host", SourceError, "mqtt://"),
        ("mqtt://", SourceError, "mqtt://"),
        ("mqtt://host:port", SourceError, "not an MQTT address"),
        (f"mqtt://me:secret@{HOST}:1", PeerLost, "cannot be used"),
    ],
)
async def test_a_wrong_broker_is_told_at_once(url: str, error: type[MesswerkError], complaint: str) -> None:
    """A mistyped or absent broker ends the command with a sentence that keeps the password to itself."""
    from messwerk.cli.mqtt import Mqtt

    with pytest.raises(error, match=complaint) as caught:
        async with Mqtt(url):
            pass
    assert "secret" not in str(caught.value)
