"""What the panels make of telegrams and tuples: hex, register list, verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from messwerk import sml
from messwerk.e320 import E320, RamMemory, UserSettings, Variant
from messwerk.e320.display import DARK
from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.panels import RackView, lcd
from messwerk.panels.e750 import REGISTERS, ROLL_S, ModuleMoment, display_of, register_values, tuple_markup
from messwerk.panels.telegram import BYTES_SHOWN, decoded, flag_words, hex_dump
from messwerk.signing import Curve, PrivateKey
from messwerk.station.web.language import ENGLISH

METER_ID = ServerId.parse("1LGZ0063539421")
KEY = PrivateKey.from_seed(Curve.P256, b"panel")


def test_the_hex_holds_every_byte_and_marks_the_changed_ones() -> None:
    """Bytes that differ from the second before are marked; a telegram of other length marks none."""
    dump = hex_dump(bytes(range(20)), bytes([0, 9, *range(2, 20)]))
    assert dump.count("<b>") == 1
    assert "<b>01</b>" in dump
    assert "<i>0010</i>" in dump
    assert "<b>" not in hex_dump(b"abc", b"ab")
    assert "952 more bytes" in hex_dump(bytes(3_000), None)
    assert BYTES_SHOWN == 2_048


def test_a_telegram_is_decoded_into_words() -> None:
    """Values with names and units, the status word in words, the count of bytes."""
    meter = E320(
        server_id=METER_ID, variant=Variant(), memory=RamMemory(), settings=UserSettings(pin_on=False, extended=True)
    )
    telegram = meter.leap(PhasePowers.constant(60, (500.0, 0.0, 0.0)))
    assert telegram is not None
    text = decoded(telegram, ENGLISH)
    for part in (
        "1-0:1.8.0*255",
        "active energy +A",
        "500 W",
        "above starting power",
        "L1 voltage",
        f"{len(telegram)} ",
    ):
        assert part in text
    assert "no SML telegram" in decoded(b"/LGZ4ZMF100AC\r\n", ENGLISH)
    assert "no SML telegram" in decoded(b"", ENGLISH)


def test_every_status_flag_has_words() -> None:
    """Flag names become lower-case words with their phase kept."""
    assert flag_words("L1_EXPORTS") == "L1 exports"
    assert {flag_words(flag.name or "") for flag in sml.FnnStatus} >= {"return stop", "L3 voltage"}


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[tuple[RackView, BaseModule]]:
    """One base module and its communication module on a bus."""
    bus = Bus()
    for part in ("cm", "bm"):
        (tmp_path / part).mkdir()
    communication = CommunicationModule(
        ServerId.from_mac(bytes.fromhex("001511220001")), bus, tmp_path / "cm", credentials={"station": "secret"}
    )
    module = BaseModule(ServerId.from_mac(bytes.fromhex("00151122AABB")), KEY, tmp_path / "bm", bus)
    yield RackView(communication, [module]), module
    module.close()
    communication.close()


def test_the_rack_verifies_what_it_shows(rack: tuple[RackView, BaseModule]) -> None:
    """Both verdicts are computed from the bytes: a tuple changed on the way is caught, group by group."""
    view, module = rack
    signed = module.tick(PhasePowers.constant(1, (500.0, 500.0, 500.0)))
    view.ticked([signed], wan_connected=True)
    (shown,) = view.moment().modules
    assert tuple_markup(shown, ENGLISH).count("signature valid") == 2
    forged = replace(shown, signed=replace(signed, import_wh=signed.import_wh + 1))
    text = tuple_markup(forged, ENGLISH)
    assert text.count("signature does not fit") == 1
    assert text.count("signature valid") == 1
    view.ticked([], wan_connected=False)
    assert "No tuple yet" in tuple_markup(view.moment().modules[0], ENGLISH)


def test_a_base_modules_display_rolls_through_its_registers(rack: tuple[RackView, BaseModule]) -> None:
    """Each register is shown in its turn, with two decimals, cut toward zero, on glass that can show it."""
    _, module = rack
    signed = module.tick(PhasePowers.constant(1, (500.0, 500.0, 500.0)))
    signed = replace(signed, import_wh=41_233_456_79, r1_varh=-5, export_wh=10**10 + 123_456)
    seen = {}
    for second in range(len(REGISTERS) * ROLL_S):
        state = display_of(replace(signed, index=second))  # type: ignore[arg-type]
        assert lcd.segments(state) <= lcd.ALL
        seen[state.upper_code] = (state.upper_value, state.upper_unit)
    assert list(seen) == [code for code, _ in REGISTERS]
    assert seen["1.8.0"] == ("412334.56", "kWh")
    assert seen["2.8.0"] == ("000012.34", "kWh"), "the counter has wrapped"
    assert register_values(signed)["5.8.0"] == Decimal("-0.5")
    assert display_of(None) == DARK


def test_moments_are_frozen(rack: tuple[RackView, BaseModule]) -> None:
    """A page can hold a moment as long as it likes: the device cannot change it."""
    view, module = rack
    moment = view.moment()
    view.ticked([module.tick(PhasePowers.constant(1, (1.0, 1.0, 1.0)))], wan_connected=True)
    assert moment.modules[0].signed is None
    assert isinstance(view.moment().modules[0], ModuleMoment)
