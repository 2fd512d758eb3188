"""Ready-made installations: a household, a photovoltaic plant, a workshop.

>>> home = household(7, yearly_kwh=3500, pv_kwp=8)
>>> day = home.sample(1_780_272_000, 86_400)
>>> alone = home.sample(1_780_272_000 + 43_200, 1)
>>> bool((day.p_w[43_200] == alone.p_w[0]).all())
True
"""

from __future__ import annotations

from ..errors import LocalError
from .model import Constant, Load, LookAhead
from .premises import ALL_PHASES, Appliance, Background, Cycler, Premises, Step, Week
from .sun import Photovoltaic

L1, L2, L3 = 0, 1, 2


def household(seed: int, yearly_kwh: float = 3500, pv_kwp: float = 0.0, *, zone: str = "Europe/Berlin") -> Load:
    """A family's home, optionally with a photovoltaic plant on its roof."""
    home: Load = Premises(
        seed=seed,
        yearly_kwh=yearly_kwh,
        appliances=HOUSEHOLD_APPLIANCES,
        cyclers=(
            Cycler("refrigerator", L3, 85.0, 3000, 0.38),
            Cycler("freezer", L1, 75.0, 4200, 0.42),
        ),
        background=(
            Background(L1, 40.0, (1,) * 24, unrest=0.03, tan_phi=-0.3),
            Background(L2, 35.0, (1,) * 24, unrest=0.03, tan_phi=-0.2),
            Background(L3, 30.0, (1,) * 24, unrest=0.05, tan_phi=0.2),
            Background(L2, 60.0, LIGHT_HOURS, unrest=0.3, winter=0.45),
        ),
        zone=zone,
    )
    return home + photovoltaic(seed, pv_kwp) if pv_kwp > 0 else home


def photovoltaic(seed: int, kwp: float) -> Load:
    """A plant that exports: on L2 up to 4.6 kWp, on all phases above."""
    return Photovoltaic(seed=seed, kwp=kwp)


def workshop(seed: int, yearly_kwh: float = 50_000, *, zone: str = "Europe/Berlin") -> Load:
    """A small business with machines: works on weekdays, its motors draw inductive reactive power."""
    return Premises(
        seed=seed,
        yearly_kwh=yearly_kwh,
        appliances=WORKSHOP_MACHINES,
        cyclers=(Cycler("cold store", ALL_PHASES, 900.0, 2400, 0.35, 0.75),),
        background=(
            Background(L1, 350.0, OFFICE_HOURS, unrest=0.1, week=BUSINESS_WEEK, tan_phi=0.1),
            Background(L2, 500.0, OFFICE_HOURS, unrest=0.1, week=BUSINESS_WEEK, winter=0.25, tan_phi=0.3),
            Background(L3, 300.0, OFFICE_HOURS, unrest=0.1, week=BUSINESS_WEEK, tan_phi=0.2),
            Background(ALL_PHASES, 250.0, (1,) * 24, unrest=0.05, tan_phi=0.4),
        ),
        zone=zone,
    )


def parse_load(text: str, seed: int) -> Load:
    """A load as people write it: `household:3500`, `pv:8`, `workshop:50000`, `constant:100,200,-300`.

    The number is kWh a year, kWp, or W on L1, L2, L3; household and workshop have defaults.
    Raises LocalError.
    """
    kind, _, figure = text.partition(":")
    try:
        figures = [float(each) for each in figure.split(",")] if figure else []
        match kind, figures:
            case "household", [*kwh] if len(kwh) <= 1:
                return household(seed, *kwh)
            case "workshop", [*kwh] if len(kwh) <= 1:
                return workshop(seed, *kwh)
            case "pv", [kwp]:
                return photovoltaic(seed, kwp)
            case "constant", [l1, l2, l3]:
                return Constant((l1, l2, l3), seed=seed)
    except ValueError:
        pass
    raise LocalError(
        f"not a load: {text!r}; write household:3500 or workshop:50000 (kWh a year), pv:8 (kWp), or"
        " constant:100,200,-300 (W)"
    )


def _hours(*spans: tuple[int, int, float], rest: float = 0.0) -> tuple[float, ...]:
    """24 weights from (first hour, hour after the last, weight)."""
    weights = [rest] * 24
    for first, end, weight in spans:
        weights[first:end] = [weight] * (end - first)
    return tuple(weights)


LIGHT_HOURS = _hours(
    (0, 1, 0.8), (5, 6, 0.5), (6, 8, 1.3), (8, 16, 0.5), (16, 18, 1.2), (18, 23, 2.6), (23, 24, 1.5), rest=0.2
)
OFFICE_HOURS = _hours((6, 7, 1.0), (7, 16, 2.4), (16, 18, 1.2), rest=0.12)
MORNING = _hours((6, 9, 3.0), (9, 12, 0.8), rest=0.1)
MEALS = _hours((6, 8, 0.6), (11, 13, 2.5), (13, 17, 0.5), (17, 20, 3.5), (20, 21, 0.6), rest=0.02)
DRINKS = _hours((6, 9, 3.0), (9, 14, 1.0), (14, 17, 2.0), (17, 22, 1.0), rest=0.05)
HOUSEWORK = _hours((8, 12, 2.0), (12, 16, 1.2), (16, 21, 1.5), rest=0.05)
EVENING = _hours((14, 18, 0.8), (18, 20, 3.0), (20, 22, 2.0), rest=0.1)
WORKING = _hours((7, 9, 2.0), (9, 10, 1.2), (10, 12, 2.0), (12, 13, 0.6), (13, 16, 2.0), (16, 17, 0.8), rest=0.0)
WEEKEND: Week = (0.8, 0.8, 0.8, 0.8, 0.9, 1.6, 1.3)
BUSINESS_WEEK: Week = (1.0, 1.0, 1.0, 1.0, 0.9, 0.25, 0.1)


def _cycling(seconds: int, on_s: int, off_s: int, power_w: float) -> tuple[Step, ...]:
    """A thermostat: full power and pauses in turn."""
    return (Step(on_s, power_w), Step(off_s, 0.0)) * (seconds // (on_s + off_s))


HOUSEHOLD_APPLIANCES = (
    Appliance("kettle", L1, 3.5, (Step(150, 2000.0),), DRINKS),
    Appliance("coffee machine", L1, 3.0, (Step(45, 1400.0), *_cycling(300, 5, 25, 1400.0)), MORNING),
    Appliance("hob, large plate", L1, 0.9, (Step(300, 2200.0), *_cycling(1200, 40, 50, 2200.0)), MEALS, WEEKEND),
    Appliance("hob, small plate", L2, 1.1, (Step(240, 1400.0), *_cycling(900, 30, 45, 1400.0)), MEALS, WEEKEND),
    Appliance("oven", L3, 0.35, (Step(600, 2700.0), *_cycling(2400, 60, 90, 2700.0)), MEALS, WEEKEND),
    Appliance("microwave oven", L2, 1.2, (Step(160, 1250.0, 0.2),), MEALS),
    Appliance(
        "dishwasher",
        L3,
        0.6,
        (Step(600, 70.0, 0.5), Step(900, 2050.0), Step(2400, 65.0, 0.5), Step(600, 2050.0), Step(1500, 20.0)),
        _hours((12, 15, 1.5), (18, 23, 2.5), rest=0.1),
    ),
    Appliance(
        "washing machine",
        L2,
        0.5,
        (Step(300, 120.0, 0.7), Step(1100, 2000.0), Step(2700, 180.0, 0.7), Step(120, 60.0), Step(480, 450.0, 0.6)),
        HOUSEWORK,
        WEEKEND,
    ),
    Appliance(
        "tumble dryer", L1, 0.25, (Step(6600, 750.0, 0.3), Step(600, 150.0, 0.5)), HOUSEWORK, WEEKEND, winter=0.4
    ),
    Appliance("television", L1, 1.3, (Step(8000, 115.0, -0.2),), EVENING),
    Appliance(
        "computer", L2, 1.2, (Step(11_000, 85.0, -0.3),), _hours((8, 12, 1.0), (12, 18, 1.2), (18, 22, 2.0), rest=0.1)
    ),
    Appliance("vacuum cleaner", L3, 0.4, (Step(900, 750.0, 0.1),), HOUSEWORK, WEEKEND),
    Appliance("hair dryer", L1, 0.6, (Step(280, 1500.0),), MORNING),
)
WORKSHOP_MACHINES = (
    Appliance("lathe", ALL_PHASES, 9.0, (Step(2, 14_000.0, 1.5), Step(1500, 4200.0, 0.85)), WORKING, BUSINESS_WEEK),
    Appliance(
        "milling machine", ALL_PHASES, 6.0, (Step(2, 16_000.0, 1.5), Step(2400, 5500.0, 0.8)), WORKING, BUSINESS_WEEK
    ),
    Appliance("saw", ALL_PHASES, 25.0, (Step(1, 12_000.0, 1.6), Step(70, 3000.0, 0.75)), WORKING, BUSINESS_WEEK),
    Appliance("compressor", ALL_PHASES, 45.0, (Step(2, 18_000.0, 1.4), Step(210, 5800.0, 0.7)), WORKING, BUSINESS_WEEK),
    Appliance(
        "welding set", L2, 18.0, (Step(90, 3600.0, 0.6), Step(30, 200.0), Step(60, 3600.0, 0.6)), WORKING, BUSINESS_WEEK
    ),
    Appliance(
        "paint booth", ALL_PHASES, 0.7, (Step(3, 20_000.0, 1.2), Step(5400, 7000.0, 0.55)), WORKING, BUSINESS_WEEK
    ),
    Appliance("fork-lift charger", L3, 0.8, (Step(18_000, 1900.0, 0.35),), _hours((16, 18, 1.0)), BUSINESS_WEEK),
)

__all__ = ["Constant", "Load", "LookAhead", "household", "parse_load", "photovoltaic", "workshop"]
