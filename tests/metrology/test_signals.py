"""Waveforms and phasors agree; wiring errors do to energies what they do on a bench."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.metrology import PhasePowers
from messwerk.metrology.signals import AGREEMENT, Phasors, active_power_w, measure, synthesise
from messwerk.metrology.wiring import (
    CurrentMissing,
    CurrentRatio,
    CurrentReversed,
    CurrentsSwapped,
    NeutralLost,
    PhaseMissing,
    PhasesSwapped,
    VoltageMissing,
    WiringFault,
    wire,
)

currents = st.floats(0.02, 100)
angles = st.floats(-180, 180)
three = st.tuples


@settings(max_examples=30, deadline=None)
@given(
    three(currents, currents, currents),
    three(angles, angles, angles),
    three(*[st.floats(180, 260)] * 3),
    st.floats(47.5, 51.5),
    st.lists(
        st.tuples(st.sampled_from([3, 5, 7, 11, 25]), st.floats(0, 0.3), angles), max_size=3, unique_by=lambda h: h[0]
    ),
    st.floats(0, 1),
)
def test_waveform_and_phasor_paths_agree(
    i_a: tuple[float, float, float],
    phi_deg: tuple[float, float, float],
    u_v: tuple[float, float, float],
    frequency_hz: float,
    harmonics: list[tuple[int, float, float]],
    start_turn: float,
) -> None:
    """Sampling u(t), i(t) and analysing them gives back P, Q, U, I, angles and frequency of the phasors."""
    phasors = Phasors.steady(1, i_a=i_a, phi_deg=phi_deg, u_v=u_v, frequency_hz=frequency_hz)
    for order, share, angle in harmonics:
        phasors = phasors.with_harmonic(
            order, u_share=share / 5 * np.exp(1j * angle), i_share=share * np.exp(1j * np.radians(angle))
        )
    u, i = synthesise(phasors, 0, start_turn=start_turn)
    seen = measure(u, i, orders=phasors.orders)
    apparent = phasors.voltage_v * phasors.current_a
    exact, measured = phasors.powers(), seen.powers()
    assert (np.abs(measured.p_w - exact.p_w) < AGREEMENT * apparent).all()
    assert (np.abs(measured.q_var - exact.q_var) < AGREEMENT * apparent).all()
    assert (np.abs(active_power_w(u, i) - exact.p_w[0]) < AGREEMENT * apparent[0]).all()
    assert seen.voltage_v == pytest.approx(phasors.voltage_v, rel=AGREEMENT)
    assert seen.current_a == pytest.approx(phasors.current_a, rel=AGREEMENT)
    assert seen.frequency_hz == pytest.approx(phasors.frequency_hz, abs=1e-5)
    for name in ("voltage_angle_deg", "current_angle_deg"):
        turned = (getattr(seen, name) - getattr(phasors, name) + 180) % 360 - 180
        assert (np.abs(turned) < 1e-3).all()


def test_unknown_harmonics_count_as_active_power() -> None:
    """u·i carries every harmonic's power, whether or not anybody looked for it."""
    phasors = Phasors.steady(1, i_a=(10.0, 0.0, 0.0)).with_harmonic(5, u_share=0.1, i_share=0.2)
    assert active_power_w(*synthesise(phasors, 0))[0] == pytest.approx(2300 * 1.02)
    assert measure(*synthesise(phasors, 0)).powers().p_w[0, 0] == pytest.approx(2300)


def test_powers_there_and_back() -> None:
    """Powers made into phasors carry the same powers, in a right rotating field."""
    powers = PhasePowers.constant(2, (1000.0, -2000.0, 0.0), (300.0, 0.0, -50.0), (231.0, 229.0, 0.0))
    again = Phasors.of_powers(powers).powers()
    assert again.p_w == pytest.approx(powers.p_w)
    assert again.q_var[:, :2] == pytest.approx(powers.q_var[:, :2])
    assert again.u_v == pytest.approx(powers.u_v)
    assert again.field_reversed is not None
    assert not again.field_reversed.any()


def test_angles_of_an_installation() -> None:
    """Voltages are 120° apart, an inductive current lags."""
    phasors = Phasors.steady(1, i_a=(5.0, 5.0, 5.0), phi_deg=(60.0, 0.0, -36.87))
    assert phasors.voltage_angle_deg[0] == pytest.approx([0, 120, 240])
    assert phasors.current_angle_deg[0] == pytest.approx([60, 0, 323.13])
    assert phasors.powers().q_var[0, 0] > 0 > phasors.powers().q_var[0, 2]


BALANCED = Phasors.steady(1, i_a=(10.0, 10.0, 10.0))
WIRING: list[tuple[WiringFault, tuple[float, float, float], bool]] = [  # error, P per phase / 2300 W, field reversed
    (PhaseMissing(0), (0, 1, 1), False),
    (VoltageMissing(1), (1, 0, 1), False),
    (CurrentMissing(2), (1, 1, 0), False),
    (CurrentReversed(0), (-1, 1, 1), False),
    (CurrentRatio(1, 0.5), (1, 0.5, 1), False),
    (PhasesSwapped(0, 1), (1, 1, 1), True),
    (CurrentsSwapped(0, 1), (-0.5, -0.5, 1), False),
    (NeutralLost(), (1, 1, 1), False),
]


@pytest.mark.parametrize(("fault", "shares", "field_reversed"), WIRING)
def test_wiring_errors(fault: WiringFault, shares: tuple[float, float, float], field_reversed: bool) -> None:
    """Each error shows the powers worked out for a balanced load of 10 A at power factor 1."""
    powers = wire(BALANCED, fault).powers()
    assert powers.p_w[0] / 2300 == pytest.approx(shares, abs=1e-12)
    assert powers.field_reversed is not None
    assert bool(powers.field_reversed[0]) is field_reversed


def test_lost_neutral_moves_the_star_point() -> None:
    """With loads 1 : 1 : 4 the currents add up to zero, the heavy phase collapses, the light ones rise."""
    phasors = wire(Phasors.steady(1, i_a=(5.0, 5.0, 20.0)), NeutralLost())
    assert abs(phasors.i_a.sum()) < 1e-9
    l1, l2, l3 = phasors.voltage_v[0]
    assert l3 < 120 < 300 < l1 == pytest.approx(l2)
    before = phasors.u_v[0, 0]
    assert before[0] - before[1] == pytest.approx(230 * (1 - np.exp(-2j * np.pi / 3)))
    idle = Phasors.steady(1, i_a=(0.0, 0.0, 0.0))
    assert wire(idle, NeutralLost()).voltage_v == pytest.approx(idle.voltage_v)


def test_mistakes_are_refused() -> None:
    """A harmonic above half the sample rate, or arrays that do not fit, are errors of the caller."""
    with pytest.raises(ValueError, match="samples a second"):
        synthesise(BALANCED.with_harmonic(71, u_share=0.1), 0)
    with pytest.raises(ValueError, match="orders begin with 1"):
        BALANCED.with_harmonic(1)
    with pytest.raises(ValueError, match="expected shape"):
        Phasors(BALANCED.u_v, BALANCED.i_a, np.zeros(2))
    assert measure(np.zeros((6400, 3)), np.zeros((6400, 3))).frequency_hz[0] == 50.0
