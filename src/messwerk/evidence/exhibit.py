"""What a file claims: exhibits with the bytes their signatures cover, not yet judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..edl import EdlValue
from ..signing import PublicKey
from ..tuples import SignedTuple


class Stage(Enum):
    """Which reading of a transaction a value is."""

    START = "start"
    UPDATE = "update"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a file says, as people read it."""

    name: str
    value: str
    signed: bool = True
    """Whether the signature covers it; where not, anybody may have written it."""


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """Bytes and the signature over them."""

    name: str
    """Which part of the exhibit: `import`, `export`, `value`."""
    content: bytes
    signature: bytes
    """r || s."""


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """A public key that the file itself carries, or why it is none."""

    place: str
    key: PublicKey | None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One signed thing: a tuple, a profile row, a meter value."""

    title: str
    layout: str
    """Name of the layout of its blocks."""
    place: str
    """Where in the file it stands."""
    server_id: bytes
    blocks: tuple[SignedBlock, ...]
    fields: tuple[Field, ...]
    content: EdlValue | SignedTuple | None = None
    """The fields as numbers, for rules that compare exhibits; None where some are missing."""
    stage: Stage | None = None
    """Which reading of a transaction it says it is."""
    offered: tuple[OfferedKey, ...] = ()
    """Keys that stand beside it."""
    expected_key: str = ""
    """Fingerprint of the key that the file says it is signed with."""
    faults: tuple[str, ...] = ()
    """Why it cannot be proven whatever its signature says."""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that whole files or transactions must keep, and whether this one does."""

    name: str
    kept: bool
    detail: str
    """What was compared, with values."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Values that belong together, first to last, and the rules between them."""

    name: str
    members: tuple[int, ...]
    """Numbers of its exhibits, from 0, in order."""
    rules: tuple[Rule, ...]
    energy: str | None = None
    """What was measured from first to last, with its unit."""


@dataclass(slots=True)
class Contents:
    """Everything found in one file."""

    kind: str
    exhibits: list[Exhibit] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    """Rules of the file as a whole, such as the sums of a bill."""
    unsigned: int = 0
    """Readings that carry no signature at all."""
    damaged: list[str] = field(default_factory=list)
    """Parts that should hold something and cannot be read."""
    remarks: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    """What this kind of file cannot prove by itself."""
    keys_by_server: dict[bytes, list[OfferedKey]] = field(default_factory=dict)
    """Keys that devices state of themselves elsewhere in the file."""
