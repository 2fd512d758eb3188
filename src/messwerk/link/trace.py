"""Recordings of a line: every piece of bytes with the moment it came, and their replay.

A recording is text, one JSON object a line, so that people can read, cut and mail it:

    {"recording": "urn:messwerk:recording:1", "source": "/dev/ttyUSB0", "utc": 1763682000.0}
    {"t": 0.412, "data": "1b1b1b1b01010101…"}

`t` counts seconds since the recording began and never runs back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, TextIO

from ..errors import SourceError
from .clock import Clock, RealClock

FORMAT: Final = "urn:messwerk:recording:1"
"""First member of a recording; counts up with any change that breaks readers. [design]"""
MAX_LINE: Final = 1 << 20
"""Characters of the longest line read back."""


class Recorder:
    """Writes a recording; every line is flushed, so that a crash costs at most the last piece."""

    def __init__(self, path: str | Path, source: str, *, clock: Clock | None = None) -> None:
        """Begin a recording. Raises SourceError when the file exists or cannot be written."""
        self._clock = clock or RealClock()
        self._start = self._clock.monotonic()
        try:
            self._file: TextIO = Path(path).open("x", encoding="ascii")  # noqa: SIM115, closed by close
        except FileExistsError as error:
            raise SourceError(f"{path} exists: a recording never overwrites, choose another name") from error
        except OSError as error:
            raise SourceError(f"{path} cannot be written: {error.strerror or error}") from error
        self._line({"recording": FORMAT, "source": source, "utc": round(self._clock.utc(), 3)})

    def write(self, data: bytes) -> None:
        """Keep a piece of bytes with the present moment."""
        self._line({"t": round(self._clock.monotonic() - self._start, 6), "data": data.hex()})

    def _line(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def is_recording(path: str | Path) -> bool:
    """Whether a file begins like a recording; False also when it cannot be read."""
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(64).startswith(b'{"recording"')
    return False


async def replay(path: str | Path, *, speed: float = 1.0, clock: Clock | None = None) -> AsyncGenerator[bytes]:
    """The pieces of a recording at the pace they came, `speed` times as fast; 0 is without waiting.

    Raises SourceError when the file is no recording or a line in it is damaged.
    """
    clock = clock or RealClock()
    start = clock.monotonic()
    for moment_s, data in _records(Path(path)):
        wait_s = moment_s / speed - (clock.monotonic() - start) if speed else 0.0
        if wait_s > 0 or not speed:
            await clock.sleep(wait_s)  # also without waiting, so that Ctrl-C is heard
        if data:
            yield data


def _records(path: Path) -> Iterator[tuple[float, bytes]]:
    try:
        file = path.open(encoding="ascii", errors="replace")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        head = _object(file.readline(MAX_LINE))
        if head.get("recording") != FORMAT:
            raise SourceError(f"{path} is no recording (messwerk read SOURCE --record FILE makes one)")
        number, last_s = 1, 0.0
        while line := file.readline(MAX_LINE):
            number += 1
            record = _object(line)
            try:
                moment_s, data = float(record["t"]), bytes.fromhex(record["data"])
            except (KeyError, TypeError, ValueError) as error:
                raise SourceError(f"line {number} of {path} is damaged") from error
            if not last_s <= moment_s < float("inf"):
                raise SourceError(f"line {number} of {path} is damaged: its time runs back")
            last_s = moment_s
            yield moment_s, data


def _object(line: str) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    return {}
