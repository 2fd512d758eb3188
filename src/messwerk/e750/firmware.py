"""Firmware of a module: signed download in blocks, two slots, activation with a way back.

Measuring never waits for any of this. Nothing is activated that is not whole and signed by the
maker; a version that does not start three times gives way to the one before; what happened
stands in a log that nobody can erase. After WELMEC 7.2 extension D: automatic, authentic,
intact, traceable.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self

from ..errors import InvalidSignature, LocalError, StoreDamaged
from ..signing import Curve, PrivateKey, PublicKey
from ..sml import Attention
from ..sml.session import Refusal
from .log_book import Event
from .state import StateFile

BLOCK_SIZE: Final = 512
"""Bytes of a block; the last one may be shorter. [design]"""
IMAGE_MAX: Final = 4 << 20
"""[design]"""
BOOTS_TRIED: Final = 3
"""Starts a new version gets before the old one comes back. [design]"""
LEGAL_LOG_ENTRIES: Final = 100
"""Entries of the log that cannot be erased; when it is full, no download begins. [design: at least 100]"""

_MANIFEST: Final = Struct(">6sIIB32s")
_CURVE: Final = Curve.P256


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an image claims to be. Signed by its maker over the 47 bytes of `content`. [design]"""

    device_class: bytes
    version: int
    """Grows with every release."""
    length: int
    legally_relevant: bool
    """Whether it touches measuring, signing or registers."""
    sha256: bytes

    @property
    def content(self) -> bytes:
        return _MANIFEST.pack(self.device_class, self.version, self.length, self.legally_relevant, self.sha256)

    @property
    def blocks(self) -> int:
        return -(-self.length // BLOCK_SIZE)

    def signed(self, key: PrivateKey) -> bytes:
        """Content and signature, as the download begins with them."""
        return self.content + key.sign(self.content)

    @classmethod
    def of(cls, image: bytes, device_class: bytes, version: int, *, legally_relevant: bool) -> Self:
        return cls(
            device_class=device_class, version=version, length=len(image), legally_relevant=legally_relevant,
            sha256=hashlib.sha256(image).digest(),
        )  # fmt: skip

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read `content`. Raises Refusal."""
        if len(content) != _MANIFEST.size:
            raise Refusal(Attention.OUT_OF_RANGE, f"a manifest has {_MANIFEST.size} bytes and a signature")
        device_class, version, length, relevant, digest = _MANIFEST.unpack(content)
        if not 0 < length <= IMAGE_MAX or relevant > 1:
            raise Refusal(Attention.OUT_OF_RANGE, "length or flag of the manifest")
        return cls(
            device_class=device_class, version=version, length=length, legally_relevant=bool(relevant), sha256=digest
        )


@dataclass(frozen=True, slots=True)
class LegalEntry:
    """One line of the log that cannot be erased."""

    number: int
    index: int
    """Seconds index of the module, or 0 where it has none."""
    event: int
    version_before: int
    version: int
    sha256: str
    chain: str
    """SHA-256 over the chain value before and this entry: a missing or changed line shows."""


class LegalLog:
    """Append-only and chained. Raises StoreDamaged when a line was changed or taken out."""

    def __init__(self, path: Path) -> None:
        self.entries: list[LegalEntry] = []
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        good = 0
        for line in lines[:-1]:
            try:
                entry = LegalEntry(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise StoreDamaged(
                    f"{path}: line {len(self.entries) + 1} is not readable: keep it as evidence"
                ) from error
            if entry.chain != self._chain(entry):
                raise StoreDamaged(f"{path}: the chain breaks at line {entry.number}: keep it as evidence")
            self.entries.append(entry)
            good += len(line) + 1
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, good)  # a line torn by a kill: what it tells of did not happen
        os.lseek(self._file, 0, os.SEEK_END)

    @property
    def full(self) -> bool:
        return len(self.entries) >= LEGAL_LOG_ENTRIES

    def tells(self, event: Event, sha256: bytes) -> bool:
        """Whether the last line is this one."""
        last = self.entries[-1] if self.entries else None
        return last is not None and (last.event, last.sha256) == (event, sha256.hex())

    def add(self, index: int, event: Event, before: int, version: int, sha256: bytes) -> None:
        """Write one line; it is on the disk when this returns. Raises LocalError."""
        entry = LegalEntry(len(self.entries) + 1, index, int(event), before, version, sha256.hex(), "")
        entry = replace(entry, chain=self._chain(entry))
        try:
            os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")
            os.fsync(self._file)
        except OSError as error:
            raise LocalError(f"cannot write the legal log: {error.strerror or error}") from error
        self.entries.append(entry)

    def _chain(self, entry: LegalEntry) -> str:
        before = self.entries[-1].chain if self.entries else ""
        return hashlib.sha256(before.encode() + json.dumps(asdict(replace(entry, chain=""))).encode()).hexdigest()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Firmware:
    """The firmware of one module.

    `starts` stands for the processor: handed an image, it says whether the image comes up.
    `report` takes events for the log book. `consent_needed` is set for measuring modules: then a
    legally relevant update also needs `give_consent`, which nobody can call over a wire.
    Raises BusyError, StoreDamaged, LocalError.
    """

    def __init__(
        self,
        folder: Path,
        device_class: bytes,
        *,
        factory_version: int = 1,
        download_key: PublicKey | None = None,
        consent_needed: bool = False,
        report: Callable[[Event, str], None] = lambda event, details: None,
        starts: Callable[[bytes], bool] = lambda image: True,
    ) -> None:
        self.folder, self.device_class = folder, bytes(device_class)
        self.consent_needed, self.consent = consent_needed, False
        self.version = factory_version
        """Version running now."""
        self.failed_verifications = 0
        """Manifests and images that did not prove themselves."""
        self.key = download_key
        """The maker's key; it can be set once."""
        self._report, self._starts = report, starts
        self._slot = "factory"
        self._manifest: Manifest | None = None
        self._good = 0
        self._verified = False
        self._activate_at: int | None = None
        self._trial: int | None = None
        self._next_block = 0
        self._state = StateFile(folder / "firmware")
        with ExitStack() as on_failure:
            on_failure.callback(self._state.close)
            self._resume()
            self.log = LegalLog(folder / "firmware.log")
            on_failure.pop_all()

    def give_consent(self) -> None:
        """The hand at the module: allow one legally relevant update."""
        self.consent = True
        self._save()

    # --- download --------------------------------------------------------------------------

    @property
    def blocks(self) -> int:
        """Blocks of the download that has begun, 0 without one."""
        return self._manifest.blocks if self._manifest is not None else 0

    @property
    def last_good(self) -> int:
        """Number of the last block stored; the sender resumes behind it."""
        return self._good

    def begin(self, signed_manifest: bytes) -> None:
        """Take a signed manifest. The one already begun resumes, another starts anew. Raises Refusal."""
        content, signature = signed_manifest[: _MANIFEST.size], signed_manifest[_MANIFEST.size :]
        manifest = Manifest.parse(content)
        self._prove(content, signature)
        self._check(manifest)
        if manifest != self._manifest:
            self._manifest, self._good, self._verified = manifest, 0, False
            self._activate_at = self._trial = None
            self._save()

    def _check(self, manifest: Manifest) -> None:
        """Whether this module may run it. Raises Refusal."""
        if manifest.device_class != self.device_class:
            self._report(Event.FIRMWARE_WRONG_TYPE, manifest.device_class.hex())
            raise Refusal(Attention.OUT_OF_RANGE, "this firmware is for another kind of module")
        if manifest.legally_relevant and manifest.version <= self.version:
            raise Refusal(Attention.OUT_OF_RANGE, f"version {self.version} runs: legally relevant parts only go up")
        if manifest.legally_relevant and self.consent_needed and not self.consent:
            raise Refusal(Attention.NOT_AUTHORISED, "a legally relevant update needs consent given at the module")
        if self.log.full:
            raise Refusal(Attention.NOT_EXECUTED, "the legal log is full: no further download")

    def _prove(self, content: bytes, signature: bytes) -> None:
        if self.key is None:
            raise Refusal(Attention.NOT_EXECUTED, "no download key is set")
        try:
            self.key.verify(content, signature)
        except InvalidSignature:
            self.failed_verifications += 1
            self._save()
            raise Refusal(Attention.NOT_AUTHORISED, "the manifest is not signed by the maker") from None

    def choose_block(self, number: int) -> None:
        """Say which block comes next."""
        self._next_block = number

    def store_block(self, data: bytes) -> None:
        """Store the block chosen. One that is stored already is taken again in silence. Raises Refusal."""
        manifest, number = self._manifest, self._next_block
        if manifest is None or self._verified:
            raise Refusal(Attention.NOT_EXECUTED, "no download has begun")
        if not 1 <= number <= self._good + 1 or number > manifest.blocks:
            raise Refusal(Attention.OUT_OF_RANGE, f"the next block is {self._good + 1} of {manifest.blocks}")
        expected = min(BLOCK_SIZE, manifest.length - (number - 1) * BLOCK_SIZE)
        if len(data) != expected:
            raise Refusal(Attention.OUT_OF_RANGE, f"block {number} has {expected} bytes, not {len(data)}")
        if number > self._good:
            self._write_block(number, data)
        if self._good == manifest.blocks:
            self._finish(manifest)

    def _write_block(self, number: int, data: bytes) -> None:
        file = os.open(self._staging, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, data, (number - 1) * BLOCK_SIZE)
            os.fsync(file)
        except OSError as error:
            raise Refusal(Attention.BUSY, f"the disk refuses: {error.strerror or error}") from error
        finally:
            os.close(file)
        self._good = number
        self._save()

    def _finish(self, manifest: Manifest) -> None:
        image = self._staging.read_bytes()[: manifest.length]
        if hashlib.sha256(image).digest() != manifest.sha256:
            self.failed_verifications += 1
            self._manifest, self._good = None, 0
            self._save()
            self._report(Event.FIRMWARE_HASH_ERROR, f"version {manifest.version}")
            raise Refusal(Attention.CHECKSUM, "the image does not have the digest of its manifest")
        self._verified = True
        self._save()
        self._report(Event.FIRMWARE_UPLOADED, f"version {manifest.version}")

    # --- activation ------------------------------------------------------------------------

    def activate(self, index: int) -> None:
        """Activate the verified image when the seconds index reaches `index`. Raises Refusal."""
        if self._manifest is None or not self._verified:
            raise Refusal(Attention.NOT_EXECUTED, "no verified image to activate")
        self._activate_at = index
        self._save()

    def poll(self, index: int) -> bool:
        """Let time pass; returns whether another version runs from now on.

        A start that does not succeed is tried again, also after a kill, BOOTS_TRIED times in all.
        """
        manifest = self._manifest
        if manifest is None or self._activate_at is None or index < self._activate_at:
            return False
        while (self._trial or 0) < BOOTS_TRIED:
            self._trial = (self._trial or 0) + 1
            self._save()
            if self._starts(self._staging.read_bytes()[: manifest.length]):
                return self._commit(manifest, index)
        self.log.add(index, Event.FIRMWARE_NOT_WORKING, self.version, manifest.version, manifest.sha256)
        self._report(Event.FIRMWARE_NOT_WORKING, f"version {manifest.version}: {self.version} goes on")
        self._forget_download()
        return False

    def _commit(self, manifest: Manifest, index: int) -> bool:
        slot = "b" if self._slot == "a" else "a"
        target = self.folder / f"firmware.{slot}"
        target.write_bytes(self._staging.read_bytes()[: manifest.length])
        if not self.log.tells(Event.FIRMWARE_ACTIVATED, manifest.sha256):  # a kill may have come between
            self.log.add(index, Event.FIRMWARE_ACTIVATED, self.version, manifest.version, manifest.sha256)
        self.version, self._slot, self.consent = manifest.version, slot, False
        self._forget_download()
        self._report(Event.FIRMWARE_ACTIVATED, f"version {manifest.version}")
        return True

    def _forget_download(self) -> None:
        self._manifest, self._good, self._verified = None, 0, False
        self._activate_at = self._trial = None
        self._save()

    def set_key(self, point: bytes) -> None:
        """Set the maker's key, once. Raises Refusal, InvalidIdentifier."""
        if self.key is not None:
            raise Refusal(Attention.NOT_WRITABLE, "the download key is set once")
        self.key = PublicKey.from_point(_CURVE, point)
        self._save()

    # --- memory ----------------------------------------------------------------------------

    @property
    def _staging(self) -> Path:
        return self.folder / "firmware.new"

    def _save(self) -> None:
        self._state.save(
            {
                "version": self.version,
                "slot": self._slot,
                "key": self.key.point.hex() if self.key is not None else None,
                "failed": self.failed_verifications,
                "manifest": self._manifest.content.hex() if self._manifest is not None else None,
                "download": [self._good, self._verified, self._activate_at, self._trial],
                "consent": self.consent,
            },
            durable=True,
        )

    def _resume(self) -> None:
        state: dict[str, Any] | None = self._state.load()
        if state is None:
            return
        with self._state.understood():
            self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        self.version, self._slot, self.failed_verifications = state["version"], state["slot"], state["failed"]
        if state["key"] is not None:
            self.key = PublicKey.from_point(_CURVE, bytes.fromhex(state["key"]))
        if state["manifest"] is not None:
            self._manifest = Manifest.parse(bytes.fromhex(state["manifest"]))
        self._good, self._verified, self._activate_at, self._trial = state["download"]
        self.consent = state["consent"]

    def close(self) -> None:
        """Let go of the files."""
        self._state.close()
        self.log.close()
