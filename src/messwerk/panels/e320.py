"""The E320 as it hangs in the cabinet: case, display, LED, optical port, faceplate.

Only what a real device shows is on its face; the telegram in hex is in a drawer behind the cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol

from nicegui import ui

from ..e320 import E320
from ..e320.display import DARK, DisplayState
from ..e320.faceplate import Faceplate
from ..identity import DeviceId, ServerId
from ..station.web import PanelLink
from ..station.web.language import Language
from ..station.web.shell import Live, Text, Visitor, box, frame, markup
from . import lcd, telegram

LOOK_EVERY_S: Final = 0.25
"""How often the page looks whether the device's second has passed; nothing new sends nothing."""
PULSES_VISIBLE: Final = 25
"""More flashes a second than this look steady, to an eye and to a browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """What is printed on the device. Source: E320 manual 3.2."""

    type_designation: str
    model: str
    mode_text: str
    device_id: DeviceId | None
    server_id: ServerId
    current_range: str
    pulses_per_kwh: int
    accuracy: str
    circuit_diagram: str
    drawing: str = ""
    """The whole faceplate with its Data Matrix as SVG; empty when nobody made one."""

    @classmethod
    def of(cls, meter: E320, drawing: str) -> Plate:
        """The plate of one meter."""
        variant = meter.variant
        return cls(
            type_designation=variant.code,
            model=variant.model,
            mode_text=variant.mode_text,
            device_id=meter.server_id.device_id,
            server_id=meter.server_id,
            current_range=variant.rating.current_range,
            pulses_per_kwh=variant.rating.pulses_per_kwh,
            accuracy=variant.accuracy,
            circuit_diagram=variant.rating.circuit_diagram,
            drawing=drawing,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One second of the device."""

    seconds_index: int = 0
    display: DisplayState = DARK
    pulses: int = 0
    """Flashes of the metrological LED in this second."""
    counting: bool = False
    """False below start-up: then the LED is on without flashing."""
    telegram: bytes | None = None
    """What went out of the optical port, None while nothing does."""
    telegram_before: bytes | None = None


class E320Source(Protocol):
    """Where a panel gets its device from."""

    @property
    def plate(self) -> Plate: ...

    def moment(self) -> Moment:
        """The newest second; cheap, and the same object while no second has passed."""


class E320View:
    """Shows a running twin: whoever ticks the meter calls `ticked` with what the tick returned.

    `faceplate` is the printed plate; without it the page shows the short print on the case alone.
    """

    def __init__(self, meter: E320, faceplate: Faceplate | None = None) -> None:
        self._meter = meter
        self.plate = Plate.of(meter, faceplate.svg() if faceplate else "")
        self._moment = Moment(seconds_index=meter.seconds_index, display=meter.display_state())

    def ticked(self, info_telegram: bytes | None) -> None:
        """Take the second that has just passed."""
        meter = self._meter
        display = meter.display_state()
        self._moment = Moment(
            seconds_index=meter.seconds_index,
            display=display,
            pulses=meter.pulses,
            counting=display.disk > 0,
            telegram=info_telegram,
            telegram_before=self._moment.telegram,
        )

    def moment(self) -> Moment:
        """The second last taken."""
        return self._moment


def build(visitor: Visitor, *, source: E320Source, links: Sequence[PanelLink], here: str) -> None:
    """Lay the panel out and start its timer."""
    say = visitor.language.say
    plate = source.plate
    live = Live(source.moment())
    title = str(plate.device_id or plate.server_id)
    with frame(visitor, links, here=here, title=f"{plate.model} {title}"):
        with box("headline"), box():
            Text("h1", plate.model)
            Text("p", f"{title} · {say(plate.mode_text)}", "lead")
        with box("e320-case"):
            _face(live, plate, visitor.language)
            with box("e320-bay"):
                Text("span", say("module bay, cover closed and sealed"), "e320-print")
            with box("e320-terminals"):
                for terminal in ("L1", "L1′", "L2", "L2′", "L3", "L3′", "N"):
                    Text("span", terminal, "e320-terminal")
        if plate.drawing:
            with box("sheet drawer", "details"):
                with box(tag="summary"):
                    markup(f'<span class="turn"></span> {escape(say("Faceplate with Data Matrix"))}')
                markup(plate.drawing, "faceplate")
        _behind_the_cover(live, visitor.language)
    ui.timer(LOOK_EVERY_S, lambda: _look(live, source))


def _look(live: Live[Moment], source: E320Source) -> None:
    moment = source.moment()
    if moment is not live.snapshot:
        live.show(moment)


def _face(live: Live[Moment], plate: Plate, language: Language) -> None:
    say = language.say
    with box("e320-face"):
        with box("e320-window"):
            with box() as glass:
                markup(lcd.svg())
            glass.props('role="img"')
            live.classes(glass, display_classes)
            live.attribute(glass, "aria-label", lambda moment: lcd.spoken(moment.display))
        with box("e320-side"):
            with box() as port:
                box("e320-port-eye")
            live.classes(port, lambda m: f"e320-port {_beat(m) if m.telegram else ''}")
            Text("span", "INFO", "e320-print")
            with box("e320-led-place"):
                led = box()
                live.classes(led, led_classes)
                live.attribute(led, "style", lambda m: f"--pulses: {max(1, m.pulses)}")
                Text("span", f"{plate.pulses_per_kwh:,} imp/kWh".replace(",", "\u00a0"), "e320-print")
        markup(_print(plate, say(plate.mode_text)), "e320-plate")


def display_classes(moment: Moment) -> str:
    """Class names that light the display; INFO is lit for the time a push runs."""
    return f"e320-glass {_beat(moment) if moment.telegram else ''} {lcd.lit_classes(lcd.segments(moment.display))}"


def led_classes(moment: Moment) -> str:
    """How the LED behaves in this second: off, so many flashes, or steadily on below start-up."""
    if not moment.display.on:
        return "e320-led"
    if not moment.counting or moment.pulses > PULSES_VISIBLE:
        return "e320-led e320-led-on"
    return f"e320-led e320-led-{_beat(moment)}" if moment.pulses else "e320-led"


def _beat(moment: Moment) -> str:
    """Alternates every second: a changed class name starts the animation anew."""
    return "beat-even" if moment.seconds_index % 2 == 0 else "beat-odd"


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


def _behind_the_cover(live: Live[Moment], language: Language) -> None:
    """The drawer: hex beside its decoding, made only while somebody has it open."""
    say = language.say
    with box("sheet drawer", "details") as drawer:
        with box(tag="summary"):
            markup(f'<span class="turn"></span> {escape(say("Behind the cover: the telegram of this second"))}')
        with box("telegram"):
            dump, meaning = markup(""), markup("", "telegram-meaning")
    opened = False

    def show(moment: Moment) -> None:
        if not opened:
            return
        if moment.telegram is None:
            dump.set_content(
                f'<div class="empty">{escape(say("No telegram in this second: the meter starts up."))}</div>'
            )
            meaning.set_content("")
            return
        dump.set_content(telegram.hex_dump(moment.telegram, moment.telegram_before))
        meaning.set_content(telegram.decoded(moment.telegram, language))

    def toggle(event: object) -> None:
        nonlocal opened
        opened = bool(getattr(event, "args", False))
        show(live.snapshot)

    drawer.on("toggle", toggle, js_handler="(event) => emit(event.target.open)")
    live.follow(show)
