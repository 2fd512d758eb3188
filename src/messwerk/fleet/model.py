"""What every load is: seconds of phase powers on request, any of them, at any time, the same."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ..metrology import PhasePowers
from ..metrology.power import NOMINAL_VOLTAGE_V, FloatArray
from .randomness import Times, drift, noise, stream

LOOK_AHEAD_S = 900


class Load(ABC):
    """An installation behind a meter. Loads on the same terminals combine with `+`."""

    seed: int

    @abstractmethod
    def power(self, start_utc: int, n: int) -> tuple[FloatArray, FloatArray]:
        """Active and reactive power of n seconds from `start_utc`, each of shape (n, 3). [W, var]"""

    def sample(self, start_utc: int, n: int) -> PhasePowers:
        """Powers and voltages of n seconds; any tiling of the same seconds gives the same rows."""
        p_w, q_var = self.power(start_utc, n)
        return PhasePowers(p_w, q_var, grid_voltage(self.seed, np.arange(start_utc, start_utc + n)))

    def __add__(self, other: Load) -> Load:
        return Sum(self, other)


class Sum(Load):
    """Two loads on the same terminals; the voltages are the left one's."""

    def __init__(self, left: Load, right: Load) -> None:
        self.left, self.right, self.seed = left, right, left.seed

    def power(self, start_utc: int, n: int) -> tuple[FloatArray, FloatArray]:
        p_left, q_left = self.left.power(start_utc, n)
        p_right, q_right = self.right.power(start_utc, n)
        return p_left + p_right, q_left + q_right


class Constant(Load):
    """The same power in every second."""

    def __init__(
        self, p_w: tuple[float, float, float], q_var: tuple[float, float, float] = (0, 0, 0), *, seed: int = 0
    ) -> None:
        self.p_w, self.q_var, self.seed = p_w, q_var, seed

    def power(self, start_utc: int, n: int) -> tuple[FloatArray, FloatArray]:
        return np.tile(np.asarray(self.p_w, dtype=np.float64), (n, 1)), np.tile(
            np.asarray(self.q_var, dtype=np.float64), (n, 1)
        )


class LookAhead:
    """Serves single seconds of a load from blocks of 15 minutes: for meters that run live."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._start = 0
        self._block: PhasePowers | None = None

    def second(self, utc: int) -> PhasePowers:
        """The one second that begins at `utc`, as a PhasePowers of one row."""
        start = utc - utc % LOOK_AHEAD_S
        if self._block is None or start != self._start:
            self._start, self._block = start, self.load.sample(start, LOOK_AHEAD_S)
        return self._block[utc - start : utc - start + 1]


def grid_voltage(seed: int, times: Times) -> FloatArray:
    """Phase-to-neutral voltages, shape (n, 3): 230 V with slow wander, minutes of unrest and flicker. [V]"""
    columns = []
    common = drift(stream(seed, "voltage"), times, 3600) * 3.0
    for phase in range(3):
        slow = drift(stream(seed, "voltage slow", phase), times, 600)
        quick = drift(stream(seed, "voltage quick", phase), times, 20)
        flicker = noise(stream(seed, "voltage flicker", phase), times)
        columns.append(NOMINAL_VOLTAGE_V + common + slow * 1.2 + quick * 0.5 + flicker * 0.08)
    return np.stack(columns, axis=1)
