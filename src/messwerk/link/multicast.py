"""Programs that hear each other: UDP multicast for everybody, TCP for one of them.

Made for loopback: datagrams leave by the interface named and live for no hop, so that nothing
reaches a network unless somebody names an interface that leads there.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from ..errors import LocalError, PeerLost
from .tcp import RequestServer, RequestSession, TcpClient, serve_requests

log = logging.getLogger(__name__)

RECEIVE_BUFFER: Final = 1 << 20
"""Asked of the system for datagrams that wait. [bytes]"""
WAITING_MAX: Final = 64
"""Messages that may wait for a peer; more are lost and counted."""
PEERS_MAX: Final = 256
IDLE_S: Final = 30.0
"""A connection nobody used for so long is closed; the other side would after 120 s."""


class Multicast:
    """One program's place on a multicast group of this machine. Use as an async context manager.

    `datagram` gets each datagram and the host it came from, own ones too; `make_session` takes
    what peers transmit. Raises LocalError.
    """

    def __init__(
        self,
        group: str,
        port: int,
        datagram: Callable[[bytes, str], None],
        make_session: Callable[[], RequestSession],
        *,
        interface: str = "127.0.0.1",
    ) -> None:
        self.group, self.port, self.interface = group, port, interface
        self.lost = 0
        """Datagrams and messages that found no way."""
        self._datagram, self._make_session = datagram, make_session
        self._server: RequestServer | None = None
        self._listening: asyncio.DatagramTransport | None = None
        self._socket: socket.socket | None = None
        self._peers: dict[tuple[str, int], _Peer] = {}

    @property
    def own(self) -> tuple[str, int]:
        """Where this program takes what is transmitted to it."""
        assert self._server is not None, "start first"
        return self.interface, self._server.port

    async def __aenter__(self) -> Self:
        self._server = await serve_requests(self.interface, 0, self._make_session)
        try:
            self._socket = self._sending()
            self._listening, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self._datagram), sock=self._receiving()
            )
        except OSError as error:
            await self.__aexit__()
            raise LocalError(
                f"no multicast on {self.group}:{self.port} by {self.interface}: {error.strerror or error}; "
                "choose a group of 239.0.0.0/8, and an interface of this machine"
            ) from error
        return self

    async def __aexit__(self, *exc: object) -> None:
        for peer in tuple(self._peers.values()):
            await peer.close()
        if self._listening is not None:
            self._listening.close()
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            await self._server.close()

    def multicast(self, datagram: bytes) -> None:
        """Send to everybody; lost when the system has no room for it."""
        assert self._socket is not None, "start first"
        try:
            self._socket.sendto(datagram, (self.group, self.port))
        except OSError as error:
            self.lost += 1
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                log.warning("multicast to %s:%d failed: %s", self.group, self.port, error)

    def transmit(self, peer: tuple[str, int], message: bytes) -> None:
        """Send to one program, in order; lost when it can't be reached or does not read."""
        found = self._peers.get(peer)
        if found is None or found.finished:
            if len(self._peers) >= PEERS_MAX:
                self._peers = {address: one for address, one in self._peers.items() if not one.finished}
            if len(self._peers) >= PEERS_MAX:
                self.lost += 1
                return
            found = self._peers[peer] = _Peer(*peer)
        self.lost += not found.put(message)

    def _sending(self) -> socket.socket:
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sending.setblocking(False)
        sending.bind((self.interface, 0))
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self.interface))
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        return sending

    def _receiving(self) -> socket.socket:
        receiving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            receiving.setblocking(False)
            receiving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if hasattr(socket, "SO_REUSEPORT"):
                receiving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            receiving.bind((self.group, self.port))
            membership = socket.inet_aton(self.group) + socket.inet_aton(self.interface)
            receiving.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        except OSError:
            receiving.close()
            raise
        return receiving


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, taken: Callable[[bytes, str], None]) -> None:
        self._taken = taken

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._taken(data, addr[0])


class _Peer:
    """Messages on their way to one other program."""

    def __init__(self, host: str, port: int) -> None:
        self._client = TcpClient(host, port)
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        self.finished = False
        """Whether it takes no more."""
        self._task = asyncio.create_task(self._send(), name=f"bus to {host}:{port}")

    def put(self, message: bytes) -> bool:
        """Whether there was room."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(message)
            return True
        return False

    async def _send(self) -> None:
        try:
            async with self._client:
                while True:
                    message = await self._next()
                    await self._client.send(message)
        except TimeoutError:
            return
        except PeerLost as error:
            log.warning("bus: %s", error)
        finally:
            self.finished = True

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(IDLE_S):
                return await self._waiting.get()
        except TimeoutError:
            self.finished = True  # before the connection closes: what comes meanwhile gets a new one
            raise

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
