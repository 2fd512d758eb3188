"""Public keys in all the forms people have them in."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from evidence_material import KEY_P192, KEY_P256, KEYS
from messwerk.errors import InvalidIdentifier
from messwerk.evidence import parse_key
from messwerk.signing import Curve, PrivateKey

POINT = KEY_P256.public.point


def der(key: PrivateKey) -> bytes:
    return base64.b64decode("".join(key.public.pem.decode().splitlines()[1:-1]))


@pytest.mark.parametrize("curve", Curve)
def test_points_pem_and_der_are_read(curve: Curve) -> None:
    """With and without 04, as bytes, hex and base64, the curve found by itself."""
    key = KEYS[curve]
    point = key.public.point
    forms: list[bytes | str] = [
        point, b"\x04" + point, point.hex(), f"04{point.hex()}", point.hex(" ").upper(), point.hex(":"),
        base64.b64encode(point).decode(), key.public.pem, key.public.pem.decode(), der(key), der(key).hex(),
        f"{point.hex()[:20]}\n{point.hex()[20:]}\n".encode(),
    ]  # fmt: skip
    for form in forms:
        assert parse_key(form) == key.public
        assert parse_key(form, curve) == key.public


def test_a_point_that_begins_like_der_is_a_point() -> None:
    """30 is the first byte of every DER structure, and of one point in 256."""
    seeds = (PrivateKey.from_seed(Curve.P256, bytes([n, n >> 8])) for n in range(5000))
    key = next(key.public for key in seeds if key.public.point[0] == 0x30)
    assert parse_key(key.point) == key


@pytest.mark.parametrize(
    ("material", "words"),
    [
        ("", "48 or 64 bytes"),
        ("zz", "not hex digits or base64"),
        (POINT[:-1], "48 or 64 bytes"),
        (POINT[:-1] + bytes([POINT[-1] ^ 1]), "not a point"),
        (b"\x30\xff" * 50, "PEM or DER"),
        ("-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----\n", "PEM or DER"),
        ("ä" * 96, "not hex digits or base64"),
        (b"0" * 5000, "longer than"),
    ],
)
def test_what_is_no_key_is_refused(material: bytes | str, words: str) -> None:
    """One error class, with the reason."""
    with pytest.raises(InvalidIdentifier, match=words):
        parse_key(material)


def test_other_curves_and_other_kinds_of_keys_are_refused() -> None:
    """Metering data is signed on three curves."""
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(InvalidIdentifier, match="on no curve"):
            parse_key(pem)
    with pytest.raises(InvalidIdentifier, match="not on secp192r1"):
        parse_key(KEY_P256.public.pem, Curve.P192)
    with pytest.raises(InvalidIdentifier, match="64 bytes"):
        parse_key(KEY_P192.public.point, Curve.P256)
