"""The INFO push against telegrams of real E320 meters and its own sizes, sets and counters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messwerk import sml
from messwerk.e320.info import POWER, InfoPush, info_telegram, register_names, status_word
from messwerk.identity import ServerId
from messwerk.metrology import Mode, Registers
from messwerk.seconds_index import SecondsIndex

TENTH_MWS = 360_000
KWH_MWS = 3_600_000_000

METER_1 = ServerId.parse("0A014C475A000526D2AE")
REDUCED_1 = """
1b1b1b1b01010101760502a84a576200620072630101760107ffffffffffff0500e2c3720b0a014c475a000526d2ae7262016500e2c390016311e100
760502a84a5862006200726307017707ffffffffffff0b0a014c475a000526d2ae070100620affff7262016500e2c390747707010060320101010101
01044c475a0177070100600100ff010101010b0a014c475a000526d2ae0177070100010800ff65001cc1047262016500e2c390621e52036900000000
000002de0177070100020800ff017262016500e2c390621e520369000000000000000101010163ea6f00760502a84a596200620072630201710163e9
b10000001b1b1b1b1a026690
"""
"""A two-way meter in the reduced set, worked out byte by byte."""


def push_1(extended: bool) -> InfoPush:
    return InfoPush(
        server_id=METER_1,
        seconds_index=SecondsIndex(14_861_200),
        push_counter=0x00E2C372,
        status_word=0x1CC104,
        registers=Registers(import_mws=7_349_456 * TENTH_MWS, export_mws=12_137 * TENTH_MWS),
        names=register_names(Mode.TWO_WAY),
        extended=extended,
        power_w=4,
    )


def test_extended_telegram_of_a_real_meter() -> None:
    """A recorded E320's field values give its length and all four of its checksums: 11E1, 778A, E9B1, 2615."""
    telegram = info_telegram(push_1(extended=True))
    assert len(telegram) == 276
    assert telegram[56:60].hex() == "6311e100"
    assert bytes.fromhex("0163778a00") in telegram
    assert telegram.endswith(bytes.fromhex("63e9b1000000 1b1b1b1b 1a022615"))


def test_reduced_telegram_of_the_same_second() -> None:
    """252 bytes: whole kWh, status and time kept, power absent."""
    assert info_telegram(push_1(extended=False)).hex() == "".join(REDUCED_1.split())


def test_second_real_meter() -> None:
    """Another E320's message checksums come out: 26DE, 7264, 1C8C."""
    push = InfoPush(
        server_id=ServerId.parse("0A014C475A0003403B49"),
        seconds_index=SecondsIndex(0x021D7707),
        push_counter=0x021D7037,
        status_word=0x1C0104,
        registers=Registers(import_mws=51_719_237 * TENTH_MWS),
        names=register_names(Mode.TWO_WAY),
        extended=True,
        power_w=251,
    )
    telegram = info_telegram(push)
    assert telegram[8:14].hex() == "7605065850a6"
    for checksum in ("6326de00", "63726400", "631c8c00"):
        assert bytes.fromhex(checksum) in telegram


SIZES = [  # mode, extended, bytes of the whole file
    (Mode.IMPORT, False, 220),
    (Mode.IMPORT, True, 244),
    (Mode.EXPORT, True, 244),
    (Mode.TWO_WAY, False, 252),
    (Mode.TWO_WAY, True, 276),
    (Mode.BALANCED_EXPORT, True, 244),
    (Mode.FOUR_QUADRANT, True, 400),
]


@pytest.mark.parametrize(("mode", "extended", "size"), SIZES)
def test_sets_and_sizes(mode: Mode, extended: bool, size: int) -> None:
    """Each mode sends its registers and nothing else; only the first one carries the status word."""
    push = InfoPush(
        server_id=METER_1,
        seconds_index=SecondsIndex(100),
        push_counter=70,
        status_word=0x1C0104,
        registers=Registers(*(KWH_MWS * (place + 1) + 1 for place in range(6))),
        names=register_names(mode),
        extended=extended,
        power_w=-1500,
    )
    telegram = info_telegram(push)
    assert len(telegram) == size
    (frame,) = sml.FrameDecoder().receive(telegram)
    assert isinstance(frame, sml.Frame)
    body = sml.decode(frame.payload, strict=True).messages[1].body
    assert isinstance(body, sml.GetListResponse)
    registers = [entry for entry in body.val_list if entry.val_time is not None]
    assert [entry.status for entry in registers] == [0x1C0104] + [None] * (len(registers) - 1)
    assert (body.val_list[-1].value == -1500) is extended


def test_power_left_out_unless_activated() -> None:
    """The extended set without the power parameter has no 16.7.0."""
    silent = info_telegram(replace(push_1(extended=True), power_w=None))
    assert bytes(POWER) not in silent
    assert bytes(POWER) in info_telegram(push_1(extended=True))


STATUS = [  # word of a real meter or computed from the bit table; what it means
    (0x1C0104, {"above_start_up": True}),
    (0x1C1104, {"above_start_up": True, "phase_exports": (True, False, False)}),
    (0x1C3104, {"above_start_up": True, "phase_exports": (True, True, False)}),
    (0x1C7904, {"above_start_up": True, "phase_exports": (True, True, True), "sum_exports": True}),
    (0x1CC104, {"above_start_up": True, "phase_exports": (False, False, True), "field_reversed": True}),
    (0x1C0004, {}),
    (0x100104, {"above_start_up": True, "voltage_present": (False, False, True)}),
    (0x1F0004, {"return_stop": True, "fatal_error": True}),
]


@pytest.mark.parametrize(("word", "conditions"), STATUS)
def test_status_word(word: int, conditions: dict[str, object]) -> None:
    """The truth table of the status word, rows seen in real telegrams first."""
    assert status_word(**conditions) == word  # type: ignore[arg-type]
