"""A rack that runs live: its seconds paced by a clock, its interfaces on real ports.

pull      SML over TCP, a conversation for each peer
push      each operation with a target opens its own connections
service   the RS-232 service interface as a pseudo terminal at 115 200 Bd
modem     the central station's modem, on a pseudo terminal or a TCP port (PSTN only)
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TextIO

from ..e750 import PSTN, CommunicationModule, Modem, TelephoneNetwork
from ..e750.pulse_module import OUTPUTS
from ..e750.udp_bus import RecordReader, UdpBridge
from ..errors import LocalError, PeerLost
from ..link.clock import Clock
from ..link.multicast import Multicast
from ..link.serial import Pty, serve_serial
from ..link.tcp import RequestServer, TcpClient, serve_requests
from .control import MAX_STEPS
from .pace import Pace
from .rack import VARIANT_NAMES, BasePlan, Rack, named

log = logging.getLogger(__name__)

SERVICE_BAUD: Final = 115_200
"""RS-232 service interface, 8N1. Source: E750 brochure ("115 kb/s")."""
PUSH_EVERY_S: Final = 1.0
"""How often a push operation looks for something new. [s]"""
MODEM_LOOK_S: Final = 0.016
"""A modem wakes at most this often, as a UART with a 16-byte FIFO does at 9600 Bd."""
MODEM_POLL_S: Final = 0.25
"""How often a modem with a call looks for answers that come late."""
TELEPHONE_NUMBER: Final = "0301234"
TOGETHER_S: Final = 3600
"""Seconds owed that are measured between two looks at the ports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the rack is reached. None: not at all."""

    host: str = "127.0.0.1"
    pull: int | None = 7259
    """TCP port for requests; 0 lets the system choose."""
    service: Path | None = None
    modem: str | None = None
    """`host:port`, or the path of a pseudo terminal."""
    number: str = TELEPHONE_NUMBER
    bus: tuple[str, int] | None = None
    """Multicast group and port by which racks of several programs share one bus."""


class LiveRack:
    """Runs a rack. Use as a context manager, then `run`."""

    def __init__(
        self,
        rack: Rack,
        ports: Ports,
        *,
        clock: Clock,
        speed: float = 1.0,
        events: Iterable[tuple[int, dict[str, Any]]] = (),
        pulses: TextIO | None = None,
    ) -> None:
        """`events` are commands and the second after the start at which they are carried out."""
        self.rack, self.ports, self.clock = rack, ports, clock
        self.pace = Pace(clock, speed)
        self.pull: RequestServer | None = None
        self.modem_port: RequestServer | None = None
        self._events = sorted(events, key=lambda planned: planned[0])
        self._began_utc = rack.utc
        self._pulses = pulses
        self._open = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._link_changed = asyncio.Event()

    # --- start and stop --------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.pull is not None:
            await self.pull.close()
        await self._open.aclose()

    async def _start(self) -> None:
        if self.ports.bus is not None and self.rack.bridge is not None:
            await self._join_bus(self.ports.bus, self.rack.bridge)
        module = self.rack.communication_module
        if module is None:
            return
        module.poll(self.rack.utc)
        if module.variant is PSTN:
            await self._start_modem(module)
        elif self.ports.pull is not None:
            self.pull = await serve_requests(self.ports.host, self.ports.pull, module.session)
        if self.ports.service is not None:
            pty = self._open.enter_context(Pty(self.ports.service, baud=SERVICE_BAUD, keep_input=True))
            self._spawn(serve_serial(pty, module.service_session), "service interface")
        for number, operation in module.operations.items():
            operation.enabled = operation.enabled and bool(operation.target)
            if module.variant.pushes:
                self._spawn(self._push(module, number), f"push operation {number}")

    async def _join_bus(self, address: tuple[str, int], bridge: UdpBridge) -> None:
        def datagram(data: bytes, host: str) -> None:
            bridge.datagram_received(data, host, self.clock.monotonic())

        bridge.carrier = await self._open.enter_async_context(
            Multicast(*address, datagram, lambda: _Records(bridge, self.clock), interface=self.ports.host)
        )
        self._open.callback(setattr, bridge, "carrier", None)
        self.rack.announce()

    async def _start_modem(self, module: CommunicationModule) -> None:
        if self.ports.modem is None:
            return
        network = TelephoneNetwork()
        network.connect(self.ports.number, module.session)

        def line() -> ModemLine:
            return ModemLine(Modem(network), self.clock)

        host, _, port = self.ports.modem.rpartition(":")
        if host and port.isdecimal():
            self.modem_port = await serve_requests(host.strip("[]"), int(port), line, idle_s=3600)
            self._open.push_async_callback(self.modem_port.close)
        else:
            pty = self._open.enter_context(Pty(self.ports.modem, baud=SERVICE_BAUD, keep_input=True))
            self._spawn(serve_serial(pty, line), "modem")

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s stopped", task.get_name(), exc_info=error)

    # --- seconds ---------------------------------------------------------------------------

    async def run(self, seconds: int | None = None, *, each: Callable[[], None] = lambda: None) -> None:
        """Run until cancelled, or for so many simulated seconds; `each` is called after every step."""
        until = None if seconds is None else self.rack.utc + seconds
        while until is None or self.rack.utc < until:
            due = await self.pace.due()
            while due > 0:
                step = min(due, TOGETHER_S)
                self._happen()
                self.rack.advance(step)
                self._give_pulses()
                due -= step
                await self._follow_link()
            self.pace.passed()
            each()

    def _happen(self) -> None:
        """Carry out the events planned for this second."""
        while self._events and self.rack.utc - self._began_utc >= self._events[0][0]:
            at_s, command = self._events.pop(0)
            try:
                self.carry_out(command)
            except (ValueError, TypeError, KeyError) as error:
                raise LocalError(f"the event at {at_s} s is not complete: {error!r}") from error

    def _give_pulses(self) -> None:
        for number, module in enumerate(self.rack.pulse_modules):
            for second in module.take():
                if self._pulses is not None:
                    starts = {name: list(at) for name, at in zip(OUTPUTS, second.pulses, strict=True) if at}
                    line = {"module": number, "index": second.index, "period": second.period, "starts_ms": starts}
                    print(json.dumps(line), file=self._pulses, flush=True)

    async def _follow_link(self) -> None:
        """While a radio link is down nobody is connected and nobody can connect."""
        module = self.rack.communication_module
        if module is None or self.pull is None or not self._link_changed.is_set():
            return
        self._link_changed.clear()
        if module.link.up:
            self.pull = await serve_requests(self.ports.host, self.pull.port, module.session)
        else:
            await self.pull.close()

    # --- push ------------------------------------------------------------------------------

    async def _push(self, module: CommunicationModule, number: int) -> None:
        """One operation: file after file over one connection, until there is nothing new."""
        operation = module.operations[number]
        while True:
            await self.clock.sleep(PUSH_EVERY_S)
            if not operation.target or (file := module.push_file(self.rack.utc, number)) is None:
                continue
            host, _, port = operation.target.rpartition(":")
            try:
                async with TcpClient(host.strip("[]"), int(port)) as client:
                    while file is not None:
                        await client.exchange(file, lambda data: module.push_received(data, number) or None)
                        file = module.push_file(self.rack.utc, number)
            except PeerLost as error:
                log.warning("push operation %d: %s", number, error)
                module.push_failed(self.rack.utc, number)

    # --- remote control --------------------------------------------------------------------

    def carry_out(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command of the control port or of a scenario. Raises LocalError, ValueError, TypeError, KeyError."""
        rack = self.rack
        match command.get("do"):
            case "show":
                return show(self)
            case "step":
                seconds = int(command.get("seconds", 1))
                if not 0 < seconds <= MAX_STEPS:
                    raise LocalError(f"a step is 1 to {MAX_STEPS} seconds")
                self.pace.step(seconds)
            case "speed":
                self.pace.speed = float(command["value"])
            case "cut":
                rack.cut(int(command["module"]))
            case "restore":
                outage = command.get("outage_s")
                rack.restore(int(command["module"]), None if outage is None else int(outage))
            case "neutral":
                rack.slot(int(command["module"])).module.neutral_connected = bool(command["connected"])
            case "plug":
                variant = named("base module", VARIANT_NAMES, str(command.get("variant", "direct")))
                loads = command.get("loads", ["workshop"])
                slot = rack.plug(BasePlan(variant=variant, loads=tuple(str(each) for each in loads)))
                return {"module": len(rack.slots) - 1, "server_id": slot.module.server_id.hex()}
            case "port":
                self._node(int(command.get("node", 0))).enable(int(command["port"]), bool(command["on"]))
            case "link":
                self._set_link(bool(command["up"]), command.get("field_strength_dbm"))
            case other:
                known = "show, step, speed, cut, restore, neutral, plug, port, link"
                raise LocalError(f"there is no command {other!r}; known are {known}")
        return {}

    def _node(self, number: int) -> Any:
        if not 0 <= number < len(self.rack.nodes):
            raise LocalError(f"there are {len(self.rack.nodes)} network nodes, counted from 0")
        return self.rack.nodes[number]

    def _set_link(self, up: bool, field_strength_dbm: Any) -> None:
        module = self.rack.communication_module
        if module is None:
            raise LocalError("this rack has no communication module")
        if up != module.link.up:
            self._link_changed.set()
        module.link_changed(up, None if field_strength_dbm is None else int(field_strength_dbm))


def show(live: LiveRack) -> dict[str, Any]:
    """The rack as an observer with X-ray eyes sees it."""
    rack = live.rack
    module = rack.communication_module
    return {
        "utc": rack.utc,
        "bus_frames": rack.bus.frames,
        "communication_module": None if module is None else {
            "server_id": module.server_id.hex(),
            "type": module.variant.name,
            "pull_port": live.pull.port if live.pull is not None else None,
            "link_up": module.link.up,
            "devices": [device.server_id.hex() for device in module.devices.active()],
            "push": {
                number: {"target": one.target, "enabled": one.enabled, "files": one.counter, "failures": one.failures}
                for number, one in module.operations.items()
            },
        },
        "base_modules": [
            {
                "server_id": slot.module.server_id.hex(),
                "type": slot.module.variant.name,
                "powered": slot.module.powered,
                "seconds_index": int(slot.module.seconds_index),
                "status": slot.module.current.status if slot.module.current is not None else None,
                "import_wh": slot.module.current.import_wh / 10 if slot.module.current is not None else None,
                "profile_rows": len(slot.module.profile),
            }
            for slot in rack.slots
        ],
        "pulse_modules": [
            {"server_id": pulse.server_id.hex(), "totals": {name: pulse.channels[name].total for name in OUTPUTS}}
            for pulse in rack.pulse_modules
        ],
        "network_nodes": [
            {
                "server_id": node.server_id.hex(),
                "ports": [node.state(port).name.lower() for port in range(1, 5)],
                "load_w": node.load_w,
            }
            for node in rack.nodes
        ],
    }  # fmt: skip


class _Records:
    """What another program transmits to modules of this one."""

    def __init__(self, bridge: UdpBridge, clock: Clock) -> None:
        self._bridge, self._clock, self._reader = bridge, clock, RecordReader()

    def receive(self, data: bytes) -> bytes:
        for record in self._reader.receive(data):
            self._bridge.record_received(record, self._clock.monotonic())
        return b""


class ModemLine:
    """A modem on a real line: what is due goes out by itself, and hanging up the line ends the call."""

    def __init__(self, modem: Modem, clock: Clock) -> None:
        self.modem, self._clock = modem, clock
        self._send: Callable[[bytes], None] = lambda data: None
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def receive(self, data: bytes) -> bytes:
        self.modem.receive(data, self._clock.monotonic())
        return self._due()

    def ended(self) -> None:
        """The terminal is gone, as when DTR drops."""
        if self._timer is not None:
            self._timer.cancel()
        self.modem.carrier_lost()

    def _wake(self) -> None:
        if due := self._due():
            self._send(due)

    def _due(self) -> bytes:
        """What may be sent now; wakes again when more is."""
        now = self._clock.monotonic()
        out = self.modem.data_to_send(now)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.modem.next_deadline
        wait_s = MODEM_POLL_S if deadline is None else max(deadline - now, MODEM_LOOK_S)
        if deadline is not None or self.modem.connected:
            self._timer = asyncio.get_running_loop().call_later(min(wait_s, MODEM_POLL_S), self._wake)
        return out
