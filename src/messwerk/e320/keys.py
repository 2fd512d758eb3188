"""The key store for the wired interface: what pairing leaves behind and what a crypto reset erases.

The protocol that fills it lives elsewhere; here is what the meter must keep and forget. Source:
E320 manual 5.6.1 (crypto reset), TR-03116-3 chapter 7 (keys and counters).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ..errors import StoreDamaged

KEY_SIZE: Final = 16
"""AES-128."""
CLOSED_S: Final = 30
"""Tclosed: a crypto reset in plain text waits this long after the last secured channel, or after power-up."""
COUNTER_LIMIT: Final = 2**32 - 1
_HEAD: Final = struct.Struct(">B16s16sIIHHH")
_VERSION: Final = 1


@dataclass(slots=True, repr=False)
class KeyStore:
    """Keys, counters and certificates of one meter."""

    initial_key: bytes = bytes(KEY_SIZE)
    """MK of delivery, told to the gateway administrator."""
    operational_key: bytes = bytes(KEY_SIZE)
    """MK in use."""
    sent_counter: int = 0
    """Transmission counter C; never reset, never repeated."""
    received_counter: int = 0
    """Last authentic counter C' of the gateway; smaller or equal ones are refused."""
    own_certificate: bytes = b""
    own_key: bytes = b""
    gateway_certificate: bytes = b""

    @classmethod
    def delivered(cls, initial_key: bytes) -> KeyStore:
        """As it leaves the factory. Raises ValueError when the key has not 16 bytes."""
        if len(initial_key) != KEY_SIZE:
            raise ValueError(f"a symmetric key has {KEY_SIZE} bytes, not {len(initial_key)}")
        return cls(initial_key=initial_key, operational_key=initial_key)

    @property
    def paired(self) -> bool:
        """Both certificates of the secured channel are there."""
        return any(self.own_certificate) and any(self.gateway_certificate)

    def next_counter(self) -> int:
        """The counter of the next message the meter sends. Raises OverflowError when it is used up."""
        if self.sent_counter >= COUNTER_LIMIT - 1:
            raise OverflowError("the transmission counter is used up; only a new key lets the meter send again")
        self.sent_counter += 1
        return self.sent_counter

    def accept_counter(self, counter: int) -> bool:
        """Take the counter of an authentic message; False where it is not new."""
        if not self.received_counter < counter < COUNTER_LIMIT:
            return False
        self.received_counter = counter
        return True

    def reset(self) -> None:
        """Operational key back to the initial one, certificates and keys to zeros; counters stay."""
        self.operational_key = self.initial_key
        self.own_certificate = bytes(len(self.own_certificate))
        self.own_key = bytes(len(self.own_key))
        self.gateway_certificate = bytes(len(self.gateway_certificate))

    def to_bytes(self) -> bytes:
        parts = self.own_certificate, self.own_key, self.gateway_certificate
        head = _HEAD.pack(
            _VERSION, self.initial_key, self.operational_key, self.sent_counter, self.received_counter, *map(len, parts)
        )
        return head + b"".join(parts)

    @classmethod
    def from_bytes(cls, content: bytes) -> KeyStore:
        """Raises StoreDamaged when sizes or version do not fit."""
        if len(content) < _HEAD.size or content[0] != _VERSION:
            raise StoreDamaged(f"a key store of {len(content)} bytes and version {content[:1].hex()} cannot be read")
        _, initial, operational, sent, received, *sizes = _HEAD.unpack_from(content)
        if len(content) != _HEAD.size + sum(sizes):
            raise StoreDamaged(
                f"a key store announces {sum(sizes)} bytes of certificates and has {len(content) - _HEAD.size}"
            )
        parts, at = [], _HEAD.size
        for size in sizes:
            parts.append(content[at : at + size])
            at += size
        return cls(initial, operational, sent, received, *parts)

    def __repr__(self) -> str:
        return f"KeyStore(paired={self.paired}, sent_counter={self.sent_counter})"  # never a key
