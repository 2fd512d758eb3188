"""What the liquid-crystal display shows, as plain values.

Two lines and a row of symbols between them. The upper line is relevant for billing, the lower
line is information for the customer. Drawing (segments, SVG, page) happens elsewhere, from a
`DisplayState` alone. Source: E320 manual 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SYMBOLS: Final = frozenset({"L1", "L2", "L3", "+A", "-A", "arrow_right", "arrow_left", "LMN", "INFO"})
"""Every symbol of the display. `arrow_right` belongs to +A (import), `arrow_left` to -A (export)."""

DISK_BARS: Final = 4
"""Bars that stand for the rotating disk of a Ferraris meter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayState:
    """One moment of the display. Frozen: two equal states look the same."""

    upper_code: str = ""
    """OBIS code of the billing line, e.g. `1.8.0`, `F.F.`."""
    upper_value: str = ""
    """Digits of the billing line as shown, leading zeros included."""
    upper_unit: str = ""
    """`kWh`, `kvarh` or nothing."""
    lower_code: str = ""
    """Value code of the information line, e.g. `P`, `1d`, `PIn`."""
    lower_value: str = ""
    lower_unit: str = ""
    """`W`, `kWh` or nothing."""
    symbols: frozenset[str] = frozenset()
    """Those of SYMBOLS that are lit at this moment (a blinking one comes and goes)."""
    disk: int = 0
    """Which bar of the disk is lit, counted 1 … 4 from the left; 0 = dark (below start-up)."""
    all_upper: bool = False
    """Display test: every segment of the upper line."""
    all_lower: bool = False
    """Display test: every segment of the lower line."""
    on: bool = True
    """False: no mains, or the first two seconds after it came."""

    def __post_init__(self) -> None:
        if unknown := self.symbols - SYMBOLS:
            raise ValueError(f"the display has no symbol {sorted(unknown)}")
        if not 0 <= self.disk <= DISK_BARS:
            raise ValueError(f"the disk has bars 1 to {DISK_BARS}, not {self.disk}")


DARK: Final = DisplayState(on=False)
"""No segment lit."""
