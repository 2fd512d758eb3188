"""What the three measuring elements see when the neutral is missing, or there is none (Aron).

Without neutral the elements measure against their own star point, which lies in the middle of
the voltages present. The sum over the elements equals the two-element (Aron) formula
u12·i1 + u32·i3 exactly when the phase currents add up to nothing, as they do in a network of
three wires.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..metrology import PhasePowers

Phasors = NDArray[np.complex128]


def phasors(powers: PhasePowers) -> tuple[Phasors, Phasors]:
    """Voltages and currents as phasors of shape (n, 3), U1 at 0°, the others 120° behind each other.

    A phase without voltage has no current: its power cannot be told.
    """
    order = np.ones(len(powers)) if powers.field_reversed is None else np.where(powers.field_reversed, -1.0, 1.0)
    angle = -2.0 * np.pi / 3.0 * order[:, None] * np.arange(3)[None, :]
    voltage = powers.u_v * np.exp(1j * angle)
    apparent = powers.p_w + 1j * powers.q_var
    current = np.divide(apparent, voltage, out=np.zeros_like(voltage), where=powers.u_v > 0)
    return voltage, np.conj(current)


def without_neutral(powers: PhasePowers) -> PhasePowers:
    """The same seconds as elements see them whose star point is not connected.

    Powers and voltages are taken against the mean of the voltages present; the currents stay.
    """
    voltage, current = phasors(powers)
    present = powers.u_v > 0
    count = np.maximum(present.sum(axis=1), 1)
    star = np.where(present, voltage, 0).sum(axis=1) / count
    seen = np.where(present, voltage - star[:, None], 0)
    apparent = seen * np.conj(current)
    return PhasePowers(apparent.real, apparent.imag, np.abs(seen), powers.field_reversed)


def secondary(powers: PhasePowers, ct_ratio: int, vt_ratio: int) -> PhasePowers:
    """Primary powers and voltages as instrument transformers hand them to the terminals."""
    ratio = ct_ratio * vt_ratio
    return PhasePowers(powers.p_w / ratio, powers.q_var / ratio, powers.u_v / vt_ratio, powers.field_reversed)
