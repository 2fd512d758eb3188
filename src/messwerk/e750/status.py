"""The status word of a second, from what the measuring elements saw."""

from __future__ import annotations

from typing import Final

from ..metrology import PhasePowers
from ..tuples import (
    STATUS_ABOVE_START,
    STATUS_EXPORT,
    STATUS_EXPORT_L1,
    STATUS_IDENTIFICATION,
    STATUS_ROTATION,
    STATUS_VOLTAGE_L1,
)

VOLTAGE_PRESENT_SHARE: Final = 0.8
"""A phase counts as present from this share of the nominal voltage. [design]"""


def measured_status(powers: PhasePowers, second: int, *, above_start: bool, export: bool, voltage_v: float) -> int:
    """Bits 0 … 20 of the status word for one second of `powers`.

    `above_start` and `export` come from summation: whether energy is counted, and whether the
    sum over the phases is negative. `voltage_v` is the nominal voltage.
    """
    status = STATUS_IDENTIFICATION
    status |= STATUS_ABOVE_START if above_start else 0
    status |= STATUS_EXPORT if export else 0
    for phase in range(3):
        status |= STATUS_EXPORT_L1 << phase if powers.p_w[second, phase] < 0 else 0
        status |= STATUS_VOLTAGE_L1 << phase if powers.u_v[second, phase] >= VOLTAGE_PRESENT_SHARE * voltage_v else 0
    if powers.field_reversed is not None and powers.field_reversed[second]:
        status |= STATUS_ROTATION
    return status
