"""Signed meter data of our own making, in every container that `messwerk verify` reads."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

from messwerk import edl, sml
from messwerk.edl import BasicValue, ExtendedValue, IsaValue
from messwerk.seconds_index import SecondsIndex
from messwerk.signing import Curve, PrivateKey
from messwerk.tuples import SignedTuple

KEY_P192 = PrivateKey.from_seed(Curve.P192, b"edl")
KEY_P256 = PrivateKey.from_seed(Curve.P256, b"isa")
KEY_BP256 = PrivateKey.from_seed(Curve.BP256, b"brainpool")
KEYS = {key.curve: key for key in (KEY_P192, KEY_P256, KEY_BP256)}
METER = bytes.fromhex("09014d53570000001234")
MODULE = bytes.fromhex("0500151122aabb")
DAY = 1_790_000_000
"""A wall clock's second in September 2026."""


def extended(**changes: Any) -> ExtendedValue:
    """An EDL40 value at the start of a charging process."""
    return replace(
        ExtendedValue(
            server_id=METER, time=DAY, status=0x88, seconds_index=4711, pagination=7, obis=edl.SIGNED_IMPORT, unit=30,
            scaler=-1, value=123456, log_index=b"\x01\xa6", contract_id=b"DE*8AA*123456", contract_time=DAY - 9,
        ),
        **changes,
    )  # fmt: skip


def isa(**changes: Any) -> IsaValue:
    """An ISA value at the end of a charging process."""
    return replace(
        IsaValue(
            server_id=METER, time=DAY + 600, status=0x18, obis=edl.TOTAL_IMPORT, unit=30, scaler=-1, value=123999,
            log_index=b"\x00\xa4", value_signature=bytes(range(66)), contract_id=b"contract", start_time=DAY,
            esth=bytes(range(20)), start_status=0x18, start_obis=edl.ISA_START, start_unit=30, start_scaler=-1,
            start_value=123456, list_name=bytes.fromhex("8180816202ff"), pagination=8,
        ),
        **changes,
    )  # fmt: skip


def entry(name: bytes, value: object, **more: Any) -> sml.ListEntry:
    return sml.ListEntry(obj_name=name, value=value, **more)


def extended_list(value: ExtendedValue, key: PrivateKey = KEY_P192) -> sml.GetListResponse:
    """The list an EDL40 meter answers with: local time two hours ahead of UTC."""
    signature = key.sign(value.block) + value.log_index

    def local(seconds: int) -> sml.LocalTimestamp:
        return sml.LocalTimestamp(timestamp=seconds - 7200, local_offset=60, season_time_offset=60)

    return sml.GetListResponse(
        server_id=value.server_id,
        list_name=edl.SIGNED_IMPORT,
        act_sensor_time=sml.SecIndex(value.seconds_index + 1),
        val_list=(
            entry(
                value.obis, sml.Integer64(value.value), status=sml.Unsigned32(value.status), val_time=local(value.time),
                unit=value.unit, scaler=value.scaler,
            ),
            entry(edl.SECONDS_INDEX, sml.TimeValue(sml.SecIndex(value.seconds_index))),
            entry(edl.PAGINATION, sml.Unsigned32(value.pagination)),
            entry(edl.CONTRACT_ID, value.contract_id, val_time=local(value.contract_time)),
        ),
        list_signature=signature,
    )  # fmt: skip


def isa_list(value: IsaValue, key: PrivateKey = KEY_P256) -> sml.GetListResponse:
    """The list an ISA meter answers with."""
    return sml.GetListResponse(
        server_id=value.server_id,
        list_name=value.list_name,
        val_list=(
            entry(edl.CONTRACT_ID, value.contract_id, val_time=sml.Timestamp(DAY)),
            entry(
                value.start_obis, sml.Integer64(value.start_value), status=sml.Unsigned64(1 << 42 | value.start_status),
                val_time=sml.Timestamp(value.start_time), unit=value.start_unit, scaler=value.start_scaler,
            ),
            entry(edl.ISA_PAGINATION, sml.Unsigned32(value.pagination)),
            entry(edl.ISA_ESTH, value.esth),
            entry(
                value.obis, sml.Integer64(value.value), status=sml.Unsigned64(1 << 42 | value.status),
                val_time=sml.Timestamp(value.time), unit=value.unit, scaler=value.scaler,
                value_signature=value.value_signature,
            ),
        ),
        list_signature=key.sign(value.block) + value.log_index,
    )  # fmt: skip


def basic_list(value: BasicValue, key: PrivateKey = KEY_P192) -> sml.GetListResponse:
    """A list in which one register carries its own signature."""
    return sml.GetListResponse(
        server_id=value.server_id,
        val_list=(
            entry(
                value.obis, sml.Integer64(value.value), status=sml.Unsigned32(value.status),
                val_time=sml.SecIndex(value.time), unit=value.unit, scaler=value.scaler,
                value_signature=key.sign(value.block) + value.log_index,
            ),
        ),
    )  # fmt: skip


def bare(*bodies: sml.Body, server_id: bytes = METER) -> bytes:
    """An SML file without transport frame."""
    around = (
        sml.PublicOpenResponse(req_file_id=b"\x01", server_id=server_id), *bodies, sml.PublicCloseResponse()
    )  # fmt: skip
    return sml.encode(sml.Message(transaction_id=bytes([number]), body=body) for number, body in enumerate(around))


def framed(*bodies: sml.Body, server_id: bytes = METER) -> bytes:
    return sml.frame(bare(*bodies, server_id=server_id))


def container(*values: tuple[bytes, bytes, str, str], encoding: str = "hex") -> bytes:
    """<values> of (SML, public key, transaction, context)."""
    write = {"hex": bytes.hex, "plain": lambda octets: octets.hex(" ").upper(), "base64": _base64}[encoding]
    parts = [
        f'<value transactionId="{transaction}" context="{context}"><signedData format="x" encoding="{encoding}">'
        f"{write(octets)}</signedData><publicKey>{point.hex()}</publicKey></value>"
        for octets, point, transaction, context in values
    ]
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<values>' + "\n".join(parts) + "</values>").encode()


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def charging_process(start: ExtendedValue, stop: ExtendedValue, key: PrivateKey = KEY_P192, **texts: str) -> str:
    """A MENNEKES charging process; `texts` replace what stands in elements."""

    def stamp(seconds: int) -> str:
        return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}+02:00"

    def measurement(name: str, value: ExtendedValue) -> str:
        fields = {
            "Timestamp": stamp(value.time), "Signature": key.sign(value.block).hex().upper(),
            "EventCounter": int.from_bytes(value.log_index, "big"), "MeterStatus": value.status, "Value": value.value,
            "Scaler": value.scaler, "Pagination": value.pagination, "SecondIndex": value.seconds_index,
        } | texts  # fmt: skip
        return f"<{name}>" + "".join(f"<{tag}>{text}</{tag}>" for tag, text in fields.items()) + f"</{name}>"

    head = {
        "ServerId": start.server_id.hex(), "PublicKey": key.public.point.hex(),
        "CustomerIdent": start.contract_id.hex(), "TimestampCustomerIdent": stamp(start.contract_time),
        "MeteringPoint": "DE*1",
    } | {tag: text for tag, text in texts.items() if tag in ("ServerId", "PublicKey")}  # fmt: skip
    return (
        "<ChargingProcess>" + "".join(f"<{tag}>{text}</{tag}>" for tag, text in head.items())
        + measurement("MeasurementStart", start) + measurement("MeasurementEnd", stop) + "</ChargingProcess>"
    )  # fmt: skip


# --- tuples --------------------------------------------------------------------------------

LOAD_PROFILE = bytes.fromhex("0100630100ff")
IDENTIFICATION, PUBLIC_KEY = bytes.fromhex("8181c78201ff"), bytes.fromhex("8181c78205ff")
CURRENT = bytes.fromhex("8181c78404ff")
COLUMNS = (
    ("0100010801ff", 30), ("0100050801ff", 32), ("0100080801ff", 32), ("8181c78402ff", 255),
    ("0100020801ff", 30), ("0100060801ff", 32), ("0100070801ff", 32), ("8181c78403ff", 255),
)  # fmt: skip


def signed(key: PrivateKey = KEY_P256, **changes: int) -> SignedTuple:
    """The tuple of the published vectors, with some fields changed."""
    fields = {
        "index": 123456789, "status": 0x100, "scaler": -1, "import_wh": 9876543210, "export_wh": 1000,
        "r1_varh": 1234567890, "r2_varh": 7, "r3_varh": 0, "r4_varh": 42,
    } | changes  # fmt: skip
    return SignedTuple.sign(key, server_id=MODULE, index=SecondsIndex(fields.pop("index")), **fields)


def tuple_body(one: SignedTuple) -> sml.GetProcParameterResponse:
    """The current tuple as a module answers it."""
    tree = sml.Tree(parameter_name=CURRENT, parameter_value=sml.TupelParameter(one.to_entry()))
    return sml.GetProcParameterResponse(server_id=MODULE, parameter_tree_path=(CURRENT,), parameter_tree=tree)


def identity_body(key: PrivateKey = KEY_P256) -> sml.GetProcParameterResponse:
    """What the module says of its key."""
    leaf = sml.Tree(parameter_name=PUBLIC_KEY, parameter_value=sml.ValueParameter(key.public.point))
    tree = sml.Tree(parameter_name=IDENTIFICATION, child_list=(leaf,))
    return sml.GetProcParameterResponse(server_id=MODULE, parameter_tree_path=(IDENTIFICATION,), parameter_tree=tree)


def cells(one: SignedTuple) -> tuple[sml.Integer64 | bytes, ...]:
    """A profile row in the order of COLUMNS."""
    return (
        sml.Integer64(one.import_wh), sml.Integer64(one.r1_varh), sml.Integer64(one.r4_varh), one.signature_import,
        sml.Integer64(one.export_wh), sml.Integer64(one.r2_varh), sml.Integer64(one.r3_varh), one.signature_export,
    )  # fmt: skip


def pack_body(*rows: SignedTuple, columns: tuple[int, ...] = tuple(range(8))) -> sml.GetProfilePackResponse:
    """A profile pack of the columns asked for, in the order asked for."""
    return sml.GetProfilePackResponse(
        server_id=MODULE, act_time=sml.SecIndex(0), reg_period=900, parameter_tree_path=(LOAD_PROFILE,),
        header_list=tuple(
            sml.ProfObjHeaderEntry(
                obj_name=bytes.fromhex(COLUMNS[column][0]), unit=COLUMNS[column][1], scaler=0 if column % 4 == 3 else -1
            )
            for column in columns
        ),
        period_list=tuple(
            sml.ProfObjPeriodEntry(
                val_time=sml.SecIndex(one.index), status=one.status,
                value_list=tuple(sml.ValueEntry(value=cells(one)[column]) for column in columns),
            )
            for one in rows
        ),
    )  # fmt: skip


def row_body(one: SignedTuple) -> sml.GetProfileListResponse:
    """A profile row as a message of its own."""
    return sml.GetProfileListResponse(
        server_id=MODULE, act_time=sml.SecIndex(0), reg_period=900, parameter_tree_path=(LOAD_PROFILE,),
        val_time=sml.SecIndex(one.index), status=one.status,
        period_list=tuple(
            sml.PeriodEntry(
                obj_name=bytes.fromhex(name), unit=unit, scaler=0 if unit == 255 else one.scaler, value=value
            )
            for (name, unit), value in zip(COLUMNS, cells(one), strict=True)
        ),
    )  # fmt: skip
