"""Evidence anyone can check: what a file with signed meter data proves, and what it does not.

>>> from messwerk import evidence
>>> evidence.examine(b"hello")
Traceback (most recent call last):
    ...
messwerk.errors.NotSml: neither evidence nor SML (text): an SML push is binary and begins with 1b1b1b1b 01010101

A kind of file is recognised by its first bytes (`KINDS`), read into exhibits with the bytes their
signatures cover, and judged. Nothing here reads a clock or opens a socket; bytes may be anybody's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..errors import SourceError
from . import bills
from .exhibit import Contents, Exhibit, Field, OfferedKey, Rule, SignedBlock, Stage, Transaction
from .json_files import read_json
from .judge import NO_KEYS, Finding, GivenKeys, Report, Verdict, judge
from .keys import parse_key
from .openssl import export_openssl
from .sml_files import read_binary, read_hex
from .xml_files import read_xml

MAX_BYTES: Final = 32 << 20
"""Largest file examined. [bytes]"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: how it is told from others and how it is read."""

    name: str
    recognises: Callable[[bytes], bool]
    """Looks at the first bytes only; the first kind that says yes reads the file."""
    read: Callable[[bytes, Contents], Contents]
    """Reads the file; the second argument holds the tuples of `--tuples`. Raises MesswerkError."""


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    """Whether a file begins with one of `marks`, in small letters, after white space and byte order mark."""
    return lambda data: data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(marks)


KINDS: Final = (
    # Without a mark of its own, UTF-16 is known by its byte order mark; only XML comes in it.
    Kind("XML", _begins(b"<", b"\xff\xfe", b"\xfe\xff"), lambda data, _: read_xml(data)),
    Kind("JSON", _begins(b"{", b"["), read_json),
    Kind("SML in hex digits", _begins(b"1b1b1b1b", b"1b 1b 1b 1b"), lambda data, _: read_hex(data)),
    Kind("SML", lambda _: True, lambda data, _: read_binary(data)),
)
"""Every kind of file that is understood, most particular first."""


def examine(data: bytes, keys: GivenKeys = NO_KEYS, *, tuples: bytes | None = None) -> Report:
    """What the file `data` proves with `keys`, or with the keys it carries itself when none are given.

    `tuples` is a second file whose tuples a bill refers to. Raises MesswerkError (mostly
    SourceError) with the reason when nothing in the file is understood.
    """
    return judge(read(data, tuples=tuples), keys)


def read(data: bytes, *, tuples: bytes | None = None) -> Contents:
    """What a file claims, not yet judged. Raises MesswerkError when nothing in it is understood."""
    if len(data) > MAX_BYTES:
        raise SourceError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    if not data.strip():
        raise SourceError("the file is empty")
    beside = read(tuples) if tuples is not None else Contents("nothing")
    kind = next(kind for kind in KINDS if kind.recognises(data))
    contents = kind.read(data, beside)
    if tuples is not None and contents.kind != bills.KIND:
        raise SourceError("only a bill names tuples that stand in another file")
    return contents


__all__ = [
    "KINDS", "Contents", "Exhibit", "Field", "Finding", "GivenKeys", "Kind", "OfferedKey", "Report", "Rule",
    "SignedBlock", "Stage", "Transaction", "Verdict", "examine", "export_openssl", "judge", "parse_key", "read",
]  # fmt: skip
