"""A test bench for E320 specimens: the points of a type test, error against limit.

Every point runs the whole meter, from powers at the terminals to registers and LED pulses, and
compares with the energy that was applied. Limits: `metrology.accuracy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Final

from ..identity import ServerId
from ..metrology import Mode, PhasePowers, Registers
from ..metrology.accuracy import LIMITS_PERCENT, REACTIVE_LIMITS_PERCENT, ErrorModel
from ..metrology.power import NOMINAL_VOLTAGE_V
from .meter import E320
from .nonvolatile import RamMemory
from .variant import FirmwareParameters, Rating, Variant

POINT_S: Final = 60
"""Steady seconds at each point; registers resolve 1 mWs, so more would not be more exact."""
CREEP_S: Final = 3600
CREEP_VOLTAGE: Final = 1.15
"""No-load test at this share of the nominal voltage, without current."""
CONSTANT_PULSES: Final = 1000
ALL: Final = (0, 1, 2)
_BENCH_ID: Final = ServerId.parse("1LGZ0000000000")
INDUCTIVE_60: Final = ("0.5 ind.", 60.0)
CAPACITIVE_37: Final = ("0.8 cap.", -36.86989764584402)
UNITY: Final = ("1", 0.0)


@dataclass(frozen=True, slots=True)
class Result:
    """One test point."""

    name: str
    found: str
    """What was measured, in words."""
    limit: str
    passed: bool
    error_percent: float | None = None
    limit_percent: float | None = None


def run(variant: Variant, errors: ErrorModel | None = None) -> list[Result]:
    """All points for one specimen: accuracy, single-phase loads, start-up, no load, LED constant."""
    rating = variant.rating
    small, large = LIMITS_PERCENT[variant.accuracy]
    minimum_a = rating.transition_current_a / 2
    loads = [(minimum_a, UNITY, small)]
    for current_a in (rating.transition_current_a, rating.reference_current_a, rating.maximum_current_a):
        loads += [(current_a, factor, large) for factor in (UNITY, INDUCTIVE_60, CAPACITIVE_37)]
    results = [_active(variant, errors, ALL, *load) for load in loads]
    for phase in ALL:
        for current_a in (rating.reference_current_a, rating.maximum_current_a):
            results += [
                _active(variant, errors, (phase,), current_a, factor, large) for factor in (UNITY, INDUCTIVE_60)
            ]
    if variant.mode.has_reactive:
        results += [_reactive(variant, errors, rating, *point) for point in _reactive_points(rating)]
    return [*results, _starts(variant, errors), _does_not_creep(variant, errors), _constant(variant, errors)]


def _reactive_points(rating: Rating) -> list[tuple[float, float, float]]:
    small, large = REACTIVE_LIMITS_PERCENT
    reference_a = rating.reference_current_a
    return [
        (0.05 * reference_a, 90.0, small),
        *(
            (current_a, phi, large)
            for current_a in (reference_a, rating.maximum_current_a)
            for phi in (90.0, 30.0, -90.0)
        ),
    ]


def _meter(variant: Variant, errors: ErrorModel | None, *, reactive_led: bool = False) -> E320:
    parameters = FirmwareParameters(led_reactive=reactive_led)
    return E320(server_id=_BENCH_ID, variant=variant, memory=RamMemory(), parameters=parameters, errors=errors)


def _apply(variant: Variant, phases: tuple[int, ...], current_a: float, phi_deg: float, seconds: int) -> PhasePowers:
    """Nominal voltage and this current on some phases; export for a meter that counts nothing else."""
    direction = -1.0 if variant.mode in (Mode.EXPORT, Mode.BALANCED_EXPORT) else 1.0
    apparent = [direction * NOMINAL_VOLTAGE_V * current_a if phase in phases else 0.0 for phase in ALL]
    p1, p2, p3 = (each * cos(radians(phi_deg)) for each in apparent)
    q1, q2, q3 = (each * sin(radians(phi_deg)) for each in apparent)
    return PhasePowers.constant(seconds, (p1, p2, p3), (q1, q2, q3))


def _counted_mws(registers: Registers) -> int:
    return registers.import_mws + registers.export_mws


def _active(
    variant: Variant,
    errors: ErrorModel | None,
    phases: tuple[int, ...],
    current_a: float,
    factor: tuple[str, float],
    limit_percent: float,
) -> Result:
    meter = _meter(variant, errors)
    load = _apply(variant, phases, current_a, factor[1], POINT_S)
    meter.advance(load)
    applied_mws = abs(float(load.p_sum_w.sum())) * 1000
    where = "L1 L2 L3" if phases == ALL else f"L{phases[0] + 1}"
    return _compared(
        f"{where} {current_a:g} A, PF {factor[0]}", _counted_mws(meter.registers), applied_mws, limit_percent
    )


def _reactive(
    variant: Variant, errors: ErrorModel | None, rating: Rating, current_a: float, phi_deg: float, limit_percent: float
) -> Result:
    meter = _meter(variant, errors)
    load = _apply(variant, ALL, current_a, phi_deg, POINT_S)
    meter.advance(load)
    registers = meter.registers
    counted = registers.r1_mvars + registers.r2_mvars + registers.r3_mvars + registers.r4_mvars
    name = f"reactive {current_a:g} A, sin φ {sin(radians(phi_deg)):g}"
    return _compared(name, counted, abs(float(load.q_sum_var.sum())) * 1000, limit_percent)


def _compared(name: str, counted: float, applied: float, limit_percent: float) -> Result:
    error_percent = (counted - applied) / applied * 100
    passed = abs(error_percent) <= limit_percent
    return Result(name, f"{error_percent:+.3f} %", f"±{limit_percent:g} %", passed, error_percent, limit_percent)


def _starts(variant: Variant, errors: ErrorModel | None) -> Result:
    meter = _meter(variant, errors)
    current_a = variant.rating.start_current_a[variant.accuracy]
    meter.advance(_apply(variant, ALL, current_a, 0.0, POINT_S))
    started = _counted_mws(meter.registers) > 0
    return Result(f"start-up at {current_a * 1000:g} mA", "counts" if started else "stands", "counts", started)


def _does_not_creep(variant: Variant, errors: ErrorModel | None) -> Result:
    meter = _meter(variant, errors)
    voltage_v = CREEP_VOLTAGE * NOMINAL_VOLTAGE_V
    meter.advance(PhasePowers.constant(CREEP_S, (0.0,) * 3, u_v=(voltage_v, voltage_v, voltage_v)))
    pulses = meter.pulse_total
    still = pulses <= 1 and _counted_mws(meter.registers) == 0
    return Result(f"no load at {CREEP_VOLTAGE:g} Un, {CREEP_S // 60} min", f"{pulses} pulses", "at most 1", still)


def _constant(variant: Variant, errors: ErrorModel | None) -> Result:
    meter = _meter(variant, errors)
    current_a, per_kwh = variant.rating.reference_current_a, variant.rating.pulses_per_kwh
    per_second = 3 * NOMINAL_VOLTAGE_V * current_a / 3_600_000 * per_kwh
    meter.advance(_apply(variant, ALL, current_a, 0.0, int(CONSTANT_PULSES / per_second) + 1))
    expected = _counted_mws(meter.registers) * per_kwh / 3.6e9
    agrees = 0 <= expected - meter.pulse_total < 1
    return Result(
        f"LED constant {per_kwh} imp/kWh", f"{meter.pulse_total} of {expected:.1f} pulses", "register", agrees
    )


def report(results: list[Result]) -> str:
    """A table with a plot beside it: where each error lies between its limits."""
    width = max(len(result.name) for result in results)
    lines = [f"{'test point':{width}}  {'found':>22}  {'limit':>9}         -limit    0    +limit"]
    for result in results:
        verdict = "ok  " if result.passed else "FAIL"
        lines.append(
            f"{result.name:{width}}  {result.found:>22}  {result.limit:>9}  {verdict}  {_plot(result)}".rstrip()
        )
    failed = sum(not result.passed for result in results)
    lines.append(f"{len(results)} points, {failed} outside their limits")
    return "\n".join(lines)


def _plot(result: Result, half: int = 10) -> str:
    """A scale of 2 * half + 1 characters between the limits, beyond them an arrow."""
    if result.error_percent is None or result.limit_percent is None:
        return ""
    place = round(result.error_percent / result.limit_percent * half)
    scale = ["·"] * (2 * half + 1)
    scale[half] = "|"
    scale[max(0, min(2 * half, place + half))] = "●" if result.passed else "<" if place < 0 else ">"
    return "[" + "".join(scale) + "]"
