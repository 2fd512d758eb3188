"""Ranges asked for in UTC: the communication module knows time, a base module counts seconds.

A central station usually computes the range itself. One that asks in UTC gets its request
translated by a module whose clock is synchronised; what comes back is untouched and speaks in
seconds index.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..sml import Attention, GetProfileListRequest, GetProfilePackRequest, SecIndex, Timestamp
from ..sml.messages import Body, Time
from ..sml.session import Refusal, Request
from .devices import Device

if TYPE_CHECKING:
    from .communication_module import CommunicationModule


def in_utc(request: Body) -> bool:
    """Whether a request names its range in UTC."""
    return isinstance(request, (GetProfilePackRequest, GetProfileListRequest)) and (
        isinstance(request.begin_time, Timestamp) or isinstance(request.end_time, Timestamp)
    )


def in_seconds_index(request: Request, device: Device, module: CommunicationModule) -> Request:
    """The request with its range as the device counts it, good to 1 s.

    Raises Refusal when this module's time is not synchronised, or it has not heard the device yet.
    """
    if not in_utc(request):
        return request
    assert isinstance(request, (GetProfilePackRequest, GetProfileListRequest))
    if not module.sync_enabled or device.zero_utc is None:
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "no synchronised time here: give the range in seconds index")
    return replace(
        request,
        begin_time=_index(request.begin_time, device.zero_utc),
        end_time=_index(request.end_time, device.zero_utc),
    )


def _index(time: Time | None, zero_utc: int) -> Time | None:
    """Before the device's first second is its first second."""
    return SecIndex(max(0, int(time.value) - zero_utc)) if isinstance(time, Timestamp) else time
