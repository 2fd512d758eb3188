"""Non-volatile state of a module: one small JSON document that survives a kill at any moment."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self

from ..errors import BusyError, LocalError, StoreDamaged

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]

_HEAD: Final = Struct("<8sQII")
_MAGIC: Final = b"MWE750S1"
SLOT_SIZE: Final = 65536
"""Bytes of one copy, head included: 32 base modules' push positions and 16 users fit many times."""


class StateFile:
    """A JSON document in two copies, each with generation and CRC-32.

    `save` overwrites the older copy in place, so a kill in the middle of it damages that copy at
    most and the other one still stands. A module that holds a file holds it alone: opening it a
    second time raises BusyError. Without `durable` a save survives the end of the process but
    not that of the operating system; seconds are saved so, parameters and acknowledgements
    durably.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise BusyError(f"{path} is held by another module or program: stop it, or use another folder") from error
        self._generation = 0

    def load(self) -> dict[str, Any] | None:
        """The newest whole copy; None for a new file. Raises StoreDamaged when no copy is whole."""
        newest: dict[str, Any] | None = None
        size = os.fstat(self._file).st_size
        for slot in (0, 1):
            found = self._read(slot)
            if found is not None and (newest is None or found[0] > self._generation):
                self._generation, newest = found
        if newest is None and size:
            raise StoreDamaged(
                f"no copy in {self.path} is whole: restore the file from a backup, or delete it to start a new module"
            )
        return newest

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Around reading a loaded document: what is missing or of the wrong kind becomes StoreDamaged."""
        try:
            yield
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise StoreDamaged(
                f"{self.path} was written by another version of this program ({error!r}): use that version, "
                "or move the module's folder away to start a new module"
            ) from error

    def save(self, state: dict[str, Any], *, durable: bool = False) -> None:
        """Replace the document. Raises LocalError when it does not fit or the disk refuses."""
        content = json.dumps(state, separators=(",", ":")).encode()
        if len(content) > SLOT_SIZE - _HEAD.size:
            raise LocalError(f"the state of {self.path} has {len(content)} bytes, {SLOT_SIZE - _HEAD.size} fit")
        generation = self._generation + 1
        check = zlib.crc32(content, generation & 0xFFFF_FFFF)
        try:
            os.pwrite(
                self._file, _HEAD.pack(_MAGIC, generation, len(content), check) + content, generation % 2 * SLOT_SIZE
            )
            if durable:
                os.fsync(self._file)
        except OSError as error:
            raise LocalError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._generation = generation

    def _read(self, slot: int) -> tuple[int, dict[str, Any]] | None:
        copy = os.pread(self._file, SLOT_SIZE, slot * SLOT_SIZE)
        if len(copy) < _HEAD.size:
            return None
        magic, generation, length, check = _HEAD.unpack_from(copy)
        content = copy[_HEAD.size : _HEAD.size + length]
        if magic != _MAGIC or len(content) != length or zlib.crc32(content, generation & 0xFFFF_FFFF) != check:
            return None
        state = json.loads(content)
        return (generation, state) if isinstance(state, dict) else None

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
