"""Who may do what at a communication module."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from ..errors import LocalError
from ..sml import Attention, GetProcParameterRequest, SetProcParameterRequest
from ..sml.messages import ProcParValue
from ..sml.session import Refusal, Request
from . import object_names as names
from .parameters import Change, Parameter, octets, to_octets

USERS_MAX: Final = 16
"""Users kept. [design]"""
NAME_MAX: Final = 32
NO_PASSWORD: Final = b""
"""Digest of a user who cannot log in yet."""


class Role(IntEnum):
    """What a user may do; the number is `rr` in the tree 81 81 81 60 rr FF. [design]"""

    READER = 1
    """Read everything except users."""
    OPERATOR = 2
    """Also write the parameters of modules on the bus, time and device lists."""
    ADMINISTRATOR = 3
    """Also users, push operations, network settings, reboot."""


_WRITE: Final = {
    names.ACCESS_RIGHTS: Role.ADMINISTRATOR,
    names.PUSH_OPERATIONS: Role.ADMINISTRATOR,
    names.LAN_SETTINGS: Role.ADMINISTRATOR,
    names.REBOOT: Role.ADMINISTRATOR,
    names.DOWNLOAD: Role.ADMINISTRATOR,
    names.DEPOT: Role.ADMINISTRATOR,
    names.DOWNLOAD_KEY: Role.ADMINISTRATOR,
    names.ACTIVATE_FIRMWARE: Role.ADMINISTRATOR,
}
"""Role needed to write below a root of the communication module; OPERATOR for all others. [design]"""


@dataclass(frozen=True, slots=True)
class User:
    """One user; the password itself is never kept."""

    name: str
    password_sha256: bytes
    role: Role
    number: int = 1
    """`uu` in the tree, 1 … 254, unique over the module."""


AT_THE_DEVICE: Final = User("", NO_PASSWORD, Role.READER, 0)
"""Who stands at the service interface and gives no name. [design]"""


def password_digest(password: bytes) -> bytes:
    """SHA-256, the form in which the tree carries passwords. Source: gateway lineage."""
    return hashlib.sha256(password).digest()


class Users:
    """The users of one module; names are unique."""

    def __init__(self, credentials: Mapping[str, str], role: Role = Role.ADMINISTRATOR) -> None:
        if not credentials:
            raise LocalError("a communication module needs at least one user: give a name and a password")
        self.users = {
            name: User(name, password_digest(word.encode()), role, number)
            for number, (name, word) in enumerate(credentials.items(), start=1)
        }

    def check(self, username: bytes | None, password: bytes | None) -> User | None:
        """The user who gave this name and password, or None. Takes equally long either way."""
        user = self.users.get((username or b"").decode("utf-8", "replace"))
        expected = (user.password_sha256 if user is not None else NO_PASSWORD) or bytes(32)
        matches = hmac.compare_digest(password_digest(password or b""), expected)
        return user if user is not None and matches else None

    def add(self, name: str, role: Role, password_sha256: bytes = NO_PASSWORD, number: int | None = None) -> User:
        """A further user. Raises Refusal when the name is taken or no place is left."""
        if name in self.users:
            raise Refusal(Attention.OUT_OF_RANGE, f"user {name} exists")
        if len(self.users) >= USERS_MAX:
            raise Refusal(Attention.NOT_EXECUTED, f"{USERS_MAX} users exist")
        user = User(name, password_sha256, role, number or self.free_number)
        self.users[name] = user
        return user

    def remove(self, user: User) -> None:
        """Take a user away. Raises Refusal for the last administrator."""
        others = [one for one in self.users.values() if one.name != user.name]
        if not any(one.role is Role.ADMINISTRATOR and one.password_sha256 for one in others):
            raise Refusal(Attention.NOT_EXECUTED, "the last administrator cannot go")
        self.users.pop(user.name, None)

    @property
    def free_number(self) -> int:
        taken = {user.number for user in self.users.values()}
        return next(number for number in range(1, USERS_MAX + 2) if number not in taken)

    # --- parameter tree --------------------------------------------------------------------

    def parameters(self) -> Parameter:
        """The tree 81 81 81 60: roles, their users, and one free place in each role.

        Writing a name into the free place makes a user, writing a password digest (32 bytes)
        lets him in, writing an empty name removes him. Digests are never read.
        """
        return Parameter(names.ACCESS_RIGHTS, children=tuple(self._role(role) for role in Role))

    def _role(self, role: Role) -> Parameter:
        users = [user for user in self.users.values() if user.role is role]
        free = User("", NO_PASSWORD, role, self.free_number)
        return Parameter(names.access_role(role), children=tuple(self._entry(user, role) for user in (*users, free)))

    def _entry(self, user: User, role: Role) -> Parameter:
        def name() -> ProcParValue | None:
            return octets(user.name.encode()) if user.name else None

        return Parameter(
            names.access_user(role, user.number),
            children=(
                Parameter(names.USER_NAME, name, lambda value: self._rename(user, value)),
                Parameter(names.USER_PASSWORD, lambda: None, lambda value: self._new_password(user.number, value)),
            ),
        )

    def _rename(self, user: User, value: ProcParValue) -> Change:
        try:
            name = to_octets(value, 0, NAME_MAX).decode()
        except UnicodeDecodeError:
            raise Refusal(Attention.TYPE_NOT_SUPPORTED, "a name is UTF-8") from None

        def change() -> None:
            if not name:
                self.remove(user)
            elif name != user.name:
                self.add(name, user.role, user.password_sha256, user.number if not user.name else None)
                self.users.pop(user.name, None)

        return change

    def _new_password(self, number: int, value: ProcParValue) -> Change:
        digest = to_octets(value, 32, 32)

        def change() -> None:
            user = next((one for one in self.users.values() if one.number == number), None)
            if user is None:
                raise Refusal(Attention.NOT_EXECUTED, "write the name first")
            self.users[user.name] = User(user.name, digest, user.role, number)

        return change

    # --- memory ----------------------------------------------------------------------------

    def to_state(self) -> list[list[Any]]:
        return [[user.name, user.password_sha256.hex(), int(user.role), user.number] for user in self.users.values()]

    def from_state(self, state: list[list[Any]]) -> None:
        self.users = {
            name: User(name, bytes.fromhex(digest), Role(role), number) for name, digest, role, number in state
        }


def may(user: User, request: Request, *, own: bool) -> bool:
    """Whether a user may send this request; `own` says it is for the communication module itself."""
    if isinstance(request, GetProcParameterRequest):
        return not (own and request.parameter_tree_path[:1] == (names.ACCESS_RIGHTS,)) or (
            user.role is Role.ADMINISTRATOR
        )
    if not isinstance(request, SetProcParameterRequest):
        return True
    root = request.parameter_tree_path[0] if request.parameter_tree_path else b""
    return user.role >= (_WRITE.get(root, Role.OPERATOR) if own else Role.OPERATOR)  # type: ignore[call-overload]
