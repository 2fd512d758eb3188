"""Every error Messwerk raises, drawn as one tree.

    MesswerkError
    ├── LocalError          we, or the person at the keyboard, asked for something impossible
    │   ├── SourceError         a source cannot be opened or holds nothing readable
    │   │   └── NotSml              bytes are there, but they are another protocol
    │   ├── BusyError           a data folder or a port is held by somebody else
    │   ├── NoRoom              the disk, or a limit on it, has no room for what must be kept
    │   ├── InvalidIdentifier   text or bytes that are no OBIS code, server ID, device ID …
    │   └── EncodeError         a message holds something the wire cannot carry
    ├── RemoteError         a peer broke a rule; its fault, never ours to crash on
    │   ├── SmlError            bytes that are not what the language allows
    │   │   ├── DecodeError         structure or type is wrong: offset, path, expected, found
    │   │   └── ChecksumMismatch    a frame or message arrived whole but its CRC-16 differs
    │   ├── LmnError            a message or certificate on the wired network must not be accepted
    │   ├── AttentionReceived   the peer answered with an attention number of the error range
    │   └── PeerLost            the peer closed, stalled or answered nonsense
    └── EvidenceError       something that should prove itself does not
        ├── InvalidSignature    the signature does not fit key and content
        ├── TamperedEvidence    the same key (server ID, index) with different content
        └── StoreDamaged        a state file or archive fails its own checksum

Local misuse and a misbehaving peer are different classes on purpose: the first is fixed by
the caller, the second is counted and survived.
"""

from __future__ import annotations


class MesswerkError(Exception):
    """Root of the tree: catching it catches everything Messwerk raises on purpose."""


class LocalError(MesswerkError):
    """The request cannot be met as asked; the message names the remedy."""


class SourceError(LocalError):
    """A source of telegrams cannot be opened, or holds nothing readable."""


class NotSml(SourceError):
    """The source speaks, but not SML; `protocol` names what it looks like."""

    def __init__(self, message: str, *, protocol: str | None = None) -> None:
        self.protocol = protocol
        super().__init__(message)


class BusyError(LocalError):
    """A data folder, port or device is already in use."""


class NoRoom(LocalError):
    """What must be kept durably cannot be written: the disk is full or a limit is reached."""


class InvalidIdentifier(LocalError, ValueError):
    """Text or bytes that are not the identifier they should be."""


class EncodeError(LocalError, ValueError):
    """A message holds something the wire cannot carry.

    `path` names the field (`GetListResponse.val_list[2].unit`), `expected` and `found` are
    short phrases.
    """

    def __init__(self, *, path: str, expected: str, found: str) -> None:
        self.path, self.expected, self.found = path, expected, found
        super().__init__(f"{path}: expected {expected}, found {found}")


class RemoteError(MesswerkError):
    """A peer broke a rule."""


class SmlError(RemoteError):
    """Bytes that the Smart Message Language does not allow."""


class DecodeError(SmlError):
    """Structure or type is wrong at one place.

    `offset` counts bytes from the start of what was decoded, `path` names the field
    (`GetListResponse.val_list[2].unit`), `expected` and `found` are short phrases.
    """

    def __init__(self, *, offset: int, path: str, expected: str, found: str) -> None:
        self.offset, self.path, self.expected, self.found = offset, path, expected, found
        where = f"{path} at byte {offset}" if path else f"byte {offset}"
        super().__init__(f"{where}: expected {expected}, found {found}")


class ChecksumMismatch(SmlError):
    """A transport frame or a message arrived whole but its CRC-16 differs."""

    def __init__(self, *, what: str, offset: int, expected: int, found: int) -> None:
        self.what, self.offset, self.expected, self.found = what, offset, expected, found
        super().__init__(f"{what} at byte {offset}: CRC {found:#06x}, expected {expected:#06x}")


class LmnError(RemoteError):
    """A message, key or certificate on the local metrological network must not be accepted."""


class AttentionReceived(RemoteError):
    """The peer refused a request; `number` is the six-byte attention number."""

    def __init__(self, number: bytes, name: str, *, server_id: bytes = b"") -> None:
        self.number, self.name, self.server_id = number, name, server_id
        super().__init__(f"attention {number[-2:].hex(' ').upper()}: {name}")


class PeerLost(RemoteError):
    """The peer closed the connection, stalled, or answered something unusable."""


class EvidenceError(MesswerkError):
    """Something that should prove itself does not."""


class InvalidSignature(EvidenceError):
    """The signature does not fit this key and this content."""


class TamperedEvidence(EvidenceError):
    """Two different contents claim the same server ID and seconds index."""


class StoreDamaged(EvidenceError):
    """A state file, journal or archive file fails its own checksum."""
