"""What a base module shows to people, blinks to a test bench, and writes into its log."""

from __future__ import annotations

import pytest

from e750_rack import Rack, central, key_of, powers
from messwerk import sml
from messwerk.e750 import MEDIUM_VOLTAGE_6A, Event
from messwerk.e750 import object_names as names
from messwerk.e750.display import PAGE_S, page_now, pages, register_text
from messwerk.e750.log_book import CAPACITY
from messwerk.errors import StoreDamaged
from messwerk.metrology import PhasePowers, Registers
from messwerk.tuples import STATUS_LOG_OVERFLOW


@pytest.mark.parametrize(
    ("mws", "ratio", "text"),
    [
        (0, 1, "0.0000"),
        (359_999, 1, "0.0000"),
        (360_000, 1, "0.0001"),
        (3_600_000_000 - 1, 1, "0.9999"),
        (12_345 * 3_600_000_000 + 1, 1, "12345.0000"),
        (359_999, 1000, "0.0999"),
    ],
)
def test_registers_are_shown_truncated(mws: int, ratio: int, text: str) -> None:
    """A display never shows energy that was not there; primary values multiply before cutting."""
    assert register_text(Registers(import_mws=mws), "import_mws", ratio) == text


def test_the_list_shows_six_registers_index_status_and_key(rack: Rack) -> None:
    """Everything a person needs to check a tuple by hand stands on the display."""
    module = rack.base_module()
    module.advance(powers(5000))
    shown = {page.code: page for page in pages(module)}
    assert [shown[code].unit for code in ("1.8.0", "2.8.0", "5.8.0")] == ["kWh", "kWh", "kvarh"]
    assert int(shown["1.8.0"].value.replace(".", "")) == module.current.import_wh
    assert shown["0.9.8"].value == "0000005000"
    assert shown["F.F"].value == f"{module.current.status & 0xFFFFFFFF:08X}"
    assert shown["C.1.0"].value == "00:15:11:22:00:01"
    key = "".join(page.value for page in pages(module) if page.code.startswith("Pb")).replace(" ", "")
    assert bytes.fromhex(key) == key_of(1).public.point


def test_primary_values_stand_beside_secondary_ones(rack: Rack) -> None:
    """With transformers set, six more pages; the signed value stays the secondary one."""
    module = rack.base_module(variant=MEDIUM_VOLTAGE_6A, ct_ratio=400, vt_ratio=200)
    module.advance(PhasePowers.constant(3600, (100.0, 100.0, 100.0), u_v=(57.7,) * 3))
    shown = {page.code: page.value for page in pages(module)}
    assert shown["1.8.0"] == "0.3000"
    assert shown["1.8.0 P"] == "24000.0000"
    assert shown["CT/VT"] == "400:1 200:1"


def test_the_list_rolls_by_the_modules_own_seconds(rack: Rack) -> None:
    """No button: every page stands five seconds, then the next, and round again."""
    module = rack.base_module()
    seen = []
    for _ in range(PAGE_S * len(pages(module))):
        seen.append(page_now(module).code)
        module.tick(PhasePowers.constant(1, (0, 0, 0)))
    assert seen[:PAGE_S] == ["1.8.0"] * PAGE_S
    assert seen[PAGE_S] == "2.8.0"
    assert len(dict.fromkeys(seen)) == len(pages(module))
    assert page_now(module).code == "1.8.0"


def test_the_test_output_blinks_the_energy_exactly(rack: Rack) -> None:
    """Constant times energy, both directions as magnitude, the remainder kept over a restart."""
    module = rack.base_module()
    blinks = {"active": 0, "reactive": 0}
    for second in range(200):
        if second == 100:
            rack.pull_out(module)
            module = rack.base_module()
        module.tick(powers(1, second))
        for kind in blinks:
            blinks[kind] += module.led_pulses[kind]
    registers = module.registers
    active = registers.import_mws + registers.export_mws
    reactive = registers.r1_mvars + registers.r2_mvars + registers.r3_mvars + registers.r4_mvars
    assert blinks == {"active": active * 500 // 3_600_000_000, "reactive": reactive * 500 // 3_600_000_000}
    assert blinks["active"] > 10


def test_the_log_tells_what_happened_and_at_which_index(rack: Rack) -> None:
    """Supply, neutral, voltages, synchronisation: read over the bus by seconds index."""
    cm, module = rack.communication_module(), rack.base_module()
    module.tick(powers(1))
    module.neutral_connected = False
    module.tick(powers(1))
    module.neutral_connected = True
    module.tick(PhasePowers.constant(1, (1, 1, 1), u_v=(230, 0, 230)))
    module.cut_power()
    module.restore_power(100)
    module.synchronise(7)
    request = sml.GetProfileListRequest(
        parameter_tree_path=(names.BASE_MODULE_LOG,), begin_time=sml.SecIndex(2), end_time=sml.SecIndex(200)
    )
    rows = central(cm).ask(module.server_id, request).answer()
    told = [(row.val_time.value, row.period_list[0].value, row.period_list[3].value) for row in rows]
    assert told == [
        (2, Event.NEUTRAL_LOST, b""),
        (3, Event.NEUTRAL_RETURNED, b""),
        (3, Event.VOLTAGE_LOST, b"L2"),
        (3, Event.POWER_FAILED, b""),
        (103, Event.POWER_RETURNED, b"after 100 s"),
        (103, Event.SYNCHRONISED, b"phase 7 s, shortened"),
    ]


def test_a_log_that_overflows_says_so_in_the_status(rack: Rack) -> None:
    """Losing the oldest entries is itself an event a station must see."""
    module = rack.base_module()
    for _ in range(CAPACITY):
        module.report(Event.SYNCHRONISED)
    assert not module.tick(powers(1)).status & STATUS_LOG_OVERFLOW
    module.report(Event.SYNCHRONISED)
    assert module.tick(powers(1)).status & STATUS_LOG_OVERFLOW
    assert len(module.log.entries) == CAPACITY


def test_state_of_another_version_is_named_not_guessed(rack: Rack) -> None:
    """A folder written by a program that knew other fields: a clear error with the way out."""
    module = rack.base_module()
    module._state.save({"index": 5})
    rack.pull_out(module)
    with pytest.raises(StoreDamaged, match="another version"):
        rack.base_module()
