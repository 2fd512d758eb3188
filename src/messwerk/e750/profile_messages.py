"""Load profile rows as SML carries them: one pack, or a message for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..seconds_index import SecondsIndex
from ..sml import (
    Attention,
    GetProfileListRequest,
    GetProfileListResponse,
    GetProfilePackRequest,
    GetProfilePackResponse,
    Integer64,
    PeriodEntry,
    ProfObjHeaderEntry,
    ProfObjPeriodEntry,
    SecIndex,
    ValueEntry,
)
from ..sml.messages import Time
from ..sml.session import RESPONSE_MESSAGES_MAX, Refusal
from ..tuples import SignedTuple
from ..units import COUNT, VAR_HOUR, WATT_HOUR
from . import object_names as names
from .profile import SCALER, LoadProfile

LIST_ROWS_MAX: Final = RESPONSE_MESSAGES_MAX - 20
"""Rows one GetProfileList answers, oldest first: an answering file has no room for more."""
_UNITS: Final = (WATT_HOUR, VAR_HOUR, VAR_HOUR, COUNT) * 2
_SCALERS: Final = (SCALER, SCALER, SCALER, 0) * 2
_HEADER: Final = tuple(
    ProfObjHeaderEntry(obj_name=name, unit=unit, scaler=scaler)
    for name, unit, scaler in zip(names.PROFILE_COLUMNS, _UNITS, _SCALERS, strict=True)
)
PROFILE_PATHS: Final = frozenset({(bytes(names.LOAD_PROFILE),), (bytes(names.PROFILE_15_MINUTES),)})

ProfileRequest = GetProfilePackRequest | GetProfileListRequest


def select_rows(profile: LoadProfile, request: ProfileRequest, *, limit: int | None = None) -> tuple[SignedTuple, ...]:
    """The rows a request asks for, both ends of its range included. Raises Refusal."""
    if tuple(request.parameter_tree_path) not in PROFILE_PATHS:
        raise Refusal(Attention.NOT_EXECUTED, "no such profile")
    begin, end = _bound(request.begin_time), _bound(request.end_time)
    if begin is not None and end is not None and begin > end:
        raise Refusal(Attention.END_BEFORE_BEGIN)
    if not len(profile):
        raise Refusal(Attention.PROFILE_EMPTY)
    rows = profile.rows(begin, end, limit=limit)
    if not rows:
        raise Refusal(Attention.RANGE_EMPTY, f"there are rows from {profile.first_index} to {profile.last_index}")
    return rows


def _bound(time: Time | None) -> int | None:
    if time is None:
        return None
    if not isinstance(time, SecIndex):
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "a range is given in seconds index")
    return int(time.value)


def pack_response(
    rows: Sequence[SignedTuple], request: GetProfilePackRequest, server_id: bytes, index: SecondsIndex, period_s: int
) -> GetProfilePackResponse:
    """All rows in one message. Raises Refusal for an unknown column."""
    columns = _columns(request.object_list)
    return GetProfilePackResponse(
        server_id=server_id, act_time=SecIndex(index), reg_period=period_s,
        parameter_tree_path=request.parameter_tree_path,
        header_list=tuple(_HEADER[column] for column in columns),
        period_list=tuple(
            ProfObjPeriodEntry(
                val_time=SecIndex(row.index), status=row.status,
                value_list=tuple(ValueEntry(value=cells[column]) for column in columns),
            )
            for row in rows
            for cells in (_cells(row),)
        ),
    )  # fmt: skip


def list_responses(
    rows: Sequence[SignedTuple], request: GetProfileListRequest, server_id: bytes, index: SecondsIndex, period_s: int
) -> list[GetProfileListResponse]:
    """One message a row. Raises Refusal for an unknown column."""
    columns = _columns(request.object_list)
    return [
        row_response(row, server_id, index, period_s, path=request.parameter_tree_path, columns=columns) for row in rows
    ]


def row_response(
    row: SignedTuple,
    server_id: bytes,
    index: SecondsIndex,
    period_s: int,
    *,
    path: tuple[bytes, ...] = (names.LOAD_PROFILE,),
    columns: Sequence[int] = range(8),
) -> GetProfileListResponse:
    """The message of one row."""
    cells = _cells(row)
    return GetProfileListResponse(
        server_id=server_id, act_time=SecIndex(index), reg_period=period_s, parameter_tree_path=path,
        val_time=SecIndex(row.index), status=row.status,
        period_list=tuple(
            PeriodEntry(
                obj_name=names.PROFILE_COLUMNS[column], unit=_UNITS[column], scaler=_SCALERS[column],
                value=cells[column],
            )
            for column in columns
        ),
    )  # fmt: skip


def _columns(wanted: tuple[bytes, ...] | None) -> Sequence[int]:
    """Column numbers in the order asked for; all of them when nothing is asked for."""
    if not wanted:
        return range(len(names.PROFILE_COLUMNS))
    columns = []
    for name in wanted:
        if name not in names.PROFILE_COLUMNS:
            raise Refusal(Attention.UNKNOWN_OBJECT, name.hex(" ").upper())
        columns.append(names.PROFILE_COLUMNS.index(name))
    return columns


def _cells(row: SignedTuple) -> tuple[Integer64 | bytes, ...]:
    return (
        Integer64(row.import_wh), Integer64(row.r1_varh), Integer64(row.r4_varh), row.signature_import,
        Integer64(row.export_wh), Integer64(row.r2_varh), Integer64(row.r3_varh), row.signature_export,
    )  # fmt: skip
