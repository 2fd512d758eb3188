"""What a base module says on the bus: its broadcasts, and its answers to requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .. import sml
from ..signing import Curve
from ..sml import Attention, Body, Tree, TupelParameter
from ..sml.session import Refusal, Request, attention
from ..tuples import STATUS_PARAMETER_CHANGED, SignedTuple
from . import object_names as names
from .monitoring import monitoring_list, monitoring_parameters
from .parameters import Change, Parameter, flag, octets, read_tree, to_flag, to_int, u8, u16, u32, write_tree
from .profile_messages import LIST_ROWS_MAX, list_responses, pack_response, select_rows

if TYPE_CHECKING:
    from .base_module import BaseModule, Reading

SIGNATURE_PROFILES: Final = {Curve.P192: 1, Curve.P256: 2, Curve.BP256: 3}
"""Number of a curve in the module's settings and identification. [design]"""
RATIO_MAX: Final = 20_000
"""Largest transformer ratio that can be set. [design]"""
TUPLE_PATH: Final = (names.SPECIAL_TUPLES, names.CURRENT_TUPLE)


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


def tuple_file(module: BaseModule, signed: SignedTuple) -> bytes:
    """The broadcast of one second."""
    tree = Tree(parameter_name=names.CURRENT_TUPLE, parameter_value=TupelParameter(signed.to_entry()))
    return unsolicited(module.server_id, signed.index, TUPLE_PATH, tree)


def announcement(module: BaseModule) -> bytes:
    """Who is here: the identification with public key, so that nothing needs configuration."""
    tree = identification(module).tree()
    assert tree is not None
    return unsolicited(module.server_id, module.seconds_index, (names.IDENTIFICATION,), tree)


def identification(module: BaseModule) -> Parameter:
    """Class, maker, server ID, public key and firmware of a base module."""
    key = module.key.public
    return Parameter(
        names.IDENTIFICATION,
        children=(
            Parameter(names.DEVICE_CLASS, lambda: octets(module.variant.device_class)),
            Parameter(names.MANUFACTURER, lambda: octets(module.manufacturer)),
            Parameter(names.SERVER_ID, lambda: octets(module.server_id)),
            Parameter(
                names.PUBLIC_KEY,
                lambda: octets(key.point),
                children=(Parameter(names.SIGNATURE_PROFILE, lambda: u8(SIGNATURE_PROFILES[key.curve])),),
            ),
            firmware(b"E750 BM", b"1.0"),
        ),
    )


def firmware(name: bytes, version: bytes) -> Parameter:
    """The firmware list of a module with one entry."""
    return Parameter(
        names.FIRMWARE,
        children=(
            Parameter(
                names.FIRMWARE_ENTRY,
                children=(
                    Parameter(names.FIRMWARE_NAME, lambda: octets(name)),
                    Parameter(names.FIRMWARE_VERSION, lambda: octets(version)),
                    Parameter(names.FIRMWARE_ACTIVE, lambda: flag(True)),
                ),
            ),
        ),
    )


class BusService:
    """The application behind a base module's SML server."""

    def __init__(self, module: BaseModule) -> None:
        self.module = module
        self.roots: Sequence[Parameter] = (
            identification(module),
            self._special_tuples(),
            Parameter(names.SECONDS_INDEX, lambda: sml.TimeParameter(sml.SecIndex(module.seconds_index))),
            Parameter(names.STATUS_WORD, self._status),
            Parameter(names.REMAINING_PERIOD, lambda: u16(module.remaining_period_s)),
            monitoring_parameters(module),
            self._settings(),
            Parameter(names.DEVICE_TIME, children=(
                Parameter(names.SECONDS_INDEX, lambda: sml.TimeParameter(sml.SecIndex(module.seconds_index))),
                Parameter(names.SYNC_ACTIVE, lambda: flag(module.synchronous), self._take_token),
                Parameter(names.UTC, None, lambda value: _checked(to_int(value, 0, 2**32 - 1))),
            )),
        )  # fmt: skip

    @property
    def server_id(self) -> bytes:
        return self.module.server_id

    def open(self, request: sml.PublicOpenRequest) -> sml.PublicOpenResponse:
        self._addressed(request.server_id)
        return sml.PublicOpenResponse(
            codepage=request.codepage, client_id=request.client_id, req_file_id=request.req_file_id,
            server_id=self.server_id, ref_time=sml.SecIndex(self.module.seconds_index),
        )  # fmt: skip

    def handle(self, request: Request) -> Sequence[Body]:
        self._addressed(request.server_id)
        module = self.module
        match request:
            case sml.GetProcParameterRequest(parameter_tree_path=path, attribute=attribute):
                if attribute:
                    raise Refusal(Attention.OPTION_NOT_SUPPORTED, "attribute")
                tree = read_tree(self.roots, path)
                return [
                    sml.GetProcParameterResponse(
                        server_id=self.server_id, parameter_tree_path=path, parameter_tree=tree
                    )
                ]
            case sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree):
                write_tree(self.roots, path, tree)
                return [attention(self.server_id, Attention.ACKNOWLEDGED)]
            case sml.GetProfilePackRequest():
                rows = select_rows(module.profile, request)
                pack = pack_response(rows, request, self.server_id, module.seconds_index, module.period_s)
                module.read_up_to = max(module.read_up_to, rows[-1].index)
                return [pack]
            case sml.GetProfileListRequest():
                rows = select_rows(module.profile, request, limit=LIST_ROWS_MAX)
                answers = list_responses(rows, request, self.server_id, module.seconds_index, module.period_s)
                module.read_up_to = max(module.read_up_to, rows[-1].index)
                return answers
            case sml.GetListRequest():
                return [monitoring_list(module, request)]

    def _addressed(self, server_id: bytes | None) -> None:
        if server_id not in (None, b"", self.server_id):
            raise Refusal(Attention.UNKNOWN_SERVER)

    def _status(self) -> sml.ValueParameter | None:
        current = self.module.current
        return sml.ValueParameter(sml.Unsigned64(current.status)) if current is not None else None

    def _special_tuples(self) -> Parameter:
        module = self.module

        def leaf(name: bytes) -> Parameter:
            return Parameter(name, lambda: self._signed(module.special.get(name)))

        return Parameter(
            names.SPECIAL_TUPLES,
            children=(
                Parameter(names.CURRENT_TUPLE, lambda: self._signed(module.current)),
                leaf(names.TUPLE_POWER_RESTORED),
                leaf(names.TUPLE_RESERVE_EXHAUSTED),
                leaf(names.TUPLE_BEFORE_OUTAGE),
                leaf(names.TUPLE_LAST_SYNC),
            ),
        )

    def _signed(self, reading: Reading | None) -> TupelParameter | None:
        return TupelParameter(self.module.sign(reading).to_entry()) if reading is not None else None

    def _settings(self) -> Parameter:
        module = self.module
        led = module.variant.led_imp_per_kwh
        return Parameter(
            names.SETTINGS,
            children=(
                Parameter(names.PERIOD_PHASE, lambda: u16(module.period_phase), self._set_phase),
                Parameter(names.PERIOD_LENGTH, lambda: u16(module.period_s)),
                Parameter(names.SIGNATURE_PROFILE, lambda: u8(SIGNATURE_PROFILES[module.key.curve])),
                Parameter(names.CT_RATIO, lambda: u32(module.ct_ratio), self._set_ct_ratio),
                Parameter(names.VT_RATIO, lambda: u32(module.vt_ratio), self._set_vt_ratio),
                Parameter(names.LED_ACTIVE, lambda: u32(led)),
                Parameter(names.LED_REACTIVE, lambda: u32(led)),
            ),
        )

    def _set_phase(self, value: sml.messages.ProcParValue) -> Change:
        phase = to_int(value, 0, self.module.period_s - 1)

        def change() -> None:
            self.module.latch(STATUS_PARAMETER_CHANGED)
            self.module.synchronise(phase)

        return change

    def _set_ct_ratio(self, value: sml.messages.ProcParValue) -> Change:
        if not self.module.variant.current_transformers:
            raise Refusal(Attention.NOT_WRITABLE, "this variant is connected directly")
        ratio = to_int(value, 1, RATIO_MAX)
        return lambda: self.module.set_ratios(ratio, self.module.vt_ratio)

    def _set_vt_ratio(self, value: sml.messages.ProcParValue) -> Change:
        if not self.module.variant.voltage_transformers:
            raise Refusal(Attention.NOT_WRITABLE, "this variant has no voltage transformers")
        ratio = to_int(value, 1, RATIO_MAX)
        return lambda: self.module.set_ratios(self.module.ct_ratio, ratio)

    def _take_token(self, value: sml.messages.ProcParValue) -> Change:
        if not to_flag(value):
            raise Refusal(Attention.OUT_OF_RANGE, "a token is taken with true")
        return self.module.synchronise_now


def _checked(_value: int) -> Change:
    """The token's UTC is checked and not kept: a base module has no calendar."""
    return lambda: None
