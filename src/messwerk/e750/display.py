"""What the lit display of a base module shows: a list that rolls, no button needed.

Registers are shown secondary, as they are signed, and primary beside them where instrument
transformers are set. Values are truncated, never rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..metrology import Registers
from ..metrology.registers import MWS_PER_WH

if TYPE_CHECKING:
    from .base_module import BaseModule

PAGE_S: Final = 5
"""Each page stands for so long. [design]"""
DECIMALS: Final = 4
"""Of a register in kWh or kvarh: the resolution that is signed is 0.1 Wh."""
_REGISTERS: Final = (
    ("1.8.0", "kWh", "import_mws"), ("2.8.0", "kWh", "export_mws"), ("5.8.0", "kvarh", "r1_mvars"),
    ("6.8.0", "kvarh", "r2_mvars"), ("7.8.0", "kvarh", "r3_mvars"), ("8.8.0", "kvarh", "r4_mvars"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page: OBIS code or sign in front, value, unit."""

    code: str
    value: str
    unit: str = ""


def pages(module: BaseModule) -> Sequence[Page]:
    """Every page of the list, in order: registers, index, status, identity, key in groups of four."""
    ratio = module.ct_ratio * module.vt_ratio
    shown = [Page(code, register_text(module.registers, name), unit) for code, unit, name in _REGISTERS]
    if ratio > 1:
        shown += [
            Page(f"{code} P", register_text(module.registers, name, ratio), unit) for code, unit, name in _REGISTERS
        ]
        shown.append(Page("CT/VT", f"{module.ct_ratio}:1 {module.vt_ratio}:1"))
    status = module.current.status & 0xFFFF_FFFF if module.current is not None else 0
    shown += [
        Page("0.9.8", f"{module.seconds_index:010d}", "s"),
        Page("F.F", f"{status:08X}"),
        Page("C.1.0", str(module.server_id)),
        Page("C.2.0", f"{module.firmware.version}"),
    ]
    key = module.key.public.point.hex().upper()
    groups = [key[at : at + 4] for at in range(0, len(key), 4)]
    shown += [Page(f"Pb {at // 4 + 1}", " ".join(groups[at : at + 4])) for at in range(0, len(groups), 4)]
    return shown


def page_now(module: BaseModule) -> Page:
    """The page that stands at this second of the module's own count."""
    shown = pages(module)
    return shown[module.seconds_index // PAGE_S % len(shown)]


def register_text(registers: Registers, name: str, ratio: int = 1) -> str:
    """A register in kWh or kvarh with DECIMALS places, times `ratio`, truncated."""
    tenths = getattr(registers, name) * ratio * 10 // MWS_PER_WH
    whole, part = divmod(tenths, 10**DECIMALS)
    return f"{whole}.{part:0{DECIMALS}d}"
