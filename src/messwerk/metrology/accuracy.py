"""How a real meter errs: gain and phase error per element, inside its accuracy class.

The limits are those at reference conditions. Source: EN 50470-3 for classes A and B, IEC 62053-23
for reactive class 2, as commonly quoted; the texts themselves were not at hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from .power import PhasePowers

Accuracy = Literal["A", "B"]

LIMITS_PERCENT: Final[dict[Accuracy, tuple[float, float]]] = {"A": (2.5, 2.0), "B": (1.5, 1.0)}
"""Active energy: from Imin to Itr, and from Itr to Imax (there also at PF 0.5 inductive and 0.8 capacitive)."""
REACTIVE_LIMITS_PERCENT: Final = (2.5, 2.0)
"""Reactive class 2: from 0.05 to 0.1 Ib, and from 0.1 Ib to Imax."""
GAIN_SHARE: Final = 0.4
"""Of the class limit, the most a drawn gain error takes."""
PHASE_SHARE: Final = 0.2
"""Of the class limit (as radians), the most a drawn phase error takes: 0.35 of it at power factor 0.5."""


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """Errors of the three elements. Zeros are a perfect meter.

    P' = (1+g)(P·cos d + Q·sin d), Q' = (1+g)(Q·cos d - P·sin d), with g the gain error as a
    share and d the angle by which the current seems to lead, in radians.
    """

    gain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    phase_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def drawn(cls, seed: int, accuracy: Accuracy) -> ErrorModel:
        """The errors of one specimen, reproducible by its seed and well inside its class."""
        limit = LIMITS_PERCENT[accuracy][1] / 100.0
        digest = hashlib.blake2b(f"element errors {seed}".encode(), digest_size=48).digest()
        shares = [int.from_bytes(digest[at : at + 8], "big") / 2**63 - 1.0 for at in range(0, 48, 8)]
        gain, phase = shares[:3], shares[3:]
        return cls(
            (gain[0] * GAIN_SHARE * limit, gain[1] * GAIN_SHARE * limit, gain[2] * GAIN_SHARE * limit),
            (phase[0] * PHASE_SHARE * limit, phase[1] * PHASE_SHARE * limit, phase[2] * PHASE_SHARE * limit),
        )

    def distort(self, powers: PhasePowers) -> PhasePowers:
        """What the elements report for these true powers."""
        gain = 1.0 + np.asarray(self.gain)
        cos, sin = np.cos(self.phase_rad), np.sin(self.phase_rad)
        p_w = gain * (powers.p_w * cos + powers.q_var * sin)
        q_var = gain * (powers.q_var * cos - powers.p_w * sin)
        return PhasePowers(p_w, q_var, powers.u_v, powers.field_reversed)
