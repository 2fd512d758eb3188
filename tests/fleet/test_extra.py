"""Loads that hands connect: exact, bounded, and nothing at all until somebody connects something."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from messwerk.errors import LocalError
from messwerk.fleet.extra import MOST_W, NOTHING, Adjustable, Extra
from messwerk.fleet.loads import LookAhead, household
from messwerk.metrology import PhasePowers

NOON = 1_780_315_200


def test_an_untouched_load_is_the_load_itself() -> None:
    """Row for row the same, or a world nobody touched could not be computed again."""
    home = household(7, pv_kwp=5)
    touched, plain = Adjustable(home), LookAhead(home)
    for utc in (NOON, NOON + 1, NOON + 900):
        assert np.array_equal(touched.second(utc).p_w, plain.second(utc).p_w)
    powers = home.sample(NOON, 10)
    assert NOTHING.upon(powers) is powers
    assert np.array_equal(touched.sample(NOON, 10).p_w, powers.p_w)


@pytest.mark.parametrize(
    ("extra", "p_w", "q_var"),
    [
        (Extra(draw_w=(2000, 0, 0)), (2100, 100, 100), (10, 10, 10)),
        (Extra(draw_w=(0, 300, 0), cos_phi=0.6), (100, 400, 100), (10, 410, 10)),
        (Extra(draw_w=(0, 300, 0), cos_phi=0.6, capacitive=True, own=False), (0, 300, 0), (0, -400, 0)),
        (Extra(sun_w=900), (-200, -200, -200), (10, 10, 10)),
        (Extra(own=False), (0, 0, 0), (0, 0, 0)),
    ],
)
def test_what_is_connected_adds_up(extra: Extra, p_w: tuple[float, ...], q_var: tuple[float, ...]) -> None:
    """Active power as set, reactive power by the power factor, the sun a third on each phase."""
    powers = extra.upon(PhasePowers.constant(2, (100, 100, 100), (10, 10, 10)))
    assert powers.p_w[1] == pytest.approx(p_w)
    assert powers.q_var[1] == pytest.approx(q_var)
    assert (powers.u_v == 230).all()


def test_a_change_acts_from_the_next_second() -> None:
    """Not with the next block of fifteen minutes; and many seconds at once see it too."""
    load = Adjustable(household(7))
    before = load.second(NOON).p_w.sum()
    load.adjust(**{**asdict(NOTHING), "draw_w": (0.0, 0.0, 3000.0)})
    assert load.second(NOON).p_w.sum() == pytest.approx(before + 3000)
    assert load.sample(NOON, 1).p_w.sum() == pytest.approx(before + 3000)
    load.adjust(**asdict(NOTHING))
    assert load.second(NOON).p_w.sum() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"draw_w": (-1.0, 0.0, 0.0)},
        {"draw_w": (MOST_W + 1, 0.0, 0.0)},
        {"draw_w": (float("nan"), 0.0, 0.0)},
        {"draw_w": (1.0,)},
        {"cos_phi": 0.0},
        {"cos_phi": 1.1},
        {"sun_w": -5.0},
    ],
)
def test_impossible_loads_are_refused(wrong: dict[str, object]) -> None:
    """A slider's message may hold anything; the meter sees only what can be connected."""
    load = Adjustable(household(7))
    with pytest.raises(LocalError):
        load.adjust(**{**asdict(NOTHING), **wrong})  # type: ignore[arg-type]
    assert load.extra == NOTHING
