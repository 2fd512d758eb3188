"""A whole file of SML, whichever form it has, for the commands that look at files."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import sml
from ..errors import NotSml, SmlError, SourceError
from ..sml.json import from_json
from ..sml.recognise import recognise
from ..sml.transport import LARGEST_MAX_FRAME
from ..sml.xml import from_xml

MAX_BYTES: Final = 256 << 20
"""Largest file taken into memory."""
FORMS: Final = {
    ".bin": "binary", ".sml": "binary", ".raw": "binary", ".dat": "binary",
    ".hex": "hex", ".txt": "hex", ".xml": "xml", ".json": "json",
}  # fmt: skip
"""File name endings and the form they stand for."""


@dataclass(frozen=True, slots=True)
class Material:
    """The SML files found in some bytes, in order, and what was left over."""

    data: bytes
    events: tuple[sml.Frame | sml.Rejected, ...]
    """Frames and rejections; a file without transport frame counts as one frame at offset 0."""
    framed: bool
    bytes_skipped: int

    @property
    def frames(self) -> list[sml.Frame]:
        return [event for event in self.events if isinstance(event, sml.Frame)]


def form_of(path: str) -> str:
    """Form that a file name's ending stands for. Raises SourceError that lists the endings."""
    form = FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise SourceError(f"the ending of {path} does not tell its form: use one of {', '.join(FORMS)}")
    return form


def load(path: str) -> bytes:
    """All bytes of a file, or of standard input for `-`. Raises SourceError."""
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{path} is larger than {MAX_BYTES >> 20} MiB: cut it into pieces first")
    if not data:
        raise SourceError(f"{path} is empty")
    return data


def from_hex(text: str, path: str) -> bytes:
    """Bytes of hex digits, with any white space, `0x`, colons and `#` comments between them.

    Raises SourceError naming the line that is something else.
    """
    octets = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        digits = re.sub(r"#.*|0x|[\s:,]", "", line)
        try:
            octets += bytes.fromhex(digits)
        except ValueError as error:
            raise SourceError(f"line {number} of {path} is not hex digits: {line.strip()[:40]!r}") from error
    return bytes(octets)


def as_text(data: bytes, path: str) -> str:
    """UTF-8 text. Raises SourceError."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}") from error


def to_binary(data: bytes, form: str, path: str, *, bare: bool = False) -> bytes:
    """The bytes a meter would send for a file in any form; `bare` leaves transport frames out."""
    match form:
        case "hex":
            return from_hex(as_text(data, path), path)
        case "xml" | "json":
            files = (from_xml if form == "xml" else from_json)(as_text(data, path))
            return b"".join(sml.encode(file) if bare else sml.frame(sml.encode(file)) for file in files)
    return data


def find_files(data: bytes, path: str) -> Material:
    """Find the SML files in binary data: in transport frames, else the whole as one bare file.

    Raises NotSml when there is neither.
    """
    decoder = sml.FrameDecoder(max_frame=LARGEST_MAX_FRAME)
    events = tuple(decoder.receive(data) + decoder.close())
    if events:
        return Material(data, events, True, decoder.bytes_skipped)
    try:
        sml.decode(data)
    except SmlError as error:
        protocol, remedy = recognise(data) or ("unknown", "no start word 1b1b1b1b 01010101 and no bare SML file")
        raise NotSml(f"{path} is not SML ({protocol}): {remedy}", protocol=protocol) from error
    return Material(data, (sml.Frame(data, data, 0),), False, 0)
