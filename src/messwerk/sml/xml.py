"""SML files as XML and back, byte-exact, run from the declared tables.

    <SML xmlns="urn:messwerk:sml:1">
     <file>
      <message>
       <transactionId>0003</transactionId><groupNo>0</groupNo><abortOnError>0</abortOnError>
       <messageBody><SML_PublicClose.Res/></messageBody>
      </message>
     </file>
    </SML>

Elements have the specification's names. Octets are hex digits (attribute `ascii` shows text to
people and is ignored on reading). Attribute `t` is type and width of an integer, `u8` … `i64`, left
out where the integer has the full width of its field. Absent optionals are left out, choices hold
the element of their alternative, lists of X hold `entry` elements. Check sums and end marks are
made on the way back. No public text defines an XML form that could be read; this one is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..errors import EncodeError, SourceError
from .json import OPAQUE, message_from_plain
from .messages import LIST_TYPE, Message, MessageForm, OpaqueBody
from .names import ALTERNATIVE_NAMES, BODIES, BODY_NAMES, NAMESPACE, WIDTH_NAMES
from .types import (
    BooleanRule,
    ChoiceRule,
    FieldRule,
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

MAX_TEXT: Final = 64 << 20
"""Characters of the largest XML text read."""
_FORM_ATTRIBUTES: Final = (("tagWidth", "tag_width"), ("crcWidth", "crc_width"), ("kermit", "kermit"))


def to_xml(files: Iterable[Sequence[Message]]) -> str:
    """The messages of SML files as one XML text, indented for people."""
    root = Element("SML", xmlns=NAMESPACE)
    for file in files:
        parent = SubElement(root, "file")
        for message in file:
            _write_message(parent, message)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def from_xml(text: str) -> list[tuple[Message, ...]]:
    """The messages of each file in an XML text.

    Raises SourceError when it is no such text (or has a document type, which no SML needs and
    attacks do), EncodeError naming the element that is wrong.
    """
    if len(text) > MAX_TEXT:
        raise SourceError(f"the XML text is longer than {MAX_TEXT >> 20} MiB")
    if "<!DOCTYPE" in text:
        raise SourceError("the XML text has a document type, which is refused")
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))  # noqa: S314, see above
    except ElementTree.ParseError as error:
        raise SourceError(f"not XML: {error}") from error
    if root.tag != f"{{{NAMESPACE}}}SML":
        raise SourceError(f'not SML in XML: the root element must be <SML xmlns="{NAMESPACE}">')
    try:
        return [
            tuple(
                _read_message(message, f"file[{number}].message[{index}]")
                for index, message in enumerate(_children(file, f"file[{number}]", "message"))
            )
            for number, file in enumerate(_children(root, "SML", "file"))
        ]
    except RecursionError as error:
        raise SourceError("the XML text is nested more deeply than any message can be") from error


# --- writing -------------------------------------------------------------------------------


def _write_message(parent: Element, message: Message) -> None:
    element = SubElement(parent, "message")
    default = MessageForm()
    for name, attribute in _FORM_ATTRIBUTES:
        if (chosen := getattr(message.form, attribute)) != getattr(default, attribute):
            element.set(name, str(chosen).lower())
    _write(SubElement(element, "transactionId"), OctetsRule(), message.transaction_id)
    _write(SubElement(element, "groupNo"), IntegerRule(False, 1), message.group_no)
    _write(SubElement(element, "abortOnError"), IntegerRule(False, 1), message.abort_on_error)
    body = SubElement(element, "messageBody")
    if isinstance(message.body, OpaqueBody):
        opaque = SubElement(body, OPAQUE, {"tag": f"{message.body.tag:#010x}"})
        opaque.text = message.body.content.hex()
    else:
        _write_list(SubElement(body, BODY_NAMES[type(message.body)]), message.body)


def _write_list(parent: Element, value: Any) -> None:
    cls: type = type(value)
    for entry in fields_of(cls):
        if (inner := getattr(value, entry.name)) is not None:
            _write(SubElement(parent, entry.asn1_name), entry.rule, inner)


def _write(element: Element, rule: Rule, value: Any) -> None:
    match rule:
        case OctetsRule():
            _write_octets(element, value)
        case BooleanRule():
            element.text = str(value).lower()
        case IntegerRule(_, width):
            if isinstance(value, Integer | Unsigned) and value.width != width:
                element.set("t", WIDTH_NAMES[type(value)])
            element.text = str(int(value))
        case StatusRule():
            _write_value(element, value)
        case ValueRule():
            _write_value(element, value)
        case ListRule():
            _write_list(element, value)
        case ListOfRule(item):
            for inner in value:
                _write(SubElement(element, "entry"), item, inner)
        case ChoiceRule():
            _write_choice(element, value)


def _write_octets(element: Element, octets: bytes) -> None:
    element.text = octets.hex()
    if octets and all(0x20 <= octet < 0x7F for octet in octets):
        element.set("ascii", octets.decode("ascii"))


def _write_value(element: Element, value: Any) -> None:
    match value:
        case bool():
            element.set("t", "bool")
            element.text = str(value).lower()
        case bytes():
            element.set("t", "octets")
            _write_octets(element, value)
        case Integer() | Unsigned():
            element.set("t", WIDTH_NAMES[type(value)])
            element.text = str(int(value))
        case _:
            _write_choice(element, value)


def _write_choice(element: Element, value: Any) -> None:
    cls: type = type(value)
    inner = SubElement(element, ALTERNATIVE_NAMES[cls])
    if is_alternative(cls):
        _write(inner, fields_of(cls)[0].rule, value.value)
    else:
        _write_list(inner, value)


# --- reading: XML to the plain form of `sml.json`, whose reader checks every value ----------


def _read_message(element: Element, path: str) -> Message:
    parts = {_tag(child): child for child in element}
    plain: dict[str, Any] = {}
    envelope: dict[str, Rule] = {
        "transactionId": OctetsRule(),
        "groupNo": IntegerRule(False, 1),
        "abortOnError": IntegerRule(False, 1),
    }
    for name, child in parts.items():
        if name in envelope:
            plain[name] = _plain(envelope[name], child, f"{path}.{name}")
        elif name == "messageBody":
            plain[name] = _plain_body(child, f"{path}.messageBody")
        else:
            plain[name] = None  # refused by name below
    form = {name: _attribute(text) for name, text in element.attrib.items()}
    return message_from_plain({**plain, "form": form} if form else plain, path)


def _plain_body(element: Element, path: str) -> dict[str, Any]:
    body = _only_child(element, path)
    name = _tag(body)
    if name == OPAQUE:
        return {OPAQUE: {"tag": _number(body.get("tag", ""), path), "content": _text(body)}}
    return {name: _plain_list(BODIES[name], body, f"{path}.{name}") if name in BODIES else None}


def _plain_list(cls: type, element: Element, path: str) -> dict[str, Any]:
    rules: dict[str, FieldRule] = {entry.asn1_name: entry for entry in fields_of(cls)}
    plain: dict[str, Any] = {}
    for child in element:
        name = _tag(child)
        if name in plain:
            raise EncodeError(path=f"{path}.{name}", expected="one element", found="another")
        plain[name] = _plain(rules[name].rule, child, f"{path}.{name}") if name in rules else None
    return plain


def _plain(rule: Rule, element: Element, path: str) -> Any:
    match rule:
        case OctetsRule():
            return _text(element)
        case BooleanRule():
            return _attribute(_text(element))
        case IntegerRule():
            number = _number(_text(element), path)
            return {element.attrib["t"]: number} if "t" in element.attrib else number
        case StatusRule():
            return {element.get("t", ""): _number(_text(element), path)}
        case ValueRule():
            return _plain_value(element, path)
        case ListRule(cls):
            return _plain_list(cls, element, path)
        case ListOfRule(item):
            return [
                _plain(item, child, f"{path}[{index}]") for index, child in enumerate(_children(element, path, "entry"))
            ]
        case ChoiceRule():
            return _plain_choice(rule, element, path)


def _plain_value(element: Element, path: str) -> dict[str, Any]:
    match element.get("t"):
        case None:
            return _plain_choice(LIST_TYPE, element, path)
        case "bool":
            return {"bool": _attribute(_text(element))}
        case "octets":
            return {"octets": _text(element)}
        case width:
            return {width: _number(_text(element), path)}


def _plain_choice(rule: ChoiceRule, element: Element, path: str) -> dict[str, Any]:
    child = _only_child(element, path)
    name = _tag(child)
    bare = (rule.bare_u32,) if rule.bare_u32 is not None else ()
    for cls in (*(cls for _, cls in rule.alternatives), *bare):
        if ALTERNATIVE_NAMES[cls] == name:
            inside = f"{path}.{name}"
            alternative = is_alternative(cls)
            return {
                name: _plain(fields_of(cls)[0].rule, child, inside) if alternative else _plain_list(cls, child, inside)
            }
    return {name: None}


def _tag(element: Element) -> str:
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")


def _text(element: Element) -> str:
    return "".join((element.text or "").split())


def _children(element: Element, path: str, name: str) -> list[Element]:
    for child in element:
        if _tag(child) != name:
            raise EncodeError(path=path, expected=f"<{name}>", found=f"<{_tag(child)[:60]}>")
    return list(element)


def _only_child(element: Element, path: str) -> Element:
    if len(element) != 1:
        raise EncodeError(path=path, expected="one element inside", found=f"{len(element)}")
    return element[0]


def _number(text: str, path: str) -> int:
    if not re.fullmatch(r"-?\d{1,20}|0x[0-9a-fA-F]{1,8}", text, re.ASCII):
        raise EncodeError(path=path, expected="an integer", found=repr(text[:60]))
    return int(text, 0) if text.startswith("0x") else int(text)


def _attribute(text: str) -> Any:
    """`true`, `false` and numbers as JSON has them; anything else stays text and is refused later."""
    return {"true": True, "false": False}.get(text, int(text) if re.fullmatch(r"\d{1,3}", text, re.ASCII) else text)


__all__ = ["from_xml", "to_xml"]
