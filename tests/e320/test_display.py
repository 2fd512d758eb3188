"""The display over time: start-up, rolling list, phases, direction, disk, LMN and INFO symbols."""

from __future__ import annotations

from itertools import pairwise

import pytest

from messwerk.e320 import E320, DisplayState, Error, FirmwareParameters, RamMemory, UserSettings, Variant
from messwerk.e320.display import START_UP_S
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers
from messwerk.panels import lcd


def make(mode: Mode = Mode.TWO_WAY, **parameters: object) -> E320:
    return E320(
        server_id=ServerId.parse("1LGZ0063539421"),
        variant=Variant(mode=mode),
        memory=RamMemory(),
        parameters=FirmwareParameters(**parameters),  # type: ignore[arg-type]
        settings=UserSettings(pin_on=False, extended=True),
    )


def run(meter: E320, seconds: int, p_w: float = 1000.0, u_v: tuple[float, float, float] = (230.0,) * 3) -> None:
    meter.advance(PhasePowers.constant(seconds, (p_w, 0.0, 0.0), u_v=u_v))


def describe(state: DisplayState) -> str:
    if not state.on:
        return "dark"
    if state.all_upper or state.all_lower:
        return "upper" if state.all_upper else "lower"
    return state.upper_code


START_UP = [  # seconds after mains, what shows
    (0.0, "dark"), (1.99, "dark"), (2.0, "upper"), (3.99, "upper"), (4.0, "lower"), (5.99, "lower"), (6.0, "upper"),
    (8.0, "lower"), (10.0, "upper"), (12.0, "lower"), (13.99, "lower"), (14.0, "0.2.0"), (18.99, "0.2.0"),
    (19.0, "C.90.2"), (23.99, "C.90.2"), (24.0, "1.8.0"),
]  # fmt: skip


@pytest.mark.parametrize(("time_s", "shown"), START_UP)
def test_start_up_sequence(time_s: float, shown: str) -> None:
    """Dark for 2 s, three rounds of the display test, firmware version and checksum, then the registers."""
    meter = make()
    if int(time_s):
        run(meter, int(time_s))
    state = meter.display_state(time_s % 1)
    assert describe(state) == shown
    lcd.segments(state)
    if shown == "0.2.0":
        assert state.lower_value == meter.parameters.firmware_version
    if shown == "C.90.2":
        assert state.lower_value == meter.parameters.firmware_checksum


LISTS = [
    (Mode.IMPORT, ["1.8.0"]),
    (Mode.EXPORT, ["2.8.0"]),
    (Mode.TWO_WAY, ["1.8.0", "2.8.0"]),
    (Mode.BALANCED_EXPORT, ["2.8.0"]),
    (Mode.FOUR_QUADRANT, ["1.8.0", "2.8.0", "5.8.0", "6.8.0", "7.8.0", "8.8.0"]),
]


@pytest.mark.parametrize(("mode", "codes"), LISTS)
def test_rolling_list(mode: Mode, codes: list[str]) -> None:
    """Each mode shows its registers, ten seconds each in turn; a single one stands still; F.F. joins when critical."""
    meter = make(mode)
    run(meter, START_UP_S)
    seen = []
    for _ in range(12):
        seen.append(meter.display_state().upper_code)
        assert meter.display_state(0.99).upper_unit == ("kWh" if seen[-1] in ("1.8.0", "2.8.0") else "kvarh")
        run(meter, 10)
    assert seen == (codes * 12)[:12]
    meter.raise_error(Error.METROLOGY)
    rolled = set()
    for _ in range(len(codes) + 1):
        state = meter.display_state()
        lcd.segments(state)
        rolled.add(state.upper_code)
        run(meter, 10)
    assert rolled == {"F.F.", *codes}


def test_phase_symbols() -> None:
    """A phase shows from 0.8 Un and goes below 0.6 Un; in between it stays what it was."""
    meter = make()
    run(meter, START_UP_S)
    for u_v, lit in ((183.0, True), (140.0, True), (137.0, False), (183.9, False), (184.0, True)):
        run(meter, 1, u_v=(230.0, u_v, 230.0))
        symbols = meter.display_state().symbols
        assert ("L2" in symbols) is lit
        assert {"L1", "L3"} <= symbols


def test_direction_and_disk_below_start_up() -> None:
    """Direction symbol and arrow follow the sum; below start-up symbols and disk are off."""
    meter = make()
    run(meter, START_UP_S)
    state = meter.display_state()
    assert {"+A", "arrow_right"} <= state.symbols
    assert "-A" not in state.symbols
    assert state.disk
    run(meter, 1, -500.0)
    assert {"-A", "arrow_left"} <= meter.display_state().symbols
    run(meter, 1, 5.0)
    state = meter.display_state()
    assert not {"+A", "-A", "arrow_left", "arrow_right"} & state.symbols
    assert state.disk == 0


def test_disk_moves_one_bar_a_pulse() -> None:
    """At 10 000 imp/kWh and 360 W one pulse a second comes, and the disk steps left to right in both directions."""
    for p_w in (360.0, -360.0):
        meter = make()
        run(meter, START_UP_S, p_w)
        bars = []
        for _ in range(8):
            run(meter, 1, p_w)
            assert meter.pulses == 1
            bars.append(meter.display_state().disk)
        assert [(b - a) % 4 for a, b in pairwise(bars)] == [1] * 7


def test_reactive_pulses() -> None:
    """The LED of a four-quadrant meter may be made to show reactive energy."""
    meter = make(Mode.FOUR_QUADRANT, led_reactive=True)
    meter.advance(PhasePowers.constant(30, (0.0, 0.0, 0.0), (360.0, 0.0, 0.0)))
    assert meter.pulses == 1


def test_info_symbol_toggles_each_second() -> None:
    """INFO is lit while a push runs and dark for the rest of the second."""
    meter = make()
    run(meter, 30)
    assert ["INFO" in meter.display_state(after_s).symbols for after_s in (0.0, 0.49, 0.5, 0.99)] == [
        True, True, False, False,
    ]  # fmt: skip


def test_lmn_symbol() -> None:
    """Off; 0.5 s / 0.5 s for traffic of the last minute; 2 s / 2 s for a connection; steady for TLS."""

    def pattern() -> str:
        shown = ""
        for _ in range(4):
            shown += "".join("#" if "LMN" in meter.display_state(after_s).symbols else "." for after_s in (0.0, 0.5))
            run(meter, 1)
        return shown

    meter = make()
    run(meter, 40)
    assert pattern() == "........"
    meter.lmn.heard(meter.uptime_s)
    assert pattern() == "#.#.#.#."
    meter.lmn.channel_open = True
    assert pattern() == "####...."
    meter.lmn.secured = True
    assert pattern() == "########"
    meter.lmn.secured = meter.lmn.channel_open = False
    run(meter, 61)
    assert pattern() == "........"


def test_power_on_the_lower_line() -> None:
    """P shows signed power when it is activated and no PIN protects it."""
    meter = make()
    run(meter, 30, -1500.7)
    state = meter.display_state()
    assert (state.lower_code, state.lower_value, state.lower_unit) == ("P", "-1500", "W")
    meter.change_settings(UserSettings(pin_on=True))
    assert meter.display_state().lower_code == ""
    silent = make(active_power_shown=False)
    run(silent, 30)
    assert silent.display_state().lower_code == ""


def test_states_are_checked() -> None:
    """A symbol the glass lacks, or a fifth bar, is our mistake and is refused."""
    with pytest.raises(ValueError, match="no symbol"):
        DisplayState(symbols=frozenset({"L4"}))
    with pytest.raises(ValueError, match="bars 1 to 4"):
        DisplayState(disk=5)
