"""The log book of a module: what happened, when, to whom; oldest entries go first."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from ..errors import LocalError

CAPACITY: Final = 1000
"""Entries readable at any time. [design]"""


class Event(IntEnum):
    """Event words: source in bits 31-24, level 23-20, event 7-0.

    The first group is that of the gateway lineage, the last is ours [design].
    """

    POWER_RETURNED = 0x00100001
    POWER_FAILED = 0x00100002
    FIRMWARE_ACTIVATED = 0x00100003
    FIRMWARE_NOT_WORKING = 0x00100004
    FIRMWARE_HASH_ERROR = 0x00100005
    FIRMWARE_WRONG_TYPE = 0x00100006
    FIRMWARE_UPLOADED = 0x00100007
    SYNC_TOKEN_SENT = 0x00800006
    PUSH_DONE = 0x00800008
    PUSH_FAILED = 0x00800009
    TIME_SET = 0x00800010

    DEVICE_APPEARED = 0x00E00001
    DEVICE_VANISHED = 0x00E00002
    DEVICE_LIMIT = 0x00E00003
    """A further base module was seen while 32 are active: it stays without service."""
    SERVER_ID_TWICE = 0x00E00004
    """A module claims the server ID of another: another public key, or another bus address."""
    TUPLE_FORGED = 0x00E00005
    """Two different tuples for one server ID and index."""
    LOGIN_REFUSED = 0x00E00006
    PARAMETER_CHANGED = 0x00E00007
    TUPLES_LOST = 0x00E00008
    """Live tuples were pushed out of the queue; the profile still has the period readings."""
    REBOOT = 0x00E00009
    SYNCHRONISED = 0x00E0000A
    """The period boundary was moved."""
    ROW_LOST = 0x00E0000B
    """A profile row was pushed out that nobody had read."""
    RESERVE_EXHAUSTED = 0x00E0000C
    """Power returned after the seconds index had stopped counting."""
    NEUTRAL_LOST = 0x00E0000D
    NEUTRAL_RETURNED = 0x00E0000E
    VOLTAGE_LOST = 0x00E0000F
    VOLTAGE_RETURNED = 0x00100023
    LINK_LOST = 0x00E00010
    LINK_RETURNED = 0x00E00011
    DISPATCHED = 0x00E00012
    """A firmware image has reached another module whole."""
    DISPATCH_FAILED = 0x00E00013


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event."""

    number: int
    """Counts up from 1 over the life of the module; the log is read by it."""
    event: int
    time: int
    """Unix seconds, 0 while the module had no time; in a base module the seconds index."""
    server_id: str = ""
    """Hex of the device concerned."""
    details: str = ""


class LogBook:
    """Events in a file of JSON lines, kept in two halves so that it never grows without bound.

    A line torn by a kill is left out on the next start.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._new, self._old = folder / "log.jsonl", folder / "log.old.jsonl"
        recent = _read(self._new)
        self.entries: deque[LogEntry] = deque(_read(self._old) + recent, maxlen=CAPACITY)
        self.overflowed = False
        """Whether an entry gave way to a newer one since this was last cleared."""
        self._lines = len(recent)
        self._file = self._new.open("ab", buffering=0)
        if self._new.stat().st_size and not self._new.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")

    def add(self, event: Event, time: float | None, server_id: bytes = b"", details: str = "") -> LogEntry:
        """Write one event. Raises LocalError when the disk refuses."""
        number = self.entries[-1].number + 1 if self.entries else 1
        entry = LogEntry(number, int(event), int(time or 0), server_id.hex(), details[:200])
        try:
            if self._lines >= CAPACITY:
                self._file.close()
                self._new.replace(self._old)
                self._file, self._lines = self._new.open("ab", buffering=0), 0
            self._file.write(json.dumps(asdict(entry)).encode() + b"\n")
        except OSError as error:
            raise LocalError(f"cannot write {self._new}: {error.strerror or error}") from error
        self._lines += 1
        self.overflowed = self.overflowed or len(self.entries) == CAPACITY
        self.entries.append(entry)
        return entry

    def close(self) -> None:
        self._file.close()


def _read(path: Path) -> list[LogEntry]:
    entries = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            entries.append(LogEntry(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # torn by a kill
    return entries
