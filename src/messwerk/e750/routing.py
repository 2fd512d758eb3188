"""One conversation with a communication module: whom a request is for, and whether it may pass.

A file for one base module whose every request is allowed is forwarded verbatim. A file that
mixes modules, or holds a request that must be refused, is worked off message by message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from .. import sml
from ..errors import SmlError
from ..identity import ServerId
from ..sml import Attention, Body, FrameDecoder
from ..sml.session import FILES_WAITING_MAX, Pending, Refusal, Request, SmlServer
from . import object_names as names
from .bus_application import answer_parameters
from .firmware_tree import legal_log_responses
from .log_book import Event
from .log_messages import log_responses
from .settings import module_parameters
from .time_ranges import in_seconds_index, in_utc
from .users import AT_THE_DEVICE, User, may

if TYPE_CHECKING:
    from .communication_module import CommunicationModule

REQUEST_FRAME_MAX: Final = 65536


class Conversation:
    """What one connected peer says and hears. It is its own SML application.

    `receive` returns the answers that are ready. On a bus that takes its time the rest goes to
    the function given to `attach`; without one call `data_to_send` later. One conversation is fed
    by one peer; `local` says that he stands before the device, at its service interface.
    """

    def __init__(self, module: CommunicationModule, *, local: bool = False) -> None:
        self.module = module
        self.local = local
        self.forwarded = 0
        """Files passed on verbatim."""
        self.dropped_files = 0
        """Files dropped because too many waited."""
        self._decoder = FrameDecoder(max_frame=REQUEST_FRAME_MAX)
        self._local = SmlServer(self, max_frame=REQUEST_FRAME_MAX)
        self._frames: deque[sml.Frame] = deque()
        self._out = bytearray()
        self._on_the_bus = False
        self._user: User | None = None
        self._target: ServerId | None = None
        self._unreachable = False
        self._send: Callable[[bytes], None] | None = None
        self._collecting = False

    def attach(self, send: Callable[[bytes], None]) -> None:
        """Send what becomes ready later by itself."""
        self._send = send

    def receive(self, data: bytes) -> bytes:
        """Take the next bytes of the stream; returns the framed answers that are ready."""
        self._collecting = True
        for event in self._decoder.receive(data):
            if not isinstance(event, sml.Frame):
                continue
            if len(self._frames) < FILES_WAITING_MAX:
                self._frames.append(event)
            else:
                self.dropped_files += 1
            self._work()
        return self.data_to_send()

    def data_to_send(self) -> bytes:
        """Answers that have become complete since, in the order of their requests."""
        self._collecting = True
        self._work()
        self._collecting = False
        out, self._out = bytes(self._out), bytearray()
        return out

    def _arrived(self) -> None:
        """Something came over the bus: pass it on, unless whoever is collecting takes it anyway."""
        if self._send is not None and not self._collecting and (out := self.data_to_send()):
            self._send(out)

    def _work(self) -> None:
        self._out += self._local.data_to_send()
        while self._frames and not self._on_the_bus and not self._local.busy:
            frame = self._frames.popleft()
            target = self._verbatim_target(frame)
            if target is None:
                self._out += self._local.receive(frame.raw)
            else:
                self._forward(frame, target)

    # --- forwarding ------------------------------------------------------------------------

    def _verbatim_target(self, frame: sml.Frame) -> ServerId | None:
        """The base module to pass a whole file on to; None where each message needs a look."""
        try:
            file = sml.decode(frame.payload)
        except SmlError:
            return None
        opening = file.messages[0].body
        if file.dropped or not isinstance(opening, sml.PublicOpenRequest) or not opening.server_id:
            return None
        device = self.module.devices.devices.get(ServerId(opening.server_id)) if _legal(opening.server_id) else None
        user = self._speaker(opening.username, opening.password)
        if device is None or not device.active or user is None:
            return None
        for message in file.messages[1:]:
            body = message.body
            if isinstance(body, Request) and not (
                body.server_id in (None, b"", device.server_id) and self._allowed(user, body) and not in_utc(body)
            ):
                return None
        return device.server_id

    def _forward(self, frame: sml.Frame, target: ServerId) -> None:
        self._on_the_bus = True
        self.forwarded += 1

        def deliver(answer: bytes | None) -> None:
            self._on_the_bus = False
            if answer is None:
                self._unreachable = True
                self._out += self._local.receive(frame.raw)
                self._unreachable = False
            else:
                self._out += answer
            self._arrived()

        self.module.exchange(target, frame.raw, deliver)

    def _speaker(self, username: bytes | None, password: bytes | None) -> User | None:
        """Who says so; whoever gives no name at the service interface may look."""
        if self.local and not username and not password:
            return AT_THE_DEVICE
        return self.module.users.check(username, password)

    def _allowed(self, user: User, request: Request, *, own: bool = False) -> bool:
        """Whether the request's own credentials, or else those of the open, permit it.

        `own` says that the request is for the communication module itself.
        """
        speaker: User | None = user
        if request.username or request.password:
            speaker = self._speaker(request.username, request.password)
        return speaker is not None and may(speaker, request, own=own)

    # --- message by message ----------------------------------------------------------------

    @property
    def server_id(self) -> bytes:
        return self.module.server_id

    def open(self, request: sml.PublicOpenRequest) -> sml.PublicOpenResponse:
        """Check who asks and whom for."""
        module = self.module
        self._user = self._speaker(request.username, request.password)
        if self._user is None:
            name = (request.username or b"").decode("utf-8", "replace")
            module.report(Event.LOGIN_REFUSED, request.client_id[:32], name)
            raise Refusal(Attention.NOT_AUTHORISED)
        target = request.server_id or module.server_id
        index = None
        if target != module.server_id:
            device = module.devices.devices.get(ServerId(target)) if _legal(target) else None
            if device is None or not device.active:
                raise Refusal(Attention.UNKNOWN_SERVER)
            if self._unreachable:
                raise Refusal(Attention.MEASURING_POINT_DISTURBED)
            index = device.last_index
        self._target = ServerId(target)
        time: sml.SecIndex | sml.Timestamp | None = sml.SecIndex(index) if index is not None else None
        if target == module.server_id and module.now is not None:
            time = sml.Timestamp(int(module.now))
        return sml.PublicOpenResponse(
            codepage=request.codepage, client_id=request.client_id, req_file_id=request.req_file_id,
            server_id=target, ref_time=time,
        )  # fmt: skip

    def handle(self, request: Request) -> Sequence[Body] | Pending:
        """Execute a request here, or send it over the bus."""
        module = self.module
        assert self._user is not None, "open comes first"
        target = request.server_id or self._target or module.server_id
        own = target == module.server_id
        if not self._allowed(self._user, request, own=own):
            module.report(Event.LOGIN_REFUSED, details=type(request).__name__)
            raise Refusal(Attention.NOT_AUTHORISED)
        if own:
            return self._own(request)
        device = module.devices.devices.get(ServerId(target)) if _legal(target) else None
        if device is None or not device.active:
            raise Refusal(Attention.UNKNOWN_SERVER)
        return module.ask(device.server_id, in_seconds_index(request, device, module), self._arrived)

    def _own(self, request: Request) -> Sequence[Body]:
        """A request to the communication module itself."""
        module = self.module
        if isinstance(request, sml.GetProfileListRequest):
            now = sml.Timestamp(int(module.now or 0))
            if request.parameter_tree_path == (names.LEGAL_LOG,):
                return legal_log_responses(module.firmware, request, module.server_id, now)
            if request.parameter_tree_path == (names.LOG_BOOK,):
                return log_responses(module.log, request, module.server_id, now)
        answer = answer_parameters(module.server_id, module_parameters(module), request)
        if not answer:
            raise Refusal(Attention.NOT_EXECUTED, "the communication module has log books and parameters only")
        if isinstance(request, sml.SetProcParameterRequest):
            module.report(Event.PARAMETER_CHANGED, details=request.parameter_tree_path[0].hex(" ").upper())
            module.save(durable=True)
        return answer


def _legal(server_id: bytes) -> bool:
    return 1 <= len(server_id) <= 32
