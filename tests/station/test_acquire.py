"""Acquisition over real sockets: pull from a communication module, pushes, INFO interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from messwerk import sml
from messwerk.e750.base_module import BaseModule
from messwerk.e750.bus import Bus
from messwerk.e750.communication_module import CommunicationModule
from messwerk.errors import AttentionReceived, NoRoom, PeerLost
from messwerk.identity import ServerId
from messwerk.link.clock import RealClock, VirtualClock
from messwerk.link.tcp import Broadcast, TcpClient, serve_requests
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve, PrivateKey
from messwerk.station.acquire import acknowledgement
from messwerk.station.journal import Batch
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from messwerk.tuples import STATUS_SOI
from station_meters import INFO_METER, MODULE_ID, SigningMeter, info_telegram

START = 1_790_000_100
DAY = 86_400
METER = SigningMeter()


def steady(seconds: int) -> PhasePowers:
    """A load of 700 W."""
    import numpy as np

    return PhasePowers(np.full((seconds, 3), 700.0 / 3), np.zeros((seconds, 3)), np.full((seconds, 3), 230.0))


class Plant:
    """A base module behind a communication module on a real TCP port, and a station that pulls it."""

    def __init__(self, folder: Path, *, password: str = "secret") -> None:  # noqa: S107
        self.clock = VirtualClock(float(START))
        bus = Bus()
        server_id = ServerId.from_mac(bytes.fromhex("00151122aabb"))
        self.base = BaseModule(
            server_id, PrivateKey.from_seed(Curve.P256, b"plant"), folder / "bm", bus, first_index=900, period_phase=0
        )
        self.module = CommunicationModule(MODULE_ID, bus, folder / "cm", credentials={"operator": "secret"})
        self.base.announce()
        self.station = Station(folder / "station", self.clock, Settings())
        self.password = password

    async def start(self) -> None:
        self.server = await serve_requests("127.0.0.1", 0, self.module.session)
        self.station.add_module("127.0.0.1", self.server.port, "operator", self.password)
        self.module.poll(self.clock.utc())

    def run(self, seconds: int) -> None:
        self.base.advance(steady(seconds))
        self.clock.advance(seconds)
        self.module.poll(self.clock.utc())

    async def close(self) -> None:
        await self.station.close()
        await self.server.close()
        self.module.close()
        self.base.close()


@pytest.fixture
async def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    await made.start()
    yield made
    await made.close()


async def test_a_pull_brings_everything_missing(plant: Plant) -> None:
    """Identity with key, time, and the whole profile, all verified and placed on quarter hours."""
    for _ in range(3):
        await plant.station.pull_once()
        plant.run(DAY)
    (report,) = await plant.station.pull_once()
    assert report.meters == [plant.base.server_id]
    assert report.refused == []
    view = plant.station.overview()
    assert (view.counts.signatures_invalid, view.gaps) == (0, 0)
    assert view.counts.tuples_archived >= 3 * 96
    assert view.intervals == 3 * 96 - 1 or view.intervals == 3 * 96
    curve = plant.station.load_curve(plant.base.server_id, START + 900, START + DAY)
    assert set(curve.import_w) <= {699.6, 700.0, 700.4}
    meter = plant.station.meter(plant.base.server_id)
    assert (meter.row.kind, meter.manufacturer) == ("E750 base module, direct", "LGZ")
    assert meter.row.key_fingerprint == plant.base.key.public.fingerprint


async def test_a_second_pull_asks_for_nothing_it_has(plant: Plant) -> None:
    """Pulled again at once, nothing changes and no profile row crosses the wire."""
    plant.run(DAY)
    await plant.station.pull_once()
    before = plant.station.overview().counts
    (report,) = await plant.station.pull_once()
    assert plant.station.overview().counts == before
    assert report.bytes_received < 2000


async def test_a_meter_out_of_phase_is_put_on_the_quarter_hours(plant: Plant) -> None:
    """A token in the middle of the second before makes the quarter hour itself the boundary."""
    plant.base.synchronise(137)
    plant.base.synchronous = False
    plant.run(DAY)
    await plant.station.pull_once()
    assert plant.station.out_of_phase(plant.base.server_id)
    assert plant.base.seconds_index % 900 == 0
    plant.run(899)
    (module,) = plant.station.modules()
    told = asyncio.create_task(plant.station.rephase(plant.base.server_id, module))
    await asyncio.sleep(0.01)
    plant.clock.advance(0.5)
    await told
    plant.base.tick(steady(1))
    plant.clock.advance(0.5)
    assert plant.base.current is not None
    assert plant.base.current.status & STATUS_SOI, "the boundary itself is the first tuple of the new phase"
    plant.run(2 * 900)
    await plant.station.pull_once()
    error_s = plant.station.sync_state(plant.base.server_id).phase_error_s
    assert error_s is not None
    assert abs(error_s) < 1
    assert not plant.station.out_of_phase(plant.base.server_id)


async def test_an_outage_of_the_station_is_filled(plant: Plant) -> None:
    """Five days without contact are read back from the meter's profile."""
    await plant.station.pull_once()
    plant.run(DAY)
    await plant.station.pull_once()
    plant.run(5 * DAY)
    await plant.station.pull_once()
    assert plant.station.overview().gaps == 0
    assert plant.station.overview().counts.tuples_archived >= 6 * 96


async def test_a_hole_is_asked_for_and_a_true_gap_only_once(plant: Plant) -> None:
    """A row lost on our side comes back; what the meter does not have is not asked for again and again."""
    await plant.station.pull_once()
    plant.run(DAY)
    await plant.station.pull_once()
    meter_id = plant.station.roster.require(plant.base.server_id)
    with plant.station.store.transaction() as write:
        write.execute("DELETE FROM hot WHERE meter_id = ? AND idx BETWEEN 9000 AND 18000", (meter_id,))
    plant.station.live._states.clear()
    assert plant.station.overview().gaps > 8
    await plant.station.pull_once()
    assert plant.station.overview().gaps == 0


async def test_a_day_takes_a_handful_of_exchanges(plant: Plant) -> None:
    """A daily pull asks for what is missing in one piece; `messwerk bench pull` says how long it takes."""
    plant.run(DAY)
    await plant.station.pull_once()
    plant.run(DAY)
    (report,) = await plant.station.pull_once()
    assert report.batches <= 5, "modules, time, identity, and the profile in at most two pieces"


async def test_a_wrong_password_is_refused_and_told(tmp_path: Path) -> None:
    """The module's refusal reaches the caller in words, and no secret reaches the message."""
    plant = Plant(tmp_path, password="wrong-password")  # noqa: S106
    await plant.start()
    try:
        with pytest.raises(AttentionReceived, match="password") as refused:
            await plant.station.pull_once()
        assert "wrong-password" not in str(refused.value)
        assert "wrong-password" not in repr(plant.station.roster.modules())
    finally:
        await plant.close()


async def test_a_module_that_talks_nonsense_does_no_harm(tmp_path: Path) -> None:
    """Garbage, silence and a closed port are PeerLost; the next module is still pulled."""
    plant = Plant(tmp_path)
    await plant.start()
    garbage = await serve_requests(
        "127.0.0.1",
        0,
        lambda: SimpleNamespace(receive=lambda data: b"\x1b" * 4000),  # type: ignore[arg-type,return-value]
    )
    plant.station.puller._timeout_s = 0.3
    plant.station.roster.add_module("127.0.0.1", garbage.port, None, None)
    plant.station.roster.add_module("127.0.0.1", 1, None, None)
    plant.run(DAY)
    try:
        with pytest.raises(PeerLost):
            await plant.station.pull_once()
        assert plant.station.overview().counts.tuples_archived >= 95
    finally:
        await garbage.close()
        await plant.close()


# --- push ----------------------------------------------------------------------------------


@pytest.fixture
async def listening(tmp_path: Path) -> Iterator[tuple[Station, int]]:
    station = Station(tmp_path / "station", RealClock(), Settings())
    server = await station.serve_push("127.0.0.1", 0)
    yield station, server.port
    await station.close()


async def answers(client: TcpClient, count: int) -> list[sml.SmlFile]:
    """The next files the station sends."""
    decoder, files = sml.FrameDecoder(max_frame=1 << 20), []
    async with asyncio.timeout(5):
        while len(files) < count:
            for event in decoder.receive(await client.receive()):
                assert isinstance(event, sml.Frame)
                files.append(sml.decode(event.payload))
    return files


async def test_a_push_is_acknowledged_when_it_is_durable(listening: tuple[Station, int]) -> None:
    """The acknowledgement names the pushed file, and comes after the commit."""
    station, port = listening
    raw = METER.push(METER.rows(METER.utc(0), 3), number=77)
    async with TcpClient("127.0.0.1", port) as client:
        await client.send(raw[:100])
        await client.send(raw[100:])
        (answer,) = await answers(client, 1)
        assert station.journal.count() == 1
    attention = answer.messages[1].body
    assert isinstance(attention, sml.AttentionResponse)
    assert attention.attention_no == sml.Attention.ACKNOWLEDGED.number
    assert attention.attention_msg == (77).to_bytes(4, "big")
    assert isinstance(answer.messages[2].body, sml.PublicCloseResponse)


async def test_a_push_sent_again_is_acknowledged_again_and_kept_once(listening: tuple[Station, int]) -> None:
    """A module that missed the acknowledgement sends again: it gets one, the journal does not grow."""
    station, port = listening
    raw = METER.push(METER.rows(METER.utc(0), 3))
    async with TcpClient("127.0.0.1", port) as client:
        for _ in range(3):
            await client.send(raw)
        await answers(client, 3)
    assert station.journal.count() == 1


async def test_no_room_means_no_acknowledgement(
    listening: tuple[Station, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be made durable is not acknowledged, is an alarm, and the next push is taken."""
    station, port = listening
    append_all = station.journal.append_all

    def full(batches: list[Batch]) -> list[int]:
        raise NoRoom("no room for it: free some space")

    async with TcpClient("127.0.0.1", port) as client:
        monkeypatch.setattr(station.journal, "append_all", full)
        await client.send(METER.push([METER.tuple_at(900)], number=1))
        await asyncio.sleep(0.2)
        monkeypatch.setattr(station.journal, "append_all", append_all)
        await client.send(METER.push([METER.tuple_at(1800)], number=2))
        (answer,) = await answers(client, 1)
    attention = answer.messages[1].body
    assert isinstance(attention, sml.AttentionResponse)
    assert attention.attention_msg == (2).to_bytes(4, "big")
    assert any("not acknowledged" in event.text for event in station.events(5))


async def test_damaged_pushes_are_not_acknowledged(listening: tuple[Station, int]) -> None:
    """A frame with a wrong checksum, and noise, are counted and answered by nothing."""
    station, port = listening
    raw = bytearray(METER.push([METER.tuple_at(900)]))
    raw[60] ^= 1
    async with TcpClient("127.0.0.1", port) as client:
        await client.send(b"GET / HTTP/1.1\r\n\r\n" + bytes(raw))
        await client.send(METER.push([METER.tuple_at(1800)], number=9))
        (answer,) = await answers(client, 1)
    assert station.journal.count() == 1
    assert station.failures >= 1
    assert isinstance(answer.messages[0].body, sml.PublicOpenResponse)


def test_an_acknowledgement_fits_any_opening() -> None:
    """Long and empty file IDs are answered in kind."""
    for name in (b"", b"x" * 200):
        opening = sml.PublicOpenResponse(req_file_id=name, server_id=MODULE_ID)
        (frame,) = sml.FrameDecoder().receive(acknowledgement(opening))
        assert isinstance(frame, sml.Frame)
        attention = sml.decode(frame.payload).messages[1].body
        assert isinstance(attention, sml.AttentionResponse)
        assert attention.attention_msg == (name or None), "an empty octet string is an absent one on the wire"


async def test_the_communication_module_pushes_until_acknowledged(tmp_path: Path) -> None:
    """The twin's own push queue and the station's intake understand each other over TCP."""
    plant = Plant(tmp_path)
    await plant.start()
    server = await plant.station.serve_push("127.0.0.1", 0)
    try:
        await plant.station.pull_once()
        for _ in range(3):
            plant.base.tick(steady(1))
            plant.clock.advance(1)
            plant.module.poll(plant.clock.utc())
        raw = plant.module.push_file(plant.clock.utc())
        assert raw is not None
        async with TcpClient("127.0.0.1", server.port) as client:
            assert await client.exchange(raw, lambda data: plant.module.push_received(data) or None)
        await plant.station.process()
        assert plant.station.overview().counts.tuples_archived >= 3
        assert plant.station.meter(plant.base.server_id).row.last_index == plant.base.seconds_index
    finally:
        await plant.close()


# --- INFO ----------------------------------------------------------------------------------


async def test_an_info_interface_is_heard_and_found_again(tmp_path: Path) -> None:
    """Telegrams of an unsigned meter arrive over TCP; a lost connection is renewed, a failure counted."""
    async with Station(tmp_path / "station", RealClock(), Settings()) as station:
        broadcast = await Broadcast("127.0.0.1", 0).start()
        port = broadcast.port
        station.add_info_source(f"tcp://127.0.0.1:{port}")
        index = 100

        async def heard(count: int) -> None:
            nonlocal index
            async with asyncio.timeout(8):
                while station.overview().counts.unsigned_readings < count:
                    broadcast.send(b"\x00noise" + info_telegram(index, index * 2, 0, 720))
                    index += 1
                    await asyncio.sleep(0.05)

        await heard(3)
        await broadcast.close()
        broadcast = await Broadcast("127.0.0.1", port).start()
        await heard(station.overview().counts.unsigned_readings + 3)
        await broadcast.close()
        row = station.meter(INFO_METER).row
        assert (row.power_w, row.signed, row.kind) == (720.0, False, "base meter")
        assert row.sync_error_s is None or row.sync_error_s < 2
