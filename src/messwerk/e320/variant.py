"""Which E320 it is: the type designation, both ways, and the firmware parameters.

    E32-AM1D.A3A.A0-S1B-S1
        ││││ │││ ││ │││ └┴ hardware series
        ││││ │││ ││ ││└ LMN interface: B wired RS-485, 0 not stated
        ││││ │││ ││ │└ tariffs
        ││││ │││ ││ └ S standard load profile, R registered power
        ││││ │││ │└ reactive accuracy: 0 none, 2 class 2
        ││││ │││ └ active accuracy: A, B (MID)
        ││││ ││└ additional quantities: A energy only
        ││││ │└ measurement mode 1 … 5
        ││││ └ A active, C active and reactive
        │││└ 230/400 V
        ││└ 1 60 A, 3 100 A, C current transformer 6 A
        │└ three-phase, four-wire, DIN
        └ residential

Source: E320 manual 2.3 (type designation), 5.4.3 (firmware parameters).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from ..errors import InvalidIdentifier
from ..metrology import Mode
from ..metrology.power import NOMINAL_VOLTAGE_V
from ..signing import Curve


class Connection(Enum):
    """How the current reaches the meter; the value is its letter in the type designation."""

    DIRECT_60A = "1"
    DIRECT_100A = "3"
    TRANSFORMER_6A = "C"


@dataclass(frozen=True, slots=True)
class Rating:
    """What one connection implies."""

    name: str
    current_range: str
    """As printed: minimum - reference (maximum)."""
    transition_current_a: float
    """Itr of EN 50470: Iref/10 direct, In/20 behind a transformer."""
    reference_current_a: float
    maximum_current_a: float
    start_current_a: dict[str, float]
    """Start-up current by active accuracy class."""
    pulses_per_kwh: int
    circuit_diagram: str
    """Number of DIN 43856."""


RATINGS: Final[dict[Connection, Rating]] = {
    Connection.DIRECT_60A: Rating(
        "60 A", "0,25-5(60) A", 0.5, 5.0, 60.0, {"A": 0.025, "B": 0.020}, 10_000, "4000"
    ),
    Connection.DIRECT_100A: Rating(
        "100 A", "0,25-5(100) A", 0.5, 5.0, 100.0, {"A": 0.025, "B": 0.020}, 5_000, "4000"
    ),
    Connection.TRANSFORMER_6A: Rating(
        "CT", "0,05-1(6) A", 0.05, 1.0, 6.0, {"A": 0.003, "B": 0.002}, 10_000, "4010"
    ),
}  # fmt: skip

MODE_TEXT: Final[dict[Mode, str]] = {
    Mode.IMPORT: "Einrichtungszähler +A",
    Mode.EXPORT: "Einrichtungszähler -A",
    Mode.TWO_WAY: "Zweirichtungszähler",
    Mode.BALANCED_EXPORT: "Saldierender Zähler -A",
    Mode.FOUR_QUADRANT: "4-Quadranten-Zähler",
}
"""What the faceplate says about the measurement mode."""

_CODE = re.compile(
    r"^E320?-?A(?P<network>.)(?P<connection>.)(?P<voltage>.)\.?"
    r"(?P<quantities>.)(?P<mode>.)(?P<additional>.)\.?(?P<active>.)(?P<reactive>.)"
    r"-?(?P<profile>.)(?P<tariffs>.)(?P<lmn>.)-?(?P<series>..)$"
)
_ALLOWED: Final[dict[str, tuple[str, str]]] = {
    "network": ("M", "network and mechanics"),
    "connection": ("13C", "maximum current"),
    "voltage": ("D", "voltage level"),
    "quantities": ("AC", "measurement modes"),
    "mode": ("12345", "measurement modes 2"),
    "additional": ("A", "additional quantities"),
    "active": ("AB", "accuracy of active energy"),
    "reactive": ("02", "accuracy of reactive energy"),
    "profile": ("SR", "basic meter measurement"),
    "tariffs": ("1", "tariffs"),
    "lmn": ("B0", "LMN interface"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One type of E320. Everything that follows from the type designation follows from here."""

    connection: Connection = Connection.DIRECT_60A
    mode: Mode = Mode.TWO_WAY
    accuracy: Literal["A", "B"] = "A"
    """Accuracy class of active energy (MID)."""
    registered_power: bool = False
    """True: RLM; False: standard load profile."""
    lmn: bool = True
    """Wired LMN is stated; the example of the manual leaves it out."""

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read a type designation; `E32` and `E320`, with or without separators.

        Raises InvalidIdentifier: naming the place, what stands there and what may.
        """
        match = _CODE.match(text.strip().upper())
        if match is None:
            raise InvalidIdentifier(f"not an E320 type designation (like {EXAMPLE}): {text!r}")
        part = match.groupdict()
        for name, (allowed, meaning) in _ALLOWED.items():
            if part[name] not in allowed:
                raise InvalidIdentifier(
                    f"{meaning} in {text!r} is {part[name]!r}; one of {', '.join(allowed)} can stand there"
                )
        if part["series"] != SERIES:
            raise InvalidIdentifier(f"hardware series in {text!r} is {part['series']!r}; only {SERIES} is known")
        mode = Mode(int(part["mode"]))
        expected = ("C", "2") if mode.has_reactive else ("A", "0")
        if (part["quantities"], part["reactive"]) != expected:
            raise InvalidIdentifier(
                f"{text!r} contradicts itself: measurement mode {mode.value} goes with"
                f" {expected[0]} before it and reactive accuracy {expected[1]}"
            )
        return cls(
            connection=Connection(part["connection"]),
            mode=mode,
            accuracy="A" if part["active"] == "A" else "B",
            registered_power=part["profile"] == "R",
            lmn=part["lmn"] == "B",
        )

    @property
    def code(self) -> str:
        """The type designation as printed."""
        reactive = self.mode.has_reactive
        return (
            f"E32-AM{self.connection.value}D.{'C' if reactive else 'A'}{self.mode.value}A."
            f"{self.accuracy}{2 if reactive else 0}-{'R' if self.registered_power else 'S'}1"
            f"{'B' if self.lmn else '0'}-{SERIES}"
        )

    @property
    def model(self) -> str:
        """The short name: `E320-AM1D`."""
        return f"E320-AM{self.connection.value}D"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is legal but unusual about this type, a sentence each."""
        found = []
        if self.connection is Connection.TRANSFORMER_6A and self.accuracy == "A":
            found.append("A meter behind current transformers is usually of class B.")
        if self.registered_power and self.mode not in (Mode.TWO_WAY, Mode.FOUR_QUADRANT):
            found.append("Registered power (R) usually goes with measurement mode 3 or 5.")
        if not self.lmn:
            found.append("No LMN interface is stated.")
        return tuple(found)

    @property
    def rating(self) -> Rating:
        return RATINGS[self.connection]

    @property
    def start_power_w(self) -> float:
        """Summed active power at start-up current on all three phases, power factor 1."""
        return 3 * NOMINAL_VOLTAGE_V * self.rating.start_current_a[self.accuracy]

    @property
    def mode_text(self) -> str:
        """The faceplate's words for the measurement mode."""
        return MODE_TEXT[self.mode]


SERIES: Final = "S1"
EXAMPLE: Final = "E32-AM1D.A3A.A0-S1B-S1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareParameters:
    """What is fixed when the meter is made, beside its type."""

    pin_protection: bool = True
    """The power and the history are behind a PIN."""
    pin: str = "1234"
    """Four digits, told to the customer by the operator."""
    active_power_shown: bool = True
    """Instantaneous power on the second line and in the extended data set."""
    keep_settings: bool = True
    """The user's data-protection settings survive power-down; False: they are reset."""
    led_reactive: bool = False
    """The metrological LED shows reactive instead of active energy (measurement mode 5 only)."""
    curve: Curve = Curve.P256
    info_reactive: bool = True
    """Mode 5 pushes its four reactive registers; the manual's list names only +A, -A and P."""
    firmware_version: str = "01.02"
    firmware_checksum: str = "5A3C"
    """At most five digits: the lower line shows it."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{4}", self.pin):
            raise InvalidIdentifier(f"a PIN has four digits, this one is {self.pin!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings:
    """The two data-protection settings of the user menu."""

    pin_on: bool = True
    """PIN On: power is not on the lower line and the menu asks for the PIN."""
    extended: bool = False
    """InF On: the extended data set is pushed."""
