"""The gateway: finds meters on its line, pairs them, reads them in turn, renews and resets them.

Sans I/O: it is one node of a line, is handed UTC and entropy, and tells what happened as events.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .. import sml
from ..errors import AttentionReceived, InvalidIdentifier, InvalidSignature, LmnError, LocalError, PeerLost
from ..identity import ServerId
from ..lmn import objects
from ..lmn.certificates import (
    GATEWAY_SUFFIX,
    RENEW_BEFORE_S,
    Identity,
    check_dates,
    expires_utc,
    self_signed,
)
from ..lmn.hdlc import Selector
from ..lmn.nodes import GatewayNode, MeterFound
from ..lmn.objects import EnergyValue, ObjectName
from ..lmn.security import GatewayExchange, Leniency
from ..lmn.tls import SESSION_MAX_S, Profile, TlsSide
from ..signing import Curve, PublicKey
from ..sml.session import Request, ResponseFile
from .conversation import ENDED, Conversation
from .memory import Counters, GatewayMemory, GatewayState, MeterRecord
from .push import MeterReading

READ_EVERY_S: Final = 15.0
"""Between two readings of a meter. [design]"""
RETRY_S: Final = 30.0
"""After a failure the meter is left alone this long. [design]"""
EVENTS_MAX: Final = 4096
SOON_S: Final = 0.1
"""When to try again what only waits for the line."""
ORDERS_MAX: Final = 16
"""Orders waiting for one meter."""
READ_NAMES: Final = (objects.IMPORT, objects.EXPORT, objects.POWER)
"""What a scheduled reading asks for; what a meter does not have is left out."""


class Task(Enum):
    """What a gateway does with a meter."""

    PAIR = "pair"
    READ = "read"
    SET = "set"
    RENEW = "renew certificates"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Found:
    """A meter is on the line; `known`: its initial key is."""

    server_id: ServerId
    address: int
    known: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A meter no longer answers."""

    server_id: ServerId


@dataclass(frozen=True, slots=True)
class Done:
    """A task succeeded."""

    server_id: ServerId
    task: Task
    reading: MeterReading | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A task did not; `why` is for people."""

    server_id: ServerId
    task: Task
    why: str


GatewayEvent = Found | Lost | Done | Failed


@dataclass(frozen=True, slots=True)
class _Order:
    task: Task
    requests: tuple[Request, ...] = ()


@dataclass(slots=True)
class _Meter:
    """One meter on the line: what is wanted of it and what runs."""

    orders: deque[_Order] = field(default_factory=deque)
    conversation: Conversation | None = None
    kind: int = 0
    """Selector of the conversation."""
    asked: bool = False
    read_s: float = 0.0
    rest_until: float = 0.0
    attempt: int = 0
    """Which certificates to try while a renewal is uncertain."""


class Gateway:
    """One gateway. It is a `Node`: attach it to a line, or feed it from a serial device."""

    def __init__(
        self,
        memory: GatewayMemory,
        *,
        server_id: ServerId,
        entropy: Callable[[int], bytes],
        utc: Callable[[], float],
        profile: Profile = Profile.SMGW_2025,
        curve: Curve = Curve.P256,
        leniency: Leniency = Leniency.NONE,
        read_every_s: float | None = READ_EVERY_S,
        pair_found: bool = True,
        session_max_s: float = SESSION_MAX_S,
        begin_s: float = 0.0,
    ) -> None:
        """`read_every_s` None: reads only when asked. `pair_found`: pairs every known meter it finds.

        Raises StoreDamaged, LocalError when memory cannot be used.
        """
        if session_max_s > SESSION_MAX_S:
            raise LocalError(f"a session lives at most {SESSION_MAX_S // 86_400} days")
        self._memory = memory
        self.state: Final = memory.load() or GatewayState(server_id)
        self.node: Final = GatewayNode(begin_s=begin_s)
        self.profile, self.curve, self.leniency = profile, curve, leniency
        self.read_every_s, self.pair_found = read_every_s, pair_found
        self._entropy, self._utc, self._session_max_s = entropy, utc, session_max_s
        self._meters: dict[ServerId, _Meter] = {}
        self._events: deque[GatewayEvent] = deque(maxlen=EVENTS_MAX)
        self._files = itertools.count(1)
        self._sides: dict[ServerId, tuple[bytes, bytes, TlsSide]] = {}

    # --- what people ask for ---------------------------------------------------------------

    def deliver(self, server_id: ServerId, initial_key: bytes, public_key: bytes = b"") -> None:
        """Tell a meter's initial key, and the public key of its plate; durable when it returns."""
        record = self.state.meters.get(server_id)
        if record is None:
            self.state.meters[server_id] = MeterRecord(server_id, initial_key, public_key=public_key)
        else:
            record.initial_key, record.public_key = initial_key, public_key or record.public_key
        self._memory.save(self.state)

    @property
    def present(self) -> dict[ServerId, int]:
        """Address of every meter on the line."""
        return self.node.roster.addresses

    def pair(self, server_id: ServerId) -> None:
        """Exchange certificates. Raises LocalError when the initial key is not known."""
        self._record(server_id)
        self._order(server_id, _Order(Task.PAIR))

    def read(self, server_id: ServerId, names: Sequence[ObjectName] = READ_NAMES) -> None:
        """Read these objects: over TLS when paired, else in plain text."""
        self._order(server_id, _Order(Task.READ, tuple(objects.question(name) for name in names)))

    def set(self, server_id: ServerId, request: sml.SetProcParameterRequest) -> None:
        """Write one object."""
        self._order(server_id, _Order(Task.SET, (request,)))

    def renew(self, server_id: ServerId) -> None:
        """Replace both certificates inside TLS."""
        self._order(server_id, _Order(Task.RENEW))

    def reset(self, server_id: ServerId) -> None:
        """Crypto reset: the meter forgets its certificates and this gateway."""
        self._order(server_id, _Order(Task.RESET, (objects.assignment(objects.CRYPTO_RESET, True),)))

    def next_push(self) -> int:
        """A number for a push file, never given before; durable when it returns."""
        self.state.push_counter = (self.state.push_counter + 1) & 0xFFFF_FFFF
        self._memory.save(self.state)
        return self.state.push_counter

    def events(self) -> list[GatewayEvent]:
        """What happened since the last call."""
        found = list(self._events)
        self._events.clear()
        return found

    def secured(self, server_id: ServerId) -> bool:
        """Whether a TLS session with this meter stands."""
        meter = self._meters.get(server_id)
        conversation = meter.conversation if meter else None
        return conversation is not None and conversation.tls is not None and conversation.ready

    def _order(self, server_id: ServerId, order: _Order) -> None:
        if server_id not in self._meters:
            raise LocalError(f"{server_id} is not on the line: is it connected, has it been discovered?")
        orders = self._meters[server_id].orders
        if len(orders) >= ORDERS_MAX:
            raise LocalError(f"{ORDERS_MAX} orders wait for {server_id}")
        orders.append(order)

    def _record(self, server_id: ServerId) -> MeterRecord:
        record = self.state.meters.get(server_id)
        if record is None:
            raise LocalError(f"the initial key of {server_id} is not known: give a delivery list that names it")
        return record

    # --- the node --------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        moments = [self.node.next_deadline]
        for server_id, meter in self._meters.items():
            if meter.conversation is not None:
                moments.append(meter.conversation.next_deadline)
                if meter.conversation.failure is not None:
                    continue  # its channel must close first; the node knows when
            if self._reads_itself(server_id) and not meter.orders:
                moments.append(max(meter.read_s, meter.rest_until))
            elif meter.orders and meter.conversation is None:
                moments.append(meter.rest_until)
        return min(at for at in moments if at is not None)

    def receive(self, data: bytes, now: float) -> None:
        self.node.receive(data, now)
        self._work(now)

    def data_to_send(self, now: float) -> bytes:
        self._work(now)
        return self.node.data_to_send(now)

    def _work(self, now: float) -> None:
        for event in self.node.events():
            if isinstance(event, MeterFound):
                self._found(event, now)
            else:
                self._meters.pop(event.server_id, None)
                self._events.append(Lost(event.server_id))
        for server_id, meter in self._meters.items():
            self._step(server_id, meter, now)

    def _found(self, event: MeterFound, now: float) -> None:
        record = self.state.meters.get(event.server_id)
        meter = self._meters[event.server_id] = _Meter(read_s=now)
        self._events.append(Found(event.server_id, event.address, record is not None))
        if self.pair_found and record is not None and not record.paired:
            meter.orders.append(_Order(Task.PAIR))

    def _reads_itself(self, server_id: ServerId) -> bool:
        record = self.state.meters.get(server_id)
        return self.read_every_s is not None and record is not None and record.paired

    # --- one meter -------------------------------------------------------------------------

    def _step(self, server_id: ServerId, meter: _Meter, now: float) -> None:
        conversation = meter.conversation
        if conversation is not None:
            conversation.step(now)
            if conversation.failure is not None:
                self._over(server_id, meter, conversation, now)
                return
        if now < meter.rest_until:
            return
        if not meter.orders and self._reads_itself(server_id) and now >= meter.read_s:
            meter.read_s = max(meter.read_s + (self.read_every_s or 0.0), now)
            meter.orders.append(self._due(server_id))
        if not meter.orders:
            return
        order = meter.orders[0]
        selector = self._selector(server_id, order)
        if conversation is None:
            self._converse(server_id, meter, selector, now)
        elif meter.kind != selector or self._expired(conversation, now):
            if not conversation.waiting:
                conversation.end()
        elif conversation.ready:
            self._execute(server_id, meter, order, conversation, now)

    def _due(self, server_id: ServerId) -> _Order:
        """The scheduled order: a reading, or new certificates when the old ones end soon."""
        record = self._record(server_id)
        ends = min(expires_utc(record.meter_certificate), expires_utc(record.own_certificate))
        if record.renewing or self._utc() > ends - RENEW_BEFORE_S:
            return _Order(Task.RENEW)
        return _Order(Task.READ, tuple(objects.question(name) for name in READ_NAMES))

    def _selector(self, server_id: ServerId, order: _Order) -> int:
        if order.task is Task.PAIR:
            return Selector.KEY_EXCHANGE
        record = self.state.meters.get(server_id)
        return Selector.TLS_COSEM if record is not None and record.paired else Selector.SML_COSEM

    def _expired(self, conversation: Conversation, now: float) -> bool:
        return conversation.tls is not None and now - conversation.opened_s >= self._session_max_s

    def _converse(self, server_id: ServerId, meter: _Meter, selector: int, now: float) -> None:
        exchange = tls = None
        try:
            if selector == Selector.KEY_EXCHANGE:
                exchange = self._exchange(self._record(server_id))
            elif selector == Selector.TLS_COSEM:
                tls = self._side(self._record(server_id), meter.attempt).session()
            channel = self.node.open(server_id, selector)
        except (LmnError, LocalError) as error:
            self._broke(server_id, meter, str(error), now)
            return
        except (KeyError, ValueError):  # the last channel is still closing, or the meter is just being removed
            meter.rest_until = now + SOON_S
            return
        meter.kind, meter.asked = selector, exchange is not None
        meter.conversation = Conversation(channel, now, self._files, tls=tls, exchange=exchange)

    def _exchange(self, record: MeterRecord) -> GatewayExchange:
        """New certificates for both sides; they count once the meter has said 85."""
        meter, own = self._new_pair(record.server_id)
        record.next_meter_certificate = meter.certificate
        record.next_own_certificate, record.next_own_key = own.certificate, own.key
        return GatewayExchange(
            record.master, record.server_id, Counters(record, self.state, self._memory),
            meter_certificate=meter.certificate, meter_key=meter.key, gateway_certificate=own.certificate,
            leniency=self.leniency,
        )  # fmt: skip

    def _new_pair(self, server_id: ServerId) -> tuple[Identity, Identity]:
        device, own = server_id.device_id, self.state.server_id.device_id
        meter_name = device.compact if device else server_id.hex().upper()
        own_name = (own.compact if own else self.state.server_id.hex().upper()) + GATEWAY_SUFFIX
        now = self._utc()
        return (
            self_signed(self.curve, self._entropy(32), meter_name, not_before_utc=now, server=True),
            self_signed(self.curve, self._entropy(32), own_name, not_before_utc=now, server=False),
        )

    def _side(self, record: MeterRecord, attempt: int) -> TlsSide:
        """Our identity and the certificate to expect; while a renewal is uncertain, each in turn."""
        meters, owns = [record.meter_certificate], [record.own]
        if record.renewing:
            meters.append(record.next_meter_certificate)
            owns.append(Identity(record.next_own_certificate, record.next_own_key))
        choices = [(expected, own) for expected in meters for own in owns]
        expected, own = choices[attempt % len(choices)]
        for certificate in (expected, own.certificate):
            check_dates(certificate, self._utc())
        known = self._sides.get(record.server_id)
        if known is None or known[:2] != (expected, own.certificate):
            side = TlsSide(own, expected, server=False, profile=self.profile)
            known = self._sides[record.server_id] = (expected, own.certificate, side)
        return known[2]

    # --- carrying an order out -------------------------------------------------------------

    def _execute(
        self, server_id: ServerId, meter: _Meter, order: _Order, conversation: Conversation, now: float
    ) -> None:
        if not meter.asked:
            requests = order.requests
            if order.task is Task.RENEW:
                requests = self._renewal(self._record(server_id), conversation)
            conversation.ask(server_id, requests, now)
            meter.asked = True
            return
        if order.task is Task.PAIR:
            if conversation.exchange is not None and conversation.exchange.finished:
                self._paired(self._record(server_id))
                conversation.end()
                self._finish(meter, Done(server_id, order.task))
            return
        if not conversation.answers:
            return
        answer = conversation.answers.pop(0)
        try:
            result = self._result(server_id, order, answer, conversation)
        except (AttentionReceived, PeerLost, LmnError, InvalidSignature) as error:
            self._finish(meter, Failed(server_id, order.task, str(error)))
            return
        if order.task in (Task.RENEW, Task.RESET):
            conversation.end()  # the next session begins with what counts now
        self._finish(meter, result)

    def _finish(self, meter: _Meter, event: GatewayEvent) -> None:
        meter.orders.popleft()
        meter.asked = False
        meter.attempt = 0
        self._events.append(event)

    def _over(self, server_id: ServerId, meter: _Meter, conversation: Conversation, now: float) -> None:
        """The conversation has ended or failed: tell it once, forget it when its channel is closed."""
        if not conversation.told:
            conversation.told = True
            if conversation.answers and meter.asked:  # the answer came with the goodbye, as after a reset
                self._execute(server_id, meter, meter.orders[0], conversation, now)
            elif conversation.failure != ENDED:
                self._broke(server_id, meter, conversation.failure or "", now)
        if conversation.channel.closed:
            meter.conversation = None

    def _broke(self, server_id: ServerId, meter: _Meter, why: str, now: float) -> None:
        """An order that was under way has failed."""
        if meter.orders:
            order = meter.orders.popleft()
            self._events.append(Failed(server_id, order.task, why))
            meter.rest_until = now + RETRY_S
            meter.attempt += 1
            if order.task is Task.PAIR and self.pair_found:
                meter.orders.append(order)
        meter.asked = False

    def _result(self, server_id: ServerId, order: _Order, answer: ResponseFile, conversation: Conversation) -> Done:
        if order.task is Task.READ:
            return Done(server_id, order.task, self._reading(server_id, answer, secured=conversation.tls is not None))
        for place in range(len(answer.responses)):
            answer.answer(place)
        record = self.state.meters.get(server_id)
        if record is not None and order.task is Task.RENEW:
            self._paired(record)
        if record is not None and order.task is Task.RESET:
            record.forget_pairing()
            self._memory.save(self.state)
        if record is not None and order.task is Task.SET:
            self._note_key(record, order.requests[0])
        return Done(server_id, order.task)

    def _paired(self, record: MeterRecord) -> None:
        record.meter_certificate = record.next_meter_certificate
        record.own_certificate, record.own_key = record.next_own_certificate, record.next_own_key
        record.paired = True
        record.forget_renewal()
        self._memory.save(self.state)

    def _renewal(self, record: MeterRecord, conversation: Conversation) -> tuple[Request, ...]:
        """Both certificates in one file. They are remembered first: the answer may get lost."""
        self._settle(record, conversation)
        meter, own = self._new_pair(record.server_id)
        record.next_meter_certificate, record.renewing = meter.certificate, True
        record.next_own_certificate, record.next_own_key = own.certificate, own.key
        self._memory.save(self.state)
        return (
            objects.assignment(objects.METER_CERTIFICATE, meter.certificate + meter.key),
            objects.assignment(objects.GATEWAY_CERTIFICATE, own.certificate),
        )

    def _settle(self, record: MeterRecord, conversation: Conversation) -> None:
        """What this session was proven with is what the meter has, however the last renewal ended."""
        if record.renewing and conversation.tls is not None:
            if conversation.tls.side.peer_certificate == record.next_meter_certificate:
                record.meter_certificate = record.next_meter_certificate
            if conversation.tls.side.own_certificate == record.next_own_certificate:
                record.own_certificate, record.own_key = record.next_own_certificate, record.next_own_key

    def _note_key(self, record: MeterRecord, request: Request) -> None:
        """A new operational key that the meter has acknowledged."""
        if isinstance(request, sml.SetProcParameterRequest):
            value = objects.assigned(request.parameter_tree)
            if request.parameter_tree.parameter_name == objects.OPERATIONAL_KEY.to_bytes() and isinstance(value, bytes):
                record.operational_key = value
                self._memory.save(self.state)

    def _reading(self, server_id: ServerId, answer: ResponseFile, *, secured: bool) -> MeterReading:
        energies: list[EnergyValue] = []
        power_w: int | None = None
        refused: AttentionReceived | None = None
        for place in range(len(answer.responses)):
            try:
                (body, *_) = answer.answer(place)
            except AttentionReceived as error:
                refused = error  # this meter lacks the object
                continue
            if not isinstance(body, sml.GetProcParameterResponse) or body.server_id != server_id:
                raise LmnError("the meter answers with something else than its parameters")
            energy = EnergyValue.of(body.parameter_tree)
            value = objects.data_value(body.parameter_tree)
            if energy is not None:
                energies.append(energy)
            elif body.parameter_tree.parameter_name == objects.POWER.to_bytes() and isinstance(value, sml.Integer):
                power_w = int(value)
        if not energies:
            raise refused or LmnError("the meter's answer holds no energy")
        index = max(energy.seconds_index for energy in energies)
        record = self.state.meters.get(server_id)
        if record is not None:
            if index < record.last_index:
                raise LmnError(f"seconds index {index} lies before {record.last_index}: another meter, or a replay")
            record.last_index = index  # kept with the next save; the meter's own never runs back
        verified = self._verify(record, server_id, energies)
        return MeterReading(server_id, index, tuple(energies), power_w, secured, verified)

    def _verify(self, record: MeterRecord | None, server_id: ServerId, energies: Sequence[EnergyValue]) -> bool | None:
        """Check every signature against the plate's key. Raises InvalidSignature."""
        if record is None or not record.public_key or not all(energy.signature for energy in energies):
            return None
        for curve in (Curve.P256, Curve.BP256):
            try:
                key = PublicKey.from_point(curve, record.public_key)
            except InvalidIdentifier:
                continue
            for energy in energies:
                energy.verify(key, server_id)
            return True
        return None
