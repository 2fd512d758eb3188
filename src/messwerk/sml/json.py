"""SML files as JSON and back, byte-exact, run from the declared tables.

    {"sml": "urn:messwerk:sml:1",
     "files": [[{"transactionId": "0003", "groupNo": 0, "abortOnError": 0,
                 "messageBody": {"SML_PublicClose.Res": {}}}, …], …]}

Octets are hex digits. An integer that has the full width of its field is a number, any other
`{"u24": 5}`; values and status words always name their width. A choice is an object with one
member, an optional that is absent is left out. Check sums and end marks are made on the way back.
Integers go up to 64 bits: readers must not turn them into floats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..errors import EncodeError, SourceError
from .messages import LIST_TYPE, Body, Message, MessageForm, OpaqueBody
from .names import ALTERNATIVE_NAMES, BODIES, BODY_NAMES, NAMESPACE, WIDTH_NAMES, WIDTHS
from .types import (
    BooleanRule,
    ChoiceRule,
    Integer,
    IntegerRule,
    ListOfRule,
    ListRule,
    OctetsRule,
    Rule,
    StatusRule,
    Unsigned,
    ValueRule,
    fields_of,
    is_alternative,
)

OPAQUE: Final = "opaque"
"""Name of a body whose tag we do not know: `{"tag": 2048, "content": "7101"}`."""
_ENVELOPE: Final = ("transactionId", "groupNo", "abortOnError", "messageBody", "form")
_FORM: Final = {"tagWidth": ("tag_width", int), "crcWidth": ("crc_width", int), "kermit": ("kermit", bool)}


def to_json(files: Iterable[Sequence[Message]]) -> str:
    """The messages of SML files as one JSON text, indented for people."""
    document = {"sml": NAMESPACE, "files": [[message_to_plain(message) for message in file] for file in files]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[tuple[Message, ...]]:
    """The messages of each file in a JSON text.

    Raises SourceError when it is no such text, EncodeError naming the field that is wrong.
    """
    try:
        return _read_document(json.loads(text))
    except json.JSONDecodeError as error:
        raise SourceError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise SourceError("the JSON text is nested more deeply than any message can be") from error


# --- writing -------------------------------------------------------------------------------


def message_to_plain(message: Message) -> dict[str, Any]:
    """One message as dicts, lists, numbers and strings."""
    plain: dict[str, Any] = {
        "transactionId": message.transaction_id.hex(),
        "groupNo": _integer(message.group_no, 1),
        "abortOnError": _integer(message.abort_on_error, 1),
        "messageBody": _body(message.body),
    }
    default = MessageForm()
    form = {
        name: getattr(message.form, attribute)
        for name, (attribute, _) in _FORM.items()
        if getattr(message.form, attribute) != getattr(default, attribute)
    }
    return {**plain, "form": form} if form else plain


def _body(body: Body) -> dict[str, Any]:
    if isinstance(body, OpaqueBody):
        return {OPAQUE: {"tag": body.tag, "content": body.content.hex()}}
    return {BODY_NAMES[type(body)]: _list(body)}


def _list(value: Any) -> dict[str, Any]:
    cls: type = type(value)
    return {
        entry.asn1_name: _plain(entry.rule, element)
        for entry in fields_of(cls)
        if (element := getattr(value, entry.name)) is not None
    }


def _plain(rule: Rule, value: Any) -> Any:
    match rule:
        case OctetsRule():
            return value.hex()
        case BooleanRule():
            return value
        case IntegerRule(_, width):
            return _integer(value, width)
        case StatusRule():
            return _sized(value)
        case ValueRule():
            return _value(value)
        case ListRule():
            return _list(value)
        case ListOfRule(item):
            return [_plain(item, element) for element in value]
        case ChoiceRule():
            return _choice(value)


def _integer(value: int, width: int) -> Any:
    return _sized(value) if isinstance(value, Integer | Unsigned) and value.width != width else int(value)


def _sized(value: Integer | Unsigned) -> dict[str, int]:
    return {WIDTH_NAMES[type(value)]: int(value)}


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"bool": value}
        case bytes():
            return {"octets": value.hex()}
        case Integer() | Unsigned():
            return _sized(value)
    return _choice(value)


def _choice(value: Any) -> dict[str, Any]:
    cls: type = type(value)
    inner = _plain(fields_of(cls)[0].rule, value.value) if is_alternative(cls) else _list(value)
    return {ALTERNATIVE_NAMES[cls]: inner}


# --- reading -------------------------------------------------------------------------------


def _read_document(document: Any) -> list[tuple[Message, ...]]:
    if not isinstance(document, dict) or document.get("sml") != NAMESPACE:
        raise SourceError(f'not SML in JSON: the text must be an object with "sml": "{NAMESPACE}"')
    files = _expect(list, document.get("files"), "files", "a list of files")
    return [
        tuple(
            message_from_plain(message, f"files[{number}][{index}]")
            for index, message in enumerate(_expect(list, file, f"files[{number}]", "a list of messages"))
        )
        for number, file in enumerate(files)
    ]


def message_from_plain(plain: Any, path: str) -> Message:
    """One message from plain data; `path` is where it stands, for errors. Raises EncodeError."""
    given = _object(plain, path, _ENVELOPE)
    form = _object(given.get("form", {}), f"{path}.form", tuple(_FORM))
    name, body = _only_member(given.get("messageBody"), f"{path}.messageBody", (*BODIES, OPAQUE))
    inside = f"{path}.messageBody.{name}"
    return Message(
        transaction_id=_read(OctetsRule(), given.get("transactionId"), f"{path}.transactionId"),
        group_no=_read(IntegerRule(False, 1), given.get("groupNo", 0), f"{path}.groupNo"),
        abort_on_error=_read(IntegerRule(False, 1), given.get("abortOnError", 0), f"{path}.abortOnError"),
        body=_read_opaque(body, inside) if name == OPAQUE else _read_list(BODIES[name], body, inside),
        form=MessageForm(
            **{
                attribute: _expect(kind, form[given_name], f"{path}.form.{given_name}", kind.__name__)
                for given_name, (attribute, kind) in _FORM.items()
                if given_name in form
            }
        ),
    )


def _read_opaque(plain: Any, path: str) -> OpaqueBody:
    given = _object(plain, path, ("tag", "content"))
    tag = _read(IntegerRule(False, 4), given.get("tag"), f"{path}.tag")
    return OpaqueBody(tag, _read(OctetsRule(), given.get("content"), f"{path}.content"))


def _read_list(cls: type, plain: Any, path: str) -> Any:
    rules = fields_of(cls)
    given = _object(plain, path, tuple(entry.asn1_name for entry in rules))
    values = {}
    for entry in rules:
        if entry.asn1_name in given:
            values[entry.name] = _read(entry.rule, given[entry.asn1_name], f"{path}.{entry.asn1_name}")
        elif entry.optional or entry.lenient_missing:
            values[entry.name] = None
        else:
            raise EncodeError(path=f"{path}.{entry.asn1_name}", expected="a value", found="nothing")
    return cls(**values)


def _read(rule: Rule, plain: Any, path: str) -> Any:
    match rule:
        case OctetsRule():
            return _read_octets(plain, path)
        case BooleanRule():
            return _expect(bool, plain, path, "true or false")
        case IntegerRule(signed, width):
            return _read_integer(plain, signed, width, path)
        case StatusRule():
            return _read_sized(plain, tuple(name for name in WIDTHS if name.startswith("u")), path)
        case ValueRule(lists):
            return _read_value(plain, lists, path)
        case ListRule(cls):
            return _read_list(cls, plain, path)
        case ListOfRule(item):
            elements = _expect(list, plain, path, "a list")
            return tuple(_read(item, element, f"{path}[{index}]") for index, element in enumerate(elements))
        case ChoiceRule():
            return _read_choice(rule, plain, path)


def _read_octets(plain: Any, path: str) -> bytes:
    try:
        return bytes.fromhex(_expect(str, plain, path, "hex digits"))
    except ValueError as error:
        raise EncodeError(path=path, expected="hex digits", found=repr(plain)[:60]) from error


def _read_integer(plain: Any, signed: bool, width: int, path: str) -> int:
    if isinstance(plain, dict):
        sign = "i" if signed else "u"
        return _read_sized(plain, tuple(f"{sign}{8 * size}" for size in range(1, width + 1)), path)
    number: int = _expect(int, plain, path, "an integer")
    lowest = -(1 << 8 * width - 1) if signed else 0
    if not lowest <= number < lowest + (1 << 8 * width):
        raise EncodeError(path=path, expected=f"an integer of {width} bytes", found=str(number)[:60])
    return number


def _read_sized(plain: Any, names: tuple[str, ...], path: str) -> Integer | Unsigned:
    name, number = _only_member(plain, path, names)
    try:
        return WIDTHS[name](_expect(int, number, f"{path}.{name}", "an integer"))
    except ValueError as error:
        raise EncodeError(path=path, expected=f"a number that fits {name}", found=str(number)[:60]) from error


def _read_value(plain: Any, lists: bool, path: str) -> Any:
    alternatives = [ALTERNATIVE_NAMES[cls] for _, cls in LIST_TYPE.alternatives] if lists else []
    name, inner = _only_member(plain, path, ("bool", "octets", *WIDTHS, *alternatives))
    match name:
        case "bool":
            return _expect(bool, inner, f"{path}.bool", "true or false")
        case "octets":
            return _read_octets(inner, f"{path}.octets")
    return _read_choice(LIST_TYPE, plain, path) if name in alternatives else _read_sized(plain, (name,), path)


def _read_choice(rule: ChoiceRule, plain: Any, path: str) -> Any:
    classes = {ALTERNATIVE_NAMES[cls]: cls for _, cls in rule.alternatives}
    if rule.bare_u32 is not None:
        classes[ALTERNATIVE_NAMES[rule.bare_u32]] = rule.bare_u32
    name, inner = _only_member(plain, path, tuple(classes))
    cls = classes[name]
    if is_alternative(cls):
        return cls(_read(fields_of(cls)[0].rule, inner, f"{path}.{name}"))
    return _read_list(cls, inner, f"{path}.{name}")


def _expect(kind: type[Any], value: Any, path: str, expected: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise EncodeError(path=path, expected=expected, found="nothing" if value is None else repr(value)[:60])
    return value


def _object(plain: Any, path: str, names: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = _expect(dict, plain, path, "an object")
    for name in given:
        if name not in names:
            raise EncodeError(path=path, expected=f"only {', '.join(names)}", found=name[:60])
    return given


def _only_member(plain: Any, path: str, names: tuple[str, ...]) -> tuple[str, Any]:
    given = _object(plain, path, names)
    if len(given) != 1:
        raise EncodeError(path=path, expected=f"one of {', '.join(names)}", found=f"{len(given)} members")
    return next(iter(given.items()))


__all__ = ["from_json", "message_from_plain", "message_to_plain", "to_json"]
