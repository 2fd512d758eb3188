"""Signed meter values of the EDL40 family as exhibits, and the rules of a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ..edl import LAYOUTS, BasicValue, EdlValue, ExtendedValue, IsaValue, SignedValue, entry_name, read_list
from ..errors import DecodeError
from ..identity import ServerId
from ..obis import ObisCode
from ..sml.messages import GetListResponse
from ..sml.status import EdlStatus
from ..units import unit_symbol
from .exhibit import Exhibit, Field, Rule, SignedBlock, Stage, Transaction
from .signed_tuples import named, scaled

_STATUS_WORDS: Final = {
    EdlStatus.ERROR: "error",
    EdlStatus.SYNCHRONOUS: "synchronous",
    EdlStatus.CLOCK_SYNCHRONISED: "clock synchronised",
    EdlStatus.RETURN_STOP: "return stop",
    EdlStatus.EXPORTS: "exports",
    EdlStatus.MAGNETIC_FIELD: "magnetic field",
}
EARLIEST_DATE: Final = 1_000_000_000
"""A time before September 2001 is shown as a count of seconds: the meter's clock was never set. [design]"""


def exhibits_of_list(body: GetListResponse, place: str) -> list[Exhibit]:
    """Exhibits of what a list signs; none where it signs nothing.

    A list that lacks what is hashed is an exhibit all the same, one that cannot be proven.
    """
    try:
        return [exhibit_of_value(signed, place) for signed in read_list(body)]
    except DecodeError as error:
        return [_without_block(body, place, f"the block it signs cannot be put together: {error}")]


def exhibit_of_value(signed: SignedValue, place: str) -> Exhibit:
    """The exhibit of one value."""
    value = signed.value
    number = "" if isinstance(value, BasicValue) else f" no. {value.pagination}"
    return Exhibit(
        title=f"meter value{number} of {ServerId(value.server_id)}", layout=signed.layout, place=place,
        server_id=value.server_id, blocks=(SignedBlock("value", value.block, signed.signature),),
        fields=_fields(value), content=value, stage=Stage(value.stage) if isinstance(value, IsaValue) else None,
    )  # fmt: skip


def _without_block(body: GetListResponse, place: str, fault: str) -> Exhibit:
    fields = [Field("server ID", named(body.server_id), signed=False)]
    for entry in body.val_list:
        text = entry.value.hex() if isinstance(entry.value, bytes) else str(entry.value)
        if isinstance(entry.value, int):
            text = f"{scaled(int(entry.value), entry.scaler or 0)} {unit_symbol(entry.unit) or ''}".rstrip()
        fields.append(Field(entry_name(entry.obj_name), text, signed=False))
    return Exhibit(
        title=f"signed list of {named(body.server_id)}", layout="unknown", place=place, server_id=body.server_id,
        blocks=(), fields=tuple(fields), faults=(fault,),
    )  # fmt: skip


def stage_in(context: str) -> Stage | None:
    """The stage that the words of a container name, such as `Transaction.Begin`."""
    words = context.lower()
    if "start" in words or "begin" in words:
        return Stage.START
    if "stop" in words or "end" in words:
        return Stage.STOP
    return Stage.UPDATE if "update" in words or "middle" in words else None


def transactions(name: str, members: Sequence[tuple[int, Exhibit]]) -> list[Transaction]:
    """The transaction that numbered values make, ordered as they say they are.

    None where there is nothing to compare: one value that carries no start reading.
    """
    order = {Stage.START: 0, Stage.UPDATE: 1, None: 1, Stage.STOP: 2}
    ordered = sorted(members, key=lambda member: order[member[1].stage])
    values = [exhibit.content for _, exhibit in ordered if isinstance(exhibit.content, EdlValue)]
    if not values:
        return []
    rules = [rule for value in values for rule in rules_within(value)]
    stages = [exhibit.stage for _, exhibit in ordered]
    if stages.count(Stage.START) > 1 or stages.count(Stage.STOP) > 1:
        found = ", ".join(stage.value if stage else "unknown" for stage in stages)
        rules.append(Rule("one start and one stop", False, found))
    for first, last in pairwise(values):
        rules += rules_between(first, last)
    energy = _energy_of(values)
    if not rules and energy is None:
        return []
    return [Transaction(name, tuple(number for number, _ in ordered), tuple(rules), energy)]


def rules_between(start: EdlValue, stop: EdlValue) -> tuple[Rule, ...]:
    """What must hold between two values of one transaction, earlier and later."""
    if type(start) is not type(stop):
        return (Rule("same kind", False, f"{LAYOUTS[type(start)]}, then {LAYOUTS[type(stop)]}"),)
    rules = [
        _equal("same meter", start.server_id.hex(" ").upper(), stop.server_id.hex(" ").upper()),
        _equal("same register", f"{ObisCode(start.obis)}", f"{ObisCode(stop.obis)}"),
        _equal("same log index", start.log_index.hex(" ").upper(), stop.log_index.hex(" ").upper()),
        Rule(
            "register does not run backward", _energy(stop) >= _energy(start),
            f"{_value_text(start)}, then {_value_text(stop)}",
        ),
        Rule(
            "time does not run backward",
            stop.time >= start.time,
            f"{_moment(start.time)}, then {_moment(stop.time)}",
        ),
    ]  # fmt: skip
    if isinstance(start, BasicValue) or isinstance(stop, BasicValue):
        return tuple(rules)
    rules += [
        _equal("same contract ID", _contract(start.contract_id), _contract(stop.contract_id)),
        Rule("pagination increases", stop.pagination > start.pagination, f"{start.pagination}, then {stop.pagination}"),
    ]
    if isinstance(start, IsaValue) and isinstance(stop, IsaValue):
        rules.append(_equal("same start reading", _start_text(start), _start_text(stop)))
    return tuple(rules)


def rules_within(value: EdlValue) -> tuple[Rule, ...]:
    """What must hold in one value that carries its start reading too (ISA)."""
    if not isinstance(value, IsaValue):
        return ()
    return (
        Rule(
            "register not below its start reading",
            _energy(value) >= Decimal(value.start_value).scaleb(value.start_scaler),
            f"{_start_text(value)}, then {_value_text(value)}",
        ),
        Rule(
            "time not before its start",
            value.time >= value.start_time,
            f"{_moment(value.start_time)}, then {_moment(value.time)}",
        ),
    )


def _energy_of(values: Sequence[EdlValue]) -> str | None:
    """What the transaction measured; None where one value does not tell."""
    first, last = values[0], values[-1]
    if len(values) > 1:
        return f"{_energy(last) - _energy(first):f} {unit_symbol(last.unit)}"
    if isinstance(last, IsaValue) and last.stage == Stage.STOP.value:
        return f"{_energy(last) - Decimal(last.start_value).scaleb(last.start_scaler):f} {unit_symbol(last.unit)}"
    return None


# --- words ---------------------------------------------------------------------------------


def _fields(value: EdlValue) -> tuple[Field, ...]:
    fields = [
        Field("server ID", named(value.server_id)),
        Field("time", _moment(value.time)),
        Field("status", _status(value.status)),
        Field(_register_name(value.obis), _value_text(value)),
        Field("log index", value.log_index.hex(" ").upper()),
    ]
    match value:
        case ExtendedValue():
            fields += [
                Field("seconds index", str(value.seconds_index)),
                Field("pagination", str(value.pagination)),
                Field("contract ID", _contract(value.contract_id)),
                Field("contract ID given", _moment(value.contract_time)),
            ]
            fields += [
                Field(name, str(number))
                for name, number in (
                    ("compensation base, raw", value.compensation_base), ("compensated value, raw", value.compensated),
                    ("line resistance, raw", value.line_resistance), ("stop watch, raw", value.stop_watch),
                    ("price, raw", value.price),
                )
                if number
            ]  # fmt: skip
        case IsaValue():
            fields += [
                Field("stage", value.stage),
                Field("pagination", str(value.pagination)),
                Field("contract ID", _contract(value.contract_id)),
                Field(f"{_register_name(value.start_obis)}, at the start", _start_text(value)),
                Field("time at the start", _moment(value.start_time)),
                Field("status at the start", _status(value.start_status)),
                Field("ESTH", value.esth.hex()),
                Field("inner signature of the value", value.value_signature.hex()),
            ]
    return tuple(fields)


def _register_name(obis: bytes) -> str:
    code = ObisCode(obis)
    return f"{code} {code.name or ''}".rstrip()


def _energy(value: EdlValue) -> Decimal:
    return Decimal(value.value).scaleb(value.scaler)


def _value_text(value: EdlValue) -> str:
    return f"{scaled(value.value, value.scaler)} {unit_symbol(value.unit)}"


def _start_text(value: IsaValue) -> str:
    return f"{scaled(value.start_value, value.start_scaler)} {unit_symbol(value.start_unit)}"


def _status(octet: int) -> str:
    words = ", ".join(text for flag, text in _STATUS_WORDS.items() if octet & flag)
    return f"{octet:02X}{f' ({words})' if words else ''}"


def _contract(octets: bytes) -> str:
    """A contract ID as text where it is printable, and always as hex."""
    octets = octets.rstrip(b"\0")
    printable = bool(octets) and all(0x20 <= octet < 0x7F for octet in octets)
    return f"{octets.hex()} ({octets.decode('ascii')})" if printable else octets.hex() or "none"


def _moment(seconds: int) -> str:
    """A hashed time: the wall clock at the meter, without a zone because none is hashed."""
    if seconds < EARLIEST_DATE:
        return f"{seconds} s, clock not set"
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S} at the meter"


def _equal(name: str, first: str, last: str) -> Rule:
    return Rule(name, first == last, first if first == last else f"{first}, then {last}")
