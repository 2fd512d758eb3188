"""What a gateway must not forget about its meters: keys, counters, certificates. One file.

Counters are written before they are used, so a gateway that was killed never repeats one. The
file holds secrets: only its owner may read it, and no repr, log or command prints them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Protocol

from ..errors import LocalError, StoreDamaged
from ..identity import ServerId
from ..lmn.certificates import Identity
from ..lmn.security import QUERY_COUNTER

FORMAT: Final = "messwerk gateway 1"


@dataclass(slots=True, repr=False)
class MeterRecord:
    """One meter as its gateway knows it. The repr shows no secret."""

    server_id: ServerId
    initial_key: bytes
    """From the delivery list; the meter has it again after a crypto reset."""
    operational_key: bytes = b""
    """What replaced it; empty: nothing did."""
    public_key: bytes = b""
    """X || Y from the plate; empty: signatures are not checked."""
    sent_counter: int = 0
    received_counter: int = 0
    meter_certificate: bytes = b""
    own_certificate: bytes = b""
    own_key: bytes = b""
    paired: bool = False
    renewing: bool = False
    """The next certificates may have arrived at the meter, or not."""
    next_meter_certificate: bytes = b""
    next_own_certificate: bytes = b""
    next_own_key: bytes = b""
    last_index: int = 0
    """Seconds index of the last reading; a smaller one means another meter, or a forged answer."""

    @property
    def master(self) -> bytes:
        """The key of the key exchange."""
        return self.operational_key or self.initial_key

    @property
    def own(self) -> Identity:
        return Identity(self.own_certificate, self.own_key)

    def forget_pairing(self) -> None:
        """After a crypto reset: the initial key counts, certificates are gone; counters stay."""
        self.operational_key = self.meter_certificate = self.own_certificate = self.own_key = b""
        self.paired = False
        self.forget_renewal()

    def forget_renewal(self) -> None:
        self.renewing = False
        self.next_meter_certificate = self.next_own_certificate = self.next_own_key = b""

    def __repr__(self) -> str:
        return f"MeterRecord({self.server_id}, paired={self.paired})"


@dataclass(slots=True)
class GatewayState:
    """Everything one gateway keeps."""

    server_id: ServerId
    meters: dict[ServerId, MeterRecord] = field(default_factory=dict)
    push_counter: int = 0

    def to_bytes(self) -> bytes:
        content = {
            "format": FORMAT,
            "server_id": self.server_id.hex(),
            "push_counter": self.push_counter,
            "meters": [
                {one.name: _plain(getattr(record, one.name)) for one in fields(record)}
                for record in self.meters.values()
            ],
        }
        return json.dumps({**content, "digest": _digest(content)}, indent=1).encode()

    @classmethod
    def from_bytes(cls, octets: bytes) -> GatewayState:
        """Raises StoreDamaged when the content is not as it was written."""
        try:
            content: dict[str, Any] = json.loads(octets)
            digest = content.pop("digest")
            if content["format"] != FORMAT or digest != _digest(content):
                raise StoreDamaged("the gateway's file was changed, or written by another release")
            kinds = {one.name: one.type for one in fields(MeterRecord)}
            records = [
                MeterRecord(**{name: _typed(kinds[name], value) for name, value in entry.items()})
                for entry in content["meters"]
            ]
            server_id = ServerId(bytes.fromhex(content["server_id"]))
            return cls(server_id, {record.server_id: record for record in records}, content["push_counter"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreDamaged("this is no gateway's file, or it is damaged; restore a copy of it") from error


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _typed(kind: object, value: Any) -> Any:
    if kind == "ServerId":
        return ServerId(bytes.fromhex(value))
    return bytes.fromhex(value) if kind == "bytes" else value


class GatewayMemory(Protocol):
    """Where a gateway keeps its state; `save` returns when it is durable."""

    def load(self) -> GatewayState | None: ...

    def save(self, state: GatewayState) -> None: ...


class RamMemory:
    """Memory that lives as long as the object."""

    def __init__(self) -> None:
        self._octets: bytes | None = None

    def load(self) -> GatewayState | None:
        return None if self._octets is None else GatewayState.from_bytes(self._octets)

    def save(self, state: GatewayState) -> None:
        self._octets = state.to_bytes()


class FileMemory:
    """One file, readable by its owner alone, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def load(self) -> GatewayState | None:
        """None where there is no file yet. Raises StoreDamaged, LocalError."""
        try:
            return GatewayState.from_bytes(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def save(self, state: GatewayState) -> None:
        """Raises LocalError when the file cannot be written."""
        beside = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(state.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise LocalError(f"{self.path} cannot be written: {error.strerror or error}") from error


class Counters:
    """The counters towards one meter, for the key exchange; saved before they are used."""

    def __init__(self, record: MeterRecord, state: GatewayState, memory: GatewayMemory) -> None:
        self._record, self._state, self._memory = record, state, memory

    def next_counter(self, at_least: int) -> int:
        """Raises OverflowError when the counters of this key are used up."""
        counter = max(self._record.sent_counter + 1, at_least)
        if counter >= QUERY_COUNTER:
            raise OverflowError("the gateway's counter towards this meter is used up: it needs a new key")
        self._record.sent_counter = counter
        self._memory.save(self._state)
        return counter

    def accept_counter(self, counter: int) -> bool:
        if counter <= self._record.received_counter:
            return False
        self._record.received_counter = counter
        self._memory.save(self._state)
        return True


def read_delivery_list(text: str) -> dict[ServerId, bytes]:
    """The maker's list: `device ID or server ID;initial key in hex`, a meter a line, # for remarks.

    Raises LocalError naming the line, never showing the key. [design: no public format]
    """
    found: dict[ServerId, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, digits = line.partition(";")
        try:
            key = bytes.fromhex(digits)
            if len(key) != 16:
                raise ValueError
            found[ServerId.parse(name)] = key
        except ValueError as error:
            raise LocalError(f"line {number} of the delivery list is no `device ID;key of 32 hex digits`") from error
    return found


__all__ = [
    "Counters", "FileMemory", "GatewayMemory", "GatewayState", "MeterRecord", "RamMemory",
    "read_delivery_list",
]  # fmt: skip
