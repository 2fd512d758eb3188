"""What a communication module tells and takes about itself: its parameter trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .. import sml
from ..sml import Attention
from ..sml.messages import ProcParValue
from ..sml.session import RESPONSE_MESSAGES_MAX, Refusal
from . import object_names as names
from .bus_application import identification
from .firmware_tree import firmware_parameters
from .parameters import Change, Parameter, flag, octets, to_flag, to_int, to_octets, u16, u32
from .push import PushQueue, Source
from .wan import LAN

if TYPE_CHECKING:
    from .communication_module import CommunicationModule

LOG_ENTRIES_MAX: Final = RESPONSE_MESSAGES_MAX - 20
"""Log entries in one answer, oldest first; the reader asks on from the last."""
INTERVAL_MAX_S: Final = 86_400
TARGET_MAX: Final = 128
STATUS_ALWAYS: Final = 1 << 1
STATUS_NO_LINK: Final = 1 << 11
"""Bit is 0 while the wide-area link is up. Source: gateway lineage."""
STATUS_UNAUTHORISED: Final = 1 << 13
"""Bit is 0 while the central station takes what is pushed. Source: gateway lineage."""
STATUS_TIME_UNCERTAIN: Final = 1 << 32
_SOURCES: Final = {
    Source.EVERYTHING: b"", Source.PROFILE: bytes(names.PUSH_SOURCE_PROFILE),
    Source.TUPLES: bytes(names.PUSH_SOURCE_TUPLES),
}  # fmt: skip


def module_parameters(module: CommunicationModule) -> Sequence[Parameter]:
    """Every parameter tree of the communication module itself."""
    return (
        identification(
            module.server_id,
            module.variant.device_class,
            module.manufacturer,
            b"E750 CM",
            lambda: module.firmware.version,
        ),
        Parameter(names.STATUS_WORD, lambda: sml.ValueParameter(sml.Unsigned64(status_word(module)))),
        _device_time(module),
        _synchronisation(module),
        module.link.parameters(),
        *((module.lan.parameters(),) if module.variant is LAN else ()),
        *((_pushes(module),) if module.variant.pushes else ()),
        module.users.parameters(),
        Parameter(names.REBOOT, None, lambda value: _reboot(module, value)),
        *firmware_parameters(module.firmware),
        module.dispatcher.parameters(),
        *module.devices.parameters(),
    )


def status_word(module: CommunicationModule) -> int:
    """The module's own status word, in the gateway lineage's bits."""
    status = STATUS_ALWAYS
    status |= STATUS_UNAUTHORISED if module.push.failures else 0
    status |= 0 if module.link.up else STATUS_NO_LINK
    return status | (STATUS_TIME_UNCERTAIN if module.now is None else 0)


def _device_time(module: CommunicationModule) -> Parameter:
    def utc() -> ProcParValue | None:
        return u32(int(module.now)) if module.now is not None else None

    return Parameter(
        names.DEVICE_TIME,
        children=(
            Parameter(names.UTC, utc),
            Parameter(names.SYNC_ACTIVE, lambda: flag(module.sync_enabled)),
        ),
    )


def _synchronisation(module: CommunicationModule) -> Parameter:
    """Servers for time, and period and offset of the synchronisation token."""

    def set_period(value: ProcParValue) -> Change:
        period = to_int(value, 60, INTERVAL_MAX_S)
        if period <= module.sync_offset_s:
            raise Refusal(Attention.OUT_OF_RANGE, "the period is longer than the offset")
        return lambda: setattr(module, "sync_period_s", period)

    def set_offset(value: ProcParValue) -> Change:
        offset = to_int(value, 0, module.sync_period_s - 1)
        return lambda: setattr(module, "sync_offset_s", offset)

    def set_enabled(value: ProcParValue) -> Change:
        enabled = to_flag(value)
        return lambda: setattr(module, "sync_enabled", enabled)

    def set_server(value: ProcParValue) -> Change:
        server = _text(value, TARGET_MAX)
        return lambda: setattr(module, "ntp_server", server)

    def set_port(value: ProcParValue) -> Change:
        port = to_int(value, 1, 65535)
        return lambda: setattr(module, "ntp_port", port)

    server = Parameter(names.NTP_SERVER, lambda: octets(module.ntp_server.encode()), set_server)
    return Parameter(
        names.NTP,
        children=(
            Parameter(names.NTP_SERVERS, children=(server,)),
            Parameter(names.NTP_PORT, lambda: u16(module.ntp_port), set_port),
            Parameter(names.SYNC_PERIOD, lambda: u32(module.sync_period_s), set_period),
            Parameter(names.SYNC_OFFSET, lambda: u32(module.sync_offset_s), set_offset),
            Parameter(names.NTP_ENABLED, lambda: flag(module.sync_enabled), set_enabled),
        ),
    )


def _pushes(module: CommunicationModule) -> Parameter:
    return Parameter(
        names.PUSH_OPERATIONS,
        children=tuple(_push(number, operation) for number, operation in module.operations.items()),
    )


def _push(number: int, operation: PushQueue) -> Parameter:
    def set_interval(value: ProcParValue) -> Change:
        interval = to_int(value, 0, INTERVAL_MAX_S)

        def change() -> None:
            operation.interval_s, operation.enabled = interval, True

        return change

    def set_delay(value: ProcParValue) -> Change:
        delay = to_int(value, 0, INTERVAL_MAX_S)
        return lambda: setattr(operation, "delay_s", delay)

    def set_source(value: ProcParValue) -> Change:
        wanted = to_octets(value, 0, 6)
        source = next((source for source, name in _SOURCES.items() if name == wanted), None)
        if source is None:
            raise Refusal(Attention.OUT_OF_RANGE, "the source is the profile, the live tuples, or empty for both")
        return lambda: setattr(operation, "source", source)

    def set_target(value: ProcParValue) -> Change:
        target = _text(value, TARGET_MAX)
        _host, _, port = target.rpartition(":")
        if target and not (_host and port.isdecimal() and 0 < int(port) < 65536):
            raise Refusal(Attention.OUT_OF_RANGE, "a target is host:port")

        def change() -> None:
            operation.target = target
            operation.enabled = bool(target) or number == 1

        return change

    return Parameter(
        names.push_operation(number),
        children=(
            Parameter(names.PUSH_INTERVAL, lambda: u32(operation.interval_s), set_interval),
            Parameter(names.PUSH_DELAY, lambda: u32(operation.delay_s), set_delay),
            Parameter(names.PUSH_SOURCE, lambda: octets(_SOURCES[operation.source]), set_source),
            Parameter(names.PUSH_TARGET, lambda: octets(operation.target.encode()), set_target),
            Parameter(names.PUSH_SERVICE, lambda: octets(names.PUSH_SERVICE_SML)),
        ),
    )


def _reboot(module: CommunicationModule, value: ProcParValue) -> Change:
    if not to_flag(value):
        raise Refusal(Attention.OUT_OF_RANGE, "a reboot is asked for with true")
    return lambda: setattr(module, "reboot_due", True)


def _text(value: ProcParValue, longest: int) -> str:
    try:
        return to_octets(value, 0, longest).decode()
    except UnicodeDecodeError:
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "a text is UTF-8") from None
