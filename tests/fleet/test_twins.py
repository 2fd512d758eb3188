"""Twins that run live: pace, lines, light through a line, control; read by programs that are not ours."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libsml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from smllib.reader import SmlStreamReader

from messwerk.e320 import E320, Error, FirmwareParameters, RamMemory, UserSettings, Variant
from messwerk.e320.faults import FaultyMeter, read_plan
from messwerk.errors import LocalError
from messwerk.fleet.control import MAX_LINE, ControlSession
from messwerk.fleet.loads import Constant, LookAhead, parse_load
from messwerk.fleet.twins import Twin, Twins
from messwerk.identity import ServerId
from messwerk.link.clock import RealClock, VirtualClock
from messwerk.link.serial import Pty
from messwerk.link.tcp import Broadcast
from messwerk.metrology import Mode, PhasePowers
from sml import SmlBase  # type: ignore[import-untyped]

NOON = 1_780_000_000


def make_twin(mode: Mode = Mode.TWO_WAY, *, extended: bool = True) -> Twin:
    meter = E320(
        server_id=ServerId.parse("1LGZ0063539421"),
        variant=Variant(mode=mode),
        memory=RamMemory(),
        parameters=FirmwareParameters(pin_protection=False),
        settings=UserSettings(pin_on=False, extended=extended),
    )
    meter.advance(PhasePowers.constant(3600, (9000.0, -500.0, 600.0), (700.0, 800.0, -90.0)))
    return Twin(FaultyMeter(meter), LookAhead(Constant((1000.0, 200.0, -300.0), (100.0, 0.0, 0.0))))


# --- pace --------------------------------------------------------------------------------------


async def test_speed_and_steps() -> None:
    """Seconds come at the pace of the clock times the speed; at speed 0 only by steps."""
    clock = VirtualClock(NOON)
    twins = Twins([make_twin()], clock=clock, start_utc=NOON, speed=2.0)
    running = asyncio.create_task(twins.run())

    async def seconds_after(real_s: float) -> int:
        before = twins.utc
        for _ in range(int(real_s / 0.05)):
            clock.advance(0.05)
            for _ in range(6):
                await asyncio.sleep(0)
        return twins.utc - before

    assert await seconds_after(5.0) in (9, 10)
    twins.speed = 0
    assert await seconds_after(5.0) <= 1
    twins.step(7)
    assert await seconds_after(1.0) == 7
    with pytest.raises(ValueError, match="speed is 0"):
        twins.speed = -1
    running.cancel()
    await twins.close()


async def test_after_a_sleep_time_goes_on_from_now() -> None:
    """A computer that slept for an hour does not hurry after the hour."""
    clock = VirtualClock(NOON)
    twins = Twins([make_twin()], clock=clock, start_utc=NOON)
    running = asyncio.create_task(twins.run())
    clock.advance(3600.0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert twins.utc - NOON <= 1
    running.cancel()
    await twins.close()


# --- lines -------------------------------------------------------------------------------------


async def test_several_readers_of_one_port() -> None:
    """Every TCP reader hears every telegram, also one that joins later."""
    twin = make_twin()
    twin.tcp = await Broadcast("127.0.0.1", 0).start()
    twins = Twins([twin], clock=RealClock(), start_utc=NOON, speed=50)
    readers = [await asyncio.open_connection("127.0.0.1", twin.tcp.port) for _ in range(3)]
    await asyncio.gather(twins.run(10), *(reader.readexactly(276 * 9) for reader, _ in readers))
    for _, writer in readers:
        writer.close()
    await twins.close()


async def test_light_through_the_line(tmp_path: Path) -> None:
    """Zero bytes written into the pty by a reader open the menu: flashes lead on as by hand."""
    twin = make_twin()
    twin.pty = Pty(tmp_path / "head", keep_input=True, baud=28_800)
    twins = Twins([twin], clock=RealClock(), start_utc=NOON, speed=3)
    running = asyncio.create_task(twins.run())
    head = os.open(tmp_path / "head", os.O_RDWR | os.O_NOCTTY)

    async def shine(size: int, until: str) -> None:
        os.write(head, bytes(size))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if twin.meter.menu.screen.value == until:
                return
        raise AssertionError(f"screen is {twin.meter.menu.screen.value}, not {until}")

    await shine(288, "test upper")
    await shine(0, "power")
    await shine(96, "energy")
    running.cancel()
    os.close(head)
    await twins.close()


# --- control -----------------------------------------------------------------------------------


def ask(session: ControlSession, **command: object) -> dict[str, object]:
    return dict(json.loads(session.receive(json.dumps(command).encode() + b"\n")))


async def test_control() -> None:
    """Each command does what it says, and a mistake is answered with what may stand there."""
    twin = make_twin()
    twins = Twins([twin], clock=VirtualClock(NOON), start_utc=NOON, speed=0)
    session = ControlSession(twins)
    shown = ask(session, do="show")
    assert (shown["ok"], shown["power_w"], shown["screen"]) == (True, 9100, "standard")
    assert ask(session, do="press", press="short") == {"ok": True, "acts_in_s": 0.3}
    twin.second(NOON)
    assert ask(session, do="show")["screen"] == "test upper"
    assert ask(session, do="fault", kind="current_reversed", phase=0, duration_s=2)["ok"]
    twin.second(NOON + 1)
    assert ask(session, do="show")["faults"] == ["current_reversed"]
    assert ask(session, do="clear") == {"ok": True}
    assert ask(session, do="power", on=False)["ok"]
    assert ask(session, do="show")["on"] is False
    assert ask(session, do="power", on=True)["ok"]
    assert ask(session, do="light", lux=500)["ok"]
    assert ask(session, do="speed", value=3)["ok"]
    assert twins.speed == 3
    assert ask(session, do="step", seconds=5)["ok"]
    assert "messwerk E320 snapshot" in str(ask(session, do="snapshot")["snapshot"])
    for command, reason in (
        ({"do": "dance"}, "no command 'dance'"), ({"do": "show", "meter": 1}, "meters 0 to 0"),
        ({"do": "press", "press": "hard"}, "short or long"), ({"do": "press"}, "missing 'press'"),
        ({"do": "fault", "kind": "phase_missing", "phase": 1.5}, "phase cannot be 1.5"),
        ({"do": "fault", "kind": "phase_missing", "phase": 7}, "phases are 0, 1 and 2"),
        ({"do": "speed", "value": -1}, "speed is 0"), ({"do": "step", "seconds": 0}, "a step is 1"),
        ({"do": "light", "lux": "dark"}, "could not convert"),
    ):  # fmt: skip
        answer = ask(session, **command)
        assert answer["ok"] is False
        assert reason in str(answer["error"])
    await twins.close()


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_control_survives_anything(chunks: list[bytes]) -> None:
    """Whatever arrives, in whatever pieces, is answered line by line and breaks nothing."""
    session = ControlSession(Twins([make_twin()], clock=VirtualClock(), start_utc=NOON, speed=0))
    answers = b"".join(session.receive(chunk) for chunk in chunks)
    lines = [line for line in b"".join(chunks).split(b"\n")[:-1] if line.strip()]
    assert [json.loads(answer)["ok"] for answer in answers.splitlines()] == [False] * len(lines)


def test_an_endless_line_is_cut_off() -> None:
    """A command without end is refused once and skipped to its end; the next one works."""
    session = ControlSession(Twins([make_twin()], clock=VirtualClock(), start_utc=NOON, speed=0))
    answers = b"".join(session.receive(b"x" * 10_000) for _ in range(3 * MAX_LINE // 10_000))
    assert answers.count(b"\n") == 1
    assert session.receive(b"x\n") == b""
    assert ask(session, do="show")["ok"]


LOADS = ["household", "household:4000", "workshop:40000", "pv:9.5", "constant:1,2,-3"]


@pytest.mark.parametrize("text", LOADS)
def test_loads_are_read(text: str) -> None:
    """Every documented form of a load works."""
    assert len(parse_load(text, 3).sample(NOON, 2)) == 2


@pytest.mark.parametrize("text", ["", "house", "pv", "pv:x", "constant:1", "household:1,2"])
def test_bad_loads_are_refused(text: str) -> None:
    """A mistyped load says what a load looks like."""
    with pytest.raises(LocalError, match="not a load"):
        parse_load(text, 3)


# --- independent readers -----------------------------------------------------------------------

MAIN = "from messwerk.cli import main; main()"
MODES = {1: "A1A.A0", 2: "A2A.A0", 3: "A3A.A0", 4: "A4A.A0", 5: "C5A.A2"}


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Path]:
    """`messwerk e320 run` as a user starts it, with a pty; yields the pty's name."""
    head = folder / "head"
    command = [sys.executable, "-c", MAIN, "e320", "run", "--data", str(folder), "--pty", str(head), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if head.exists() and (folder / "control").exists():
                break
            time.sleep(0.05)
        yield head
    finally:
        process.terminate()
        assert process.wait(10) == 0


def read_some(head: Path, telegrams: int) -> bytes:
    line, received = os.open(head, os.O_RDONLY | os.O_NOCTTY), b""
    while received.count(bytes.fromhex("1b1b1b1b1a")) < telegrams + 1:
        received += os.read(line, 4096)
    os.close(line)
    return received


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extended", [True, False])
def test_three_readers_through_a_pty(tmp_path: Path, mode: int, extended: bool) -> None:
    """libsml, SmlLib and pysml read the running twin unchanged and agree on every value, in every mode and set."""
    direction = -1 if mode in (2, 4) else 1
    options = ["--load", f"constant:{direction * 36_000_000},0,{-direction * 720_000}", "--type",
               f"E32-AM1D.{MODES[mode]}-S1B-S1", "--speed", "30", "--volatile"]  # fmt: skip
    with running(tmp_path, *options, "--extended" if extended else "--no-extended", "--no-pin-protection") as head:
        received = read_some(head, 3)
        line = os.open(head, os.O_RDONLY | os.O_NOCTTY)
        by_libsml = libsml.read_telegram(line) if libsml.NAME else {}
        os.close(line)
    reader = SmlStreamReader()
    reader.add(received)
    frames = []
    while (frame := reader.get_frame()) is not None:
        frames.append({str(entry.obis): float(str(entry.get_value())) for entry in frame.get_obis() if entry.unit})
    by_pysml = []
    buffer = received
    while True:
        end, found = SmlBase.find_frame(buffer)
        buffer = buffer[end:]
        if found is None:
            break
        (body,) = (message["messageBody"] for message in found if "valList" in message["messageBody"])
        by_pysml.append({entry["objName"]: entry["value"] for entry in body["valList"] if "unit" in entry})
    assert len(frames) == len(by_pysml) >= 3
    for one, other in zip(frames, by_pysml, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()))
    assert ("0100100700ff" in frames[0]) is extended
    if extended:
        assert frames[0]["0100100700ff"] == direction * 35_280_000
    counted = [code for code in frames[0] if code.endswith("0800ff")]
    assert len(counted) == {1: 1, 2: 1, 3: 2, 4: 1, 5: 6}[mode]
    assert frames[-1][counted[0]] > frames[0][counted[0]]
    if libsml.NAME:
        assert set(by_libsml) == set(frames[0])
        assert by_libsml[counted[0]] > frames[-1][counted[0]]


def test_example_scenario() -> None:
    """The scenario file among the examples is read, and does what its comments say."""
    plan = read_plan((Path(__file__).parents[2] / "examples" / "bad_day.toml").read_text(encoding="utf-8"))
    truth: list[str] = []
    twin = make_twin()
    faulty = FaultyMeter(twin.meter, plan, record=truth.append)
    faulty.advance(PhasePowers.constant(3100, (1000.0, 0.0, 0.0)))
    assert [json.loads(line)["type"] for line in truth] == [
        "phase_missing", "neutral_lost", "power_cut", "bit_flips", "memory_damage",
    ]  # fmt: skip
    assert twin.meter.error_register == Error.REGISTER_CHECKSUM
