"""Many meters, one seed: loads whose every second can be computed alone, in any order, the same."""

from .loads import Constant, Load, LookAhead, household, photovoltaic, workshop

__all__ = ["Constant", "Load", "LookAhead", "household", "photovoltaic", "workshop"]
