"""Errors of a specimen: reproducible, inside its class, absent by default."""

from __future__ import annotations

import numpy as np
import pytest

from messwerk.metrology import PhasePowers
from messwerk.metrology.accuracy import LIMITS_PERCENT, Accuracy, ErrorModel


@pytest.mark.parametrize("accuracy", ["A", "B"])
def test_every_specimen_is_inside_its_class(accuracy: Accuracy) -> None:
    """A thousand specimens keep the limit at power factors 1, 0.5 inductive and 0.8 capacitive."""
    limit = LIMITS_PERCENT[accuracy][1] / 100
    worst = 0.0
    for seed in range(1000):
        model = ErrorModel.drawn(seed, accuracy)
        for phi_deg in (0.0, 60.0, -36.87):
            p, q = 1000 * np.cos(np.radians(phi_deg)), 1000 * np.sin(np.radians(phi_deg))
            seen = model.distort(PhasePowers.constant(1, (p, p, p), (q, q, q)))
            worst = max(worst, float(np.abs(seen.p_w / p - 1).max()))
    assert 0.5 * limit < worst < limit


def test_perfect_by_default_and_reproducible() -> None:
    """Without errors powers pass unchanged; a seed always gives the same specimen."""
    powers = PhasePowers.constant(3, (1.0, 2.0, -3.0), (4.0, 5.0, 6.0))
    assert (ErrorModel().distort(powers).p_w == powers.p_w).all()
    assert ErrorModel.drawn(5, "A") == ErrorModel.drawn(5, "A") != ErrorModel.drawn(6, "A")
