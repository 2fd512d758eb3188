"""Racks of several processes on one bus: plug and play by real multicast, measured."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from messwerk import sml
from messwerk.cli.pull import Talk, leaves, open_line
from messwerk.e750 import object_names as names
from messwerk.e750.udp_bus import UdpBridge
from messwerk.errors import MesswerkError
from messwerk.fleet.live_rack import LiveRack, Ports
from messwerk.fleet.rack import BasePlan, Rack, RackPlan
from messwerk.link.clock import RealClock

MAIN = "from messwerk.cli import main; main()"
PLUG_AND_PLAY_MAX_S = 10.0
"""From starting the program of the base module, which first measures 30 days; about two are usual."""


@contextmanager
def process(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", MAIN, "e750", "run", "--data", str(folder), *options]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"NO_COLOR": "1"})
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(20)


def port_of(folder: Path) -> int:
    for _ in range(200):
        if (folder / "control").exists():
            break
        time.sleep(0.05)
    host, _, port = (folder / "control").read_text().strip().rpartition(":")
    with socket.create_connection((host, int(port))) as line, line.makefile("rwb") as stream:
        stream.write(b'{"do": "show"}\n')
        stream.flush()
        return int(json.loads(stream.readline())["communication_module"]["pull_port"])


@pytest.fixture
def bus() -> str:
    return f"239.255.72.59:{random.randint(20_000, 60_000)}"


async def test_two_processes_plug_together(tmp_path: Path, bus: str) -> None:
    """A base module started in another process is listed, proves itself and hands over its profile, unconfigured."""
    with process(tmp_path / "cm", "--bus", bus, "--base-modules", "0", "--port", "0"):
        port = port_of(tmp_path / "cm")
        options = ("--bus", bus, "--communication", "none", "--history-days", "30", "--load", "constant:9000,0,0")
        begin = time.monotonic()
        with process(tmp_path / "bm", *options):
            async with Talk(await open_line(f"tcp://127.0.0.1:{port}", 15.0), "operator", "operator") as talk:
                while not (devices := await talk.devices()):  # noqa: ASYNC110 (seen from outside alone)
                    await asyncio.sleep(0.05)
                ((server_id, _),) = devices
                key = leaves(await talk.tree(server_id, names.IDENTIFICATION))[names.PUBLIC_KEY]
                assert len(key) == 64
                took_s = time.monotonic() - begin
                print(f"plug and play, from starting the program to its key: {took_s:.2f} s")
                assert took_s < PLUG_AND_PLAY_MAX_S
                file = await talk.ask(server_id, sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,)))
                (pack,) = file.answer()
                assert isinstance(pack, sml.GetProfilePackResponse)
                assert len(pack.period_list) == 30 * 96, "half a megabyte crosses the bus in one piece"


async def test_a_second_module_with_the_same_server_id(tmp_path: Path, bus: str) -> None:
    """Another process that claims a server ID is not listened to, and the log book says so."""
    group, _, port = bus.rpartition(":")
    plans = (
        RackPlan(seed=1, base_modules=(BasePlan(),)),
        RackPlan(seed=1, base_modules=(BasePlan(),), wan=None),
    )
    racks = [Rack(tmp_path / str(place), plan, 1_780_000_000, bridge=UdpBridge()) for place, plan in enumerate(plans)]
    first, second = (
        LiveRack(rack, Ports(pull=0, bus=(group, int(port))), clock=RealClock(), speed=0) for rack in racks
    )
    async with first, second:
        cm = racks[0].communication_module
        assert cm is not None
        for rack in racks * 2:
            rack.tick()
            await asyncio.sleep(0.1)
        assert racks[0].bridge is not None
        assert racks[0].bridge.refused >= 2
        told = [entry.details for entry in cm.log.entries if "a second one" in entry.details]
        assert len(told) == 1
        assert "127.0.0.1" in told[0]
    for rack in racks:
        rack.close()


async def test_no_multicast_there(tmp_path: Path) -> None:
    """An address that is no multicast group ends in words that say what to choose."""
    rack = Rack(tmp_path, RackPlan(), 1_780_000_000, bridge=UdpBridge())
    with pytest.raises(MesswerkError, match=r"239\.0\.0\.0/8"):
        async with LiveRack(rack, Ports(bus=("10.99.99.99", 7259)), clock=RealClock()):
            pass
    rack.close()
