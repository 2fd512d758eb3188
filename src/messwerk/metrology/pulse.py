"""The metrological LED: pulses whose number is the energy, remainder kept exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .registers import MWS_PER_KWH, IntArray


@dataclass(frozen=True, slots=True)
class PulseOutput:
    """Pulses of a constant number per kWh (kvarh); nothing is lost between pulses.

    Energy of both directions counts as its magnitude. State is `remainder` alone: the energy
    since the last pulse times the constant, an exact integer below one kWh.
    """

    per_kwh: int
    """Meter constant printed on the faceplate. [imp/kWh]"""
    remainder: int = 0
    """[mWs · imp/kWh, 0 ≤ x < MWS_PER_KWH]"""

    def feed(self, energy_mws: IntArray) -> tuple[PulseOutput, IntArray]:
        """Take the energies of n seconds; return the new state and the pulses of each second, shape (n,)."""
        if not len(energy_mws):
            return self, np.zeros(0, dtype=np.int64)
        whole, part = np.divmod(np.cumsum(np.abs(energy_mws)), MWS_PER_KWH)  # apart, so int64 cannot overflow
        scaled = self.remainder + part * self.per_kwh
        pulses = np.diff(whole * self.per_kwh + scaled // MWS_PER_KWH, prepend=0)
        remainder = int(scaled[-1] % MWS_PER_KWH)
        return PulseOutput(self.per_kwh, remainder), pulses
