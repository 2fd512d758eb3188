"""What bytes are when they are not SML frames: the other things found at a meter's port."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\U0010ffff]")
_IDENTIFICATION: Final = re.compile(rb"(?:^|[\x00\r\n])/[A-Z]{2}[A-Za-z][0-9A-I][^\r\n/]{0,20}\r?\n")
"""First line of an answer in modes A to D: slash, three FLAG letters, baud character, name."""
_DATA_LINE: Final = re.compile(rb"\d{1,3}\.\d{1,3}(?:\.\d{1,3})?(?:\*\d{1,3})?\([^()\r\n]*\)")
"""A data line of IEC 62056-21, such as 1.8.0(000123.4*kWh)."""
_START_IN_HEX: Final = re.compile(rb"1b[\s:]?1b[\s:]?1b[\s:]?1b[\s:]?01[\s:]?01", re.IGNORECASE)


def recognise(data: bytes) -> tuple[str, str] | None:
    """Name of the protocol or format and what to do about it, or None when nothing fits.

    Looks at the first bytes only, takes parity bits off where that makes a text readable (an
    IEC 62056-21 meter sends 7E1 to a port set to 8N1), and never raises.
    """
    head = data[:4096]
    plain = bytes(byte & 0x7F for byte in head)
    if _IDENTIFICATION.search(plain) or len(_DATA_LINE.findall(plain)) >= 2:
        return (
            "IEC 62056-21",
            "a text protocol (mode D or an answer to a sign-on), read at 7E1; Messwerk reads SML",
        )
    if _START_IN_HEX.search(head):
        return "SML in hex digits", "make bytes of it first: messwerk convert FILE.hex FILE.bin"
    if head.lstrip().startswith((b"<?xml", b"<sml", b"<SML")):
        return "XML", "if it is SML in XML: messwerk convert FILE.xml FILE.bin"
    if head.startswith(b"HTTP/") or head[:100].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "HTTP", "a web server answers here: write the source as http://…"
    if head[:1] == b"\x76" and re.match(rb"\x76[\x01-\x0f]", head):
        return "an SML file without transport frame", "look at it with: messwerk dump FILE"
    if re.search(rb"\x7e[\xa0-\xa7].{5,}\x7e", head, re.DOTALL):
        return "HDLC", "DLMS/COSEM or an LMN bus; an SML push begins with 1b1b1b1b 01010101"
    if (match := re.match(rb"\x68(.)(.)\x68", head, re.DOTALL)) and match[1] == match[2]:
        return "M-Bus", "wired M-Bus frames; an SML push begins with 1b1b1b1b 01010101"
    if _is_text(head):
        return "text", "an SML push is binary and begins with 1b1b1b1b 01010101"
    return None


def _is_text(head: bytes) -> bool:
    """Whether these are UTF-8 characters that print; the last may be cut."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and not _CONTROL.search(text)


__all__ = ["recognise"]
