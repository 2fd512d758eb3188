"""Volts and amperes to registers: the measuring half of a meter, free of clocks and telegrams.

`PhasePowers` is what arrives (one row a second), `fold` turns the sum over the phases into
energies by the measurement mode, `Registers` keeps them as integers. A block of seconds and
the same seconds one by one give identical registers.
"""

from .power import PhasePowers
from .pulse import PulseOutput
from .registers import Energies, FoldState, Mode, Registers, fold, kwh, wh_tenths

__all__ = ["Energies", "FoldState", "Mode", "PhasePowers", "PulseOutput", "Registers", "fold", "kwh", "wh_tenths"]
