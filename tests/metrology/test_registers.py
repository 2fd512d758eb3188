"""Summation, modes, registers and pulses: worked examples first, properties beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.metrology import Energies, FoldState, Mode, PhasePowers, PulseOutput, Registers, fold, kwh, wh_tenths
from messwerk.metrology.registers import REGISTER_NAMES, REGISTER_RANGE_MWS

HOUR = 3600
EXAMPLES = [  # phase powers, mode, 1.8.0 and 2.8.0 after one hour in Wh; worked by hand from the mode rules
    ((500, 300, -200), Mode.IMPORT, 600, 0),
    ((500, 300, -200), Mode.EXPORT, 0, 0),
    ((500, 300, -200), Mode.TWO_WAY, 600, 0),
    ((500, 300, -200), Mode.BALANCED_EXPORT, 0, -600),
    ((-500, 300, -200), Mode.IMPORT, 0, 0),
    ((-500, 300, -200), Mode.EXPORT, 0, 400),
    ((-500, 300, -200), Mode.TWO_WAY, 0, 400),
    ((-500, 300, -200), Mode.BALANCED_EXPORT, 0, 400),
    ((-500, 300, 200), Mode.IMPORT, 0, 0),
    ((-500, 300, 200), Mode.TWO_WAY, 0, 0),
    ((-500, 300, 200), Mode.BALANCED_EXPORT, 0, 0),
]

powers = st.lists(
    st.tuples(
        st.floats(-50_000, 50_000) | st.sampled_from([0.0, 13.8, 17.25, -17.25, 17.2499]),
        st.floats(-50_000, 50_000) | st.just(0.0),
    ),
    min_size=1,
    max_size=60,
)


REST = FoldState()


def fold_rows(rows: list[tuple[float, float]], mode: Mode, before: FoldState = REST) -> Energies:
    p, q = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return fold(p, q, mode, 17.25, before)


@pytest.mark.parametrize(("phases", "mode", "import_wh", "export_wh"), EXAMPLES)
def test_worked_examples(phases: tuple[int, int, int], mode: Mode, import_wh: int, export_wh: int) -> None:
    """The sum over the phases decides direction and register, in each mode as worked by hand."""
    load = PhasePowers.constant(HOUR, (float(phases[0]), float(phases[1]), float(phases[2])))
    registers = Registers().add(fold(load.p_sum_w, load.q_sum_var, mode, 17.25))
    assert registers.import_mws == import_wh * 3_600_000
    assert registers.export_mws == export_wh * 3_600_000 % REGISTER_RANGE_MWS


QUADRANTS = [((+1, +1), "r1_mvars"), ((-1, +1), "r2_mvars"), ((-1, -1), "r3_mvars"), ((+1, -1), "r4_mvars")]


@pytest.mark.parametrize(("signs", "register"), QUADRANTS)
def test_quadrants(signs: tuple[int, int], register: str) -> None:
    """Reactive energy goes to exactly the register of its quadrant."""
    energies = fold_rows([(signs[0] * 1000.0, signs[1] * 500.0)] * 10, Mode.FOUR_QUADRANT)
    sums = {name: int(getattr(energies, name).sum()) for name in REGISTER_NAMES[2:]}
    assert sums == {**dict.fromkeys(REGISTER_NAMES[2:], 0), register: 10 * 500_000}


def test_zero_active_power_keeps_the_quadrant() -> None:
    """With P exactly 0 the reactive energy stays in the half plane P came from."""
    energies = fold_rows([(-100.0, 900.0), (0.0, 900.0), (0.0, 900.0)], Mode.FOUR_QUADRANT)
    assert int(energies.r2_mvars.sum()) == 3 * 900_000
    assert int(energies.r1_mvars.sum()) == 0


def test_start_up_has_hysteresis() -> None:
    """Counting starts at the start-up power and stops only below 80 % of it, in both directions."""
    rows = [(p, 0.0) for p in (17.2, 17.25, 14.0, 13.8, 13.7, 17.2, -17.25, -13.9, -13.7)]
    active = fold_rows(rows, Mode.TWO_WAY).active.tolist()
    assert active == [False, True, True, True, False, False, True, True, False]


def test_return_stop_only_where_one_exists() -> None:
    """Return stop acts in the one-way modes against their direction and never elsewhere."""
    for mode in Mode:
        acting = fold_rows([(1000.0, 0.0), (-1000.0, 0.0), (1.0, 0.0)], mode).return_stop.tolist()
        expected = {Mode.IMPORT: [False, True, False], Mode.EXPORT: [True, False, False]}
        assert acting == expected.get(mode, [False] * 3)


@given(powers, st.sampled_from(Mode), st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_any_tiling_gives_identical_registers(
    rows: list[tuple[float, float]], mode: Mode, cuts: list[int], active: bool
) -> None:
    """A block of seconds and any cutting of it agree bit for bit: energies, states, registers."""
    before = FoldState(active=active, reactive=active, p_sign=-1 if active else 1)
    whole = fold_rows(rows, mode, before)
    registers, state = Registers(), before
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    flags: list[bool] = []
    for start, end in itertools.pairwise(edges):
        part = fold_rows(rows[start:end], mode, state)
        registers, state = registers.add(part), part.after
        flags += part.active.tolist()
    assert registers == Registers().add(whole)
    assert state == whole.after
    assert flags == whole.active.tolist()
    running = Registers().after_each_second(whole)
    assert {name: int(column[-1]) for name, column in running.items()} == {
        name: getattr(registers, name) for name in REGISTER_NAMES
    }


@given(powers, st.sampled_from(Mode))
def test_energy_is_conserved(rows: list[tuple[float, float]], mode: Mode) -> None:
    """What passes start-up is counted once: +A minus -A is the net energy less what a return stop held."""
    energies = fold_rows(rows, mode)
    counted = energies.import_mws - energies.export_mws
    expected = np.where(energies.active & ~energies.return_stop, energies.net_mws, 0)
    assert (counted == expected).all()
    if mode is Mode.FOUR_QUADRANT:
        reactive = energies.r1_mvars + energies.r2_mvars - energies.r3_mvars - energies.r4_mvars
        q_mvars = np.rint(np.array(rows)[:, 1] * 1000).astype(np.int64)
        assert ((reactive == q_mvars) | (reactive == 0)).all()


@given(powers, st.sampled_from(Mode))
def test_never_net_between_import_and_export(rows: list[tuple[float, float]], mode: Mode) -> None:
    """In one second at most one of 1.8.0 and 2.8.0 moves, and neither ever moves back (but for mode 4)."""
    energies = fold_rows(rows, mode)
    assert not ((energies.import_mws != 0) & (energies.export_mws != 0)).any()
    assert (energies.import_mws >= 0).all()
    assert mode is Mode.BALANCED_EXPORT or (energies.export_mws >= 0).all()


def test_registers_wrap() -> None:
    """At 10^6 kWh a register starts over, and a balanced one runs back below zero like a mechanical counter."""
    full = Registers(import_mws=REGISTER_RANGE_MWS - 1_000_000)
    assert full.add(fold_rows([(1500.0, 0.0)], Mode.TWO_WAY)).import_mws == 500_000
    backward = Registers().add(fold_rows([(1000.0, 0.0)], Mode.BALANCED_EXPORT))
    assert backward.export_mws == REGISTER_RANGE_MWS - 1_000_000
    assert kwh(backward.export_mws) == 999_999


def test_output_truncates() -> None:
    """Readings are cut toward zero, never rounded: 1.9999 kWh shows 1."""
    assert kwh(int(1.9999 * 3_600_000_000)) == 1
    assert wh_tenths(719_999) == 1
    assert wh_tenths(-719_999) == -1
    assert kwh(-1) == 0


@given(st.lists(st.integers(-(10**11), 10**11), max_size=80), st.sampled_from([5000, 10_000]))
def test_pulses_lose_nothing(energies: list[int], per_kwh: int) -> None:
    """The number of pulses is the energy times the constant, cut; the remainder is kept between calls."""
    output, count = PulseOutput(per_kwh), 0
    for start in range(0, len(energies), 7):
        output, pulses = output.feed(np.array(energies[start : start + 7], dtype=np.int64))
        count += int(pulses.sum())
        assert (pulses >= 0).all()
    exact = sum(map(abs, energies)) * per_kwh
    assert count == exact // 3_600_000_000
    assert output.remainder == exact % 3_600_000_000


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_powers_must_be_numbers(bad: float) -> None:
    """A power that is no number is refused where it enters, not carried into a register."""
    with pytest.raises(ValueError, match="finite"):
        PhasePowers.constant(1, (bad, 0.0, 0.0))
    with pytest.raises(ValueError, match="not below"):
        fold_rows([(bad, 0.0)], Mode.TWO_WAY)


def test_loads_add_on_the_same_terminals() -> None:
    """Two loads add their powers and share the left one's voltages; currents follow."""
    a = PhasePowers.constant(2, (2300.0, 0.0, 0.0), u_v=(230.0, 231.0, 0.0))
    b = PhasePowers.constant(2, (-4600.0, 100.0, 0.0))
    both = a + b
    assert both.p_sum_w.tolist() == [-2200.0, -2200.0]
    assert both.current_a[0].tolist() == [10.0, 100.0 / 231.0, 0.0]
    assert [len(block) for block in both.blocks(1)] == [1, 1]
    with pytest.raises(ValueError, match="shapes differ"):
        PhasePowers(a.p_w, a.q_var[:1], a.u_v)
