"""A load that hands can change while it runs: what somebody connects besides the installation's own.

Untouched it is the load itself, row for row, so a world that nobody touches stays recomputable.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from ..errors import LocalError
from ..metrology import PhasePowers
from .model import LookAhead

MOST_W = 25_000.0
"""More than a phase of a 100 A meter carries at nominal voltage is refused."""
LEAST_COS_PHI = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What hands have connected: the same in every second until they change it.

    Raises LocalError for a figure outside its range.
    """

    draw_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Drawn from L1, L2, L3, 0 … MOST_W each."""
    cos_phi: float = 1.0
    """Power factor of what is drawn, LEAST_COS_PHI … 1."""
    capacitive: bool = False
    """Reactive power of what is drawn is -Q; else +Q."""
    sun_w: float = 0.0
    """Fed in, a third on each phase, 0 … 3 MOST_W, power factor 1."""
    own: bool = True
    """The installation's own load is connected too."""

    def __post_init__(self) -> None:
        powers = (*self.draw_w, self.sun_w / 3)
        if len(self.draw_w) != 3 or not all(isfinite(power_w) and 0 <= power_w <= MOST_W for power_w in powers):
            raise LocalError(f"a load draws, and the sun feeds, 0 to {MOST_W:.0f} W on each of three phases: {self}")
        if not LEAST_COS_PHI <= self.cos_phi <= 1:
            raise LocalError(f"a power factor is {LEAST_COS_PHI} to 1, not {self.cos_phi}")

    def upon(self, powers: PhasePowers) -> PhasePowers:
        """These seconds with what was connected; `powers` itself where nothing was."""
        if self == NOTHING:
            return powers
        draw_w = np.asarray(self.draw_w, dtype=np.float64)
        tan_phi = sqrt(1 - self.cos_phi**2) / self.cos_phi * (-1 if self.capacitive else 1)
        share = 1.0 if self.own else 0.0
        return PhasePowers(
            powers.p_w * share + (draw_w - self.sun_w / 3),
            powers.q_var * share + draw_w * tan_phi,
            powers.u_v,
            powers.field_reversed,
        )


NOTHING = Extra()


class Adjustable(LookAhead):
    """A load with an `extra` that may change between any two seconds."""

    extra: Extra = NOTHING

    def adjust(
        self,
        *,
        draw_w: tuple[float, float, float],
        cos_phi: float,
        capacitive: bool,
        sun_w: float,
        own: bool,
    ) -> None:
        """Connect this from the next second on, instead of what was. Raises LocalError."""
        self.extra = Extra(draw_w=draw_w, cos_phi=cos_phi, capacitive=capacitive, sun_w=sun_w, own=own)

    def second(self, utc: int) -> PhasePowers:
        return self.extra.upon(super().second(utc))

    def sample(self, start_utc: int, n: int) -> PhasePowers:
        """Many seconds at once, with what is connected now."""
        return self.extra.upon(self.load.sample(start_utc, n))
