"""Where telegrams come from: one text names the source, one iterator gives its bytes.

meter.bin                     a file (or a named pipe)
-                             standard input
/dev/ttyUSB0  COM3            a serial device or pty, 9600 8N1
tcp://192.168.1.5:7000        a TCP port that sends telegrams
http://user:pw@bridge/data    a page that returns a telegram a request
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Union
from urllib.parse import SplitResult, urlsplit

from ..errors import PeerLost, SourceError
from .serial import BAUD, open_serial
from .tcp import TcpClient
from .trace import is_recording, replay

CHUNK: Final = 65536
"""Largest piece a source hands over at once. [bytes]"""
SILENCE_S: Final = 30.0
"""A live source that sends nothing for so long is given up; meters push every 1 to 4 s."""
HTTP_PERIOD_S: Final = 2.0
"""Pause between two requests to an `http://` source, the pace bridges for optical heads expect."""
HTTP_TIMEOUT_S: Final = 10.0
HTTP_MAX_BODY: Final = 1 << 20
"""Largest page body read; a telegram has some hundred bytes."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that ends, or a named pipe."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class StdinSource:
    """Standard input."""

    def __str__(self) -> str:
        return "standard input"


@dataclass(frozen=True, slots=True)
class SerialSource:
    """A serial device or pty, 8N1."""

    path: str
    baud: int = BAUD

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class TcpSource:
    """A TCP port that sends telegrams by itself."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A page whose body is a telegram; asked again and again."""

    url: str

    def __str__(self) -> str:
        """The address without user and password: these never reach a screen or log."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """A recording, replayed at its own pace times `speed`; 0 is without waiting."""

    path: Path
    speed: float = 1.0

    def __str__(self) -> str:
        return f"the recording {self.path}"


Source = Union[FileSource, StdinSource, SerialSource, TcpSource, HttpSource, ReplaySource]


def is_live(source: Source) -> bool:
    """Whether the source goes on by itself, so that a lost connection is worth renewing."""
    return isinstance(source, SerialSource | TcpSource | HttpSource)


def parse_source(text: str, *, baud: int = BAUD) -> Source:
    """Read a source as people write it (see the module's head).

    Raises SourceError that says what to write instead. A missing file is found here already.
    """
    if text == "-":
        return StdinSource()
    if "://" in text:
        return _parse_url(text)
    if sys.platform == "win32" and re.fullmatch(r"(?i)COM\d+", text):
        return SerialSource(text, baud)
    path = Path(text)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if re.fullmatch(r"[\w.-]+:\d+", text):
            raise SourceError(f"there is no file {text}; for a network port write tcp://{text}") from error
        if text.startswith("/dev/"):
            raise SourceError(f"there is no device {text}: is the adapter plugged in?") from error
        raise SourceError(f"{text} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"not a file name: {text!r}") from error
    if stat.S_ISDIR(mode):
        raise SourceError(f"{text} is a folder: name a file in it")
    if stat.S_ISCHR(mode):
        return SerialSource(text, baud)
    return ReplaySource(path, speed=0) if stat.S_ISREG(mode) and is_recording(path) else FileSource(path)


def _parse_url(text: str) -> Source:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SourceError(f"not an address: {text} ({error})") from error
    if parts.scheme in ("http", "https") and parts.hostname:
        return HttpSource(text)
    if parts.scheme == "tcp":
        return _tcp_source(text, parts, port)
    raise SourceError(f"unknown kind of source: {parts.scheme}://; a file, -, a device, tcp:// and http:// are known")


def _tcp_source(text: str, parts: SplitResult, port: int | None) -> TcpSource:
    if not parts.hostname or port is None or parts.path not in ("", "/"):
        raise SourceError(f"a TCP source is written tcp://host:port, not {text}")
    return TcpSource(parts.hostname, port)


async def chunks(source: Source, *, silence_s: float | None = SILENCE_S) -> AsyncGenerator[bytes]:
    """The bytes of a source as they come, each piece non-empty, until it ends.

    Files, pipes and TCP peers that close end the iteration; an unplugged device raises PeerLost.
    A live source silent for `silence_s` seconds (None: wait for ever) raises PeerLost too.
    Raises SourceError, BusyError or PeerLost when it cannot be opened.
    """
    limit_s = silence_s if is_live(source) else None
    async with aclosing(_open(source)) as pieces:
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    piece = await anext(pieces, b"")
            except TimeoutError as error:
                raise PeerLost(f"{source} sent nothing for {limit_s:g} s: {_silence_hint(source)}") from error
            if not piece:
                return
            yield piece


def _silence_hint(source: Source) -> str:
    if isinstance(source, SerialSource):
        return "is the optical head on the meter, and its speed right?"
    return "is the meter connected at the other end?"


def _open(source: Source) -> AsyncGenerator[bytes]:
    match source:
        case FileSource(path):
            return _read_path(path)
        case StdinSource():
            return _read_stdin()
        case SerialSource(path, baud):
            return _read_serial(path, baud)
        case TcpSource(host, port):
            return _read_tcp(host, port)
        case HttpSource():
            return _poll_http(source)
        case ReplaySource(path, speed):
            return replay(path, speed=speed)


async def _read_path(path: Path) -> AsyncGenerator[bytes]:
    try:
        # O_NONBLOCK lets a named pipe be opened before its writer; plain files ignore it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    async with aclosing(_read_descriptor(os.fdopen(descriptor, "rb", buffering=0))) as pieces:
        async for piece in pieces:
            yield piece


async def _read_stdin() -> AsyncGenerator[bytes]:
    if sys.stdin.isatty():
        raise SourceError("- reads bytes from a pipe, but standard input is the keyboard: cat FILE | messwerk read -")
    descriptor = os.dup(sys.stdin.fileno())
    async with aclosing(_read_descriptor(os.fdopen(descriptor, "rb", buffering=0))) as pieces:
        async for piece in pieces:
            yield piece


async def _read_descriptor(stream: BinaryIO) -> AsyncGenerator[bytes]:
    """Read to the end: pipes and sockets through the event loop, so that Ctrl-C works while waiting."""
    mode = os.fstat(stream.fileno()).st_mode
    if sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        with stream:
            while data := await asyncio.to_thread(stream.read, CHUNK):
                yield data
        return
    reader = asyncio.StreamReader(limit=CHUNK)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream
    )
    try:
        while data := await reader.read(CHUNK):
            yield data
    finally:
        transport.close()


async def _read_serial(path: str, baud: int) -> AsyncGenerator[bytes]:
    async with await open_serial(path, baud) as line:
        while True:
            yield await line.read()


async def _read_tcp(host: str, port: int) -> AsyncGenerator[bytes]:
    async with TcpClient(host, port) as client:
        while data := await client.receive():
            yield data


async def _poll_http(source: HttpSource) -> AsyncGenerator[bytes]:
    import httpx  # here, because it takes longer to import than a file takes to read

    # A bridge stands in the same house: proxies of the environment are not asked.
    async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        while True:
            try:
                async with client.stream("GET", source.url) as response:
                    if response.status_code != httpx.codes.OK:
                        raise SourceError(f"{source} answers {response.status_code} {response.reason_phrase}")
                    body = b""
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) > HTTP_MAX_BODY:
                            raise SourceError(f"{source} returns more than {HTTP_MAX_BODY} bytes: not a telegram")
            except httpx.HTTPError as error:
                raise PeerLost(f"{source} cannot be fetched: {error or type(error).__name__}") from error
            if body:
                yield body
            await asyncio.sleep(HTTP_PERIOD_S)
