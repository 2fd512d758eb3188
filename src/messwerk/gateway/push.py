"""Readings as SML pushes to the central station: the gateway opens, each meter has its list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .. import sml
from ..identity import ServerId
from ..lmn.objects import EnergyValue
from ..obis import ObisCode
from ..units import WATT

NO_CLIENT: Final = b"\xff" * 6
LIST_NAME: Final = ObisCode.parse("1-0:98.10.255*255")
POWER: Final = ObisCode.parse("1-0:16.7.0*255")


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What one meter said at one moment."""

    server_id: ServerId
    seconds_index: int
    energies: tuple[EnergyValue, ...]
    power_w: int | None
    secured: bool
    """Read over TLS."""
    verified: bool | None
    """Signatures fit the key of the plate; None: there is no key, or nothing is signed."""


def push_file(gateway: ServerId, counter: int, readings: Sequence[MeterReading]) -> bytes:
    """A framed file; the station acknowledges it by its request file ID, the counter in four bytes."""
    opening = sml.PublicOpenResponse(client_id=NO_CLIENT, req_file_id=request_file_id(counter), server_id=gateway)
    bodies: list[sml.Body] = [opening, *(_list(reading) for reading in readings), sml.PublicCloseResponse()]
    messages = [
        sml.Message(transaction_id=request_file_id(counter) + place.to_bytes(2, "big"), body=body)
        for place, body in enumerate(bodies)
    ]
    return sml.frame(sml.encode(messages))


def request_file_id(counter: int) -> bytes:
    return (counter & 0xFFFF_FFFF).to_bytes(4, "big")


def _list(reading: MeterReading) -> sml.GetListResponse:
    entries = [
        sml.ListEntry(
            obj_name=value.name.code,
            status=sml.Unsigned32(value.status) if place == 0 else None,
            val_time=sml.SecIndex(value.seconds_index),
            unit=value.unit,
            scaler=value.scaler,
            value=sml.Unsigned64(value.raw),
            value_signature=value.signature or None,
        )
        for place, value in enumerate(reading.energies)
    ]
    if reading.power_w is not None:
        entries.append(sml.ListEntry(obj_name=POWER, unit=WATT, scaler=0, value=sml.Integer64(reading.power_w)))
    return sml.GetListResponse(
        client_id=NO_CLIENT, server_id=reading.server_id, list_name=LIST_NAME,
        act_sensor_time=sml.SecIndex(reading.seconds_index), val_list=tuple(entries),
    )  # fmt: skip


def acknowledged(file: sml.SmlFile, counter: int) -> bool:
    """Whether the station's file says that this push is stored."""
    return any(
        isinstance(message.body, sml.AttentionResponse)
        and message.body.attention_no == sml.Attention.ACKNOWLEDGED.number
        and message.body.attention_msg == request_file_id(counter)
        for message in file.messages
    )
