"""The optical button and the user menu: light into presses, presses into screens, screens into actions."""

from __future__ import annotations

import random
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320 import E320, FirmwareParameters, RamMemory, UserSettings, Variant
from messwerk.e320.button import OpticalButton, Press, lit_by_bytes
from messwerk.e320.display import energy_text, power_line
from messwerk.e320.menu import ACTIONS, IDLE_S, NEXT, Action, Menu, Rules, Screen
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers
from messwerk.panels import lcd

SHORT, LONG = Press.SHORT, Press.LONG
RULES = Rules(
    pin="1205", ask_pin=True, pin_setting=True, power=True, history=True, directions=1,
    periods={1: 10, 7: 1, 30: 0, 365: 0},
)  # fmt: skip

# --- the button --------------------------------------------------------------------------------

HOLDS = [  # seconds of light at 400 lx, press, moment it acts (light begins at 10 s)
    (0.03, None, None),
    (0.049, None, None),
    (0.06, SHORT, 10.06),
    (0.3, SHORT, 10.3),
    (1.99, SHORT, 11.99),
    (2.0, None, None),
    (4.99, None, None),
    (5.0, LONG, 15.0),
    (6.0, LONG, 15.0),
    (600.0, LONG, 15.0),
]


@pytest.mark.parametrize(("held_s", "press", "acts_s"), HOLDS)
def test_short_long_and_ignored(held_s: float, press: Press | None, acts_s: float | None) -> None:
    """Below 2 s is short, from 5 s is long and acts at once, in between and below 50 ms is nothing."""
    button = OpticalButton()
    pressed = button.light(400, 10.0) + button.light(0, 10.0 + held_s) + button.pass_time(10_000)
    assert [event.press for event in pressed] == ([press] if press else [])
    assert [event.at_s for event in pressed] == pytest.approx([acts_s] if press else [])


def test_too_little_light_is_no_press() -> None:
    """Below 400 lx nothing happens, and a dip below it ends a press."""
    button = OpticalButton()
    assert button.light(399, 1) + button.light(0, 2) + button.pass_time(20) == []
    events = button.light(2000, 30) + button.light(399, 30.5) + button.pass_time(31)
    assert [event.press for event in events] == [SHORT]


def test_flicker_does_not_cut_a_press() -> None:
    """Stop bits and pauses up to 30 ms of a transmitting head leave one long press in one piece."""
    button, events, at_s = OpticalButton(), [], 1.0
    while at_s < 7.0:
        events += button.light(500, at_s) + button.light(0, at_s + 0.02)
        at_s += 0.04
    events += button.pass_time(9)
    assert [event.press for event in events] == [LONG]


def test_light_by_transmitted_bytes() -> None:
    """Zero bytes light the button for their air time; bytes of ones do not."""
    assert lit_by_bytes(bytes(288)) == pytest.approx(0.3)
    assert lit_by_bytes(b"\xff" * 288) == 0.0
    assert lit_by_bytes(b"") == 0.0


# --- the table ---------------------------------------------------------------------------------


def test_every_screen_can_be_reached_and_left() -> None:
    """From the standard display every screen is reachable, and every one has a way on."""
    reached, waiting = {Screen.STANDARD}, [Screen.STANDARD]
    timed = {Screen.TEST_UPPER: [Screen.TEST_LOWER], Screen.PIN_ENTRY: [Screen.POWER]}
    while waiting:
        here = waiting.pop()
        for screen in [NEXT[step] for step in NEXT if step[0] is here] + timed.get(here, []):
            if screen not in reached:
                reached.add(screen)
                waiting.append(screen)
    assert reached == set(Screen)
    assert {step[0] for step in NEXT} == set(Screen)
    assert set(ACTIONS) <= set(NEXT)


def walk(menu: Menu, *presses: Press, start_s: float = 0.0, rules: Rules = RULES) -> list[Action | None]:
    return [menu.press(press, start_s + place, rules) for place, press in enumerate(presses)]


def unlocked(rules: Rules = RULES) -> Menu:
    """A menu at POWER, as after a right PIN."""
    menu = Menu()
    menu._show(Screen.POWER, 0.0)
    return menu


def test_menu_round() -> None:
    """Short presses lead through every item in the manual's order and back to the standard display."""
    menu = unlocked()
    seen = [menu.screen.value]
    for place in range(9):
        menu.press(SHORT, place, RULES)
        seen.append(menu.screen.value)
    assert seen == [
        "power",
        "energy",
        "1d",
        "7d",
        "30d",
        "365d",
        "history clear",
        "data set",
        "pin setting",
        "standard",
    ]


def test_display_test_runs_by_itself() -> None:
    """Two seconds a line, then the PIN; a short press goes there at once."""
    menu = Menu()
    menu.press(SHORT, 100.0, RULES)
    for at_s, screen in ((101.9, Screen.TEST_UPPER), (102.0, Screen.TEST_LOWER), (104.0, Screen.PIN_ENTRY)):
        menu.pass_time(at_s, RULES)
        assert menu.screen is screen
    hurried = Menu()
    walk(hurried, SHORT, SHORT)
    assert hurried.screen is Screen.PIN_ENTRY


@pytest.mark.parametrize(("pin", "screen"), [("1205", Screen.POWER), ("1204", Screen.STANDARD)])
def test_pin_digit_by_digit(pin: str, screen: Screen) -> None:
    """Flashes raise the digit, 3 s fix it, a wait alone enters 0; right opens, wrong falls back."""
    menu, at_s = Menu(), 10.0
    walk(menu, SHORT, SHORT, start_s=at_s - 1)
    for digit in pin:
        for _ in range(int(digit)):
            at_s += 0.7
            menu.press(SHORT, at_s, RULES)
        at_s += 3.1
        menu.pass_time(at_s, RULES)
    assert menu.screen is screen


def test_a_digit_wraps_after_nine() -> None:
    """The tenth flash makes the digit 0 again."""
    menu = Menu()
    walk(menu, SHORT, SHORT, *([SHORT] * 12))
    assert (menu.digit, menu.digits) == (2, "")


def test_past_periods() -> None:
    """A long press opens the older periods of the one shown; the last one and a long press lead back."""
    menu = unlocked()
    walk(menu, SHORT, SHORT, LONG)
    assert (menu.screen, menu.kind, menu.age) == (Screen.PAST, Screen.DAY, 1)
    walk(menu, *([SHORT] * 9), start_s=10)
    assert menu.age == 10
    walk(menu, SHORT, start_s=30)
    assert menu.screen.value == "1d"
    walk(menu, SHORT, LONG, LONG, start_s=40)
    assert menu.screen.value == "7d"


def test_two_directions_are_shown_in_turn() -> None:
    """With +A and -A a short press shows -A before it leads on."""
    rules = Rules(**{**{name: getattr(RULES, name) for name in Rules.__slots__}, "directions": 2})
    menu = unlocked()
    walk(menu, SHORT, rules=rules)
    assert (menu.screen, menu.direction) == (Screen.ENERGY, 0)
    walk(menu, SHORT, rules=rules, start_s=5)
    assert (menu.screen, menu.direction) == (Screen.ENERGY, 1)
    walk(menu, SHORT, rules=rules, start_s=9)
    assert (menu.screen, menu.direction) == (Screen.DAY, 0)


def test_resets_need_the_right_screen_and_a_long_press() -> None:
    """E asks again before it is cleared; history, InF and PIN act on one long press."""
    menu = unlocked()
    assert walk(menu, SHORT, LONG, SHORT, LONG, LONG) == [None, None, None, None, Action.CLEAR_ENERGY]
    assert menu.screen is Screen.ENERGY
    assert walk(menu, *([SHORT] * 5), LONG, SHORT, LONG, LONG, SHORT, LONG, start_s=10) == [
        *[None] * 5, Action.CLEAR_HISTORY, None, Action.TOGGLE_DATA_SET, Action.TOGGLE_DATA_SET, None,
        Action.TOGGLE_PIN,
    ]  # fmt: skip


def test_what_does_not_apply_is_skipped() -> None:
    """Without PIN, power or history the menu passes over their screens."""
    bare = Rules(pin="0000", ask_pin=False, pin_setting=False, power=False, history=False, directions=1)
    menu = Menu()
    seen = []
    for at_s in range(5):
        menu.press(SHORT, at_s, bare)
        seen.append(menu.screen)
    assert seen == [Screen.TEST_UPPER, Screen.ENERGY, Screen.DATA_SET, Screen.STANDARD, Screen.TEST_UPPER]


@given(st.sampled_from(Screen), st.floats(0, 1e6))
def test_every_screen_falls_back(screen: Screen, at_s: float) -> None:
    """After 120 s without a press the standard display is back, entered digits are lost."""
    menu = Menu()
    menu._show(screen, at_s)
    menu.touch(at_s)
    menu.pass_time(at_s + IDLE_S + 0.001, RULES)
    assert menu.screen is Screen.STANDARD
    assert (menu.digits, menu.next_deadline_s) == ("", None)


def test_a_million_random_presses() -> None:
    """Whatever is pressed whenever: no screen without a way back, no protected value without the PIN."""
    rng = random.Random(1)
    menu, at_s, opened, seen = Menu(), 0.0, False, set()
    for _ in range(1_000_000):
        at_s += rng.choice((0.4, 0.7, 2.5, 3.2, 121.0)) if rng.random() < 0.2 else 0.5
        menu.pass_time(at_s, RULES)
        if menu.screen is Screen.STANDARD:
            opened = False
        before = menu.screen
        if before is Screen.PIN_ENTRY and rng.random() < 0.002:
            menu.digits, menu.digit = "120", 5  # someone who knows
            at_s += 3.1
            menu.pass_time(at_s, RULES)
            opened = menu.screen is Screen.POWER
        menu.press(SHORT if rng.random() < 0.8 else LONG, at_s, RULES)
        if menu.screen is Screen.POWER:
            opened = True if before is Screen.PIN_ENTRY else opened
        locked = (Screen.STANDARD, Screen.TEST_UPPER, Screen.TEST_LOWER, Screen.PIN_ENTRY)
        assert opened or menu.screen in locked
        seen.add(menu.screen)
    assert len(seen) >= len(Screen) - 1


# --- the meter behind it -----------------------------------------------------------------------


def make(mode: Mode = Mode.TWO_WAY, **parameters: object) -> E320:
    meter = E320(
        server_id=ServerId.parse("1LGZ0063539421"),
        variant=Variant(mode=mode),
        memory=RamMemory(),
        parameters=FirmwareParameters(pin="1205", **parameters),  # type: ignore[arg-type]
    )
    meter.advance(PhasePowers.constant(30, (1000.0, 200.0, -300.0)))
    return meter


def idle(meter: E320, seconds: int, p_w: float = 1000.0) -> None:
    meter.advance(PhasePowers.constant(seconds, (p_w, 0.0, 0.0)))


def lower(meter: E320) -> tuple[str, str, str]:
    state = meter.display_state()
    lcd.segments(state)  # everything shown can be formed on the glass
    return state.lower_code, state.lower_value, state.lower_unit


def enter_pin(meter: E320, pin: str) -> None:
    """As tools do it: 300 ms flashes with 400 ms gaps."""

    def flash() -> None:
        meter.light(800)
        meter.light(0, 0.3)

    flash()
    idle(meter, 5)
    for place, digit in enumerate(pin):
        offset = 0.0
        for _ in range(int(digit)):
            whole = int(offset)
            if whole:
                idle(meter, whole)
                offset -= whole
            meter.light(800, offset)
            meter.light(0, offset + 0.3)
            offset += 0.7
        idle(meter, ceil(offset))
        while meter.menu.screen is Screen.PIN_ENTRY and len(meter.menu.digits) <= place:
            idle(meter, 1)


def test_pin_by_flashlight_shows_the_power() -> None:
    """300 ms flashes with 400 ms gaps enter the PIN; then P is on the lower line, and gone after 120 s."""
    meter = make()
    assert lower(meter) == ("", "", "")
    enter_pin(meter, "1205")
    assert lower(meter) == ("P", "1000", "W")
    idle(meter, 121)
    assert lower(meter) == ("", "", "")


def test_wrong_pin_leads_back() -> None:
    """A wrong PIN returns to the standard display and shows nothing."""
    meter = make()
    enter_pin(meter, "1206")
    assert lower(meter) == ("", "", "")
    assert meter.display_state().all_upper is False


def test_display_test_on_the_glass() -> None:
    """The first flash lights all segments of the upper, then of the lower line."""
    meter = make()
    meter.press(SHORT)
    assert meter.display_state().all_upper
    idle(meter, 2)
    state = meter.display_state()
    assert (state.all_upper, state.all_lower) == (False, True)
    idle(meter, 2)
    assert lower(meter) == ("PIn", "0---", "")


def test_settings_through_the_menu_survive() -> None:
    """InF On by a 6 s light makes the next push extended; PIN OFF shows P in normal operation."""
    meter = make()
    enter_pin(meter, "1205")
    for _ in range(2 + 3 + 4 + 1):  # E twice, then 1d, 7d, 30d, 365d: one of each direction where there are two
        meter.press(SHORT)
    while lower(meter)[0] != "InF":
        meter.press(SHORT)
    assert lower(meter)[1] == "OFF"
    meter.light(1000)
    idle(meter, 5)
    assert lower(meter)[:2] == ("InF", "On")
    idle(meter, 1)
    meter.light(0)
    idle(meter, 1)
    meter.press(SHORT)
    meter.press(LONG)
    assert lower(meter)[:2] == ("PIn", "OFF")
    meter.press(SHORT)
    assert lower(meter) == ("P", "1000", "W")
    assert meter.settings == UserSettings(pin_on=False, extended=True)
    telegram = meter.tick(PhasePowers.constant(1, (5.0, 0.0, 0.0)))
    assert telegram is not None
    assert len(telegram) == 276


def test_energy_and_history_on_the_lower_line() -> None:
    """E counts from its reset; 1d and 7d appear once their days are complete; -A carries a minus."""
    meter = make(pin_protection=False)
    idle(meter, 86_400 * 7 - 30)
    idle(meter, 86_400, -2000.0)
    for _ in range(3):
        meter.press(SHORT)  # test, P, E
    assert lower(meter)[0] == "E"
    assert lower(meter)[1] == "167.9"
    meter.press(SHORT)
    assert lower(meter) == ("E", "-48.0", "kWh")
    meter.press(SHORT)
    assert lower(meter) == ("1d", "0.0", "kWh")
    meter.press(SHORT)
    assert lower(meter) == ("1d", "-48.0", "kWh")
    meter.press(LONG)
    assert lower(meter) == ("1d", "1", "")
    idle(meter, 1, 0.0)
    assert lower(meter) == ("1d", "0.0", "kWh")
    meter.press(SHORT)
    meter.press(SHORT)
    idle(meter, 1, 0.0)
    assert lower(meter) == ("1d", "24.0", "kWh")
    meter.press(LONG)
    meter.press(SHORT)
    meter.press(SHORT)
    assert lower(meter) == ("7d", "144.0", "kWh")
    for _ in range(2):
        meter.press(SHORT)
    assert lower(meter) == ("30d", "----", "kWh")


def test_resets_through_the_menu() -> None:
    """E and the history are cleared by the customer, the registers are not touched."""
    meter = make(Mode.IMPORT, pin_protection=False)
    idle(meter, 2 * 86_400)
    registers = meter.registers
    for press in (SHORT, SHORT, SHORT, LONG, LONG):
        meter.press(press)
    assert lower(meter) == ("E", "0.0", "kWh")
    assert meter.history.complete_days == 2
    for press in (SHORT, SHORT, SHORT, SHORT, SHORT, LONG):
        meter.press(press)
    assert lower(meter)[:2] == ("HIS", "CLr")
    assert meter.history.complete_days == 0
    assert meter.registers == registers
    idle(meter, 86_399)
    assert meter.history.complete_days == 0
    idle(meter, 1)
    assert meter.history.complete_days == 1


def test_infrared_head_presses_by_transmitting() -> None:
    """Zero bytes sent through the head's transmit side are a flash."""
    meter = make()
    meter.light_by_bytes(bytes(288))
    idle(meter, 1)
    assert meter.display_state().all_upper


def test_bytes_sent_at_once_press_long() -> None:
    """Six seconds of zero bytes, written in one go into a buffered line, are one long press at their own pace."""
    meter = make(pin_protection=False)
    for _ in range(3):
        meter.press(SHORT)
    for chunk in (4096, 1664):
        meter.light_by_bytes(bytes(chunk))
    for second in range(1, 8):
        idle(meter, 1)
        assert lower(meter)[1] == ("CLr" if second >= 5 else "0.0")
    for _ in range(10_000):
        meter.light_by_bytes(bytes(100))  # a flood is bounded


def test_light_during_start_up_is_ignored() -> None:
    """The menu opens only after the start-up sequence."""
    meter = make()
    meter.cut_power()
    meter.restore_power()
    idle(meter, 10)
    meter.light(800)
    meter.light(0, 0.3)
    idle(meter, 20)
    assert lower(meter) == ("", "", "")


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 0.99), st.integers(1, 8)), max_size=30))
def test_light_and_fast_forward_equal_ticks(script: list[tuple[float, float, int]]) -> None:
    """Any light at any time: fast-forward and single seconds show the same in the end."""
    stepped, forwarded = make(), make()
    for lux, after_s, seconds in script:
        load = PhasePowers.constant(seconds, (100.0, 0.0, 0.0))
        for meter in (stepped, forwarded):
            meter.light(lux, after_s)
        forwarded.advance(load)
        for block in load.blocks(1):
            stepped.tick(block)
        assert stepped.display_state() == forwarded.display_state()
    assert stepped.settings == forwarded.settings


TEXTS = [(0, "0.0"), (359_999_999, "0.0"), (360_000_000, "0.1"), (-720_000_000, "-0.2"), (None, "----"),
         (35_999_999_999_999, "9999.9"), (36_000_000_000_000, "10000"),
         (-(10**6) * 3_600_000_000, "-----")]  # fmt: skip


@pytest.mark.parametrize(("mws", "text"), TEXTS)
def test_energy_text(mws: int | None, text: str) -> None:
    """kWh with one decimal, cut; a large value drops it; dashes where unknown or too large."""
    assert energy_text(mws) == text
    assert power_line(-100_000) == ("P", "-----", "W")
