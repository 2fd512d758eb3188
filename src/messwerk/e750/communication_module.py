"""The communication module: the way from the central station to every module on the bus.

Pull: request files arrive over TCP, RS-232 or a modem; a file for a base module goes over the
bus as it came and its answer comes back as it went, so signatures stay untouched. Push: tuples
and profile rows go out until they are acknowledged. Sans I/O: wall-clock time is `now` in Unix
seconds, handed to `poll`, `push_file` and `push_failed`.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import sml
from ..errors import DecodeError, SmlError
from ..identity import ServerId
from ..signing import PublicKey
from ..sml import Attention, Body
from ..sml.session import Pending, Request, SmlClient, attention
from ..tuples import STATUS_SOI, SignedTuple
from . import object_names as names
from .bus import Group, Segment
from .devices import Device, DeviceList
from .dispatch import Depot, Dispatcher
from .firmware import Firmware
from .lan import LanSettings
from .log_book import Event, LogBook
from .push import LIVE_TUPLES_MAX, PushQueue
from .routing import Conversation
from .state import StateFile
from .users import Users
from .wan import LAN, Link, WanVariant

EXCHANGE_WITHIN_S: Final = 10.0
"""A module that does not answer on the bus for this long is disturbed. [design]"""
EXCHANGES_WAITING_MAX: Final = 64
"""Requests that may wait for one module. [design]"""
SYNC_PERIOD_S: Final = 3600
"""How often the synchronisation token goes out when time is known. Source: seen in a gateway dump."""
PUSH_OPERATIONS_MAX: Final = 4
"""[design]"""
SAVE_EVERY_S: Final = 60
"""Acknowledged positions are forced to the disk this often; a kill loses none of them."""


@dataclass(slots=True)
class _Exchange:
    """One request file on its way over the bus."""

    frame: bytes
    deliver: Callable[[bytes | None], None]
    """Takes the answering frame, or None when there is none."""
    deadline: float = math.inf


class CommunicationModule:
    """One gateway between the bus and the world.

    `folder` holds state and log book and belongs to it alone. `credentials` are the first
    users, name to password; later ones are kept in the state. Raises BusyError, StoreDamaged,
    LocalError.
    """

    groups: Final = frozenset({Group.TUPLES})

    def __init__(
        self,
        server_id: ServerId,
        bus: Segment,
        folder: Path,
        *,
        credentials: Mapping[str, str],
        variant: WanVariant = LAN,
        manufacturer: bytes = b"LGZ",
        activate_new: bool = True,
        download_key: PublicKey | None = None,
    ) -> None:
        self.server_id, self.bus, self.manufacturer = server_id, bus, manufacturer
        self.variant, self.link = variant, Link()
        self.now: float | None = None
        """Wall-clock time as last handed in; None before."""
        self.users = Users(credentials)
        self.devices = DeviceList(self.report, activate_new=activate_new)
        self.operations = {number: PushQueue(server_id) for number in range(1, PUSH_OPERATIONS_MAX + 1)}
        """Push operations by number; the first sends everything at once, the others are off. [design]"""
        for number, operation in self.operations.items():
            operation.enabled = number == 1 and variant.pushes
        self.lan = LanSettings()
        self.reboot_due = False
        self.sync_enabled = False
        """Whether this module sends synchronisation tokens at `sync_period_s` + `sync_offset_s`."""
        self.sync_period_s, self.sync_offset_s = SYNC_PERIOD_S, 0
        self.ntp_server, self.ntp_port = "", 123
        """Where the module gets its time from; whoever hands in `now` acts on it."""
        self.unexpected_frames = 0
        """Frames from the bus nobody waited for, or that were not readable."""
        self.invalid_tuples = 0
        """Broadcasts that were no tuple of their sender."""
        self._file_numbers = itertools.count(1)
        self._exchanges: dict[ServerId, deque[_Exchange]] = {}
        self._latest: dict[ServerId, deque[tuple[int, SignedTuple]]] = {}
        self._last_token = 0
        self._saved_at = 0.0
        self._state = StateFile(folder / "state")
        with ExitStack() as on_failure:
            on_failure.callback(self._state.close)
            depot = Depot(folder / "depot", download_key=download_key)
            on_failure.callback(depot.close)
            self.dispatcher = Dispatcher(self, depot)
            self._resume()
            self.log = LogBook(folder)
            on_failure.callback(self.log.close)
            self.firmware = Firmware(
                folder, self.variant.device_class, download_key=download_key,
                report=lambda event, details: self.report(event, details=details),
            )  # fmt: skip
            on_failure.callback(self.firmware.close)
            self.report(Event.POWER_RETURNED)
            bus.attach(self)
            on_failure.pop_all()

    def _resume(self) -> None:
        state = self._state.load()
        if state is None:
            return
        with self._state.understood():
            for number, operation in state["push"].items():
                self.operations[int(number)].from_state(operation)
            self.lan.from_state(state["lan"])
            self.devices.from_state(state["devices"])
            self.users.from_state(state["users"])
            self.sync_enabled, self.sync_period_s, self.sync_offset_s = state["sync"]
            self.ntp_server, self.ntp_port = state["ntp"]
            self.dispatcher.from_state(state.get("dispatch", []))

    # --- time ------------------------------------------------------------------------------

    def poll(self, now: float) -> None:
        """Say what time it is, about once a second: time-outs, vanished devices, the token."""
        self.now = now
        for server_id, waiting in self._exchanges.items():
            if waiting and now >= waiting[0].deadline:
                self._finish(server_id, None)
        self.dispatcher.poll()
        if self.firmware.poll(int(now)):
            self.reboot_due = True
        if self.reboot_due:
            self._reboot()
        self.devices.look_for_vanished(now)
        if self.sync_enabled:
            self._token_when_due(now)
        if self.devices.changed or now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at, self.devices.changed = now, False
            self.save(durable=True)

    def _token_when_due(self, now: float) -> None:
        boundary = int((now - self.sync_offset_s) // self.sync_period_s) * self.sync_period_s + self.sync_offset_s
        if boundary > self._last_token and now - boundary < 2.0:
            self.send_token(boundary)
        self._last_token = max(self._last_token, boundary)

    def send_token(self, utc: int) -> None:
        """Tell every module that this moment is a period boundary; `utc` is its time."""
        tree = sml.Tree(
            parameter_name=names.DEVICE_TIME,
            child_list=(
                sml.Tree(parameter_name=names.SYNC_ACTIVE, parameter_value=sml.ValueParameter(True)),
                sml.Tree(parameter_name=names.UTC, parameter_value=sml.ValueParameter(sml.Unsigned32(utc))),
            ),
        )
        number = next(self._file_numbers).to_bytes(4, "big")
        bodies: tuple[Body, ...] = (
            sml.PublicOpenRequest(client_id=self.server_id, req_file_id=number),
            sml.SetProcParameterRequest(parameter_tree_path=(names.DEVICE_TIME,), parameter_tree=tree),
            sml.PublicCloseRequest(),
        )
        messages = [sml.Message(transaction_id=number + bytes([place]), body=body) for place, body in enumerate(bodies)]
        self.bus.send(sml.frame(sml.encode(messages)), self.server_id, Group.COMMANDS)
        self.report(Event.SYNC_TOKEN_SENT)

    def report(self, event: Event, server_id: bytes = b"", details: str = "") -> None:
        """Write an event into the log book."""
        self.log.add(event, self.now, server_id, details)

    def link_changed(self, up: bool, field_strength_dbm: int | None = None) -> None:
        """Say that the wide-area link went down or came back; a push on its way is given up."""
        if up != self.link.up:
            self.report(Event.LINK_RETURNED if up else Event.LINK_LOST)
        self.link.up, self.link.field_strength_dbm = up, field_strength_dbm
        if not up:
            for operation in self.operations.values():
                operation.failed(self.now or 0.0)

    # --- pull ------------------------------------------------------------------------------

    def session(self) -> Conversation:
        """A new conversation with whoever has connected: bytes in, bytes out."""
        return Conversation(self)

    def service_session(self) -> Conversation:
        """A new conversation at the service interface of the device itself."""
        return Conversation(self, local=True)

    def exchange(self, server_id: ServerId, frame: bytes, deliver: Callable[[bytes | None], None]) -> None:
        """Send a request file to a module; `deliver` gets the answering frame, or None.

        Files for one module wait for each other, because a module answers one after the other.
        """
        waiting = self._exchanges.setdefault(server_id, deque())
        if len(waiting) >= EXCHANGES_WAITING_MAX:
            deliver(None)
            return
        waiting.append(_Exchange(frame, deliver))
        if len(waiting) == 1:
            self._begin(server_id)

    def ask(self, server_id: ServerId, request: Request, arrived: Callable[[], None] = lambda: None) -> Pending:
        """Send one request to a module; the answer is its bodies, or attentions. `arrived` is called with it."""
        pending = Pending()

        def complete(bodies: Sequence[Body]) -> None:
            pending.complete(bodies)
            arrived()

        self._ask(server_id, request, complete)
        return pending

    def _ask(self, server_id: ServerId, request: Request, complete: Callable[[Sequence[Body]], None]) -> None:
        client = SmlClient(self.server_id, counter=self._file_numbers)

        def deliver(frame: bytes | None) -> None:
            bodies: Sequence[Body] = ()
            for answer in client.receive(frame) if frame is not None else ():
                bodies = next(iter(answer.responses.values())) or answer.attentions
            complete(bodies or [attention(server_id, Attention.MEASURING_POINT_DISTURBED)])

        self.exchange(server_id, client.request(server_id, [request]), deliver)

    def _begin(self, server_id: ServerId) -> None:
        exchange = self._exchanges[server_id][0]
        exchange.deadline = (self.now or 0.0) + EXCHANGE_WITHIN_S
        if not self.bus.send(exchange.frame, self.server_id, server_id):
            self._finish(server_id, None, only=exchange)

    def _finish(self, server_id: ServerId, frame: bytes | None, only: _Exchange | None = None) -> None:
        waiting = self._exchanges.get(server_id)
        if not waiting or (only is not None and waiting[0] is not only):
            return
        waiting.popleft().deliver(frame)
        if waiting:
            self._begin(server_id)

    def _reboot(self) -> None:
        """Start anew as after a power failure: what is stored stays, what is on its way is given up."""
        self.reboot_due = False
        self.report(Event.REBOOT)
        for server_id in tuple(self._exchanges):
            while self._exchanges[server_id]:
                self._finish(server_id, None)
        self.save(durable=True)
        for operation in self.operations.values():
            operation.failed(0.0)
        self._latest.clear()
        self.report(Event.POWER_RETURNED)

    # --- bus -------------------------------------------------------------------------------

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        """Take an answer somebody waits for, a tuple, or an announcement."""
        if group is None:
            if self._exchanges.get(sender):
                self._finish(sender, frame)
            else:
                self.unexpected_frames += 1
            return
        received = sml.FrameDecoder(max_frame=65536).receive(frame)
        try:
            files = [sml.decode(one.payload) for one in received if isinstance(one, sml.Frame)]
        except SmlError:
            files = []
        if not files:
            self.unexpected_frames += 1
        for file in files:
            self._broadcast(file, sender)

    def _broadcast(self, file: sml.SmlFile, sender: ServerId) -> None:
        for message in file.messages:
            body = message.body
            if not isinstance(body, sml.GetProcParameterResponse):
                continue
            if body.parameter_tree.parameter_name == names.IDENTIFICATION:
                self.devices.announced(sender, body.parameter_tree, self.now)
                device = self.devices.devices.get(sender)
                if device is not None and device.is_base_module:
                    self._more_rows(sender)
            elif isinstance(body.parameter_tree.parameter_value, sml.TupelParameter):
                self._tuple(body, body.parameter_tree.parameter_value.value, sender)

    def _tuple(self, body: sml.GetProcParameterResponse, entry: sml.TupelEntry, sender: ServerId) -> None:
        try:
            signed = SignedTuple.from_entry(entry)
        except DecodeError:
            self.invalid_tuples += 1
            return
        device = self.devices.heard(sender, signed.index, self.now)
        if signed.server_id != sender or body.server_id != sender:
            self.invalid_tuples += 1
            self.report(Event.TUPLE_FORGED, sender, f"a tuple of {signed.server_id.hex()} from {sender}")
            return
        if device is None or not device.active:
            return
        latest = self._latest.setdefault(sender, deque(maxlen=8))
        for index, known in latest:
            if index == signed.index:
                if known != signed:
                    self.report(Event.TUPLE_FORGED, sender, f"two tuples for #{index}")
                return
        latest.append((signed.index, signed))
        for operation in self.operations.values():
            if operation.enabled:
                lost = operation.tuples_lost
                operation.add_tuple(sender, signed.index, body)
                if operation.tuples_lost > lost and lost % LIVE_TUPLES_MAX == 0:
                    self.report(Event.TUPLES_LOST, sender, f"{operation.tuples_lost} in all")
        if signed.status & STATUS_SOI:
            self._more_rows(sender)

    def _more_rows(self, server_id: ServerId) -> None:
        for operation in self.operations.values():
            operation.position(server_id).more_rows = True

    # --- push ------------------------------------------------------------------------------

    @property
    def push(self) -> PushQueue:
        """The first push operation."""
        return self.operations[1]

    def push_file(self, now: float, operation: int = 1) -> bytes | None:
        """The next file to send to the central station, or None: see PushQueue.file."""
        self.now = now
        if not self.link.up or not self.variant.pushes:
            return None
        queue = self.operations[operation]
        for device in self.devices.base_modules():
            if queue.wants_rows(device.server_id):
                self._fetch_rows(device, queue)
        failures = queue.failures
        file = queue.file(now)
        if queue.failures > failures:
            self.report(Event.PUSH_FAILED, details=f"operation {operation}: no acknowledgement")
        if file is not None:
            self.save()
        return file

    def push_received(self, data: bytes, operation: int = 1) -> bool:
        """Take bytes the central station sent back; True once the file on its way is acknowledged."""
        acknowledged = self.operations[operation].receive(data)
        if acknowledged:
            self.save()
        return acknowledged

    def push_failed(self, now: float, operation: int = 1) -> None:
        """The connection could not be made or broke: everything stays queued, the next try is later."""
        self.operations[operation].failed(now)
        self.report(Event.PUSH_FAILED, details=f"operation {operation}: no connection")

    def _fetch_rows(self, device: Device, queue: PushQueue) -> None:
        """Read the profile rows beyond the acknowledged one from the base module."""
        position = queue.position(device.server_id)
        position.more_rows = False
        request = sml.GetProfileListRequest(
            server_id=device.server_id, begin_time=sml.SecIndex(position.rows + 1),
            parameter_tree_path=(names.LOAD_PROFILE,),
        )  # fmt: skip

        def arrived(bodies: Sequence[Body]) -> None:
            rows: list[tuple[int, Body]] = [
                (int(body.val_time.value), body)
                for body in bodies
                if isinstance(body, sml.GetProfileListResponse) and isinstance(body.val_time, sml.SecIndex)
            ]
            queue.add_rows(device.server_id, rows)
            position.more_rows = bool(rows) or _disturbed(bodies)

        self._ask(device.server_id, request, arrived)

    # --- memory ----------------------------------------------------------------------------

    def save(self, *, durable: bool = False) -> None:
        """Store what must survive a kill."""
        self._state.save(
            {
                "push": {number: operation.to_state() for number, operation in self.operations.items()},
                "lan": self.lan.to_state(),
                "devices": self.devices.to_state(),
                "users": self.users.to_state(),
                "dispatch": self.dispatcher.to_state(),
                "ntp": [self.ntp_server, self.ntp_port],
                "sync": [self.sync_enabled, self.sync_period_s, self.sync_offset_s],
            },
            durable=durable,
        )

    def close(self) -> None:
        """Leave the bus, store everything, let go of the files."""
        self.bus.detach(self)
        self.save(durable=True)
        self._state.close()
        self.log.close()
        self.firmware.close()
        self.dispatcher.depot.close()


def _disturbed(bodies: Sequence[Body]) -> bool:
    disturbed = Attention.MEASURING_POINT_DISTURBED.number
    return any(isinstance(body, sml.AttentionResponse) and body.attention_no == disturbed for body in bodies)
