"""The XML and JSON forms described for other programs, generated from the declared tables.

`docs/protocols/sml.xsd` and `docs/protocols/sml.schema.json` are what these functions return; a
test keeps them so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .json import OPAQUE
from .messages import LIST_TYPE
from .names import ALTERNATIVE_NAMES, BODY_NAMES, NAMESPACE, WIDTHS
from .types import (
    BooleanRule,
    ChoiceRule,
    FieldRule,
    IntegerRule,
    ListOfRule,
    ListRule,
    OctetsRule,
    Rule,
    StatusRule,
    ValueRule,
    fields_of,
    is_alternative,
)

_XSD: Final = "http://www.w3.org/2001/XMLSchema"
_HEX: Final = "^([0-9a-fA-F]{2})*$"
_ENVELOPE: Final = (
    FieldRule("transaction_id", "transactionId", OctetsRule(), False),
    FieldRule("group_no", "groupNo", IntegerRule(False, 1), False),
    FieldRule("abort_on_error", "abortOnError", IntegerRule(False, 1), False),
)
"""The fields around a body; `Message` itself is no declared list."""


def _lists() -> list[type]:
    """Every declared list a message can hold, each once, bodies first."""
    found: dict[type, None] = {}
    ahead: list[type] = list(BODY_NAMES)
    while ahead:
        cls = ahead.pop(0)
        for entry in fields_of(cls):
            ahead += [inner for inner in _inside(entry.rule) if inner not in found and inner not in ahead]
        if not is_alternative(cls):
            found[cls] = None
    return list(found)


def _inside(rule: Rule) -> Iterator[type]:
    match rule:
        case ListRule(cls):
            yield cls
        case ListOfRule(item):
            yield from _inside(item)
        case ChoiceRule():
            yield from _alternatives(rule)
        case ValueRule(True):
            yield from _alternatives(LIST_TYPE)


def _alternatives(rule: ChoiceRule) -> tuple[type, ...]:
    bare = (rule.bare_u32,) if rule.bare_u32 is not None else ()
    return (*(cls for _, cls in rule.alternatives), *bare)


def _optional(entry: FieldRule) -> bool:
    return entry.optional or entry.lenient_missing


def _range(rule: IntegerRule) -> tuple[int, int]:
    bits = 8 * rule.width
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if rule.signed else (0, (1 << bits) - 1)


# --- JSON ----------------------------------------------------------------------------------


def json_schema() -> str:
    """A JSON Schema (2020-12) of what `to_json` writes and `from_json` reads."""
    octets = {"$ref": "#/$defs/Octets"}
    message = {
        "type": "object",
        "properties": {
            **{entry.asn1_name: _json(entry.rule) for entry in _ENVELOPE},
            "messageBody": _one_of(
                {
                    **{name: {"$ref": f"#/$defs/{cls.__name__}"} for cls, name in BODY_NAMES.items()},
                    OPAQUE: _object({"tag": _json(IntegerRule(False, 4)), "content": octets}, ["tag", "content"]),
                }
            ),
            "form": _object(
                {
                    "tagWidth": {"enum": [1, 2, 3, 4]},
                    "crcWidth": {"enum": [1, 2]},
                    "kermit": {"type": "boolean"},
                },
                [],
            ),
        },
        "required": ["transactionId", "messageBody"],
        "additionalProperties": False,
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": NAMESPACE,
        "title": "SML files in JSON",
        **_object(
            {
                "sml": {"const": NAMESPACE},
                "files": {"type": "array", "items": {"type": "array", "items": {"$ref": "#/$defs/Message"}}},
            },
            ["sml", "files"],
        ),
        "$defs": {"Message": message, **_named(), **{cls.__name__: _json_list(cls) for cls in _lists()}},
    }
    return json.dumps(schema, indent=1) + "\n"


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _one_of(members: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly one of these members."""
    return {
        "type": "object", "properties": members, "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
    }  # fmt: skip


def _json_list(cls: type) -> dict[str, Any]:
    rules = fields_of(cls)
    properties = {entry.asn1_name: _json(entry.rule) for entry in rules}
    return _object(properties, [entry.asn1_name for entry in rules if not _optional(entry)])


def _sized(names: list[str]) -> dict[str, Any]:
    return _one_of({name: {"$ref": f"#/$defs/{name}"} for name in names})


def _named() -> dict[str, Any]:
    """The simple types, each described once and referred to by name."""
    widths = {}
    for name in WIDTHS:
        low, high = _range(IntegerRule(name[0] == "i", int(name[1:]) // 8))
        widths[name] = {"type": "integer", "minimum": low, "maximum": high}
    simple = {"bool": {"type": "boolean"}, "octets": {"$ref": "#/$defs/Octets"}}
    values = {**simple, **_sized(list(WIDTHS))["properties"]}
    return {
        "Octets": {"type": "string", "pattern": _HEX},
        **widths,
        "Status": _sized([name for name in WIDTHS if name.startswith("u")]),
        "SimpleValue": _one_of(values),
        "Value": _one_of({**values, **_json(LIST_TYPE)["properties"]}),
    }


def _json(rule: Rule) -> dict[str, Any]:
    match rule:
        case OctetsRule():
            return {"$ref": "#/$defs/Octets"}
        case BooleanRule():
            return {"type": "boolean"}
        case IntegerRule(signed, width):
            sign = "i" if signed else "u"
            narrower = [f"{sign}{8 * size}" for size in range(1, width + 1)]
            return {"oneOf": [{"$ref": f"#/$defs/{sign}{8 * width}"}, _sized(narrower)]}
        case StatusRule():
            return {"$ref": "#/$defs/Status"}
        case ValueRule(lists):
            return {"$ref": "#/$defs/Value" if lists else "#/$defs/SimpleValue"}
        case ListRule(cls):
            return {"$ref": f"#/$defs/{cls.__name__}"}
        case ListOfRule(item):
            return {"type": "array", "items": _json(item)}
        case ChoiceRule():
            return _one_of(
                {
                    ALTERNATIVE_NAMES[cls]: _json(fields_of(cls)[0].rule)
                    if is_alternative(cls)
                    else {"$ref": f"#/$defs/{cls.__name__}"}
                    for cls in _alternatives(rule)
                }
            )


# --- XML -----------------------------------------------------------------------------------


def xsd() -> str:
    """An XML Schema of what `to_xml` writes and `from_xml` reads."""
    ElementTree.register_namespace("xs", _XSD)
    root = Element(
        f"{{{_XSD}}}schema", {"targetNamespace": NAMESPACE, "elementFormDefault": "qualified", "xmlns": NAMESPACE}
    )
    sml_files = _type(_element(root, "SML", None))
    messages = _type(_element(_sequence(sml_files), "file", None, low=0, many=True))
    message = _type(_element(_sequence(messages), "message", None, low=0, many=True))
    parts = _sequence(message)
    for entry in _ENVELOPE:
        _declare(parts, entry)
    _body_choice(_type(_element(parts, "messageBody", None)))
    for name, kind in (("tagWidth", "unsignedByte"), ("crcWidth", "unsignedByte"), ("kermit", "boolean")):
        _attribute(message, name, f"xs:{kind}")
    for cls in _lists():
        declared = _xs(root, "complexType", name=cls.__name__)
        fields = _sequence(declared)
        for entry in fields_of(cls):
            _declare(fields, entry)
    _simple_types(root)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _xs(parent: Element, kind: str, /, **attributes: str) -> Element:
    return SubElement(parent, f"{{{_XSD}}}{kind}", attributes)


def _element(parent: Element, name: str, kind: str | None, *, low: int = 1, many: bool = False) -> Element:
    attributes = {"name": name} | ({"type": kind} if kind else {})
    attributes |= ({"minOccurs": str(low)} if low != 1 else {}) | ({"maxOccurs": "unbounded"} if many else {})
    return _xs(parent, "element", **attributes)


def _type(element: Element) -> Element:
    return _xs(element, "complexType")


def _sequence(parent: Element) -> Element:
    return _xs(parent, "sequence")


def _attribute(parent: Element, name: str, kind: str, use: str = "optional") -> None:
    _xs(parent, "attribute", name=name, type=kind, use=use)


def _body_choice(parent: Element) -> None:
    choice = _xs(parent, "choice")
    for cls, name in BODY_NAMES.items():
        _element(choice, name, cls.__name__)
    _element(choice, OPAQUE, "Opaque")


def _declare(parent: Element, entry: FieldRule) -> None:
    _of_rule(parent, entry.asn1_name, entry.rule, low=0 if _optional(entry) else 1)


def _of_rule(parent: Element, name: str, rule: Rule, *, low: int = 1, many: bool = False) -> None:
    """Declare one element of a rule: by a named type where one fits, in place where not."""
    match rule:
        case OctetsRule():
            _element(parent, name, "Octets", low=low, many=many)
        case BooleanRule():
            _element(parent, name, "xs:boolean", low=low, many=many)
        case IntegerRule() | StatusRule():
            _element(parent, name, "Sized", low=low, many=many)
        case ListRule(cls):
            _element(parent, name, cls.__name__, low=low, many=many)
        case ListOfRule(item):
            inside = _sequence(_type(_element(parent, name, None, low=low, many=many)))
            _of_rule(inside, "entry", item, low=0, many=True)
        case ChoiceRule():
            _choice(_xs(_type(_element(parent, name, None, low=low, many=many)), "choice"), rule)
        case ValueRule(lists):
            # A value is text with its type in `t`, or one of the list types' elements.
            held = _xs(_element(parent, name, None, low=low, many=many), "complexType", mixed="true")
            choice = _xs(held, "choice", minOccurs="0")
            if lists:
                _choice(choice, LIST_TYPE)
            _attribute(held, "t", "ValueType")
            _attribute(held, "ascii", "xs:string")


def _choice(choice: Element, rule: ChoiceRule) -> None:
    for cls in _alternatives(rule):
        inner = fields_of(cls)[0].rule if is_alternative(cls) else ListRule(cls)
        _of_rule(choice, ALTERNATIVE_NAMES[cls], inner)


def _simple_types(root: Element) -> None:
    hexes = _xs(_xs(root, "simpleType", name="Hex"), "restriction", base="xs:string")
    _xs(hexes, "pattern", value="([0-9a-fA-F]{2})*")
    octets = _xs(_xs(_xs(root, "complexType", name="Octets"), "simpleContent"), "extension", base="Hex")
    _attribute(octets, "ascii", "xs:string")
    sized = _xs(_xs(_xs(root, "complexType", name="Sized"), "simpleContent"), "extension", base="xs:integer")
    _attribute(sized, "t", "Width")
    opaque = _xs(_xs(_xs(root, "complexType", name="Opaque"), "simpleContent"), "extension", base="Hex")
    _attribute(opaque, "tag", "xs:string", "required")
    for name, values in (("Width", list(WIDTHS)), ("ValueType", [*WIDTHS, "bool", "octets"])):
        kinds = _xs(_xs(root, "simpleType", name=name), "restriction", base="xs:string")
        for value in values:
            _xs(kinds, "enumeration", value=value)


__all__ = ["json_schema", "xsd"]
