"""Voltages and currents as phasors and as sampled waveforms, and what a meter makes of either.

    Phasors ──────────────── powers() ───────────────► PhasePowers      fast, exact
       └─ synthesise() ─► u(t), i(t) ─ measure() ─► Phasors ─► powers()  as the converters see it

Both ways agree to better than AGREEMENT of the apparent power for signals that are steady within
a second. Active power is that of all harmonics, reactive power that of the fundamental unless `SHIFTED`.
Angles: L2 follows L1 by 120°, so its phasor is turned by -120°; a current that lags its voltage
is inductive and gives +Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .power import NOMINAL_VOLTAGE_V, FloatArray, PhasePowers

ComplexArray = NDArray[np.complex128]

NOMINAL_FREQUENCY_HZ: Final = 50.0
SAMPLE_RATE_HZ: Final = 6400
"""128 samples a period: harmonics up to the 63rd."""
AGREEMENT: Final = 1e-6
"""Bound of the difference between both paths, as a share of the apparent power."""
FIELD: Final = np.exp(-2j * np.pi / 3 * np.arange(3))
"""Unit phasors of a right rotating field L1, L2, L3."""


class Reactive(IntEnum):
    """What reactive power is where there are harmonics; without them both are the same."""

    FUNDAMENTAL = 0
    """That of the fundamental alone."""
    SHIFTED = 1
    """Mean of the current times the voltage of a quarter period before: what shifting elements measure."""


@dataclass(frozen=True, slots=True, eq=False)
class Phasors:
    """Voltages and currents of three phases over n seconds, root mean square.

    `u_v` and `i_a` are complex of shape (n, h, 3): seconds, orders, phases; the first order is
    the fundamental. [V, A; currents flow into the installation]
    """

    u_v: ComplexArray
    i_a: ComplexArray
    frequency_hz: FloatArray
    """Shape (n,)."""
    orders: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        shape = (len(self.frequency_hz), len(self.orders), 3)
        if self.u_v.shape != shape or self.i_a.shape != shape:
            raise ValueError(f"expected shape {shape}, not {self.u_v.shape} and {self.i_a.shape}")
        if self.orders[:1] != (1,) or len(set(self.orders)) != len(self.orders):
            raise ValueError(f"orders begin with 1 and differ: {self.orders}")

    @classmethod
    def of_powers(cls, powers: PhasePowers, frequency_hz: float = NOMINAL_FREQUENCY_HZ) -> Phasors:
        """Sinusoidal voltages and currents that carry these powers; no current where there is no voltage."""
        u_v = powers.u_v * FIELD
        apparent = powers.p_w + 1j * powers.q_var
        i_a = np.conj(np.divide(apparent, u_v, out=np.zeros_like(u_v), where=powers.u_v > 0))
        return cls(u_v[:, np.newaxis], i_a[:, np.newaxis], np.full(len(powers), frequency_hz))

    @classmethod
    def steady(
        cls,
        n: int,
        *,
        i_a: tuple[float, float, float],
        phi_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
        u_v: tuple[float, float, float] = (NOMINAL_VOLTAGE_V,) * 3,
        frequency_hz: float = NOMINAL_FREQUENCY_HZ,
    ) -> Phasors:
        """n equal seconds without harmonics; `phi_deg` is how far each current lags its voltage."""
        voltages = np.asarray(u_v) * FIELD
        currents = np.asarray(i_a) * FIELD * np.exp(-1j * np.radians(phi_deg))
        rows = (np.tile(row, (n, 1, 1)) for row in (voltages, currents))
        return cls(next(rows), next(rows), np.full(n, frequency_hz))

    def with_harmonic(self, order: int, *, u_share: complex = 0.0, i_share: complex = 0.0) -> Phasors:
        """Add a harmonic as a share of each phase's fundamental.

        The share's angle is at the harmonic's own frequency, relative to the fundamental's angle
        turned `order` times, so all three phases get the same waveform.
        """
        u_harmonic, i_harmonic = (
            (share * np.abs(first) * np.exp(1j * order * np.angle(first)))[:, np.newaxis]
            for first, share in ((self.u_v[:, 0], u_share), (self.i_a[:, 0], i_share))
        )
        return Phasors(
            np.concatenate([self.u_v, u_harmonic], axis=1),
            np.concatenate([self.i_a, i_harmonic], axis=1),
            self.frequency_hz,
            (*self.orders, order),
        )

    def powers(self, reactive: Reactive = Reactive.FUNDAMENTAL) -> PhasePowers:
        """What three ideal measuring elements say: P of all orders, Q by its definition, RMS voltage."""
        apparent = self.u_v * np.conj(self.i_a)
        p_w = apparent.real.sum(axis=1)
        if reactive is Reactive.SHIFTED:
            quarter_turns = np.exp(-0.5j * np.pi * np.asarray(self.orders))[:, np.newaxis]
            q_var = (apparent * quarter_turns).real.sum(axis=1)
        else:
            q_var = apparent[:, 0].imag
        return PhasePowers(p_w, q_var, self.voltage_v, self.field_reversed)

    @property
    def voltage_v(self) -> FloatArray:
        """RMS voltage over all orders, shape (n, 3)."""
        return _rms(self.u_v)

    @property
    def current_a(self) -> FloatArray:
        """RMS current over all orders, shape (n, 3)."""
        return _rms(self.i_a)

    @property
    def voltage_angle_deg(self) -> FloatArray:
        """How far each voltage lags that of L1, shape (n, 3), 0 ≤ angle < 360 (81.7.1 and 81.7.2)."""
        angles: FloatArray = np.degrees(np.angle(self.u_v[:, :1, 0] * np.conj(self.u_v[:, 0]))) % 360.0
        return angles

    @property
    def current_angle_deg(self) -> FloatArray:
        """How far each current lags its own voltage, shape (n, 3), 0 ≤ angle < 360 (81.7.4, .15, .26)."""
        angles: FloatArray = np.degrees(np.angle(self.u_v[:, 0] * np.conj(self.i_a[:, 0]))) % 360.0
        return angles

    @property
    def field_reversed(self) -> NDArray[np.bool_]:
        """All three voltages stand and follow each other as L1, L3, L2; shape (n,)."""
        u = self.u_v[:, 0]
        turning = (u[:, [1, 2, 0]] * np.conj(u)).imag.sum(axis=1)
        standing = np.abs(u).min(axis=1) > 0.5 * NOMINAL_VOLTAGE_V
        reversed_: NDArray[np.bool_] = standing & (turning > 0)
        return reversed_


def _rms(values: ComplexArray) -> FloatArray:
    squares: FloatArray = (np.abs(values) ** 2).sum(axis=1)
    return np.sqrt(squares)


# --- the waveform path ---------------------------------------------------------------------


def synthesise(
    phasors: Phasors, second: int, rate_hz: int = SAMPLE_RATE_HZ, start_turn: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Sample one second: u(t) and i(t), each of shape (rate_hz, 3). [V, A, instantaneous]

    `start_turn` is the fundamental's place at the first sample, so consecutive seconds join.
    Raises ValueError when a harmonic is above half the sample rate.
    """
    frequency_hz = float(phasors.frequency_hz[second])
    if 2 * max(phasors.orders) * frequency_hz >= rate_hz:
        raise ValueError(f"order {max(phasors.orders)} at {frequency_hz} Hz needs more than {rate_hz} samples a second")
    turns = start_turn + frequency_hz * np.arange(rate_hz) / rate_hz
    waves = np.exp(2j * np.pi * np.outer(turns, phasors.orders)) * np.sqrt(2.0)
    return (waves @ phasors.u_v[second]).real, (waves @ phasors.i_a[second]).real


def measure(u_v: FloatArray, i_a: FloatArray, rate_hz: int = SAMPLE_RATE_HZ, orders: tuple[int, ...] = (1,)) -> Phasors:
    """Find frequency and phasors of one sampled second, shape (rate_hz, 3) each.

    A Hann window keeps orders apart that are a period count no integer of the second. The phase
    of L1's fundamental is the reference: its voltage comes out real.
    """
    reference = int(np.argmax(np.abs(u_v).max(axis=0)))
    frequency_hz = _frequency(u_v[:, reference], rate_hz)
    u, i = (_harmonics(samples, frequency_hz, rate_hz, orders) for samples in (u_v, i_a))
    angle = np.angle(u[0, 0])
    turn = np.exp(-1j * angle * np.asarray(orders))[:, np.newaxis]
    return Phasors((u * turn)[np.newaxis], (i * turn)[np.newaxis], np.array([frequency_hz]), orders)


def active_power_w(u_v: FloatArray, i_a: FloatArray) -> FloatArray:
    """Mean of u·i over one sampled second, shape (3,): every harmonic counts, known or not."""
    window = np.hanning(len(u_v) + 1)[:-1, np.newaxis]
    power: FloatArray = (window * u_v * i_a).sum(axis=0) / window.sum()
    return power


def _harmonics(samples: FloatArray, frequency_hz: float, rate_hz: int, orders: tuple[int, ...]) -> ComplexArray:
    window = np.hanning(len(samples) + 1)[:-1]
    turns = np.outer(orders, frequency_hz * np.arange(len(samples)) / rate_hz)
    kernel = np.exp(-2j * np.pi * turns) * window
    spectrum: ComplexArray = kernel @ samples * (np.sqrt(2.0) / window.sum())
    return spectrum


def _frequency(samples: FloatArray, rate_hz: int) -> float:
    """From the fundamental's turn between the two halves of a second; exact to about 1e-5 Hz.

    The spectrum's highest line between 40 and 70 Hz is the start; without any voltage the
    nominal frequency is assumed.
    """
    half = len(samples) // 2
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples) + 1)[:-1]))
    lines_hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    frequency_hz = float(lines_hz[np.argmax(np.where((lines_hz >= 40) & (lines_hz <= 70), spectrum, 0.0))])
    for _ in range(3):
        first, second = (
            _harmonics(part[:, np.newaxis], frequency_hz, rate_hz, (1,))[0, 0]
            for part in (samples[:half], samples[half : 2 * half])
        )
        if abs(first) < 1e-6 or abs(second) < 1e-6:
            return NOMINAL_FREQUENCY_HZ
        expected = 2 * np.pi * frequency_hz * half / rate_hz
        slip = np.angle(second / first * np.exp(-1j * expected))
        frequency_hz += float(slip) / (2 * np.pi * half / rate_hz)
    return frequency_hz
