"""Behind the cover: what belongs to the simulator and to no real meter. Loads, mains, faults, time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import partial
from html import escape
from typing import Any, Final

from nicegui import ui

from ..e320.error_register import Error, error_text, is_critical
from ..e320.faults import CATALOGUE, PlannedFault
from ..e320.nonvolatile import AREAS
from ..errors import LocalError
from ..station.web.language import Language
from ..station.web.shell import Live, Text, box, markup
from .e320_view import ENDLESS_S, Connected, E320View, Moment, Pace, Terminals

SEND_EVERY_S: Final = 0.1
"""A slider that is dragged tells its place at most so often."""
PHASES: Final = ("L1", "L2", "L3")
MOST_DRAWN_W: Final = 10_000
MOST_SUN_W: Final = 15_000
STEP_W: Final = 10
SPEEDS: Final = (0, 1, 10, 60, 600)
STEPS: Final = ((1, "1 s"), (60, "1 min"), (900, "15 min"), (3600, "1 h"))
"""Seconds to let pass at once, and how they are called."""

FAULT_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Grid": ("phase_missing", "neutral_lost", "voltage_level"),
    "Installation": ("phases_swapped", "voltage_missing", "current_missing", "current_reversed", "current_ratio",
                     "currents_swapped"),
    "Device": ("power_cut", "crash", "memory_damage", "device_error"),
    "Line": ("bit_flips", "lost_bytes", "doubled_bytes", "inserted_bytes", "noise_burst", "half_telegram", "echo",
             "wrong_baud", "silent"),
}  # fmt: skip
"""The fault catalogue as the page offers it."""
DURATIONS: Final = ((10, "10 s"), (60, "1 min"), (600, "10 min"), (ENDLESS_S, "until ended"))
FIRST_CHOICE: Final[dict[str, Any]] = {"phase": 0, "first": 0, "second": 1, "factor": 0.5}
"""What a fault's field begins with where the catalogue knows no default."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready-made load."""

    name: str
    draw_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cos_phi: float = 1.0
    sun_w: float = 0.0
    own: bool = True

    @property
    def connections(self) -> dict[str, Any]:
        """As `Terminals.adjust` takes them."""
        return {"draw_w": self.draw_w, "cos_phi": self.cos_phi, "capacitive": False, "sun_w": self.sun_w,
                "own": self.own}  # fmt: skip


PRESETS: Final = (
    Preset("as installed"),
    Preset("nothing at all", own=False),
    Preset("kettle on L1, 2 kW", (2_000, 0, 0)),
    Preset("hob on three phases, 6 kW", (2_000, 2_000, 2_000)),
    Preset("motor, 4.5 kW, cos φ 0.8", (1_500, 1_500, 1_500), cos_phi=0.8),
    Preset("sun, 8 kW", sun_w=8_000),
)


def build(live: Live[Moment], view: E320View, language: Language) -> None:
    """The drawer with all its parts."""
    say = language.say
    with box("sheet drawer", "details"):
        with box(tag="summary"):
            markup(f'<span class="turn"></span> {escape(say("Behind the cover: load, mains, faults, time"))}')
        Text("p", say("Nothing in here exists on a real meter. What is changed here is forgotten when the twin stops."),
             "soft small")  # fmt: skip
        with box("cover"):
            if view.terminals is not None:
                _load(live, view.terminals, language)
            with box("cover-part"):
                _mains(live, view, language)
                _time(live, view.pace, language)
            with box("cover-part"):
                _faults(live, view, language)


# --- load --------------------------------------------------------------------------------------


def _load(live: Live[Moment], terminals: Terminals, language: Language) -> None:
    say = language.say

    def connect(**change: Any) -> None:
        now = terminals.extra
        as_it_is = {
            "draw_w": now.draw_w, "cos_phi": now.cos_phi, "capacitive": now.capacitive, "sun_w": now.sun_w,
            "own": now.own,
        }  # fmt: skip
        terminals.adjust(**{**as_it_is, **change})

    def of(moment: Moment) -> Connected:
        return moment.connected or terminals.extra

    def drawn(place: int, moment: Moment) -> float:
        return of(moment).draw_w[place]

    def draw(place: int, power_w: float) -> None:
        powers = list(terminals.extra.draw_w)
        powers[place] = power_w
        connect(draw_w=tuple(powers))

    def watts(value: float) -> str:
        return language.quantity(value, "W")

    def measured(place: int, moment: Moment) -> str:
        return watts(moment.phase_power_w[place])

    with box("cover-part"):
        Text("h2", say("Load"))
        with box("picks"):
            for preset in PRESETS:
                _button(say(preset.name), partial(connect, **preset.connections), "pick-one")
        for place, phase in enumerate(PHASES):
            _slider(live, say("Drawn on {phase}", phase=phase), MOST_DRAWN_W, STEP_W, partial(drawn, place),
                    partial(draw, place), watts)  # fmt: skip
        _slider(live, say("Power factor of it"), 1.0, 0.01, lambda m: of(m).cos_phi, lambda v: connect(cos_phi=v),
                lambda value: language.number(value, 2), least=0.1)  # fmt: skip
        _checkbox(live, say("capacitive"), lambda m: of(m).capacitive, lambda on: connect(capacitive=on))
        _slider(live, say("Fed in by the sun"), MOST_SUN_W, 100, lambda m: of(m).sun_w, lambda v: connect(sun_w=v),
                watts)  # fmt: skip
        _checkbox(live, say("the installation's own load"), lambda m: of(m).own, lambda on: connect(own=on))
        Text("h3", say("What the meter measures"))
        with box("cover-measured"):
            for place, phase in enumerate(PHASES):
                Text("span", phase, "soft")
                live.text("span", partial(measured, place), "num")


# --- mains, errors, time -----------------------------------------------------------------------


def _mains(live: Live[Moment], view: E320View, language: Language) -> None:
    say = language.say
    Text("h2", say("Mains"))

    def switch() -> None:
        view.switch_mains(on=not live.snapshot.powered)

    button = _button("", switch, "button")
    live.follow(lambda m: button.set_text(say("Cut the power") if m.powered else say("Return the power")))
    button.set_text(say("Cut the power") if live.snapshot.powered else say("Return the power"))
    Text("h3", say("Error register F.F."))
    with box("cover-row"):
        live.text("code", lambda m: error_text(m.error_register))
        reset = _button(say("Reset"), view.reset_errors, "pick-one")
        live.classes(reset, lambda m: "pick-one" if is_critical(m.error_register) else "gone")
    live.text("p", lambda m: ", ".join(error.name or "" for error in Error(m.error_register)) or say("no error"),
              "soft small")  # fmt: skip


def _time(live: Live[Moment], pace: Pace | None, language: Language) -> None:
    say = language.say
    Text("h2", say("Time"), "spaced")
    if pace is None:
        words = say("Real time, because the station's clock runs beside it. A twin of its own can be faster, slower or"
                    " stepped: messwerk e320 run --panel 8081")  # fmt: skip
        Text("p", words, "soft small")
        return
    with box("picks").props(f'role="group" aria-label="{say("Seconds a second")}"'):
        for speed in SPEEDS:
            pick = _button(
                say("pause") if not speed else f"{speed}×", partial(setattr, pace, "speed", speed), "pick-one"
            )
            live.attribute(pick, "aria-pressed", partial(_pressed, speed))
    Text("h3", say("Let pass at once"))
    with box("picks"):
        for seconds, name in STEPS:
            _button(name, partial(pace.step, seconds), "pick-one")


def _pressed(speed: float, moment: Moment) -> str:
    return "true" if moment.speed == speed else "false"


# --- faults ------------------------------------------------------------------------------------


def _faults(live: Live[Moment], view: E320View, language: Language) -> None:
    say = language.say
    Text("h2", say("Faults"))
    form = _FaultForm(view, language)
    form.build()
    Text("h3", say("At work"))
    _active(live, view, language)


class _FaultForm:
    """Choose a fault of the catalogue, its figures and how long, and let it begin."""

    def __init__(self, view: E320View, language: Language) -> None:
        self._view, self._say = view, language.say
        self._kind = FAULT_GROUPS["Grid"][0]
        self._values: dict[str, Any] = {}
        self._duration_s = DURATIONS[1][0]

    def build(self) -> None:
        say = self._say
        with _setting(say("Kind")), _control("select", say("Kind")) as kinds:
            for group, members in FAULT_GROUPS.items():
                with box(tag="optgroup").props(f'label="{say(group)}"'):
                    for kind in members:
                        _option(kind, say(fault_name(kind)))
        kinds.on("change", self._choose, js_handler=_VALUE)
        self._fields = box("cover-fields")
        with _setting(say("Duration")), _control("select", say("Duration")) as durations:
            for seconds, name in DURATIONS:
                _option(str(seconds), say(name) if seconds == ENDLESS_S else name, chosen=seconds == self._duration_s)
        durations.on("change", self._last, js_handler=_VALUE)
        _button(say("Let it begin"), self._begin, "button main spaced")
        self._problem = Text("p", "", "bad small").props('role="alert"')
        self._show_fields()

    def _choose(self, event: Any) -> None:
        if event.args in CATALOGUE:
            self._kind = event.args
            self._show_fields()

    def _last(self, event: Any) -> None:
        self._duration_s = int(event.args)

    def _show_fields(self) -> None:
        self._values = {}
        self._problem.set_text("")
        self._fields.clear()
        with self._fields:
            for field in fields(CATALOGUE[self._kind]):
                first = FIRST_CHOICE[field.name] if field.default is MISSING else field.default
                self._values[field.name] = first
                self._field(field.name, first)

    def _field(self, name: str, first: Any) -> None:
        choices = _choices(name)

        def set_to(event: Any) -> None:
            text = str(event.args)[:40]
            try:
                self._values[name] = type(first)(text)
            except ValueError:
                self._problem.set_text(self._say("not a number: {text}", text=text))

        title = self._say(name).capitalize()
        with _setting(title):
            if choices:
                with _control("select", title) as element:
                    for value, words in choices:
                        _option(str(value), words, chosen=value == first)
            else:
                element = _control("input", title).props('type="number" step="any" min="0"')
                element._props["value"] = first
        element.on("change", set_to, js_handler=_VALUE)

    def _begin(self) -> None:
        try:
            self._view.inject(self._kind, self._values, self._duration_s)
        except LocalError as error:
            self._problem.set_text(str(error))
        else:
            self._problem.set_text("")


def _choices(name: str) -> Sequence[tuple[Any, str]]:
    """The values a field of a fault may have, where they can be counted."""
    match name:
        case "phase" | "first" | "second":
            return tuple(enumerate(PHASES))
        case "area":
            return tuple((area, area) for area in AREAS)
        case "copy":
            return ((0, "A"), (1, "B"))
        case "error":
            return tuple((error.name or "", (error.name or "").replace("_", " ").lower()) for error in Error)
    return ()


def _active(live: Live[Moment], view: E320View, language: Language) -> None:
    """Faults at work, each with a button that ends it."""
    place = box("cover-active")
    shown: tuple[PlannedFault, ...] | None = None

    def show(moment: Moment) -> None:
        nonlocal shown
        if moment.faults == shown:
            return
        shown = moment.faults
        place.clear()
        with place:
            if not shown:
                Text("p", language.say("nothing at work"), "soft small")
            for planned in shown:
                Text("span", describe(planned, language))
                _button(language.say("End"), partial(view.end, planned), "pick-one")

    show(live.snapshot)
    live.follow(show)


def fault_name(kind: str) -> str:
    """`phase_missing` -> `phase missing`; the page translates."""
    return kind.replace("_", " ")


def describe(planned: PlannedFault, language: Language) -> str:
    """A fault with its figures, phases by name."""
    figures = []
    for name, value in planned.parameters.items():
        names = dict(_choices(name))
        figures.append(names[value] if value in names else f"{language.say(name)} {value:g}")
    return f"{language.say(fault_name(planned.kind))} {', '.join(figures)}".strip()


# --- what the forms are made of ------------------------------------------------------------------

_VALUE: Final = "e => emit(e.target.value)"


@contextmanager
def _setting(name: str) -> Iterator[None]:
    """A named place for one control."""
    with box("setting", "label"):
        Text("span", name)
        yield


def _control(tag: str, name: str) -> ui.element:
    """A control that says its name itself, because a label that holds options would read them all."""
    control = box(tag=tag)
    control._props["aria-label"] = name
    return control


def _option(value: str, words: str, *, chosen: bool = False) -> None:
    option = Text("option", words)
    option._props["value"] = value
    if chosen:
        option._props["selected"] = "selected"


def _button(words: str, act: Callable[[], None], classes: str) -> Text:
    button = Text("button", words, classes)
    button._props["type"] = "button"
    button.on("click", lambda: act())
    return button


def _slider(
    live: Live[Moment],
    name: str,
    most: float,
    step: float,
    of: Callable[[Moment], float],
    act: Callable[[float], None],
    shown: Callable[[float], str],
    *,
    least: float = 0.0,
) -> None:
    """A slider that follows the moment, except for what came from itself."""
    with _setting(name):
        slider = _control("input", name).props(f'type="range" min="{least:g}" max="{most:g}" step="{step:g}"')
        live.text("output", lambda m: shown(of(m)))
    slider._props["value"] = of(live.snapshot)

    def moved(event: Any) -> None:
        value = min(max(float(event.args), least), most)
        slider._props["value"] = value
        act(value)

    def follow(moment: Moment) -> None:
        if slider._props["value"] != (value := of(moment)):
            slider._props["value"] = value
            slider.update()

    slider.on("input", moved, js_handler=_VALUE, throttle=SEND_EVERY_S)
    live.follow(follow)


def _checkbox(live: Live[Moment], words: str, of: Callable[[Moment], bool], act: Callable[[bool], None]) -> None:
    with box("setting check", "label"):
        check = box(tag="input").props('type="checkbox"')
        Text("span", words)
    check._props["checked"] = of(live.snapshot)

    def changed(event: Any) -> None:
        check._props["checked"] = bool(event.args)
        act(bool(event.args))

    def follow(moment: Moment) -> None:
        if check._props["checked"] != (value := of(moment)):
            check._props["checked"] = value
            check.update()

    check.on("change", changed, js_handler="e => emit(e.target.checked)")
    live.follow(follow)
