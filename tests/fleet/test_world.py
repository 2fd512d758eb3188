"""The small world of `messwerk up`: it continues where it was and never repeats itself."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from messwerk import sml
from messwerk.e320.faults import PowerCut
from messwerk.errors import BusyError, StoreDamaged
from messwerk.fleet.world import World

START = 1_790_000_100
"""A second on a quarter hour."""


def test_world_time_is_the_base_modules_index(tmp_path: Path) -> None:
    """One clock only: a world that kept a second one could disagree with its own meters."""
    world = World(tmp_path, seed=3, start_utc=START + 17)
    assert world.is_new
    assert world.utc == world.origin.start_utc == START
    world.advance_e750(START + 1000)
    assert world.utc == START + 1000
    second = world.tick()
    assert world.utc == START + 1001
    assert second.signed.index == world.base_module.seconds_index
    second.signed.verify(world.base_module.key.public)
    world.close()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """Two worlds of one seed say the same in every second, telegrams and signatures included."""

    def said(folder: Path) -> list[object]:
        world = World(folder, seed=9, start_utc=START)
        for _ in world.advance_e320(START, START + 1800):
            pass
        world.advance_e750(START + 1800)
        seconds = [world.tick() for _ in range(3)]
        world.close()
        return seconds

    first = said(tmp_path / "a")
    assert first == said(tmp_path / "b")


def test_quarter_hours_are_boundaries_of_both(tmp_path: Path) -> None:
    """The E320 is stopped at each quarter hour, and there the base module's profile has its rows."""
    world = World(tmp_path, seed=1, start_utc=START)
    stops = [utc for utc, _ in world.advance_e320(START, START + 3700)]
    assert stops == [START + 900, START + 1800, START + 2700, START + 3600, START + 3700]
    world.advance_e750(START + 3700)
    rows = world.base_module.profile.rows(0)
    assert [world.origin.start_utc + row.index for row in rows] == stops[:-1]
    world.close()


def test_a_folder_keeps_its_seed(tmp_path: Path) -> None:
    """A world restarted with another seed goes on as what it is, and says that it is not new."""
    World(tmp_path, seed=5, start_utc=START).close()
    again = World(tmp_path, seed=6, start_utc=START + 90_000)
    assert not again.is_new
    assert again.origin.seed == 5
    assert again.origin.start_utc == START
    again.close()


def test_second_world_on_a_folder_is_refused(tmp_path: Path) -> None:
    """Two programs counting on one memory would repeat indexes."""
    world = World(tmp_path, seed=1, start_utc=START)
    with pytest.raises(BusyError):
        World(tmp_path, seed=1, start_utc=START)
    world.close()


def test_damaged_origin_is_reported(tmp_path: Path) -> None:
    """Without its origin nobody knows what the index means: that is said, not guessed."""
    (tmp_path / "world.json").write_text('{"seed": ')
    with pytest.raises(StoreDamaged, match=r"world\.json"):
        World(tmp_path, seed=1, start_utc=START)


def test_faults_set_by_hand_leave_their_ground_truth(tmp_path: Path) -> None:
    """A detector watching the world can be scored: what was done to the meter, from when to when."""
    world = World(tmp_path, seed=1, start_utc=START)
    world.twin.faulty.inject(PowerCut(), 3)
    for _ in range(10):
        world.tick()
    world.close()
    (line,) = (tmp_path / "faults.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert told["type"] == "power_cut"
    assert told["meter"] == world.e320.server_id.hex()


KILLED = """
import sys, pathlib
from messwerk import sml
from messwerk.fleet.world import World
world = World(pathlib.Path(sys.argv[1]), seed=2, start_utc=int(sys.argv[2]))
for _ in range(30): world.tick()          # past the E320's start-up
while True:
    second = world.tick()
    registers = world.e320.registers
    print(second.signed.index, world.e320.seconds_index, second.signed.import_wh,
          registers.import_mws, registers.export_mws, flush=True)
"""


def test_kill_at_any_moment_repeats_nothing(tmp_path: Path) -> None:
    """Indexes strictly increase and registers never fall over ten kills at random moments."""
    rng = random.Random(4)
    last = (-1, -1, -1, -1, -1)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(START)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(rng.uniform(0.02, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.read().splitlines()
        said = [tuple(map(int, line.split())) for line in lines if line.count(" ") == 4]
        assert said
        for now in said:
            assert now[0] > last[0]
            assert now[1] > last[1]
            assert now[2:] >= last[2:]
            assert all(new >= old for new, old in zip(now[2:], last[2:], strict=True))
            last = now  # type: ignore[assignment]


def test_telegram_of_the_world_is_read(tmp_path: Path) -> None:
    """What the E320 of this world sends is a telegram of that meter in the extended set."""
    world = World(tmp_path, seed=1, start_utc=START)
    telegrams = [second.telegram for second in (world.tick() for _ in range(40)) if second.telegram]
    assert len(telegrams) >= 10
    (frame,) = sml.FrameDecoder().receive(telegrams[-1])
    assert isinstance(frame, sml.Frame)
    body = sml.decode(frame.payload).messages[1].body
    assert isinstance(body, sml.GetListResponse)
    assert body.server_id == world.e320.server_id
    assert len(body.val_list) == 5
    world.close()
