"""Every kind of source with a real one at the other end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from messwerk.errors import MesswerkError, PeerLost, SourceError
from messwerk.link import endpoint
from messwerk.link.endpoint import (
    FileSource,
    HttpSource,
    SerialSource,
    Source,
    StdinSource,
    TcpSource,
    chunks,
    is_live,
    parse_source,
)
from messwerk.link.serial import Pty
from messwerk.link.tcp import Broadcast

HOST = "127.0.0.1"


async def read_all(source: Source, *, enough: int = sys.maxsize, silence_s: float = 5.0) -> bytes:
    """What a source gives until it ends or `enough` bytes came."""
    data = b""
    async with aclosing(chunks(source, silence_s=silence_s)) as pieces:
        async for piece in pieces:
            assert piece, "a piece is never empty"
            data += piece
            if len(data) >= enough:
                break
    return data


def test_each_way_to_write_a_source(tmp_path: Path) -> None:
    """One text names each kind of source; a pty is taken for the serial device it acts as."""
    file = tmp_path / "meter.bin"
    file.write_bytes(b"x")
    assert parse_source(str(file)) == FileSource(file)
    assert parse_source("-") == StdinSource()
    assert parse_source("tcp://meter.example:7000") == TcpSource("meter.example", 7000)
    assert parse_source("tcp://[::1]:7000/") == TcpSource("::1", 7000)
    assert parse_source("http://bridge/data") == HttpSource("http://bridge/data")
    with Pty(tmp_path / "head") as pty:
        assert parse_source(str(pty.path), baud=19200) == SerialSource(str(pty.path), 19200)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("no-such-file", "cannot be read"),
        ("localhost:7000", "write tcp://localhost:7000"),
        ("/dev/ttyNOTHING", "adapter plugged in"),
        ("tcp://localhost", "written tcp://host:port"),
        ("tcp://localhost:99999", "not an address"),
        ("tcp://localhost:1/path", "written tcp://host:port"),
        ("mqtt://localhost:1883", "unknown kind of source"),
        ("http://", "unknown kind of source"),
        ("bad\0name", "not a file name"),
        (os.curdir, "is a folder"),
        ("", "is a folder"),
    ],
)
def test_a_wrong_source_says_what_to_write(text: str, remedy: str) -> None:
    """Each misspelt source is refused with the sentence that helps."""
    with pytest.raises(SourceError, match=remedy):
        parse_source(text)


def test_what_goes_on_by_itself_is_live() -> None:
    """Only sources that can be connected to again are worth following."""
    assert [is_live(source) for source in (FileSource(Path("x")), StdinSource())] == [False, False]
    assert all(is_live(source) for source in (SerialSource("x"), TcpSource("x", 1), HttpSource("http://x")))


def test_a_password_is_never_printed() -> None:
    """User and password of a bridge stay out of every message."""
    assert str(HttpSource("http://admin:secret@bridge:81/data?node=1")) == "http://bridge:81/data?node=1"


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    """A file of any size comes whole, in bounded pieces; an empty one gives nothing."""
    file = tmp_path / "meter.bin"
    content = os.urandom(200_000)
    file.write_bytes(content)
    assert await read_all(FileSource(file)) == content
    file.write_bytes(b"")
    assert await read_all(FileSource(file)) == b""


async def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file that vanished between naming and reading is an error, not a crash."""
    with pytest.raises(SourceError, match="cannot be read"):
        await read_all(FileSource(tmp_path / "gone"))


async def test_a_named_pipe_waits_for_its_writer(tmp_path: Path) -> None:
    """A pipe may be opened before its writer, and ends when the writer closes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = asyncio.create_task(read_all(FileSource(pipe)))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(pipe.write_bytes, b"telegram" * 1000)
    assert await asyncio.wait_for(reading, 5) == b"telegram" * 1000


@pytest.mark.parametrize("way", ["pipe", "file"])
def test_standard_input(tmp_path: Path, way: str) -> None:
    """`-` reads a pipe and a redirected file alike, to the end."""
    program = (
        "import asyncio, sys; from messwerk.link.endpoint import StdinSource, chunks\n"
        "async def main(): return b''.join([piece async for piece in chunks(StdinSource())])\n"
        "print(len(asyncio.run(main())))"
    )
    file = tmp_path / "input"
    file.write_bytes(bytes(100_000))
    with file.open("rb") as redirected:
        given = {"input": file.read_bytes()} if way == "pipe" else {"stdin": redirected}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True, **given)
    assert done.stdout.strip() == b"100000"


async def test_a_pty_is_read_like_a_serial_device(tmp_path: Path) -> None:
    """Bytes from the meter's side of a pty arrive through `chunks`; its end is PeerLost."""
    with Pty(tmp_path / "head", baud=100_000) as pty:
        reading = asyncio.create_task(read_all(SerialSource(str(pty.path)), enough=1000))
        while not pty.has_reader:  # noqa: ASYNC110, another program's doing
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await pty.send(bytes(1000))
        assert len(await reading) == 1000


async def test_a_silent_line_is_given_up_with_a_hint(tmp_path: Path) -> None:
    """A head that lies beside the meter ends in a message about the head, after the set time."""
    with Pty(tmp_path / "head") as pty:
        reading = read_all(SerialSource(str(pty.path)), silence_s=0.2)
        with pytest.raises(PeerLost, match=r"sent nothing for 0\.2 s: is the optical head on the meter"):
            await reading


async def test_a_tcp_source_ends_when_the_peer_closes() -> None:
    """What a peer sent before closing arrives; the close is the end of the source."""
    async with Broadcast(HOST, 0) as meter:
        reading = asyncio.create_task(read_all(TcpSource(HOST, meter.port)))
        while not meter.connections:  # noqa: ASYNC110, the peer's doing
            await asyncio.sleep(0.01)
        meter.send(b"telegram")
        for transport in tuple(meter._connections):
            transport.close()
        assert await asyncio.wait_for(reading, 5) == b"telegram"


async def test_a_tcp_source_that_is_not_there() -> None:
    """Nothing listening, and silence, are clear errors."""
    async with Broadcast(HOST, 0) as meter:
        with pytest.raises(PeerLost, match="is the meter connected at the other end"):
            await read_all(TcpSource(HOST, meter.port), silence_s=0.1)
    with pytest.raises(PeerLost, match="nothing listens"):
        await read_all(TcpSource(HOST, meter.port))


@asynccontextmanager
async def web(*answers: bytes) -> AsyncIterator[int]:
    """A tiny HTTP server that gives these raw answers in turn, the last one for ever."""
    waiting = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def page(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def test_an_http_source_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request gives one piece; empty bodies are passed over."""
    monkeypatch.setattr(endpoint, "HTTP_PERIOD_S", 0.01)
    async with web(page(b"one"), page(b""), page(b"two"), page(b"three")) as port:
        assert await read_all(HttpSource(f"http://{HOST}:{port}/data"), enough=11) == b"onetwothree"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (page(b"", "401 Unauthorized"), "answers 401"),
        (page(bytes(2_000_000)), "not a telegram"),
        (b"SSH-2.0-OpenSSH\r\n", "cannot be fetched"),
        (b"", "cannot be fetched"),
    ],
)
async def test_a_bad_http_source_is_named(answer: bytes, complaint: str) -> None:
    """A refusing, boundless or foreign server gives an error without the password in it."""
    async with web(answer) as port:
        with pytest.raises(MesswerkError, match=complaint) as caught:
            await read_all(HttpSource(f"http://me:secret@{HOST}:{port}/data"))
        assert "secret" not in str(caught.value)
