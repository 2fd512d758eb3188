"""The meter's non-volatile memory: two copies, checksums, safe against a cut at any moment.

One file holds two copies of every area. A save writes copy A, then copy B, so at any moment one
of them is whole: a process killed in between loses nothing that had been sent, because the
meter saves before it speaks. A copy that fails its checksum is reported and repaired, never
used; an area of which both fail is reported as lost.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ..errors import BusyError

AREAS: Final[dict[str, int]] = {"state": 4096, "history": 32_768, "keys": 8192}
"""Name and size of each area in bytes. [bytes; one copy, header included]"""
COPY_SIZE: Final = sum(AREAS.values())
MAGIC: Final = b"MWNV"
_HEADER: Final = struct.Struct(">4sHQII")  # magic, format, sequence, length, CRC-32 of the rest
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What memory held when it was opened."""

    areas: dict[str, bytes]
    """Newest whole content of each area that was ever written."""
    sequence: dict[str, int]
    """Save number of each of them: the larger, the later."""
    damaged: tuple[str, ...] = ()
    """Copies that failed their checksum, like `state copy A`."""
    lost: tuple[str, ...] = ()
    """Areas of which no copy is whole."""


class Memory(Protocol):
    """Where a meter keeps what must survive."""

    @property
    def reserve_s(self) -> int:
        """Seconds that a crash of the whole computer may take back; the index skips them after one."""

    def load(self) -> Loaded: ...

    def save(self, areas: dict[str, bytes], *, force: bool = False) -> None:
        """Replace these areas, at least once a second of operation; `force` it to the medium now."""

    def damage(self, area: str, copy: int) -> None:
        """Turn over a byte of one copy (0 or 1) of an area, as ageing memory does."""

    def close(self) -> None: ...


class RamMemory:
    """Memory that lives as long as the object: a simulated meter without a folder."""

    def __init__(self) -> None:
        self._loaded = Loaded({}, {})
        self._saves = 0
        self._damaged: set[tuple[str, int]] = set()

    @property
    def reserve_s(self) -> int:
        return 0

    def load(self) -> Loaded:
        lost = [area for area in self._loaded.areas if {(area, 0), (area, 1)} <= self._damaged]
        return Loaded(
            {area: content for area, content in self._loaded.areas.items() if area not in lost},
            dict(self._loaded.sequence),
            tuple(f"{area} copy {'AB'[copy]}" for area, copy in sorted(self._damaged) if area in self._loaded.areas),
            tuple(lost),
        )

    def damage(self, area: str, copy: int) -> None:
        self._damaged.add((area, copy))

    def save(self, areas: dict[str, bytes], *, force: bool = False) -> None:
        self._saves += 1
        self._loaded.areas.update(areas)
        self._loaded.sequence.update(dict.fromkeys(areas, self._saves))
        self._damaged = {(area, copy) for area, copy in self._damaged if area not in areas}

    def close(self) -> None:
        """Nothing to let go of."""


class NonVolatile:
    """Memory in one file of a folder, held by one process at a time.

    `sync_every` 1 forces every save to the disk before it returns, so that even a crash of the
    whole computer loses nothing; n > 1 does so at every n-th save. A killed process loses
    nothing in either case. Raises BusyError when another process holds the folder.
    """

    def __init__(self, folder: Path, *, sync_every: int = 1) -> None:
        if sync_every < 1:
            raise ValueError(f"sync_every is at least 1, not {sync_every}")
        folder.mkdir(parents=True, exist_ok=True)
        self.path: Final = folder / "nonvolatile.bin"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        _hold(self._file, self.path)
        self._sync_every = sync_every
        self._saves = 0
        self._sequence = 0

    @property
    def reserve_s(self) -> int:
        return self._sync_every - 1

    def load(self) -> Loaded:
        """Read every area; what cannot be trusted is named in `damaged` and `lost`."""
        image = os.pread(self._file, 2 * COPY_SIZE, 0)
        loaded = Loaded({}, {})
        damaged: list[str] = []
        lost: list[str] = []
        for name in AREAS:
            copies = [_read_copy(image, offset, AREAS[name]) for offset in _offsets(name)]
            whole = [copy for copy in copies if isinstance(copy, tuple)]
            broken = [f"{name} copy {letter}" for letter, copy in zip("AB", copies, strict=True) if copy == "damaged"]
            damaged += broken
            if not whole:
                lost += [name] if broken else []
                continue
            loaded.sequence[name], loaded.areas[name] = max(whole)
            self._sequence = max(self._sequence, loaded.sequence[name])
        return Loaded(loaded.areas, loaded.sequence, tuple(damaged), tuple(lost))

    def save(self, areas: dict[str, bytes], *, force: bool = False) -> None:
        """Write copy A of each area, then copy B. Raises ValueError when one is too large."""
        self._sequence += 1
        self._saves += 1
        records = {name: _record(name, content, self._sequence) for name, content in areas.items()}
        force = force or self._saves % self._sync_every == 0
        for copy in (0, 1):
            for name, record in records.items():
                os.pwrite(self._file, record, _offsets(name)[copy])
            if force:
                os.fsync(self._file)

    def damage(self, area: str, copy: int) -> None:
        at = _offsets(area)[copy] + _HEADER.size
        os.pwrite(self._file, bytes([(os.pread(self._file, 1, at) or bytes(1))[0] ^ 0xFF]), at)

    def close(self) -> None:
        """Force everything to the disk and let go of the file."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1


def _hold(file: int, path: Path) -> None:
    """Keep every other process out for as long as the file is open."""
    if sys.platform == "win32":
        return  # no advisory locks there; the data folder's own lock has to do
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise BusyError(f"{path} is in use by another meter; stop it or choose another folder") from None


def _offsets(name: str) -> tuple[int, int]:
    start = 0
    for area, size in AREAS.items():
        if area == name:
            break
        start += size
    return start, COPY_SIZE + start


def _record(name: str, content: bytes, sequence: int) -> bytes:
    if len(content) > AREAS[name] - _HEADER.size:
        raise ValueError(f"area {name!r} holds {AREAS[name] - _HEADER.size} bytes, not {len(content)}")
    checksum = zlib.crc32(struct.pack(">QI", sequence, len(content)) + content)
    return _HEADER.pack(MAGIC, FORMAT, sequence, len(content), checksum) + content


def _read_copy(image: bytes, offset: int, size: int) -> tuple[int, bytes] | str:
    """(sequence, content), or `empty` where nothing was ever written, or `damaged`."""
    area = image[offset : offset + size]
    if not area.strip(b"\x00"):
        return "empty"
    if len(area) < _HEADER.size:
        return "damaged"
    magic, format_, sequence, length, checksum = _HEADER.unpack_from(area)
    content = area[_HEADER.size : _HEADER.size + length]
    if magic != MAGIC or format_ != FORMAT or len(content) != length:
        return "damaged"
    if zlib.crc32(struct.pack(">QI", sequence, length) + content) != checksum:
        return "damaged"
    return sequence, content
