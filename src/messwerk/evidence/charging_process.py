"""Charging processes as MENNEKES stations write them: start and stop of an EDL40 meter in XML.

The meter's list is not in the file, only its fields; the hashed block is put together from them.
The register is always 1.17.0 in Wh, the log index the event counter, big endian.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from ..edl import SIGNED_IMPORT, ExtendedValue, SignedValue, split_signature
from ..errors import InvalidIdentifier, SourceError
from ..units import WATT_HOUR
from .elements import child_of, child_text, local_name
from .exhibit import Contents, Exhibit, Field, OfferedKey, Stage
from .keys import decode_text, offered_key
from .meter_values import exhibit_of_value, transactions

KIND: Final = "charging processes in XML (MENNEKES)"
MAX_PROCESSES: Final = 10_000
"""Charging processes in one file."""
_BESIDE: Final = ("MeteringPoint", "ZipCode", "Street", "Town")


def read_charging_processes(root: Element) -> Contents | None:
    """Every charging process in an XML tree, a bill or a single one; None where there is none."""
    processes = [element for element in root.iter() if local_name(element) == "ChargingProcess"]
    if not processes:
        return None
    if len(processes) > MAX_PROCESSES:
        raise SourceError(f"the file holds {len(processes)} charging processes, more than {MAX_PROCESSES}")
    contents = Contents(KIND)
    for number, process in enumerate(processes, 1):
        name = f"charging process {number}"
        members: list[tuple[int, Exhibit]] = []
        for element_name, stage in (("MeasurementStart", Stage.START), ("MeasurementEnd", Stage.STOP)):
            place = f"{name}, {element_name}"
            try:
                exhibit = _read_measurement(process, element_name, stage, place)
            except InvalidIdentifier as error:
                contents.damaged.append(f"{place}: {error}")
                continue
            members.append((len(contents.exhibits), exhibit))
            contents.exhibits.append(exhibit)
        contents.transactions += transactions(name, members)
    return contents


def _read_measurement(process: Element, name: str, stage: Stage, place: str) -> Exhibit:
    """Start or stop of a process. Raises InvalidIdentifier naming the field that is wrong."""
    measurement = child_of(process, name)
    if measurement is None:
        raise InvalidIdentifier(f"no {name}")
    signature, log_index = split_signature(_octets(measurement, "Signature", 66))
    if len(signature) in (48, 64) and len(_octets(measurement, "Signature", 66)) == len(signature):
        log_index = _integer(measurement, "EventCounter", 0, 0xFFFF).to_bytes(2, "big")
    value = ExtendedValue(
        server_id=_octets(process, "ServerId", 10, shortest=10),
        time=_wall_clock(measurement, "Timestamp"),
        status=_integer(measurement, "MeterStatus", 0, 0xFFFF_FFFF) & 0xFF,
        seconds_index=_integer(measurement, "SecondIndex", 0, 0xFFFF_FFFF),
        pagination=_integer(measurement, "Pagination", 0, 0xFFFF_FFFF),
        obis=SIGNED_IMPORT,
        unit=WATT_HOUR,
        scaler=_integer(measurement, "Scaler", -128, 127),
        value=_integer(measurement, "Value", -(1 << 63), (1 << 63) - 1),
        log_index=log_index,
        contract_id=_octets(process, "CustomerIdent", 128),
        contract_time=_wall_clock(process, "TimestampCustomerIdent"),
    )
    exhibit = exhibit_of_value(SignedValue(value, signature), place)
    beside = tuple(
        Field(local_name(element), (element.text or "").strip(), signed=False)
        for element in process.iter()
        if local_name(element) in _BESIDE and (element.text or "").strip()
    )
    zoned = Field("time with zone", child_text(measurement, "Timestamp") or "", signed=False)
    return replace(
        exhibit, fields=(*exhibit.fields, zoned, *beside), stage=stage, offered=_offered(process, place)
    )  # fmt: skip


def _offered(process: Element, place: str) -> tuple[OfferedKey, ...]:
    text = child_text(process, "PublicKey")
    return (offered_key(text, f"it stands in the file ({place})"),) if text else ()


def _text(element: Element, name: str) -> str:
    text = child_text(element, name)
    if not text:
        raise InvalidIdentifier(f"no {name}")
    return text


def _octets(element: Element, name: str, longest: int, shortest: int = 1) -> bytes:
    try:
        octets = decode_text(_text(element, name), "hex")
    except InvalidIdentifier as error:
        raise InvalidIdentifier(f"{name}: {error}") from error
    if not shortest <= len(octets) <= longest:
        raise InvalidIdentifier(f"{name} has {len(octets)} bytes, not {shortest} to {longest}")
    return octets


def _integer(element: Element, name: str, lowest: int, highest: int) -> int:
    text = _text(element, name)
    try:
        number = int(text[:24]) if len(text) <= 24 else highest + 1
    except ValueError as error:
        raise InvalidIdentifier(f"{name} is no number: {text[:40]!r}") from error
    if not lowest <= number <= highest:
        raise InvalidIdentifier(f"{name} is not within {lowest} and {highest}: {text[:40]}")
    return number


def _wall_clock(element: Element, name: str) -> int:
    """Unix seconds of the local wall clock: the offset is written but not hashed."""
    text = _text(element, name)
    try:
        local = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise InvalidIdentifier(f"{name} is no date and time: {text[:40]!r}") from error
    seconds = int(local.timestamp())
    if not 0 <= seconds < 1 << 32:
        raise InvalidIdentifier(f"{name} is not within 1970 and 2106: {text[:40]}")
    return seconds
