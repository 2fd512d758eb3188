"""The firmware download as parameter trees and its log as a profile."""

from __future__ import annotations

from collections.abc import Sequence

from .. import sml
from ..errors import InvalidIdentifier
from ..sml import Attention, PeriodEntry
from ..sml.messages import ProcParValue
from ..sml.session import Refusal
from ..units import COUNT
from . import object_names as names
from .firmware import BLOCK_SIZE, Firmware, LegalEntry
from .parameters import Change, Parameter, octets, to_int, to_octets, u32

INDEX_MAX = 2**32 - 1


def download_parameters(firmware: Firmware, root: bytes = names.DOWNLOAD, *more: Parameter) -> Parameter:
    """The tree by which an image comes in: manifest, blocks, how far it is."""

    def start(value: ProcParValue) -> Change:
        manifest = to_octets(value, 1, 256)
        return lambda: firmware.begin(manifest)

    def choose(value: ProcParValue) -> Change:
        number = to_int(value, 1, INDEX_MAX)
        return lambda: firmware.choose_block(number)

    def store(value: ProcParValue) -> Change:
        block = to_octets(value, 1, BLOCK_SIZE)
        return lambda: firmware.store_block(block)

    return Parameter(
        root,
        children=(
            Parameter(names.DOWNLOAD_START, lambda: None, start),
            Parameter(names.DOWNLOAD_BLOCKS, lambda: u32(firmware.blocks)),
            Parameter(names.DOWNLOAD_LAST_GOOD, lambda: u32(firmware.last_good)),
            Parameter(names.DOWNLOAD_BLOCK_NUMBER, lambda: None, choose),
            Parameter(names.DOWNLOAD_BLOCK_DATA, lambda: None, store),
            *more,
        ),
    )


def firmware_parameters(firmware: Firmware) -> tuple[Parameter, ...]:
    """Download, key, count of failures and activation."""

    def activate(value: ProcParValue) -> Change:
        index = to_int(value, 0, INDEX_MAX)
        return lambda: firmware.activate(index)

    def key() -> ProcParValue | None:
        return octets(firmware.key.point) if firmware.key is not None else None

    def set_key(value: ProcParValue) -> Change:
        point = to_octets(value, 64, 64)

        def change() -> None:
            try:
                firmware.set_key(point)
            except InvalidIdentifier as error:
                raise Refusal(Attention.OUT_OF_RANGE, str(error)) from None

        return change

    return (
        download_parameters(firmware),
        Parameter(names.DOWNLOAD_KEY, key, set_key),
        Parameter(names.DOWNLOAD_FAILURES, lambda: u32(firmware.failed_verifications)),
        Parameter(names.ACTIVATE_FIRMWARE, None, activate),
    )


def legal_log_responses(
    firmware: Firmware, request: sml.GetProfileListRequest, server_id: bytes, act_time: sml.messages.Time
) -> Sequence[sml.GetProfileListResponse]:
    """Every line of the log that cannot be erased, oldest first. Raises Refusal."""
    if not firmware.log.entries:
        raise Refusal(Attention.PROFILE_EMPTY)
    return [_response(entry, request, server_id, act_time) for entry in firmware.log.entries]


def _response(
    entry: LegalEntry, request: sml.GetProfileListRequest, server_id: bytes, act_time: sml.messages.Time
) -> sml.GetProfileListResponse:
    cells: tuple[tuple[bytes, sml.messages.SimpleValue], ...] = (
        (names.EVENT, sml.Unsigned32(entry.event)),
        (names.FIRMWARE_VERSION, sml.Unsigned32(entry.version)),
        (names.EVENT_DETAILS, bytes.fromhex(entry.sha256)),
    )
    return sml.GetProfileListResponse(
        server_id=server_id, act_time=act_time, reg_period=0, parameter_tree_path=request.parameter_tree_path,
        val_time=sml.SecIndex(entry.index), status=entry.number,
        period_list=tuple(PeriodEntry(obj_name=name, unit=COUNT, scaler=0, value=value) for name, value in cells),
    )  # fmt: skip
