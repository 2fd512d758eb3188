"""Loads: any second alone, any tiling the same, energies as asked for, shapes as in life."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.fleet.loads import Constant, Load, LookAhead, household, photovoltaic, workshop

NEW_YEAR = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
CASES: dict[str, Load] = {
    "household": household(3),
    "household with sun": household(3, 3500, 9.9),
    "plant": photovoltaic(5, 3.0),
    "workshop": workshop(9),
}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(start=st.integers(NEW_YEAR, NEW_YEAR + 400 * 86_400), n=st.integers(1, 4000), data=st.data())
def test_any_second_alone(name: str, start: int, n: int, data: st.DataObject) -> None:
    """A second computed alone, or in any piece, is bit-identical to the same second in a block."""
    load = CASES[name]
    whole = load.sample(start, n)
    first = data.draw(st.integers(0, n - 1))
    length = data.draw(st.integers(1, n - first))
    part = load.sample(start + first, length)
    for column in ("p_w", "q_var", "u_v"):
        assert (getattr(part, column) == getattr(whole, column)[first : first + length]).all()


def test_fresh_objects_agree() -> None:
    """A load knows nothing but its seed: another object, asked in another order, gives the same."""
    a, b = household(8, 3500, 5.0), household(8, 3500, 5.0)
    b.sample(NEW_YEAR + 200 * 86_400, 10)
    assert (a.sample(NEW_YEAR + 86_390, 100).p_w == b.sample(NEW_YEAR + 86_390, 100).p_w).all()
    assert (a.sample(NEW_YEAR, 100).p_w != household(9, 3500, 5.0).sample(NEW_YEAR, 100).p_w).any()


def yearly(load: Load, every: int = 5) -> tuple[float, float]:
    """Energy and reactive energy of 2026 in kWh (kvarh), from every fifth day."""
    p = q = 0.0
    for day in range(0, 365, every):
        block = load.sample(NEW_YEAR + day * 86_400, 86_400)
        p += float(block.p_sum_w.sum()) * every / 3.6e6
        q += float(block.q_sum_var.sum()) * every / 3.6e6
    return p, q


@pytest.mark.parametrize(("load", "kwh"), [(household(1), 3500), (household(2, 5200), 5200), (workshop(1), 50_000)])
def test_yearly_energy(load: Load, kwh: float) -> None:
    """A place uses about the energy it was made for."""
    assert yearly(load)[0] == pytest.approx(kwh, rel=0.06)


def test_sun() -> None:
    """A south roof at 51° north yields 850 to 1150 kWh per kWp, most of it in summer, nothing at night."""
    plant = photovoltaic(4, 8.0)
    energy, _ = yearly(plant)
    assert 850 < -energy / 8.0 < 1150
    night = plant.sample(NEW_YEAR, 3600)
    assert (night.p_w >= 0).all()
    june = plant.sample(NEW_YEAR + 165 * 86_400, 10 * 86_400)
    assert -8000 <= june.p_sum_w.min() < -4500
    assert (june.p_w[:, 0] == june.p_w[:, 2]).all()
    small = photovoltaic(4, 3.0).sample(NEW_YEAR + 170 * 86_400 + 43_200, 10)
    assert (small.p_w[:, [0, 2]] == 0).all()


def test_workshop_rests_on_sunday_and_is_inductive() -> None:
    """Machines run on weekdays; motors draw inductive reactive power."""
    load = workshop(1)
    friday, sunday = (load.sample(NEW_YEAR + day * 86_400, 86_400) for day in (8, 10))
    assert friday.p_sum_w.mean() > 4 * sunday.p_sum_w.mean()
    assert 0.3 < friday.q_sum_var.sum() / friday.p_sum_w.sum() < 1.0


def test_household_uses_all_phases_and_its_evening() -> None:
    """Every phase carries load, and the evening needs more than the small hours."""
    block = household(1).sample(NEW_YEAR, 7 * 86_400)
    assert (block.p_w.mean(axis=0) > 30).all()
    hours = block.p_sum_w.reshape(7, 24, 3600).mean(axis=(0, 2))
    assert hours[17:20].mean() > 2 * hours[1:4].mean()


def test_voltages_are_those_of_a_grid() -> None:
    """Voltages stay within the band of EN 50160 and differ between the phases."""
    u_v = household(1).sample(NEW_YEAR, 86_400).u_v
    assert ((u_v > 207) & (u_v < 253)).all()
    assert (u_v[:, 0] != u_v[:, 1]).all()


def test_sums_and_look_ahead() -> None:
    """Loads add up on one set of terminals; the look-ahead serves the same seconds one by one."""
    both = household(1) + Constant((0.0, 0.0, -500.0), (1.0, 2.0, 3.0))
    block = both.sample(NEW_YEAR + 880, 40)
    assert np.allclose(block.p_w - household(1).sample(NEW_YEAR + 880, 40).p_w, [[0, 0, -500]])
    live = LookAhead(both)
    for offset in range(40):
        assert (live.second(NEW_YEAR + 880 + offset).p_w == block.p_w[offset : offset + 1]).all()


def test_reference_day_is_pinned() -> None:
    """Equal seed, equal energies, on every platform and in every release: integers of mWs of one day."""
    block = household(42, 3500, 6.0).sample(NEW_YEAR + 100 * 86_400, 86_400)
    digest = int(np.rint(block.p_w * 1000).astype(np.int64).sum())
    assert digest == -33_979_317_536
