"""A rack and what happens to it, written in TOML.

seed = 7
communication = "lan"          # lan, gprs, pstn, none
pulse_modules = 1
nodes = 1

[[base_module]]
variant = "ct"                 # direct, ct, vt-6a, vt-2a
count = 4
loads = ["workshop:80000"]
ct_ratio = 50

[[event]]                      # any command of the control port
at_s = 30
do = "cut"
module = 0
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any, Final

from ..errors import LocalError
from .rack import CURVE_NAMES, MODULES_MAX, VARIANT_NAMES, WAN_NAMES, BasePlan, RackPlan, named

EVENTS_MAX: Final = 10_000
_PLAIN: Final = {"seed": int, "pulse_modules": int, "nodes": int, "user": str, "password": str, "history_days": float}
_BASE: Final = {"three_wire": bool, "ct_ratio": int, "vt_ratio": int}

Events = tuple[tuple[int, dict[str, Any]], ...]
"""Seconds after the start, and the command."""


def read_rack(text: str) -> tuple[RackPlan, Events]:
    """The plan and the events of a rack file. Raises LocalError naming what is wrong."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LocalError(f"the rack file is no TOML: {error}") from error
    tables = document.pop("base_module", [{}])
    events = document.pop("event", [])
    if not isinstance(tables, list) or not isinstance(events, list) or len(events) > EVENTS_MAX:
        raise LocalError(f"base modules are [[base_module]] tables, events up to {EVENTS_MAX} [[event]] tables")
    curve, wan = document.pop("curve", "p256"), document.pop("communication", "lan")
    settings = {name: _typed(name, value, _PLAIN) for name, value in document.items()}
    plan = RackPlan(
        base_modules=tuple(plan for number, table in enumerate(tables) for plan in _base_modules(number, table)),
        wan=None if wan == "none" else named("communication module", WAN_NAMES, str(wan)),
        curve=named("curve", CURVE_NAMES, str(curve)),
        **settings,
    )
    return plan, tuple(_event(number, table) for number, table in enumerate(events))


def _base_modules(number: int, table: Any) -> list[BasePlan]:
    if not isinstance(table, dict):
        raise LocalError(f"base module {number} is not a table")
    table = dict(table)
    count, loads = table.pop("count", 1), table.pop("loads", ["workshop"])
    variant = named("base module", VARIANT_NAMES, str(table.pop("variant", "direct")))
    if not isinstance(count, int) or not 0 <= count <= MODULES_MAX:
        raise LocalError(f"base module {number}: count is 0 to {MODULES_MAX}, not {count!r}")
    if not isinstance(loads, list) or not loads or not all(isinstance(load, str) for load in loads):
        raise LocalError(f'base module {number}: loads is a list of texts like "workshop:50000"')
    plan = BasePlan(
        variant=variant, loads=tuple(loads), **{name: _typed(name, value, _BASE) for name, value in table.items()}
    )
    plan.load(0)  # a load that cannot be read is refused here, not when the module is built
    return [plan] * count


def _event(number: int, table: Any) -> tuple[int, dict[str, Any]]:
    if not isinstance(table, dict) or not isinstance(table.get("do"), str):
        raise LocalError(f"event {number} says nothing to do")
    at_s = table.get("at_s", 0)
    if not isinstance(at_s, int) or at_s < 0:
        raise LocalError(f"event {number}: at_s is a number of seconds after the start, not {at_s!r}")
    return at_s, {name: value for name, value in table.items() if name != "at_s"}


def _typed(name: str, value: Any, kinds: dict[str, type]) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise LocalError(f"there is no setting {name!r}; known are {', '.join(kinds)}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise LocalError(f"{name} is {kind.__name__}, not {value!r}")
    if isinstance(value, (int, float)) and value < 0:
        raise LocalError(f"{name} is not below 0")
    return value


assert set(_PLAIN) <= {field.name for field in fields(RackPlan)}
assert set(_BASE) <= {field.name for field in fields(BasePlan)}
