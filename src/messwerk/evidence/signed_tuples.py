"""The signed tuple of a SyM² base module as an exhibit."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from .. import tuples
from ..identity import ServerId
from ..obis import ObisCode
from ..sml.messages import TupelEntry
from ..tuples import EXPORT_REGISTERS, HASH_LAYOUT, IMPORT_REGISTERS, SignedTuple
from ..units import unit_symbol
from .exhibit import Exhibit, Field, SignedBlock

LAYOUT: Final = f"SyM² tuple, two blocks of 96 bytes ({HASH_LAYOUT})"

_FLAGS: Final = (
    (tuples.STATUS_ABOVE_START, "load above starting power"),
    (tuples.STATUS_EXPORT, "exports"),
    (tuples.STATUS_ROTATION, "wrong rotation"),
    (tuples.STATUS_FATAL, "fatal error"),
    (tuples.STATUS_NEUTRAL_MISSING, "neutral missing"),
    (tuples.STATUS_SOI, "start of interval"),
    (tuples.STATUS_POWER_RESTORED, "power restored"),
    (tuples.STATUS_EPOCH_CHANGED, "epoch changed"),
    (tuples.STATUS_SYNC_TAKEN, "synchronised in this second"),
    (tuples.STATUS_ROW_LOST, "profile row lost"),
    (tuples.STATUS_PARAMETER_CHANGED, "parameter changed"),
    (tuples.STATUS_FIRMWARE_CHANGED, "firmware changed"),
    (tuples.STATUS_LOG_OVERFLOW, "log full"),
    (tuples.STATUS_SELF_TEST_FAULT, "self test failed"),
    (tuples.STATUS_SYNCHRONOUS, "time base synchronous"),
)


def exhibit_of_tuple(entry: TupelEntry, name: bytes, place: str) -> Exhibit:
    """The exhibit of a tuple as SML carries it. Raises DecodeError where it is no SyM² tuple."""
    found = SignedTuple.from_entry(entry)
    called = ObisCode(name).name if len(name) == 6 else None
    return exhibit_of(found, called or "tuple", place)


def exhibit_of(signed: SignedTuple, called: str, place: str) -> Exhibit:
    """The exhibit of a whole tuple, wherever it comes from."""
    return Exhibit(
        title=f"{called} #{signed.index} of {ServerId(signed.server_id) if signed.server_id else 'nobody'}",
        layout=LAYOUT,
        place=place,
        server_id=signed.server_id,
        content=signed,
        blocks=(
            SignedBlock("import", signed.import_block, signed.signature_import),
            SignedBlock("export", signed.export_block, signed.signature_export),
        ),
        fields=(
            *head_fields(signed.server_id, signed.index, signed.status),
            *register_fields(IMPORT_REGISTERS, (signed.import_wh, signed.r1_varh, signed.r4_varh), signed.scaler),
            *register_fields(EXPORT_REGISTERS, (signed.export_wh, signed.r2_varh, signed.r3_varh), signed.scaler),
        ),
    )


def head_fields(server_id: bytes, index: int, status: int) -> tuple[Field, ...]:
    """Who, when and in which state."""
    flags = ", ".join(text for bit, text in _FLAGS if status & bit)
    fields = [
        Field("server ID", named(server_id)),
        Field("seconds index", str(index)),
        Field("status", f"{status & 0xFFFF_FFFF:08X}{f' ({flags})' if flags else ''}"),
    ]
    if status >> 32:
        fields.append(Field("status, bits 32 and above", f"{status >> 32:08X}", signed=False))
    return tuple(fields)


def register_fields(
    names: tuple[ObisCode, ...], values: tuple[int, ...], scaler: int, *, signed: bool = True
) -> tuple[Field, ...]:
    """The registers of one group with their units."""
    units = tuples.REGISTER_UNITS
    return tuple(
        Field(f"{name} {name.name or ''}".rstrip(), f"{scaled(value, scaler)} {unit_symbol(unit)}", signed)
        for name, value, unit in zip(names, values, units, strict=True)
    )


def named(server_id: bytes) -> str:
    """A server ID in hex, with its printed form where it has one."""
    if not 1 <= len(server_id) <= 32:
        return server_id.hex() or "none"
    printed = str(ServerId(server_id))
    digits = server_id.hex(" ").upper()
    return digits if printed == digits else f"{digits} ({printed})"


def scaled(raw: int, scaler: int) -> str:
    """raw x 10**scaler as an exact decimal."""
    return f"{Decimal(raw).scaleb(scaler):f}"
