"""The four base modules: what they are connected to and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..obis import ObisCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One type of base module. Registers are always secondary; ratios are for display."""

    name: str
    device_class: ObisCode
    """Value of 81 81 C7 82 02 FF. Source: SyM² 1.03 table 39."""
    voltage_v: float
    """Nominal voltage, phase to neutral, at the terminals. [V]"""
    reference_current_a: float
    current_max_a: float
    start_current_a: float
    """Smallest current that must be counted, per phase. [design: 0.4 % and 0.1 % of the reference]"""
    accuracy: str
    """MID class: B (1) or C (0.5 S)."""
    led_imp_per_kwh: int
    """Constant of the optical test output, also imp/kvarh. [design]"""

    @property
    def current_transformers(self) -> bool:
        return self.reference_current_a == 1.0

    @property
    def voltage_transformers(self) -> bool:
        return self.voltage_v < 100.0

    @property
    def start_power_w(self) -> float:
        """Summed power below which nothing is counted. [W, var]"""
        return 3 * self.voltage_v * self.start_current_a


def _variant(name: str, last: int, volts: float, amperes: float, most: float, accuracy: str, imp: int) -> Variant:
    share = 0.004 if accuracy == "B" else 0.001
    return Variant(
        name=name, device_class=ObisCode(bytes((0x81, 0x81, 0xC7, 0x82, last, 0xFF))), voltage_v=volts,
        reference_current_a=amperes, current_max_a=most, start_current_a=amperes * share, accuracy=accuracy,
        led_imp_per_kwh=imp,
    )  # fmt: skip


DIRECT: Final = _variant("ZMK300 3x230/400 V 5(100) A", 0x41, 230.0, 5.0, 100.0, "B", 500)
TRANSFORMER: Final = _variant("ZMK400 3x230/400 V 1(6) A", 0x42, 230.0, 1.0, 6.0, "C", 10_000)
MEDIUM_VOLTAGE_6A: Final = _variant("ZMK400 3x58/100 V 1(6) A", 0x43, 57.7, 1.0, 6.0, "C", 40_000)
MEDIUM_VOLTAGE_2A: Final = _variant("ZMK400 3x58/100 V 1(2) A", 0x44, 57.7, 1.0, 2.0, "C", 100_000)
VARIANTS: Final = (DIRECT, TRANSFORMER, MEDIUM_VOLTAGE_6A, MEDIUM_VOLTAGE_2A)
