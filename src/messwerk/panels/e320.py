"""The E320 as it hangs in the cabinet: case, display, LED, optical port, faceplate.

Only what a real device shows is on its face. Beside it lies a flashlight; behind the cover is
what belongs to the simulator (`cover.py`) and the telegram in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Final

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

from ..e320.button import LONG_FROM_S, Press
from ..e320.error_register import is_critical
from ..e320.line_faults import BITS_A_BYTE
from ..link.serial import BAUD
from ..station.web import PanelLink
from ..station.web.language import Language
from ..station.web.shell import Live, Text, Visitor, box, frame, markup, pairs
from . import cover, lcd, telegram
from .e320_view import E320View, Moment, Plate
from .manual import MANUAL

LOOK_EVERY_S: Final = 0.1
"""How often the page looks whether anything changed; nothing new sends nothing."""
PULSES_VISIBLE: Final = 25
"""More flashes a second than this look steady, to an eye and to a browser."""
QUIET_MODULES: Final = 2
"""White around the Data Matrix, as ISO/IEC 16022 asks (one) and cameras like (two)."""

LIGHT_ON: Final = (
    "e => { if (e.button) return; e.preventDefault(); const port = e.currentTarget; port.focus();"
    " port.setPointerCapture(e.pointerId); port.setAttribute('data-lit', ''); emit(); }"
)
LIGHT_ON_KEY: Final = (
    "e => { if (e.key !== ' ' && e.key !== 'Enter') return; e.preventDefault();"
    " if (e.repeat || e.currentTarget.hasAttribute('data-lit')) return;"
    " e.currentTarget.setAttribute('data-lit', ''); emit(); }"
)
LIGHT_OFF: Final = (
    "e => { if (e.type === 'keyup' && e.key !== ' ' && e.key !== 'Enter') return;"
    " if (!e.currentTarget.hasAttribute('data-lit')) return;"
    " e.currentTarget.removeAttribute('data-lit'); emit(); }"
)
"""Handlers in the browser: the ring answers at once there, the meter as soon as the message arrives."""


def build(visitor: Visitor, *, source: E320View, links: Sequence[PanelLink], here: str, station: bool = True) -> None:
    """Lay the panel out and start its timer. `station`: the station's pages are served beside it."""
    say = visitor.language.say
    plate = source.plate
    live = Live(source.moment())
    title = source.title
    with frame(visitor, links, here=here, title=f"{plate.model} {title}", station=station):
        with box("headline"), box():
            Text("h1", plate.model)
            Text("p", f"{title} · {say(plate.mode_text)}", "lead")
        with box("e320-case"):
            _face(live, source, visitor.language)
            with box("e320-bay"):
                Text("span", say("module bay, cover closed and sealed"), "e320-print")
            with box("e320-terminals"):
                for terminal in ("L1", "L1′", "L2", "L2′", "L3", "L3′", "N"):
                    Text("span", terminal, "e320-terminal")
        _flashlight(live, source, visitor.language)
        cover.build(live, source, visitor.language)
        _telegram(live, visitor.language)
        if plate.drawing:
            with _drawer(say("Faceplate with Data Matrix")):
                markup(plate.drawing, "faceplate")
    ui.timer(LOOK_EVERY_S, lambda: _look(live, source))


def _look(live: Live[Moment], source: E320View) -> None:
    moment = source.moment()
    if moment is not live.snapshot:
        live.show(moment)


def _drawer(title: str) -> ui.element:
    drawer = box("sheet drawer", "details")
    with drawer, box(tag="summary"):
        markup(f'<span class="turn"></span> {escape(title)}')
    return drawer


# --- the face ----------------------------------------------------------------------------------


def _face(live: Live[Moment], source: E320View, language: Language) -> None:
    say, plate = language.say, source.plate
    with box("e320-face"):
        with box("e320-window"):
            with box() as glass:
                markup(lcd.svg())
            glass.props('role="img"')
            live.classes(glass, display_classes)
            live.attribute(glass, "style", air_time)
            live.attribute(glass, "aria-label", lambda m: lcd.spoken(m.display) or say("the display is dark"))
        with box("e320-side"):
            _optical_port(live, source, language)
            Text("span", "INFO", "e320-print")
            with box("e320-led-place"):
                led = box()
                live.classes(led, led_classes)
                live.attribute(led, "style", lambda m: f"--pulses: {max(1, m.pulses)}")
                Text("span", f"{plate.pulses_per_kwh:,} imp/kWh".replace(",", "\u00a0"), "e320-print")
        with box("e320-plate"):
            markup(_print(plate, say(plate.mode_text)))
            if plate.matrix is not None:
                markup(matrix_svg(plate.matrix, say("Data Matrix with identity and public key")), "e320-matrix")
    announce = Announcer(language)
    live.text("div", announce, "unseen").props('role="status" aria-live="polite"')


def _optical_port(live: Live[Moment], source: E320View, language: Language) -> None:
    """The INFO LED, and the button behind the same window: press and hold is light."""
    client = ui.context.client
    with box(tag="button") as port:
        box("e320-port-eye")
        markup(_RING, "e320-ring")
    port._props["type"] = "button"
    port._props["aria-label"] = language.say("Optical port: press and hold for light, short below 2 s, long from 5 s")
    live.classes(port, lambda m: f"e320-port {_beat(m) if m.telegram else ''}")
    live.attribute(port, "style", lambda m: f"{air_time(m)}; --long: {LONG_FROM_S / max(m.speed, 1e-3):g}s")

    def shine(lit: bool) -> Callable[[], None]:
        return lambda: source.torch(client.id, lit=lit)

    port.on("pointerdown", shine(True), js_handler=LIGHT_ON)
    port.on("keydown", shine(True), js_handler=LIGHT_ON_KEY)
    for event in ("pointerup", "pointercancel", "lostpointercapture", "keyup", "blur"):
        port.on(event, shine(False), js_handler=LIGHT_OFF)
    port.on("contextmenu", js_handler="e => e.preventDefault()")  # a long touch is light, not a menu
    client.on_disconnect(shine(False))


_RING: Final = (
    '<svg viewBox="0 0 100 100" aria-hidden="true"><circle class="way" cx="50" cy="50" r="47"/>'
    '<circle class="held" cx="50" cy="50" r="47" pathLength="100"/><path d="M74.1 83.2l7 9.6M50 9V-3"/>'
    '<text x="88" y="106">2 s</text><text x="50" y="-8">5 s</text></svg>'
)
"""Fills clockwise in five seconds; the marks are at two and at five."""


def display_classes(moment: Moment) -> str:
    """Class names that light the display; INFO is lit for the time a push runs."""
    return f"e320-glass {_beat(moment) if moment.telegram else ''} {lcd.lit_classes(lcd.segments(moment.display))}"


def air_time(moment: Moment) -> str:
    """How long the telegram takes on the line, for the animations."""
    octets = len(moment.telegram or b"")
    return f"--air: {octets * BITS_A_BYTE / BAUD / max(moment.speed, 1.0):.3f}s"


def led_classes(moment: Moment) -> str:
    """How the LED behaves in this second: off, so many flashes, or steadily on below start-up."""
    if not moment.powered:
        return "e320-led"
    if not moment.counting or moment.pulses > PULSES_VISIBLE:
        return "e320-led e320-led-on"
    return f"e320-led e320-led-{_beat(moment)}" if moment.pulses else "e320-led"


def _beat(moment: Moment) -> str:
    """Alternates every second: a changed class name starts the animation anew."""
    return "beat-even" if moment.beat % 2 == 0 else "beat-odd"


def _print(plate: Plate, mode_text: str) -> str:
    rows = (
        f"<b>{escape(plate.model)}</b> {escape(plate.type_designation)}",
        escape(mode_text),
        f"3x230/400 V&ensp;50 Hz&ensp;{escape(plate.current_range)}",
        f"Kl. {escape(plate.accuracy)}&ensp;−25 °C … +55 °C&ensp;DIN 43856: {escape(plate.circuit_diagram)}",
        f"Server-ID {plate.server_id.hex(' ').upper()}",
    )
    number = f'<div class="e320-number">{escape(str(plate.device_id or plate.server_id))}</div>'
    return number + "".join(f"<div>{row}</div>" for row in rows)


def matrix_svg(modules: NDArray[np.bool_], label: str) -> str:
    """A Data Matrix as one path on white, quiet zone included."""
    size = len(modules) + 2 * QUIET_MODULES
    rows, columns = np.nonzero(modules)
    squares = "".join(
        f"M{column + QUIET_MODULES} {row + QUIET_MODULES}h1v1h-1z"
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    )
    return (
        f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{escape(label)}" shape-rendering="crispEdges">'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{squares}" fill="#000"/></svg>'
    )


class Announcer:
    """What a screen reader is told of the display: what a user did, not every watt.

    Called with each moment; the text changes when the menu moves, the display goes dark or comes
    back, or an error appears.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._key: object = None
        self._text = ""

    def __call__(self, moment: Moment) -> str:
        display, screen = moment.display, moment.screen.value
        value = "" if display.lower_code == "P" else display.lower_value
        key = (display.on, display.all_upper, display.all_lower, screen, display.lower_code, value,
               is_critical(moment.error_register))  # fmt: skip
        if key != self._key:
            self._key, self._text = key, self._say(moment)
        return self._text

    def _say(self, moment: Moment) -> str:
        say, display = self._language.say, moment.display
        if not display.on:
            return say("the display is dark")
        if display.all_upper or display.all_lower:
            return say("display test")
        lower = " ".join(filter(None, (display.lower_code, display.lower_value, display.lower_unit)))
        error = say("error register F.F.") if is_critical(moment.error_register) else ""
        return ", ".join(filter(None, (error, say(MANUAL[moment.screen].name), lower)))


# --- the flashlight, and what the manual says about it ---------------------------------------------


def _flashlight(live: Live[Moment], source: E320View, language: Language) -> None:
    say = language.say
    with box("sheet torch", "section"):
        with box("torch-how"):
            Text("h2", say("Flashlight"))
            how = say("Press and hold the optical port with mouse, finger or space bar: below 2 s is short, from 5 s on"
                      " long. Or let it flash by itself:")  # fmt: skip
            Text("p", how, "soft small")
            with box("picks"):
                for press, words in ((Press.SHORT, say("Short flash")), (Press.LONG, say("Long flash"))):
                    flash = Text("button", words, "button")
                    flash._props["type"] = "button"
                    flash.on("click", partial(source.flash, press))
        live.html(lambda m: guide(m, source.plate.pin, language), "torch-guide")


def guide(moment: Moment, pin: str, language: Language) -> str:
    """Where the user menu stands and what a press does there; markup."""
    say, page = language.say, MANUAL[moment.screen]
    rows = [
        (say("On the lower line"), f"<strong>{escape(say(page.name))}</strong>"),
        (say("Short"), escape(say(page.short) if page.short else "–")),
        (say("Long"), escape(say(page.long) if page.long else "–")),
    ]
    if page.asks_pin:
        rows.append(("PIN", f'<span class="hex">{escape(pin)}</span>'))
    return pairs(rows)


# --- the telegram ----------------------------------------------------------------------------------


def _telegram(live: Live[Moment], language: Language) -> None:
    """Hex beside its decoding, made only while somebody has the drawer open."""
    say = language.say
    with _drawer(say("The telegram of this second")) as drawer, box("telegram"):
        dump, meaning = markup(""), markup("", "telegram-meaning")
    opened = False
    shown: Moment | None = None

    def show(moment: Moment) -> None:
        nonlocal shown
        if not opened or (shown is not None and shown.telegram is moment.telegram is not None):
            return
        shown = moment
        if moment.telegram is None:
            words = say("No mains.")
            if moment.powered:
                words = say("No telegram in this second: the meter starts up, or its line is silent.")
            dump.set_content(f'<div class="empty">{escape(words)}</div>')
            meaning.set_content("")
            return
        dump.set_content(telegram.hex_dump(moment.telegram, moment.telegram_before))
        meaning.set_content(telegram.decoded(moment.telegram, language))

    def toggle(event: object) -> None:
        nonlocal opened, shown
        opened, shown = bool(getattr(event, "args", False)), None
        show(live.snapshot)

    drawer.on("toggle", toggle, js_handler="(event) => emit(event.target.open)")
    live.follow(show)
