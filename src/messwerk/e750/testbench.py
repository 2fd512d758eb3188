"""A test bench for base modules: the points of a type test in classes B and C, error against limit.

Every point runs the whole module, from powers at the terminals to registers and signed profile
rows, and compares with the energy applied. Source of limits: EN 50470-3 for active energy in
classes B and C, IEC 62053-23 for reactive class 2, as commonly quoted; the texts were not at hand.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..identity import ServerId
from ..metrology import PhasePowers
from ..metrology.accuracy import REACTIVE_LIMITS_PERCENT, ErrorModel
from ..signing import Curve, PrivateKey
from .base_module import BaseModule
from .bus import Bus
from .variant import Variant

LIMITS_PERCENT: Final = {"B": (1.5, 1.0), "C": (1.0, 0.5)}
"""Active energy: from Imin to Itr, and from Itr to Imax, there also at 0.5 inductive and 0.8 capacitive."""
POINT_S: Final = 60
CREEP_S: Final = 3600
CREEP_VOLTAGE: Final = 1.15
"""No-load test at this share of the nominal voltage, without current."""
UNITY: Final = ("1", 0.0)
INDUCTIVE: Final = ("0.5 ind.", 60.0)
CAPACITIVE: Final = ("0.8 cap.", -math.degrees(math.acos(0.8)))
ALL: Final = (0, 1, 2)
_BENCH_ID: Final = ServerId.from_mac(bytes.fromhex("020000000000"))


@dataclass(frozen=True, slots=True)
class Result:
    """One test point."""

    name: str
    error_percent: float | None
    """None where a point is passed or failed without a number."""
    limit_percent: float | None
    passed: bool


def specimen(seed: int, variant: Variant) -> ErrorModel:
    """The errors of one module, reproducible by its seed and well inside its class."""
    drawn, share = ErrorModel.drawn(seed, "B"), LIMITS_PERCENT[variant.accuracy][1] / LIMITS_PERCENT["B"][1]

    def scaled(values: tuple[float, float, float]) -> tuple[float, float, float]:
        return (values[0] * share, values[1] * share, values[2] * share)

    return ErrorModel(scaled(drawn.gain), scaled(drawn.phase_rad))


def run(variant: Variant, errors: ErrorModel | None = None) -> list[Result]:
    """Every point for one module: both directions, single phases, power factors, start-up, no load."""
    small, large = LIMITS_PERCENT[variant.accuracy]
    transition_a = variant.reference_current_a * (0.1 if variant.accuracy == "B" else 0.05)
    results = [_active(variant, errors, ALL, transition_a / 2, UNITY, small)]
    for current_a in (transition_a, variant.reference_current_a, variant.current_max_a):
        for factor in (UNITY, INDUCTIVE, CAPACITIVE):
            results.append(_active(variant, errors, ALL, current_a, factor, large))
            results.append(_active(variant, errors, ALL, -current_a, factor, large))
    for phase in ALL:
        results += [_active(variant, errors, (phase,), variant.current_max_a, one, large) for one in (UNITY, INDUCTIVE)]
    for angle in (90.0, 30.0, -30.0, -90.0):
        results.append(_reactive(variant, errors, variant.reference_current_a, angle))
    return [*results, _starts(variant, errors), _does_not_creep(variant, errors)]


def _apply(variant: Variant, phases: tuple[int, ...], current_a: float, angle: float, seconds: int) -> PhasePowers:
    volts = variant.voltage_v
    apparent = [volts * current_a if phase in phases else 0.0 for phase in ALL]
    p1, p2, p3 = (each * math.cos(math.radians(angle)) for each in apparent)
    q1, q2, q3 = (each * math.sin(math.radians(angle)) for each in apparent)
    return PhasePowers.constant(seconds, (p1, p2, p3), (q1, q2, q3), (volts, volts, volts))


def _measured(variant: Variant, errors: ErrorModel | None, powers: PhasePowers) -> BaseModule:
    with tempfile.TemporaryDirectory() as folder:
        key = PrivateKey.from_seed(Curve.P256, b"test bench")
        module = BaseModule(_BENCH_ID, key, Path(folder), Bus(), variant=variant, errors=errors)
        module.advance(powers)
        module.close()
        return module


def _active(
    variant: Variant, errors: ErrorModel | None, phases: tuple[int, ...], current_a: float,
    factor: tuple[str, float], limit: float,
) -> Result:  # fmt: skip
    powers = _apply(variant, phases, current_a, factor[1], POINT_S)
    registers = _measured(variant, errors, powers).registers
    true_mws = float(powers.p_sum_w.sum()) * 1000
    error = 100 * (registers.import_mws - registers.export_mws - true_mws) / true_mws
    where = "L1 L2 L3" if phases == ALL else f"L{phases[0] + 1}"
    name = f"active {current_a:g} A, {where}, power factor {factor[0]}"
    return Result(name, error, limit, abs(error) <= limit)


def _reactive(variant: Variant, errors: ErrorModel | None, current_a: float, angle: float) -> Result:
    powers = _apply(variant, ALL, current_a, angle, POINT_S)
    registers = _measured(variant, errors, powers).registers
    found = registers.r1_mvars + registers.r2_mvars - registers.r3_mvars - registers.r4_mvars
    true_mvars = float(powers.q_sum_var.sum()) * 1000
    error, limit = 100 * (found - true_mvars) / true_mvars, REACTIVE_LIMITS_PERCENT[1]
    return Result(f"reactive {current_a:g} A, {angle:g}°", error, limit, abs(error) <= limit)


def _starts(variant: Variant, errors: ErrorModel | None) -> Result:
    powers = _apply(variant, ALL, variant.start_current_a * 1.02, 0.0, POINT_S)
    counted = _measured(variant, errors, powers).registers.import_mws > 0
    return Result(f"starts at {variant.start_current_a:g} A", None, None, counted)


def _does_not_creep(variant: Variant, errors: ErrorModel | None) -> Result:
    volts = variant.voltage_v * CREEP_VOLTAGE
    powers = PhasePowers.constant(CREEP_S, (0.0, 0.0, 0.0), u_v=(volts, volts, volts))
    module = _measured(variant, errors, powers)
    still = module.registers.import_mws == module.registers.export_mws == 0
    return Result("stands still without current", None, None, still)
