"""Typed face of the Rust extension: loops, never policy."""

def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 over `data`; `b"123456789"` gives 0x906E."""
