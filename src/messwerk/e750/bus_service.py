"""What a base module says on the bus: its broadcasts, and its answers to requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .. import sml
from ..metrology.signals import Reactive
from ..signing import Curve
from ..sml import Attention, Body, Tree, TupelParameter
from ..sml.session import Refusal, Request
from ..tuples import STATUS_PARAMETER_CHANGED, SignedTuple
from . import object_names as names
from .bus_application import BusApplication, identification, unsolicited
from .firmware_tree import firmware_parameters
from .log_messages import log_responses
from .monitoring import monitoring_list, monitoring_parameters
from .parameters import Change, Parameter, flag, octets, to_flag, to_int, u8, u16, u32
from .profile_messages import LIST_ROWS_MAX, list_responses, pack_response, select_rows

if TYPE_CHECKING:
    from .base_module import BaseModule, Reading

PERIODS_ALLOWED_S: Final = (60, 300, 900, 1800, 3600)
"""Lengths of a load profile period that can be set. [design]"""
SIGNATURE_PROFILES: Final = {Curve.P192: 1, Curve.P256: 2, Curve.BP256: 3}
"""Number of a curve in the module's settings and identification. [design]"""
RATIO_MAX: Final = 20_000
"""Largest transformer ratio that can be set. [design]"""
TUPLE_PATH: Final = (names.SPECIAL_TUPLES, names.CURRENT_TUPLE)


def tuple_file(module: BaseModule, signed: SignedTuple) -> bytes:
    """The broadcast of one second."""
    tree = Tree(parameter_name=names.CURRENT_TUPLE, parameter_value=TupelParameter(signed.to_entry()))
    return unsolicited(module.server_id, signed.index, TUPLE_PATH, tree)


def base_module_identification(module: BaseModule) -> Parameter:
    """Identification with public key and the number of its curve."""
    key = module.key.public
    public_key = Parameter(
        names.PUBLIC_KEY,
        lambda: octets(key.point),
        children=(Parameter(names.SIGNATURE_PROFILE, lambda: u8(SIGNATURE_PROFILES[key.curve])),),
    )
    return identification(
        module.server_id,
        module.variant.device_class,
        module.manufacturer,
        b"E750 BM",
        lambda: module.firmware.version,
        public_key,
    )


class BusService(BusApplication):
    """The application behind a base module's SML server."""

    def __init__(self, module: BaseModule) -> None:
        self.module = module
        roots: tuple[Parameter, ...] = (
            base_module_identification(module),
            self._special_tuples(),
            Parameter(names.SECONDS_INDEX, self._index),
            Parameter(names.STATUS_WORD, self._status),
            Parameter(names.REMAINING_PERIOD, lambda: u16(module.remaining_period_s)),
            monitoring_parameters(module),
            self._settings(),
            Parameter(
                names.DEVICE_TIME,
                children=(
                    Parameter(names.SECONDS_INDEX, self._index),
                    Parameter(names.SYNC_ACTIVE, lambda: flag(module.synchronous), self._take_token),
                    Parameter(names.UTC, None, lambda value: _checked(to_int(value, 0, 2**32 - 1))),
                ),
            ),
        )
        roots += firmware_parameters(module.firmware)
        super().__init__(module.server_id, lambda: roots, module.firmware)

    @property
    def ref_time(self) -> sml.SecIndex:
        return sml.SecIndex(self.module.seconds_index)

    def other(self, request: Request) -> Sequence[Body]:
        """The load profile in both forms, and the monitoring list."""
        module = self.module
        match request:
            case sml.GetProfilePackRequest():
                rows = select_rows(module.profile, request)
                pack = pack_response(rows, request, self.server_id, module.seconds_index, module.period_s)
                module.read_up_to = max(module.read_up_to, rows[-1].index)
                return [pack]
            case sml.GetProfileListRequest(parameter_tree_path=(names.LEGAL_LOG,)):
                return super().other(request)
            case sml.GetProfileListRequest(parameter_tree_path=(names.BASE_MODULE_LOG,)):
                return log_responses(module.log, request, self.server_id, self.ref_time)
            case sml.GetProfileListRequest():
                rows = select_rows(module.profile, request, limit=LIST_ROWS_MAX)
                answers = list_responses(rows, request, self.server_id, module.seconds_index, module.period_s)
                module.read_up_to = max(module.read_up_to, rows[-1].index)
                return answers
            case sml.GetListRequest():
                return [monitoring_list(module, request)]
        return super().other(request)

    def _index(self) -> sml.TimeParameter:
        return sml.TimeParameter(sml.SecIndex(self.module.seconds_index))

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
                Parameter(names.PERIOD_LENGTH, lambda: u16(module.period_s), self._set_period),
                Parameter(names.SIGNATURE_PROFILE, lambda: u8(SIGNATURE_PROFILES[module.key.curve])),
                Parameter(names.REACTIVE_METHOD, lambda: u8(module.reactive), self._set_reactive),
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

    def _set_period(self, value: sml.messages.ProcParValue) -> Change:
        period = to_int(value, 1, 3600)
        if period not in PERIODS_ALLOWED_S:
            raise Refusal(Attention.OUT_OF_RANGE, f"a period is one of {PERIODS_ALLOWED_S} s")
        return lambda: self.module.set_period(period)

    def _set_reactive(self, value: sml.messages.ProcParValue) -> Change:
        method = Reactive(to_int(value, 0, len(Reactive) - 1))
        return lambda: self.module.set_reactive(method)

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
