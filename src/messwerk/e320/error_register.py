"""The error register F.F.: critical errors stay until a reset command, communication errors heal.

Source: E320 manual 6.2.1 (behaviour). The bits are ours; the manual's table is lost.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final


class Error(IntFlag):
    """One bit an error; the upper half is critical, the lower half is communication."""

    LMN_LINE = 1 << 0
    HDLC_BURST = 1 << 1
    TLS_HANDSHAKE = 1 << 2
    CERTIFICATE = 1 << 3
    SYMMETRIC_REJECTED = 1 << 4
    INFO_FEEDBACK = 1 << 5

    REGISTER_CHECKSUM = 1 << 16
    PROGRAM_CHECKSUM = 1 << 17
    PARAMETER_CHECKSUM = 1 << 18
    MEMORY_WRITE = 1 << 19
    METROLOGY = 1 << 20
    RAM_TEST = 1 << 21
    SECONDS_INDEX = 1 << 22
    KEY_STORE = 1 << 23


CRITICAL: Final = 0xFFFF_0000
COMMUNICATION: Final = 0x0000_FFFF

AREA_ERRORS: Final[dict[str, Error]] = {
    "state": Error.REGISTER_CHECKSUM,
    "history": Error.PARAMETER_CHECKSUM,
    "keys": Error.KEY_STORE,
}
"""What a damaged copy of each memory area raises."""


def is_critical(register: int) -> bool:
    """A legally relevant function may no longer work: F.F. is shown, status bit 17 is set."""
    return bool(register & CRITICAL)


def error_text(register: int) -> str:
    """The register as the display shows it: eight hexadecimal digits."""
    return f"{register & 0xFFFF_FFFF:08X}"
