"""The E320's panel: what a moment looks like, and what hands do to the twin behind it."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

import numpy as np
import pytest
import zxingcpp

from messwerk.e320 import E320, Error, RamMemory, UserSettings, Variant
from messwerk.e320.button import Press
from messwerk.e320.display import DARK, DisplayState
from messwerk.e320.faceplate import Faceplate, read_data_matrix
from messwerk.e320.faults import CATALOGUE, FaultyMeter, fault_of
from messwerk.e320.menu import NEXT, Screen
from messwerk.errors import LocalError
from messwerk.fleet.extra import Adjustable
from messwerk.fleet.loads import Constant
from messwerk.fleet.twins import Twin
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.panels import E320View
from messwerk.panels.cover import FAULT_GROUPS, FIRST_CHOICE, PRESETS, describe, fault_name
from messwerk.panels.e320 import Announcer, air_time, display_classes, led_classes, matrix_svg
from messwerk.panels.e320_view import ENDLESS_S, Moment
from messwerk.panels.manual import MANUAL
from messwerk.station.web.language import ENGLISH
from messwerk.station.web.words import GERMAN

METER_ID = ServerId.parse("1LGZ0063539421")
ON = DisplayState()
UTC = 1_780_272_000


class Bench:
    """A running twin past its start-up: 500 W on L1, no PIN asked, extended data set; and its view."""

    def __init__(self) -> None:
        settings = UserSettings(pin_on=False, extended=True)
        meter = E320(server_id=METER_ID, variant=Variant(), memory=RamMemory(), settings=settings)
        meter.advance(PhasePowers.constant(60, (500.0, 0.0, 0.0)))
        self.load = Adjustable(Constant((500.0, 0.0, 0.0)))
        self.twin = Twin(FaultyMeter(meter), self.load)
        self.after_s = 0.0
        """How far the second has got."""
        self.view = E320View(
            self.twin, after_s=lambda: self.after_s, terminals=self.load, faceplate=Faceplate.of(meter)
        )

    def second(self) -> Moment:
        """Let one pass and look."""
        self.twin.second(UTC)
        self.after_s = 0.0
        return self.view.moment()


@pytest.fixture
def bench() -> Bench:
    """A meter on the bench."""
    return Bench()


@pytest.mark.parametrize(
    ("moment", "classes"),
    [
        (Moment(display=DARK, powered=False), "e320-led"),
        (Moment(display=DARK, counting=True, pulses=3), "e320-led e320-led-beat-even"),
        (Moment(display=ON, counting=False), "e320-led e320-led-on"),
        (Moment(display=ON, counting=True, pulses=0), "e320-led"),
        (Moment(display=ON, counting=True, pulses=3, beat=2), "e320-led e320-led-beat-even"),
        (Moment(display=ON, counting=True, pulses=3, beat=3), "e320-led e320-led-beat-odd"),
        (Moment(display=ON, counting=True, pulses=90), "e320-led e320-led-on"),
    ],
)
def test_the_led_follows_the_pulses(moment: Moment, classes: str) -> None:
    """Off without mains, steady below start-up, one flash a pulse, steady again when too fast to see."""
    assert led_classes(moment) == classes


def test_the_view_shows_the_second_that_passed(bench: Bench) -> None:
    """The same moment is the same object while nothing changes; then display, pulses and telegram are new."""
    first = bench.second()
    assert bench.view.moment() is first
    assert first.telegram is not None
    assert first.display.lower_value == "500"
    bench.load.adjust(draw_w=(0.0, 900.0, 0.0), cos_phi=1.0, capacitive=False, sun_w=0.0, own=False)
    second = bench.second()
    assert (second.display.lower_value, second.telegram_before) == ("900", first.telegram)
    assert second.phase_power_w == (0.0, 900.0, 0.0)
    assert "lit-l-W" in display_classes(second)
    assert display_classes(first).split()[1] != display_classes(second).split()[1], "the animation starts anew"


def test_the_display_moves_within_a_second_and_info_never_blinks_by_messages(bench: Bench) -> None:
    """Between two seconds only what a press changes is news; INFO is lit by the page for the telegram's air time."""
    first = bench.second()
    assert "INFO" not in first.display.symbols
    bench.after_s = 0.7
    assert bench.view.moment() is first
    assert air_time(first) == f"--air: {len(first.telegram or b'') / 960:.3f}s"


def test_light_of_anybody_is_light_until_all_have_gone(bench: Bench) -> None:
    """Two visitors hold flashlights: it stays one press, and a browser that vanishes takes its light with it."""
    bench.second()
    bench.after_s = 0.1
    bench.view.torch("anna", lit=True)
    bench.after_s = 0.3
    bench.view.torch("bert", lit=True)
    bench.after_s = 0.5
    bench.view.torch("anna", lit=False)
    bench.view.torch("anna", lit=False)
    bench.after_s = 0.9
    assert bench.view.moment().screen is Screen.STANDARD
    bench.view.torch("bert", lit=False)
    assert bench.second().screen is Screen.TEST_UPPER


def test_a_flash_is_of_the_right_length_at_any_time(bench: Bench) -> None:
    """Two short flashes asked for at once are two presses; a long one acts after five seconds of the meter."""
    bench.second()
    bench.view.flash(Press.SHORT)
    bench.view.flash(Press.SHORT)
    assert [bench.second().screen for _ in range(3)][-1] is Screen.POWER, "no PIN is asked"
    bench.view.flash(Press.SHORT)
    assert [bench.second().screen for _ in range(2)][-1] is Screen.ENERGY
    bench.view.flash(Press.LONG)
    screens = [bench.second().screen for _ in range(8)]
    assert screens.index(Screen.ENERGY_CLEAR) == 4, "in the fifth second"


def test_mains_are_cut_and_come_back(bench: Bench) -> None:
    """Dark at once and silent; mains that return end a planned power cut too, and the start-up sequence runs."""
    bench.second()
    bench.view.inject("power_cut", {}, 3600)
    cut = bench.second()
    assert (cut.powered, cut.telegram, cut.display) == (False, None, DARK)
    assert cut.phase_power_w == (0.0, 0.0, 0.0), "what it measured last is over"
    bench.view.switch_mains(on=True)
    assert bench.view.moment().powered
    assert bench.view.moment().faults == ()
    assert [bench.second().display.all_upper for _ in range(3)][-1]
    bench.view.switch_mains(on=False)
    assert not bench.second().powered


def test_faults_begin_and_end_by_hand(bench: Bench) -> None:
    """A fault of the catalogue is at work from the next second until somebody ends it, alone."""
    bench.second()
    bench.view.inject("phase_missing", {"phase": 1}, ENDLESS_S)
    bench.view.inject("silent", {}, ENDLESS_S)
    moment = bench.second()
    assert "L2" not in moment.display.symbols
    assert moment.telegram is None
    assert [describe(planned, ENGLISH) for planned in moment.faults] == ["phase missing L2", "silent"]
    bench.view.end(moment.faults[0])
    after = bench.second()
    assert "L2" in after.display.symbols
    assert [planned.kind for planned in after.faults] == ["silent"]
    with pytest.raises(LocalError, match="known are"):
        bench.view.inject("gremlins", {}, 1)


def test_critical_errors_are_reset(bench: Bench) -> None:
    """F.F. stays after its fault and goes with the command."""
    bench.view.inject("device_error", {"error": "METROLOGY"}, 1)
    bench.second()
    assert bench.second().error_register == Error.METROLOGY
    bench.view.reset_errors()
    assert bench.view.moment().error_register == 0


def test_the_page_offers_the_whole_catalogue() -> None:
    """Every fault stands in one group, has a first choice for each figure, and a German name."""
    offered = [kind for group in FAULT_GROUPS.values() for kind in group]
    assert sorted(offered) == sorted(CATALOGUE)
    for kind in offered:
        first = {
            field.name: FIRST_CHOICE[field.name] if field.default is MISSING else field.default
            for field in fields(CATALOGUE[kind])
        }
        planned = fault_of({"kind": kind, **first}, "the first choice")
        assert describe(planned, ENGLISH).startswith(fault_name(kind))
        assert {fault_name(kind), *first} <= set(GERMAN)


def test_the_manual_knows_every_screen_in_both_languages() -> None:
    """What the page says a press does is what the menu's table does: nothing where nothing follows."""
    assert set(MANUAL) == set(Screen)
    for screen, page in MANUAL.items():
        assert bool(page.short) == ((screen, Press.SHORT) in NEXT)
        assert bool(page.long) == ((screen, Press.LONG) in NEXT)
        assert {page.name, page.short, page.long} - {""} <= set(GERMAN)
    assert {preset.name for preset in PRESETS} | set(FAULT_GROUPS) | {"until ended"} <= set(GERMAN)


def test_a_screen_reader_is_told_what_the_user_did(bench: Bench) -> None:
    """Menu steps, errors and darkness are announced; the changing watts are not."""
    tell = Announcer(ENGLISH)
    told = tell(bench.second())
    assert told == "standard display, P 500 W"
    bench.load.adjust(draw_w=(0.0, 900.0, 0.0), cos_phi=1.0, capacitive=False, sun_w=0.0, own=True)
    assert tell(bench.second()) == told
    bench.view.flash(Press.SHORT)
    assert tell(bench.second()) == "display test"
    bench.view.flash(Press.SHORT)
    bench.view.flash(Press.SHORT)
    assert [tell(bench.second()) for _ in range(3)][-1].startswith("energy since the last reset, E ")
    bench.view.switch_mains(on=False)
    assert tell(bench.second()) == "the display is dark"


def test_the_plate_says_what_the_type_implies(bench: Bench) -> None:
    """Constant, range and mode on the case come from the variant, the number from the server ID."""
    plate = bench.view.plate
    assert (plate.pulses_per_kwh, plate.mode_text, plate.accuracy) == (10_000, "Zweirichtungszähler", "A")
    assert str(plate.device_id) == "1 LGZ 00 6353 9421"


def test_the_data_matrix_on_the_case_is_read_by_others(bench: Bench) -> None:
    """The drawing on the page is a symbol an independent reader decodes into this meter's identity."""
    assert bench.view.plate.matrix is not None
    drawing = matrix_svg(bench.view.plate.matrix, "x")
    size = int(re.findall(r'viewBox="0 0 (\d+)', drawing)[0])
    image = np.full((size, size), 255, dtype=np.uint8)
    for column, row in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawing):
        image[int(row), int(column)] = 0
    (found,) = zxingcpp.read_barcodes(np.kron(image, np.ones((4, 4), dtype=np.uint8)))
    assert read_data_matrix(found.text).server_id == METER_ID
