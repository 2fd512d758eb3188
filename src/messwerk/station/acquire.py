"""Acquisition: asking modules, taking their pushes, listening to INFO interfaces.

Whatever comes in goes into the journal as it was on the wire, and nothing else happens here:
what the bytes mean is found out when the journal is processed. A push is acknowledged after
the commit, never before.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .. import sml
from ..errors import AttentionReceived, MesswerkError, PeerLost, SmlError
from ..identity import ServerId
from ..link.clock import Clock
from ..link.endpoint import Source, chunks, is_live
from ..link.tcp import TcpClient
from ..sml import Attention
from ..sml.session import Request, ResponseFile, SmlClient
from .contents import ACTIVE_MODULES, IDENTIFICATION, SERVER_ID, VISIBLE_MODULES
from .journal import Batch, Journal, Kind
from .roster import DEVICE_CLASSES, Module

CLIENT_ID: Final = bytes.fromhex("0502004d570001")
"""How the station names itself to modules: a locally administered address. [design]"""
SPECIAL_TUPLES: Final = bytes.fromhex("8181c78401ff")
LOAD_PROFILE: Final = bytes.fromhex("0100630100ff")
DEVICE_CLASS: Final = bytes.fromhex("8181c78202ff")
DEVICE_TIME: Final = bytes.fromhex("8181c78810ff")
SYNC_ACTIVE: Final = bytes.fromhex("810000090b02")
UTC: Final = bytes.fromhex("010000090b00")

PROFILE_CHUNK_S: Final = 2 * 86400
"""Span asked for at once: 192 quarter hours are 45 kB."""
PUSH_FRAME_MAX: Final = 1 << 20
"""Largest push file taken. [bytes]"""
TELEGRAMS_PENDING_MAX: Final = 256
"""Telegrams of one INFO source that may wait for their commit."""
PUSHES_PENDING_MAX: Final = 16
"""Files of one connection that may wait for their commit."""


@dataclass(frozen=True, slots=True)
class IndexRange:
    """Indices whose profile rows are missing; both ends included, `end` None for up to now."""

    begin: int
    end: int | None


@dataclass(slots=True)
class PullReport:
    """What one pull of one module brought."""

    module: str
    meters: list[ServerId] = field(default_factory=list)
    batches: int = 0
    bytes_received: int = 0
    refused: list[str] = field(default_factory=list)
    """Requests a device refused, in words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask a meter for: decided by the station from what it has."""

    identity: bool
    """Whether identity and key are asked for."""
    ranges: Callable[[int], Sequence[IndexRange]]
    """Profile ranges missing, given the meter's index now."""
    exhausted: Callable[[IndexRange], None]
    """Told about a range the meter has nothing for: it need not be asked for again."""


class Puller:
    """Asks communication modules for everything the station lacks."""

    def __init__(self, journal: Journal, clock: Clock, *, timeout_s: float) -> None:
        self._journal, self._clock, self._timeout_s = journal, clock, timeout_s
        self._counter = itertools.count(int(clock.utc()))  # no file number twice, restarts included

    async def pull(self, module: Module, plan: Callable[[bytes], Plan]) -> PullReport:
        """Read every base module behind one communication module.

        Returns when everything received is durable. Raises PeerLost, AttentionReceived when the
        module refuses us as a whole, and what the journal raises.
        """
        report = PullReport(str(module))
        async with TcpClient(module.host, module.port, request_timeout_s=self._timeout_s) as connection:
            talk = _Conversation(self, module, connection, report)
            for server_id in await talk.base_modules():
                report.meters.append(ServerId(server_id))
                await talk.read_meter(server_id, plan(server_id))
            await talk.durable()
        return report

    async def set_phase(self, module: Module, server_id: bytes, boundary_utc: int) -> None:
        """Tell a base module that this moment, a quarter hour in UTC, is a period boundary.

        Raises AttentionReceived when it refuses.
        """
        tree = sml.Tree(
            parameter_name=DEVICE_TIME,
            child_list=(
                sml.Tree(parameter_name=SYNC_ACTIVE, parameter_value=sml.ValueParameter(True)),
                sml.Tree(parameter_name=UTC, parameter_value=sml.ValueParameter(sml.Unsigned32(boundary_utc))),
            ),
        )
        request = sml.SetProcParameterRequest(
            server_id=server_id, parameter_tree_path=(DEVICE_TIME,), parameter_tree=tree
        )
        report = PullReport(str(module))
        async with TcpClient(module.host, module.port, request_timeout_s=self._timeout_s) as connection:
            talk = _Conversation(self, module, connection, report)
            await talk.ask(server_id, [request], must=True)
            await talk.durable()


class _Conversation:
    """One connection to one module; everything heard goes to the journal."""

    def __init__(self, puller: Puller, module: Module, connection: TcpClient, report: PullReport) -> None:
        self._puller, self._module, self._connection, self._report = puller, module, connection, report
        self._client = SmlClient(CLIENT_ID, counter=puller._counter)
        self._commits: list[asyncio.Future[int]] = []

    async def ask(self, server_id: bytes | None, requests: Sequence[Request], *, must: bool = False) -> ResponseFile:
        """One request file and its answer. With `must` a refusal raises AttentionReceived."""
        clock, heard = self._puller._clock, bytearray()
        request = self._client.request(
            server_id, requests, username=self._module.username, password=self._module.password
        )

        def take(data: bytes) -> ResponseFile | None:
            heard.extend(data)
            return next((file for file in self._client.receive(data) if file.solicited), None)

        sent_utc = clock.utc()
        answer = await self._connection.exchange(request, take)
        received_utc = clock.utc()
        batch = Batch(
            kind=Kind.PULL, source=f"pull {self._module}", raw=bytes(heard),
            received_utc=max(received_utc, sent_utc), sent_utc=sent_utc,
        )  # fmt: skip
        self._commits.append(asyncio.ensure_future(self._puller._journal.append(batch)))
        self._report.batches += 1
        self._report.bytes_received += len(heard)
        self._note_refusals(answer, must)
        return answer

    def _note_refusals(self, answer: ResponseFile, must: bool) -> None:
        for attention in answer.attentions:
            known = Attention.of(attention.attention_no)
            if known is not None and not known.is_error:
                continue
            text = sml.attention_text(attention.attention_no)
            if must or known in (Attention.NOT_AUTHORISED, Attention.CHECKSUM):
                raise AttentionReceived(attention.attention_no, text, server_id=attention.server_id)
            if known not in (Attention.RANGE_EMPTY, Attention.PROFILE_EMPTY):
                self._report.refused.append(f"{ServerId(attention.server_id or b'?')}: {text}")

    async def base_modules(self) -> list[bytes]:
        """Server IDs of the base modules in service, or else visible, behind the module."""
        answer = await self.ask(
            None,
            [
                sml.GetProcParameterRequest(parameter_tree_path=(ACTIVE_MODULES,)),
                sml.GetProcParameterRequest(parameter_tree_path=(VISIBLE_MODULES,)),
            ],
        )
        for bodies in answer.responses.values():
            found = [one for body in bodies if isinstance(body, sml.GetProcParameterResponse) for one in _listed(body)]
            if found:
                return found
        return []

    async def read_meter(self, server_id: bytes, plan: Plan) -> None:
        """Time first, in a short exchange of its own; then identity, then the profile rows missing."""
        answer = await self.ask(server_id, [sml.GetProcParameterRequest(parameter_tree_path=(SPECIAL_TUPLES,))])
        if answer.open is None or not isinstance(answer.open.ref_time, sml.SecIndex):
            self._report.refused.append(f"{ServerId(server_id)}: it does not say its seconds index")
            return
        if plan.identity:
            await self.ask(server_id, [sml.GetProcParameterRequest(parameter_tree_path=(IDENTIFICATION,))])
        index_now = int(answer.open.ref_time.value)
        for wanted in plan.ranges(index_now):
            for chunk in _chunks(wanted, index_now):
                await self._read_profile(server_id, chunk, plan)

    async def _read_profile(self, server_id: bytes, wanted: IndexRange, plan: Plan) -> None:
        request = sml.GetProfilePackRequest(
            server_id=server_id, parameter_tree_path=(LOAD_PROFILE,), begin_time=sml.SecIndex(wanted.begin),
            end_time=None if wanted.end is None else sml.SecIndex(wanted.end),
        )  # fmt: skip
        answer = await self.ask(server_id, [request])
        empty = {Attention.RANGE_EMPTY.number, Attention.PROFILE_EMPTY.number}
        if any(attention.attention_no in empty for attention in answer.attentions):
            plan.exhausted(wanted)

    async def durable(self) -> None:
        """Return when everything heard is committed; raises what the journal raised."""
        await asyncio.gather(*self._commits)


def _listed(body: sml.GetProcParameterResponse) -> list[bytes]:
    """Server IDs of the base modules in a module list; pulse modules and the like are left out."""
    found = []
    for entry in body.parameter_tree.child_list or ():
        told = {
            child.parameter_name: child.parameter_value.value
            for child in entry.child_list or ()
            if isinstance(child.parameter_value, sml.ValueParameter)
        }
        server_id, device_class = told.get(SERVER_ID), told.get(DEVICE_CLASS)
        kind = DEVICE_CLASSES.get(device_class, "") if isinstance(device_class, bytes) else ""
        if isinstance(server_id, bytes) and 1 <= len(server_id) <= 14 and "base module" in (kind or "base module"):
            found.append(server_id)
    return found


def _chunks(wanted: IndexRange, index_now: int) -> Iterable[IndexRange]:
    """A range in pieces of two days; the last piece of an open range stays open."""
    begin, end = wanted.begin, index_now if wanted.end is None else wanted.end
    while end - begin >= PROFILE_CHUNK_S:
        yield IndexRange(begin, begin + PROFILE_CHUNK_S - 1)
        begin += PROFILE_CHUNK_S
    yield IndexRange(begin, wanted.end)


# --- push ----------------------------------------------------------------------------------


class PushSession:
    """One connection of a module that pushes: bytes in, acknowledgements out after the commit."""

    def __init__(
        self, journal: Journal, clock: Clock, arrived: Callable[[], None], refused: Callable[[str], None]
    ) -> None:
        """`arrived` is told of every commit, `refused` of everything not acknowledged, in words."""
        self._journal, self._clock = journal, clock
        self._arrived, self._refused = arrived, refused
        self._decoder = sml.FrameDecoder(max_frame=PUSH_FRAME_MAX)
        self._send: Callable[[bytes], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, send: Callable[[bytes], None]) -> None:
        """Take the way back to the peer."""
        self._send = send

    def receive(self, data: bytes) -> bytes:
        """Take bytes; acknowledgements follow by `send`. Raises PeerLost when too much is pending."""
        for event in self._decoder.receive(data):
            if isinstance(event, sml.Rejected):
                self._refused(f"a push was damaged on the line: {event.reason}")
                continue
            if len(self._tasks) >= PUSHES_PENDING_MAX:
                raise PeerLost(f"{PUSHES_PENDING_MAX} pushes wait for their commit and still more come")
            opening = _opening(event.payload)
            if opening is None:
                self._refused("a push without a readable open response cannot be acknowledged")
                continue
            task = asyncio.get_running_loop().create_task(self._keep(event.raw, opening))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return b""

    async def _keep(self, raw: bytes, opening: sml.PublicOpenResponse) -> None:
        source = f"push {ServerId(opening.server_id)}" if 1 <= len(opening.server_id) <= 32 else "push"
        batch = Batch(kind=Kind.PUSH, source=source, raw=raw, received_utc=self._clock.utc())
        try:
            await self._journal.append(batch)
        except MesswerkError as error:
            self._refused(f"{source} not acknowledged: {error}")
            return
        self._arrived()
        if self._send is not None:
            self._send(acknowledgement(opening))


def _opening(payload: bytes) -> sml.PublicOpenResponse | None:
    """The open response of a pushed file; None where there is none."""
    try:
        messages = sml.decode(payload).messages
    except SmlError:
        return None
    return next((m.body for m in messages if isinstance(m.body, sml.PublicOpenResponse)), None)


def acknowledgement(opening: sml.PublicOpenResponse) -> bytes:
    """The framed file that tells a module its push is durable here."""
    number = opening.req_file_id
    bodies: tuple[sml.Body, ...] = (
        sml.PublicOpenResponse(client_id=opening.client_id, req_file_id=number, server_id=opening.server_id),
        sml.AttentionResponse(
            server_id=opening.server_id, attention_no=Attention.ACKNOWLEDGED.number, attention_msg=number
        ),
        sml.PublicCloseResponse(),
    )
    return sml.frame(
        sml.encode(
            sml.Message(transaction_id=number[:28] + bytes([place]), body=body) for place, body in enumerate(bodies)
        )
    )


# --- INFO ----------------------------------------------------------------------------------


async def listen(
    source: Source, journal: Journal, clock: Clock, heard: Callable[[], None], arrived: Callable[[], None]
) -> None:
    """Journal every telegram of an INFO interface; returns at the end of a file or pipe.

    `heard` is told of each telegram as its time is taken, `arrived` when it is durable; a bounded
    number waits for the disk in between, so that telegrams share commits.
    Raises PeerLost or SourceError when a live source is lost, and what the journal raises.
    """
    decoder = sml.FrameDecoder()
    commits: deque[asyncio.Future[int]] = deque()
    try:
        async for piece in chunks(source):
            received_utc = clock.utc()
            for event in decoder.receive(piece):
                if isinstance(event, sml.Frame):
                    batch = Batch(kind=Kind.INFO, source=str(source), raw=event.raw, received_utc=received_utc)
                    commit = asyncio.ensure_future(journal.append(batch))
                    commit.add_done_callback(lambda _: arrived())
                    commits.append(commit)
                    heard()
            while commits and (commits[0].done() or len(commits) > TELEGRAMS_PENDING_MAX):
                await commits.popleft()
    finally:
        await asyncio.gather(*commits, return_exceptions=True)
    if is_live(source):
        raise PeerLost(f"{source} closed the connection")
