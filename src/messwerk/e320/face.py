"""What the display of one meter shows now: registers, symbols and the menu put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..metrology import kwh
from .display import (
    DARK,
    EMPTY,
    START_UP_S,
    DisplayState,
    Line,
    energy_text,
    power_line,
    rolling_entry,
    setting_line,
    start_up_display,
)  # fmt: skip
from .error_register import error_text, is_critical
from .info import REGISTER_CODES, register_names
from .menu import INDEX_S, PERIODS, Screen

if TYPE_CHECKING:
    from .meter import E320

INFO_LIT_S: Final = 0.5
"""The INFO symbol shows a running push for the first half of each second."""
PHASE_SYMBOLS: Final = ("L1", "L2", "L3")


def show(meter: E320, after_s: float) -> DisplayState:
    """The display `after_s` seconds after the meter's last whole second."""
    if not meter.on:
        return DARK
    time_s = meter.uptime_s + after_s
    if time_s < START_UP_S:
        return start_up_display(time_s, meter.parameters.firmware_version, meter.parameters.firmware_checksum)
    upper_code, upper_value, upper_unit = _upper_line(meter, time_s - START_UP_S)
    lower_code, lower_value, lower_unit = _lower_line(meter, time_s)
    return DisplayState(
        upper_code=upper_code,
        upper_value=upper_value,
        upper_unit=upper_unit,
        lower_code=lower_code,
        lower_value=lower_value,
        lower_unit=lower_unit,
        symbols=_symbols(meter, after_s),
        disk=meter.disk + 1 if meter.counting else 0,
        all_upper=meter.menu.screen is Screen.TEST_UPPER,
        all_lower=meter.menu.screen is Screen.TEST_LOWER,
    )


def _upper_line(meter: E320, time_s: float) -> Line:
    """The rolling list of the measurement mode, led by F.F. while an error is critical."""
    entries: list[Line] = [
        (_short_code(name), f"{kwh(getattr(meter.registers, name)):06d}", "kWh" if name.endswith("mws") else "kvarh")
        for name in register_names(meter.variant.mode)
    ]
    if is_critical(meter.error_register):
        entries.insert(0, ("F.F.", error_text(meter.error_register), ""))
    return entries[rolling_entry(time_s, len(entries))]


def _lower_line(meter: E320, time_s: float) -> Line:
    menu = meter.menu
    match menu.screen:
        case Screen.STANDARD:
            protected = meter.parameters.pin_protection and meter.settings.pin_on
            return power_line(meter.power_w) if meter.parameters.active_power_shown and not protected else EMPTY
        case Screen.POWER:
            return power_line(meter.power_w)
        case Screen.ENERGY:
            return "E", _energy_text(meter, meter.energy_since_reset), "kWh"
        case Screen.PAST if time_s < menu.entered_s + INDEX_S and menu.direction == 0:
            return menu.kind.value, str(menu.age), ""
        case Screen.DAY | Screen.WEEK | Screen.MONTH | Screen.YEAR | Screen.PAST:
            shown, age = (menu.kind, menu.age) if menu.screen is Screen.PAST else (menu.screen, 1)
            imported, exported = (meter.history.period(way, PERIODS[shown], age) for way in (0, 1))
            return shown.value, _energy_text(meter, (imported, exported)), "kWh"
    return setting_line(menu, meter.settings)


def _energy_text(meter: E320, ways: tuple[int | None, int | None]) -> str:
    """+A, or the -A the menu is at; where the meter has both, -A carries a minus sign."""
    if not meter.variant.mode.has_import:
        return energy_text(ways[1])
    text = energy_text(ways[meter.menu.direction])
    return f"-{text}" if meter.menu.direction and ways[1] is not None else text


def _symbols(meter: E320, after_s: float) -> frozenset[str]:
    lit = {name for name, present in zip(PHASE_SYMBOLS, meter.voltage_present, strict=True) if present}
    if meter.counting:
        lit |= {"-A", "arrow_left"} if meter.exporting else {"+A", "arrow_right"}
    if after_s < INFO_LIT_S:
        lit.add("INFO")
    if meter.lmn.lit(meter.uptime_s + after_s):
        lit.add("LMN")
    return frozenset(lit)


def _short_code(name: str) -> str:
    _, _, c, d, e, _ = REGISTER_CODES[name]
    return f"{c}.{d}.{e}"
