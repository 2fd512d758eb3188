"""A telephone modem with Hayes commands, sans I/O: the way to a communication module over PSTN.

The central station talks to this modem on a serial line: it dials, and what it sends then
reaches the module at the pace of the modulation chosen, as the module's answers come back.
Source of modulations: E750 brochure (CM-E1M01). Commands: the customary Hayes set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

COMMAND_MAX: Final = 80
"""Characters of a command line."""
QUEUE_MAX: Final = 65536
"""Bytes a station may send ahead of the line; more are dropped and counted, as without flow control."""
GUARD_S: Final = 1.0
"""Silence before and after +++ that makes it an escape."""
BITS_PER_BYTE: Final = 10
"""8N1 on the line. [design: no error correction modelled]"""
IDENTITY: Final = "Messwerk modem, V.22bis V.32 V.32bis V.34"


class Modulation(Enum):
    """What two modems agree on: rate and how long the handshake takes. [design: handshake]"""

    V22BIS = 2400, 4.0
    V32 = 9600, 7.0
    V32BIS = 14_400, 7.0
    V34 = 33_600, 10.0

    def __init__(self, bits_per_second: int, handshake_s: float) -> None:
        self.bits_per_second, self.handshake_s = bits_per_second, handshake_s


_MODULATIONS: Final = {"V22B": Modulation.V22BIS, "V32": Modulation.V32, "V32B": Modulation.V32BIS,
                       "V34": Modulation.V34}  # fmt: skip
_RESULTS: Final = {"OK": 0, "CONNECT": 1, "NO CARRIER": 3, "ERROR": 4, "BUSY": 7, "NO ANSWER": 8}


class CallFailed(Exception):
    """A call that did not come about; `result` is what the modem says: BUSY or NO ANSWER."""

    def __init__(self, result: str) -> None:
        self.result = result
        super().__init__(result)


class Called(Protocol):
    """The far end of a call."""

    def receive(self, data: bytes) -> bytes: ...

    def data_to_send(self) -> bytes: ...


Dial = Callable[[str], Called]
"""Calls a number. Raises CallFailed."""


class TelephoneNetwork:
    """Which module answers which number; a module has one line."""

    def __init__(self) -> None:
        self._subscribers: dict[str, Callable[[], Called]] = {}
        self._engaged: set[str] = set()

    def connect(self, number: str, answer: Callable[[], Called]) -> None:
        """Give a module a number; `answer` makes a conversation for each call."""
        self._subscribers[_digits(number)] = answer

    def dial(self, number: str) -> Called:
        """Call a number. Raises CallFailed."""
        digits = _digits(number)
        if digits not in self._subscribers:
            raise CallFailed("NO ANSWER")
        if digits in self._engaged:
            raise CallFailed("BUSY")
        self._engaged.add(digits)
        return self._subscribers[digits]()

    def release(self, number: str) -> None:
        """End a call."""
        self._engaged.discard(_digits(number))


def _digits(number: str) -> str:
    return re.sub(r"[^0-9*#]", "", number)


@dataclass(slots=True)
class _Paced:
    """Bytes that leave one after the other at a rate."""

    queue: bytearray
    bytes_per_second: float = 0.0
    since: float = 0.0
    """From when on the next byte travels."""

    def put(self, data: bytes, now: float) -> None:
        if not self.queue:
            self.since = max(self.since, now)
        self.queue += data

    def take(self, now: float) -> bytes:
        """What has arrived by now."""
        count = min(int((now - self.since) * self.bytes_per_second + 1e-6), len(self.queue))
        if count <= 0:
            return b""
        self.since += count / self.bytes_per_second
        taken = bytes(self.queue[:count])
        del self.queue[:count]
        return taken

    @property
    def next_s(self) -> float | None:
        return self.since + 1 / self.bytes_per_second if self.queue else None


class _State(Enum):
    COMMAND = "command"
    DIALLING = "dialling"
    DATA = "data"
    ONLINE_COMMAND = "command, line held"


class Modem:
    """The station's modem. Feed it with `receive`, send what `data_to_send` returns, call again at `next_deadline`.

    `now` is any clock in seconds that does not go back.
    """

    def __init__(self, network: TelephoneNetwork, *, modulation: Modulation = Modulation.V34) -> None:
        self._network = network
        self._factory_modulation = modulation
        self.dropped = 0
        """Bytes that found no room."""
        self._out = bytearray()
        self._line = bytearray()
        self._number = ""
        self._called: Called | None = None
        self._connected_at: float | None = None
        self._state = _State.COMMAND
        self._up, self._down = _Paced(bytearray()), _Paced(bytearray())
        self._last_byte_s = -GUARD_S
        self._plus = 0
        self._reset()

    def _reset(self) -> None:
        self.modulation = self._factory_modulation
        self._echo, self._verbose, self._quiet = True, True, False
        self._registers = {0: 0, 7: 60}

    @property
    def connected(self) -> bool:
        """Whether a call is up."""
        return self._state in (_State.DATA, _State.ONLINE_COMMAND)

    @property
    def next_deadline(self) -> float | None:
        """When to call `data_to_send` again although nothing was received."""
        times = [self._connected_at, self._up.next_s, self._down.next_s if self._state is _State.DATA else None]
        if self._plus == 3:
            times.append(self._last_byte_s + GUARD_S)
        return min((time for time in times if time is not None), default=None)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the station."""
        self._pass_time(now)
        for byte in data:
            if self._state is _State.DATA:
                self._data_byte(byte, now)
            elif self._state is _State.DIALLING:
                self._hang_up("NO CARRIER")
            else:
                self._command_byte(byte, now)
            self._last_byte_s = now

    def data_to_send(self, now: float) -> bytes:
        """Bytes for the station that are due."""
        self._pass_time(now)
        if self._state is _State.DATA:
            self._out += self._down.take(now)
        out, self._out = bytes(self._out), bytearray()
        return out

    def carrier_lost(self) -> None:
        """The line broke: what is on its way is gone."""
        if self._state is not _State.COMMAND:
            self._hang_up("NO CARRIER")

    # --- time ------------------------------------------------------------------------------

    def _pass_time(self, now: float) -> None:
        if self._state is _State.DIALLING and self._connected_at is not None and now >= self._connected_at:
            self._connect(self._connected_at)
        if self._plus == 3 and now - self._last_byte_s >= GUARD_S:
            self._plus = 0
            self._state = _State.ONLINE_COMMAND
            self._say("OK")
        if self._called is not None and self.connected:
            arrived = self._up.take(now)
            answer = self._called.receive(arrived) if arrived else self._called.data_to_send()
            if answer:
                self._down.put(answer, now)

    def _connect(self, now: float) -> None:
        self._connected_at = None
        try:
            self._called = self._network.dial(self._number)
        except CallFailed as failed:
            self._state = _State.COMMAND
            self._say(failed.result)
            return
        pace = self.modulation.bits_per_second / BITS_PER_BYTE
        self._up, self._down = _Paced(bytearray(), pace, now), _Paced(bytearray(), pace, now)
        self._state = _State.DATA
        self._plus, self._last_byte_s = 0, now
        self._say("CONNECT", f" {self.modulation.bits_per_second}")

    def _hang_up(self, result: str) -> None:
        if self._called is not None:
            self._network.release(self._number)
        self._called = self._connected_at = None
        self._up.queue.clear()
        self._down.queue.clear()
        self._plus = 0
        self._state = _State.COMMAND
        self._say(result)

    # --- bytes -----------------------------------------------------------------------------

    def _data_byte(self, byte: int, now: float) -> None:
        quiet = now - self._last_byte_s >= GUARD_S
        if byte == ord("+") and (self._plus or quiet) and self._plus < 3:
            self._plus += 1
            return
        self._send_up(b"+" * self._plus + bytes((byte,)), now)
        self._plus = 0

    def _send_up(self, data: bytes, now: float) -> None:
        if len(self._up.queue) + len(data) > QUEUE_MAX:
            self.dropped += len(data)
        else:
            self._up.put(data, now)

    def _command_byte(self, byte: int, now: float) -> None:
        if self._echo:
            self._out.append(byte)
        if byte in (0x08, 0x7F):
            del self._line[-1:]
        elif byte == 0x0D:
            line, self._line = bytes(self._line), bytearray()
            self._command(line.decode("ascii", "replace").strip(), now)
        elif byte >= 0x20 and len(self._line) < COMMAND_MAX:
            self._line.append(byte)

    def _say(self, result: str, more: str = "") -> None:
        if self._quiet:
            return
        self._out += f"\r\n{result}{more}\r\n".encode() if self._verbose else f"{_RESULTS[result]}\r".encode()

    # --- commands --------------------------------------------------------------------------

    def _command(self, line: str, now: float) -> None:
        if not line:
            return
        if line[:2].upper() != "AT":
            self._say("ERROR")
            return
        rest = line[2:].upper().replace(" ", "")
        while rest:
            taken = self._one_command(rest, now)
            if taken is None:
                return
            if not taken:
                self._say("ERROR")
                return
            rest = rest[taken:]
        self._say("OK")

    def _one_command(self, rest: str, now: float) -> int | None:
        """Execute the first command of a line: characters it took, 0 if unknown, None if it said its result."""
        if match := re.match(r"D[TP]?([0-9*#,W()+/-]+)$", rest):
            return self._dial(match[1], now)
        if match := re.match(r"\+MS=([A-Z0-9]+)(,.*)?$", rest):
            self.modulation = _MODULATIONS.get(match[1], self.modulation)
            return len(rest) if match[1] in _MODULATIONS else 0
        if match := re.match(r"S(\d+)(?:=(\d+)|(\?))", rest):
            return self._register(match)
        if match := re.match(r"H0?", rest):
            self._hang_up("OK")
            return None
        if rest.startswith("O") and self._state is _State.ONLINE_COMMAND:
            self._state = _State.DATA
            self._say("CONNECT", f" {self.modulation.bits_per_second}")
            return None
        if match := re.match(r"(Z|&F)\d?", rest):
            self._reset()
            return match.end()
        if match := re.match(r"I\d?", rest):
            self._out += f"\r\n{IDENTITY}\r\n".encode()
            return match.end()
        if match := re.match(r"([EVQ])([01]?)", rest):
            on = match[2] == "1"
            self._echo = on if match[1] == "E" else self._echo
            self._verbose = on if match[1] == "V" else self._verbose
            self._quiet = on if match[1] == "Q" else self._quiet
            return match.end()
        # Loudspeaker, result set, flow control and carrier options change nothing here.
        if match := re.match(r"([LMX]\d?|&[CDKQS]\d?|\\N\d?|%C\d?)", rest):
            return match.end()
        return 0

    def _dial(self, number: str, now: float) -> int | None:
        if self._state is not _State.COMMAND:
            return 0
        self._number, self._state = number, _State.DIALLING
        self._connected_at = now + self.modulation.handshake_s
        return None

    def _register(self, match: re.Match[str]) -> int:
        number = int(match[1])
        if match[3]:
            self._out += f"\r\n{self._registers.get(number, 0):03d}\r\n".encode()
        elif number > 255 or int(match[2]) > 255:
            return 0
        else:
            self._registers[number] = int(match[2])
        return match.end()
