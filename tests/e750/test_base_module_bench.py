"""Accuracy: every variant passes its class, a drawn specimen too, and a bad one fails."""

from __future__ import annotations

import pytest

from messwerk.e750 import DIRECT, TRANSFORMER, VARIANTS, Variant
from messwerk.e750.testbench import LIMITS_PERCENT, run, specimen
from messwerk.metrology.accuracy import ErrorModel


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_a_perfect_module_passes_every_point(variant: Variant) -> None:
    """What is left is the quantum of 1 mWs a second, at the smallest current of the smallest module."""
    results = run(variant)
    assert all(result.passed for result in results), [result for result in results if not result.passed]
    assert max(abs(result.error_percent or 0.0) for result in results) < 0.02
    assert len(results) >= 30


@pytest.mark.parametrize("variant", [DIRECT, TRANSFORMER], ids=["class B", "class C"])
def test_specimens_pass_their_class_and_differ(variant: Variant) -> None:
    """Modules drawn by seed err, each in its own way, inside the limits of class B or C."""
    worst = set()
    for seed in range(3):
        results = run(variant, specimen(seed, variant))
        assert all(result.passed for result in results)
        worst.add(max(abs(result.error_percent or 0.0) for result in results))
    assert len(worst) == 3
    assert 0.01 < max(worst) < max(LIMITS_PERCENT[variant.accuracy])


def test_a_module_outside_its_class_is_found_out() -> None:
    """Six tenths of a percent is good enough for class B and fails class C."""
    errors = ErrorModel(gain=(0.006, 0.006, 0.006))
    assert all(result.passed for result in run(DIRECT, errors))
    failed = [result for result in run(TRANSFORMER, errors) if not result.passed]
    assert failed
    assert all(result.error_percent == pytest.approx(0.6, abs=0.02) for result in failed)
