"""Log books as SML carries them: one profile row for each entry, read by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .. import sml
from ..obis import ObisCode
from ..sml import Attention, PeriodEntry, SecIndex, Timestamp
from ..sml.messages import SimpleValue, Time
from ..sml.session import RESPONSE_MESSAGES_MAX, Refusal
from ..units import COUNT, SECOND
from . import object_names as names
from .log_book import LogBook, LogEntry

LOG_ENTRIES_MAX: Final = RESPONSE_MESSAGES_MAX - 20
"""Log entries in one answer, oldest first; the reader asks on from the last."""


def log_responses(
    log: LogBook, request: sml.GetProfileListRequest, server_id: bytes, act_time: SecIndex | Timestamp
) -> Sequence[sml.GetProfileListResponse]:
    """Entries between two moments, both included. Raises Refusal.

    A communication module's log is read by UTC, a base module's by seconds index: the kind of
    `act_time` says which.
    """
    kind = type(act_time)
    begin, end = _moment(request.begin_time, kind), _moment(request.end_time, kind)
    if begin is not None and end is not None and begin > end:
        raise Refusal(Attention.END_BEFORE_BEGIN)
    if not log.entries:
        raise Refusal(Attention.PROFILE_EMPTY)
    found = [
        entry for entry in log.entries if (begin is None or entry.time >= begin) and (end is None or entry.time <= end)
    ]
    if not found:
        raise Refusal(Attention.RANGE_EMPTY)
    return [_response(entry, request, server_id, act_time) for entry in found[:LOG_ENTRIES_MAX]]


def _moment(time: Time | None, kind: type[SecIndex] | type[Timestamp]) -> int | None:
    if time is None:
        return None
    if not isinstance(time, kind):
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "this log is read by the other kind of time")
    return int(time.value)


def _response(
    entry: LogEntry, request: sml.GetProfileListRequest, server_id: bytes, act_time: SecIndex | Timestamp
) -> sml.GetProfileListResponse:
    def cell(name: ObisCode, value: SimpleValue, unit: int = COUNT) -> PeriodEntry:
        return PeriodEntry(obj_name=name, unit=unit, scaler=0, value=value)

    clock = names.UTC if isinstance(act_time, Timestamp) else names.SECONDS_INDEX
    return sml.GetProfileListResponse(
        server_id=server_id, act_time=act_time, reg_period=0, parameter_tree_path=request.parameter_tree_path,
        val_time=type(act_time)(entry.time), status=entry.number,
        period_list=(
            cell(names.EVENT, sml.Unsigned32(entry.event)),
            cell(clock, sml.Unsigned32(entry.time), SECOND),
            cell(names.SERVER_ID, bytes.fromhex(entry.server_id)),
            cell(names.EVENT_DETAILS, entry.details.encode()),
        ),
    )  # fmt: skip
