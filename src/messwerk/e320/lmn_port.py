"""The E320's socket on the wired network: power, symbol, error bits, and which protocol speaks.

One port is one node on a `lmn.Line`, or on a real device. It lives with the meter: mains off, and
address, channel and session are gone.
"""

from __future__ import annotations

from random import Random
from typing import Final

from ..errors import LmnError
from ..lmn import MeterExchange, MeterNode, Reason, Selector
from ..lmn.certificates import Identity, self_signed
from ..lmn.tls import Profile, TlsSession, TlsSide
from ..sml.session import SmlServer
from .error_register import Error
from .keys import KeyStore
from .lmn_application import LmnApplication, MeterSecrets
from .lmn_status import LmnStatus
from .meter import E320

BURST: Final = 10
"""Damaged pieces in a row, without a whole frame between, that are an HDLC error burst. [design]"""
STUCK_S: Final = 60.0
"""Bytes without any frame for this long are a line fault. [design]"""
FRAME_MAX: Final = 8192
"""Longest request file taken. [bytes; design]"""
MAKER_EPOCH_UTC: Final = 1_514_764_800.0
"""Begin of a maker's certificate, 2018-01-01: when this type came. [design]"""
_ENCRYPTED: Final = frozenset({Selector.TLS_COSEM, Selector.TLS})


def delivery(meter_id: str, initial_key: bytes, seed: bytes, meter: E320) -> KeyStore:
    """The key store a meter leaves the factory with: initial key, maker's certificate and key.

    `meter_id` stands in the certificate, `seed` are 32 random bytes.
    """
    maker = self_signed(meter.parameters.curve, seed, meter_id, not_before_utc=MAKER_EPOCH_UTC, server=True)
    store = KeyStore.delivered(initial_key)
    store.own_certificate, store.own_key = maker.certificate, maker.key
    return store


class LmnPort:
    """A node on the line for one meter."""

    def __init__(self, meter: E320, rng: Random, *, profile: Profile = Profile.E320_2018) -> None:
        """`rng` chooses addresses and slots."""
        self.meter: Final = meter
        self.profile: Final = profile
        self._life: LmnStatus = meter.lmn
        self._sml: SmlServer | None = None
        self._application: LmnApplication | None = None
        self._exchange: MeterExchange | None = None
        self._tls: TlsSession | None = None
        self._side: tuple[bytes, bytes, TlsSide] | None = None
        self._damaged = 0
        self._damaged_since: float | None = None
        self.node: Final = MeterNode(meter.server_id, self, rng)

    # --- the node --------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        return self.node.next_deadline if self.meter.on else None

    def receive(self, data: bytes, now: float) -> None:
        if self._alive(now):
            self.node.receive(data, now)

    def data_to_send(self, now: float) -> bytes:
        return self.node.data_to_send(now) if self._alive(now) else b""

    def _alive(self, now: float) -> bool:
        """Whether the meter has supply; begins anew when it was off in between."""
        if self._life is not self.meter.lmn:
            self.node.reset(now)
            self._life = self.meter.lmn
        return self.meter.on

    # --- protocols in the channel ----------------------------------------------------------

    @property
    def offered(self) -> frozenset[int]:
        """TLS once both certificates are there and fit; plain text and key exchange always."""
        plain = frozenset({Selector.SML_COSEM, Selector.KEY_EXCHANGE})
        return plain | _ENCRYPTED if self._tls_side() is not None else plain

    def _tls_side(self) -> TlsSide | None:
        keys = self.meter.keys
        if not keys.paired:
            return None
        known = self._side
        if known is not None and known[:2] == (keys.own_certificate, keys.gateway_certificate):
            return known[2]
        try:
            own = Identity(keys.own_certificate, keys.own_key)
            side = TlsSide(own, keys.gateway_certificate, server=True, profile=self.profile)
        except LmnError:
            self._raise(Error.CERTIFICATE)
            return None
        self._heal(Error.CERTIFICATE)
        self._side = keys.own_certificate, keys.gateway_certificate, side
        return side

    def opened(self, selector: int, now: float) -> None:
        self.meter.lmn.channel_open = True
        if selector == Selector.KEY_EXCHANGE:
            self._exchange = MeterExchange(MeterSecrets(self.meter), self.meter.server_id)
            return
        self._application = LmnApplication(self.meter, over_tls=selector in _ENCRYPTED)
        self._sml = SmlServer(self._application, max_frame=FRAME_MAX)
        if selector in _ENCRYPTED:
            side = self._tls_side()
            assert side is not None, "a channel opens only for what is offered"
            self._tls = side.session()

    def received(self, data: bytes, now: float) -> bytes:
        if self._exchange is not None:
            return self._exchanged(self._exchange, data)
        if self._tls is not None:
            return self._decrypted(self._tls, data)
        assert self._sml is not None
        return self._sml.receive(data)

    def _exchanged(self, exchange: MeterExchange, data: bytes) -> bytes:
        """Key exchange: what is not authentic or not new gets no answer at all."""
        try:
            answer = exchange.receive(data)
        except LmnError:
            self._raise(Error.SYMMETRIC_REJECTED)
            return b""
        except OSError:
            self._raise(Error.MEMORY_WRITE)
            return b""
        if answer:
            self._heal(Error.SYMMETRIC_REJECTED)
        return answer

    def _decrypted(self, tls: TlsSession, data: bytes) -> bytes:
        try:
            plain = tls.receive(data)
        except LmnError:
            self._raise(Error.TLS_HANDSHAKE)
            return tls.data_to_send()  # the alert
        if tls.ready and not self.meter.lmn.secured and not self._was_reset:
            self.meter.lmn.open_secured()
            self._heal(Error.TLS_HANDSHAKE)
            if not self.meter.secured_operation:
                self.meter.enter_secured_operation()
        if plain and self._sml is not None:
            tls.send(self._sml.receive(plain))
            if self._was_reset:
                tls.close()
        return tls.data_to_send()

    @property
    def _was_reset(self) -> bool:
        return self._application is not None and self._application.reset

    @property
    def hang_up(self) -> bool:
        return self._tls is not None and self._tls.closed

    def closed(self, reason: Reason, now: float) -> None:
        status = self._life
        status.channel_open = False
        if status.secured:
            status.close_secured(self.meter.uptime_s)
        self._sml = self._application = self._exchange = self._tls = None

    # --- what the display and the error register learn -------------------------------------

    def heard(self, now: float) -> None:
        self.meter.lmn.heard(self.meter.uptime_s)
        self._damaged, self._damaged_since = 0, None
        self._heal(Error.LMN_LINE | Error.HDLC_BURST)

    def damaged(self, now: float) -> None:
        self._damaged += 1
        self._damaged_since = now if self._damaged_since is None else self._damaged_since
        if self._damaged >= BURST:
            self._raise(Error.HDLC_BURST)
        if now - self._damaged_since >= STUCK_S:
            self._raise(Error.LMN_LINE)

    def passed(self, now: float) -> None:
        """Nothing here waits for time alone."""

    def _raise(self, error: Error) -> None:
        if self.meter.error_register & error != error:
            self.meter.raise_error(error)

    def _heal(self, error: Error) -> None:
        if self.meter.error_register & error:
            self.meter.heal_error(error)
