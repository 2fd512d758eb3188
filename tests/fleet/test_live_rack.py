"""A rack that runs live: push targets, radio link, service interface, modem; nodes that supply modules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from e750_rack import acknowledgement
from messwerk import sml
from messwerk.cli.pull import SerialClient, Talk, dial, leaves, open_line
from messwerk.e750 import PSTN
from messwerk.e750 import object_names as names
from messwerk.e750.network_node import PortState
from messwerk.e750.push import Source
from messwerk.errors import AttentionReceived, BusyError, LocalError, PeerLost
from messwerk.fleet.live_rack import SERVICE_BAUD, LiveRack, Ports
from messwerk.fleet.rack import BasePlan, Rack, RackPlan
from messwerk.link.clock import RealClock
from messwerk.link.serial import open_serial
from messwerk.link.tcp import serve_requests
from messwerk.tuples import SignedTuple

NOON = 1_780_000_000
LOAD = ("constant:3000,2000,1000",)


def modules(count: int) -> tuple[BasePlan, ...]:
    return (BasePlan(loads=LOAD),) * count


@asynccontextmanager
async def living(
    folder: Path, plan: RackPlan, ports: Ports, prepare: Callable[[Rack], None] = lambda rack: None, **options: Any
) -> AsyncIterator[LiveRack]:
    """A rack that runs, at 20 simulated seconds a second unless told otherwise."""
    rack = Rack(folder, plan, NOON)
    try:
        prepare(rack)
        async with LiveRack(rack, ports, clock=RealClock(), **{"speed": 20.0, **options}) as live:
            running = asyncio.create_task(live.run())
            try:
                yield live
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    finally:
        rack.close()


class Station:
    """Acknowledges every push file and keeps it."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self._decoder = sml.FrameDecoder(max_frame=1 << 20)

    def receive(self, data: bytes) -> bytes:
        answers = b""
        for frame in self._decoder.receive(data):
            assert isinstance(frame, sml.Frame)
            self.files.append(frame.raw)
            answers += acknowledgement(frame.raw)
        return answers

    def kinds(self) -> set[str]:
        found = set()
        for raw in self.files:
            (frame,) = sml.FrameDecoder(max_frame=1 << 20).receive(raw)
            assert isinstance(frame, sml.Frame)
            found |= {type(message.body).__name__ for message in sml.decode(frame.payload).messages[1:-1]}
        return found


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.02)


async def test_each_push_operation_has_its_own_target(tmp_path: Path) -> None:
    """Operation 1 sends live tuples to one station, operation 2 profile rows to another; both are acknowledged."""
    stations = Station(), Station()
    servers = [await serve_requests("127.0.0.1", 0, lambda station=station: station) for station in stations]

    def targets(rack: Rack) -> None:
        assert rack.communication_module is not None
        for number, source in ((1, Source.TUPLES), (2, Source.PROFILE)):
            operation = rack.communication_module.operations[number]
            operation.target, operation.enabled = f"127.0.0.1:{servers[number - 1].port}", True
            operation.source = source

    plan = RackPlan(base_modules=modules(2), history_days=0.05)
    async with living(tmp_path, plan, Ports(pull=None), targets) as live:
        module = live.rack.communication_module
        assert module is not None
        await until(lambda: stations[0].files and stations[1].files)
        await until(lambda: all(position.rows > 0 for position in module.operations[2].positions.values()))
        assert stations[0].kinds() == {"GetProcParameterResponse"}
        assert stations[1].kinds() == {"GetProfileListResponse"}
        assert module.operations[3].counter == 0
    for server in servers:
        await server.close()


async def test_a_radio_link_that_is_down_takes_nobody(tmp_path: Path) -> None:
    """While the link is down the port is closed and the connection broken; afterwards both are back."""
    async with living(tmp_path, RackPlan(), Ports(pull=0)) as live:
        assert live.pull is not None
        port = live.pull.port
        line = await open_line(f"tcp://127.0.0.1:{port}", 5.0)
        talk = Talk(line, "operator", "operator")
        assert await talk.devices()
        live.carry_out({"do": "link", "up": False})
        await until(lambda: live.pull is not None and not live.pull.connections)
        with pytest.raises(PeerLost):
            await talk.devices()
        with pytest.raises(PeerLost, match="nothing listens"):
            await open_line(f"tcp://127.0.0.1:{port}", 5.0)
        live.carry_out({"do": "link", "up": True, "field_strength_dbm": -77})
        await asyncio.sleep(0.3)
        async with Talk(await open_line(f"tcp://127.0.0.1:{port}", 5.0), "operator", "operator") as again:
            assert leaves(await again.tree(None, names.WAN_STATUS))[names.FIELD_STRENGTH] == -77
        await talk.close()


async def test_the_service_interface(tmp_path: Path) -> None:
    """At 115 200 Bd on a pty: reading needs no name, writing does, and one reader after the other is served."""
    service = tmp_path / "service"
    plan = RackPlan(base_modules=modules(2), history_days=0.1)
    async with living(tmp_path / "data", plan, Ports(pull=None, service=service)) as live:
        for _ in range(2):
            line = SerialClient(await open_serial(service, SERVICE_BAUD), 10.0)
            async with Talk(line, None, None) as talk:
                (first, _), *_ = await talk.devices()
                tree = await talk.tree(first, names.SPECIAL_TUPLES, names.CURRENT_TUPLE)
                assert isinstance(tree.parameter_value, sml.TupelParameter)
                signed = SignedTuple.from_entry(tree.parameter_value.value)
                signed.verify(live.rack.slots[0].module.key.public)
                file = await talk.ask(first, sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,)))
                assert isinstance(file.answer()[0], sml.GetProfilePackResponse)
        period = sml.Tree(parameter_name=names.SYNC_PERIOD, parameter_value=sml.ValueParameter(sml.Unsigned32(1800)))
        request = sml.SetProcParameterRequest(parameter_tree_path=(names.NTP, names.SYNC_PERIOD), parameter_tree=period)
        for who, taken in (((None, None), False), (("operator", "wrong"), False), (("operator", "operator"), True)):
            async with Talk(SerialClient(await open_serial(service, SERVICE_BAUD), 10.0), *who) as talk:
                if taken:
                    (await talk.ask(None, request)).answer()
                else:
                    with pytest.raises(AttentionReceived, match="FE 02"):
                        (await talk.ask(None, request)).answer()
        assert live.rack.communication_module is not None
        assert live.rack.communication_module.sync_period_s == 1800


@pytest.mark.parametrize("on", ["tcp", "pty"])
async def test_a_module_is_called_by_telephone(tmp_path: Path, on: str) -> None:
    """The PSTN module answers nobody but a modem; the line is free again after the caller has gone."""
    modem = "127.0.0.1:0" if on == "tcp" else str(tmp_path / "modem")
    plan = RackPlan(wan=PSTN, base_modules=modules(1))
    async with living(tmp_path / "data", plan, Ports(pull=0, modem=modem, number="089 42")) as live:
        assert live.pull is None
        source = modem if live.modem_port is None else f"tcp://127.0.0.1:{live.modem_port.port}"
        for number in ("4711" if on == "tcp" else "08942", "08942"):
            line = await open_line(source, 20.0)
            await line.exchange(b"AT+MS=V22B\r", lambda data: b"OK" in data or None)
            async with Talk(line, "operator", "operator") as talk:
                if number == "4711":
                    with pytest.raises(PeerLost, match="NO ANSWER"):
                        await dial(line, number)
                    continue
                await dial(line, number)
                ((server_id, _),) = await talk.devices()
                assert server_id == live.rack.slots[0].module.server_id
            await asyncio.sleep(0.1)


def test_nodes_supply_modules_within_their_budget(tmp_path: Path) -> None:
    """Modules sit behind the ports of a node; what is over its budget has no supply, and gets it when it may."""
    rack = Rack(tmp_path, RackPlan(base_modules=modules(19), nodes=1), NOON)
    (node,) = rack.nodes
    states = [node.state(port) for port in (2, 3, 4)]
    assert states == [PortState.OVERLOAD, PortState.FORWARDING, PortState.FORWARDING]  # 7, 6 and 6 modules
    assert sum(slot.module.powered for slot in rack.slots) == 12
    rack.tick()
    assert rack.communication_module is not None
    seen = {device.server_id for device in rack.communication_module.devices.base_modules()}
    assert seen == {slot.module.server_id for slot in rack.slots if slot.module.powered}
    rack.close()


def test_a_rack_is_what_its_seed_makes_it(tmp_path: Path) -> None:
    """Equal seeds give equal tuples, byte for byte; a folder in use is refused."""
    tuples = []
    for name in ("a", "b"):
        rack = Rack(tmp_path / name, RackPlan(seed=5, base_modules=(BasePlan(),)), NOON)
        rack.tick()
        tuples.append(list(rack.signed.values()))
        with pytest.raises(BusyError):
            Rack(tmp_path / name, RackPlan(), NOON)
        rack.close()
    assert tuples[0] == tuples[1]
    with pytest.raises(LocalError, match="at most 200"):
        RackPlan(base_modules=modules(201))


async def test_pulses_are_a_file(tmp_path: Path) -> None:
    """Each second of a pulse module is one line, and the lines add up to what was measured."""
    path = tmp_path / "pulses.jsonl"
    plan = RackPlan(base_modules=(BasePlan(loads=("constant:36000,0,0",)),), pulse_modules=1)
    with path.open("w", encoding="utf-8") as stream:
        async with living(tmp_path / "data", plan, Ports(pull=None), speed=0, pulses=stream) as live:
            live.pace.step(61)
            await until(lambda: live.rack.utc == NOON + 61)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    starts = [len(line["starts_ms"].get("import_wh", ())) for line in lines]
    assert sum(starts) == 300  # 36 kW for 60 s are 0.6 kWh at 500 imp/kWh
