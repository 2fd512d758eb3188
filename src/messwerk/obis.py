"""OBIS codes: six bytes A-B:C.D.E*F that name a quantity (IEC 62056-61)."""

from __future__ import annotations

import re
from typing import Final

from .errors import InvalidIdentifier

_LONG = re.compile(r"^(?:(\d{1,3})-(\d{1,3}):)?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:\*(\d{1,3}))?$")
_HEX = re.compile(r"^[0-9A-Fa-f]{2}(?:[ :]?[0-9A-Fa-f]{2}){5}$")


class ObisCode(bytes):
    """Six bytes that name a quantity; equal to, and usable wherever, the raw bytes are.

    >>> str(ObisCode.parse("1-0:1.8.0*255"))
    '1-0:1.8.0*255'
    >>> ObisCode.parse("1.8.0") == bytes.fromhex("0100010800ff")
    True
    """

    __slots__ = ()

    def __new__(cls, code: bytes) -> ObisCode:
        if len(code) != 6:
            raise InvalidIdentifier(f"an OBIS code has 6 bytes, this one has {len(code)}: {code.hex()}")
        return super().__new__(cls, code)

    @classmethod
    def parse(cls, text: str) -> ObisCode:
        """Read `1-0:1.8.0*255`, the short forms `1-0:1.8.0` and `1.8.0`, or twelve hex digits.

        Missing parts take the electricity defaults A=1, B=0, E=0, F=255.
        Raises InvalidIdentifier.
        """
        if match := _LONG.match(text.strip()):
            parts = [
                int(given if given is not None else default)
                for given, default in zip(match.groups(), "1 0 0 0 0 255".split(), strict=True)
            ]
            if max(parts) > 255:
                raise InvalidIdentifier(f"each part of an OBIS code is at most 255: {text!r}")
            return cls(bytes(parts))
        if _HEX.match(text.strip()):
            return cls(bytes.fromhex(text.replace(":", " ")))
        raise InvalidIdentifier(f"not an OBIS code (like 1-0:1.8.0*255): {text!r}")

    def __str__(self) -> str:
        a, b, c, d, e, f = self
        return f"{a}-{b}:{c}.{d}.{e}*{f}"

    def __repr__(self) -> str:
        return f"ObisCode({str(self)!r})"

    @property
    def name(self) -> str | None:
        """What it measures, in English; None when the code is not in our table."""
        return OBIS_NAMES.get(bytes(self)) or OBIS_NAMES.get(bytes(self[:5]) + b"\xff")


def obis_text(code: bytes) -> str:
    """Readable form of any object name: `A-B:C.D.E*F` for six bytes, hex otherwise."""
    return str(ObisCode(code)) if len(code) == 6 else code.hex()


def _table(rows: str) -> dict[bytes, str]:
    pairs = (row.strip().split("  ", 1) for row in rows.strip().splitlines())
    return {bytes.fromhex(code): name.strip() for code, name in pairs}


OBIS_NAMES: Final[dict[bytes, str]] = _table("""
    0100620affff  current list
    010060320101  manufacturer
    8181c78203ff  manufacturer
    0100600100ff  server ID
    0100000009ff  device ID
    0100000000ff  owner number
    00006001ffff  fabrication number
    8181c78205ff  public key
    0100010800ff  active energy +A
    0100010801ff  active energy +A, tariff 1
    0100010802ff  active energy +A, tariff 2
    0100020800ff  active energy -A
    0100020801ff  active energy -A, tariff 1
    0100020802ff  active energy -A, tariff 2
    0100050800ff  reactive energy R1 (quadrant I)
    0100060800ff  reactive energy R2 (quadrant II)
    0100070800ff  reactive energy R3 (quadrant III)
    0100080800ff  reactive energy R4 (quadrant IV)
    0100010700ff  active power +A
    0100010701ff  active power +A
    0100020700ff  active power -A
    01000f0700ff  active power, magnitude
    0100100700ff  active power, +A - -A
    0100240700ff  active power L1
    0100380700ff  active power L2
    01004c0700ff  active power L3
    01001f0700ff  current L1
    0100330700ff  current L2
    0100470700ff  current L3
    01005b0700ff  current, neutral
    0100200700ff  voltage L1
    0100340700ff  voltage L2
    0100480700ff  voltage L3
    01000e0700ff  frequency
    0100510701ff  angle U2 to U1
    0100510702ff  angle U3 to U1
    0100510704ff  angle I1 to U1
    010051070fff  angle I2 to U2
    010051071aff  angle I3 to U3
    0100600500ff  status word
    010000020000  firmware version
    01005e310001  seconds index
    0000600800ff  seconds index
    810060050000  status word
    0100630100ff  load profile
    8181c78201ff  device identification
    8181c78202ff  device class
    8181c78204ff  server ID
    8181c78206ff  firmware versions
    8181c78401ff  special tuples
    8181c78402ff  signature, import (+A, R1, R4)
    8181c78403ff  signature, export (-A, R2, R3)
    8181c78404ff  current tuple
    8181c78405ff  tuple at power return
    8181c78406ff  tuple at power return without reserve
    8181c78407ff  last tuple before outage
    8181c78408ff  tuple of last synchronisation
    8181c78484ff  remaining time of the period
    8181c78501ff  instantaneous values
    8181c78801ff  NTP and synchronisation token
    8181c78810ff  device time
    010000090b00  UTC
    8181c78a01ff  push operations
    8181c789e1ff  log book
    8181c7f006ff  firmware (EasyMeter)
""")
"""Names of the codes met in real telegrams and in the SyM² trees. An unknown code stays a code."""
