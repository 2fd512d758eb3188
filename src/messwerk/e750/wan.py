"""The three communication modules: how each reaches the world, and what that allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..sml.messages import ProcParValue
from . import object_names as names
from .parameters import Parameter, flag, i8


@dataclass(frozen=True, slots=True)
class WanVariant:
    """One type of communication module. Source: E750 brochure; classes: SyM² 1.03 table 39."""

    name: str
    device_class: bytes
    pushes: bool
    """Whether it may open connections itself; the PSTN module only answers."""


LAN: Final = WanVariant("E75C CM-E1E01, LAN/DSL", bytes.fromhex("8181c78248ff"), pushes=True)
GPRS: Final = WanVariant("E75C CM-E1P01, GSM/GPRS", bytes.fromhex("8181c78247ff"), pushes=True)
PSTN: Final = WanVariant("E75C CM-E1M01, PSTN", bytes.fromhex("8181c78246ff"), pushes=False)
WAN_VARIANTS: Final = (LAN, GPRS, PSTN)


@dataclass(slots=True)
class Link:
    """The state of the wide-area link, as whoever carries its bytes reports it."""

    up: bool = True
    field_strength_dbm: int | None = None
    """Only a radio module has one. [dBm, negative]"""

    def parameters(self) -> Parameter:
        """The tree 81 04 00 06 00 FF."""

        def strength() -> ProcParValue | None:
            return i8(self.field_strength_dbm) if self.field_strength_dbm is not None else None

        return Parameter(
            names.WAN_STATUS,
            children=(
                Parameter(names.LINK_UP, lambda: flag(self.up)),
                Parameter(names.FIELD_STRENGTH, strength),
            ),
        )
