"""What EDL40 meters sign: the hashed blocks of household and charging-station meters.

A signed meter value is a list (SML_GetList.Res) that carries its signature itself. Three layouts
of the hashed block are in use; integers are little endian unless the table says otherwise, and
what is left of a block is zero.

    basic, 48 bytes         server ID 10 | time 4 | status 1 | OBIS 6 | unit 1 | scaler 1 | value 8 |
                            log index 2

    extended, 320 bytes     server ID 10 | time 4 | status 1 | seconds index 4 | pagination 4 | OBIS 6 |
                            unit 1 | scaler 1 | value 8 | log index 2 | contract ID 128 | its time 4 |
                            compensation base 8 | compensated value 8 | line resistance 2 |
                            stop watch 4 | price 2, big endian

    ISA-EDL-40P, 320 bytes  server ID 10 | time 4 | status 1 | OBIS 6 | unit 1 | scaler 1 | value 8 |
                            log index 2 | signature of the value 66 | contract ID 128 | start time 4 |
                            ESTH 20 | start status 1 | start OBIS 6 | unit 1 | scaler 1 | start value 8 |
                            list name 6 | pagination 4

The signature is ECDSA over SHA-256 of the block, r || s, with the two bytes of the log index behind
it where the meter sends them. Times are Unix seconds of the local wall clock where the meter
sends its offsets. Source: layouts in two independent open verifiers, recomputed on real values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from .errors import DecodeError
from .obis import ObisCode, obis_text
from .sml.messages import BareSecIndex, GetListResponse, ListEntry, LocalTimestamp, SecIndex, Time, Timestamp, TimeValue
from .units import WATT_HOUR

SIGNED_IMPORT: Final = ObisCode.parse("1.17.0")
"""+A as EDL40 meters name it where it is signed."""
TOTAL_IMPORT: Final = ObisCode.parse("1.8.0")
ISA_START: Final = ObisCode.parse("1.8.0*128")
"""+A at the start of the charging process (ISA)."""

CONTRACT_ID: Final = bytes.fromhex("8182815401ff")
SECONDS_INDEX: Final = bytes.fromhex("810060080001")
PAGINATION: Final = bytes.fromhex("8180817101ff")
ISA_PAGINATION: Final = bytes.fromhex("8180c7f040ff")
ISA_ESTH: Final = bytes.fromhex("8180816101ff")
ISA_STAGES: Final = {
    bytes.fromhex("8180816200ff"): "start",
    bytes.fromhex("8180816201ff"): "update",
    bytes.fromhex("8180816202ff"): "stop",
}
"""List names of ISA meters: the stage of the charging process the value stands for."""
VERSION: Final = bytes.fromhex("00af737672ff")
COMPENSATION_BASE: Final = bytes.fromhex("010001110064")
COMPENSATED: Final = bytes.fromhex("0100011100c8")
LINE_RESISTANCE: Final = bytes.fromhex("00af6c6c72ff")
STOP_WATCH: Final = bytes.fromhex("00af647572ff")
PRICE: Final = bytes.fromhex("00af707263ff")

_NAMES: Final = {
    CONTRACT_ID: "contract ID",
    SECONDS_INDEX: "seconds index",
    PAGINATION: "pagination",
    ISA_PAGINATION: "pagination",
    ISA_ESTH: "ESTH",
    VERSION: "version",
    COMPENSATION_BASE: "compensation base",
    COMPENSATED: "compensated value",
    LINE_RESISTANCE: "line resistance",
    STOP_WATCH: "stop watch",
    PRICE: "price",
}

_BASIC: Final = struct.Struct("<10sIB6sBbq2s15x")
_EXTENDED: Final = struct.Struct("<10sIBII6sBbq2s128sIqqHI2s123x")
_ISA: Final = struct.Struct("<10sIB6sBbq2s66s128sI20sB6sBbq6sI42x")
assert (_BASIC.size, _EXTENDED.size, _ISA.size) == (48, 320, 320)

_FNN_TO_EDL: Final = ((17, 0), (31, 3), (16, 4), (11, 5), (9, 6), (8, 7))
"""(bit of the FNN word, bit of the EDL byte): what meters with an FNN status word hash instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicValue:
    """One register of an EDL40 meter at one time; 48 bytes are hashed."""

    server_id: bytes
    time: int
    """Unix seconds of the local wall clock, or a seconds index where the meter has no clock."""
    status: int
    """Lowest byte of the status word; nothing more is signed."""
    obis: bytes
    unit: int
    scaler: int
    value: int
    """Raw; times 10**`scaler` it is in `unit`."""
    log_index: bytes
    """Two bytes: entry of the meter's log book that was newest at this time."""

    @property
    def block(self) -> bytes:
        """The bytes the signature covers."""
        return _BASIC.pack(
            self.server_id, self.time, self.status, self.obis, self.unit, self.scaler, self.value, self.log_index
        )

    @classmethod
    def from_block(cls, block: bytes) -> Self:
        """Read a hashed block back. Raises DecodeError where it is none."""
        server_id, time, status, obis, unit, scaler, value, log_index = _unpack(_BASIC, block, "basic EDL40 block")
        return cls(
            server_id=server_id, time=time, status=status, obis=obis, unit=unit, scaler=scaler, value=value,
            log_index=log_index,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedValue:
    """A register with the order in which values were made and the contract they are for; 320 bytes."""

    server_id: bytes
    time: int
    """Unix seconds of the local wall clock."""
    status: int
    seconds_index: int
    pagination: int
    """Number of the signed value: the meter counts every one it makes."""
    obis: bytes
    unit: int
    scaler: int
    value: int
    log_index: bytes
    contract_id: bytes
    """At most 128 bytes; zeros behind it do not count."""
    contract_time: int
    """When the contract ID was given to the meter. [Unix s, local wall clock]"""
    compensation_base: int = 0
    """Uncompensated register, where the meter subtracts the losses of a cable."""
    compensated: int = 0
    line_resistance: int = 0
    stop_watch: int = 0
    price: int = 0

    @property
    def block(self) -> bytes:
        """The bytes the signature covers."""
        return _EXTENDED.pack(
            self.server_id, self.time, self.status, self.seconds_index, self.pagination, self.obis, self.unit,
            self.scaler, self.value, self.log_index, self.contract_id, self.contract_time, self.compensation_base,
            self.compensated, self.line_resistance, self.stop_watch, self.price.to_bytes(2, "big"),
        )  # fmt: skip

    @classmethod
    def from_block(cls, block: bytes) -> Self:
        """Read a hashed block back. Raises DecodeError where it is none."""
        (
            server_id, time, status, seconds_index, pagination, obis, unit, scaler, value, log_index, contract_id,
            contract_time, compensation_base, compensated, line_resistance, stop_watch, price,
        ) = _unpack(_EXTENDED, block, "extended EDL40 block")  # fmt: skip
        return cls(
            server_id=server_id, time=time, status=status, seconds_index=seconds_index, pagination=pagination,
            obis=obis, unit=unit, scaler=scaler, value=value, log_index=log_index,
            contract_id=contract_id.rstrip(b"\0"), contract_time=contract_time, compensation_base=compensation_base,
            compensated=compensated, line_resistance=line_resistance, stop_watch=stop_watch,
            price=int.from_bytes(price, "big"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class IsaValue:
    """A register with the reading at the start of the charging process; 320 bytes, ISA's order.

    `value_signature` is signed along with the rest; how it is made itself is not known.
    """

    server_id: bytes
    time: int
    """Unix seconds as sent, no offsets added."""
    status: int
    obis: bytes
    unit: int
    scaler: int
    value: int
    log_index: bytes
    value_signature: bytes
    contract_id: bytes
    start_time: int
    esth: bytes
    """20 bytes of the maker's."""
    start_status: int
    start_obis: bytes
    start_unit: int
    start_scaler: int
    start_value: int
    list_name: bytes
    pagination: int

    @property
    def stage(self) -> str:
        """`start`, `update` or `stop` of the charging process."""
        return ISA_STAGES[self.list_name]

    @property
    def block(self) -> bytes:
        """The bytes the signature covers."""
        return _ISA.pack(
            self.server_id, self.time, self.status, self.obis, self.unit, self.scaler, self.value, self.log_index,
            self.value_signature, self.contract_id, self.start_time, self.esth, self.start_status, self.start_obis,
            self.start_unit, self.start_scaler, self.start_value, self.list_name, self.pagination,
        )  # fmt: skip


EdlValue = BasicValue | ExtendedValue | IsaValue


@dataclass(frozen=True, slots=True)
class SignedValue:
    """A value and its signature, r || s."""

    value: EdlValue
    signature: bytes

    @property
    def layout(self) -> str:
        """Name of the block's layout, for people."""
        return LAYOUTS[type(self.value)]


LAYOUTS: Final[dict[type, str]] = {
    BasicValue: "EDL40, 48 bytes",
    ExtendedValue: "EDL40 extended, 320 bytes",
    IsaValue: "ISA-EDL-40P, 320 bytes",
}


def read_list(body: GetListResponse) -> list[SignedValue]:
    """The signed values of a list: the list as a whole, or each register that carries a signature.

    Empty when nothing is signed. Raises DecodeError naming what a signed list lacks.
    """
    entries = {entry.obj_name: entry for entry in body.val_list}
    if body.list_signature and (body.list_name in ISA_STAGES or ISA_PAGINATION in entries):
        return [_read_isa(body, entries)]
    if body.list_signature:
        return [_read_extended(body, entries)]
    return list(_read_basic(body))


def split_signature(signature: bytes) -> tuple[bytes, bytes]:
    """r || s and the two bytes of the log index behind it.

    Meters that send no log index have it hashed from the last two bytes all the same.
    """
    return (signature[:-2] if len(signature) in (50, 66) else signature), signature[-2:]


def edl_status(word: int) -> int:
    """The status byte that is hashed where the meter sends the 32-bit status word of the FNN."""
    return sum((word >> fnn & 1) << edl for fnn, edl in _FNN_TO_EDL)


def wall_clock(time: Time, path: str = "val_time") -> int:
    """The four bytes of a time that are hashed. Raises DecodeError for one they cannot hold."""
    match time:
        case LocalTimestamp():
            seconds = time.timestamp + 60 * (time.local_offset + time.season_time_offset)
            if not 0 <= seconds < 1 << 32:
                raise _wrong(path, "a time in the four bytes that are hashed", str(seconds))
            return seconds
        case SecIndex(value=seconds) | Timestamp(value=seconds) | BareSecIndex(value=seconds):
            return int(seconds)


def entry_name(code: bytes) -> str:
    """What an entry of a signed list is called, for people; its code where it has no name."""
    if code in _NAMES:
        return f"{_NAMES[code]} ({code.hex(' ').upper()})"
    return obis_text(code) if code[:1] < b"\x80" else code.hex(" ").upper()


# --- reading lists -------------------------------------------------------------------------


def _read_basic(body: GetListResponse) -> Iterator[SignedValue]:
    for entry in body.val_list:
        if entry.value_signature:
            signature, log_index = split_signature(entry.value_signature)
            reading = _register(entry)
            yield SignedValue(
                BasicValue(
                    server_id=_server_id(body), time=reading.time, status=reading.status & 0xFF, obis=reading.obis,
                    unit=reading.unit, scaler=reading.scaler, value=reading.value, log_index=_log_index(log_index),
                ),
                signature,
            )  # fmt: skip


def _read_extended(body: GetListResponse, entries: dict[bytes, ListEntry]) -> SignedValue:
    signature, log_index = split_signature(body.list_signature or b"")
    reading = _register(_entry(entries, SIGNED_IMPORT if SIGNED_IMPORT in entries else TOTAL_IMPORT))
    contract = _entry(entries, CONTRACT_ID)
    counts_seconds = _entry(entries, SECONDS_INDEX).value
    if isinstance(counts_seconds, TimeValue):
        seconds_index = wall_clock(counts_seconds.value, entry_name(SECONDS_INDEX))
    else:
        seconds_index = _number(_entry(entries, SECONDS_INDEX), 32)
    return SignedValue(
        ExtendedValue(
            server_id=_server_id(body), time=reading.time,
            status=edl_status(reading.status) if VERSION in entries else reading.status & 0xFF,
            seconds_index=seconds_index, pagination=_number(_entry(entries, PAGINATION), 32), obis=reading.obis,
            unit=reading.unit, scaler=reading.scaler, value=reading.value, log_index=_log_index(log_index),
            contract_id=_octets(contract, 128), contract_time=_time(contract),
            compensation_base=_optional(entries, COMPENSATION_BASE, 64),
            compensated=_optional(entries, COMPENSATED, 64),
            line_resistance=_optional(entries, LINE_RESISTANCE, 16),
            stop_watch=_optional(entries, STOP_WATCH, 32),
            price=_optional(entries, PRICE, 16),
        ),
        signature,
    )  # fmt: skip


def _read_isa(body: GetListResponse, entries: dict[bytes, ListEntry]) -> SignedValue:
    signature, log_index = split_signature(body.list_signature or b"")
    signed_entry = _entry(entries, TOTAL_IMPORT)
    reading, start = _register(signed_entry), _register(_entry(entries, ISA_START))
    if body.list_name not in ISA_STAGES:
        raise _wrong("list_name", "start, update or stop of a charging process", _hex(body.list_name))
    value_signature = signed_entry.value_signature or b""
    if len(value_signature) != 66:
        raise _wrong(f"{entry_name(TOTAL_IMPORT)}.value_signature", "66 bytes", f"{len(value_signature)}")
    esth = _octets(_entry(entries, ISA_ESTH), 20)
    return SignedValue(
        IsaValue(
            server_id=_server_id(body), time=reading.time, status=reading.status & 0xFF, obis=reading.obis,
            unit=reading.unit, scaler=reading.scaler, value=reading.value, log_index=_log_index(log_index),
            value_signature=value_signature, contract_id=_octets(_entry(entries, CONTRACT_ID), 128),
            start_time=start.time, esth=esth, start_status=start.status & 0xFF, start_obis=start.obis,
            start_unit=start.unit, start_scaler=start.scaler, start_value=start.value, list_name=body.list_name,
            pagination=_number(_entry(entries, ISA_PAGINATION), 32),
        ),
        signature,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Register:
    obis: bytes
    time: int
    status: int
    unit: int
    scaler: int
    value: int


def _register(entry: ListEntry) -> _Register:
    name = entry_name(entry.obj_name)
    if len(entry.obj_name) != 6:
        raise _wrong(name, "an OBIS code of 6 bytes", f"{len(entry.obj_name)}")
    if entry.status is None:
        raise _wrong(f"{name}.status", "a status word", "nothing")
    if entry.unit != WATT_HOUR:
        raise _wrong(f"{name}.unit", f"{WATT_HOUR} (Wh)", str(entry.unit))
    if entry.scaler is None:
        raise _wrong(f"{name}.scaler", "a scaler", "nothing")
    value = _number(entry, 64)
    return _Register(entry.obj_name, _time(entry), int(entry.status), int(entry.unit), int(entry.scaler), value)


def _entry(entries: dict[bytes, ListEntry], name: bytes) -> ListEntry:
    if name not in entries:
        raise _wrong(entry_name(name), "an entry in the signed list", "none")
    return entries[name]


def _time(entry: ListEntry) -> int:
    path = f"{entry_name(entry.obj_name)}.val_time"
    if entry.val_time is None:
        raise _wrong(path, "a time", "nothing")
    return wall_clock(entry.val_time, path)


def _number(entry: ListEntry, bits: int) -> int:
    """An integer that fits: 64 bits are signed, fewer are not, as they stand in the block."""
    lowest, end = (-(1 << 63), 1 << 63) if bits == 64 else (0, 1 << bits)
    value = entry.value
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value < end:
        raise _wrong(f"{entry_name(entry.obj_name)}.value", f"an integer of {bits} bits", repr(value)[:60])
    return int(value)


def _optional(entries: dict[bytes, ListEntry], name: bytes, bits: int) -> int:
    return _number(entries[name], bits) if name in entries else 0


def _octets(entry: ListEntry, longest: int) -> bytes:
    if not isinstance(entry.value, bytes) or len(entry.value) > longest:
        raise _wrong(f"{entry_name(entry.obj_name)}.value", f"at most {longest} octets", repr(entry.value)[:60])
    return entry.value


def _server_id(body: GetListResponse) -> bytes:
    if len(body.server_id) != 10:
        raise _wrong("server_id", "10 bytes", f"{len(body.server_id)}")
    return body.server_id


def _log_index(octets: bytes) -> bytes:
    if len(octets) != 2:
        raise _wrong("list_signature", "a signature with the log index behind it", f"{len(octets)} bytes")
    return octets


def _unpack(layout: struct.Struct, block: bytes, what: str) -> tuple[Any, ...]:
    """The fields of a block, which must be nothing but them. Raises DecodeError."""
    if len(block) != layout.size:
        raise _wrong(what, f"{layout.size} bytes", f"{len(block)}")
    fields = layout.unpack(block)
    if layout.pack(*fields) != block:
        raise _wrong(what, "zeros behind the fields", "something else")
    return fields


def _hex(octets: bytes | None) -> str:
    return octets.hex() if octets else "nothing"


def _wrong(path: str, expected: str, found: str) -> DecodeError:
    return DecodeError(offset=0, path=path, expected=expected, found=found)
