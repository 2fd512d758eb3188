"""Firmware for other modules: taken once by the communication module, handed on over the bus.

The image comes in like one of its own, is proved with the maker's key, and waits. Told a server
ID, the module sends it on block by block; what the receiver has already it need not get again, so
a kill of either side costs nothing. Whether to run it decides the receiver; activating it is a
request of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import sml
from ..errors import AttentionReceived, PeerLost
from ..identity import ServerId
from ..signing import PublicKey
from ..sml import Attention, Tree, ValueParameter
from ..sml.messages import ProcParValue
from ..sml.session import AbortOnError, Refusal, Request, SmlClient
from . import object_names as names
from .firmware import BLOCK_SIZE, Firmware, Manifest
from .firmware_tree import download_parameters
from .log_book import Event
from .parameters import Change, Parameter, to_octets

if TYPE_CHECKING:
    from .communication_module import CommunicationModule

BLOCKS_PER_FILE: Final = 32
"""Blocks sent on in one request file; one file is on its way at a time. [design]"""
ATTEMPTS_MAX: Final = 5
"""Files in a row a receiver may leave unanswered. [design]"""


class Depot(Firmware):
    """An image for modules of any class; it is stored and never run here."""

    def __init__(self, folder: Path, *, download_key: PublicKey | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, bytes(6), download_key=download_key)
        self._signed_manifest = folder / "manifest"

    def _check(self, manifest: Manifest) -> None:
        """Every class may lie here; whether it fits says the receiver."""

    def begin(self, signed_manifest: bytes) -> None:
        """Take a signed manifest. Raises Refusal."""
        super().begin(signed_manifest)
        self._signed_manifest.write_bytes(signed_manifest)

    @property
    def whole(self) -> tuple[bytes, bytes] | None:
        """Signed manifest and image, once all of it is there and proved; None before."""
        if self._manifest is None or not self._verified:
            return None
        return self._signed_manifest.read_bytes(), self._staging.read_bytes()[: self._manifest.length]


class Dispatcher:
    """Sends what lies in the depot to modules, one after the other. Call `poll` about once a second."""

    def __init__(self, module: CommunicationModule, depot: Depot) -> None:
        self._module, self.depot = module, depot
        self.waiting: list[ServerId] = []
        """Whom the image still goes to; the first is being served."""
        self._good: int | None = None
        """Blocks the first one has; None until it told."""
        self._asked = False
        self._unanswered = 0

    def poll(self) -> None:
        """Send the next file, if the one before was answered."""
        content = self.depot.whole
        if not self.waiting or self._asked:
            return
        if content is None:
            self._finish(Event.DISPATCH_FAILED, "the image is not there any more")
            return
        manifest, image = content
        if self._good is None:
            requests: list[Request] = [_set(_leaf(names.DOWNLOAD_START, manifest))]
        else:
            requests = [
                _block(number, image[(number - 1) * BLOCK_SIZE : number * BLOCK_SIZE])
                for number in range(self._good + 1, min(self._good + BLOCKS_PER_FILE, -(-len(image) // BLOCK_SIZE)) + 1)
            ]
        requests.append(sml.GetProcParameterRequest(parameter_tree_path=(names.DOWNLOAD, names.DOWNLOAD_LAST_GOOD)))
        client = SmlClient(self._module.server_id)
        wire = client.request(self.waiting[0], requests, abort_on_error=AbortOnError.ABORT)
        self._asked = True
        self._module.exchange(
            self.waiting[0], wire, lambda frame: self._answered(client, frame, len(requests), len(image))
        )

    def _answered(self, client: SmlClient, frame: bytes | None, requests: int, length: int) -> None:
        self._asked = False
        try:
            answers = client.receive(frame) if frame is not None else []
            if not answers:
                raise PeerLost("no answer")
            for place in range(requests - 1):
                answers[0].answer(place)
            (told,) = answers[0].answer(requests - 1)
        except AttentionReceived as refused:
            self._finish(Event.DISPATCH_FAILED, str(refused))
            return
        except (PeerLost, ValueError) as error:
            self._unanswered += 1
            if self._unanswered >= ATTEMPTS_MAX:
                self._finish(Event.DISPATCH_FAILED, str(error))
            return
        self._unanswered = 0
        value = told.parameter_tree.parameter_value if isinstance(told, sml.GetProcParameterResponse) else None
        self._good = int(value.value) if isinstance(value, ValueParameter) and isinstance(value.value, int) else 0
        if self._good >= -(-length // BLOCK_SIZE):
            self._finish(Event.DISPATCHED, f"{length} bytes")

    def _finish(self, event: Event, details: str) -> None:
        self._module.report(event, self.waiting.pop(0), details)
        self._good, self._unanswered = None, 0
        self._module.save(durable=True)

    # --- parameter tree --------------------------------------------------------------------

    def parameters(self) -> Parameter:
        """The depot as a tree like that of a download, and the command to send it on."""
        return download_parameters(self.depot, names.DEPOT, Parameter(names.DISPATCH, lambda: None, self._order))

    def _order(self, value: ProcParValue) -> Change:
        """A server ID, or an empty one for every module in service of the image's class."""
        chosen = to_octets(value, 0, 32)
        content = self.depot.whole
        if content is None:
            raise Refusal(Attention.NOT_EXECUTED, "no whole image lies here")
        receivers = [
            device.server_id
            for device in self._module.devices.active()
            if (device.server_id == chosen if chosen else device.device_class == content[0][:6])
        ]
        if not receivers:
            raise Refusal(Attention.UNKNOWN_SERVER)
        return lambda: self._add(receivers)

    def _add(self, receivers: Sequence[ServerId]) -> None:
        self.waiting += [server_id for server_id in receivers if server_id not in self.waiting]

    # --- memory ----------------------------------------------------------------------------

    def to_state(self) -> list[Any]:
        return [server_id.hex() for server_id in self.waiting]

    def from_state(self, state: list[Any]) -> None:
        self.waiting = [ServerId(bytes.fromhex(server_id)) for server_id in state]


def _leaf(name: bytes, value: Any) -> Tree:
    return Tree(parameter_name=name, parameter_value=ValueParameter(value))


def _set(tree: Tree) -> sml.SetProcParameterRequest:
    path = (names.DOWNLOAD, tree.parameter_name)
    return sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)


def _block(number: int, data: bytes) -> sml.SetProcParameterRequest:
    children = (_leaf(names.DOWNLOAD_BLOCK_NUMBER, sml.Unsigned32(number)), _leaf(names.DOWNLOAD_BLOCK_DATA, data))
    tree = Tree(parameter_name=names.DOWNLOAD, child_list=children)
    return sml.SetProcParameterRequest(parameter_tree_path=(names.DOWNLOAD,), parameter_tree=tree)
