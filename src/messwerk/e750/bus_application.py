"""What every module on the bus has in common: it announces itself and answers for its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import sml
from ..identity import ServerId
from ..sml import Attention, Body, Tree
from ..sml.session import Refusal, Request, attention
from . import object_names as names
from .firmware import Firmware
from .firmware_tree import legal_log_responses
from .parameters import Parameter, flag, octets, read_tree, write_tree


def unsolicited(server_id: bytes, index: int | None, path: tuple[bytes, ...], tree: Tree) -> bytes:
    """A framed file nobody asked for: open, one parameter tree, close."""
    time = sml.SecIndex(index) if index is not None else None
    number = (index or 0).to_bytes(4, "big")
    bodies: tuple[Body, ...] = (
        sml.PublicOpenResponse(req_file_id=number, server_id=server_id, ref_time=time),
        sml.GetProcParameterResponse(server_id=server_id, parameter_tree_path=path, parameter_tree=tree),
        sml.PublicCloseResponse(),
    )
    return sml.frame(
        sml.encode(sml.Message(transaction_id=number + bytes([place]), body=body) for place, body in enumerate(bodies))
    )


def announcement(server_id: bytes, index: int | None, identification: Parameter) -> bytes:
    """Who is here: the identification, so that nothing needs configuration."""
    tree = identification.tree()
    assert tree is not None, "an identification has children"
    return unsolicited(server_id, index, (names.IDENTIFICATION,), tree)


def identification(
    server_id: ServerId,
    device_class: bytes,
    manufacturer: bytes,
    firmware_name: bytes,
    firmware_version: Callable[[], int],
    *more: Parameter,
) -> Parameter:
    """Class, maker, server ID and firmware of a module."""
    return Parameter(
        names.IDENTIFICATION,
        children=(
            Parameter(names.DEVICE_CLASS, lambda: octets(device_class)),
            Parameter(names.MANUFACTURER, lambda: octets(manufacturer)),
            Parameter(names.SERVER_ID, lambda: octets(server_id)),
            *more,
            Parameter(
                names.FIRMWARE,
                children=(
                    Parameter(
                        names.FIRMWARE_ENTRY,
                        children=(
                            Parameter(names.FIRMWARE_NAME, lambda: octets(firmware_name)),
                            Parameter(names.FIRMWARE_VERSION, lambda: octets(b"%d" % firmware_version())),
                            Parameter(names.FIRMWARE_ACTIVE, lambda: flag(True)),
                        ),
                    ),
                ),
            ),
        ),
    )


class BusApplication:
    """Answers requests for parameter trees; `roots` gives the trees. Subclasses know more requests."""

    def __init__(
        self, server_id: ServerId, roots: Callable[[], Sequence[Parameter]], firmware: Firmware | None = None
    ) -> None:
        self._server_id, self.roots, self._firmware = server_id, roots, firmware

    @property
    def server_id(self) -> bytes:
        return self._server_id

    @property
    def ref_time(self) -> sml.SecIndex | None:
        """What the module has of time; most have none."""
        return None

    def open(self, request: sml.PublicOpenRequest) -> sml.PublicOpenResponse:
        self._addressed(request.server_id)
        return sml.PublicOpenResponse(
            codepage=request.codepage, client_id=request.client_id, req_file_id=request.req_file_id,
            server_id=self.server_id, ref_time=self.ref_time,
        )  # fmt: skip

    def handle(self, request: Request) -> Sequence[Body]:
        self._addressed(request.server_id)
        return answer_parameters(self.server_id, self.roots(), request) or self.other(request)

    def other(self, request: Request) -> Sequence[Body]:
        """Requests for lists and profiles, where a module has any; all that can be updated have a legal log."""
        if (
            self._firmware is not None
            and isinstance(request, sml.GetProfileListRequest)
            and request.parameter_tree_path == (names.LEGAL_LOG,)
        ):
            act_time = self.ref_time or sml.SecIndex(0)
            return legal_log_responses(self._firmware, request, self.server_id, act_time)
        raise Refusal(Attention.NOT_EXECUTED, "this module has no lists and no load profile")

    def _addressed(self, server_id: bytes | None) -> None:
        if server_id not in (None, b"", self.server_id):
            raise Refusal(Attention.UNKNOWN_SERVER)


def answer_parameters(server_id: bytes, roots: Sequence[Parameter], request: Request) -> Sequence[Body]:
    """Get or set a parameter tree; nothing for other requests. Raises Refusal."""
    match request:
        case sml.GetProcParameterRequest(parameter_tree_path=path, attribute=attribute):
            if attribute:
                raise Refusal(Attention.OPTION_NOT_SUPPORTED, "attribute")
            tree = read_tree(roots, path)
            return [sml.GetProcParameterResponse(server_id=server_id, parameter_tree_path=path, parameter_tree=tree)]
        case sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree):
            write_tree(roots, path, tree)
            return [attention(server_id, Attention.ACKNOWLEDGED)]
    return ()
