"""One channel to one meter with what runs inside it: key exchange, plain SML, or SML over TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ..errors import LmnError
from ..lmn.channel import Closed, GatewayChannel, Opened, Received
from ..lmn.security import GatewayExchange
from ..lmn.tls import TlsSession
from ..sml.session import Request, ResponseFile, SmlClient

CLIENT_ID: Final = b"MESSWERK"
"""What the gateway calls itself in open requests."""
ANSWER_S: Final = 10.0
"""How long a meter may take for a handshake step, an exchange or an answer. [design]"""

ENDED: Final = "ended"
"""`failure` of a conversation that we ended ourselves."""


class Conversation:
    """Drives a channel. `step` after every event of the line; `failure` says why it ended."""

    def __init__(
        self,
        channel: GatewayChannel,
        now: float,
        counter: Iterator[int],
        *,
        tls: TlsSession | None = None,
        exchange: GatewayExchange | None = None,
    ) -> None:
        self.channel: Final = channel
        self.tls: Final = tls
        self.exchange: Final = exchange
        self.opened_s: Final = now
        self.failure: str | None = None
        """Why the conversation is over; None while it lives."""
        self.told = False
        """The owner has worked the end off."""
        self.answers: list[ResponseFile] = []
        self._client = SmlClient(CLIENT_ID, counter=counter)
        self._deadline: float | None = now + ANSWER_S
        self._asked = 0
        channel.expecting = False

    @property
    def ready(self) -> bool:
        """Requests may be asked now, or the exchange runs."""
        return self.failure is None and self.channel.open and (self.tls is None or self.tls.ready)

    @property
    def next_deadline(self) -> float | None:
        return self._deadline if self.failure is None else None

    @property
    def waiting(self) -> bool:
        """An answer is outstanding."""
        return self._asked > 0

    def ask(self, server_id: bytes, requests: Sequence[Request], now: float) -> None:
        """Send a request file; its answer comes into `answers`."""
        wire = self._client.request(server_id, requests)
        self._asked += 1
        self._deadline = now + ANSWER_S
        if self.tls is not None:
            self.tls.send(wire)
            wire = self.tls.data_to_send()
        self.channel.send(wire)
        self.channel.expecting = True

    def end(self) -> None:
        """Say goodbye and close the channel."""
        if self.failure is None:
            self.failure = ENDED
            if self.tls is not None and self.channel.open:
                self.tls.close()
        self.channel.disconnect()

    def step(self, now: float) -> None:
        """Work off what came. Failures end the conversation and are told in `failure`."""
        for event in self.channel.events():
            match event:
                case Opened():
                    self._begin()
                case Received(data):
                    self._receive(data, now)
                case Closed(reason):
                    self.failure = self.failure or reason.value
        if self.failure is None and self._deadline is not None and now >= self._deadline:
            self._fail("the meter does not answer")

    def _begin(self) -> None:
        self.channel.expecting = True
        if self.tls is not None:
            self.channel.send(self.tls.data_to_send())
        elif self.exchange is not None:
            self.channel.send(self.exchange.start())
        else:
            self.channel.expecting = False
            self._deadline = None

    def _receive(self, data: bytes, now: float) -> None:
        if self.failure is not None:
            return
        try:
            if self.exchange is not None:
                self._exchange(self.exchange, data, now)
            elif self.tls is not None:
                self._decrypt(self.tls, data)
            else:
                self._take(data)
        except LmnError as error:
            if self.tls is not None:
                self.channel.send(self.tls.data_to_send())  # the alert
            self._fail(str(error))

    def _exchange(self, exchange: GatewayExchange, data: bytes, now: float) -> None:
        answer = exchange.receive(data)
        self.channel.send(answer)
        self._deadline = None if exchange.finished else now + ANSWER_S
        self.channel.expecting = not exchange.finished

    def _decrypt(self, tls: TlsSession, data: bytes) -> None:
        was_ready = tls.ready
        plain = tls.receive(data)
        self.channel.send(tls.data_to_send())
        if tls.ready and not was_ready:
            self._settle()
        self._take(plain)
        if tls.closed:
            self._fail("the meter ended the TLS session")

    def _take(self, plain: bytes) -> None:
        for file in self._client.receive(plain):
            if file.solicited:
                self._asked -= 1
                self.answers.append(file)
        self._settle()

    def _settle(self) -> None:
        """Nothing outstanding: no polls, no deadline."""
        if self._asked == 0 and (self.tls is None or self.tls.ready):
            self.channel.expecting = False
            self._deadline = None

    def _fail(self, why: str) -> None:
        self.failure = why
        self.channel.expecting = False
        self.channel.disconnect()
