"""The user menu as a table: which screen follows which press, and what the press does.

The machine knows screens and time; energies, settings and their storage belong to the meter,
which carries out the returned actions. Source: E320 manual 5.5.1; PIN entry and the details of
resets as base meters of its class do them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .button import Press

IDLE_S: Final = 120.0
"""Without a press the menu falls back to the standard display."""
TEST_LINE_S: Final = 2.0
"""Each line of the display test."""
DIGIT_S: Final = 3.0
"""Without a flash the active digit of the PIN is fixed."""
INDEX_S: Final = 1.0
"""A past period shows its number this long, then its energy."""
PIN_DIGITS: Final = 4


class Screen(Enum):
    """What the lower line is about."""

    STANDARD = "standard"
    TEST_UPPER = "test upper"
    TEST_LOWER = "test lower"
    PIN_ENTRY = "pin entry"
    POWER = "power"
    ENERGY = "energy"
    ENERGY_CLEAR = "energy clear"
    DAY = "1d"
    WEEK = "7d"
    MONTH = "30d"
    YEAR = "365d"
    PAST = "past"
    """Older periods of DAY, WEEK, MONTH or YEAR; `Menu.kind` says which."""
    HISTORY_CLEAR = "history clear"
    DATA_SET = "data set"
    PIN_SETTING = "pin setting"


class Action(Enum):
    """What the meter has to do for the user."""

    CLEAR_ENERGY = "clear energy"
    CLEAR_HISTORY = "clear history"
    TOGGLE_DATA_SET = "toggle data set"
    TOGGLE_PIN = "toggle pin"


PERIODS: Final[dict[Screen, int]] = {Screen.DAY: 1, Screen.WEEK: 7, Screen.MONTH: 30, Screen.YEAR: 365}
"""Days of one period."""
DIRECTED: Final = frozenset({Screen.ENERGY, Screen.PAST, *PERIODS})
"""Screens that show +A, then with the next short press -A, where the meter has both."""

NEXT: Final[dict[tuple[Screen, Press], Screen]] = {
    (Screen.STANDARD, Press.SHORT): Screen.TEST_UPPER,
    (Screen.TEST_UPPER, Press.SHORT): Screen.PIN_ENTRY,
    (Screen.TEST_LOWER, Press.SHORT): Screen.PIN_ENTRY,
    (Screen.PIN_ENTRY, Press.SHORT): Screen.PIN_ENTRY,
    (Screen.POWER, Press.SHORT): Screen.ENERGY,
    (Screen.ENERGY, Press.SHORT): Screen.DAY,
    (Screen.ENERGY, Press.LONG): Screen.ENERGY_CLEAR,
    (Screen.ENERGY_CLEAR, Press.SHORT): Screen.ENERGY,
    (Screen.ENERGY_CLEAR, Press.LONG): Screen.ENERGY,
    (Screen.DAY, Press.SHORT): Screen.WEEK,
    (Screen.DAY, Press.LONG): Screen.PAST,
    (Screen.WEEK, Press.SHORT): Screen.MONTH,
    (Screen.WEEK, Press.LONG): Screen.PAST,
    (Screen.MONTH, Press.SHORT): Screen.YEAR,
    (Screen.MONTH, Press.LONG): Screen.PAST,
    (Screen.YEAR, Press.SHORT): Screen.HISTORY_CLEAR,
    (Screen.YEAR, Press.LONG): Screen.PAST,
    (Screen.PAST, Press.SHORT): Screen.PAST,
    (Screen.PAST, Press.LONG): Screen.DAY,
    (Screen.HISTORY_CLEAR, Press.SHORT): Screen.DATA_SET,
    (Screen.HISTORY_CLEAR, Press.LONG): Screen.HISTORY_CLEAR,
    (Screen.DATA_SET, Press.SHORT): Screen.PIN_SETTING,
    (Screen.DATA_SET, Press.LONG): Screen.DATA_SET,
    (Screen.PIN_SETTING, Press.SHORT): Screen.STANDARD,
    (Screen.PIN_SETTING, Press.LONG): Screen.PIN_SETTING,
}
"""What is not in here does nothing. `Menu` refines four rows: PIN_ENTRY is skipped where no PIN is
asked, POWER where it is not activated, the periods where history is not shown, and PAST returns to
the screen it came from."""

ACTIONS: Final[dict[tuple[Screen, Press], Action]] = {
    (Screen.ENERGY_CLEAR, Press.LONG): Action.CLEAR_ENERGY,
    (Screen.HISTORY_CLEAR, Press.LONG): Action.CLEAR_HISTORY,
    (Screen.DATA_SET, Press.LONG): Action.TOGGLE_DATA_SET,
    (Screen.PIN_SETTING, Press.LONG): Action.TOGGLE_PIN,
}

TIMED: Final[dict[Screen, tuple[float, Screen]]] = {
    Screen.TEST_UPPER: (TEST_LINE_S, Screen.TEST_LOWER),
    Screen.TEST_LOWER: (TEST_LINE_S, Screen.PIN_ENTRY),
}
"""Screens that end by themselves."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the meter's parameters, settings and contents make of the table, at this moment."""

    pin: str
    ask_pin: bool
    """PIN protection exists and the user's setting is On."""
    pin_setting: bool
    """PIN protection exists, so it can be switched."""
    power: bool
    """Instantaneous power is activated."""
    history: bool
    """History is shown: stand-alone operation."""
    directions: int
    """1, or 2 where +A and -A both exist."""
    periods: dict[int, int] = field(default_factory=dict)
    """Complete periods held, by length in days."""


@dataclass(slots=True)
class Menu:
    """One user's way through the screens. All times are the meter's seconds since mains came."""

    screen: Screen = Screen.STANDARD
    entered_s: float = 0.0
    """When the present screen, digit or period began to show."""
    touched_s: float = 0.0
    """When light last fell on the button."""
    direction: int = 0
    """0 for +A (or the only direction), 1 for -A."""
    kind: Screen = Screen.DAY
    """The period PAST is about."""
    age: int = 1
    """Which past period, 1 = newest."""
    digits: str = ""
    """Digits of the PIN that are fixed."""
    digit: int = 0
    """The digit being entered."""

    @property
    def next_deadline_s(self) -> float | None:
        """When something happens without a press."""
        if self.screen is Screen.STANDARD:
            return None
        idle_s = self.touched_s + IDLE_S
        if self.screen in TIMED:
            return min(idle_s, self.entered_s + TIMED[self.screen][0])
        if self.screen is Screen.PIN_ENTRY:
            return min(idle_s, max(self.entered_s, self.touched_s) + DIGIT_S)
        return idle_s

    def touch(self, at_s: float) -> None:
        """Light falls on the button: every waiting time begins anew."""
        self.touched_s = max(self.touched_s, at_s)

    def pass_time(self, until_s: float, rules: Rules) -> None:
        """Nobody presses until `until_s`: displays time out, digits are fixed, the menu falls back."""
        while (deadline_s := self.next_deadline_s) is not None and deadline_s <= until_s:
            if deadline_s >= self.touched_s + IDLE_S:
                self._show(Screen.STANDARD, deadline_s)
            elif self.screen is Screen.PIN_ENTRY:
                self._fix_digit(deadline_s, rules)
            else:
                self._go(TIMED[self.screen][1], deadline_s, rules)

    def press(self, press: Press, at_s: float, rules: Rules) -> Action | None:
        """One press. Returns what the meter has to do, if anything."""
        self.pass_time(at_s, rules)
        self.touch(at_s)
        here, step = self.screen, (self.screen, press)
        if step not in NEXT:
            return None
        if here is Screen.PIN_ENTRY:
            self.digit = (self.digit + 1) % 10
        elif press is Press.SHORT and here in DIRECTED and self.direction + 1 < rules.directions:
            self.direction += 1
            self.entered_s = at_s
        elif here is Screen.PAST:
            self._leave_period(press, at_s, rules)
        else:
            self._go(NEXT[step], at_s, rules)
        return ACTIONS.get(step)

    def _go(self, screen: Screen, at_s: float, rules: Rules) -> None:
        """Enter a screen, or the next one where it does not apply."""
        if screen is Screen.PIN_ENTRY and not rules.ask_pin:
            screen = Screen.POWER
        if screen is Screen.POWER and not rules.power:
            screen = Screen.ENERGY
        if screen is Screen.DAY and not rules.history:
            screen = Screen.DATA_SET
        if screen is Screen.PIN_SETTING and not rules.pin_setting:
            screen = Screen.STANDARD
        if screen is Screen.PAST:
            self.kind, self.age = self.screen, 1
        self._show(screen, at_s)

    def _show(self, screen: Screen, at_s: float) -> None:
        self.screen, self.entered_s, self.direction = screen, at_s, 0
        self.digits, self.digit = "", 0

    def _leave_period(self, press: Press, at_s: float, rules: Rules) -> None:
        if press is Press.SHORT and self.age < rules.periods.get(PERIODS[self.kind], 0):
            self.age += 1
            self._show(Screen.PAST, at_s)
        else:
            self._show(self.kind, at_s)

    def _fix_digit(self, at_s: float, rules: Rules) -> None:
        digits = self.digits + str(self.digit)
        self.digits, self.digit, self.entered_s = digits, 0, at_s
        if len(digits) == PIN_DIGITS:
            if digits == rules.pin:
                self._go(Screen.POWER, at_s, rules)
            else:
                self._show(Screen.STANDARD, at_s)
