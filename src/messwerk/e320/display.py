"""What the liquid-crystal display shows, as plain values.

Two lines and a row of symbols between them. The upper line is relevant for billing, the lower
line is information for the customer. Drawing (segments, SVG, page) happens elsewhere, from a
`DisplayState` alone. Source: E320 manual 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..metrology.registers import MWS_PER_KWH
from .menu import PIN_DIGITS, Menu, Screen
from .variant import UserSettings

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

# --- start-up ------------------------------------------------------------------------------

DARK_S: Final = 2.0
"""From mains on until the display lights up."""
TEST_LINE_S: Final = 2.0
"""Each line of the display test."""
TEST_ROUNDS: Final = 3
FIRMWARE_S: Final = 5.0
"""Firmware version, then firmware checksum, this long each."""
START_UP_S: Final = int(DARK_S + 2 * TEST_LINE_S * TEST_ROUNDS + 2 * FIRMWARE_S)
"""Whole sequence; the INFO interface is silent until it is over."""
ROLL_S: Final = 10
"""Each entry of a rolling list."""


def start_up_display(time_s: float, firmware_version: str, firmware_checksum: str) -> DisplayState:
    """What shows `time_s` after mains came, 0 ≤ time_s < START_UP_S."""
    test_end = DARK_S + 2 * TEST_LINE_S * TEST_ROUNDS
    if time_s < DARK_S:
        return DARK
    if time_s < test_end:
        upper = (time_s - DARK_S) % (2 * TEST_LINE_S) < TEST_LINE_S
        return DisplayState(all_upper=upper, all_lower=not upper)
    if time_s < test_end + FIRMWARE_S:
        return DisplayState(upper_code="0.2.0", lower_value=firmware_version)
    return DisplayState(upper_code="C.90.2", lower_value=firmware_checksum)


def rolling_entry(time_s: float, entries: int) -> int:
    """Which of a rolling list's entries shows `time_s` after the start-up sequence."""
    return int(time_s // ROLL_S) % entries


# --- the lower line ------------------------------------------------------------------------

LOWER_DIGITS: Final = 5
UNKNOWN: Final = "----"
"""A period that is not complete."""
OVERFLOW: Final = "-" * LOWER_DIGITS
"""A value with more digits than the line has."""

Line = tuple[str, str, str]
"""Code, value and unit."""
EMPTY: Final[Line] = ("", "", "")


def power_line(power_w: int) -> Line:
    """Instantaneous power, + = import."""
    return "P", str(power_w) if abs(power_w) < 10**LOWER_DIGITS else OVERFLOW, "W"


def energy_text(mws: int | None) -> str:
    """kWh with one decimal while it fits into the line, truncated; dashes where it is not known."""
    if mws is None:
        return UNKNOWN
    sign, tenths = "-" if mws < 0 else "", abs(mws) * 10 // MWS_PER_KWH
    if tenths < 10**LOWER_DIGITS:
        return f"{sign}{tenths // 10}.{tenths % 10}"
    whole = tenths // 10
    return f"{sign}{whole}" if whole < 10**LOWER_DIGITS else OVERFLOW


def setting_line(menu: Menu, settings: UserSettings) -> Line:
    """The screens that clear, set or ask, which need no measured value; EMPTY for the others."""
    switch = {True: "On", False: "OFF"}
    match menu.screen:
        case Screen.PIN_ENTRY:
            return "PIn", (menu.digits + str(menu.digit)).ljust(PIN_DIGITS, "-"), ""
        case Screen.ENERGY_CLEAR:
            return "E", "CLr", ""
        case Screen.HISTORY_CLEAR:
            return "HIS", "CLr", ""
        case Screen.DATA_SET:
            return "InF", switch[settings.extended], ""
        case Screen.PIN_SETTING:
            return "PIn", switch[settings.pin_on], ""
    return EMPTY
