"""Real sockets on the loopback: broadcast, request server and client, with peers that misbehave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from messwerk.errors import BusyError, DecodeError, LocalError, PeerLost
from messwerk.link import tcp
from messwerk.link.tcp import Broadcast, RequestServer, TcpClient, serve_requests

HOST = "127.0.0.1"


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds; fail after five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110, the condition is other code's state
            await asyncio.sleep(0.005)


async def hung_up(client: TcpClient) -> bool:
    """Whether the peer ends the connection, politely or by a reset."""
    try:
        return await asyncio.wait_for(client.receive(), 5) == b""
    except PeerLost:
        return True


class Echo:
    """Answers each line with the same line; `boom` and `bad` raise."""

    def receive(self, data: bytes) -> bytes:
        if b"boom" in data:
            raise RuntimeError("a bug in a session")
        if b"bad" in data:
            raise DecodeError(offset=0, path="", expected="sense", found="bad")
        return data


@asynccontextmanager
async def echo(idle_s: float = 5.0) -> AsyncIterator[RequestServer]:
    server = await serve_requests(HOST, 0, Echo, idle_s=idle_s)
    try:
        yield server
    finally:
        await server.close()


# --- broadcast ---


async def test_every_reader_hears_every_telegram() -> None:
    """A telegram goes to all readers connected at that moment, whole and in order."""
    async with Broadcast(HOST, 0) as meter, TcpClient(HOST, meter.port) as one, TcpClient(HOST, meter.port) as two:
        await until(lambda: meter.connections == 2)
        meter.send(b"first")
        meter.send(b"second")
        for client in (one, two):
            data = b""
            while len(data) < 11:
                data += await client.receive()
            assert data == b"firstsecond"


async def test_a_slow_reader_is_dropped_and_the_others_go_on() -> None:
    """Who does not read is disconnected and counted before memory grows; the rest lose nothing."""
    async with Broadcast(HOST, 0, max_pending=10_000) as meter, TcpClient(HOST, meter.port) as good:
        lazy_reader, lazy_writer = await asyncio.open_connection(HOST, meter.port, limit=1)
        await until(lambda: meter.connections == 2)
        received = 0
        for _ in range(3000):
            meter.send(bytes(5000))
            received += 5000
            while received:
                received -= len(await good.receive())
        await until(lambda: meter.connections == 1)
        assert meter.dropped == 1
        lazy_writer.transport.abort()
        assert lazy_reader is not None


async def test_readers_come_and_go() -> None:
    """A reader that hangs up is forgotten; sending to nobody is fine."""
    async with Broadcast(HOST, 0) as meter:
        meter.send(b"nobody hears this")
        async with TcpClient(HOST, meter.port):
            await until(lambda: meter.connections == 1)
        await until(lambda: meter.connections == 0)
        meter.send(b"nor this")
        assert meter.dropped == 0


async def test_too_many_peers_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are bounded; the ones above the bound are closed and counted."""
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 2)
    async with Broadcast(HOST, 0) as meter:
        clients = [await TcpClient(HOST, meter.port).connect() for _ in range(3)]
        await until(lambda: meter.refused == 1)
        assert meter.connections == 2
        for client in clients:
            await client.close()


async def test_a_port_in_use_names_host_port_and_remedy() -> None:
    """The second program on a port is told which port it is and what to do."""
    async with Broadcast(HOST, 0) as first:
        with pytest.raises(BusyError, match=rf"port {first.port} of 127\.0\.0\.1 is in use.*another port"):
            await Broadcast(HOST, first.port).start()
        with pytest.raises(BusyError, match="in use"):
            await serve_requests(HOST, first.port, Echo)


async def test_a_foreign_address_cannot_be_listened_on() -> None:
    """An address that is not this machine's is the operator's mistake, named as one."""
    with pytest.raises(LocalError, match="choose an address of this machine"):
        await Broadcast("192.0.2.1", 0).start()


async def test_closing_hangs_up_and_frees_the_port() -> None:
    """After close the readers see the end and the port can be taken again at once."""
    meter = await Broadcast(HOST, 0).start()
    async with TcpClient(HOST, meter.port) as client:
        await until(lambda: meter.connections == 1)
        await meter.close()
        await meter.close()
        assert await hung_up(client)
    await (await Broadcast(HOST, meter.port).start()).close()


# --- request server ---


async def test_each_peer_has_a_session_of_its_own() -> None:
    """Answers go to the peer that asked, however requests are cut and interleaved."""
    async with echo() as server, TcpClient(HOST, server.port) as one, TcpClient(HOST, server.port) as two:
        await one.send(b"one")
        assert await two.exchange(b"two", lambda data: data) == b"two"
        assert await one.receive() == b"one"


async def test_a_failing_session_loses_only_its_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of a peer, and even bugs of ours, close one connection and are counted and logged."""
    async with echo() as server, TcpClient(HOST, server.port) as good:
        with caplog.at_level(logging.WARNING, logger="messwerk.link.tcp"):
            for poison in (b"bad", b"boom"):
                async with TcpClient(HOST, server.port) as evil:
                    with pytest.raises(PeerLost):
                        await evil.exchange(poison, lambda data: data)
        assert server.failed == 2
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
        assert await good.exchange(b"still here", lambda data: data) == b"still here"


async def test_a_silent_peer_is_disconnected() -> None:
    """A connection without traffic does not hold its place for ever."""
    async with echo(idle_s=0.1) as server, TcpClient(HOST, server.port) as client:
        assert await hung_up(client)
        assert (server.timed_out, server.connections) == (1, 0)


async def test_a_peer_that_does_not_read_its_answers_is_bounded() -> None:
    """Who asks without reading is not read from any more, and is dropped after the idle time."""

    class Flood:
        def __init__(self) -> None:
            self.calls = 0
            sessions.append(self)

        def receive(self, data: bytes) -> bytes:
            self.calls += 1
            return bytes(20_000_000)

    sessions: list[Flood] = []
    server = await serve_requests(HOST, 0, Flood, idle_s=0.3)
    _, writer = await asyncio.open_connection(HOST, server.port, limit=1)
    for _ in range(20):
        writer.write(b"more")
        await asyncio.sleep(0.01)
    assert sessions[0].calls <= 2
    await until(lambda: server.timed_out == 1)
    writer.transport.abort()
    await server.close()


# --- client ---


async def test_an_exchange_ends_when_the_answer_is_complete() -> None:
    """`take` sees every chunk and decides when the answer is whole."""
    async with echo() as server, TcpClient(HOST, server.port) as client:
        seen = bytearray()

        def take(data: bytes) -> bytes | None:
            seen.extend(data)
            return bytes(seen) if len(seen) == 300_000 else None

        assert await client.exchange(bytes(300_000), take) == bytes(300_000)


async def test_nothing_listening_is_peer_lost() -> None:
    """A refused connection says that nothing listens there, with host and port."""
    meter = await Broadcast(HOST, 0).start()
    await meter.close()
    with pytest.raises(PeerLost, match=f"nothing listens at 127.0.0.1:{meter.port}"):
        await TcpClient(HOST, meter.port).connect()


async def test_an_incomplete_answer_times_out() -> None:
    """A peer that stalls in the middle of an answer costs the request time-out, no more."""
    async with echo() as server, TcpClient(HOST, server.port, request_timeout_s=0.1) as client:
        with pytest.raises(PeerLost, match=r"no complete answer within 0\.1 s"):
            await client.exchange(b"half", lambda data: None)


async def test_a_peer_that_closes_early_is_peer_lost() -> None:
    """The end of the stream before the answer is an error, not an empty answer."""
    async with Broadcast(HOST, 0) as meter, TcpClient(HOST, meter.port) as client:
        await until(lambda: meter.connections == 1)
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(meter.close()))
        with pytest.raises(PeerLost):
            await client.exchange(b"hello?", lambda data: data)


def test_an_ipv6_address_is_printed_in_brackets() -> None:
    """Host and port stay apart in messages, also with IPv6."""
    assert str(TcpClient("::1", 7000)) == "[::1]:7000"
