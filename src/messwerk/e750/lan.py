"""Settings of the wide-area interface LAN/DSL, as the parameter tree carries them.

They are kept and checked here; whoever opens sockets for the module acts on them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..sml import Attention
from ..sml.messages import ProcParValue
from ..sml.session import Refusal
from . import object_names as names
from .parameters import Change, Parameter, flag, octets, to_flag, to_int, to_octets, u8, u32

TEXT_MAX = 64


@dataclass(slots=True)
class LanSettings:
    """DHCP or fixed address, and PPPoE. Addresses are IPv4 as integers."""

    address: int = 0
    mask: int = 0xFFFF_FF00
    gateway: int = 0
    dns1: int = 0
    dns2: int = 0
    dns3: int = 0
    dhcp: bool = True
    pppoe: bool = False
    dsl: bool = False
    """Whether the interface leads to a DSL modem; otherwise to a LAN."""
    pppoe_user: str = ""
    pppoe_password: str = ""
    """Written, never read back."""
    pppoe_mode: int = 0

    def parameters(self) -> Parameter:
        """The tree 81 48 17 07 00 FF."""
        dns = zip(names.LAN_DNS, ("dns1", "dns2", "dns3"), strict=True)
        return Parameter(
            names.LAN_SETTINGS,
            children=(
                self._address(names.LAN_ADDRESS, "address"),
                Parameter(names.LAN_MASK, lambda: u32(self.mask), self._set_mask),
                self._address(names.LAN_GATEWAY, "gateway"),
                *(self._address(name, field) for name, field in dns),
                self._flag(names.LAN_PPPOE, "pppoe"),
                self._flag(names.LAN_DHCP, "dhcp"),
                self._flag(names.LAN_DSL, "dsl"),
                Parameter(
                    names.PPPOE_USER, lambda: octets(self.pppoe_user.encode()), lambda v: self._text("pppoe_user", v)
                ),
                Parameter(names.PPPOE_PASSWORD, lambda: None, lambda v: self._text("pppoe_password", v)),
                Parameter(
                    names.PPPOE_MODE, lambda: u8(self.pppoe_mode), lambda v: self._set("pppoe_mode", to_int(v, 0, 2))
                ),
            ),
        )

    def _address(self, name: bytes, field: str) -> Parameter:
        return Parameter(
            name, lambda: u32(getattr(self, field)), lambda value: self._set(field, to_int(value, 0, 2**32 - 1))
        )

    def _flag(self, name: bytes, field: str) -> Parameter:
        return Parameter(name, lambda: flag(getattr(self, field)), lambda value: self._set(field, to_flag(value)))

    def _set_mask(self, value: ProcParValue) -> Change:
        mask = to_int(value, 0, 2**32 - 1)
        inverted = ~mask & 0xFFFF_FFFF
        if inverted & (inverted + 1):
            raise Refusal(Attention.OUT_OF_RANGE, "a network mask is ones followed by zeros")
        return self._set("mask", mask)

    def _text(self, field: str, value: ProcParValue) -> Change:
        try:
            return self._set(field, to_octets(value, 0, TEXT_MAX).decode())
        except UnicodeDecodeError:
            raise Refusal(Attention.TYPE_NOT_SUPPORTED, "a text is UTF-8") from None

    def _set(self, field: str, value: Any) -> Change:
        return lambda: setattr(self, field, value)

    # --- memory ----------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        return asdict(self)

    def from_state(self, state: dict[str, Any]) -> None:
        for field in fields(self):
            setattr(self, field.name, state[field.name])
