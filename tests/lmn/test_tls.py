"""TLS on the wired network: against itself, against openssl, and against an attacker."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.errors import LmnError
from messwerk.lmn.certificates import (
    Identity,
    check_dates,
    common_name,
    expires_utc,
    public_point,
    self_signed,
    split,
)
from messwerk.lmn.tls import RECORD_MAX, Profile, TlsSession, TlsSide
from messwerk.signing import Curve, PrivateKey

NOW = 1_400_000_000.0
"""Long ago: every certificate here has expired by this machine's clock."""
CURVES = [Curve.P256, Curve.BP256]


@cache
def pair(curve: Curve, seed: int = 0) -> tuple[Identity, Identity]:
    """A meter's and a gateway's identity."""
    rng = Random(seed)
    return (
        self_signed(curve, rng.randbytes(32), "1LGZ0063539421", not_before_utc=NOW, server=True),
        self_signed(curve, rng.randbytes(32), "EMSW0000000001.lmn", not_before_utc=NOW, server=False),
    )


def sides(
    curve: Curve, profile: Profile = Profile.E320_2018, asking: Profile | None = None
) -> tuple[TlsSession, TlsSession]:
    meter, gateway = pair(curve)
    server = TlsSide(meter, gateway.certificate, server=True, profile=profile)
    client = TlsSide(gateway, meter.certificate, server=False, profile=asking or profile)
    return server.session(), client.session()


def records(stream: bytes) -> list[int]:
    """Sizes of the TLS records, header included."""
    sizes = []
    while stream:
        size = 5 + int.from_bytes(stream[3:5], "big")
        sizes.append(size)
        stream = stream[size:]
    return sizes


def talk(server: TlsSession, client: TlsSession, piece: int = 100_000) -> tuple[bytes, bytes, bytes]:
    """Carry bytes both ways until both are silent: what each read, and everything the server sent."""
    at_server = at_client = wire = b""
    while True:
        up, down = client.data_to_send(), server.data_to_send()
        wire += down
        if not up and not down:
            return at_server, at_client, wire
        for at in range(0, len(up), piece):
            at_server += server.receive(up[at : at + piece])
        for at in range(0, len(down), piece):
            at_client += client.receive(down[at : at + piece])


AGREED = [
    (Curve.P256, Profile.E320_2018, Profile.E320_2018, "TLSv1.2", "ECDHE-ECDSA-AES128-SHA256"),
    (Curve.BP256, Profile.E320_2018, Profile.E320_2018, "TLSv1.2", "ECDHE-ECDSA-AES128-SHA256"),
    (Curve.P256, Profile.E320_2018, Profile.SMGW_2025, "TLSv1.2", "ECDHE-ECDSA-AES128-SHA256"),
    (Curve.BP256, Profile.SMGW_2025, Profile.SMGW_2025, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (Curve.P256, Profile.SMGW_2025, Profile.SMGW_2025, "TLSv1.3", ""),
]


@pytest.mark.parametrize(("curve", "profile", "asking", "version", "suite"), AGREED)
def test_profiles_agree(curve: Curve, profile: Profile, asking: Profile, version: str, suite: str) -> None:
    """Old and new profiles find the expected version and suite on both curves; data flows both ways."""
    server, client = sides(curve, profile, asking)
    client.send(b"question")
    server.send(b"answer" * 500)
    at_server, at_client, wire = talk(server, client, piece=7)
    assert (at_server, at_client) == (b"question", b"answer" * 500)
    assert server.established is not None
    assert server.established == client.established
    assert server.established.version == version
    assert not suite or server.established.suite == suite
    assert max(records(wire)) <= RECORD_MAX


def test_end_of_session() -> None:
    """A goodbye closes the other side; what comes later is ignored."""
    server, client = sides(Curve.P256)
    talk(server, client)
    client.close()
    talk(server, client)
    assert server.closed
    assert not client.ready


def test_wrong_certificates_are_refused() -> None:
    """Neither side accepts another certificate than the stored one, even of the same name."""
    meter, gateway = pair(Curve.P256)
    other_meter, other_gateway = pair(Curve.P256, seed=1)
    for server_side, client_side in (
        (TlsSide(other_meter, gateway.certificate, server=True, profile=Profile.E320_2018), (gateway, meter)),
        (TlsSide(meter, gateway.certificate, server=True, profile=Profile.E320_2018), (other_gateway, meter)),
    ):
        own, peer = client_side
        client = TlsSide(own, peer.certificate, server=False, profile=Profile.E320_2018)
        server_session, client_session = server_side.session(), client.session()
        with pytest.raises(LmnError, match="TLS failed"):
            talk(server_session, client_session)
        assert not server_session.ready


def test_meter_ignores_dates_and_gateway_checks_them() -> None:
    """TLS itself works with expired certificates, as a meter has no clock; dates are the gateway's."""
    meter, _ = pair(Curve.P256)
    check_dates(meter.certificate, NOW + 1)
    for wrong in (NOW - 10, expires_utc(meter.certificate)):
        with pytest.raises(LmnError, match="valid from"):
            check_dates(meter.certificate, wrong)
    server, client = sides(Curve.P256)
    talk(server, client)
    assert server.ready


def test_curves_must_fit() -> None:
    """Certificates on different curves are told before any handshake."""
    with pytest.raises(LmnError, match="same curve"):
        TlsSide(pair(Curve.P256)[0], pair(Curve.BP256)[1].certificate, server=True, profile=Profile.E320_2018)


def test_certificate_and_key_travel_together() -> None:
    """DER behind DER is cut where it belongs; a foreign key does not become an identity."""
    meter, gateway = pair(Curve.P256)
    assert split(meter.certificate + meter.key) == (meter.certificate, meter.key)
    assert split(meter.certificate) == (meter.certificate, b"")
    assert (len(meter.key), common_name(meter.certificate)) == (121, "1LGZ0063539421")
    assert public_point(meter.certificate) == PrivateKey.from_seed(Curve.P256, Random(0).randbytes(32)).public.point
    with pytest.raises(LmnError, match="do not belong together"):
        Identity(meter.certificate, gateway.key)
    for broken in (b"", meter.certificate[:-1], meter.key, meter.certificate + meter.key + b"x", b"\x30\x84" * 4):
        with pytest.raises(LmnError):
            split(broken)


def test_secrets_do_not_show() -> None:
    """The key is in no repr."""
    meter, _ = pair(Curve.P256)
    assert meter.key.hex() not in repr(meter)
    assert repr(meter.key) not in repr(meter)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 7))
def test_an_altered_handshake_or_record_is_never_accepted(place: int, bit: int) -> None:
    """One flipped bit of the server's bytes ends the session, or at least no wrong byte is read."""
    server, client = sides(Curve.P256)
    server.send(b"reading " * 20)
    sent = 0
    got = b""
    with suppress(LmnError):
        while True:
            up, down = client.data_to_send(), bytearray(server.data_to_send())
            if not up and not down:
                break
            if sent <= place < sent + len(down):
                down[place - sent] ^= 1 << bit
            sent += len(down)
            server.receive(up)
            got += client.receive(bytes(down))
    assert got in (b"", b"reading " * 20)  # a record's version field alone is not protected


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_open_nothing(data: bytes) -> None:
    """Random bytes end in a refusal or in waiting."""
    server = _server()
    try:
        assert server.receive(data) == b""
    except LmnError:
        assert server.closed
    assert not server.ready


@cache
def _side() -> TlsSide:
    meter, gateway = pair(Curve.P256)
    return TlsSide(meter, gateway.certificate, server=True, profile=Profile.E320_2018)


def _server() -> TlsSession:
    return _side().session()


# --- openssl on the other end --------------------------------------------------------------

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def files(folder: Path, identity: Identity, peer: Identity) -> list[str]:
    """The arguments that give openssl this identity and the certificate to expect."""
    for name, octets in (("own.der", identity.certificate), ("own.key", identity.key)):
        (folder / name).write_bytes(octets)
    pem = x509.load_der_x509_certificate(peer.certificate).public_bytes(Encoding.PEM)
    (folder / "peer.pem").write_bytes(pem)
    return [
        "-cert", str(folder / "own.der"), "-certform", "DER", "-key", str(folder / "own.key"), "-keyform", "DER",
        "-CAfile", str(folder / "peer.pem"), "-no_check_time", "-partial_chain", "-verify_return_error",
    ]  # fmt: skip


def bridge(connection: socket.socket, session: TlsSession, until: bytes) -> bytes:
    """Carry bytes between a socket and a session until `until` was read."""
    plain = b""
    connection.settimeout(10)
    while until not in plain:
        connection.sendall(session.data_to_send())
        data = connection.recv(65536)
        if not data:
            break
        plain += session.receive(data)
    connection.sendall(session.data_to_send())
    return plain


OPENSSL = [
    (Curve.P256, ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256", "-maxfraglen", "512"], Profile.E320_2018),
    (Curve.BP256, ["-tls1_2", "-groups", "brainpoolP256r1"], Profile.E320_2018),
    (Curve.P256, ["-tls1_3"], Profile.SMGW_2025),
]


@needs_openssl
@pytest.mark.parametrize(("curve", "options", "profile"), OPENSSL)
def test_openssl_as_gateway(curve: Curve, options: list[str], profile: Profile, tmp_path: Path) -> None:
    """`openssl s_client` completes the handshake with a meter and is read."""
    meter, gateway = pair(curve)
    session = TlsSide(meter, gateway.certificate, server=True, profile=profile).session()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-quiet"]
        client = subprocess.Popen(
            [*command, *options, *files(tmp_path, gateway, meter)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert client.stdin is not None
        try:
            connection, _ = listener.accept()
            with connection:
                client.stdin.write(b"from openssl\n")
                client.stdin.flush()
                assert bridge(connection, session, b"openssl\n") == b"from openssl\n"
                assert session.established is not None
        finally:
            client.terminate()
            client.communicate(timeout=10)


@needs_openssl
def test_openssl_with_older_tls_is_refused(tmp_path: Path) -> None:
    """TLS 1.1 and a client without certificate get no session."""
    meter, gateway = pair(Curve.P256)
    for options, extra in ((["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], True), (["-tls1_2"], False)):
        session = TlsSide(meter, gateway.certificate, server=True, profile=Profile.E320_2018).session()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}", "-quiet"]
            identity = files(tmp_path, gateway, meter)
            client = subprocess.Popen(
                [*command, *options, *(identity if extra else [])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            try:
                connection, _ = listener.accept()
                with connection, pytest.raises(LmnError):
                    bridge(connection, session, b"never")
                assert not session.ready
            finally:
                client.terminate()
                client.communicate(timeout=10)


@needs_openssl
@pytest.mark.parametrize("curve", CURVES)
def test_openssl_as_meter(curve: Curve, tmp_path: Path) -> None:
    """Our gateway completes the handshake with `openssl s_server` and reads it."""
    meter, gateway = pair(curve)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    group = "prime256v1" if curve is Curve.P256 else "brainpoolP256r1"
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-Verify", "1", "-tls1_2", "-rev",
         "-named_curve", group, *files(tmp_path, meter, gateway)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        lines, started = server.stdout, threading.Event()

        def listen() -> None:
            for said in lines:
                if said.startswith(b"ACCEPT"):
                    started.set()
                    return

        threading.Thread(target=listen, daemon=True).start()
        assert started.wait(10)
        session = TlsSide(gateway, meter.certificate, server=False, profile=Profile.SMGW_2025).session()
        session.send(b"retem\n")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert bridge(connection, session, b"\n") == b"meter\n"
    finally:
        server.terminate()
        server.communicate(timeout=10)
