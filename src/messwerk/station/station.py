"""The central station: one folder, its intake, its background work, and what it can say.

The facade that pages, REST and the command line use. Methods named like a view return a frozen
snapshot and are cheap enough for a page refreshed every second; what takes longer is a
coroutine. Sockets are opened through `link` only, time is the clock handed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalError, MesswerkError
from ..identity import ServerId
from ..link.clock import Clock
from ..link.endpoint import Source, parse_source
from ..link.tcp import RequestServer, serve_requests
from ..tuples import STATUS_SYNCHRONOUS
from .acquire import IndexRange, Plan, Puller, PullReport, PushSession, listen
from .archive import Archive, SealReport
from .calendar import QUARTER_S
from .check import Check, Progress, Report
from .events import Events
from .export import to_csv, to_json_lines, to_parquet
from .gaps import missing_ranges
from .ingest import Ingest, Outcome
from .intervals import intervals
from .invoicing import Invoicing
from .journal import Journal
from .live import Live
from .roster import Module, Roster
from .settings import Settings
from .store import Store
from .tariff import PriceSheet
from .verify import Verifier
from .viewing import Viewing
from .views import (
    BillRow,
    BillView,
    EventView,
    LoadCurve,
    MeterRow,
    MeterView,
    Overview,
    Severity,
    SyncState,
    Verification,
)

T = TypeVar("T")
log = logging.getLogger(__name__)

IDENTITY_EVERY_S: Final = 86400.0
"""A meter's identity is asked for again so often: a changed key is found within a day. [design]"""
BILL_EVERY_S: Final = 60.0
"""Finished months are looked for so often."""
PHASE_ERROR_MAX_S: Final = 3.0
"""A period boundary farther from the quarter hour is put right. [design]"""
TOKEN_AHEAD_S: Final = 0.5
"""So long before a boundary its token is sent. [design]"""
PUSH_IDLE_S: Final = 3600.0
"""A module that pushes may keep its connection so long without a word."""
FAILURE_PAUSE_S: Final = 1.0
"""Background work that failed starts again after this, doubling up to a minute."""


class Station:
    """The central station of one data folder. `async with` it, or call `start` and `close`.

    Raises BusyError when another station holds the folder.
    """

    def __init__(self, folder: Path, clock: Clock, settings: Settings | None = None) -> None:
        self.folder, self.clock = folder, clock
        self.settings = settings if settings is not None else Settings.load(folder / "station.toml")
        self.store = Store(folder)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="station")
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self.verifier = Verifier()
        self.journal = Journal(self.store, self._committer)
        self.roster = Roster(self.store)
        self.event_log = Events(self.store)
        self.archive = Archive(self.store, self.roster.fingerprints)
        self.live = Live(self.store, self.archive)
        self.ingest = Ingest(
            self.store, self.journal, self.roster, self.archive, self.event_log, self.verifier,
            last_point=self.live.last_point, sync_every_s=self.settings.sync_every_s,
            zone=self.settings.zone,
        )  # fmt: skip
        self.invoicing = Invoicing(
            self.store, self.roster, self.archive, self.live, self.verifier, self.clock, self.settings.zone
        )
        self._viewing = Viewing(
            self.store, self.roster, self.archive, self.live, self.event_log, self.invoicing, self.clock, self.settings
        )
        self.puller = Puller(self.journal, clock, timeout_s=self.settings.pull_timeout_s)
        self._arrived = asyncio.Event()
        self._processing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[RequestServer] = []
        self._sources: dict[str, Source] = {text: parse_source(text) for text in self.roster.sources()}
        self._identified: dict[bytes, float] = {}
        self._exhausted: dict[bytes, list[IndexRange]] = {}
        self._sealed_at = clock.utc()
        self._started = False
        self.failures = 0
        """Background work that failed and was started again."""
        self.telegrams_heard = 0
        """Telegrams taken from INFO sources since the start, durable a moment later."""
        self.telegram_heard = asyncio.Event()
        """Set with each of them; whoever waits for the next one clears it."""
        self.duplicates = 0
        """Tuples and readings that came again, since the start."""

    # --- life ------------------------------------------------------------------------------

    async def start(self, *, pulling: bool = True) -> Self:
        """Begin background work: processing, sealing, billing, pulls, INFO sources.

        Everything can also be called without it: `pull_once`, `process`, `seal`, `make_bills`.
        Without `pulling`, modules are pulled only when told to, until `start_pulling`.
        """
        self._started = True
        self._keep_running("processing", self._process_forever)
        self._keep_running("sealing", self._seal_forever)
        self._keep_running("billing", self._bill_forever)
        if pulling:
            self.start_pulling()
        for source in self._sources.values():
            self._listen_to(source)
        return self

    def start_pulling(self) -> None:
        """Begin to pull every module on its schedule."""
        self._keep_running("pulling", self._pull_forever)

    async def close(self) -> None:
        """End background work, commit what came in, let go of the folder; safe to call twice."""
        for server in self._servers:
            await server.close()
        self._servers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.journal.flush()
        async with self._processing:
            self._worker.shutdown(wait=True)
            self._committer.shutdown(wait=True)
            self.verifier.close()
            self.archive.close()
            self.store.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _keep_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._supervise(name, work), name=f"station {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work that must not end: what it raises is an event, counted, and it starts again."""
        pause_s = FAILURE_PAUSE_S
        while True:
            began = self.clock.monotonic()
            try:
                await work()
                return
            except Exception as error:
                self.failures += 1
                if not isinstance(error, MesswerkError):
                    log.exception("%s failed, please report this", name)
                self._note_failure(name, error)
            if self.clock.monotonic() - began > 60.0:
                pause_s = FAILURE_PAUSE_S
            await self.clock.sleep(pause_s * random.uniform(1.0, 1.1))
            pause_s = min(2 * pause_s, 60.0)

    def _note_failure(self, name: str, error: Exception) -> None:
        """Write the event; a disk that is full cannot take it, and the log still has it."""
        try:
            text = f"{name}: {str(error) or type(error).__name__}"
            self.event_log.add(self.clock.utc(), Severity.ALARM, f"{name.split()[0]}_failed", text, once=True)
        except MesswerkError:
            log.error("%s failed: %s", name, error)

    async def _in_worker(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)

    # --- processing ------------------------------------------------------------------------

    async def process(self) -> Outcome:
        """Read everything in the journal that was not read yet; returns what it added, in sum."""
        total = Outcome()
        async with self._processing:
            while (outcome := await self._in_worker(self.ingest.run)) is not None:
                self.live.take(outcome)
                self.duplicates += outcome.duplicates
                total.batches += outcome.batches
                total.signed += outcome.signed
                total.unsigned += outcome.unsigned
                total.sync_points += outcome.sync_points
                total.duplicates += outcome.duplicates
                total.problems += outcome.problems
        return total

    async def _process_forever(self) -> None:
        while True:
            self._arrived.clear()
            await self.process()
            await self._arrived.wait()

    async def seal(self) -> SealReport:
        """Move all verified rows into archive files, and merge files where there are many."""
        now = self.clock.utc()
        self._sealed_at = now
        report = await self._in_worker(self.archive.seal, self._date, now)
        await self._in_worker(self.archive.compact, now)
        await self._in_worker(self.journal.prune, now - self.settings.journal_keep_days * 86400)
        return report

    async def _seal_forever(self) -> None:
        while True:
            await self.clock.sleep(min(self.settings.seal_every_s, 60.0))
            due = self.clock.utc() - self._sealed_at >= self.settings.seal_every_s
            if due or await self._in_worker(self.archive.hot_rows) >= self.settings.seal_rows:
                await self.seal()

    def _date(self, server_id: bytes, index: NDArray[np.int64]) -> NDArray[np.float64]:
        meter_id = self.roster.find(server_id)
        if meter_id is None:
            return np.full(index.shape, np.nan)
        return self.live.state(meter_id).derived().model.utc_of(index)[0]

    async def check(self, progress: Progress = lambda *_: None) -> Report:
        """Prove the folder whole: digests, signatures, counts, bills. Nothing else runs meanwhile."""
        async with self._processing:
            check = Check(self.store, self.roster, self.archive, self.verifier, self.invoicing)
            return await self._in_worker(check.run, progress)

    # --- pull ------------------------------------------------------------------------------

    def add_module(self, host: str, port: int, username: str | None = None, password: str | None = None) -> Module:
        """Enter a communication module to be pulled; entering it again renews its credentials."""
        return self.roster.add_module(host, port, username, password)

    def modules(self) -> list[Module]:
        """The communication modules that are pulled."""
        return self.roster.modules()

    def remove_module(self, module: Module) -> None:
        """Pull this module no longer; what it brought stays."""
        self.roster.remove_module(module)

    async def pull_once(self, module: Module | None = None) -> list[PullReport]:
        """Pull one module, or all, now; returns when what came is durable and processed.

        Raises PeerLost or AttentionReceived of the first module that failed, after all were tried.
        """
        modules = [module] if module is not None else self.roster.modules()
        slots = asyncio.Semaphore(self.settings.modules_at_once)

        async def pull(one: Module) -> PullReport:
            async with slots:
                return await self.puller.pull(one, self._plan)

        results = await asyncio.gather(*(pull(one) for one in modules), return_exceptions=True)
        await self.process()
        for failed in results:
            if isinstance(failed, BaseException):
                raise failed
        return [result for result in results if isinstance(result, PullReport)]

    def _plan(self, server_id: bytes) -> Plan:
        """What to ask a meter for: its identity once a day, and the rows we lack."""
        now, meter_id = self.clock.utc(), self.roster.find(server_id)
        known = meter_id is not None and bool(self.roster.keys(meter_id))
        identity = not known or now - self._identified.get(server_id, -np.inf) >= IDENTITY_EVERY_S
        if identity:
            self._identified[server_id] = now
        exhausted = self._exhausted.setdefault(server_id, [])

        def ranges(index_now: int) -> Sequence[IndexRange]:
            held = self.live.state(meter_id).profile_indices() if meter_id is not None else np.zeros(0, dtype=np.int64)
            return missing_ranges(held, index_now, index_now - self.settings.pull_history_days * 86400, exhausted)

        def note(wanted: IndexRange) -> None:
            if wanted.end is not None:
                exhausted.append(wanted)

        return Plan(identity=identity, ranges=ranges, exhausted=note)

    async def _pull_forever(self) -> None:
        """Pull each module on its own schedule; one that fails is tried again with growing pauses."""
        running: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                for module in self.roster.modules():
                    if module.module_id not in running:
                        running[module.module_id] = asyncio.create_task(self._pull_on_schedule(module.module_id))
                await self.clock.sleep(5.0)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _pull_on_schedule(self, module_id: int) -> None:
        retry_s = self.settings.pull_retry_s
        while True:
            module = next((one for one in self.roster.modules() if one.module_id == module_id), None)
            if module is None:
                return
            try:
                reports = await self.pull_once(module)
                await self._keep_in_phase(module, [one for report in reports for one in report.meters])
                wait_s, retry_s = self._until_next_pull(), self.settings.pull_retry_s
            except Exception as error:
                self.failures += 1
                if not isinstance(error, MesswerkError):
                    log.exception("pull of %s failed, please report this", module)
                self._note_failure(f"pull of {module}", error)
                wait_s = retry_s * random.uniform(1.0, 1.1)
                retry_s = min(2 * retry_s, self.settings.pull_every_s)
            await self.clock.sleep(wait_s)

    def _until_next_pull(self) -> float:
        """A little after the next multiple of the period, so that the quarter hour just ended is there."""
        every, now = self.settings.pull_every_s, self.clock.utc()
        return every - now % every + min(20.0, every / 10) * random.uniform(0.5, 1.0)

    def out_of_phase(self, server_id: bytes) -> bool:
        """Whether a signed meter's periods do not begin on UTC quarter hours, or it says it does not know."""
        meter_id = self.roster.find(server_id)
        if meter_id is None:
            return False
        state = self.live.state(meter_id)
        newest = state.last
        if newest is None or newest.signed is None:
            return False
        error_s = state.phase_error_s()
        astray = error_s is not None and abs(error_s) > PHASE_ERROR_MAX_S
        return astray or not newest.status & STATUS_SYNCHRONOUS

    async def _keep_in_phase(self, module: Module, meters: Sequence[ServerId]) -> None:
        """Re-phase the meters of a module that need it; one that refuses is an event, not a failed pull."""
        try:
            await asyncio.gather(*(self.rephase(one, module) for one in meters if self.out_of_phase(one)))
        except MesswerkError as error:
            self._note_failure(f"re-phase by {module}", error)

    async def rephase(self, server_id: bytes, module: Module) -> None:
        """Make a meter's periods begin on UTC quarter hours: sends it the next boundary's time.

        The tuple after the token is the boundary, so it is sent in the middle of the second before.
        """
        now = self.clock.utc()
        boundary = (int(now + TOKEN_AHEAD_S) // QUARTER_S + 1) * QUARTER_S
        await self.clock.sleep(boundary - TOKEN_AHEAD_S - now)
        await self.puller.set_phase(module, server_id, boundary)
        await self.process()

    # --- push and INFO ---------------------------------------------------------------------

    async def serve_push(self, host: str, port: int) -> RequestServer:
        """Take pushes on a TCP port; `.port` of the result is the one in use. Raises BusyError."""

        def session() -> PushSession:
            return PushSession(self.journal, self.clock, self._arrived.set, self._refused_push)

        server = await serve_requests(host, port, session, idle_s=PUSH_IDLE_S)
        self._servers.append(server)
        return server

    def _refused_push(self, reason: str) -> None:
        self.failures += 1
        self._note_failure("push", LocalError(reason))

    def add_info_source(self, source: Source | str, *, keep: bool = False) -> None:
        """Listen to an unsigned meter: a text like `tcp://127.0.0.1:7001`, or a parsed source.

        With `keep` also after the next start.
        """
        parsed = parse_source(source) if isinstance(source, str) else source
        if keep:
            self.roster.add_source(str(parsed))
        if str(parsed) in self._sources:
            return
        self._sources[str(parsed)] = parsed
        if self._started:
            self._listen_to(parsed)

    def _listen_to(self, source: Source) -> None:
        self._keep_running(
            f"listening to {source}", lambda: listen(source, self.journal, self.clock, self._heard, self._arrived.set)
        )

    def _heard(self) -> None:
        self.telegrams_heard += 1
        self.telegram_heard.set()

    # --- bills -----------------------------------------------------------------------------

    def add_price_sheet(self, sheet: PriceSheet) -> None:
        """Add a price sheet; it applies from its first day on."""
        self.invoicing.add_sheet(sheet)

    async def make_bills(self) -> list[BillRow]:
        """Make the bill of every finished month that has all its values; returns the new ones."""
        return await self._in_worker(self.invoicing.make_due)

    async def make_bill(self, server_id: bytes, month: str) -> BillView:
        """Make (or make again) the bill of one month, also where values are missing."""
        return await self._in_worker(self.invoicing.make, self.roster.require(server_id), month)

    async def bill_proof(self, bill_id: str) -> bytes:
        """The proof package of a bill: a zip file that `messwerk verify` checks offline."""
        return await self._in_worker(self.invoicing.proof, bill_id)

    async def _bill_forever(self) -> None:
        while True:
            await self.make_bills()
            await self.clock.sleep(BILL_EVERY_S)

    # --- views -----------------------------------------------------------------------------

    def overview(self) -> Overview:
        """The whole station on one screen."""
        return self._viewing.overview(self.failures)

    def meters(self) -> list[MeterRow]:
        """All meters, by server ID."""
        return self._viewing.meters()

    def meter(self, server_id: bytes) -> MeterView:
        """One meter. Raises LocalError for an unknown one, like all that take a server ID."""
        return self._viewing.meter(self.roster.require(server_id))

    def load_curve(self, server_id: bytes, start_utc: int, end_utc: int) -> LoadCurve:
        """Mean power of every quarter hour within [start, end)."""
        return self._viewing.load_curve(self.roster.require(server_id), start_utc, end_utc)

    def sync_state(self, server_id: bytes) -> SyncState:
        """What is known of a meter's time."""
        return self._viewing.sync_state(self.roster.require(server_id))

    def verification(self, server_id: bytes) -> Verification:
        """Counts, keys, newest tuples, quarantine."""
        return self._viewing.verification(self.roster.require(server_id))

    def bills(self) -> list[BillRow]:
        """All bills, newest month first."""
        return self.invoicing.rows()

    def bill(self, bill_id: str) -> BillView:
        """One bill. Raises LocalError for an unknown one."""
        return self.invoicing.view(bill_id)

    def bill_html(self, bill_id: str) -> str:
        """The bill as a page that prints on A4."""
        return self.invoicing.html(bill_id)

    def bill_json(self, bill_id: str) -> str:
        """The bill with every reading it stands on, as JSON."""
        return self.invoicing.json(bill_id)

    def events(self, limit: int = 100) -> tuple[EventView, ...]:
        """The newest events, newest first."""
        return self.event_log.newest(limit)

    def acknowledge(self, event_id: int) -> None:
        """Take an alarm off the count."""
        self.event_log.acknowledge(event_id)

    def confirm_key(self, server_id: bytes, fingerprint: str, how: str = "hand") -> None:
        """Accept the key with this fingerprint; tuples that waited for it are judged again."""
        meter_id = self.roster.require(server_id)
        self.roster.confirm_fingerprint(meter_id, fingerprint, how, self.clock.utc())
        self.ingest.judge_again(meter_id, ServerId(server_id))
        self._arrived.set()

    def export_values(self, server_id: bytes, start_utc: int, end_utc: int, form: str = "csv") -> str:
        """The 15-minute values within [start, end) as `csv` or `json` lines. Raises LocalError."""
        meter_id = self.roster.require(server_id)
        values = intervals(self.live.state(meter_id).derived().edges, start_utc, end_utc)
        match form:
            case "csv":
                return to_csv(ServerId(server_id), values)
            case "json":
                return to_json_lines(ServerId(server_id), values)
        raise LocalError(f"values are exported as csv or json, not {form!r}")

    async def export_evidence(self, server_id: bytes, start_utc: int, end_utc: int) -> bytes:
        """The archived tuples and readings of a span as a Parquet file, signatures and all."""
        meter_id = self.roster.require(server_id)
        model = self.live.state(meter_id).derived().model
        first, last = model.index_at(start_utc), model.index_at(end_utc)
        if first is None or last is None:
            raise LocalError(f"the time of {ServerId(server_id)} is not known: pull it first")
        return to_parquet(await self._in_worker(self.archive.rows, meter_id, first, last))

    def summary(self) -> dict[str, Any]:
        """The figures of a run, as `messwerk up --for` prints them."""
        view = self.overview()
        return {
            "e320_telegrams": view.counts.unsigned_readings,
            "tuples_received": view.counts.tuples_received,
            "tuples_archived": view.counts.tuples_archived,
            "signatures_valid": view.counts.signatures_valid,
            "signatures_invalid": view.counts.signatures_invalid,
            "intervals": view.intervals,
            "gaps": view.gaps,
            "sync_error_s_max": None if view.sync_error_s_max is None else round(view.sync_error_s_max, 3),
            "bills": [
                {
                    "meter": str(bill.server_id), "from": bill.from_local, "to": bill.to_local,
                    "energy_kwh": str(bill.energy_kwh), "total_eur": str(bill.total_eur),
                }
                for bill in self.bills() if bill.complete
            ],
        }  # fmt: skip
