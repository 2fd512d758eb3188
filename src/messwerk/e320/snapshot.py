"""One file that holds a whole meter at one moment, and the meter made from it.

A snapshot has what non-volatile memory has and what memory does not: uptime, menu, a press in
progress. A restored meter goes on as if nothing had been; no start-up, no index skipped. JSON,
with a digest over its content, so that a damaged or edited file is not taken for a meter.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import asdict, fields
from enum import Enum
from typing import Any, Final, TypeVar

from ..errors import StoreDamaged
from ..identity import ServerId
from ..metrology.accuracy import ErrorModel
from ..signing import Curve
from .button import OpticalButton
from .history import History
from .keys import KeyStore
from .lmn_status import LmnStatus
from .menu import Menu, Screen
from .meter import E320
from .nonvolatile import Memory, RamMemory
from .state import Moment, State
from .variant import FirmwareParameters, Variant

FORMAT: Final = "messwerk E320 snapshot 1"
T = TypeVar("T")


def snapshot(meter: E320) -> bytes:
    """The meter as it is now, as UTF-8 JSON."""
    content = {
        "format": FORMAT,
        "server_id": meter.server_id.hex(),
        "type": meter.variant.code,
        "parameters": asdict(meter.parameters),
        "errors": asdict(meter.errors) if meter.errors else None,
        "on": meter.on,
        "plugged": meter._plugged,
        "state": _text(meter._state.to_bytes()),
        "history": _text(meter.history.to_bytes()),
        "keys": _text(meter.keys.to_bytes()),
        "moment": asdict(meter._now),
        "button": asdict(meter._button),
        "light": list(meter._light_plan),
        "menu": asdict(meter.menu),
        "lmn": asdict(meter.lmn),
    }
    content["digest"] = _digest(content)
    return json.dumps(content, default=_plain, indent=1).encode()


def restore(file: bytes, memory: Memory | None = None) -> E320:
    """The meter of a snapshot; it keeps its state in `memory` from now on, over what was there.

    Raises StoreDamaged when the file is no snapshot, or not as it was written.
    """
    try:
        content: dict[str, Any] = json.loads(file)
        digest = content.pop("digest")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StoreDamaged("this is not a snapshot of an E320; make one with `snapshot`") from error
    if content.get("format") != FORMAT or digest != _digest(content):
        raise StoreDamaged("this snapshot was changed since it was made, or comes from another release")
    errors = content["errors"]
    meter = E320(
        server_id=ServerId(bytes.fromhex(content["server_id"])),
        variant=Variant.parse(content["type"]),
        memory=RamMemory(),
        parameters=_built(FirmwareParameters, content["parameters"], curve=Curve),
        errors=_built(ErrorModel, errors) if errors else None,
    )
    meter._state = State.from_bytes(b64decode(content["state"]))
    meter._history = History.from_bytes(b64decode(content["history"]))
    meter.keys = KeyStore.from_bytes(b64decode(content["keys"]))
    meter._now = _built(Moment, content["moment"])
    meter._button = _built(OpticalButton, content["button"])
    meter._light_plan.extend((at_s, lux) for at_s, lux in content["light"])
    meter._menu = _built(Menu, content["menu"], screen=Screen, kind=Screen)
    meter.lmn = _built(LmnStatus, content["lmn"])
    meter._on, meter._plugged = content["on"], content["plugged"]
    meter._adopt(memory or RamMemory())
    return meter


def _built(cls: type[T], values: dict[str, Any], **enums: type[Enum]) -> T:
    """A dataclass from JSON: lists become tuples, named fields become members of their enumeration."""
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    ready = {
        name: enums[name](value) if name in enums else tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known
    }
    return cls(**ready)


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"a snapshot cannot hold {value!r}")


def _text(content: bytes) -> str:
    return b64encode(content).decode()
