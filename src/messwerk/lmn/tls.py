"""TLS on the wired network: the meter is the server, the gateway the client, both show certificates.

The protocol is OpenSSL's, through the standard library; here are the rules of TR-03116-3: which
versions and suites, no renegotiation, no resumption, the peer's certificate exactly the stored
one, short records. Sans I/O: ciphertext in, plaintext out.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)

from ..errors import LmnError
from ..signing import Curve
from .certificates import Identity, curve_of

SESSION_MAX_S: Final = 744 * 3600
"""Longest life of a session, 31 days; the gateway sees to it."""
PLAIN_MAX: Final = 440
"""Plaintext of one record: with IV, MAC and padding of every suite the record stays within RECORD_MAX."""
RECORD_MAX: Final = 512
"""Longest record sent, header included. [bytes; the length a gateway program asks for]"""
UNREAD_MAX: Final = 1 << 17
"""Plaintext one `receive` may yield. [bytes]"""

_NO_ENCRYPT_THEN_MAC: Final = 1 << 19
"""SSL_OP_NO_ENCRYPT_THEN_MAC, which the ssl module does not name."""
_NO_CHECK_TIME: Final = 0x20_0000
"""X509_V_FLAG_NO_CHECK_TIME: a meter has no clock; the gateway checks dates itself."""
_PARTIAL_CHAIN: Final = 0x8_0000
"""X509_V_FLAG_PARTIAL_CHAIN: the stored certificate is trusted as it stands."""
_GROUPS: Final = {Curve.P256: "prime256v1", Curve.BP256: "brainpoolP256r1"}


class Profile(Enum):
    """Which TLS a device speaks."""

    E320_2018 = "e320-2018"
    """TLS 1.2 with C0 23 alone, MAC then encrypt."""
    SMGW_2025 = "2025"
    """Every suite of TR-03116-3 of 2025, encrypt then MAC, TLS 1.3 on P-256."""


_CBC_128: Final = "ECDHE-ECDSA-AES128-SHA256"
_SUITES: Final[dict[Profile, tuple[str, ...]]] = {
    Profile.E320_2018: (_CBC_128,),
    Profile.SMGW_2025: (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        _CBC_128,
        "ECDHE-ECDSA-AES256-SHA384",
    ),
}
_SUITES_1_3: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")


@dataclass(frozen=True, slots=True)
class Established:
    """What a handshake agreed on."""

    version: str
    suite: str


class TlsSide:
    """Who we are and whom we expect; makes sessions. Building one costs some milliseconds."""

    def __init__(self, own: Identity, peer_certificate: bytes, *, server: bool, profile: Profile) -> None:
        """Raises LmnError when a certificate cannot be used, or the two are on different curves."""
        if curve_of(peer_certificate) is not own.curve:
            raise LmnError("both certificates of a TLS session must be on the same curve")
        self.peer_certificate: Final = peer_certificate
        self.own_certificate: Final = own.certificate
        self.server: Final = server
        self.permitted: Final = _SUITES[profile] + _SUITES_1_3
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the certificate itself is compared, whatever it names
        context.verify_mode = ssl.CERT_REQUIRED
        newest = profile is Profile.SMGW_2025 and own.curve is Curve.P256  # OpenSSL 3.0: no Brainpool in 1.3
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_3 if newest else ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(_SUITES[profile]))
        context.set_ecdh_curve(_GROUPS[own.curve])
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
        if profile is Profile.E320_2018:
            context.options |= _NO_ENCRYPT_THEN_MAC
        if server:
            context.num_tickets = 0
        context.verify_flags |= _NO_CHECK_TIME | _PARTIAL_CHAIN
        context.load_verify_locations(cadata=peer_certificate)
        _load(context, own)
        self._context: Final = context

    def session(self) -> TlsSession:
        """A session that has not begun."""
        return TlsSession(self._context, self)


def _load(context: ssl.SSLContext, own: Identity) -> None:
    """Hand our identity to OpenSSL, which takes it from a file: encrypted, for this moment only."""
    password = secrets.token_hex(16).encode()
    key = load_der_private_key(own.key, None)
    certificate = x509.load_der_x509_certificate(own.certificate)
    pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(password)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.pem"
        path.write_bytes(pem)
        context.load_cert_chain(path, password=password)


class TlsSession:
    """One session. Feed `receive`, send what `data_to_send` gives, from the very beginning.

    After an LmnError the session is dead; `data_to_send` still has the alert for the peer.
    """

    def __init__(self, context: ssl.SSLContext, side: TlsSide) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.side: Final = side
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=side.server)
        self._waiting = bytearray()
        self.established: Established | None = None
        """What was agreed on; None until both sides are proven."""
        self.closed = False
        """The peer said goodbye, or the session failed."""
        if not side.server:
            self._handshake()

    @property
    def ready(self) -> bool:
        return self.established is not None and not self.closed

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext; returns the plaintext that came out.

        Raises LmnError when the handshake fails, the peer is not the expected one, or a record
        is not authentic.
        """
        if self.closed:
            return b""
        self._incoming.write(data)
        if self.established is None:
            self._handshake()
        if self.established is None:
            return b""
        plain = bytearray()
        try:
            while len(plain) < UNREAD_MAX:
                octets = self._tls.read(1 << 14)
                if not octets:
                    self.closed = True
                    break
                plain += octets
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        except ssl.SSLError as error:
            raise self._failed(error) from error
        return bytes(plain)

    def send(self, plain: bytes) -> None:
        """Encrypt; before the handshake is done, keep for later."""
        self._waiting += plain
        if self.ready:
            self._write()

    def data_to_send(self) -> bytes:
        """Ciphertext for the peer."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say goodbye."""
        if self.ready:
            with suppress(ssl.SSLError):  # we do not wait for the peer's goodbye
                self._tls.unwrap()
        self.closed = True

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise self._failed(error) from error
        shown = self._tls.getpeercert(binary_form=True) or b""
        cipher = self._tls.cipher()
        suite = cipher[0] if cipher else ""
        if not hmac.compare_digest(shown, self.side.peer_certificate):
            self.closed = True
            raise LmnError("the peer shows another certificate than the stored one")
        if suite not in self.side.permitted:
            self.closed = True
            raise LmnError(f"the handshake ended with {suite}, which this network does not permit")
        self.established = Established(self._tls.version() or "", suite)
        self._write()

    def _write(self) -> None:
        try:
            while self._waiting:
                self._tls.write(bytes(self._waiting[:PLAIN_MAX]))
                del self._waiting[:PLAIN_MAX]
        except ssl.SSLError as error:
            raise self._failed(error) from error

    def _failed(self, error: ssl.SSLError) -> LmnError:
        self.closed = True
        self._waiting.clear()
        return LmnError(f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}")
