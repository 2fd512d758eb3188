"""Instantaneous values: voltages, currents, angles, powers. Not signed, not for billing.

Source of names: SyM² 1.03 table 5. The neutral current has no angle entry there.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .. import sml
from ..metrology import PhasePowers
from ..sml import Attention, GetListRequest, GetListResponse, Integer32, ListEntry, PeriodEntry, PeriodParameter
from ..sml.session import Refusal
from ..units import AMPERE, DEGREE, HERTZ, VOLT, WATT
from . import object_names as names
from .parameters import Parameter
from .wiring import phasors

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
    last = powers[len(powers) - 1 :]
    (voltage,), (current,) = phasors(last)
    p_w, u_v, current_a = last.p_w[0], last.u_v[0], np.abs(current)
    values = [_value(names.POWER, WATT, POWER_SCALER, float(p_w.sum()))]
    values += [_value(name, WATT, POWER_SCALER, p_w[k]) for k, name in enumerate(names.POWER_PHASES)]
    values += [_value(name, AMPERE, CURRENT_SCALER, current_a[k]) for k, name in enumerate(names.CURRENT_PHASES)]
    values.append(_value(names.CURRENT_NEUTRAL, AMPERE, CURRENT_SCALER, abs(current.sum())))
    values += [_value(name, VOLT, VOLTAGE_SCALER, u_v[k]) for k, name in enumerate(names.VOLTAGE_PHASES)]
    for name, phase in ((names.ANGLE_U2_U1, 1), (names.ANGLE_U3_U1, 2)):
        if u_v[0] > 0 and u_v[phase] > 0:
            values.append(_angle(name, voltage[phase] / voltage[0]))
    for phase, name in enumerate(names.ANGLE_CURRENTS):
        if current_a[phase] > 0:
            values.append(_angle(name, current[phase] / voltage[phase]))
    values.append(_value(names.FREQUENCY, HERTZ, FREQUENCY_SCALER, frequency_hz))
    return values


def _value(name: bytes, unit: int, scaler: int, value: float) -> Instantaneous:
    """Truncated toward zero, as every output of the meter."""
    return Instantaneous(name, unit, scaler, int(round(float(value) * 10**-scaler, 6)))


def _angle(name: bytes, ratio: complex) -> Instantaneous:
    """The angle of one phasor to another, 0 <= x < 360°."""
    found = _value(name, DEGREE, ANGLE_SCALER, math.degrees(cmath.phase(ratio)) % 360.0)
    return replace(found, raw=found.raw % 3600)


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
