"""The whole system on one machine: meters, their wires, the central station and its pages.

Everything meets over real interfaces on loopback: the E320's telegrams on a pty and a TCP port,
the E750's pull and push over TCP. Before going live the time since the world was last seen is
simulated over the same wires, with the simulated time as the station's clock.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from .e320.faceplate import Faceplate
from .errors import BusyError, LocalError, PeerLost
from .fleet.world import PUSH_PASSWORD, PUSH_USER, Second, World
from .link.endpoint import TcpSource
from .link.serial import Pty
from .link.tcp import Broadcast, TcpClient, serve_requests
from .station import Settings, Station

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .panels import RackView

log = logging.getLogger(__name__)

DAY_S: Final = 86_400
FULL_MONTH_DAYS: Final = 31
"""A history of at least so many days is lengthened to begin with the last full calendar month."""
LINE_DELAY_S: Final = 0.3
"""When a simulated telegram is heard after its second began: its time on a 9600 Bd line. [s]"""
WITHIN_SECOND_S: Final = 0.5
"""Where in a second the station asks while history is simulated. [s]"""
STALLED_S: Final = 30
"""Further behind than this, seconds are measured at once instead of one by one. [s]"""
PUSH_EVERY_S: Final = 2.0
"""How often the communication module looks for something to push. [s]"""
HEARD_WITHIN_S: Final = 10.0
"""How long the simulation waits for the station to take a telegram it was sent. [s]"""
HTTP_GRACE_S: Final = 3
"""How long browsers may finish when the system stops. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `messwerk up` was asked for."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    """Port of the pages; the next three are INFO, pull and push."""
    history_days: int = 35
    seed: int = 1
    headless: bool = False
    """Serve no pages."""

    @property
    def info_port(self) -> int:
        """Where the E320's telegrams can be read."""
        return self.port + 1

    @property
    def pull_port(self) -> int:
        """Where the E750's communication module answers."""
        return self.port + 2

    @property
    def push_port(self) -> int:
        """Where the station takes what modules push."""
        return self.port + 3


class SteeredClock:
    """The station's clock: simulated while history is made up, the machine's own afterwards."""

    def __init__(self) -> None:
        self._simulated: float | None = None

    def utc(self) -> float:
        return time.time() if self._simulated is None else self._simulated

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def simulate(self, utc: float) -> None:
        """Stand at a simulated moment."""
        self._simulated = utc

    def go_live(self) -> None:
        """Show the machine's time from now on."""
        self._simulated = None


def history_start(now_utc: float, days: int, zone: ZoneInfo) -> int:
    """When a new world begins: `days` ago, or with the last full calendar month where that is earlier.

    A history shorter than `FULL_MONTH_DAYS` is taken as it is. UTC s, on a quarter hour.
    """
    start = int(now_utc) - days * DAY_S
    if days >= FULL_MONTH_DAYS:
        local = datetime.fromtimestamp(now_utc, zone)
        year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
        # An hour earlier, so that the reading at midnight itself is a period boundary with a past.
        start = min(start, int(datetime(year, month, 1, tzinfo=zone).timestamp()) - 3600)
    return start - start % 900


class System:
    """Meters, wires, station and pages, started and stopped together.

    Use `async with System(options) as system`, then `catch_up`, then `live`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = SteeredClock()
        self.telegrams_sent = 0
        """INFO telegrams of the E320 in this run."""
        self.last_telegram = b""
        self._open = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self.world: World
        self.station: Station
        self.pty: Pty | None = None
        self._rack: RackView | None = None
        self.resumed = False
        """Whether the data folder held a world already."""
        self.behind_s = 0
        """How long nobody was looking, at start. [s]"""

    # --- start and stop --------------------------------------------------------------------

    async def __aenter__(self) -> System:
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
        await self._open.aclose()

    async def _start(self) -> None:
        options = self.options
        if not 1024 <= options.port <= 65532:
            raise LocalError(
                f"--port is between 1024 and 65532, because the three ports after it are used too: {options.port}"
            )
        hold_folder(options.data, self._open)
        settings = Settings()
        now = self.clock.utc()
        self.world = World(
            options.data / "meters",
            seed=options.seed,
            start_utc=history_start(now, options.history_days, settings.zone),
        )
        self._open.callback(self.world.close)
        self.resumed = not self.world.is_new
        self.behind_s = max(0, int(now) - self.world.utc)
        self.clock.simulate(self.world.utc)

        self._info = await self._open.enter_async_context(Broadcast(options.host, options.info_port))
        module = self.world.communication_module
        await self._open.enter_async_context(await serve_requests(options.host, options.pull_port, module.session))
        with suppress(LocalError):  # no pseudo terminals here: the TCP port has the same telegrams
            self.pty = self._open.enter_context(Pty(options.data / "e320-info"))

        self.station = Station(options.data / "station", self.clock, settings)
        self._open.push_async_callback(self.station.close)
        await self.station.serve_push(options.host, options.push_port)
        own = self.station.add_module(options.host, options.pull_port, username=PUSH_USER, password=PUSH_PASSWORD)
        for entered in self.station.modules():
            if entered != own:  # by a run with another --port
                self.station.remove_module(entered)
        self.station.add_info_source(TcpSource(options.host, options.info_port))
        await self.station.start(pulling=False)  # its own schedule knows nothing of simulated days
        async with asyncio.timeout(HEARD_WITHIN_S):
            while not self._info.connections:  # noqa: ASYNC110 (a handful of turns, once)
                await asyncio.sleep(0.01)
        if not options.headless:
            await self._serve_pages()

    # --- the past --------------------------------------------------------------------------

    async def catch_up(self, progress: Callable[[int, int], None]) -> None:
        """Simulate, day by day, what nobody has seen yet, until the world has reached now.

        `progress(done_s, total_s)` is called on the way.
        """
        start = self.world.utc
        self.clock.simulate(start + WITHIN_SECOND_S)
        self.world.communication_module.poll(self.clock.utc())
        await self.station.pull_once()  # key and time are known before the first tuple comes
        while (behind := int(time.time()) - self.world.utc) > 1:
            await self._one_day(self.world.utc, self.world.utc + min(DAY_S, behind))
            progress(self.world.utc - start, int(time.time()) - start)
        self.clock.go_live()
        self.station.start_pulling()
        await self.station.make_bills()

    async def _one_day(self, start: int, stop: int) -> None:
        for utc, telegram in self.world.advance_e320(start, stop):
            if telegram is not None:
                self.clock.simulate(utc + LINE_DELAY_S)
                await self._heard(telegram)
        self.world.advance_e750(stop)
        self.clock.simulate(stop + WITHIN_SECOND_S)
        self.world.communication_module.poll(self.clock.utc())
        await self._push_everything()
        await self.station.pull_once()

    async def _heard(self, telegram: bytes) -> None:
        """Send one telegram and wait until the station has taken it, because its clock moves on next."""
        self.station.telegram_heard.clear()
        self._send(telegram)
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                await self.station.telegram_heard.wait()
        except TimeoutError as error:
            raise PeerLost(
                f"the station took no telegram within {HEARD_WITHIN_S:g} s: see the messages above"
            ) from error

    # --- the present -----------------------------------------------------------------------

    async def live(self, seconds: float | None = None) -> None:
        """Let both meters live in real time, for `seconds` or until cancelled.

        Raises what stops them, such as LocalError when their memory cannot be written.
        """
        works = [asyncio.create_task(self._seconds()), asyncio.create_task(self._pushes())]
        try:
            done, _ = await asyncio.wait(works, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _seconds(self) -> None:
        while True:
            now = int(time.time())
            behind = now - self.world.utc
            if behind > STALLED_S:
                log.warning("%d s behind: measuring them at once", behind)
                for _, telegram in self.world.advance_e320(self.world.utc, now):
                    self._send(telegram)
                self.world.advance_e750(now)
            for _ in range(self.world.utc, now):
                second = self.world.tick()
                self._send(second.telegram)
                self._show(second)
            self.world.communication_module.poll(time.time())
            await asyncio.sleep(max(0.0, math.floor(time.time()) + 1 - time.time()) + 0.001)

    def _send(self, telegram: bytes | None) -> None:
        if telegram is None:
            return
        self.telegrams_sent += 1
        self.last_telegram = telegram
        self._info.send(telegram)
        if self.pty is not None:
            self._spawn(self.pty.send(telegram), "pty")

    # --- push ------------------------------------------------------------------------------

    async def _pushes(self) -> None:
        while True:
            await self._push_everything()
            await asyncio.sleep(PUSH_EVERY_S)

    async def _push_everything(self) -> None:
        """Push file after file until there is nothing new or the station can't be reached."""
        module = self.world.communication_module
        file = module.push_file(self.clock.utc())
        if file is None:
            return
        try:
            async with TcpClient(self.options.host, self.options.push_port) as client:
                while file is not None:
                    await client.exchange(file, lambda data: module.push_received(data) or None)
                    file = module.push_file(self.clock.utc())
        except PeerLost as error:
            log.warning("push failed: %s", error)
            module.push_failed(self.clock.utc())

    # --- pages and summary -----------------------------------------------------------------

    async def _serve_pages(self) -> None:
        # Imported here: NiceGUI takes a second to load, and headless runs need none of it.
        from fastapi import FastAPI

        from . import panels
        from .station import web

        world = self.world
        face = panels.E320View(
            world.twin,
            after_s=lambda: min(0.999, max(0.0, time.time() - world.utc)),
            faceplate=Faceplate.of(world.e320),
            terminals=world.household,
        )
        self._rack = panels.RackView(world.communication_module, [world.base_module])
        links = panels.mount([face], [self._rack])
        app = FastAPI(title="Messwerk", docs_url=None, redoc_url=None)
        web.mount(app, self.station, panels=links, zone=self.station.settings.zone)
        await self._open.enter_async_context(serve(app, self.options.host, self.options.port))

    def _show(self, second: Second) -> None:
        """Let the rack's panel know that a second has passed; the E320's looks for itself."""
        if self._rack is not None:
            self._rack.ticked([second.signed], wan_connected=self.world.communication_module.push.failures == 0)

    def summary(self) -> dict[str, Any]:
        """What `messwerk up --for` prints."""
        return self.station.summary()

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s stopped", task.get_name(), exc_info=error)


@asynccontextmanager
async def serve(app: FastAPI, host: str, port: int) -> AsyncIterator[None]:
    """Serve `app` over HTTP while the block runs. Raises BusyError or LocalError naming the remedy."""
    import uvicorn

    class Server(uvicorn.Server):
        """Ctrl-C ends the whole program in order, so the web server must not take it for itself."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    listening = listen(host, port)
    server = Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=HTTP_GRACE_S, ws_max_size=1 << 20)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="pages")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await serving
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for the pages. Raises BusyError or LocalError naming the remedy."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyError(
                f"port {port} of {host} is in use: stop the program that holds it, or choose another with --port"
            ) from error
        raise LocalError(
            f"cannot serve pages on {host}:{port}: {error.strerror or error}; choose another --host"
        ) from error


def hold_folder(folder: Path, until: AsyncExitStack) -> None:
    """Make the data folder ours alone until `until` closes. Raises BusyError, LocalError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = until.enter_context((folder / "lock").open("a+"))
    except OSError as error:
        raise LocalError(
            f"cannot use {folder} as data folder: {error.strerror or error}; choose another with --data"
        ) from error
    try:
        import fcntl
    except ImportError:  # Windows: the meters' and the station's own files are still held
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BusyError(
            f"{folder} is in use by another `messwerk up`: stop that one, or choose another folder with --data"
        ) from error
