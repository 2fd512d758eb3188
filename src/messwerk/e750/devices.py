"""Which base modules a communication module knows: seen, active, vanished; 32 at most in service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .. import sml
from ..identity import ServerId
from ..sml import Attention, Tree, ValueParameter
from ..sml.messages import ProcParValue
from ..sml.session import Refusal
from . import object_names as names
from .log_book import Event
from .parameters import Change, Parameter, octets, to_octets

BASE_MODULE_CLASSES: Final = frozenset(bytes((0x81, 0x81, 0xC7, 0x82, last, 0xFF)) for last in range(0x41, 0x45))
"""Device classes of base modules. Source: SyM² 1.03 table 39."""
BASE_MODULES_MAX: Final = 32
"""Base modules one communication module serves. Source: E750 brochure."""
DEVICES_MAX: Final = 254
"""Devices remembered at all, so that a hostile bus cannot fill the memory. [design]"""
VANISHED_AFTER_S: Final = 180.0
"""A device not heard for three announcements has vanished. [design]"""


@dataclass(slots=True)
class Device:
    """A module met on the bus."""

    server_id: ServerId
    device_class: bytes
    public_key: bytes
    """X || Y as announced."""
    active: bool = False
    """Whether it is served: routed to, pushed from."""
    last_seen: float | None = None
    """When it was last heard, in Unix seconds; None while the module had no time."""
    first_seen: float | None = None
    vanished: bool = False
    last_index: int | None = None
    """Newest seconds index heard from it."""
    zero_utc: int | None = None
    """UTC at its index 0 as its newest tuple says, good to 1 s; None while this module had no time. [s]"""

    @property
    def is_base_module(self) -> bool:
        """Whether it measures; other modules are served too, but not counted and not pushed from."""
        return self.device_class in BASE_MODULE_CLASSES


Report = Callable[[Event, bytes, str], None]


class DeviceList:
    """The devices of one communication module. `report` takes what belongs into the log book."""

    def __init__(self, report: Report, *, activate_new: bool = True) -> None:
        self.devices: dict[ServerId, Device] = {}
        self.activate_new = activate_new
        """Plug and play: a new device is served without anybody's doing."""
        self._report = report
        self.changed = False
        """Whether something worth saving has happened; the saver clears it."""

    def active(self) -> list[Device]:
        return [device for device in self.devices.values() if device.active]

    def base_modules(self) -> list[Device]:
        """The base modules in service."""
        return [device for device in self.active() if device.is_base_module]

    def heard(self, sender: ServerId, index: int | None, now: float | None) -> Device | None:
        """Note that a known device spoke."""
        device = self.devices.get(sender)
        if device is not None:
            device.last_seen, device.vanished = now, False
            if index is not None:
                device.last_index = index
                device.zero_utc = int(now) - index if now is not None else None
        return device

    def announced(self, sender: ServerId, identification: Tree, now: float | None) -> None:
        """Take a device's identification: register it, or refuse an impostor."""
        told = {child.parameter_name: child.parameter_value for child in identification.child_list or ()}
        server_id, device_class, key = (
            _octets(told.get(name)) for name in (names.SERVER_ID, names.DEVICE_CLASS, names.PUBLIC_KEY)
        )
        if server_id != sender:
            self._report(Event.SERVER_ID_TWICE, sender, f"it calls itself {server_id.hex()}")
            return
        device = self.devices.get(sender)
        if device is not None and device.public_key != key:
            self._report(Event.SERVER_ID_TWICE, sender, "another public key than before")
        elif device is not None:
            device.last_seen, device.vanished = now, False
        elif len(self.devices) < DEVICES_MAX:
            device = Device(sender, device_class[:6], key[:64], first_seen=now, last_seen=now)
            self.devices[sender] = device
            self._report(Event.DEVICE_APPEARED, sender, "")
            self.changed = True
            if self.activate_new:
                self.activate(device)

    def activate(self, device: Device) -> bool:
        """Put a device into service unless 32 are; returns whether it is."""
        full = device.is_base_module and len(self.base_modules()) >= BASE_MODULES_MAX
        if not device.active and full:
            self._report(Event.DEVICE_LIMIT, device.server_id, f"{BASE_MODULES_MAX} base modules are active")
            return False
        device.active = self.changed = True
        return True

    def look_for_vanished(self, now: float) -> None:
        """Mark and report devices not heard for VANISHED_AFTER_S."""
        for device in self.devices.values():
            if device.last_seen is None:
                device.last_seen = now
            if not device.vanished and now - device.last_seen > VANISHED_AFTER_S:
                device.vanished = True
                self._report(Event.DEVICE_VANISHED, device.server_id, "")

    # --- parameter trees -------------------------------------------------------------------

    def parameters(self) -> tuple[Parameter, ...]:
        """The lists as trees, and the three commands on them."""
        return (
            self._list(names.VISIBLE_DEVICES, lambda device: not device.vanished),
            self._list(names.NEW_DEVICES, lambda device: not device.active and not device.vanished),
            self._list(names.VANISHED_DEVICES, lambda device: device.vanished),
            self._list(names.ACTIVE_DEVICES, lambda device: device.active),
            Parameter(names.ACTIVATE_DEVICE, write=self._command(self._activate)),
            Parameter(names.DEACTIVATE_DEVICE, write=self._command(self._deactivate)),
            Parameter(names.DELETE_DEVICE, write=self._command(self._delete)),
        )

    def _list(self, root: Any, belongs: Callable[[Device], bool]) -> Parameter:
        def children() -> list[Parameter]:
            members = [device for device in self.devices.values() if belongs(device)]
            return [_entry(names.list_entry(root, number), device) for number, device in enumerate(members)]

        return Parameter(root, children=children)

    def _command(self, act: Callable[[Device], None]) -> Callable[[ProcParValue], Change]:
        def write(value: ProcParValue) -> Change:
            device = self.devices.get(ServerId(to_octets(value, 1, 32)))
            if device is None:
                raise Refusal(Attention.UNKNOWN_SERVER)
            return lambda: act(device)

        return write

    def _activate(self, device: Device) -> None:
        if not self.activate(device):
            raise Refusal(Attention.NOT_EXECUTED, f"{BASE_MODULES_MAX} base modules are active")

    def _deactivate(self, device: Device) -> None:
        device.active, self.changed = False, True

    def _delete(self, device: Device) -> None:
        del self.devices[device.server_id]
        self.changed = True

    # --- memory ----------------------------------------------------------------------------

    def to_state(self) -> list[list[Any]]:
        return [
            [device.server_id.hex(), device.device_class.hex(), device.public_key.hex(), device.active]
            for device in self.devices.values()
        ]

    def from_state(self, state: list[list[Any]]) -> None:
        for server_id, device_class, key, active in state:
            found = ServerId(bytes.fromhex(server_id))
            self.devices[found] = Device(found, bytes.fromhex(device_class), bytes.fromhex(key), active)


def _octets(value: ProcParValue | None) -> bytes:
    return value.value if isinstance(value, ValueParameter) and isinstance(value.value, bytes) else b""


def _entry(name: bytes, device: Device) -> Parameter:
    seen = device.last_seen
    return Parameter(
        name,
        children=(
            Parameter(names.SERVER_ID, lambda: octets(device.server_id)),
            Parameter(names.DEVICE_CLASS, lambda: octets(device.device_class)),
            Parameter(names.UTC, lambda: sml.TimeParameter(sml.Timestamp(int(seen))) if seen is not None else None),
        ),
    )
