"""The E750 on its rail: communication module, base modules, and the tuple of this second.

A base module's six registers stand in two groups, each with its signature and the verdict this
page has just computed from the bytes; nothing is taken on trust from the module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Final, Protocol

from nicegui import ui

from ..e320.display import DisplayState
from ..e750 import BaseModule, CommunicationModule
from ..errors import InvalidSignature
from ..identity import ServerId
from ..signing import PublicKey
from ..station.web import PanelLink
from ..station.web.language import Language, hex_groups
from ..station.web.shell import Live, Text, Visitor, box, frame, mark, markup, sheet
from ..tuples import STATUS_EXPORT, STATUS_SOI, STATUS_VOLTAGE_L1, SignedTuple
from . import lcd

LOOK_EVERY_S: Final = 0.25
WAITING_LATE: Final = 120
"""More tuples and rows than this not taken by the station turn a module's lamp amber. [design]"""
ROLL_S: Final = 5
"""Each register stands on a base module's display for so long. [design]"""
REGISTERS: Final = (("1.8.0", "kWh"), ("2.8.0", "kWh"), ("5.8.0", "kvarh"), ("6.8.0", "kvarh"), ("7.8.0", "kvarh"),
                    ("8.8.0", "kvarh"))  # fmt: skip
"""What the display of a base module rolls through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleMoment:
    """One second of one base module."""

    server_id: ServerId
    type_name: str
    public_key: PublicKey
    signed: SignedTuple | None
    """The tuple it broadcast; None before the first second or without power."""
    waiting: int
    """Tuples and profile rows of this module not acknowledged by the station yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RackMoment:
    """One second of everything on the rail."""

    server_id: ServerId
    """Of the communication module."""
    type_name: str
    """Of the communication module."""
    modules: tuple[ModuleMoment, ...]
    bus_frames: int
    """Frames the bus has carried since it was started."""
    push_number: int
    """Number of the last push file."""
    push_failures: int
    """Push files in a row that were not acknowledged."""
    wan_connected: bool
    beat: int
    """Counts the seconds shown."""


class RackSource(Protocol):
    """Where the rack's page gets its devices from."""

    def moment(self) -> RackMoment:
        """The newest second; the same object while none has passed."""


class RackView:
    """Shows running twins: whoever ticks them calls `ticked` with the tuples of the second."""

    def __init__(self, communication: CommunicationModule, base_modules: Sequence[BaseModule]) -> None:
        self._communication, self._base_modules = communication, base_modules
        self._beat = 0
        self._moment = self._take({}, wan_connected=False)

    def ticked(self, tuples: Sequence[SignedTuple], *, wan_connected: bool) -> None:
        """Take the second that has just passed."""
        self._beat += 1
        self._moment = self._take({signed.server_id: signed for signed in tuples}, wan_connected=wan_connected)

    def moment(self) -> RackMoment:
        """The second last taken."""
        return self._moment

    def _take(self, tuples: dict[bytes, SignedTuple], *, wan_connected: bool) -> RackMoment:
        communication = self._communication
        return RackMoment(
            server_id=communication.server_id,
            type_name=communication.variant.name,
            modules=tuple(
                ModuleMoment(
                    server_id=module.server_id,
                    type_name=module.variant.name,
                    public_key=module.key.public,
                    signed=tuples.get(bytes(module.server_id)),
                    waiting=self._waiting(module.server_id),
                )
                for module in self._base_modules
            ),
            bus_frames=getattr(communication.bus, "frames", 0),
            push_number=communication.push.counter,
            push_failures=communication.push.failures,
            wan_connected=wan_connected,
            beat=self._beat,
        )

    def _waiting(self, server_id: ServerId) -> int:
        position = self._communication.push.positions.get(server_id)
        return 0 if position is None else len(position.waiting) + len(position.fetched)


Telling = Callable[[RackMoment], str]
"""What a lamp or a text says of a moment."""


# --- the page ----------------------------------------------------------------------------------


def build(visitor: Visitor, *, source: RackSource, links: Sequence[PanelLink], here: str) -> None:
    """Lay the rack out and start its timer. Modules that appear later appear on the rail."""
    language, say = visitor.language, visitor.language.say
    live = Live(source.moment())
    with frame(visitor, links, here=here, title="E750"):
        with box("headline"), box():
            Text("h1", "E750 · SyM²")
            Text("p", say("Base modules sign every second; the communication module takes it to the station."), "lead")
        rail, below = box("rack").props('tabindex="0"'), box()
        _fill(rail, below, live, language)

    def look() -> None:
        nonlocal live
        moment = source.moment()
        if moment is live.snapshot:
            return
        if [module.server_id for module in moment.modules] != [m.server_id for m in live.snapshot.modules]:
            live = Live(moment)
            rail.clear()
            below.clear()
            _fill(rail, below, live, language)
        live.show(moment)

    ui.timer(LOOK_EVERY_S, look)


def _fill(rail: ui.element, below: ui.element, live: Live[RackMoment], language: Language) -> None:
    with rail:
        _communication_module(live, language)
        for place in range(len(live.snapshot.modules)):
            _base_module(live, place, language)
    with below:
        for place in range(len(live.snapshot.modules)):
            _tuple_sheet(live, place, language)


def _communication_module(live: Live[RackMoment], language: Language) -> None:
    say, number = language.say, language.number
    with box("module cm"):
        Text("div", say("Communication module"), "module-name")
        Text("div", live.snapshot.type_name, "module-type")
        Text("div", str(live.snapshot.server_id), "hex")
        with box("module-sockets"):
            for socket in ("LAN", "SyM²", "RS-232"):
                Text("span", socket, "module-socket")
        with box("module-leds"):
            _led(live, "WAN", lambda m: "green" if m.wan_connected else "red",
                 lambda m: say("connected") if m.wan_connected else say("no link"))  # fmt: skip
            _led(live, "Bus", lambda m: f"green {beat(m)}", lambda m: number(m.bus_frames))
            _led(live, "Push", lambda m: "amber" if m.push_failures else f"green {beat(m)}",
                 lambda m: say("{count} failed", count=number(m.push_failures)) if m.push_failures
                 else f"{say('file')} {number(m.push_number)}")  # fmt: skip


def _led(live: Live[RackMoment], name: str, lamp: Telling, words: Telling) -> None:
    with box("led-row"):
        live.classes(box(), lambda moment: f"dot {lamp(moment)}")
        Text("span", name)
        live.text("span", words)


def _base_module(live: Live[RackMoment], place: int, language: Language) -> None:
    say = language.say
    module = live.snapshot.modules[place]
    with box("module"):
        Text("div", say("Base module"), "module-name")
        Text("div", module.type_name, "module-type")
        with box("module-glass"):
            with box() as glass:
                markup(lcd.svg())
            glass.props('role="img"')
            live.classes(glass, lambda m: lcd.lit_classes(lcd.segments(display_of(m.modules[place].signed))))
            live.attribute(glass, "aria-label", lambda m: lcd.spoken(display_of(m.modules[place].signed)))
        Text("div", str(module.server_id), "hex")
        with box("module-leds"):
            _led(live, say("Tuple"), lambda m: f"green {beat(m)}" if m.modules[place].signed else "",
                 lambda m: _index(m.modules[place], language))  # fmt: skip
            _led(live, say("waiting for the station"),
                 lambda m: "amber" if m.modules[place].waiting > WAITING_LATE else "green",
                 lambda m: language.number(m.modules[place].waiting))  # fmt: skip


def beat(moment: RackMoment) -> str:
    """Alternates every second, so that a lamp flashes with each tuple."""
    return "beat-even" if moment.beat % 2 == 0 else "beat-odd"


def _index(module: ModuleMoment, language: Language) -> str:
    return language.index(module.signed.index if module.signed else None)


def display_of(signed: SignedTuple | None) -> DisplayState:
    """What a base module's display shows in this second: one register after the other.

    Six digits and two decimals, cut toward zero, wrapping like a mechanical counter.
    """
    if signed is None:
        return DisplayState(on=False)
    code, unit = REGISTERS[signed.index // ROLL_S % len(REGISTERS)]
    exports = bool(signed.status & STATUS_EXPORT)
    symbols = {f"L{phase + 1}" for phase in range(3) if signed.status & STATUS_VOLTAGE_L1 << phase}
    symbols |= {"-A", "arrow_left"} if exports else {"+A", "arrow_right"}
    hundredths = int(abs(register_values(signed)[code]).scaleb(-1)) % 10**8
    return DisplayState(
        upper_code=code,
        upper_value=f"{hundredths // 100:06d}.{hundredths % 100:02d}",
        upper_unit=unit,
        symbols=frozenset(symbols),
    )


def register_values(signed: SignedTuple) -> dict[str, Decimal]:
    """The six registers in Wh and varh, exact, by OBIS group."""
    raw = {
        "1.8.0": signed.import_wh, "2.8.0": signed.export_wh, "5.8.0": signed.r1_varh, "6.8.0": signed.r2_varh,
        "7.8.0": signed.r3_varh, "8.8.0": signed.r4_varh,
    }  # fmt: skip
    return {code: Decimal(value).scaleb(signed.scaler) for code, value in raw.items()}


def _tuple_sheet(live: Live[RackMoment], place: int, language: Language) -> None:
    module = live.snapshot.modules[place]
    title = language.say("The tuple of this second · {module}", module=module.server_id)
    with sheet(title, "spaced"):
        live.html(lambda m: tuple_markup(m.modules[place], language))


def tuple_markup(module: ModuleMoment, language: Language) -> str:
    """Index, status, and both groups with registers, signature and verdict."""
    say, signed = language.say, module.signed
    if signed is None:
        return f'<div class="empty">{escape(say("No tuple yet."))}</div>'
    flags = f'<span class="chip">{escape(say("start of interval"))}</span>' if signed.status & STATUS_SOI else ""
    head = (
        f'<div>{language.index(signed.index)}&emsp;<span class="soft">{escape(say("Status"))}'
        f' <span class="hex">{signed.status:#018x}</span></span> {flags}</div>'
    )
    values, units = register_values(signed), dict(REGISTERS)
    groups = []
    for title, names, block, signature in (
        (say("Import half plane"), (("+A", "1.8.0"), ("R1", "5.8.0"), ("R4", "8.8.0")),
         signed.import_block, signed.signature_import),
        (say("Export half plane"), (("−A", "2.8.0"), ("R2", "6.8.0"), ("R3", "7.8.0")),
         signed.export_block, signed.signature_export),
    ):  # fmt: skip
        rows = "".join(
            f'<span>{name}</span><span class="soft">{code}</span>'
            f'<span class="num">{language.exact(values[code].scaleb(-3))} {units[code]}</span>'
            for name, code in names
        )
        half = len(signature) // 2
        groups.append(
            f'<div class="group"><div class="group-head"><span>{escape(title)}</span>'
            f"{verdict(module.public_key, block, signature, language)}</div>"
            f'<div class="registers">{rows}</div><div class="signature hex">r {hex_groups(signature[:half])}<br>'
            f"s {hex_groups(signature[half:])}</div></div>"
        )
    key = f"{escape(say('Key'))} {module.public_key.curve.value} · {module.public_key.fingerprint}"
    return f'{head}<div class="groups">{"".join(groups)}</div><p class="soft small spaced">{key}</p>'


def verdict(key: PublicKey, block: bytes, signature: bytes, language: Language) -> str:
    """Check one group here and now; markup of what came out."""
    try:
        key.verify(block, signature)
    except InvalidSignature:
        return mark("mark-refused", language.say("signature does not fit"))
    return mark("mark-measured_verified", language.say("signature valid"))
