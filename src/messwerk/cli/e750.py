"""`messwerk e750`: run a rack of SyM² modules, read one over the wire, touch a running one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.logging import RichHandler

from ..e750.udp_bus import UdpBridge
from ..errors import LocalError, SourceError
from ..fleet.control import CommandLines
from ..fleet.live_rack import TELEPHONE_NUMBER, LiveRack, Ports
from ..fleet.rack import CURVE_NAMES, PASSWORD, USER, VARIANT_NAMES, WAN_NAMES, BasePlan, Rack, RackPlan, named
from ..fleet.rack_file import Events, read_rack
from ..link.clock import RealClock
from ..link.tcp import serve_requests
from . import e750_read, running
from .console import err
from .interrupt import cancel_on_signal

app = typer.Typer(name="e750", help="SyM² racks: run one, read one, touch one.", no_args_is_help=True)
app.command("read")(e750_read.read)

DEFAULT_FOLDER: Final = Path("e750")
DataFolder = Annotated[Path, typer.Option("--data", help="Folder of the running rack.")]


@app.command("run")
def run(
    base_modules: Annotated[int, typer.Option(min=0, max=200, help="How many base modules.")] = 1,
    kind: Annotated[
        list[str] | None, typer.Option(help="Kinds of base modules, taken in turn: direct, ct, vt-6a, vt-2a.")
    ] = None,
    communication: Annotated[str, typer.Option(help="Communication module: lan, gprs, pstn, none.")] = "lan",
    pulse_modules: Annotated[int, typer.Option(min=0, help="Pulse modules, each with a base module.")] = 0,
    nodes: Annotated[int, typer.Option(min=0, max=50, help="Network nodes that supply the base modules.")] = 0,
    load: Annotated[
        list[str] | None,
        typer.Option(help="What each base module measures: household:3500, workshop:50000, pv:8, constant:W,W,W."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Identities, keys and loads of a new rack are drawn from it.")] = 1,
    curve: Annotated[str, typer.Option(help="Curve of the signatures: p256 or bp256.")] = "p256",
    scenario: Annotated[
        Path | None, typer.Option(help="TOML file with the rack and its events; replaces the options above.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port for requests; 0 takes a free one.")] = 7259,
    service: Annotated[
        Path | None, typer.Option(help="Make a pseudo terminal with this name: the RS-232 service interface.")
    ] = None,
    modem: Annotated[
        str | None, typer.Option(help="PSTN: the station's modem, on HOST:PORT or a pseudo terminal of this name.")
    ] = None,
    number: Annotated[str, typer.Option(help="PSTN: telephone number of the communication module.")] = TELEPHONE_NUMBER,
    bus: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP:PORT", help="Share the bus with other racks of this machine, as 239.255.72.59:7259."
        ),
    ] = None,
    push: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="Targets of push operations 1 to 4.")
    ] = None,
    user: Annotated[str, typer.Option(help="First user of a new communication module.")] = USER,
    password: Annotated[str, typer.Option(help="The password.")] = PASSWORD,
    history_days: Annotated[float, typer.Option(min=0, max=400, help="Days measured before a new rack's start.")] = 0,
    speed: Annotated[float, typer.Option(min=0, help="Simulated seconds a second; 0 waits for `step`.")] = 1.0,
    start: Annotated[str | None, typer.Option(help="Simulated time at the start (ISO 8601); now if missing.")] = None,
    for_seconds: Annotated[
        int | None, typer.Option("--for", min=1, help="Stop after so many simulated seconds.")
    ] = None,
    pulses: Annotated[Path | None, typer.Option(help="Write the pulses here, as JSON lines.")] = None,
    control: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where `tell` reaches it.")] = "127.0.0.1:0",
    data: Annotated[Path, typer.Option(help="Folder that keeps every module's state.")] = DEFAULT_FOLDER,
) -> None:
    """Run a rack: modules that plug together, sign every second and answer SML.

    Started again with the same --data every module goes on where it was; the time in between it
    had no supply. Ctrl-C stops it.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    events: Events = ()
    if scenario is not None:
        plan, events = read_rack(_text(scenario))
    else:
        kinds = [named("base module", VARIANT_NAMES, text) for text in kind or ["direct"]]
        loads = tuple(load or ["workshop"])
        plan = RackPlan(
            seed=seed,
            base_modules=tuple(
                BasePlan(variant=kinds[place % len(kinds)], loads=loads) for place in range(base_modules)
            ),
            wan=None if communication == "none" else named("communication module", WAN_NAMES, communication),
            pulse_modules=pulse_modules,
            nodes=nodes,
            curve=named("curve", CURVE_NAMES, curve),
            user=user,
            password=password,
            history_days=history_days,
        )
    targets = [_target(text) for text in push or []]
    ports = Ports(
        host=host, pull=port, service=service, modem=modem, number=number, bus=running.address(bus) if bus else None
    )
    clock = RealClock()
    start_utc = int(running.moment(start).timestamp()) if start else int(clock.utc()) + 1
    with contextlib.ExitStack() as files:
        if plan.history_days:
            err.print(f"measuring {plan.history_days:g} days first", style="dim")
        rack = Rack(data, plan, start_utc, bridge=UdpBridge() if bus else None)
        files.callback(rack.close)
        stream = files.enter_context(pulses.open("a", encoding="utf-8")) if pulses else None
        _set_targets(rack, targets)
        live = LiveRack(rack, ports, clock=clock, speed=speed, events=events, pulses=stream)
        asyncio.run(_live(live, running.address(control), data, for_seconds))


def _set_targets(rack: Rack, targets: list[str]) -> None:
    module = rack.communication_module
    if not targets:
        return
    if module is None or not module.variant.pushes or len(targets) > len(module.operations):
        raise LocalError("--push is for a LAN or GPRS communication module, up to four times")
    for operation, target in zip(module.operations.values(), targets, strict=False):
        operation.target, operation.enabled = target, True
    module.save(durable=True)


async def _live(live: LiveRack, control: tuple[str, int], data: Path, seconds: int | None) -> None:
    cancel_on_signal()
    with contextlib.suppress(asyncio.CancelledError):
        async with live:
            server = await serve_requests(*control, lambda: CommandLines(live.carry_out), idle_s=3600)
            running.publish(data, f"{control[0]}:{server.port}")
            _say(live, server.port)
            try:
                await live.run(seconds)
            finally:
                running.withdraw(data)
                await server.close()


def _say(live: LiveRack, control_port: int) -> None:
    rack, ports = live.rack, live.ports
    module = rack.communication_module
    if module is not None:
        err.print(f"{module.variant.name}, {module.server_id}")
    for place, slot in enumerate(rack.slots[:8]):
        err.print(f"  {place}  {slot.module.variant.name}, {slot.module.server_id}, at #{slot.module.seconds_index}")
    if len(rack.slots) > 8:
        err.print(f"  … {len(rack.slots)} base modules in all")
    if ports.bus is not None:
        err.print(f"bus      {ports.bus[0]}:{ports.bus[1]}, with every other rack there")
    if live.pull is not None:
        err.print(f"pull     messwerk e750 read tcp://{_bracketed(ports.host)}:{live.pull.port}")
    if module is not None and ports.service is not None:
        err.print(f"service  messwerk e750 read {ports.service}")
    if live.modem_port is not None:
        where = f"tcp://{_bracketed(live.modem_port.host)}:{live.modem_port.port}"
        err.print(f"modem    messwerk e750 read {where} --dial {ports.number}")
    elif ports.modem is not None:
        err.print(f"modem    messwerk e750 read {ports.modem} --dial {ports.number}")
    err.print(f"control  port {control_port}; Ctrl-C stops", style="dim")


@app.command("tell")
def tell(
    command: Annotated[str, typer.Argument(help='JSON, like {"do": "cut", "module": 0}.')],
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Send a control command to a running rack and print its answer.

    show, step, speed, cut, restore, neutral, plug, port, link.
    """
    try:
        asked = json.loads(command)
    except ValueError as error:
        raise LocalError(f"not JSON: {error}") from error
    print(json.dumps(_ask(data, asked)))


@app.command("show")
def show(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Print what a running rack is and does, as JSON."""
    answer = _ask(data, {"do": "show"})
    answer.pop("ok")
    print(json.dumps(answer, indent=2))


def _ask(data: Path, command: object) -> dict[str, Any]:
    return running.ask(data, command, start="messwerk e750 run")


def _target(text: str) -> str:
    host, port = running.address(text)
    if not port:
        raise LocalError("a push target has a port")
    return f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
