"""The test bench: good specimens pass every point, deviations fail the points they break."""

from __future__ import annotations

import pytest

from messwerk.e320 import Variant
from messwerk.e320.testbench import report, run
from messwerk.e320.variant import Connection
from messwerk.metrology import Mode
from messwerk.metrology.accuracy import ErrorModel


@pytest.mark.parametrize("connection", Connection)
@pytest.mark.parametrize("mode", Mode)
def test_specimens_pass(connection: Connection, mode: Mode) -> None:
    """A perfect meter shows no error, and drawn specimens keep their class, in every variant and mode."""
    for accuracy in ("A", "B"):
        variant = Variant(connection, mode, accuracy)
        for result in run(variant):
            assert result.passed, result
            assert abs(result.error_percent or 0.0) < 0.01
        for seed in range(3):
            assert all(result.passed for result in run(variant, ErrorModel.drawn(seed, variant.accuracy)))


BAD = [  # errors of a specimen, words of the points that must fail
    (ErrorModel(gain=(0.03, 0.03, 0.03)), "L1 L2 L3 5 A, PF 1"),
    (ErrorModel(gain=(0.0, -0.03, 0.0)), "L2 60 A, PF 1"),
    (ErrorModel(phase_rad=(0.02, 0.0, 0.0)), "L1 5 A, PF 0.5 ind."),
    (ErrorModel(gain=(-0.2, -0.2, -0.2)), "start-up at 25 mA"),
]


@pytest.mark.parametrize(("errors", "point"), BAD)
def test_deviations_fail(errors: ErrorModel, point: str) -> None:
    """Gain, a single element, a phase angle, a high threshold: each is found by the point made for it."""
    results = run(Variant(), errors)
    assert point in {result.name for result in results if not result.passed}
    assert "FAIL" in report(results)


def test_report() -> None:
    """The report lists every point with error, limit and its place between the limits."""
    results = run(Variant(mode=Mode.FOUR_QUADRANT), ErrorModel.drawn(1, "A"))
    text = report(results)
    assert len(text.splitlines()) == len(results) + 2
    assert text.endswith("0 outside their limits")
    assert "●" in text
    assert "reactive 5 A, sin φ 1" in text
