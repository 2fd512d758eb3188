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
                for given, default in zip(match.groups(), ("1", "0", "0", "0", "0", "255"), strict=True)
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
    010001080060  active energy +A, last day
    010001080061  active energy +A, last 7 days
    010001080062  active energy +A, last 30 days
    010001080063  active energy +A, last 365 days
    010001080064  active energy +A, since reset
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
    0100605a0201  checksum of the configuration
    010060320204  diagnosis (EMH)
    010060320206  diagnosis (EMH)
    010000020000  firmware version
    01005e310001  seconds index
    0000600800ff  seconds index
    810060050000  status word
    0100630100ff  load profile
    8181c78201ff  device identification
    8181c78202ff  device class
    8181c78204ff  server ID
    8181c78206ff  firmware versions
    8181c78208ff  firmware name
    818100020000  version
    8181c78241ff  base module, direct connection
    8181c78242ff  base module, half-indirect connection
    8181c78243ff  base module, indirect connection 58 V
    8181c78244ff  base module, indirect connection 100 V
    8181c78245ff  pulse module
    8181c78246ff  communication module, telephone
    8181c78247ff  communication module, GSM and GPRS
    8181c78248ff  communication module, LAN and DSL
    8181c78249ff  network node with auxiliary supply
    8181c7824aff  external load-profile collector
    8181c7824bff  gateway
    8181c7838201  restart
    8181c78401ff  special tuples
    8181c78402ff  signature, import (+A, R1, R4)
    8181c78403ff  signature, export (-A, R2, R3)
    8181c78404ff  current tuple
    8181c78405ff  tuple at power return
    8181c78406ff  tuple at power return without reserve
    8181c78407ff  last tuple before outage
    8181c78408ff  tuple of last synchronisation
    8181c78481ff  failed verifications, counter
    8181c784e1ff  failed verifications, log book
    8181c78482ff  public key for firmware download
    8181c78484ff  remaining time of the period
    8181c78501ff  instantaneous values
    8181c78600ff  data sensor properties
    8181c78620ff  data collector properties
    8181c78610ff  profile, 1 minute
    8181c78611ff  profile, 15 minutes
    8181c78612ff  profile, 60 minutes
    8181c78613ff  profile, 24 hours
    8181c78614ff  profile, last 2 hours
    8181c78615ff  profile, last week
    8181c78616ff  profile, last month
    8181c78617ff  profile, last year
    8181c78618ff  profile, initial values
    8181c78801ff  NTP and synchronisation token
    8181c78803ff  NTP port
    8181c78804ff  NTP period
    8181c78805ff  NTP offset
    8181c78806ff  NTP enabled
    8181c78810ff  device time
    010000090b00  UTC
    8181c78a01ff  push operations
    8181c78a83ff  profile of push operations
    8181c789e1ff  log book
    8181c789e2ff  event
    8181613c01ff  user name
    8181613c02ff  password
    818100020001  firmware download
    818100020002  firmware download, name
    818100020003  firmware download, blocks in all
    818100020004  firmware download, last block
    8181c7f006ff  firmware (EasyMeter)
""")
"""Names of the codes met in real telegrams and in the SyM² trees. An unknown code stays a code."""
