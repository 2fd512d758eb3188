"""Who may do what at a communication module."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from ..errors import LocalError
from ..sml import SetProcParameterRequest
from ..sml.session import Request

USERS_MAX: Final = 16
"""Users kept. [design]"""


class Role(IntEnum):
    """What a user may do; the number is `rr` in the tree 81 81 81 60 rr FF. [design]"""

    READER = 1
    """Read everything except other users."""
    OPERATOR = 2
    """Also write the parameters of base modules, time and device lists."""
    ADMINISTRATOR = 3
    """Also users, push targets, firmware, reboot."""


@dataclass(frozen=True, slots=True)
class User:
    """One user; the password itself is never kept."""

    name: str
    password_sha256: bytes
    role: Role


def password_digest(password: bytes) -> bytes:
    """SHA-256, the form in which the tree carries passwords. Source: gateway lineage."""
    return hashlib.sha256(password).digest()


class Users:
    """The users of one module; names are unique."""

    def __init__(self, credentials: Mapping[str, str], role: Role = Role.ADMINISTRATOR) -> None:
        if not credentials:
            raise LocalError("a communication module needs at least one user: give a name and a password")
        self.users = {name: User(name, password_digest(word.encode()), role) for name, word in credentials.items()}

    def check(self, username: bytes | None, password: bytes | None) -> User | None:
        """The user who gave this name and password, or None. Takes equally long either way."""
        user = self.users.get((username or b"").decode("utf-8", "replace"))
        expected = user.password_sha256 if user is not None else bytes(32)
        matches = hmac.compare_digest(password_digest(password or b""), expected)
        return user if user is not None and matches else None

    def to_state(self) -> list[list[Any]]:
        return [[user.name, user.password_sha256.hex(), int(user.role)] for user in self.users.values()]

    def from_state(self, state: list[list[Any]]) -> None:
        self.users = {name: User(name, bytes.fromhex(digest), Role(role)) for name, digest, role in state}


def may(user: User, request: Request) -> bool:
    """Whether a user may send this request at all; finer rights belong to single parameters."""
    return user.role >= Role.OPERATOR if isinstance(request, SetProcParameterRequest) else True
