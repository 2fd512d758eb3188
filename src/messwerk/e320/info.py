"""The INFO push: one SML file a second, byte for byte as a real E320 sends it.

Three messages (open response, list response, close response), integers at full width, the
status word on the first register only. The layout and its counters are those of recorded
E320 telegrams; the sets for the other measurement modes follow the same pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from .. import sml
from ..identity import ServerId
from ..metrology import Mode, Registers, kwh, wh_tenths
from ..obis import ObisCode
from ..seconds_index import SecondsIndex
from ..units import VAR_HOUR, WATT, WATT_HOUR

NO_CLIENT: Final = b"\xff" * 6
"""Client ID of a push: nobody asked."""
LIST_NAME: Final = ObisCode.parse("1-0:98.10.255*255")
MANUFACTURER: Final = ObisCode.parse("1-0:96.50.1*1")
SERVER_ID: Final = ObisCode.parse("1-0:96.1.0*255")
POWER: Final = ObisCode.parse("1-0:16.7.0*255")
REGISTER_CODES: Final[dict[str, ObisCode]] = {
    "import_mws": ObisCode.parse("1.8.0"),
    "export_mws": ObisCode.parse("2.8.0"),
    "r1_mvars": ObisCode.parse("5.8.0"),
    "r2_mvars": ObisCode.parse("6.8.0"),
    "r3_mvars": ObisCode.parse("7.8.0"),
    "r4_mvars": ObisCode.parse("8.8.0"),
}
"""OBIS code of each register field."""
REDUCED_SCALER: Final = 3
"""Reduced set: whole kWh, truncated."""
EXTENDED_SCALER: Final = -1
"""Extended set: 0.1 Wh."""


def register_names(mode: Mode) -> tuple[str, ...]:
    """The registers a measurement mode keeps, in the order they are shown and sent."""
    names = []
    if mode.has_import:
        names.append("import_mws")
    if mode.has_export:
        names.append("export_mws")
    if mode.has_reactive:
        names += ["r1_mvars", "r2_mvars", "r3_mvars", "r4_mvars"]
    return tuple(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoPush:
    """What one push says."""

    server_id: ServerId
    seconds_index: SecondsIndex
    push_counter: int
    """File counter F: reqFileId is F, the messages are 3F+1, 3F+2, 3F+3. [0 … 2**32-1]"""
    status_word: int
    registers: Registers
    names: tuple[str, ...]
    """Which registers, in order (`register_names`)."""
    extended: bool
    power_w: int | None = None
    """Net active power; None leaves it out, as the reduced set always does."""


def info_telegram(push: InfoPush) -> bytes:
    """The transport-framed bytes of one push."""
    return sml.frame(sml.encode(info_messages(push)))


def info_messages(push: InfoPush) -> tuple[sml.Message, ...]:
    """The three messages of one push."""
    index = sml.SecIndex(push.seconds_index)
    bodies: tuple[sml.Body, ...] = (
        sml.PublicOpenResponse(
            client_id=NO_CLIENT,
            req_file_id=_u32(push.push_counter),
            server_id=push.server_id,
            ref_time=index,
        ),
        sml.GetListResponse(
            client_id=NO_CLIENT,
            server_id=push.server_id,
            list_name=LIST_NAME,
            act_sensor_time=index,
            val_list=_entries(push, index),
        ),
        sml.PublicCloseResponse(),
    )
    return tuple(
        sml.Message(transaction_id=_u32(3 * push.push_counter + place), body=body)
        for place, body in enumerate(bodies, start=1)
    )


def _entries(push: InfoPush, index: sml.SecIndex) -> tuple[sml.ListEntry, ...]:
    entries = list(_identity_entries(push.server_id))
    scaler, reading = (EXTENDED_SCALER, wh_tenths) if push.extended else (REDUCED_SCALER, kwh)
    for place, name in enumerate(push.names):
        entries.append(
            sml.ListEntry(
                obj_name=REGISTER_CODES[name],
                status=sml.Unsigned32(push.status_word) if place == 0 else None,
                val_time=index,
                unit=WATT_HOUR if name.endswith("mws") else VAR_HOUR,
                scaler=scaler,
                value=sml.Unsigned64(reading(getattr(push.registers, name))),
            )
        )
    if push.extended and push.power_w is not None:
        entries.append(sml.ListEntry(obj_name=POWER, unit=WATT, scaler=0, value=sml.Integer64(push.power_w)))
    return tuple(entries)


@cache
def _identity_entries(server_id: ServerId) -> tuple[sml.ListEntry, ...]:
    """Maker's letters and server ID: the same in every push of a meter."""
    maker = bytes(server_id[2:5])
    return (
        sml.ListEntry(obj_name=MANUFACTURER, value=maker),
        sml.ListEntry(obj_name=SERVER_ID, value=bytes(server_id)),
    )


def _u32(number: int) -> bytes:
    return (number & 0xFFFF_FFFF).to_bytes(4, "big")


# --- the status word -----------------------------------------------------------------------

WORD_IDENTIFICATION: Final = 1 << 2
"""Always 1."""
ABOVE_START_UP: Final = 1 << 8
SUM_EXPORTS: Final = 1 << 11
PHASE_EXPORTS: Final = (1 << 12, 1 << 13, 1 << 14)
FIELD_REVERSED: Final = 1 << 15
RETURN_STOP: Final = 1 << 16
FATAL_ERROR: Final = 1 << 17
VOLTAGE_PRESENT: Final = (1 << 18, 1 << 19, 1 << 20)

Phases = tuple[bool, bool, bool]


def status_word(
    *,
    above_start_up: bool = False,
    sum_exports: bool = False,
    phase_exports: Phases = (False, False, False),
    field_reversed: bool = False,
    return_stop: bool = False,
    fatal_error: bool = False,
    voltage_present: Phases = (True, True, True),
) -> int:
    """The 32-bit status word of an FNN base meter; magnet and cover bits stay 0 on an E320."""
    word = WORD_IDENTIFICATION
    for condition, bit in (
        (above_start_up, ABOVE_START_UP),
        (sum_exports, SUM_EXPORTS),
        (field_reversed, FIELD_REVERSED),
        (return_stop, RETURN_STOP),
        (fatal_error, FATAL_ERROR),
        *zip(phase_exports, PHASE_EXPORTS, strict=True),
        *zip(voltage_present, VOLTAGE_PRESENT, strict=True),
    ):
        word |= bit if condition else 0
    return word
