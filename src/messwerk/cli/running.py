"""Programs that run and can be touched from another terminal: where they are reached, and asking them."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..errors import LocalError, PeerLost, SourceError

CONTROL_FILE: Final = "control"
"""In the data folder of a running program: host and port of its control."""
ANSWER_S: Final = 10.0


def publish(data: Path, where: str) -> None:
    """Say where control is reached."""
    data.mkdir(parents=True, exist_ok=True)
    (data / CONTROL_FILE).write_text(where + "\n", encoding="utf-8")


def withdraw(data: Path) -> None:
    """Control is reached no more."""
    (data / CONTROL_FILE).unlink(missing_ok=True)


def ask(data: Path, command: object, *, start: str) -> dict[str, Any]:
    """One command to the program that runs in `data`; `start` is how to start one.

    Raises LocalError, SourceError, PeerLost.
    """
    try:
        where = address((data / CONTROL_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"no twin runs in {data}: start one with `{start} --data {data}`") from error
    try:
        with socket.create_connection(where, timeout=ANSWER_S) as line, line.makefile("rwb") as stream:
            stream.write(json.dumps(command).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
    except (OSError, ValueError) as error:
        raise PeerLost(f"the twin of {data} does not answer on {where[0]}:{where[1]}; is it still running?") from error
    if not answer.get("ok"):
        raise LocalError(str(answer.get("error")))
    return dict(answer)


def address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8100` or `[::1]:8100`. Raises LocalError."""
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise LocalError(f"not an address (like 127.0.0.1:8100): {text.strip()!r}")
    return host.strip("[]"), int(port)


def moment(text: str) -> datetime:
    """A moment in ISO 8601, UTC where no zone is given. Raises LocalError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise LocalError(f"not a moment in ISO 8601 (like 2026-06-01T12:00:00Z): {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
