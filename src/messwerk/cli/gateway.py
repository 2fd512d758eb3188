"""`messwerk gateway`: find, pair, read and reset meters on a wired line, or offer twins to try it with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer

from .. import sml
from ..e320 import E320, NonVolatile, Variant
from ..e320.keys import KeyStore
from ..e320.lmn_port import LmnPort, delivery
from ..errors import LocalError, MesswerkError, PeerLost
from ..fleet.loads import parse_load
from ..gateway import (
    Done,
    Failed,
    FileMemory,
    Found,
    Gateway,
    GatewayEvent,
    Lost,
    MeterReading,
    acknowledged,
    push_file,
    read_delivery_list,
)
from ..identity import DeviceId, ServerId
from ..link.clock import RealClock
from ..link.node import SharedLine, drive
from ..link.serial import open_serial
from ..link.tcp import TcpClient, serve_requests
from ..lmn.line import BIT_RATE
from ..lmn.tls import Profile
from .console import out, remark

app = typer.Typer(name="gateway", help="Meters on the wired network: find, pair, read, reset.", no_args_is_help=True)

Receive = Callable[[], Awaitable[bytes]]
Send = Callable[[bytes], Awaitable[None]]

WAIT_S: Final = 60.0
"""How long a command waits for its meter."""
PUSH_AGAIN_S: Final = 5.0
"""After a push the station did not take."""

Line = Annotated[str, typer.Option("--line", help="Serial device, or tcp://HOST:PORT.")]
State = Annotated[Path, typer.Option("--state", help="The gateway's file: keys, counters, certificates.")]
Delivery = Annotated[Path | None, typer.Option("--delivery-list", help="File with `device ID;initial key` a line.")]
Own = Annotated[str, typer.Option("--id", help="The gateway's own device ID.")]
ProfileName = Annotated[Profile, typer.Option("--profile", help="Which TLS it offers.")]
Meter = Annotated[str, typer.Argument(help="Device ID or server ID of the meter.")]
DEFAULT_LINE: Final = "tcp://127.0.0.1:7020"
DEFAULT_STATE: Final = Path("gateway.json")
DEFAULT_ID: Final = "1MSW0000000001"


class _Bench:
    """One gateway with what the command line says about it."""

    def __init__(
        self, line: str, state: Path, delivery_list: Path | None, own: str, profile: Profile, *, run: bool
    ) -> None:
        self.clock = RealClock()
        self.line = line
        self.gateway = Gateway(
            FileMemory(state), server_id=ServerId.parse(own), entropy=os.urandom, utc=self.clock.utc, profile=profile,
            read_every_s=15.0 if run else None, pair_found=run, begin_s=self.clock.monotonic(),
        )  # fmt: skip
        if delivery_list is not None:
            for server_id, key in read_delivery_list(_text(delivery_list)).items():
                self.gateway.deliver(server_id, key)

    async def until(self, stop: Callable[[GatewayEvent], bool], for_s: float | None) -> GatewayEvent | None:
        """Talk on the line until an event stops it, or time is over."""
        stopped: list[GatewayEvent] = []
        end = None if for_s is None else self.clock.monotonic() + for_s

        def done() -> bool:
            stopped.extend(event for event in self.gateway.events() if stop(event))
            return bool(stopped) or (end is not None and self.clock.monotonic() >= end)

        async with _stream(self.line) as (receive, send):
            await drive(self.gateway, receive, send, self.clock, done)
        return stopped[0] if stopped else None

    async def order(self, server_id: ServerId, give: Callable[[], None]) -> Done:
        """Give an order once the meter is there; returns how it ended. Raises LocalError, PeerLost."""
        given = False

        def stop(event: GatewayEvent) -> bool:
            nonlocal given
            _tell(event)
            if isinstance(event, Found) and event.server_id == server_id and not given:
                given = True
                give()
            return isinstance(event, Done | Failed) and event.server_id == server_id

        ended = await self.until(stop, WAIT_S)
        if isinstance(ended, Failed):
            raise PeerLost(f"{server_id}: {ended.task.value} failed: {ended.why}")
        if not isinstance(ended, Done):
            what = "does not answer" if given else "is not on the line: is it connected and powered?"
            raise PeerLost(f"{server_id} {what}")
        return ended


@asynccontextmanager
async def _stream(
    line: str,
) -> AsyncIterator[tuple[Callable[[], Awaitable[bytes]], Callable[[bytes], Awaitable[None]]]]:
    """The two directions of a line."""
    if line.startswith("tcp://"):
        host, port = _address(line.removeprefix("tcp://"))
        client = await TcpClient(host, port).connect()
        try:
            yield client.receive, client.send
        finally:
            await client.close()
        return
    async with await open_serial(line, BIT_RATE) as serial:
        yield serial.read, serial.write


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise LocalError(f"not HOST:PORT: {text!r}")
    return host.strip("[]"), int(port)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{path} cannot be read: {error}") from error


def _tell(event: GatewayEvent) -> None:
    match event:
        case Found(server_id, address, known):
            remark(f"{server_id} found at address {address:02X}" + ("" if known else ", its initial key is not known"))
        case Lost(server_id):
            remark(f"{server_id} no longer answers")
        case Failed(server_id, task, why):
            remark(f"{server_id}: {task.value} failed: {why}")
        case Done(server_id, task, None):
            remark(f"{server_id}: {task.value} done")


def _print(reading: MeterReading) -> None:
    how = "over TLS" if reading.secured else "in plain text"
    proof = {True: ", signatures fit the plate", None: ""}[reading.verified]
    out.print(f"{reading.server_id}  index {reading.seconds_index}  read {how}{proof}")
    for energy in reading.energies:
        kwh = energy.raw * 10.0**energy.scaler / 1000
        out.print(f"  {energy.name.code}  {kwh:.4f} k{'Wh' if energy.unit == 30 else 'varh'}")
    if reading.power_w is not None:
        out.print(f"  power  {reading.power_w} W")


@app.command()
def discover(
    line: Line = DEFAULT_LINE,
    state: State = DEFAULT_STATE,
    own: Own = DEFAULT_ID,
    for_s: Annotated[float, typer.Option("--for", min=0.5, help="Seconds to listen.")] = 5.0,
) -> None:
    """List the meters on the line."""
    bench = _Bench(line, state, None, own, Profile.SMGW_2025, run=False)
    asyncio.run(bench.until(lambda event: False, for_s))
    for server_id, address in bench.gateway.present.items():
        known = bench.gateway.state.meters.get(server_id)
        how = "not known" if known is None else "paired" if known.paired else "known, not paired"
        out.print(f"{server_id}  address {address:02X}  {how}")
    if not bench.gateway.present:
        remark("no meter answered")


@app.command()
def pair(
    meter: Meter,
    line: Line = DEFAULT_LINE,
    state: State = DEFAULT_STATE,
    delivery_list: Delivery = None,
    own: Own = DEFAULT_ID,
    profile: ProfileName = Profile.SMGW_2025,
) -> None:
    """Exchange certificates with a meter, by the initial key of the delivery list."""
    bench, server_id = _Bench(line, state, delivery_list, own, profile, run=False), ServerId.parse(meter)
    asyncio.run(bench.order(server_id, lambda: bench.gateway.pair(server_id)))
    out.print(f"{server_id} is paired")


@app.command()
def read(
    meter: Meter,
    line: Line = DEFAULT_LINE,
    state: State = DEFAULT_STATE,
    own: Own = DEFAULT_ID,
    profile: ProfileName = Profile.SMGW_2025,
) -> None:
    """Read energies and power: over TLS when paired, else in plain text."""
    bench, server_id = _Bench(line, state, None, own, profile, run=False), ServerId.parse(meter)
    ended = asyncio.run(bench.order(server_id, lambda: bench.gateway.read(server_id)))
    assert ended.reading is not None
    _print(ended.reading)


@app.command()
def reset(
    meter: Meter,
    line: Line = DEFAULT_LINE,
    state: State = DEFAULT_STATE,
    own: Own = DEFAULT_ID,
    profile: ProfileName = Profile.SMGW_2025,
) -> None:
    """Crypto reset: the meter forgets its certificates, and the initial key counts again."""
    bench, server_id = _Bench(line, state, None, own, profile, run=False), ServerId.parse(meter)
    asyncio.run(bench.order(server_id, lambda: bench.gateway.reset(server_id)))
    out.print(f"{server_id} is as it was delivered; its counters go on")


@app.command()
def run(
    line: Line = DEFAULT_LINE,
    state: State = DEFAULT_STATE,
    delivery_list: Delivery = None,
    own: Own = DEFAULT_ID,
    profile: ProfileName = Profile.SMGW_2025,
    push: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Push readings to this station.")] = None,
    for_s: Annotated[float | None, typer.Option("--for", help="Stop after so many seconds.")] = None,
) -> None:
    """Find, pair and read all meters on the line, every 15 s, until stopped."""
    bench = _Bench(line, state, delivery_list, own, profile, run=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(bench, _address(push) if push else None, for_s))


async def _run(bench: _Bench, push: tuple[str, int] | None, for_s: float | None) -> None:
    waiting: asyncio.Queue[MeterReading] = asyncio.Queue(maxsize=10_000)

    def note(event: GatewayEvent) -> bool:
        _tell(event)
        if isinstance(event, Done) and event.reading is not None:
            _print(event.reading)
            if push is not None and not waiting.full():
                waiting.put_nowait(event.reading)
        return False

    pushing = asyncio.ensure_future(_push(bench, push, waiting)) if push else None
    try:
        await bench.until(note, for_s)
    finally:
        if pushing is not None:
            pushing.cancel()
            with suppress(asyncio.CancelledError):
                await pushing


async def _push(bench: _Bench, station: tuple[str, int], waiting: asyncio.Queue[MeterReading]) -> None:
    """Send what was read; a reading leaves the queue when the station has acknowledged it."""
    while True:
        readings = [await waiting.get()]
        while not waiting.empty() and len(readings) < 64:
            readings.append(waiting.get_nowait())
        while not await _pushed(bench, station, readings):
            await bench.clock.sleep(PUSH_AGAIN_S)


async def _pushed(bench: _Bench, station: tuple[str, int], readings: list[MeterReading]) -> bool:
    number = bench.gateway.next_push()
    decoder = sml.FrameDecoder()

    def take(data: bytes) -> bool | None:
        for event in decoder.receive(data):
            if isinstance(event, sml.Frame):
                return acknowledged(sml.decode(event.payload), number)
        return None

    client = TcpClient(*station)
    try:
        await client.connect()
        return await client.exchange(push_file(bench.gateway.state.server_id, number, readings), take)
    except MesswerkError as error:
        remark(f"the station takes no push: {error}")
        return False
    finally:
        await client.close()


@app.command()
def twins(
    count: Annotated[int, typer.Option(min=1, max=63, help="How many meters.")] = 1,
    device_id: Annotated[str, typer.Option(help="Device ID of the first; serial numbers count up.")] = "1LGZ0063539421",
    tcp: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the line is offered.")] = "127.0.0.1:7020",
    data: Annotated[Path, typer.Option(help="Folder of the meters' memories and their delivery list.")] = Path("lmn"),
    load: Annotated[str, typer.Option(help="household:3500, constant:100,200,-300 …")] = "household",
    for_s: Annotated[float | None, typer.Option("--for", help="Stop after so many seconds.")] = None,
) -> None:
    """Offer E320 twins on one wired line, with a delivery list for `--delivery-list`."""
    first = DeviceId.parse(device_id)
    meters = [
        _twin(DeviceId(first.maker, first.serial + place, first.block, first.medium), data / f"meter-{place:04d}")
        for place in range(count)
    ]
    listed = data / "delivery-list.csv"
    with os.fdopen(os.open(listed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        for meter in meters:
            file.write(f"{meter.server_id.device_id};{meter.keys.initial_key.hex()}\n")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(meters, *_address(tcp), load, listed, for_s))


def _twin(identity: DeviceId, folder: Path) -> E320:
    meter = E320(server_id=identity.server_id, variant=Variant(), memory=NonVolatile(folder))
    if meter.keys == KeyStore():
        meter.keys = delivery(identity.compact, os.urandom(16), os.urandom(32), meter)
        meter.save_keys()
    return meter


async def _serve(meters: list[E320], host: str, port: int, load: str, listed: Path, for_s: float | None) -> None:
    clock = RealClock()
    line = SharedLine([LmnPort(meter, Random(int.from_bytes(os.urandom(8), "big"))) for meter in meters], clock)
    server = await serve_requests(host, port, line.session)
    speaking = asyncio.ensure_future(line.run())
    out.print(f"{len(meters)} meter(s) on tcp://{host}:{server.port}, delivery list {listed}")
    drawn = parse_load(load, 1)
    begin, end = clock.monotonic(), None if for_s is None else clock.monotonic() + for_s
    second = 0
    try:
        while end is None or clock.monotonic() < end:
            for meter in meters:
                meter.tick(drawn.sample(int(clock.utc()), 1))
            second += 1
            await clock.sleep(begin + second - clock.monotonic())
            if speaking.done():
                speaking.result()
    finally:
        speaking.cancel()
        await server.close()
        for meter in meters:
            meter.close()
