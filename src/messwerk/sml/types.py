"""The building blocks of SML: integers with a wire width, and tables declared as classes.

A wire type is declared once, in the order of the specification:

    @sml_list
    class ProfObjHeaderEntry:
        obj_name: OctetString
        unit: U8
        scaler: I8

The decorator makes it a frozen, keyword-only, slotted dataclass. `fields_of` turns the
annotations into field rules that the binary codec, XML, JSON and printing all run from, so
nobody writes a parser for a message.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Final, TypeVar, Union, dataclass_transform

T = TypeVar("T")


class Integer(int):
    """A signed integer that remembers how many bytes it takes on the wire (1 … 8).

    Use the sized subclasses: `Integer64(-5)`. Equal to, and usable as, the plain int.
    """

    __slots__ = ()
    width: ClassVar[int] = 0

    def __new__(cls, value: int) -> Integer:
        if not cls.width:
            raise TypeError("say which width: Integer8 … Integer64")
        limit = 1 << (8 * cls.width - 1)
        if not -limit <= value < limit:
            raise ValueError(f"{value} does not fit {cls.__name__}")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"


class Unsigned(int):
    """An unsigned integer that remembers how many bytes it takes on the wire (1 … 8)."""

    __slots__ = ()
    width: ClassVar[int] = 0

    def __new__(cls, value: int) -> Unsigned:
        if not cls.width:
            raise TypeError("say which width: Unsigned8 … Unsigned64")
        if not 0 <= value < 1 << (8 * cls.width):
            raise ValueError(f"{value} does not fit {cls.__name__}")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"


class Integer8(Integer):
    __slots__ = ()
    width = 1


class Integer16(Integer):
    __slots__ = ()
    width = 2


class Integer24(Integer):
    __slots__ = ()
    width = 3


class Integer32(Integer):
    __slots__ = ()
    width = 4


class Integer40(Integer):
    __slots__ = ()
    width = 5


class Integer48(Integer):
    __slots__ = ()
    width = 6


class Integer56(Integer):
    __slots__ = ()
    width = 7


class Integer64(Integer):
    __slots__ = ()
    width = 8


class Unsigned8(Unsigned):
    __slots__ = ()
    width = 1


class Unsigned16(Unsigned):
    __slots__ = ()
    width = 2


class Unsigned24(Unsigned):
    __slots__ = ()
    width = 3


class Unsigned32(Unsigned):
    __slots__ = ()
    width = 4


class Unsigned40(Unsigned):
    __slots__ = ()
    width = 5


class Unsigned48(Unsigned):
    __slots__ = ()
    width = 6


class Unsigned56(Unsigned):
    __slots__ = ()
    width = 7


class Unsigned64(Unsigned):
    __slots__ = ()
    width = 8


INTEGERS: Final[tuple[type[Integer], ...]] = (
    Integer8, Integer16, Integer24, Integer32, Integer40, Integer48, Integer56, Integer64,
)  # fmt: skip
"""`INTEGERS[n - 1]` is the signed class of n bytes."""
UNSIGNEDS: Final[tuple[type[Unsigned], ...]] = (
    Unsigned8, Unsigned16, Unsigned24, Unsigned32, Unsigned40, Unsigned48, Unsigned56, Unsigned64,
)  # fmt: skip
"""`UNSIGNEDS[n - 1]` is the unsigned class of n bytes."""


# --- field rules: what one position of a list may hold -------------------------------------


@dataclass(frozen=True, slots=True)
class OctetsRule:
    """An octet string: `bytes`, any length."""


@dataclass(frozen=True, slots=True)
class BooleanRule:
    """A boolean: `42 00` or `42 01`."""


@dataclass(frozen=True, slots=True)
class IntegerRule:
    """A signed or unsigned integer of at most `width` bytes.

    A plain int is written at full width; a sized `Integer24(…)`/`Unsigned24(…)` at its own.
    On reading, full width gives a plain int and a shortened one the sized class, so that
    writing returns the same bytes.
    """

    signed: bool
    width: int


@dataclass(frozen=True, slots=True)
class StatusRule:
    """SML_Status: an unsigned integer whose own width selects the alternative."""


@dataclass(frozen=True, slots=True)
class ValueRule:
    """SML_Value: boolean, octet string, any integer, or a list type, told apart by the TL byte.

    `lists` False leaves out SML_ListType (that is SML_SimpleValue).
    """

    lists: bool = True


@dataclass(frozen=True, slots=True)
class ListRule:
    """A declared list: exactly the fields of `cls`, in order."""

    cls: type


@dataclass(frozen=True, slots=True)
class ListOfRule:
    """A list of any number of `item`; a Python tuple."""

    item: Rule


@dataclass(frozen=True, slots=True)
class ChoiceRule:
    """An explicit choice: `72`, tag Unsigned8, then the alternative of that tag.

    `bare_u32`, when set, is the class a bare Unsigned32 in this place is read as (quirk Q2).
    """

    alternatives: tuple[tuple[int, type], ...]
    bare_u32: type | None = None


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One named position of a declared list."""

    name: str
    """Python name, e.g. `val_time`."""
    asn1_name: str
    """Name in the specification, e.g. `valTime`."""
    rule: Rule
    optional: bool
    lenient_missing: bool = False
    """Mandatory by the specification, but a real meter leaves it out (quirk Q12)."""


Rule = Union[OctetsRule, BooleanRule, IntegerRule, StatusRule, ValueRule, ListRule, ListOfRule, ChoiceRule]

OctetString = Annotated[bytes, OctetsRule()]
Boolean = Annotated[bool, BooleanRule()]
U8 = Annotated[int, IntegerRule(signed=False, width=1)]
U16 = Annotated[int, IntegerRule(signed=False, width=2)]
U32 = Annotated[int, IntegerRule(signed=False, width=4)]
U64 = Annotated[int, IntegerRule(signed=False, width=8)]
I8 = Annotated[int, IntegerRule(signed=True, width=1)]
I16 = Annotated[int, IntegerRule(signed=True, width=2)]
I64 = Annotated[int, IntegerRule(signed=True, width=8)]
Status = Annotated[Unsigned, StatusRule()]

_ALTERNATIVES: Final[set[type]] = set()


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def sml_list(cls: type[T]) -> type[T]:
    """Declare a list of the specification: a frozen, keyword-only, slotted dataclass."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


@dataclass_transform(frozen_default=True)
def sml_alternative(cls: type[T]) -> type[T]:
    """Declare an alternative of a choice that is one thing, not a list: it holds only `value`.

    On the wire nothing marks it but the choice's tag: `72 62 01 65 …` is `SecIndex(value)`.
    """
    alternative = dataclass(frozen=True, slots=True)(cls)
    assert [entry.name for entry in fields(typing.cast(Any, alternative))] == ["value"], (
        "an alternative has the one field `value`"
    )
    _ALTERNATIVES.add(alternative)
    return alternative


def is_alternative(cls: type) -> bool:
    """Whether `cls` was declared with `sml_alternative`: its one field stands for itself."""
    return cls in _ALTERNATIVES


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _rule(hint: Any) -> Rule:
    """The rule of one annotation, optional already taken off."""
    if typing.get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, Rule):  # type: ignore[arg-type]
                return typing.cast(Rule, extra)
        return _rule(hint.__origin__)
    if typing.get_origin(hint) is tuple:
        item, ellipsis = typing.get_args(hint)
        assert ellipsis is Ellipsis, "a list of X is written tuple[X, ...]"
        return ListOfRule(_rule(item))
    assert isinstance(hint, type), f"no wire rule for {hint!r}"
    return ListRule(hint)


@cache
def fields_of(cls: type) -> tuple[FieldRule, ...]:
    """The positions of a declared list, in wire order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    rules = []
    for entry in fields(cls):
        hint = hints[entry.name]
        optional = False
        if typing.get_origin(hint) in (Union, types.UnionType):
            members = [arg for arg in typing.get_args(hint) if arg is not type(None)]
            optional = len(members) < len(typing.get_args(hint))
            hint = members[0] if len(members) == 1 else hint
        lenient = entry.metadata.get("lenient_missing", False)
        rules.append(
            FieldRule(
                name=entry.name,
                asn1_name=entry.metadata.get("asn1") or _camel(entry.name),
                rule=_rule(hint),
                optional=optional and not lenient,
                lenient_missing=lenient,
            )
        )
    return tuple(rules)


__all__ = [
    "I8", "I16", "I64", "INTEGERS", "U8", "U16", "U32", "U64", "UNSIGNEDS", "Boolean",
    "BooleanRule", "ChoiceRule", "FieldRule", "Integer", "Integer8", "Integer16", "Integer24",
    "Integer32", "Integer40", "Integer48", "Integer56", "Integer64", "IntegerRule", "ListOfRule",
    "ListRule", "OctetString", "OctetsRule", "Rule", "Status", "StatusRule", "Unsigned",
    "Unsigned8", "Unsigned16", "Unsigned24", "Unsigned32", "Unsigned40", "Unsigned48",
    "Unsigned56", "Unsigned64", "ValueRule", "fields_of", "is_alternative", "sml_alternative",
    "sml_list",
]  # fmt: skip
