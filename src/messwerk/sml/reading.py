"""What a telegram says: exact values with names, units, direction and status in words.

The messages stay as they came; this module reads their meaning. Meters that cut the sign off a
power (quirk Q1), send only its magnitude (Q6) or fill optional fields with zeros (Q8) are put
right here, by their status word, and every such correction is reported as a Deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Union

from ..errors import InvalidIdentifier
from ..identity import ServerId
from ..obis import ObisCode, obis_text
from ..seconds_index import SecondsIndex
from ..units import WATT, WATT_HOUR, unit_symbol
from .binary import SmlFile
from .leniency import Deviation, Leniency
from .messages import (
    BareSecIndex,
    Body,
    GetListResponse,
    GetProcParameterResponse,
    GetProfileListResponse,
    GetProfilePackResponse,
    ListEntry,
    ListEntryParameter,
    LocalTimestamp,
    PeriodEntry,
    PeriodParameter,
    PublicOpenResponse,
    SecIndex,
    Time,
    TimestampedValue,
    TimeValue,
    Tree,
    TupelEntry,
    TupelParameter,
    ValueParameter,
)
from .status import EdlStatus, FnnStatus, alarms, exports, status_flags
from .types import Integer, Unsigned

# --- one value -----------------------------------------------------------------------------

RawValue = Union[int, bytes, bool, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One named value: `raw` x 10**`scaler` in `unit`. Exact; never a float.

    `raw` is a number, octets, a truth value, or None where the meter left it out. It differs
    from the wire only where a Deviation of the telegram says so (quirk Q1).
    """

    obis: bytes
    """Object name as sent, six bytes for an OBIS code."""
    raw: RawValue
    scaler: int | None = None
    """Decimal exponent; None (not sent) counts as 0."""
    unit: int | None = None
    """DLMS unit code; None for none."""
    status: int | None = None
    time: Time | None = None
    """`valTime`; None also where a meter sent a dummy zero (quirk Q8)."""

    @property
    def code(self) -> str:
        """`1-0:1.8.0*255`, or hex where the name is no OBIS code."""
        return obis_text(self.obis)

    @property
    def name(self) -> str | None:
        """What it measures, in English; None for codes we do not know."""
        return ObisCode(self.obis).name if len(self.obis) == 6 else None

    @property
    def symbol(self) -> str | None:
        """The unit's symbol; `unit 58` for codes without one, None for no unit."""
        if not self.unit:
            return None
        return unit_symbol(self.unit) or f"unit {self.unit}"

    @property
    def number(self) -> Decimal | None:
        """The exact value; None when it is not a number."""
        text = self.text if _is_number(self.raw) else None
        return None if text is None else Decimal(text)

    @property
    def text(self) -> str | None:
        """The value as people and JSON write it; None when it was left out.

        Numbers in plain digits with as many decimals as the scaler says (`54.30`, never 5.43E1),
        octets as text where they are printable ASCII and as hex where not, `true` and `false`.
        """
        match self.raw:
            case None:
                return None
            case bool():
                return "true" if self.raw else "false"
            case int():
                return decimal_text(self.raw, self.scaler or 0)
            case bytes():
                return octets_text(self.raw)


def _is_number(raw: RawValue) -> bool:
    return isinstance(raw, int) and not isinstance(raw, bool)


def decimal_text(raw: int, scaler: int) -> str:
    """`raw` x 10**`scaler` in plain decimal digits, exact, all decimals kept.

    >>> decimal_text(-29912, -2), decimal_text(5, -3), decimal_text(2324, 3)
    ('-299.12', '0.005', '2324000')
    """
    if scaler >= 0:
        return str(raw * 10**scaler)
    digits = str(abs(raw)).rjust(1 - scaler, "0")
    return f"{'-' if raw < 0 else ''}{digits[:scaler]}.{digits[scaler:]}"


def octets_text(octets: bytes) -> str:
    """Octets as text where all of them are printable ASCII, as hex digits otherwise."""
    if octets and all(0x20 <= octet < 0x7F for octet in octets):
        return octets.decode("ascii")
    return octets.hex()


# --- one telegram --------------------------------------------------------------------------

_MANUFACTURER: Final = (ObisCode.parse("1-0:96.50.1*1"), ObisCode(bytes.fromhex("8181c78203ff")))
_SIGNED_POWER: Final = ObisCode.parse("16.7.0")
_MAGNITUDE: Final = ObisCode.parse("15.7.0")
_IMPORT_POWER: Final = (ObisCode.parse("1.7.0"), ObisCode.parse("1.7.1"))
_EXPORT_POWER: Final = ObisCode.parse("2.7.0")
_DIRECTIONS: Final = {
    16: FnnStatus.SUM_EXPORTS,
    36: FnnStatus.L1_EXPORTS,
    56: FnnStatus.L2_EXPORTS,
    76: FnnStatus.L3_EXPORTS,
}
"""Value group C of the signed powers and the flag that tells each one's direction."""
_KILO: Final = 3
"""Scaler of the reduced data set: energy in whole kWh."""
REDUCED_HINT: Final = (
    "reduced data set: whole kWh and no power. For the extended set enter the meter's PIN "
    "and switch InF on at its display"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramReading:
    """What one list, tuple or profile row of a telegram says about one device."""

    server_id: ServerId | None
    seconds_index: SecondsIndex | None
    """The device's seconds index; None where it sent none (it is not a date)."""
    timestamp: int | None
    """UTC seconds since 1970, from devices that know the date; None from all others."""
    entries: tuple[Reading, ...]
    body: str = ""
    """Message body it came in, e.g. `GetListResponse`; empty when the file held no values."""
    deviations: tuple[Deviation, ...] = ()
    """What was tolerated or put right to read it."""

    def get(self, code: str | bytes) -> Reading | None:
        """The entry of an OBIS code, the first if there are several; None if absent.

        A text without `*F` matches any F, because meters disagree on it (quirk Q17):
        `get("1.8.0")` finds 1-0:1.8.0*255 as well as 1-0:1.8.0*1. Raises InvalidIdentifier.
        """
        exact = isinstance(code, bytes) or "*" in code
        wanted = code if isinstance(code, bytes) else ObisCode.parse(code)
        for entry in self.entries:
            if entry.obis == wanted or (not exact and entry.obis[:5] == wanted[:5] and len(entry.obis) == 6):
                return entry
        return None

    @property
    def manufacturer(self) -> str | None:
        """The maker as the meter names it, else the FLAG letters of its server ID."""
        for code in _MANUFACTURER:
            if (entry := self.get(bytes(code))) is not None and isinstance(entry.raw, bytes):
                return octets_text(entry.raw)
        device_id = self.server_id.device_id if self.server_id else None
        return device_id.maker if device_id else None

    @property
    def status_word(self) -> int | None:
        """The meter's status word: the first sent with a register; None if there is none."""
        return next((entry.status for entry in self.entries if entry.status is not None), None)

    @property
    def status(self) -> FnnStatus | EdlStatus | None:
        """The status word as named flags; None where it is absent or of an unknown family.

        Only lists carry the words of base meters; the 64 bits of a SyM² tuple mean other things.
        """
        if self.status_word is None or self.body != GetListResponse.__name__:
            return None
        return status_flags(self.status_word)

    @property
    def power_w(self) -> Decimal | None:
        """Active power now. [W, + = import]

        From the signed sum 16.7.0, else the magnitude 15.7.0 with the direction of the status
        word (quirk Q6), else 1.7.0 less 2.7.0. None where none of them is sent, or a magnitude
        comes without a direction we can read.
        """
        if (signed := self._watts(_SIGNED_POWER)) is not None:
            return signed
        if (magnitude := self._watts(_MAGNITUDE)) is not None:
            outwards = exports(self.status)
            return None if outwards is None and magnitude else -magnitude if outwards else magnitude
        imported = next((power for code in _IMPORT_POWER if (power := self._watts(code)) is not None), None)
        exported = self._watts(_EXPORT_POWER)
        if imported is None and exported is None:
            return None
        return (imported or Decimal(0)) - (exported or Decimal(0))

    def _watts(self, code: ObisCode) -> Decimal | None:
        entry = self.get(bytes(code))
        return entry.number if entry is not None and entry.unit == WATT else None

    @property
    def reduced(self) -> bool:
        """Whether the meter hides decimals and power until its PIN is entered (or InF set)."""
        energies = [entry for entry in self.entries if entry.unit == WATT_HOUR]
        powers = any(entry.unit == WATT for entry in self.entries)
        return bool(energies) and not powers and all((entry.scaler or 0) >= _KILO for entry in energies)

    @property
    def hints(self) -> tuple[str, ...]:
        """What a person at the meter should know, in sentences; empty when all is well."""
        hints = [REDUCED_HINT] if self.reduced else []
        hints += alarms(self.status)
        if self.power_w is None and self.get(bytes(_MAGNITUDE)) is not None:
            hints.append("the power has no direction: this meter's status word is of an unknown family")
        return tuple(hints)


# --- from messages to readings -------------------------------------------------------------


def readings(file: SmlFile, *, strict: bool = False) -> tuple[TelegramReading, ...]:
    """What the messages of a file say, one TelegramReading for each list, tuple or profile row.

    A push telegram gives exactly one. A file without values (requests, attentions) gives one
    without entries, so that nothing received goes unseen. `strict` takes values as they stand:
    no sign is put right and no dummy left out. The file's own deviations are on the first reading.
    """
    opened = next((message.body for message in file.messages if isinstance(message.body, PublicOpenResponse)), None)
    found = [reading for message in file.messages for reading in _of_body(message.body, opened)]
    if not found:
        found = [_telegram("", opened.server_id if opened else b"", opened.ref_time if opened else None, ())]
    if not strict:
        found = [_put_right(telegram) for telegram in found]
    found = [
        replace(telegram, entries=tuple(_with_plain_raw(entry) for entry in telegram.entries)) for telegram in found
    ]
    found[0] = replace(found[0], deviations=file.deviations + found[0].deviations)
    return tuple(found)


def _of_body(body: Body, opened: PublicOpenResponse | None) -> Iterator[TelegramReading]:
    name = type(body).__name__
    match body:
        case GetListResponse():
            entries = tuple(_of_list_entry(entry) for entry in body.val_list)
            times = [body.act_sensor_time, opened.ref_time if opened else None, *(entry.time for entry in entries)]
            yield _telegram(name, body.server_id, next((time for time in times if _is_set(time)), None), entries)
        case GetProcParameterResponse():
            yield from _of_tree(body)
        case GetProfileListResponse():
            yield _telegram(
                name, body.server_id, body.val_time, tuple(_of_period(entry, body.status) for entry in body.period_list)
            )
        case GetProfilePackResponse():
            for row in body.period_list:
                columns = zip(body.header_list, row.value_list, strict=False)
                entries = tuple(
                    Reading(
                        obis=head.obj_name, raw=_raw(cell.value), scaler=head.scaler, unit=head.unit, status=row.status
                    )
                    for head, cell in columns
                )
                yield _telegram(name, body.server_id, row.val_time, entries)


def _telegram(body: str, server_id: bytes, time: Time | None, entries: tuple[Reading, ...]) -> TelegramReading:
    try:
        identity = ServerId(server_id)
    except InvalidIdentifier:
        identity = None
    index, timestamp = _index_and_utc(time)
    return TelegramReading(server_id=identity, seconds_index=index, timestamp=timestamp, entries=entries, body=body)


def _with_plain_raw(entry: Reading) -> Reading:
    """The width of an integer matters to quirks only; what readers get is a plain int."""
    return replace(entry, raw=int(entry.raw)) if isinstance(entry.raw, Integer | Unsigned) else entry


def _index_and_utc(time: Time | None) -> tuple[SecondsIndex | None, int | None]:
    """A seconds index is never taken for a date, nor a date for an index (quirk Q20)."""
    match time:
        case SecIndex(value) | BareSecIndex(value):
            return SecondsIndex(int(value)), None
        case LocalTimestamp():
            return None, int(time.timestamp)
        case None:
            return None, None
    return None, int(time.value)


def _is_set(time: Time | None) -> bool:
    return time is not None and any(_index_and_utc(time))


def _of_list_entry(entry: ListEntry) -> Reading:
    return Reading(
        obis=entry.obj_name, raw=_raw(entry.value), scaler=_plain(entry.scaler), unit=_plain(entry.unit),
        status=_plain(entry.status), time=entry.val_time,
    )  # fmt: skip


def _of_period(entry: PeriodEntry, status: int | None) -> Reading:
    return Reading(
        obis=entry.obj_name, raw=_raw(entry.value), scaler=_plain(entry.scaler), unit=_plain(entry.unit),
        status=_plain(status),
    )  # fmt: skip


def _of_tree(body: GetProcParameterResponse) -> Iterator[TelegramReading]:
    """Tuples give a reading each; the other leaves of the tree share one."""
    name = type(body).__name__
    leaves: list[Reading] = []
    pending = [body.parameter_tree]
    while pending:
        tree: Tree = pending.pop()
        pending += reversed(tree.child_list or ())
        match tree.parameter_value:
            case TupelParameter(entry):
                yield _of_tuple(name, entry)
            case PeriodParameter(entry):
                leaves.append(_of_period(entry, None))
            case ListEntryParameter(entry):
                leaves.append(_of_list_entry(entry))
            case ValueParameter(value):
                leaves.append(Reading(obis=tree.parameter_name, raw=_raw(value)))
    if leaves:
        yield _telegram(name, body.server_id, None, tuple(leaves))


def _of_tuple(body: str, entry: TupelEntry) -> TelegramReading:
    registers = [
        ("1.8.0", entry.value_pa, entry.scaler_pa, entry.unit_pa),
        ("5.8.0", entry.value_r1, entry.scaler_r1, entry.unit_r1),
        ("8.8.0", entry.value_r4, entry.scaler_r4, entry.unit_r4),
        ("2.8.0", entry.value_ma, entry.scaler_ma, entry.unit_ma),
        ("6.8.0", entry.value_r2, entry.scaler_r2, entry.unit_r2),
        ("7.8.0", entry.value_r3, entry.scaler_r3, entry.unit_r3),
    ]
    entries = tuple(
        Reading(obis=ObisCode.parse(code), raw=int(value), scaler=int(scaler), unit=int(unit), status=int(entry.status))
        for code, value, scaler, unit in registers
    )
    return _telegram(body, entry.server_id, entry.sec_index, entries)


def _plain(number: int | None) -> int | None:
    return None if number is None else int(number)


def _raw(value: Any) -> RawValue:
    """The value without its time stamp; sized integers keep their width until quirks are looked at."""
    match value:
        case TimestampedValue():
            return _raw(value.simple_value)
        case TimeValue():
            index, utc = _index_and_utc(value.value)
            return utc if index is None else index
        case bool() | bytes() | int():
            return value
    return None


# --- quirks of meaning ---------------------------------------------------------------------

_DZG: Final = "DZG"
_NARROW: Final = 3
"""Bytes of the widest power a DZG meter was seen to cut the sign off. [quirk Q1]"""


def _put_right(telegram: TelegramReading) -> TelegramReading:
    deviations: list[Deviation] = []
    status = telegram.status
    is_dzg = telegram.manufacturer == _DZG
    entries = []
    for index, entry in enumerate(telegram.entries):
        path = f"GetListResponse.val_list[{index}]"
        if is_dzg and isinstance(status, FnnStatus) and _lost_its_sign(entry, status):
            assert isinstance(entry.raw, Integer)
            unsigned = int(entry.raw) + (1 << 8 * entry.raw.width)
            detail = f"{decimal_text(entry.raw, entry.scaler or 0)} is {decimal_text(unsigned, entry.scaler or 0)}"
            deviations.append(Deviation(Leniency.DZG_SIGN, 0, f"{path}.value", detail))
            entry = replace(entry, raw=unsigned)
        if _has_dummies(entry):
            deviations.append(Deviation(Leniency.DUMMY_OPTIONALS, 0, path, entry.code))
            entry = replace(entry, unit=None, scaler=None)
        if not _is_set(entry.time):
            entry = replace(entry, time=None)
        entries.append(entry)
    magnitude = telegram.get(bytes(_MAGNITUDE))
    if magnitude is not None and telegram.get(bytes(_SIGNED_POWER)) is None and exports(status):
        detail = f"-{magnitude.text} {magnitude.symbol or ''}".rstrip()
        path = f"GetListResponse.val_list[{telegram.entries.index(magnitude)}].value"
        deviations.append(Deviation(Leniency.DIRECTION_BIT, 0, path, detail))
    return replace(telegram, entries=tuple(entries), deviations=tuple(deviations))


def _lost_its_sign(entry: Reading, status: FnnStatus) -> bool:
    """A DZG power that is negative only because its leading zero byte was cut (quirk Q1).

    The direction bit decides, not the size: newer firmware sends true small negatives too.
    """
    raw = entry.raw
    if not (isinstance(raw, Integer) and raw < 0 and raw.width <= _NARROW and entry.unit == WATT):
        return False
    direction = _DIRECTIONS.get(entry.obis[2]) if len(entry.obis) == 6 else None
    return direction is not None and entry.obis[3] == 7 and direction not in status


def _has_dummies(entry: Reading) -> bool:
    """Octets with unit 0 and scaler 0 where nothing should stand (quirk Q8)."""
    return isinstance(entry.raw, bytes) and entry.unit == 0 and entry.scaler == 0


__all__ = [
    "REDUCED_HINT", "RawValue", "Reading", "TelegramReading", "decimal_text", "octets_text", "readings",
]  # fmt: skip
