"""Curves, keys, signing and verifying of metering data.

All arithmetic on secrets is the `cryptography` library's. Signatures travel as r || s, big
endian, fixed width, no DER; public keys as X || Y without the 04 prefix, as real meters print
and send them. Hash: SHA-256; on P-192 ECDSA itself takes the leftmost 192 bits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidSignature as _LibraryInvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .errors import InvalidIdentifier, InvalidSignature


class Curve(Enum):
    """The curves metering data is signed on; the value is the name shown to people."""

    P192 = "secp192r1"
    """Period-authentic EDL meters: verified always, signed with only in tests."""
    P256 = "secp256r1"
    """Default of the SyM² twin; `NIST P-256` on an E320 faceplate."""
    BP256 = "brainpoolP256r1"

    @property
    def size(self) -> int:
        """Bytes of one coordinate, and of r and s each."""
        return 24 if self is Curve.P192 else 32


_CURVES: Final[dict[Curve, type[ec.EllipticCurve]]] = {
    Curve.P192: ec.SECP192R1,
    Curve.P256: ec.SECP256R1,
    Curve.BP256: ec.BrainpoolP256R1,
}
_DETERMINISTIC: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_VERIFY: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A meter's public key. Equal when curve and point are equal."""

    curve: Curve
    point: bytes
    """X || Y, `2 * curve.size` bytes."""
    _key: ec.EllipticCurvePublicKey

    @classmethod
    def from_point(cls, curve: Curve, point: bytes) -> PublicKey:
        """Load X || Y. Raises InvalidIdentifier when the length or the point is wrong."""
        if len(point) != 2 * curve.size:
            raise InvalidIdentifier(f"a {curve.value} public key has {2 * curve.size} bytes, this one has {len(point)}")
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve](), b"\x04" + point)
        except ValueError as error:
            raise InvalidIdentifier(f"not a point on {curve.value}: {point.hex()}") from error
        return cls(curve, bytes(point), key)

    def verify(self, content: bytes, signature: bytes) -> None:
        """Return nothing if `signature` (r || s) over `content` is right, raise InvalidSignature if not."""
        size = self.curve.size
        if len(signature) != 2 * size:
            raise InvalidSignature(f"a {self.curve.value} signature has {2 * size} bytes, not {len(signature)}")
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        try:
            self._key.verify(encode_dss_signature(r, s), content, _VERIFY)
        except _LibraryInvalidSignature:
            raise InvalidSignature(f"signature does not fit key {self.fingerprint} and content") from None

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of SHA-256 over curve name and point, in groups of four."""
        digits = hashlib.sha256(self.curve.value.encode() + self.point).hexdigest()[:16].upper()
        return " ".join(digits[at : at + 4] for at in range(0, 16, 4))

    @property
    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, as `openssl` reads it."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and (self.curve, self.point) == (other.curve, other.point)

    def __hash__(self) -> int:
        return hash((self.curve, self.point))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrivateKey:
    """A signing key. Its repr never shows the secret."""

    curve: Curve
    scalar: int
    public: PublicKey
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def from_scalar(cls, curve: Curve, scalar: int) -> PrivateKey:
        """Load a private scalar, 0 < scalar < group order. Raises InvalidIdentifier."""
        try:
            key = ec.derive_private_key(scalar, _CURVES[curve]())
        except ValueError as error:
            raise InvalidIdentifier(f"private scalar out of range for {curve.value}") from error
        encoded = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return cls(curve, scalar, PublicKey.from_point(curve, encoded[1:]), key)

    @classmethod
    def from_seed(cls, curve: Curve, seed: bytes) -> PrivateKey:
        """A reproducible key for simulated devices: the same seed gives the same key.

        `seed` is hashed with a counter until the scalar is in range. Real secrets come from the
        operating system's entropy, handed in as 32 random bytes.
        """
        counter = 0
        while True:
            digest = hashlib.sha512(b"messwerk key" + counter.to_bytes(4, "big") + seed).digest()
            scalar = int.from_bytes(digest[: curve.size], "big")
            try:
                return cls.from_scalar(curve, scalar)
            except InvalidIdentifier:
                counter += 1

    def sign(self, content: bytes) -> bytes:
        """Sign SHA-256 of `content` with an RFC 6979 nonce. Returns r || s."""
        size = self.curve.size
        r, s = decode_dss_signature(self._key.sign(content, _DETERMINISTIC))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def __repr__(self) -> str:
        return f"PrivateKey({self.curve.value}, public {self.public.fingerprint})"


def signature_der(signature: bytes) -> bytes:
    """The DER form of r || s, as `openssl dgst -verify` wants it."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
