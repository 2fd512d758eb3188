"""Rows of a signed load profile as exhibits: each row is a tuple, its columns in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import DecodeError
from ..identity import ServerId
from ..obis import ObisCode
from ..seconds_index import SecondsIndex
from ..sml.messages import GetProfileListResponse, GetProfilePackResponse, SecIndex
from ..tuples import EXPORT_REGISTERS, IMPORT_REGISTERS, REGISTER_UNITS, SignedTuple, hash_block
from .exhibit import Contents, Exhibit, Field, SignedBlock
from .signed_tuples import LAYOUT, head_fields, register_fields

SIGNATURE_IMPORT: Final = ObisCode(bytes.fromhex("8181c78402ff"))
SIGNATURE_EXPORT: Final = ObisCode(bytes.fromhex("8181c78403ff"))
_GROUPS: Final = (
    ("import", IMPORT_REGISTERS, SIGNATURE_IMPORT),
    ("export", EXPORT_REGISTERS, SIGNATURE_EXPORT),
)
_SPELLINGS: Final = frozenset({(1, 0, 8, 0), (1, 1, 8, 0), (1, 0, 8, 1)})
"""A, B, D, E of an energy register: base meter, SyM² tuple, SyM² profile column; one is signed for all."""
_UNITS: Final = {
    name: unit
    for registers in (IMPORT_REGISTERS, EXPORT_REGISTERS)
    for name, unit in zip(registers, REGISTER_UNITS, strict=True)
}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One value of a row with the unit and scaler of its column."""

    unit: int
    scaler: int
    value: object


def exhibits_of_pack(body: GetProfilePackResponse, place: str, contents: Contents) -> None:
    """Every row of a pack; rows that do not fit its header are damaged."""
    names = [_signed_name(header.obj_name) for header in body.header_list]
    for number, row in enumerate(body.period_list, 1):
        where = f"{place}, row {number}"
        if len(row.value_list) != len(names):
            found = f"{len(row.value_list)} values under {len(names)} headers"
            contents.damaged.append(f"{where}: {found}")
            continue
        cells = {
            name: _Cell(header.unit, header.scaler, entry.value)
            for name, header, entry in zip(names, body.header_list, row.value_list, strict=True)
        }
        _take(body.server_id, row.val_time, row.status, cells, where, contents)


def exhibits_of_row(body: GetProfileListResponse, place: str, contents: Contents) -> None:
    """The one row a message holds."""
    cells = {_signed_name(entry.obj_name): _Cell(entry.unit, entry.scaler, entry.value) for entry in body.period_list}
    _take(body.server_id, body.val_time, body.status, cells, place, contents)


def _signed_name(name: bytes) -> bytes:
    """The name under which a register is hashed, whatever its column is called."""
    if len(name) == 6 and (name[0], name[1], name[3], name[4]) in _SPELLINGS:
        return bytes((1, 0, name[2], 8, 0, 0xFF))
    return name


def _take(
    server_id: bytes, val_time: object, status: int, cells: Mapping[bytes, _Cell], place: str, contents: Contents
) -> None:
    try:
        exhibit = _exhibit(server_id, val_time, status, cells, place)
    except DecodeError as error:
        contents.damaged.append(f"{place}: {error}")
        return
    if exhibit is None:
        contents.unsigned += 1
    else:
        contents.exhibits.append(exhibit)


def _exhibit(
    server_id: bytes, val_time: object, status: int, cells: Mapping[bytes, _Cell], place: str
) -> Exhibit | None:
    """The exhibit of a row; None where it is not signed. Raises DecodeError."""
    if not isinstance(val_time, SecIndex):
        raise _wrong("val_time", "a seconds index", type(val_time).__name__)
    if not 1 <= len(server_id) <= 14:
        raise _wrong("server_id", "1 to 14 bytes", f"{len(server_id)}")
    blocks: list[SignedBlock] = []
    groups: dict[str, tuple[int, int, int]] = {}
    scalers: set[int] = set()
    faults: list[str] = []
    fields = list(head_fields(server_id, val_time.value, status))
    for group, registers, signature_name in _GROUPS:
        present = [name for name in registers if name in cells]
        signature = cells[signature_name].value if signature_name in cells else None
        if signature is None:
            fields += _unsigned(cells, present)
            faults += [f"the {group} registers carry no signature"] if present else []
            continue
        if not isinstance(signature, bytes):
            raise _wrong(str(signature_name), "a signature", type(signature).__name__)
        if len(present) < len(registers):
            missing = ", ".join(str(name) for name in registers if name not in cells)
            faults.append(f"the {group} group cannot be checked without {missing}")
            fields += _unsigned(cells, present)
            continue
        values, scaler = _group(cells, registers)
        groups[group] = values
        scalers.add(scaler)
        fields += register_fields(registers, values, scaler)
        block = hash_block(server_id, val_time.value, status, scaler, registers, values)
        blocks.append(SignedBlock(group, block, signature))
    if not any(name in cells for _, _, name in _GROUPS):
        return None
    return Exhibit(
        title=f"profile row #{val_time.value} of {ServerId(server_id)}", layout=LAYOUT, place=place,
        server_id=server_id, blocks=tuple(blocks), fields=tuple(fields), faults=tuple(faults),
        content=_tuple(server_id, val_time.value, status, scalers, groups, blocks),
    )  # fmt: skip


def _tuple(
    server_id: bytes,
    index: int,
    status: int,
    scalers: set[int],
    groups: Mapping[str, tuple[int, int, int]],
    blocks: Sequence[SignedBlock],
) -> SignedTuple | None:
    """The tuple a complete row is; None where a group is missing or has another scaler."""
    if len(blocks) != len(_GROUPS) or len(scalers) != 1:
        return None
    (import_wh, r1_varh, r4_varh), (export_wh, r2_varh, r3_varh) = groups["import"], groups["export"]
    return SignedTuple(
        server_id=server_id, index=SecondsIndex(index), status=status, scaler=min(scalers), import_wh=import_wh,
        export_wh=export_wh, r1_varh=r1_varh, r2_varh=r2_varh, r3_varh=r3_varh, r4_varh=r4_varh,
        signature_import=blocks[0].signature, signature_export=blocks[1].signature,
    )  # fmt: skip


def _unsigned(cells: Mapping[bytes, _Cell], names: list[ObisCode]) -> list[Field]:
    """Registers that no signature covers, raw where they are no integers."""
    fields = []
    for name in names:
        cell = cells[name]
        text = f"{cell.value} x 10^{cell.scaler}" if isinstance(cell.value, int) else type(cell.value).__name__
        fields.append(Field(f"{name} {name.name}", text, signed=False))
    return fields


def _group(
    cells: Mapping[bytes, _Cell], registers: tuple[ObisCode, ObisCode, ObisCode]
) -> tuple[tuple[int, int, int], int]:
    """Raw values and the scaler of three registers. Raises DecodeError."""
    values = []
    for name in registers:
        cell = cells[name]
        if not isinstance(cell.value, int) or isinstance(cell.value, bool) or not -(1 << 63) <= cell.value < 1 << 63:
            raise _wrong(str(name), "an integer of 8 bytes", repr(cell.value)[:60])
        if cell.unit != _UNITS[name]:
            raise _wrong(f"{name} unit", str(_UNITS[name]), str(cell.unit))
        values.append(int(cell.value))
    scalers = {int(cells[name].scaler) for name in registers}
    if len(scalers) != 1:
        raise _wrong("scalers", "one for all three registers", ", ".join(map(str, sorted(scalers))))
    first, second, third = values
    return (first, second, third), scalers.pop()


def _wrong(path: str, expected: str, found: str) -> DecodeError:
    return DecodeError(offset=0, path=path, expected=expected, found=found)
