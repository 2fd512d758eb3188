"""Parameter trees: declared once, then read and written by path with the right refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..sml import (
    Attention,
    Integer,
    Integer8,
    TimeParameter,
    Tree,
    Unsigned,
    Unsigned8,
    Unsigned16,
    Unsigned32,
    ValueParameter,
)
from ..sml.messages import ProcParValue
from ..sml.session import Refusal

Change = Callable[[], None]
"""What a checked write will do; nothing happens before the whole tree is checked."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One node: its value comes from `read`, `write` checks a new one and returns the change.

    `children` may be a function, for lists that come and go. `read` may return None: then the
    node is left out of its parent, and reading it alone is refused.
    """

    name: bytes
    read: Callable[[], ProcParValue | None] | None = None
    write: Callable[[ProcParValue], Change] | None = None
    children: Sequence[Parameter] | Callable[[], Sequence[Parameter]] = ()

    @property
    def below(self) -> Sequence[Parameter]:
        return self.children() if callable(self.children) else self.children

    def tree(self) -> Tree | None:
        """The node and everything below it; None when there is nothing to say."""
        value = self.read() if self.read is not None else None
        children = tuple(tree for child in self.below if (tree := child.tree()) is not None)
        if value is None and not children and self.read is not None:
            return None
        return Tree(parameter_name=self.name, parameter_value=value, child_list=children or None)


def read_tree(roots: Sequence[Parameter], path: Sequence[bytes]) -> Tree:
    """The tree at `path`. Raises Refusal: NOT_EXECUTED without such a node, NOT_READABLE without a value."""
    tree = _find(roots, path).tree()
    if tree is None:
        raise Refusal(Attention.NOT_READABLE, "this parameter has no value now")
    return tree


def write_tree(roots: Sequence[Parameter], path: Sequence[bytes], tree: Tree) -> None:
    """Write every value of `tree` at `path`; nothing is changed before all of them are checked.

    Raises Refusal: NOT_EXECUTED for an unknown node, NOT_WRITABLE, OUT_OF_RANGE or
    TYPE_NOT_SUPPORTED for a value.
    """
    node = _find(roots, path)
    if tree.parameter_name != node.name:
        raise Refusal(Attention.NOT_EXECUTED, "the tree is not named like the end of its path")
    changes = _checked(node, tree)
    if not changes:
        raise Refusal(Attention.NOT_EXECUTED, "the tree holds no value")
    for change in changes:
        change()


def _find(roots: Sequence[Parameter], path: Sequence[bytes]) -> Parameter:
    nodes, found = roots, None
    for name in path:
        found = next((node for node in nodes if node.name == name), None)
        if found is None:
            raise Refusal(Attention.NOT_EXECUTED, f"no parameter {name.hex(' ').upper()} here")
        nodes = found.below
    if found is None:
        raise Refusal(Attention.NOT_EXECUTED, "the path is empty")
    return found


def _checked(node: Parameter, tree: Tree) -> list[Change]:
    changes = []
    if tree.parameter_value is not None:
        if node.write is None:
            raise Refusal(Attention.NOT_WRITABLE, node.name.hex(" ").upper())
        changes.append(node.write(tree.parameter_value))
    for child in tree.child_list or ():
        changes += _checked(_find(node.below, (child.parameter_name,)), child)
    return changes


# --- values --------------------------------------------------------------------------------


def octets(value: bytes) -> ValueParameter:
    return ValueParameter(bytes(value))


def u8(value: int) -> ValueParameter:
    return ValueParameter(Unsigned8(value))


def u16(value: int) -> ValueParameter:
    return ValueParameter(Unsigned16(value))


def u32(value: int) -> ValueParameter:
    return ValueParameter(Unsigned32(value))


def i8(value: int) -> ValueParameter:
    return ValueParameter(Integer8(value))


def flag(value: bool) -> ValueParameter:
    return ValueParameter(value)


def to_int(value: ProcParValue, low: int, high: int) -> int:
    """The integer of a written value, low <= x <= high. Raises Refusal."""
    if isinstance(value, TimeParameter):
        raw: object = getattr(value.value, "value", None)
    else:
        raw = value.value
    if isinstance(raw, bool) or not isinstance(raw, (int, Integer, Unsigned)):
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "an integer is wanted")
    if not low <= raw <= high:
        raise Refusal(Attention.OUT_OF_RANGE, f"{low} to {high}, not {int(raw)}")
    return int(raw)


def to_flag(value: ProcParValue) -> bool:
    """The boolean of a written value; 0 and 1 are taken too. Raises Refusal."""
    if isinstance(value.value, bool):
        return value.value
    return bool(to_int(value, 0, 1))


def to_octets(value: ProcParValue, shortest: int, longest: int) -> bytes:
    """The octet string of a written value. Raises Refusal."""
    raw = value.value
    if not isinstance(raw, bytes):
        raise Refusal(Attention.TYPE_NOT_SUPPORTED, "an octet string is wanted")
    if not shortest <= len(raw) <= longest:
        raise Refusal(Attention.OUT_OF_RANGE, f"{shortest} to {longest} bytes, not {len(raw)}")
    return raw
