"""What the E320's page knows of its device, and what hands do to it: no page in here.

A view looks at a twin whenever a page asks, and gives the same `Moment` while nothing changed.
Light goes through the twin's own button; loads and faults are the simulator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ..e320 import E320
from ..e320.button import Press
from ..e320.display import DARK, DisplayState
from ..e320.faceplate import Faceplate
from ..e320.faults import FaultyMeter, PlannedFault, PowerCut, fault_of
from ..e320.menu import Screen
from ..identity import DeviceId, ServerId

TORCH_LX: Final = 1_000.0
"""A flashlight held to the optical port: well above the button's threshold. [design]"""
FLASH_S: Final[dict[Press, float]] = {Press.SHORT: 0.3, Press.LONG: 6.0}
"""How long a flash by one click lasts, as with the menu tools of the field. [s of the meter]"""
FLASH_GAP_S: Final = 0.4
"""Dark time kept after such a flash. [s of the meter]"""
ENDLESS_S: Final = 10**9
"""Duration of a fault that lasts until somebody ends it. [s]"""


class Connected(Protocol):
    """What hands have connected to the terminals; `fleet.extra.Extra` is one."""

    @property
    def draw_w(self) -> tuple[float, float, float]: ...
    @property
    def cos_phi(self) -> float: ...
    @property
    def capacitive(self) -> bool: ...
    @property
    def sun_w(self) -> float: ...
    @property
    def own(self) -> bool: ...


class Terminals(Protocol):
    """Where hands connect loads; `fleet.extra.Adjustable` is one."""

    @property
    def extra(self) -> Connected: ...

    def adjust(
        self, *, draw_w: tuple[float, float, float], cos_phi: float, capacitive: bool, sun_w: float, own: bool
    ) -> None:
        """Connect this from the next second on. Raises LocalError."""


class Running(Protocol):
    """A twin that somebody lets live; `fleet.twins.Twin` is one."""

    @property
    def faulty(self) -> FaultyMeter: ...
    @property
    def telegram(self) -> bytes | None:
        """What left the optical port in the last second, as the line delivers it."""


class Pace(Protocol):
    """Where time can be steered; `fleet.twins.Twins` is one."""

    @property
    def speed(self) -> float:
        """Simulated seconds a second; 0 stands still."""

    @speed.setter
    def speed(self, speed: float) -> None: ...

    def step(self, seconds: int = 1) -> None: ...


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
    pin: str
    """Told to the customer by letter, not printed; the page of the simulator knows it."""
    drawing: str = ""
    """The whole faceplate with its Data Matrix as SVG; empty when nobody made one."""
    matrix: NDArray[np.bool_] | None = None
    """The Data Matrix's modules, True = dark."""

    @classmethod
    def of(cls, meter: E320, faceplate: Faceplate | None) -> Plate:
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
            pin=meter.parameters.pin,
            drawing=faceplate.svg() if faceplate else "",
            matrix=faceplate.data_matrix if faceplate else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is to be seen of the device, until something else is."""

    seconds_index: int = 0
    beat: int = 0
    """Counts the seconds seen."""
    display: DisplayState = DARK
    """Without the INFO symbol, which lives as long as the telegram runs."""
    pulses: int = 0
    """Flashes of the metrological LED in this second."""
    counting: bool = False
    """False below start-up: then the LED is on without flashing."""
    telegram: bytes | None = None
    """What went out of the optical port, None while nothing does."""
    telegram_before: bytes | None = None
    phase_power_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """As measured. [W, + = import]"""
    powered: bool = True
    screen: Screen = Screen.STANDARD
    """Where the user menu stands."""
    error_register: int = 0
    faults: tuple[PlannedFault, ...] = ()
    connected: Connected | None = None
    """What hands have connected; None where they cannot."""
    speed: float = 1.0


class E320View:
    """One running twin for everybody who looks at it."""

    def __init__(
        self,
        twin: Running,
        *,
        after_s: Callable[[], float],
        faceplate: Faceplate | None = None,
        terminals: Terminals | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`after_s`: how far the present second has got, 0 ≤ x < 1. Without `faceplate` only the short print on the
        case is shown, without `terminals` no load can be connected, without `pace` time is real."""
        self._twin, self._after_s = twin, after_s
        self.terminals: Final = terminals
        self.pace: Final = pace
        self._faceplate = faceplate
        self._torches: set[str] = set()
        self._moment = self._look(Moment())

    @property
    def title(self) -> str:
        """Which one it is, as printed."""
        server_id = self._twin.faulty.meter.server_id
        return str(server_id.device_id or server_id)

    @cached_property
    def plate(self) -> Plate:
        """What is printed on it; drawn when somebody looks."""
        return Plate.of(self._twin.faulty.meter, self._faceplate)

    def moment(self) -> Moment:
        """What is to be seen now; the same object while nothing has changed."""
        fresh = self._look(self._moment)
        if fresh != self._moment:
            self._moment = fresh
        return self._moment

    def _look(self, before: Moment) -> Moment:
        twin, meter = self._twin, self._twin.faulty.meter
        display = meter.display_state(self._after_s())
        index = int(meter.seconds_index)
        return Moment(
            seconds_index=index,
            beat=before.beat + (index != before.seconds_index),
            display=replace(display, symbols=display.symbols - {"INFO"}),
            pulses=meter.pulses,
            counting=meter.counting,
            telegram=twin.telegram,
            telegram_before=before.telegram if twin.telegram != before.telegram else before.telegram_before,
            phase_power_w=meter.phase_power_w if meter.on else (0.0, 0.0, 0.0),
            powered=meter.on,
            screen=meter.menu.screen,
            error_register=meter.error_register,
            faults=twin.faulty.active,
            connected=self.terminals.extra if self.terminals else None,
            speed=self.pace.speed if self.pace else 1.0,
        )

    # --- the flashlight --------------------------------------------------------------------

    def torch(self, who: str, *, lit: bool) -> None:
        """Somebody holds a flashlight to the optical port, or takes it away; light of several is light."""
        meter, shone = self._twin.faulty.meter, bool(self._torches)
        (self._torches.add if lit else self._torches.discard)(who)
        if bool(self._torches) != shone:
            meter.light(TORCH_LX if self._torches else 0.0, self._after_s())

    def flash(self, press: Press) -> None:
        """One flash of the right length, by itself; it acts as the meter's time passes."""
        meter = self._twin.faulty.meter
        begin_s = meter.light_free_after_s(self._after_s())
        meter.light(TORCH_LX, begin_s)
        meter.light(0.0, begin_s + FLASH_S[press])
        meter.light(0.0, begin_s + FLASH_S[press] + FLASH_GAP_S)

    # --- behind the cover ------------------------------------------------------------------

    def switch_mains(self, *, on: bool) -> None:
        """Pull the plug, or put it in again; then a planned power cut is over too."""
        faulty = self._twin.faulty
        if not on:
            faulty.meter.cut_power()
            return
        for planned in faulty.active:
            if isinstance(planned.fault, PowerCut):
                faulty.end(planned)
        faulty.meter.restore_power()

    def inject(self, kind: str, parameters: Mapping[str, Any], duration_s: int) -> None:
        """Let a fault of the catalogue begin with the next second. Raises LocalError."""
        planned = fault_of({**parameters, "kind": kind, "duration_s": duration_s}, "the fault")
        self._twin.faulty.inject(planned.fault, planned.duration_s)

    def end(self, planned: PlannedFault) -> None:
        """End one fault now."""
        self._twin.faulty.end(planned)

    def reset_errors(self) -> None:
        """The command that clears critical errors."""
        self._twin.faulty.meter.reset_errors()
