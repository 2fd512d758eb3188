"""Vector summation over the phases, five measurement modes, integer registers.

The sum of the three phases decides direction and register, never a single phase; energies are
integers of mWs (mvars) from the second on, so nothing is lost and blocks of any size agree bit
for bit. Source: E320 manual (summation method, measurement modes), base meters of the FNN class.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .power import BoolArray, FloatArray
from .threshold import hysteresis, last_nonzero

IntArray = NDArray[np.int64]

MWS_PER_WH: Final = 3_600_000
MWS_PER_WH_TENTH: Final = MWS_PER_WH // 10
MWS_PER_KWH: Final = MWS_PER_WH * 1000
REGISTER_RANGE_MWS: Final = 10**6 * MWS_PER_KWH
"""A register wraps at 10^6 kWh, as its six display digits do."""
RELEASE_RATIO: Final = 0.8
"""Once started, a meter counts until the power falls below this share of the start-up power."""
POWER_LIMIT_W: Final = 1e8
"""More than any three-phase meter sees; keeps a year of int64 mWs far from overflow."""


class Mode(IntEnum):
    """Measurement mode; the number is the type designation's "measurement modes 2"."""

    IMPORT = 1
    """+A with return stop (Einrichtungszähler +A)."""
    EXPORT = 2
    """-A with return stop (Einrichtungszähler -A)."""
    TWO_WAY = 3
    """+A and -A (Zweirichtungszähler)."""
    BALANCED_EXPORT = 4
    """-A balanced without return stop (Saldierender Zähler -A): import runs the register backward."""
    FOUR_QUADRANT = 5
    """+A, -A and reactive energy by quadrant (4-Quadranten-Zähler)."""

    @property
    def has_import(self) -> bool:
        """A register +A exists."""
        return self in (Mode.IMPORT, Mode.TWO_WAY, Mode.FOUR_QUADRANT)

    @property
    def has_export(self) -> bool:
        """A register -A exists."""
        return self is not Mode.IMPORT

    @property
    def has_reactive(self) -> bool:
        return self is Mode.FOUR_QUADRANT


@dataclass(frozen=True, slots=True)
class FoldState:
    """What summation remembers from one second to the next."""

    active: bool = False
    """Active power has passed start-up and not yet fallen below the release threshold."""
    reactive: bool = False
    """The same for reactive power."""
    p_sign: int = 1
    """Sign of the last active power that was not exactly zero: keeps the quadrant at P = 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Energies:
    """Energies of n consecutive seconds, each int64 of shape (n,). [mWs, mvars]

    All are >= 0, except export in mode BALANCED_EXPORT, where net import counts negative.
    """

    import_mws: IntArray
    export_mws: IntArray
    r1_mvars: IntArray
    r2_mvars: IntArray
    r3_mvars: IntArray
    r4_mvars: IntArray
    net_mws: IntArray
    """Signed sum over the phases, + = import, whether counted or not."""
    active: BoolArray
    """True where the summed active power is above start-up."""
    return_stop: BoolArray
    """True where a return stop holds energy back."""
    after: FoldState
    """What to hand to the next call."""


def fold(
    p_sum_w: FloatArray,
    q_sum_var: FloatArray,
    mode: Mode,
    start_power_w: float,
    before: FoldState = FoldState(),
) -> Energies:
    """Turn summed powers of n seconds into energies by measurement mode.

    Args: `p_sum_w`, `q_sum_var`: sums over the phases, shape (n,) [W, var, + = import, inductive];
        `start_power_w`: no counting below, with hysteresis down to 80 % of it; it holds for
        |P| and |Q| apart; `before`: state after the previous second.
    Returns: Energies; n seconds at once and n calls of one second are identical.
    Raises: ValueError: shapes differ, or a power is not below POWER_LIMIT_W.
    """
    if p_sum_w.ndim != 1 or p_sum_w.shape != q_sum_var.shape:
        raise ValueError(f"sums have one value a second: shapes {p_sum_w.shape} and {q_sum_var.shape}")
    p_mws, q_mvars = _quantise(p_sum_w), _quantise(q_sum_var)
    threshold = round(start_power_w * 1000)
    release = round(start_power_w * 1000 * RELEASE_RATIO)
    magnitude = np.abs(p_mws)
    active = hysteresis(magnitude, threshold, release, before.active)
    counted = np.where(active, p_mws, 0)
    zero = np.zeros_like(p_mws)
    imported, exported = np.maximum(counted, 0), np.maximum(-counted, 0)
    return_stop = np.zeros(len(p_mws), dtype=np.bool_)
    if mode is Mode.IMPORT:
        return_stop = active & (p_mws < 0)
        exported = zero
    elif mode is Mode.EXPORT:
        return_stop = active & (p_mws > 0)
        imported = zero
    elif mode is Mode.BALANCED_EXPORT:
        imported, exported = zero, -counted
    r1 = r2 = r3 = r4 = zero
    reactive_after, p_sign_after = before.reactive, before.p_sign
    if mode is Mode.FOUR_QUADRANT:
        reactive = hysteresis(np.abs(q_mvars), threshold, release, before.reactive)
        p_sign = last_nonzero(np.sign(p_mws), before.p_sign)
        inductive = np.where(reactive, np.maximum(q_mvars, 0), 0)
        capacitive = np.where(reactive, np.maximum(-q_mvars, 0), 0)
        importing = p_sign > 0
        r1, r2 = np.where(importing, inductive, 0), np.where(importing, 0, inductive)
        r3, r4 = np.where(importing, 0, capacitive), np.where(importing, capacitive, 0)
        if len(p_mws):
            reactive_after, p_sign_after = bool(reactive[-1]), int(p_sign[-1])
    after = FoldState(bool(active[-1]) if len(active) else before.active, reactive_after, p_sign_after)
    return Energies(imported, exported, r1, r2, r3, r4, p_mws, active, return_stop, after)


def _quantise(power: FloatArray) -> IntArray:
    """Energy of each second in mWs: the nearest integer, ties to even."""
    if len(power) and not np.abs(power).max() < POWER_LIMIT_W:
        raise ValueError(f"a power is not below {POWER_LIMIT_W:.0e} W")
    return np.rint(power * 1000.0).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Registers:
    """The energy registers as exact integers. [mWs, mvars, 0 ≤ x < range]"""

    import_mws: int = 0
    """1.8.0, +A."""
    export_mws: int = 0
    """2.8.0, -A."""
    r1_mvars: int = 0
    """5.8.0: quadrant I, +P +Q."""
    r2_mvars: int = 0
    """6.8.0: quadrant II, -P +Q."""
    r3_mvars: int = 0
    """7.8.0: quadrant III, -P -Q."""
    r4_mvars: int = 0
    """8.8.0: quadrant IV, +P -Q."""

    def add(self, energies: Energies, *, range_mws: int = REGISTER_RANGE_MWS) -> Registers:
        """The registers after these seconds; each wraps at `range_mws`, in both directions."""
        return Registers(*((value + int(getattr(energies, name).sum())) % range_mws for name, value in self._items()))

    def after_each_second(self, energies: Energies, *, range_mws: int = REGISTER_RANGE_MWS) -> dict[str, IntArray]:
        """Every register after every one of the seconds: int64 of shape (n,) by field name."""
        return {name: np.mod(value + np.cumsum(getattr(energies, name)), range_mws) for name, value in self._items()}

    def _items(self) -> list[tuple[str, int]]:
        return [(name, getattr(self, name)) for name in REGISTER_NAMES]


REGISTER_NAMES: Final = tuple(field.name for field in fields(Registers))
"""Field names in the order 1.8.0, 2.8.0, 5.8.0 … 8.8.0; Energies has the same."""


def wh_tenths(mws: int) -> int:
    """A register in 0.1 Wh (0.1 varh), truncated toward zero."""
    return mws // MWS_PER_WH_TENTH if mws >= 0 else -(-mws // MWS_PER_WH_TENTH)


def kwh(mws: int) -> int:
    """A register in whole kWh (kvarh), truncated toward zero: 1.9999 kWh reads 1."""
    return mws // MWS_PER_KWH if mws >= 0 else -(-mws // MWS_PER_KWH)
