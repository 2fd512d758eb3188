"""Instantaneous values: voltages, currents, angles, powers. Not signed, not for billing.

Source of names: SyM² 1.03 table 5. The neutral current has no angle entry there.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .. import sml
from ..metrology import PhasePowers
from ..sml import Attention, GetListRequest, GetListResponse, Integer32, ListEntry, PeriodEntry, PeriodParameter
from ..sml.session import Refusal
from ..units import AMPERE, DEGREE, HERTZ, VOLT, WATT
from . import object_names as names
from .parameters import Parameter

if TYPE_CHECKING:
    from .base_module import BaseModule

CURRENT_SCALER: Final = -3
VOLTAGE_SCALER: Final = -1
ANGLE_SCALER: Final = -1
POWER_SCALER: Final = -1
FREQUENCY_SCALER: Final = -2


@dataclass(frozen=True, slots=True)
class Instantaneous:
    """One value: `raw` x 10**`scaler` in `unit`."""

    name: bytes
    unit: int
    scaler: int
    raw: int


def instantaneous(powers: PhasePowers, frequency_hz: float) -> list[Instantaneous]:
    """Every value of the last second of `powers`, in the order of SyM² table 5.

    Angles are degrees in [0, 360), counted from U1; a phase without voltage or current has
    none. The neutral current is the sum of the phase currents as phasors.
    """
    p_w, q_var, u_v = powers.p_w[-1], powers.q_var[-1], powers.u_v[-1]
    current_a = powers.current_a[-1]
    turn = -1 if powers.field_reversed is not None and powers.field_reversed[-1] else 1
    voltage_angle = [-120.0 * turn * phase for phase in range(3)]
    lag = [math.degrees(math.atan2(q_var[phase], p_w[phase])) for phase in range(3)]
    neutral = abs(
        sum(cmath.rect(current_a[phase], math.radians(voltage_angle[phase] - lag[phase])) for phase in range(3))
    )
    values = [_value(names.POWER, WATT, POWER_SCALER, float(p_w.sum()))]
    values += [_value(name, WATT, POWER_SCALER, p_w[k]) for k, name in enumerate(names.POWER_PHASES)]
    values += [_value(name, AMPERE, CURRENT_SCALER, current_a[k]) for k, name in enumerate(names.CURRENT_PHASES)]
    values.append(_value(names.CURRENT_NEUTRAL, AMPERE, CURRENT_SCALER, neutral))
    values += [_value(name, VOLT, VOLTAGE_SCALER, u_v[k]) for k, name in enumerate(names.VOLTAGE_PHASES)]
    for name, phase in ((names.ANGLE_U2_U1, 1), (names.ANGLE_U3_U1, 2)):
        if u_v[0] > 0 and u_v[phase] > 0:
            values.append(_angle(name, voltage_angle[phase]))
    for phase, name in enumerate(names.ANGLE_CURRENTS):
        if current_a[phase] > 0:
            values.append(_angle(name, -lag[phase]))
    values.append(_value(names.FREQUENCY, HERTZ, FREQUENCY_SCALER, frequency_hz))
    return values


def _value(name: bytes, unit: int, scaler: int, value: float) -> Instantaneous:
    """Truncated toward zero, as every output of the meter."""
    return Instantaneous(name, unit, scaler, int(round(float(value) * 10**-scaler, 6)))


def _angle(name: bytes, degrees: float) -> Instantaneous:
    return _value(name, DEGREE, ANGLE_SCALER, degrees % 360.0)


def monitoring_parameters(module: BaseModule) -> Parameter:
    """The tree 81 81 C7 85 01 FF, each value a period entry with unit and scaler."""

    def children() -> list[Parameter]:
        return [_leaf(value) for value in _values(module)]

    return Parameter(names.MONITORING, children=children)


def _leaf(value: Instantaneous) -> Parameter:
    entry = PeriodEntry(obj_name=value.name, unit=value.unit, scaler=value.scaler, value=Integer32(value.raw))
    return Parameter(value.name, lambda: PeriodParameter(entry))


def monitoring_list(module: BaseModule, request: GetListRequest) -> GetListResponse:
    """The same values as a list, named 99 00 00 00 00 03 or not named. Raises Refusal."""
    if request.list_name not in (None, b"", names.CURRENT_LIST):
        raise Refusal(Attention.NOT_EXECUTED, "no such list")
    return GetListResponse(
        client_id=request.client_id, server_id=module.server_id, list_name=names.CURRENT_LIST,
        act_sensor_time=sml.SecIndex(module.seconds_index),
        val_list=tuple(
            ListEntry(obj_name=value.name, unit=value.unit, scaler=value.scaler, value=Integer32(value.raw))
            for value in _values(module)
        ),
    )  # fmt: skip


def _values(module: BaseModule) -> list[Instantaneous]:
    if module.last_powers is None:
        return []
    return instantaneous(module.last_powers, module.frequency_hz)
