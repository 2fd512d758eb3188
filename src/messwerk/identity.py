"""Who a device is: the 14-character device ID, the server ID on the wire, bus addresses.

Source: DIN 43863-5 form as in the E320 manual (device ID, server ID) and real captures;
SyM² bus modules carry `05` followed by their MAC address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidIdentifier

ELECTRICITY = 1
_DEVICE_ID = re.compile(r"^(\d)\s*([A-Z]{3})\s*([0-9A-Fa-f]{2})\s*(\d{4})\s*(\d{4})$")


@dataclass(frozen=True, slots=True)
class DeviceId:
    """Fourteen characters on the faceplate: medium, maker, production block, serial number.

    >>> str(DeviceId.parse("1LGZ0063539421"))
    '1 LGZ 00 6353 9421'
    """

    maker: str
    """FLAG letters of the manufacturer, e.g. LGZ."""
    serial: int
    """0 … 99 999 999, printed with leading zeros."""
    block: int = 0
    """Production block, two hex digits on the plate."""
    medium: int = ELECTRICITY

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z]{3}", self.maker):
            raise InvalidIdentifier(f"a maker is three capital letters: {self.maker!r}")
        if not 0 <= self.serial <= 99_999_999:
            raise InvalidIdentifier(f"a serial number has at most eight digits: {self.serial}")
        if not (0 <= self.block <= 255 and 0 <= self.medium <= 9):
            raise InvalidIdentifier(f"block {self.block} or medium {self.medium} out of range")

    @classmethod
    def parse(cls, text: str) -> DeviceId:
        """Read `1LGZ0063539421`, with or without the printed spaces. Raises InvalidIdentifier."""
        match = _DEVICE_ID.match(text.strip())
        if match is None:
            raise InvalidIdentifier(f"not a device ID (like 1LGZ0063539421): {text!r}")
        medium, maker, block, high, low = match.groups()
        return cls(maker=maker, serial=int(high + low), block=int(block, 16), medium=int(medium))

    @property
    def compact(self) -> str:
        """The fourteen characters without spaces."""
        return f"{self.medium}{self.maker}{self.block:02X}{self.serial:08d}"

    @property
    def server_id(self) -> ServerId:
        """The ten bytes `0A 01 …` under which the device answers."""
        return ServerId(
            bytes([0x0A, self.medium]) + self.maker.encode() + bytes([self.block]) + self.serial.to_bytes(4, "big")
        )

    def __str__(self) -> str:
        serial = f"{self.serial:08d}"
        return f"{self.medium} {self.maker} {self.block:02X} {serial[:4]} {serial[4:]}"


class ServerId(bytes):
    """The octets that name a device on the wire; equal to the raw bytes.

    Any length from 1 to 32 is accepted, because real meters send ASCII digits and wM-Bus
    addresses too. `str` gives the printed form where one exists and hex otherwise.
    """

    __slots__ = ()

    def __new__(cls, octets: bytes) -> ServerId:
        if not 1 <= len(octets) <= 32:
            raise InvalidIdentifier(f"a server ID has 1 to 32 bytes, this one has {len(octets)}")
        return super().__new__(cls, octets)

    @classmethod
    def parse(cls, text: str) -> ServerId:
        """Read a device ID (`1LGZ0063539421`), a MAC (`00:15:11:22:AA:BB`) or hex digits.

        Raises InvalidIdentifier.
        """
        compact = re.sub(r"[\s:_-]", "", text)
        if _DEVICE_ID.match(compact):
            return DeviceId.parse(compact).server_id
        if re.fullmatch(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}", text.strip()):
            return cls.from_mac(bytes.fromhex(compact))
        try:
            return cls(bytes.fromhex(compact))
        except ValueError as error:
            raise InvalidIdentifier(f"not a server ID, device ID or MAC address: {text!r}") from error

    @classmethod
    def from_mac(cls, mac: bytes) -> ServerId:
        """The server ID of a module on the SyM² bus: `05` and its six-byte MAC address."""
        if len(mac) != 6:
            raise InvalidIdentifier(f"a MAC address has 6 bytes, this one has {len(mac)}")
        return cls(b"\x05" + mac)

    @property
    def device_id(self) -> DeviceId | None:
        """The device ID printed on the plate, or None for other address forms."""
        if len(self) != 10 or self[0] not in (0x09, 0x0A) or self[1] > 9:
            return None
        try:
            maker = bytes(self[2:5]).decode("ascii")
            return DeviceId(maker=maker, serial=int.from_bytes(self[6:10], "big"), block=self[5], medium=self[1])
        except (UnicodeDecodeError, InvalidIdentifier):
            return None

    @property
    def mac(self) -> bytes | None:
        """The bus address of a SyM² module, or None for other forms."""
        return bytes(self[1:]) if len(self) == 7 and self[0] == 0x05 else None

    def __str__(self) -> str:
        if (device_id := self.device_id) is not None:
            return str(device_id)
        if (mac := self.mac) is not None:
            return mac.hex(":").upper()
        if len(self) >= 4 and all(0x30 <= octet < 0x7F for octet in self):
            return bytes(self).decode("ascii")
        return self.hex(" ").upper()

    def __repr__(self) -> str:
        return f"ServerId({self.hex()!r})"
