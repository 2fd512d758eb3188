"""TCP in three roles: a meter that broadcasts, a device that answers, a client that asks.

Every buffer and every wait has a bound, because the other end may be slow, silent or hostile.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, Self, TypeVar, cast, runtime_checkable

from ..errors import BusyError, LocalError, MesswerkError, PeerLost

T = TypeVar("T")
log = logging.getLogger(__name__)

READ_SIZE: Final = 65536
MAX_PENDING: Final = 65536
"""Bytes a slow reader may leave unread before a broadcast drops it: over a minute of telegrams."""
MAX_CONNECTIONS: Final = 256
"""Peers served at once by one port; more are turned away and counted."""


class RequestSession(Protocol):
    """One peer's conversation, sans I/O: bytes in, bytes to send back out."""

    def receive(self, data: bytes) -> bytes: ...


@runtime_checkable
class DeferringSession(RequestSession, Protocol):
    """A session some of whose answers come later, say after a commit to disk."""

    def attach(self, send: Callable[[bytes], None]) -> None:
        """Called once when the peer has connected; `send` may be called any time after.

        Bytes sent after the peer has gone are dropped.
        """
        ...


@runtime_checkable
class EndingSession(RequestSession, Protocol):
    """A session that holds something as long as its peer is there, say a telephone line."""

    def ended(self) -> None:
        """Called once when the peer has gone."""
        ...


class _Listener:
    """A listening port and its life: start, `port`, close. Protocols come from a factory."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        """The port asked for; with 0, the one the system chose once started."""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()
        self.refused = 0
        """Peers turned away because `MAX_CONNECTIONS` were served already."""

    async def _listen(self, factory: Callable[[], asyncio.Protocol]) -> None:
        try:
            self._server = await asyncio.get_running_loop().create_server(factory, self.host, self.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BusyError(
                    f"port {self.port} of {self.host} is in use: stop the program that holds it or choose another port"
                ) from error
            raise LocalError(
                f"cannot listen on {self.host}:{self.port}: {error.strerror or error}; "
                "choose an address of this machine and a port above 1023"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def _admit(self, transport: asyncio.Transport) -> bool:
        if len(self._connections) >= MAX_CONNECTIONS:
            self.refused += 1
            transport.abort()
            return False
        self._connections.add(transport)
        return True

    def _forget(self, transport: asyncio.Transport) -> None:
        self._connections.discard(transport)

    @property
    def connections(self) -> int:
        """Peers connected right now."""
        return len(self._connections)

    async def close(self) -> None:
        """Stop listening and hang up on everybody; safe to call twice."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for transport in tuple(self._connections):
            transport.abort()
        await server.wait_closed()

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


# --- a meter that broadcasts ---------------------------------------------------------------


class Broadcast(_Listener):
    """A TCP port where every connected reader hears every telegram sent.

    A reader that lets more than `max_pending` bytes pile up is disconnected and counted in
    `dropped`; the others never notice. What readers send is ignored.
    """

    def __init__(self, host: str, port: int, *, max_pending: int = MAX_PENDING) -> None:
        super().__init__(host, port)
        self.max_pending = max_pending
        self.dropped = 0

    async def start(self) -> Self:
        """Listen. Raises BusyError naming host and port, or LocalError."""
        await self._listen(lambda: _Listening(self))
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    def send(self, data: bytes) -> None:
        """Hand `data` to every reader; returns at once."""
        for transport in tuple(self._connections):
            if transport.is_closing():
                continue
            if transport.get_write_buffer_size() + len(data) > self.max_pending:
                self.dropped += 1
                transport.abort()
            else:
                transport.write(data)


class _Listening(asyncio.Protocol):
    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._broadcast._admit(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._broadcast._forget(self._transport)


# --- a device that answers -----------------------------------------------------------------


class RequestServer(_Listener):
    """A TCP port where each peer gets a `RequestSession` of its own. Made by `serve_requests`."""

    def __init__(self, host: str, port: int, make_session: Callable[[], RequestSession], idle_s: float) -> None:
        super().__init__(host, port)
        self.make_session = make_session
        self.idle_s = idle_s
        self.failed = 0
        """Connections closed because their session raised."""
        self.timed_out = 0
        """Connections closed because the peer was silent, or did not read its answers, for `idle_s`."""

    async def start(self) -> Self:
        """Listen. Raises BusyError naming host and port, or LocalError."""
        await self._listen(lambda: _Answering(self))
        return self

    async def __aenter__(self) -> Self:
        return self if self._server else await self.start()


async def serve_requests(
    host: str, port: int, make_session: Callable[[], RequestSession], *, idle_s: float = 120.0
) -> RequestServer:
    """Serve request sessions on a TCP port until `close`.

    Silent peers are disconnected after `idle_s` seconds. A peer that does not read its answers
    is not read from either, so its unread answers stay bounded by one more receive. A session
    that raises loses its own connection, nobody else's.
    Raises BusyError naming host and port, or LocalError.
    """
    return await RequestServer(host, port, make_session, idle_s).start()


class _Answering(asyncio.Protocol):
    def __init__(self, server: RequestServer) -> None:
        self._server = server
        self._session = server.make_session()
        self._watchdog: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._server._admit(self._transport):
            self._rearm()
            if isinstance(self._session, DeferringSession):
                self._session.attach(self._send)

    def data_received(self, data: bytes) -> None:
        self._rearm()
        try:
            answer = self._session.receive(data)
        except MesswerkError as error:
            log.warning("closing %s: %s", self._peer, error)
            self._fail()
        except Exception:
            log.exception("closing %s: a session failed, please report this", self._peer)
            self._fail()
        else:
            if answer:
                self._transport.write(answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._rearm()
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._server._forget(self._transport)
        if isinstance(self._session, EndingSession):
            self._session.ended()

    @property
    def _peer(self) -> str:
        address = self._transport.get_extra_info("peername")
        return f"{address[0]}:{address[1]}" if address else "a peer"

    def _fail(self) -> None:
        self._server.failed += 1
        self._transport.abort()

    def _rearm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(self._server.idle_s, self._time_out)

    def _time_out(self) -> None:
        self._server.timed_out += 1
        self._transport.abort()


# --- a client that asks --------------------------------------------------------------------


class TcpClient:
    """One connection to a device, opened on entering the context or by `connect`.

    `connect_timeout_s` bounds the connection, `request_timeout_s` one whole exchange. Whatever
    goes wrong at the other end is PeerLost and says what.
    """

    def __init__(
        self, host: str, port: int, *, connect_timeout_s: float = 5.0, request_timeout_s: float = 10.0
    ) -> None:
        self.host, self.port = host, port
        self.connect_timeout_s, self.request_timeout_s = connect_timeout_s, request_timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    async def connect(self) -> Self:
        """Open the connection. Raises PeerLost."""
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        except TimeoutError as error:
            raise PeerLost(f"{self} does not answer within {self.connect_timeout_s:g} s") from error
        except ConnectionRefusedError as error:
            raise PeerLost(f"nothing listens at {self}: is the device running, is the port right?") from error
        except socket.gaierror as error:
            raise PeerLost(f"the name {self.host} is not known: {error.strerror}") from error
        except OSError as error:
            raise PeerLost(f"{self} cannot be reached: {error.strerror or error}") from error
        return self

    async def send(self, data: bytes) -> None:
        """Send `data`. Raises PeerLost when the peer is gone or takes nothing in time."""
        assert self._writer is not None, "connect first"
        try:
            async with asyncio.timeout(self.request_timeout_s):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError as error:
            raise PeerLost(f"{self} takes no bytes for {self.request_timeout_s:g} s") from error
        except OSError as error:
            raise PeerLost(f"{self} is gone: {error.strerror or error}") from error

    async def receive(self) -> bytes:
        """Whatever has arrived, waiting without limit; `b""` once the peer has closed. Raises PeerLost."""
        assert self._reader is not None, "connect first"
        try:
            return await self._reader.read(READ_SIZE)
        except OSError as error:
            raise PeerLost(f"{self} is gone: {error.strerror or error}") from error

    async def exchange(self, request: bytes, take: Callable[[bytes], T | None]) -> T:
        """Send `request` and hand every arriving chunk to `take` until it returns a result.

        `take` is usually a session's `receive` that returns None while the answer is incomplete.
        Raises PeerLost when the whole exchange takes longer than `request_timeout_s`, or the
        peer closes first; what `take` raises passes through.
        """
        try:
            async with asyncio.timeout(self.request_timeout_s):
                await self.send(request)
                while data := await self.receive():
                    if (result := take(data)) is not None:
                        return result
        except TimeoutError as error:
            raise PeerLost(f"{self} gave no complete answer within {self.request_timeout_s:g} s") from error
        raise PeerLost(f"{self} closed the connection before its answer was complete")

    async def close(self) -> None:
        """Hang up; safe to call twice."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
