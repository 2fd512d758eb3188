"""What reaches a meter's measuring elements: powers and voltages of three phases, a row a second.

Sign everywhere: + is import (+A, from the grid into the installation), inductive reactive power
drawn from the grid is +Q. Floats live here and nowhere further down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NOMINAL_VOLTAGE_V = 230.0
"""Phase to neutral. Source: E320 type code, voltage level D."""


@dataclass(frozen=True, slots=True, eq=False)
class PhasePowers:
    """Means over n consecutive seconds, for L1, L2, L3.

    Active and reactive power and phase-to-neutral voltage, each of shape (n, 3), float64.
    [W, var, V]. Raises ValueError when shapes differ or a value is not finite.
    """

    p_w: FloatArray
    q_var: FloatArray
    u_v: FloatArray
    field_reversed: BoolArray | None = None
    """Shape (n,): True where the voltages do not follow each other as L1, L2, L3. None: never."""

    def __post_init__(self) -> None:
        if self.p_w.ndim != 2 or self.p_w.shape[1] != 3:
            raise ValueError(f"powers have one row a second and three columns, not shape {self.p_w.shape}")
        if self.q_var.shape != self.p_w.shape or self.u_v.shape != self.p_w.shape:
            raise ValueError(f"shapes differ: p {self.p_w.shape}, q {self.q_var.shape}, u {self.u_v.shape}")
        if self.field_reversed is not None and self.field_reversed.shape != self.p_w.shape[:1]:
            raise ValueError(f"field_reversed has one value a second, not shape {self.field_reversed.shape}")
        if not (np.isfinite(self.p_w).all() and np.isfinite(self.q_var).all() and np.isfinite(self.u_v).all()):
            raise ValueError("a power or voltage is not a finite number")

    @classmethod
    def constant(
        cls,
        n: int,
        p_w: tuple[float, float, float],
        q_var: tuple[float, float, float] = (0.0, 0.0, 0.0),
        u_v: tuple[float, float, float] = (NOMINAL_VOLTAGE_V,) * 3,
    ) -> PhasePowers:
        """n equal seconds."""
        p, q, u = (np.tile(np.asarray(row, dtype=np.float64), (n, 1)) for row in (p_w, q_var, u_v))
        return cls(p, q, u)

    def __len__(self) -> int:
        """Number of seconds."""
        return len(self.p_w)

    def __getitem__(self, seconds: slice) -> PhasePowers:
        """A run of seconds as a view."""
        reversed_ = None if self.field_reversed is None else self.field_reversed[seconds]
        return PhasePowers(self.p_w[seconds], self.q_var[seconds], self.u_v[seconds], reversed_)

    def __add__(self, other: PhasePowers) -> PhasePowers:
        """Two loads on the same terminals: powers add, the voltages are those of the left one."""
        return PhasePowers(self.p_w + other.p_w, self.q_var + other.q_var, self.u_v, self.field_reversed)

    def blocks(self, seconds: int) -> Iterator[PhasePowers]:
        """Cut into runs of at most `seconds`."""
        for start in range(0, len(self), seconds):
            yield self[start : start + seconds]

    @property
    def p_sum_w(self) -> FloatArray:
        """Active power summed over the phases, shape (n,). The order of addition is fixed: L1, L2, L3."""
        return self.p_w[:, 0] + self.p_w[:, 1] + self.p_w[:, 2]

    @property
    def q_sum_var(self) -> FloatArray:
        """Reactive power summed over the phases, shape (n,)."""
        return self.q_var[:, 0] + self.q_var[:, 1] + self.q_var[:, 2]

    @property
    def current_a(self) -> FloatArray:
        """RMS current of each phase from apparent power and voltage, shape (n, 3); 0 without voltage."""
        apparent_va = np.sqrt(self.p_w * self.p_w + self.q_var * self.q_var)
        return np.divide(apparent_va, self.u_v, out=np.zeros_like(apparent_va), where=self.u_v > 0)
