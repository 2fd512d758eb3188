"""Certificates of the wired network: self-signed, one pair a side, compared byte by byte.

Nobody vouches for them: they come into the meter by the key exchange and are renewed inside
TLS. A meter has no clock, so only the gateway looks at their dates. Certificate profile of
TR-03109-1 not public: subject, extensions and serial number are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import LmnError
from ..signing import Curve, PrivateKey

VALID_YEARS: Final = 7
"""Longest validity of a certificate and use of its key (TR-03116-3)."""
RENEW_BEFORE_S: Final = 90 * 86_400
"""A gateway renews a pair this long before it expires. [design]"""
CERTIFICATE_MAX: Final = 2048
"""Longest certificate or key taken. [bytes; design: real ones have 315 and 121]"""
GATEWAY_SUFFIX: Final = ".lmn"
"""Behind the gateway's ID in its common name. [design]"""

_CURVES: Final[dict[type[ec.EllipticCurve], Curve]] = {
    ec.SECP256R1: Curve.P256,
    ec.BrainpoolP256R1: Curve.BP256,
}
_GROUPS: Final[dict[Curve, ec.EllipticCurve]] = {curve: group() for group, curve in _CURVES.items()}


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """One side of a TLS session: its certificate and the key that fits. The repr shows neither."""

    certificate: bytes
    """DER."""
    key: bytes
    """DER, the ECPrivateKey form of RFC 5915."""

    def __post_init__(self) -> None:
        public = public_point(self.certificate)
        if public != _public(_private_key(self.key)):
            raise LmnError("certificate and private key do not belong together")

    @property
    def curve(self) -> Curve:
        return curve_of(self.certificate)


def self_signed(
    curve: Curve, seed: bytes, common_name: str, *, not_before_utc: float, server: bool, years: int = VALID_YEARS
) -> Identity:
    """A new pair. `seed` is 32 random bytes, `server` is true for a meter.

    Raises ValueError for more than VALID_YEARS.
    """
    if not 0 < years <= VALID_YEARS:
        raise ValueError(f"a certificate is valid for 1 to {VALID_YEARS} years, not {years}")
    key = ec.derive_private_key(PrivateKey.from_seed(curve, seed).scalar, _GROUPS[curve])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    begin = datetime.fromtimestamp(int(not_before_utc), UTC)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(b"\x01" + seed[:8], "big"))
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURE_ONLY, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(key, hashes.SHA256())
    )
    octets = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return Identity(certificate.public_bytes(Encoding.DER), octets)


_SIGNATURE_ONLY: Final = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def split(content: bytes) -> tuple[bytes, bytes]:
    """Certificate and key of DER behind DER; the key is empty where only a certificate stands.

    Raises LmnError when it is neither.
    """
    size = _der_size(content)
    certificate, key = content[:size], content[size:]
    curve_of(certificate)
    if key and _der_size(key) != len(key):
        raise LmnError("behind the certificate stands something else than one private key")
    return certificate, key


def _der_size(octets: bytes) -> int:
    """Size of the SEQUENCE that `octets` begin with."""
    if len(octets) < 4 or octets[0] != 0x30:
        raise LmnError("a certificate or key is no DER sequence")
    size, head = octets[1], 2
    if size == 0x81:
        size, head = octets[2], 3
    elif size == 0x82:
        size, head = int.from_bytes(octets[2:4], "big"), 4
    elif size >= 0x80:
        raise LmnError("a certificate or key is longer than any on this network")
    if head + size > len(octets):
        raise LmnError("a certificate or key is cut off")
    return head + size


def curve_of(certificate: bytes) -> Curve:
    """The curve of a certificate. Raises LmnError when it cannot be read or the curve is another one."""
    key = _certificate(certificate).public_key()
    curve = _CURVES.get(type(key.curve)) if isinstance(key, ec.EllipticCurvePublicKey) else None
    if curve is None:
        raise LmnError("a certificate's key is on none of the curves this network uses")
    return curve


def public_point(certificate: bytes) -> bytes:
    """X || Y of a certificate's key."""
    key = _certificate(certificate).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise LmnError("a certificate's key is on no curve")
    return _point(key)


def common_name(certificate: bytes) -> str:
    """Whom the certificate names."""
    found = _certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def expires_utc(certificate: bytes) -> float:
    """When a certificate ends. [Unix s]"""
    return _certificate(certificate).not_valid_after_utc.timestamp()


def check_dates(certificate: bytes, now_utc: float) -> None:
    """Raises LmnError when the certificate is not valid now, or longer than allowed."""
    read = _certificate(certificate)
    begin, end = read.not_valid_before_utc, read.not_valid_after_utc
    if not begin.timestamp() <= now_utc < end.timestamp():
        raise LmnError(f"the certificate of {common_name(certificate)} is valid from {begin} to {end}, not now")
    if end - begin > timedelta(days=365.25 * VALID_YEARS + 1):
        raise LmnError(f"the certificate of {common_name(certificate)} is valid for more than {VALID_YEARS} years")


def _certificate(octets: bytes) -> x509.Certificate:
    if not 0 < len(octets) <= CERTIFICATE_MAX:
        raise LmnError(f"a certificate of {len(octets)} bytes is not taken")
    try:
        return x509.load_der_x509_certificate(octets)
    except ValueError as error:
        raise LmnError("a certificate cannot be read") from error


def _private_key(octets: bytes) -> ec.EllipticCurvePrivateKey:
    if not 0 < len(octets) <= CERTIFICATE_MAX:
        raise LmnError(f"a private key of {len(octets)} bytes is not taken")
    try:
        key = load_der_private_key(octets, None)
    except (ValueError, TypeError) as error:
        raise LmnError("a private key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LmnError("a private key is on no curve")
    return key


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return _point(key.public_key())


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
