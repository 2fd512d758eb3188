"""Evidence in XML: containers of signed values as charging stations hand them out, and our SML.

    <values><value transactionId="1" context="Transaction.Begin">      EDL40 and ISA-EDL-40P
      <signedData encoding="hex">…</signedData><publicKey>…</publicKey></value>…</values>
    <signedMeterValue> publicKey, meterValueSignature, encodedMeterValue </signedMeterValue>
    <ChargingProcess> ServerId, PublicKey, MeasurementStart, MeasurementEnd … </ChargingProcess>

The parser is expat with document types refused, so no entity is ever expanded and nothing is
fetched; depth, elements and size are bounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..edl import BasicValue, ExtendedValue, SignedValue, split_signature
from ..errors import DecodeError, InvalidIdentifier, SourceError
from ..sml.names import NAMESPACE
from ..sml.xml import from_xml
from .charging_process import read_charging_processes
from .elements import child_of, child_text, local_name
from .exhibit import Contents, Exhibit, Field, OfferedKey
from .keys import decode_text, offered_key
from .meter_values import exhibit_of_value, stage_in, transactions
from .sml_files import KIND as SML_KIND
from .sml_files import read_binary, read_files

MAX_ELEMENTS: Final = 1_000_000
"""Elements of the largest XML file; three months of signed quarter hours have 250 000."""
MAX_DEPTH: Final = 64
"""Nested elements; a SML message in XML has some twenty."""
MAX_VALUES: Final = 10_000
"""Signed values in one container."""
MAX_SIGNED_TEXT: Final = 64 << 10
"""Characters of one signedData element; real ones have 1300."""


def read_xml(data: bytes) -> Contents:
    """Everything signed in an XML file. Raises SourceError where nothing in it is understood."""
    root = parse(data)
    match local_name(root):
        case "values" | "value":
            return _read_values(root)
        case "signedMeterValue":
            return _read_signed_meter_value(root)
        case "SML" if root.tag == f"{NAMESPACE} SML":
            contents = Contents(f"{SML_KIND} in XML")
            read_files(from_xml(data.decode("utf-8-sig", "replace")), contents)
            return contents
    processes = read_charging_processes(root)
    if processes is None:
        raise SourceError(f"XML, but no evidence that is known: its root is <{local_name(root)[:60]}>")
    return processes


def parse(data: bytes) -> Element:
    """The tree of an XML text. Raises SourceError; a document type or deep nesting is refused."""
    builder = TreeBuilder()
    depth = elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > MAX_DEPTH or elements > MAX_ELEMENTS:
            raise SourceError(f"the XML has more than {MAX_ELEMENTS} elements or nests deeper than {MAX_DEPTH}")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise SourceError("the XML has a document type, which no evidence needs and attacks do: refused")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        # A declaration must be the first thing in XML; in pasted containers blanks stand before it.
        parser.Parse(data.lstrip(b" \t\r\n"), True)
        return builder.close()
    except (expat.ExpatError, UnicodeDecodeError, ValueError, LookupError) as error:
        raise SourceError(f"not well-formed XML: {error}") from error


# --- <values> and <signedMeterValue> -------------------------------------------------------


def _read_values(root: Element) -> Contents:
    elements = [root] if local_name(root) == "value" else [child for child in root if local_name(child) == "value"]
    if len(elements) > MAX_VALUES:
        raise SourceError(f"the container holds {len(elements)} values, more than {MAX_VALUES}")
    if not elements:
        raise SourceError("the container <values> holds no <value>")
    contents = Contents("signed meter values in XML")
    groups: dict[str, list[tuple[int, Exhibit]]] = {}
    for number, element in enumerate(elements, 1):
        transaction = element.get("transactionId", "").strip()
        for exhibit in _read_value(element, f"value {number}", contents):
            groups.setdefault(transaction, []).append((len(contents.exhibits), exhibit))
            contents.exhibits.append(exhibit)
    for name, members in groups.items():
        contents.transactions += transactions(f"transaction {name}" if name else "transaction without number", members)
    return contents


def _read_value(element: Element, place: str, contents: Contents) -> list[Exhibit]:
    """What one <value> holds; what is wrong with it is noted in `contents`."""
    signed_data = child_of(element, "signedData")
    text = "" if signed_data is None else (signed_data.text or "")
    if signed_data is None or not text.strip():
        contents.damaged.append(f"{place}: no signedData")
        return []
    if len(text) > MAX_SIGNED_TEXT:
        contents.damaged.append(f"{place}: signedData is longer than {MAX_SIGNED_TEXT >> 10} KiB")
        return []
    try:
        inner = read_binary(decode_text(text, signed_data.get("encoding")))
    except (InvalidIdentifier, SourceError) as error:
        called = f" (format {signed_data.get('format')})" if signed_data.get("format") else ""
        contents.damaged.append(f"{place}: signedData{called} is not SML in hex or base64: {error}")
        return []
    contents.damaged += [f"{place}, {fault}" for fault in inner.damaged]
    contents.remarks += [f"{place}, {remark}" for remark in inner.remarks]
    contents.keys_by_server |= inner.keys_by_server
    if not inner.exhibits and not inner.damaged:
        contents.damaged.append(f"{place}: nothing in its signedData is signed")
    context = element.get("context", "").strip()
    beside = tuple(
        Field(name, said, signed=False)
        for name, said in (("transaction", element.get("transactionId", "").strip()), ("context", context))
        if said
    )
    offered = _offered_key(child_of(element, "publicKey"), place)
    return [
        replace(
            exhibit,
            place=f"{place}, {exhibit.place}",
            fields=exhibit.fields + beside,
            offered=offered,
            stage=exhibit.stage or stage_in(context),
        )
        for exhibit in inner.exhibits
    ]


def _read_signed_meter_value(root: Element) -> Contents:
    """One value whose hashed block itself is given."""
    contents = Contents("signed meter value in XML")
    try:
        signature, _ = split_signature(_octets_of(root, "meterValueSignature"))
        block = _octets_of(root, "encodedMeterValue")
        layout = BasicValue if len(block) == 48 else ExtendedValue
        exhibit = exhibit_of_value(SignedValue(layout.from_block(block), signature), "encodedMeterValue")
    except (InvalidIdentifier, DecodeError) as error:
        contents.damaged.append(f"signedMeterValue: {error}")
        return contents
    method = child_text(root, "signatureMethod")
    beside = (Field("signature method", method, signed=False),) if method else ()
    offered = _offered_key(child_of(root, "publicKey"), "signedMeterValue")
    contents.exhibits.append(replace(exhibit, fields=exhibit.fields + beside, offered=offered))
    return contents


def _octets_of(root: Element, name: str) -> bytes:
    element = child_of(root, name)
    if element is None or not (element.text or "").strip():
        raise InvalidIdentifier(f"no {name}")
    return decode_text(element.text or "", element.get("encoding"))


def _offered_key(element: Element | None, place: str) -> tuple[OfferedKey, ...]:
    if element is None or not (element.text or "").strip():
        return ()
    return (offered_key(element.text or "", f"it stands in the file beside the value ({place})"),)
