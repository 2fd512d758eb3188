"""A small pull client: one line to a communication module, request files out, answers back.

The line is TCP or a serial device (the service interface at 115 200 Bd); over either a modem may
have to dial first.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Self, TypeVar

from ..e750 import object_names as names
from ..errors import PeerLost, SourceError
from ..identity import ServerId
from ..link.endpoint import SerialSource, TcpSource, parse_source
from ..link.serial import SerialLine, open_serial
from ..link.tcp import TcpClient
from ..sml import Body, GetProcParameterRequest, GetProcParameterResponse, Tree
from ..sml.session import Request, ResponseFile, SmlClient

T = TypeVar("T")
CLIENT_ID: Final = bytes.fromhex("0502004d570002")
"""How the command names itself: a locally administered address. [design]"""
SERVICE_BAUD: Final = 115_200
RESULTS: Final = ("CONNECT", "NO CARRIER", "BUSY", "NO ANSWER", "ERROR")
"""What a modem says of a call."""


class Line(Protocol):
    """What carries requests and answers."""

    async def send(self, data: bytes) -> None: ...

    async def exchange(self, request: bytes, take: Callable[[bytes], T | None]) -> T: ...

    async def close(self) -> None: ...


class SerialClient:
    """A serial line with the manners of `TcpClient`."""

    def __init__(self, line: SerialLine, timeout_s: float) -> None:
        self._line, self.timeout_s = line, timeout_s

    async def send(self, data: bytes) -> None:
        await self._line.write(data)

    async def exchange(self, request: bytes, take: Callable[[bytes], T | None]) -> T:
        """Send and read until `take` returns a result. Raises PeerLost."""
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._line.write(request)
                while True:
                    if (result := take(await self._line.read())) is not None:
                        return result
        except TimeoutError as error:
            raise PeerLost(
                f"{self._line.path} gave no complete answer within {self.timeout_s:g} s: is it the right device?"
            ) from error

    async def close(self) -> None:
        await self._line.close()


async def open_line(source: str, timeout_s: float) -> Line:
    """Open `tcp://host:port` or a serial device. Raises SourceError, PeerLost."""
    match parse_source(source):
        case TcpSource(host=host, port=port):
            return await TcpClient(host, port, request_timeout_s=timeout_s).connect()
        case SerialSource(path=path):
            return SerialClient(await open_serial(path, SERVICE_BAUD), timeout_s)
        case other:
            raise SourceError(f"a module is asked on tcp://host:port or on a serial device, not on {other}")


async def dial(line: Line, number: str) -> None:
    """Let a modem call a number. Raises PeerLost with what the modem said."""
    heard = bytearray()

    def result(data: bytes) -> str | None:
        heard.extend(data)
        text = heard.decode("ascii", "replace")
        ended = [each.strip() for each in text.split("\n")[:-1]]
        return next((each for each in ended if each.startswith(RESULTS)), None)

    said = await line.exchange(b"ATE0V1DT" + number.encode("ascii", "replace") + b"\r", result)
    if not said.startswith("CONNECT"):
        raise PeerLost(f"the modem says {said} for {number}: is the number right, is the other side free?")


class Talk:
    """Asks one communication module and the modules behind it."""

    def __init__(self, line: Line, username: str | None, password: str | None) -> None:
        self._line = line
        self._username, self._password = username, password
        self._client = SmlClient(CLIENT_ID, counter=itertools.count(int(time.time())))
        self.files: list[ResponseFile] = []
        """Every answer, as it came."""

    async def ask(self, server_id: bytes | None, *requests: Request) -> ResponseFile:
        """One request file and its answer. Raises PeerLost; AttentionReceived when it is refused as a whole."""
        wire = self._client.request(server_id, requests, username=self._username, password=self._password)

        def take(data: bytes) -> ResponseFile | None:
            return next((file for file in self._client.receive(data) if file.solicited), None)

        file = await self._line.exchange(wire, take)
        self.files.append(file)
        if file.open is None:
            file.answer()
        return file

    async def tree(self, server_id: bytes | None, *path: bytes) -> Tree:
        """One parameter tree. Raises AttentionReceived, PeerLost."""
        file = await self.ask(server_id, GetProcParameterRequest(parameter_tree_path=path))
        return tree_of(file.answer())

    async def devices(self) -> list[tuple[ServerId, bytes]]:
        """Server ID and class of every module in service behind this one."""
        found = []
        for entry in (await self.tree(None, names.ACTIVE_DEVICES)).child_list or ():
            told = leaves(entry)
            if isinstance(server_id := told.get(names.SERVER_ID), bytes) and server_id:
                found.append((ServerId(server_id), bytes(told.get(names.DEVICE_CLASS) or b"")))
        return found

    async def close(self) -> None:
        await self._line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def tree_of(bodies: Sequence[Body]) -> Tree:
    """The tree an answer holds. Raises PeerLost where it holds none."""
    for body in bodies:
        if isinstance(body, GetProcParameterResponse):
            return body.parameter_tree
    raise PeerLost("the module answered something else than the parameter tree asked for")


def leaves(tree: Tree) -> dict[bytes, Any]:
    """Name to value of every node of a tree that has one."""
    found: dict[bytes, Any] = {}
    value = tree.parameter_value
    if value is not None:
        found[tree.parameter_name] = value.value
    for child in tree.child_list or ():
        found |= leaves(child)
    return found
