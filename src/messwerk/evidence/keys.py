"""Public keys as people have them: hex digits from a plate, base64, PEM and DER files."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from ..errors import InvalidIdentifier
from ..signing import Curve, PublicKey
from .exhibit import OfferedKey

MAX_KEY_BYTES: Final = 4096
"""Longest text or file that is looked at as a key."""


def parse_key(material: bytes | str, curve: Curve | None = None) -> PublicKey:
    """Read a public key: X || Y (48 or 64 bytes, with or without 04), DER or PEM, as bytes, hex or base64.

    A point of 64 bytes lies on P-256 or on brainpoolP256r1, practically never on both, so that the
    curve is found by trying unless `curve` says it. Raises InvalidIdentifier.
    """
    octets = _octets(material)
    if b"-----BEGIN" in octets or (octets[:1] == b"\x30" and len(octets) > 65):
        return _read_info(octets, curve)
    return key_of_point(octets, curve)


def key_of_point(octets: bytes, curve: Curve | None = None) -> PublicKey:
    """The key X || Y or 04 || X || Y. Raises InvalidIdentifier."""
    if len(octets) in (49, 65) and octets[:1] == b"\x04":
        octets = octets[1:]
    if curve is not None:
        return PublicKey.from_point(curve, octets)
    candidates = [curve for curve in Curve if 2 * curve.size == len(octets)]
    if not candidates:
        raise InvalidIdentifier(f"a public key has 48 or 64 bytes, this one has {len(octets)}")
    for candidate in candidates:
        try:
            return PublicKey.from_point(candidate, octets)
        except InvalidIdentifier:
            continue
    names = " or ".join(candidate.value for candidate in candidates)
    raise InvalidIdentifier(f"not a point on {names}, so no meter's key: {octets.hex()}")


def offered_key(text: str, place: str) -> OfferedKey:
    """A key that stands in a file as text, or why it is none."""
    try:
        return OfferedKey(place, parse_key(text))
    except InvalidIdentifier as error:
        return OfferedKey(place, None, str(error))


def decode_text(text: str, encoding: str | None = None) -> bytes:
    """Bytes of hex or base64 or base32 text with white space in it.

    Without `encoding` hex is tried first, since every hex text is base64 as well. Raises
    InvalidIdentifier.
    """
    compact = re.sub(r"\s", "", text)
    known = {"hex": _from_hex, "base64": _from_base64, "base32": _from_base32}
    readers = [known[encoding]] if encoding in known else [_from_hex, _from_base64]
    for reader in readers:
        try:
            return reader(compact)
        except (ValueError, binascii.Error):
            continue
    wanted = encoding if encoding in known else "hex digits or base64"
    raise InvalidIdentifier(f"not {wanted}: {compact[:40]!r}{' …' if len(compact) > 40 else ''}")


def _from_hex(compact: str) -> bytes:
    return binascii.unhexlify(compact.replace(":", "").replace("-", "").encode("ascii"))


def _from_base64(compact: str) -> bytes:
    return base64.b64decode(compact.encode("ascii"), validate=True)


def _from_base32(compact: str) -> bytes:
    return base64.b32decode(compact.encode("ascii"))


def _octets(material: bytes | str) -> bytes:
    """What `material` holds, text decoded unless it is PEM."""
    if len(material) > MAX_KEY_BYTES:
        raise InvalidIdentifier(f"no public key is longer than {MAX_KEY_BYTES} bytes")
    if isinstance(material, bytes):
        try:
            material = material.decode("ascii")
        except UnicodeDecodeError as error:
            return bytes(error.object)
    return material.encode("utf-8", "replace") if "-----BEGIN" in material else decode_text(material)


def _read_info(octets: bytes, curve: Curve | None) -> PublicKey:
    """SubjectPublicKeyInfo in PEM or DER."""
    try:
        loaded = load_pem_public_key(octets) if b"-----BEGIN" in octets else load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidIdentifier("not a public key in PEM or DER (SubjectPublicKeyInfo)") from error
    found = (
        next((known for known in Curve if known.value == loaded.curve.name), None)
        if isinstance(loaded, ec.EllipticCurvePublicKey)
        else None
    )
    if found is None or not isinstance(loaded, ec.EllipticCurvePublicKey):
        names = ", ".join(known.value for known in Curve)
        raise InvalidIdentifier(f"the key is on no curve that metering data is signed on ({names})")
    if curve not in (None, found):
        raise InvalidIdentifier(f"the key is on {found.value}, not on {curve.value if curve else ''}")
    return PublicKey.from_point(found, loaded.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:])
