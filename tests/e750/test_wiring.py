"""Four wires, three wires, a broken neutral: what the elements see, and what the registers say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e750_rack import Rack, powers
from messwerk.e750 import MEDIUM_VOLTAGE_6A
from messwerk.e750.wiring import phasors, secondary, without_neutral
from messwerk.metrology import PhasePowers
from messwerk.tuples import STATUS_NEUTRAL_MISSING

volts = st.floats(180.0, 260.0)
amperes = st.floats(0.0, 60.0)
angles = st.floats(-1.4, 1.4)


def three_wire_load(u: list[float], i1: complex, i3: complex) -> PhasePowers:
    """A network of three wires: whatever flows in by L1 and L3 flows out by L2."""
    voltage = np.array([u]) * np.exp(-2j * np.pi / 3 * np.arange(3))
    current = np.array([[i1, -i1 - i3, i3]])
    apparent = voltage * np.conj(current)
    return PhasePowers(apparent.real, apparent.imag, np.abs(voltage))


@settings(max_examples=80, deadline=None)
@given(st.lists(volts, min_size=3, max_size=3), amperes, angles, amperes, angles)
def test_three_elements_without_neutral_equal_the_aron_circuit(
    u: list[float], a1: float, f1: float, a3: float, f3: float
) -> None:
    """P and Q of the virtual star point are those of two wattmeters, however skew the voltages."""
    i1, i3 = a1 * np.exp(1j * f1), a3 * np.exp(1j * (f3 + 2))
    load = three_wire_load(u, i1, i3)
    voltage, current = phasors(load)
    aron = (voltage[:, 0] - voltage[:, 1]) * np.conj(current[:, 0]) + (voltage[:, 2] - voltage[:, 1]) * np.conj(
        current[:, 2]
    )
    seen = without_neutral(load)
    assert seen.p_sum_w == pytest.approx(aron.real, abs=1e-6)
    assert seen.q_sum_var == pytest.approx(aron.imag, abs=1e-6)


def test_a_broken_neutral_leaves_the_energy_right(rack: Rack) -> None:
    """With symmetric voltages an unbalanced load is registered exactly; the status word tells."""
    whole, broken = rack.base_module(1), rack.base_module(2)
    load = PhasePowers.constant(900, (2000, 150, -300), (500, 0, 20))
    whole.advance(load)
    broken.neutral_connected = False
    broken.advance(load)
    for name in ("import_mws", "export_mws", "r1_mvars"):
        assert getattr(broken.registers, name) == pytest.approx(getattr(whole.registers, name), abs=900)
    assert not whole.current.status & STATUS_NEUTRAL_MISSING
    assert broken.current.status & STATUS_NEUTRAL_MISSING
    broken.neutral_connected = True
    assert not broken.tick(powers(1)).status & STATUS_NEUTRAL_MISSING


def test_a_lost_phase_beside_a_lost_neutral() -> None:
    """Two voltages left: the star point lies between them, nothing divides by zero."""
    seen = without_neutral(PhasePowers.constant(3, (100, 100, 0), u_v=(230, 230, 0)))
    assert seen.u_v[0] == pytest.approx([199.19, 199.19, 0], abs=0.01)
    assert np.isfinite(seen.p_w).all()
    dark = without_neutral(PhasePowers.constant(2, (0, 0, 0), u_v=(0, 0, 0)))
    assert not dark.u_v.any()


def test_a_three_wire_module_measures_like_two_elements(rack: Rack) -> None:
    """The Aron variant on a real three-wire load: registers follow the two-element formula, bit 21 stands."""
    load = three_wire_load([57.0, 58.5, 57.9], 3.0 + 0j, -1.2 + 2.5j)
    module = rack.base_module(variant=MEDIUM_VOLTAGE_6A, three_wire=True)
    module.advance(PhasePowers(*(np.tile(part, (600, 1)) for part in (load.p_w, load.q_var, load.u_v))))
    assert module.registers.import_mws == pytest.approx(load.p_sum_w[0] * 600_000, abs=300)
    assert module.current.status & STATUS_NEUTRAL_MISSING


def test_instrument_transformers_hand_over_secondary_values() -> None:
    """A 20 kV feeder at 400/1 A: what the terminals see times the ratios is the feeder."""
    primary = PhasePowers.constant(2, (1e6, 1.1e6, 0.9e6), (2e5, 1e5, 0), (11547.0,) * 3)
    seen = secondary(primary, 400, 200)
    assert seen.u_v[0, 0] == pytest.approx(57.735)
    assert seen.p_sum_w[0] * 400 * 200 == pytest.approx(3e6)
    assert seen.current_a[0, 0] == pytest.approx(primary.current_a[0, 0] / 400)
