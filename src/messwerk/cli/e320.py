"""`messwerk e320`: run base-meter twins, touch running ones, test specimens, print faceplates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from ..e320 import E320, FirmwareParameters, NonVolatile, RamMemory, UserSettings, Variant, restore
from ..e320.faceplate import Faceplate
from ..e320.faults import FaultyMeter, PlannedFault, read_plan
from ..e320.testbench import report
from ..e320.testbench import run as run_testbench
from ..errors import LocalError, SourceError
from ..fleet.control import ControlSession
from ..fleet.extra import Adjustable
from ..fleet.loads import parse_load
from ..fleet.twins import Twin, Twins
from ..identity import DeviceId
from ..link.clock import RealClock
from ..link.serial import BAUD, Pty, open_serial
from ..link.tcp import Broadcast, serve_requests
from ..metrology.accuracy import ErrorModel
from ..signing import PrivateKey
from . import running
from .console import err
from .interrupt import cancel_on_signal

app = typer.Typer(name="e320", help="Base-meter twins: run, press, show, test.", no_args_is_help=True)

FEW_METERS: Final = 4
"""Up to so many meters every save is forced to the disk; more share the disk by saving less often."""
SYNC_EVERY: Final = 60

TypeCode = Annotated[str, typer.Option("--type", help="Type designation.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder of the running twin.")]
Which = Annotated[int, typer.Option("--meter", help="Which one, where several run.")]
DEFAULT_TYPE: Final = "E32-AM1D.A3A.A0-S1B-S1"
DEFAULT_FOLDER: Final = Path("e320")


@app.command("run")
def run(
    type_code: TypeCode = DEFAULT_TYPE,
    device_id: Annotated[str, typer.Option(help="Device ID of the first meter.")] = "1LGZ0063539421",
    count: Annotated[
        int, typer.Option(min=1, max=5000, help="How many meters; serial numbers and ports count up.")
    ] = 1,
    load: Annotated[
        list[str] | None,
        typer.Option(help="household:3500, workshop:50000, pv:8, constant:100,200,-300; repeated ones add up."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Loads, specimen errors and line faults are drawn from it.")] = 1,
    pty: Annotated[Path | None, typer.Option(help="Make a pseudo terminal with this name.")] = None,
    serial: Annotated[str | None, typer.Option(help="Send on this serial device (one meter).")] = None,
    tcp: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Offer the INFO interface on TCP.")] = None,
    panel: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Show the meters in the browser, to be touched there.")
    ] = None,
    control: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where press, show … reach it.")] = "127.0.0.1:0",
    speed: Annotated[float, typer.Option(min=0, help="Simulated seconds a second; 0 waits for `step`.")] = 1.0,
    data: Annotated[Path, typer.Option(help="Folder that keeps registers and index.")] = DEFAULT_FOLDER,
    volatile: Annotated[bool, typer.Option("--volatile", help="Keep nothing but the control address.")] = False,
    from_snapshot: Annotated[Path | None, typer.Option(help="Go on from this snapshot (one meter).")] = None,
    pin: Annotated[str, typer.Option(help="PIN of the user menu.")] = "1234",
    pin_protection: Annotated[bool, typer.Option(help="The power is behind the PIN.")] = True,
    extended: Annotated[bool, typer.Option(help="A new meter pushes the extended data set.")] = False,
    specimen: Annotated[bool, typer.Option("--specimen", help="Measure with the errors of a real specimen.")] = False,
    faults: Annotated[Path | None, typer.Option(help="Scenario file with [[fault]] tables.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write faults that ended here, as JSON lines.")] = None,
    start: Annotated[str | None, typer.Option(help="Simulated time at the start (ISO 8601); now if missing.")] = None,
    for_seconds: Annotated[
        int | None, typer.Option("--for", min=1, help="Stop after so many simulated seconds.")
    ] = None,
) -> None:
    """Run E320 twins: a telegram each second on a pty, a serial device or TCP.

    Started again with the same --data they go on with the next index, as after a power cut.
    """
    if count > 1 and (serial or from_snapshot):
        raise LocalError("--serial and --from-snapshot are for one meter; leave --count away")
    variant, plan = Variant.parse(type_code), read_plan(_read(faults)) if faults else ()
    saved = _read(from_snapshot).encode() if from_snapshot else b""
    parameters = FirmwareParameters(pin=pin, pin_protection=pin_protection)
    settings = UserSettings(pin_on=pin_protection, extended=extended)
    first = DeviceId.parse(device_id)
    if first.serial + count - 1 > 99_999_999:
        raise LocalError(f"{count} serial numbers from {first.serial} on do not fit into eight digits")
    for warning in variant.warnings:
        err.print(warning, style="yellow")
    _allow_many_files(count)

    def meter(place: int) -> E320:
        folder = data / f"meter-{place:04d}"
        memory = RamMemory() if volatile else NonVolatile(folder, sync_every=1 if count <= FEW_METERS else SYNC_EVERY)
        if from_snapshot:
            return restore(saved, memory)
        identity = DeviceId(first.maker, first.serial + place, first.block, first.medium)
        return E320(
            server_id=identity.server_id,
            variant=variant,
            memory=memory,
            parameters=parameters,
            settings=settings,
            errors=ErrorModel.drawn(seed + place, variant.accuracy) if specimen else None,
        )

    clock = RealClock()
    start_utc = int(running.moment(start).timestamp()) if start else int(clock.utc())
    wires = _Wires(
        pty=pty,
        serial=serial,
        tcp=running.address(tcp) if tcp else None,
        control=running.address(control),
        panel=running.address(panel if ":" in panel else f"127.0.0.1:{panel}") if panel else None,
    )
    with contextlib.ExitStack() as files:
        log = files.enter_context(truth.open("a", encoding="utf-8")) if truth else None
        made = [
            Twin(_faulty(meter(place), plan, seed + place, log), Adjustable(_load(load or ["household"], seed + place)))
            for place in range(count)
        ]
        asyncio.run(_live(made, wires, clock, start_utc, speed, data, for_seconds))


def _faulty(meter: E320, plan: tuple[PlannedFault, ...], seed: int, log: TextIO | None) -> FaultyMeter:
    def record(line: str) -> None:
        if log is not None:
            print(line, file=log, flush=True)

    return FaultyMeter(meter, plan, seed=seed, record=record)


def _load(texts: list[str], seed: int) -> Any:
    total = parse_load(texts[0], seed)
    for text in texts[1:]:
        total = total + parse_load(text, seed)
    return total


class _Wires:
    """Where the INFO interfaces lead, and where control and people come from."""

    def __init__(
        self,
        *,
        pty: Path | None,
        serial: str | None,
        tcp: tuple[str, int] | None,
        control: tuple[str, int],
        panel: tuple[str, int] | None,
    ) -> None:
        self.pty, self.serial, self.tcp, self.control, self.panel = pty, serial, tcp, control, panel

    async def attach(self, twin: Twin, place: int, count: int, baud: int) -> None:
        if self.pty:
            path = self.pty if count == 1 else self.pty.with_name(f"{self.pty.name}-{place}")
            twin.pty = Pty(path, baud=baud, keep_input=True)
        if self.serial:
            twin.serial = await open_serial(self.serial)
        if self.tcp:
            host, port = self.tcp
            twin.tcp = await Broadcast(host, port + place if port else 0).start()


async def _live(
    made: list[Twin], wires: _Wires, clock: RealClock, start_utc: int, speed: float, data: Path, seconds: int | None
) -> None:
    cancel_on_signal()
    twins = Twins(made, clock=clock, start_utc=start_utc, speed=speed)
    try:
        for place, twin in enumerate(made):
            await wires.attach(twin, place, len(made), int(BAUD * max(speed, 1.0)))
        server = await serve_requests(*wires.control, lambda: ControlSession(twins), idle_s=3600)
        running.publish(data, f"{wires.control[0]}:{server.port}")
        async with _panels(twins, wires.panel):
            _say(made, wires.panel, server.port)
            with contextlib.suppress(asyncio.CancelledError):
                await twins.run(seconds)
        await server.close()
        running.withdraw(data)
    finally:
        await twins.close()


@contextlib.asynccontextmanager
async def _panels(twins: Twins, where: tuple[str, int] | None) -> AsyncIterator[None]:
    """Serve a page for each meter while the block runs, if `where` says so."""
    if where is None:
        yield
        return
    # Imported here: NiceGUI takes a second to load.
    from fastapi import FastAPI

    from ..panels import E320View, mount_alone
    from ..system import serve

    views = [
        E320View(
            twin,
            after_s=lambda: twins.after_s,
            faceplate=Faceplate.of(twin.meter),
            terminals=twin.load if isinstance(twin.load, Adjustable) else None,
            pace=twins,
        )
        for twin in twins.twins
    ]
    app = FastAPI(title="E320", docs_url=None, redoc_url=None)
    mount_alone(app, views)
    async with serve(app, *where):
        yield


def _say(made: list[Twin], panel: tuple[str, int] | None, control_port: int) -> None:
    twin = made[0]
    err.print(f"{len(made)} x {twin.meter.variant.model} ({twin.meter.variant.code}), first {twin.meter.server_id}")
    err.print(f"seconds index {twin.meter.seconds_index}; the INFO interface is silent for the first 24 s")
    if twin.pty:
        err.print(f"pty      {twin.pty.path}")
    if twin.tcp:
        err.print(f"TCP      tcp://{twin.tcp.host}:{twin.tcp.port}" + (" and up" if len(made) > 1 else ""))
    if panel:
        err.print(f"panel    http://{panel[0]}:{panel[1]}")
    err.print(f"control  port {control_port}; Ctrl-C stops")


# --- touching a running twin ---------------------------------------------------------------


@app.command("press")
def press(
    presses: Annotated[list[str], typer.Argument(help="short, long, one after the other.")],
    data: DataFolder = DEFAULT_FOLDER,
    meter: Which = 0,
) -> None:
    """Flash at the optical button of a running twin."""
    for each in presses:
        answer = _ask(data, {"do": "press", "meter": meter, "press": each})
        err.print(f"{each}: acts in {answer['acts_in_s']} s of the meter's time")


@app.command("show")
def show(data: DataFolder = DEFAULT_FOLDER, meter: Which = 0) -> None:
    """Print what a running twin shows and knows, as JSON."""
    answer = _ask(data, {"do": "show", "meter": meter})
    answer.pop("ok")
    print(json.dumps(answer, indent=2))


@app.command("snapshot")
def take_snapshot(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    data: DataFolder = DEFAULT_FOLDER,
    meter: Which = 0,
) -> None:
    """Write everything about a running twin to one file; `run --from-snapshot` goes on from it."""
    file.write_text(_ask(data, {"do": "snapshot", "meter": meter})["snapshot"], encoding="utf-8")


@app.command("tell")
def tell(
    command: Annotated[str, typer.Argument(help='JSON, like {"do": "fault", "kind": "echo", "duration_s": 5}.')],
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Send any control command to a running twin and print its answer."""
    try:
        asked = json.loads(command)
    except ValueError as error:
        raise LocalError(f"not JSON: {error}") from error
    print(json.dumps(_ask(data, asked)))


def _ask(data: Path, command: object) -> dict[str, Any]:
    return running.ask(data, command, start="messwerk e320 run")


# --- without a running twin ----------------------------------------------------------------


@app.command("testbench")
def bench_specimen(
    type_code: TypeCode = DEFAULT_TYPE,
    specimen: Annotated[int | None, typer.Option(help="Seed of a specimen; a perfect meter if missing.")] = None,
) -> None:
    """Run the points of a type test; exit status 1 when one is outside its limits."""
    variant = Variant.parse(type_code)
    results = run_testbench(variant, None if specimen is None else ErrorModel.drawn(specimen, variant.accuracy))
    print(report(results))
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command("faceplate")
def faceplate(
    file: Annotated[Path, typer.Argument(help="Where to write it: .svg or .png.")],
    type_code: TypeCode = DEFAULT_TYPE,
    device_id: Annotated[str, typer.Option(help="Device ID.")] = "1LGZ0063539421",
    year: Annotated[int, typer.Option(help="Year of calibration.")] = 2026,
    property_plate: Annotated[str, typer.Option(help="The operator's own line.")] = "",
) -> None:
    """Draw the faceplate of a meter, with the public key of its simulated key pair."""
    identity = DeviceId.parse(device_id)
    parameters = FirmwareParameters()
    key = PrivateKey.from_seed(parameters.curve, identity.compact.encode()).public
    plate = Faceplate(identity, Variant.parse(type_code), key, year, property_plate=property_plate)
    match file.suffix:
        case ".svg":
            file.write_text(plate.svg(), encoding="utf-8")
        case ".png":
            file.write_bytes(plate.png())
        case other:
            raise LocalError(f"a faceplate is written as .svg or .png, not {other!r}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error


def _allow_many_files(meters: int) -> None:
    """A meter needs a memory file, a listening port and its readers: raise the limit of open files."""
    if sys.platform == "win32" or meters <= FEW_METERS:
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 64 + 6 * meters
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
