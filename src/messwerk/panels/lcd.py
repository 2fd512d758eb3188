"""The E320's liquid-crystal display as one drawing with real segments.

Everything the glass can show is in the drawing; what is lit is said by class names alone, so a
page changes one `class` attribute a second and a document shows a frozen moment the same way.

    segments(state)   which segments are lit: a pure function of a DisplayState
    svg(lit)          the drawing, as text; unlit segments stay faintly visible, as on glass
    lit_classes(lit)  the class names that light them, for an element around the drawing

A segment's name is its field, cell and letter: `uv3g` is the middle bar of the fourth digit of the
upper value. Fields: `uc` upper code, `uv` upper value, `lc` lower code, `lv` lower value; letters
a … g as usual (a on top, clockwise, g in the middle), p the point after the cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from math import radians, tan
from typing import Final

from ..e320.display import DISK_BARS, DisplayState

# --- what a seven-segment cell can say ---------------------------------------------------------

GLYPHS: Final[dict[str, str]] = {
    " ": "", "-": "g", "_": "d", "=": "dg",
    "0": "abcdef", "1": "bc", "2": "abdeg", "3": "abcdg", "4": "bcfg",
    "5": "acdfg", "6": "acdefg", "7": "abc", "8": "abcdefg", "9": "abcdfg",
    "A": "abcefg", "b": "cdefg", "C": "adef", "c": "deg", "d": "bcdeg", "E": "adefg", "F": "aefg",
    "G": "acdef", "H": "bcefg", "h": "cefg", "I": "bc", "i": "c", "J": "bcde", "L": "def",
    "n": "ceg", "N": "abcef", "O": "abcdef", "o": "cdeg", "P": "abefg", "q": "abcfg", "r": "eg",
    "S": "acdfg", "t": "defg", "U": "bcdef", "u": "cde", "y": "bcdfg",
}  # fmt: skip
"""Segments of each character. `5` and `S`, `0` and `O`, `1` and `I` look alike, as on any meter."""

CELL: Final = "abcdefg"


@dataclass(frozen=True, slots=True)
class Field:
    """One run of seven-segment cells. Lengths are drawing units; `x`, `y` is its upper left."""

    name: str
    cells: int
    x: float
    y: float
    width: float
    height: float
    thickness: float
    pitch: float

    def names(self) -> Iterator[str]:
        """Every segment of the field, points included."""
        for cell in range(self.cells):
            for letter in CELL + "p":
                yield f"{self.name}{cell}{letter}"


UPPER_CODE: Final = Field("uc", cells=5, x=24, y=60, width=20, height=42, thickness=4.8, pitch=32)
UPPER_VALUE: Final = Field("uv", cells=8, x=196, y=22, width=41, height=80, thickness=9, pitch=56.5)
LOWER_CODE: Final = Field("lc", cells=4, x=140, y=213, width=22, height=45, thickness=5.2, pitch=35)
LOWER_VALUE: Final = Field("lv", cells=5, x=374, y=194, width=33, height=64, thickness=7.4, pitch=49)
FIELDS: Final = (UPPER_CODE, UPPER_VALUE, LOWER_CODE, LOWER_VALUE)

MINUS: Final = "minus"
"""The sign before the five digits of the lower line; a segment of its own."""

_SYMBOLS: Final[dict[str, str]] = {
    "L1": "L1", "L2": "L2", "L3": "L3", "+A": "import", "-A": "export", "arrow_right": "arrow-right",
    "arrow_left": "arrow-left", "LMN": "LMN", "INFO": "INFO",
}  # fmt: skip
"""Symbol of a DisplayState -> segment."""
_UPPER_UNITS: Final[dict[str, frozenset[str]]] = {
    "": frozenset(),
    "kWh": frozenset({"u-kWh"}),
    "kvarh": frozenset({"u-kvarh"}),
}
_LOWER_UNITS: Final[dict[str, frozenset[str]]] = {
    "": frozenset(),
    "W": frozenset({"l-W"}),
    "kWh": frozenset({"l-kWh"}),
}
_DISK: Final = tuple(f"disk{bar}" for bar in range(1, DISK_BARS + 1))

UPPER: Final[frozenset[str]] = frozenset(
    [*UPPER_CODE.names(), *UPPER_VALUE.names(), "u-kWh", "u-kvarh", *_DISK]
    + [segment for symbol, segment in _SYMBOLS.items() if symbol != "INFO"]
)
"""What the first half of the display test lights: the billing line and the row of symbols."""
LOWER: Final[frozenset[str]] = frozenset(
    [*LOWER_CODE.names(), *LOWER_VALUE.names(), MINUS, "l-W", "l-kWh", _SYMBOLS["INFO"]]
)
"""What the second half lights: the information line."""
ALL: Final = UPPER | LOWER


def segments(state: DisplayState) -> frozenset[str]:
    """The segments lit in `state`.

    Codes stand at the left of their field, values at the right. Raises ValueError for text the
    glass cannot show (too long, or a character without a form in seven segments).
    """
    if not state.on:
        return frozenset()
    lit: set[str] = {_SYMBOLS[symbol] for symbol in state.symbols}
    if state.disk:
        lit.add(_DISK[state.disk - 1])
    lit |= UPPER if state.all_upper else _upper(state)
    lit |= LOWER if state.all_lower else _lower(state)
    return frozenset(lit)


def _upper(state: DisplayState) -> set[str]:
    lit = write(UPPER_CODE, state.upper_code, right=False) | write(UPPER_VALUE, state.upper_value, right=True)
    return lit | _unit(_UPPER_UNITS, state.upper_unit)


def _lower(state: DisplayState) -> set[str]:
    value = state.lower_value.strip()
    negative = len(value) > 1 and value[0] == "-" and value[1].isdigit()
    lit = write(LOWER_CODE, state.lower_code, right=False)
    lit |= write(LOWER_VALUE, value[1:] if negative else value, right=True)
    return lit | _unit(_LOWER_UNITS, state.lower_unit) | ({MINUS} if negative else set())


def _unit(known: dict[str, frozenset[str]], unit: str) -> frozenset[str]:
    if unit not in known:
        raise ValueError(f"the glass has the units {', '.join(filter(None, known))}, not {unit!r}")
    return known[unit]


def write(field: Field, text: str, *, right: bool) -> set[str]:
    """The segments that show `text` in `field`; a point belongs to the cell before it.

    Raises ValueError when it is too long or holds a character seven segments cannot form.
    """
    cells: list[str] = []
    for character in text:
        if character == "." and cells and "p" not in cells[-1]:
            cells[-1] += "p"
        elif character == ".":
            cells.append("p")
        elif character in GLYPHS:
            cells.append(GLYPHS[character])
        else:
            raise ValueError(f"seven segments cannot show {character!r} of {text!r}")
    if len(cells) > field.cells:
        raise ValueError(f"field {field.name} has {field.cells} cells, {text!r} needs {len(cells)}")
    first = field.cells - len(cells) if right else 0
    return {f"{field.name}{first + at}{letter}" for at, cell in enumerate(cells) for letter in cell}


def spoken(state: DisplayState) -> str:
    """The display in words, for a screen reader: both lines and the symbols."""
    if not state.on:
        return ""
    if state.all_upper or state.all_lower:
        return "display test"
    lines = (
        " ".join(filter(None, (state.upper_code, state.upper_value, state.upper_unit))),
        " ".join(filter(None, (state.lower_code, state.lower_value, state.lower_unit))),
        " ".join(sorted(symbol for symbol in state.symbols if not symbol.startswith("arrow") and symbol != "INFO")),
    )
    return ", ".join(filter(None, lines))


# --- the drawing -------------------------------------------------------------------------------

WIDTH, HEIGHT = 760, 280
GLASS, INK = "#c3cdb6", "#1c2319"
"""Colours of the lit display: reflective glass and liquid crystal."""
UNLIT_OPACITY: Final = 0.055
_SLANT: Final = tan(radians(6))
_GAP: Final = 0.9

_STROKES: Final[dict[str, tuple[float, str]]] = {
    "A": (7, "M0 10 3.5 0 7 10M1.2 6.7H5.8"),
    "F": (5, "M5 0H0V10M0 4.8H4.2"),
    "I": (0, "M0 0V10"),
    "L": (5, "M0 0V10H5"),
    "M": (7.4, "M0 10V0L3.7 6.4 7.4 0V10"),
    "N": (6.4, "M0 10V0L6.4 10V0"),
    "O": (7, "M3.5 0C5.6 0 7 2 7 5S5.6 10 3.5 10 0 8 0 5 1.4 0 3.5 0Z"),
    "W": (9.6, "M0 0 2.3 10 4.8 2 7.3 10 9.6 0"),
    "1": (2.6, "M0 2.2 2.6 0V10"),
    "2": (5, "M.2 2.4C.4-.8 5-.8 4.8 2.6 4.7 5 .6 7 0 10H5"),
    "3": (5, "M.2 1.6C1.2-.6 4.8-.4 4.7 2.3 4.7 4 3.2 4.7 2 4.7 3.6 4.7 5 5.4 5 7.3 5 10.4 1 10.8 0 8.4"),
    "k": (4.4, "M0 0V10M4.4 3.4 0 7M1.6 5.8 4.4 10"),
    "h": (4.4, "M0 0V10M0 6C1 2.6 4.4 2.6 4.4 5.6V10"),
    "v": (4.6, "M0 3.4 2.3 10 4.6 3.4"),
    "a": (4.4, "M4.4 3.4V10M4.4 6.7C4.4 2.3 0 2.3 0 6.7S4.4 11.1 4.4 6.7"),
    "r": (2.8, "M0 3.4V10M0 6C.4 4 1.4 3.3 2.8 3.5"),
    "+": (5, "M2.5 2.6V7.6M0 5.1H5"),
    "-": (4.4, "M0 5.1H4.4"),
}
"""Letters of the printed symbols as pen strokes in a box ten high: width, path."""
_TRACKING: Final = 2.6


def svg(lit: Iterable[str] = (), *, label: str = "") -> str:
    """The whole drawing as one `<svg>` element, with the segments in `lit` lit.

    Without `lit` nothing is: put it inside an element that carries `lit_classes(...)`.
    """
    role = f'role="img" aria-label="{_escape(label)}"' if label else 'aria-hidden="true"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {role} '
        f'class="lcd {lit_classes(lit)}"><style>{_style()}</style>{_drawing()}</svg>'
    )


def lit_classes(lit: Iterable[str]) -> str:
    """Class names that light the given segments of a drawing inside; sorted, so equal sets are equal text."""
    return " ".join(f"lit-{name}" for name in sorted(lit))


@cache
def _style() -> str:
    lights = ",".join(f".lit-{name} .{name}" for name in sorted(ALL))
    return (
        f".lcd{{display:block;width:100%;height:auto}}"
        f".lcd-seg{{opacity:{UNLIT_OPACITY};fill:{INK};transition:opacity .09s}}"
        f".lcd-pen{{fill:none;stroke:{INK};stroke-linecap:round;stroke-linejoin:round}}{lights}{{opacity:1}}"
    )


@cache
def _drawing() -> str:
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{GLASS}"/>']
    for field in FIELDS:
        for cell in range(field.cells):
            parts += _cell(field, cell)
    parts.append(_path(MINUS, "M348 223.5h19v6.2h-19z"))
    parts += [
        _words("u-kWh", "kWh", x=662, y=44, height=23),
        _words("u-kvarh", "kvarh", x=662, y=79, height=23),
        _words("l-W", "W", x=632, y=199, height=24),
        _words("l-kWh", "kWh", x=632, y=234, height=24),
        _words("L1", "L1", x=30, y=136, height=22),
        _words("L2", "L2", x=80, y=136, height=22),
        _words("L3", "L3", x=134, y=136, height=22),
        _path("arrow-left", "M238 147l18-12v8h24v8h-24v8z"),
        _words("export", "-A", x=292, y=136, height=22),
        _words("import", "+A", x=350, y=136, height=22),
        _path("arrow-right", "M442 147l-18-12v8h-24v8h24v8z"),
        *(_path(name, f"M{478 + 36 * at} 142h28v10h-28z") for at, name in enumerate(_DISK)),
        _boxed("LMN", "LMN", x=662, y=135, width=68, height=25),
        _boxed("INFO", "INFO", x=28, y=233, width=74, height=25),
    ]
    return "".join(parts)


def _cell(field: Field, cell: int) -> Iterator[str]:
    w, h, t, g, m = field.width, field.height, field.thickness, _GAP, field.height / 2
    shapes = {
        "a": [(g, 0), (w - g, 0), (w - t - g, t), (t + g, t)],
        "b": [(w, g), (w, m - g), (w - t / 2, m - g), (w - t, m - t / 2 - g), (w - t, t + g)],
        "c": [(w, h - g), (w, m + g), (w - t / 2, m + g), (w - t, m + t / 2 + g), (w - t, h - t - g)],
        "d": [(g, h), (w - g, h), (w - t - g, h - t), (t + g, h - t)],
        "e": [(0, h - g), (0, m + g), (t / 2, m + g), (t, m + t / 2 + g), (t, h - t - g)],
        "f": [(0, g), (0, m - g), (t / 2, m - g), (t, m - t / 2 - g), (t, t + g)],
        "g": [
            *((t / 2 + g, m), (t + g, m - t / 2), (w - t - g, m - t / 2)),
            *((w - t / 2 - g, m), (w - t - g, m + t / 2), (t + g, m + t / 2)),
        ],
        "p": [(w + g * 3, h - t), (w + g * 3 + t, h - t), (w + g * 3 + t, h), (w + g * 3, h)],
    }
    for letter, points in shapes.items():
        placed = ((field.x + cell * field.pitch + x + (h - y) * _SLANT, field.y + y) for x, y in points)
        yield _path(f"{field.name}{cell}{letter}", "M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in placed) + "z")


def _path(name: str, path: str) -> str:
    return f'<path class="lcd-seg {name}" data-segment="{name}" d="{path}"/>'


def _words(name: str, text: str, *, x: float, y: float, height: float) -> str:
    return f'<g class="lcd-seg lcd-pen {name}" data-segment="{name}">{_pen(text, x, y, height)}</g>'


def _boxed(name: str, text: str, *, x: float, y: float, width: float, height: float) -> str:
    letters = _pen(text, x + (width - _text_width(text) * (height - 11) / 10) / 2, y + 5.5, height - 11)
    frame = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" stroke-width="2.2"/>'
    return f'<g class="lcd-seg lcd-pen {name}" data-segment="{name}">{frame}{letters}</g>'


def _pen(text: str, x: float, y: float, height: float) -> str:
    scale, at, parts = height / 10, 0.0, []
    for letter in text:
        width, path = _STROKES[letter]
        parts.append(f'<path transform="translate({at:.1f})" d="{path}"/>')
        at += width + _TRACKING
    return f'<g transform="translate({x:.1f} {y:.1f}) scale({scale:.2f})" stroke-width="1.35">{"".join(parts)}</g>'


def _text_width(text: str) -> float:
    return sum(_STROKES[letter][0] + _TRACKING for letter in text) - _TRACKING


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
