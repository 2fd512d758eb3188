"""Installation errors between the grid and the meter: each turns phasors into other phasors.

They act at the meter's terminals: what the meter sees and, where the error lies before the
installation (lost phase, lost neutral), what the installation draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .signals import ComplexArray, Phasors


class WiringFault(Protocol):
    """One error; combine them with `wire`."""

    def apply(self, phasors: Phasors) -> Phasors: ...


def wire(phasors: Phasors, *faults: WiringFault) -> Phasors:
    """Apply errors one after the other."""
    for fault in faults:
        phasors = fault.apply(phasors)
    return phasors


@dataclass(frozen=True, slots=True)
class PhaseMissing:
    """A fuse before the meter is open: neither voltage nor current on this phase (0, 1, 2)."""

    phase: int

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, _zero(phasors.u_v, self.phase), _zero(phasors.i_a, self.phase))


@dataclass(frozen=True, slots=True)
class VoltageMissing:
    """The meter's voltage path is open while the current flows: this phase is not counted."""

    phase: int

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, _zero(phasors.u_v, self.phase), phasors.i_a)


@dataclass(frozen=True, slots=True)
class CurrentMissing:
    """A bypass, or a current transformer that is short-circuited: no current in the meter."""

    phase: int

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, phasors.u_v, _zero(phasors.i_a, self.phase))


@dataclass(frozen=True, slots=True)
class CurrentReversed:
    """Input and output, or k and l of a transformer, are exchanged on one phase."""

    phase: int

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, phasors.u_v, _scaled(phasors.i_a, self.phase, -1.0))


@dataclass(frozen=True, slots=True)
class CurrentRatio:
    """A transformer of the wrong ratio: the meter sees `factor` times the right current."""

    phase: int
    factor: float

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, phasors.u_v, _scaled(phasors.i_a, self.phase, self.factor))


@dataclass(frozen=True, slots=True)
class PhasesSwapped:
    """Two phases are exchanged as a whole: energies stay right, the rotating field is reversed."""

    first: int
    second: int

    def apply(self, phasors: Phasors) -> Phasors:
        order = _exchanged(self.first, self.second)
        return _with(phasors, phasors.u_v[..., order], phasors.i_a[..., order])


@dataclass(frozen=True, slots=True)
class CurrentsSwapped:
    """Currents of two phases reach each other's element: power factors are off by 120°."""

    first: int
    second: int

    def apply(self, phasors: Phasors) -> Phasors:
        return _with(phasors, phasors.u_v, phasors.i_a[..., _exchanged(self.first, self.second)])


@dataclass(frozen=True, slots=True)
class NeutralLost:
    """The neutral is open before the meter: the star point moves to where the currents add up to zero.

    Loads are taken as admittances at each harmonic, so voltages and powers change with them; an
    installation without load keeps its voltages.
    """

    def apply(self, phasors: Phasors) -> Phasors:
        u, i = phasors.u_v, phasors.i_a
        admittance = np.divide(i, u, out=np.zeros_like(i), where=np.abs(u) > 0)
        total = admittance.sum(axis=-1, keepdims=True)
        shift = np.divide(i.sum(axis=-1, keepdims=True), total, out=np.zeros_like(total), where=np.abs(total) > 1e-9)
        return _with(phasors, u - shift, admittance * (u - shift))


def _with(phasors: Phasors, u_v: ComplexArray, i_a: ComplexArray) -> Phasors:
    return Phasors(u_v, i_a, phasors.frequency_hz, phasors.orders)


def _scaled(values: ComplexArray, phase: int, factor: float) -> ComplexArray:
    factors = np.ones(3)
    factors[phase] = factor
    return values * factors


def _zero(values: ComplexArray, phase: int) -> ComplexArray:
    return _scaled(values, phase, 0.0)


def _exchanged(first: int, second: int) -> list[int]:
    order = [0, 1, 2]
    order[first], order[second] = order[second], order[first]
    return order
