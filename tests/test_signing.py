"""Curves, keys and signatures: fixed vectors, the library's limits, and openssl as a witness."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.errors import InvalidIdentifier, InvalidSignature
from messwerk.signing import Curve, PrivateKey, PublicKey, signature_der

BOTH_HALVES = [(Curve.P192, 48), (Curve.P256, 64), (Curve.BP256, 64)]


@pytest.mark.parametrize(("curve", "width"), BOTH_HALVES)
def test_signatures_and_keys_have_a_fixed_width(curve: Curve, width: int) -> None:
    """The wire carries r || s and X || Y without DER or prefix: the length never varies."""
    key = PrivateKey.from_seed(curve, b"width")
    assert len(key.public.point) == width
    assert all(len(key.sign(bytes([n]))) == width for n in range(20))


def test_the_nonce_is_that_of_rfc_6979() -> None:
    """Vector of RFC 6979 A.2.5 (P-256, SHA-256, message "sample"): no entropy is needed to sign."""
    scalar = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    key = PrivateKey.from_scalar(Curve.P256, scalar)
    assert key.public.point.hex().upper() == (
        "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
        "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
    )
    assert key.sign(b"sample").hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(list(Curve)), st.binary(max_size=200), st.binary(max_size=16))
def test_what_was_signed_verifies_and_only_that(curve: Curve, content: bytes, seed: bytes) -> None:
    """A signature holds for its content and key, and for no other."""
    key = PrivateKey.from_seed(curve, seed)
    signature = key.sign(content)
    key.public.verify(content, signature)
    with pytest.raises(InvalidSignature, match="does not fit key"):
        key.public.verify(content + b"\0", signature)
    with pytest.raises(InvalidSignature):
        PrivateKey.from_seed(curve, seed + b"other").public.verify(content, signature)


def test_every_single_bit_of_a_signature_counts() -> None:
    """Flipping any bit of r or s makes the signature invalid, never an exception of another kind."""
    key = PrivateKey.from_seed(Curve.P256, b"bits")
    signature = key.sign(b"content")
    for bit in range(0, 512, 7):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidSignature):
            key.public.verify(b"content", bytes(flipped))


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_nonsense_in_place_of_a_signature_is_invalid_not_a_crash(signature: bytes) -> None:
    """A peer may send anything where 64 bytes are due."""
    with pytest.raises(InvalidSignature):
        PrivateKey.from_seed(Curve.P256, b"n").public.verify(b"content", signature)


@pytest.mark.parametrize("point", [b"", bytes(63), bytes(64), b"\xff" * 64, b"\x01" * 64])
def test_a_point_off_the_curve_is_no_key(point: bytes) -> None:
    """Keys come over the wire; one that is not on the curve must not be loaded."""
    with pytest.raises(InvalidIdentifier):
        PublicKey.from_point(Curve.P256, point)


@pytest.mark.parametrize("scalar", [0, -1, 2**256])
def test_a_scalar_out_of_range_is_no_key(scalar: int) -> None:
    """A damaged key file is named as such."""
    with pytest.raises((InvalidIdentifier, ValueError)):
        PrivateKey.from_scalar(Curve.P256, scalar)


def test_a_seed_gives_one_key_and_the_repr_keeps_the_secret() -> None:
    """Simulated devices keep their identity over runs; logs never show a scalar."""
    first, again = (PrivateKey.from_seed(Curve.P256, b"meter 1") for _ in range(2))
    assert first.public == again.public
    assert hash(first.public) == hash(again.public)
    assert first.public != PrivateKey.from_seed(Curve.P256, b"meter 2").public
    assert f"{first.scalar}" not in repr(first)
    assert f"{first.scalar:x}" not in repr(first)
    groups = first.public.fingerprint.split()
    assert [len(group) for group in groups] == [4, 4, 4, 4]


@pytest.mark.parametrize("curve", [Curve.P256, Curve.BP256])
def test_openssl_accepts_our_signatures(curve: Curve, tmp_path: Path) -> None:
    """Anyone can check a signature with a tool we did not write: PEM key, DER signature, content."""
    key = PrivateKey.from_seed(curve, b"witness")
    (tmp_path / "key.pem").write_bytes(key.public.pem)
    (tmp_path / "content").write_bytes(b"what was signed")
    (tmp_path / "signature.der").write_bytes(signature_der(key.sign(b"what was signed")))
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature.der", "content"]
    good = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.strip()) == (0, "Verified OK")
    (tmp_path / "content").write_bytes(b"what was claimed")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
