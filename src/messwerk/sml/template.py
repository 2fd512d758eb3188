"""Telegrams by the million: one is written, the others differ from it in a few values.

A fleet sends the same telegram with other numbers. So the file is encoded once, the places of the
values that vary are kept, and Rust patches them and makes all checksums new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..errors import EncodeError
from .binary import _PLAN
from .messages import Message

_SIGNED: Final = 0
_OCTETS: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Telegrams:
    """Framed telegrams one behind the other."""

    octets: NDArray[np.uint8]
    """All of them, ready for the wire."""
    ends: NDArray[np.int64]
    """Telegram i is `octets[ends[i]:ends[i + 1]]`; one longer than there are telegrams."""

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> bytes:
        first, end = self.ends[range(len(self))[index] :][:2]
        return self.octets[first:end].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))


class Template:
    """The form of a telegram, with the fields that vary named as in Python:

    >>> from messwerk import sml
    >>> close = sml.Message(transaction_id=bytes(4), body=sml.PublicCloseResponse())
    >>> template = sml.Template([close], ["[0].transaction_id"])
    >>> telegrams = template.encode({"[0].transaction_id": [[0, 0, 0, 1], [0, 0, 0, 2]]})
    >>> sml.FrameDecoder().receive(telegrams[1])[0].payload[1:6].hex()
    '0500000002'

    A field is reached from the list of messages: `[1].body.val_list[2].value`. Its width is that
    of the value in the template, so a register that shall grow is given as `Unsigned64(0)`.
    """

    def __init__(self, messages: Iterable[Message], vary: Iterable[str]) -> None:
        """Raises EncodeError for messages that cannot be written and fields they do not have."""
        messages = list(messages)
        file, places = _core.encode_with_places(_PLAN, messages)
        self._fields: dict[str, tuple[int, int, int]] = {}
        known = {_python_path(*place[:2]): place[2:] for place in places if "." in place[1]}
        for path in vary:
            if path not in known:
                raise EncodeError(path=path, expected=f"one of {', '.join(known)}", found="no such value")
            self._fields[path] = known[path]
        try:
            self._template = _core.Template(file, list(self._fields.values()))
        except ValueError as error:
            raise EncodeError(
                path="Template", expected="messages a template can be made of", found=str(error)
            ) from None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that vary, in the order they were named."""
        return tuple(self._fields)

    def encode(self, values: Mapping[str, ArrayLike]) -> Telegrams:
        """Write one telegram for each row of `values`.

        Integers come as arrays of shape (n,), octets as uint8 arrays of shape (n, width). Rust with
        the GIL released. Raises EncodeError where fields are missing or unknown, lengths differ, or
        a value does not fit its width.
        """
        if set(values) != set(self._fields):
            raise EncodeError(
                path="Template", expected=f"values for {', '.join(self._fields)}", found=", ".join(values) or "none"
            )
        arrays = [_values(path, values[path], *self._fields[path][1:]) for path in self._fields]
        rows = {len(array) for array in arrays}
        if len(rows) > 1:
            raise EncodeError(path="Template", expected="as many values of each field", found=f"{sorted(rows)} values")
        try:
            octets, ends = self._template.encode(rows.pop() if rows else 1, arrays)
        except IndexError as error:
            field, row = error.args
            path = self.fields[field]
            raise EncodeError(
                path=path, expected=f"a value of at most {self._fields[path][1]} bytes", found=f"{arrays[field][row]}"
            ) from None
        return Telegrams(np.frombuffer(memoryview(octets), np.uint8), np.frombuffer(memoryview(ends), np.int64))


def _python_path(message: int, path: str) -> str:
    name, _, field = path.partition(".")
    return f"[{message}].{field}" if name == "Message" else f"[{message}].body.{field}"


def _values(path: str, given: ArrayLike, width: int, kind: int) -> NDArray[Any]:
    """The values of one field as Rust takes them."""
    array = np.asarray(given)
    if kind == _OCTETS:
        octets = array.dtype == np.uint8 or (array.min(initial=0) >= 0 and array.max(initial=0) <= 255)
        if array.ndim != 2 or array.shape[1] != width or not octets:
            raise EncodeError(path=path, expected=f"octets of shape (n, {width})", found=f"shape {array.shape}")
        return np.ascontiguousarray(array, dtype=np.uint8)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise EncodeError(path=path, expected="integers of shape (n,)", found=f"{array.dtype} of shape {array.shape}")
    if kind != _SIGNED and array.min(initial=0) < 0:
        raise EncodeError(path=path, expected="values of at least 0", found=f"{array.min()}")
    if kind == _SIGNED and array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
        raise EncodeError(path=path, expected="values within 64 signed bits", found=f"{array.max()}")
    return np.ascontiguousarray(array.astype(np.int64, casting="unsafe"))


__all__ = ["Telegrams", "Template"]
