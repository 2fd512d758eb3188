"""A station's bill in JSON: its readings held against the signed tuples, its sums against its parts.

A bill names each reading by seconds index, register values, status and a digest of both
signatures; the tuples themselves come in a file of their own. What is recomputed here is all that
follows from the document: every difference, line, tax and total. Which zone of the tariff an hour
belongs to, and which UTC a seconds index is, follow from calendar and sync points; the proof
package carries those.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any, Final

from ..errors import SourceError
from ..identity import ServerId
from ..tuples import SignedTuple
from .exhibit import Contents, Exhibit, Rule

KIND: Final = "bill in JSON"
FORMAT: Final = "messwerk bill 1"
MAX_READINGS: Final = 100_000
"""Readings of one bill; a month of quarter hours has 2977."""
QUARTER_S: Final = 900
NO_TUPLES: Final = (
    "the bill names its tuples by digest only and none are at hand: give their file with --tuples, "
    "or ask for the proof package of the bill, which carries them"
)
NAMED_FAILURES: Final = 5
"""Readings named in words when a rule fails; the others are counted."""
_CENT: Final = Decimal("0.01")
_DECIMAL: Final = re.compile(r"-?\d{1,15}(?:\.\d{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One row of the bill's table."""

    quarter_utc: int
    index: int
    import_kwh: Decimal
    export_kwh: Decimal
    status: int
    verdict: str
    key: str
    signature_digest: str
    zone: str | None


def is_bill(document: object) -> bool:
    """Whether a JSON document is a station's bill."""
    return isinstance(document, dict) and document.get("format") == FORMAT


def read_bill(document: Mapping[str, Any], evidence: Contents) -> Contents:
    """Hold a bill against the tuples found in `evidence`. Raises SourceError naming a member that is wrong."""
    contents = Contents(KIND)
    server_id = _server_id(document)
    readings = [_reading(row, f"readings[{number}]") for number, row in enumerate(_list(document, "readings"))]
    if len(readings) > MAX_READINGS:
        raise SourceError(f"the bill has {len(readings)} readings, more than {MAX_READINGS}")
    contents.rules = [
        _readings_are_tuples(server_id, readings, evidence, contents),
        _verdicts(readings),
        *_energy(document, readings),
        *_money(document),
    ]
    contents.keys_by_server = evidence.keys_by_server
    contents.damaged, contents.remarks = evidence.damaged, evidence.remarks
    contents.unproven = [
        "that the quarter hours lie in the tariff zones the bill says: this takes the tariff's calendar",
        "that the readings were taken at the UTC the bill says: this takes the sync points between index and UTC",
        "that the price is the agreed one",
    ]
    return contents


# --- readings and tuples -------------------------------------------------------------------


def _readings_are_tuples(server_id: bytes, readings: list[_Reading], evidence: Contents, contents: Contents) -> Rule:
    """Whether each reading is what a tuple says; the tuples used become exhibits."""
    by_digest: dict[str, tuple[Exhibit, SignedTuple]] = {}
    for exhibit in evidence.exhibits:
        if isinstance(exhibit.content, SignedTuple):
            by_digest[_digest(exhibit.content)] = exhibit, exhibit.content
    name = "every reading is that of a signed tuple"
    if not by_digest:
        return Rule(name, False, NO_TUPLES)
    failures = []
    for reading in readings:
        if reading.signature_digest not in by_digest:
            failures.append(f"#{reading.index}: no tuple with these signatures")
            continue
        exhibit, signed = by_digest[reading.signature_digest]
        wrong = _differences(server_id, reading, signed)
        if wrong:
            failures.append(f"#{reading.index}: {', '.join(wrong)} differ")
        contents.exhibits.append(replace(exhibit, expected_key=reading.key))
    found = len(readings) - len(failures)
    detail = f"{found} of {len(readings)}"
    if failures:
        more = f"; and {len(failures) - NAMED_FAILURES} more" if len(failures) > NAMED_FAILURES else ""
        detail += f": {'; '.join(failures[:NAMED_FAILURES])}{more}"
    return Rule(name, not failures and bool(readings), detail)


def _differences(server_id: bytes, reading: _Reading, signed: SignedTuple) -> list[str]:
    said = {
        "server ID": (server_id, signed.server_id),
        "seconds index": (reading.index, signed.index),
        "status": (reading.status, signed.status),
        "import": (reading.import_kwh, _kwh(signed.import_wh, signed.scaler)),
        "export": (reading.export_kwh, _kwh(signed.export_wh, signed.scaler)),
    }
    return [name for name, (billed, proven) in said.items() if billed != proven]


def _digest(signed: SignedTuple) -> str:
    return hashlib.sha256(signed.signature_import + signed.signature_export).hexdigest()


def _kwh(raw: int, scaler: int) -> Decimal:
    """raw x 10**scaler Wh in kWh, truncated toward zero to 0.1 Wh as bills state it."""
    tenths = abs(raw) * 10 ** (scaler + 1) if scaler >= -1 else abs(raw) // 10 ** (-1 - scaler)
    return Decimal(tenths if raw >= 0 else -tenths).scaleb(-4)


def _verdicts(readings: list[_Reading]) -> Rule:
    wrong = [f"#{reading.index}: {reading.verdict}" for reading in readings if reading.verdict != "valid"]
    detail = "; ".join(wrong[:NAMED_FAILURES]) if wrong else f"all {len(readings)}"
    return Rule("the station itself found every reading valid", not wrong, detail)


# --- sums ----------------------------------------------------------------------------------


def _energy(document: Mapping[str, Any], readings: list[_Reading]) -> list[Rule]:
    """The energy of lines and whole, from the differences of the readings."""
    missing = {_start(text) for text in _list(document, "missing")}
    by_zone: dict[str, Decimal] = {}
    imported = exported = Decimal(0)
    backward = []
    for first, last in pairwise(readings):
        energy, feed_in = last.import_kwh - first.import_kwh, last.export_kwh - first.export_kwh
        if last.index <= first.index or energy < 0 or feed_in < 0:
            backward.append(f"#{first.index} to #{last.index}")
        if last.quarter_utc - first.quarter_utc == QUARTER_S and first.quarter_utc not in missing:
            by_zone[first.zone or ""] = by_zone.get(first.zone or "", Decimal(0)) + energy
            imported += energy
            exported += feed_in
    detail = "; ".join(backward[:NAMED_FAILURES]) or "none does"
    rules = [
        Rule("no register and no index runs backward", not backward, detail),
        Rule("no quarter hour is missing", not missing, f"{len(missing)} missing"),
        _same("import is the sum of the quarter hours", imported, _decimal(document, "energy_kwh"), "kWh"),
        _same("export is the sum of the quarter hours", exported, _decimal(document, "export_kwh"), "kWh"),
    ]
    lines = [line for line in _lines(document) if _text(line, "unit") == "kWh"]
    for zone, energy in by_zone.items():
        labels = {f"{zone} {_text(sheet, 'name')} {_text(sheet, 'version')}" for sheet in _objects(document, "tariff")}
        billed = sum((_decimal(line, "quantity") for line in lines if _text(line, "label") in labels), Decimal(0))
        rules.append(_same(f"energy of the zone {zone or 'without name'}", energy, billed, "kWh"))
    return rules


def _money(document: Mapping[str, Any]) -> list[Rule]:
    """Lines, net, tax and total, rounded as the bill says."""
    rules = []
    net = Decimal(0)
    for line in _lines(document):
        amount = _decimal(line, "amount_eur")
        net += amount
        rules.append(_same(_text(line, "label"), _amount(line), amount, "EUR"))
    feed_in = Decimal(0)
    if document.get("feed_in") is not None:
        line = _object(document["feed_in"], "feed_in")
        feed_in = _decimal(line, "amount_eur")
        rules.append(_same(_text(line, "label"), _amount(line), feed_in, "EUR"))
        rules.append(_same("fed in is the export", _decimal(document, "export_kwh"), _decimal(line, "quantity"), "kWh"))
    vat = (net * _decimal(document, "vat_percent") / 100).quantize(_CENT, ROUND_HALF_UP)
    return [
        *rules,
        _same("net sum", net, _decimal(document, "net_eur"), "EUR"),
        _same("tax", vat, _decimal(document, "vat_eur"), "EUR"),
        _same("total", net + vat - feed_in, _decimal(document, "total_eur"), "EUR"),
    ]


def _amount(line: Mapping[str, Any]) -> Decimal:
    """Quantity times price; cents and euros are told apart by the unit of the price."""
    product = _decimal(line, "quantity") * _decimal(line, "unit_price")
    if _text(line, "price_unit").startswith("ct/"):
        product /= 100
    return product.quantize(_CENT, ROUND_HALF_UP)


def _same(name: str, computed: Decimal, stated: Decimal, unit: str) -> Rule:
    detail = f"{stated:f} {unit}" if computed == stated else f"{stated:f} {unit} stated, {computed:f} {unit} computed"
    return Rule(name, computed == stated, detail)


# --- members of a document that may be anybody's -------------------------------------------


def _reading(row: object, path: str) -> _Reading:
    plain = _object(row, path)
    status = _text(plain, "status")
    if not re.fullmatch(r"[0-9A-Fa-f]{1,16}", status):
        raise SourceError(f"the bill's {path}.status is no hex number: {status[:40]!r}")
    zone = plain.get("zone")
    return _Reading(
        quarter_utc=_integer(plain, "quarter_utc"), index=_integer(plain, "index"),
        import_kwh=_decimal(plain, "import_kwh"), export_kwh=_decimal(plain, "export_kwh"), status=int(status, 16),
        verdict=_text(plain, "verdict"), key=_text(plain, "key"), signature_digest=_text(plain, "signature_digest"),
        zone=zone if isinstance(zone, str) else None,
    )  # fmt: skip


def _server_id(document: Mapping[str, Any]) -> bytes:
    text = _text(document, "server_id")
    try:
        return ServerId(bytes.fromhex(text))
    except ValueError as error:
        raise SourceError(f"the bill's server_id is none: {text[:80]!r}") from error


def _start(text: object) -> int:
    try:
        return int(dt.datetime.fromisoformat(str(text)).timestamp())
    except (ValueError, OverflowError) as error:
        raise SourceError(f"the bill's missing quarter hour is no time: {str(text)[:40]!r}") from error


def _lines(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _objects(document, "lines")


def _objects(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [_object(plain, f"{name}[{number}]") for number, plain in enumerate(_list(document, name))]


def _object(plain: object, path: str) -> Mapping[str, Any]:
    if not isinstance(plain, dict):
        raise SourceError(f"the bill's {path} is no object")
    return plain


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    plain = document.get(name)
    if not isinstance(plain, list):
        raise SourceError(f"the bill's {name} is no list")
    return plain


def _text(document: Mapping[str, Any], name: str) -> str:
    plain = document.get(name)
    if not isinstance(plain, str):
        raise SourceError(f"the bill's {name} is no text")
    return plain


def _integer(document: Mapping[str, Any], name: str) -> int:
    plain = document.get(name)
    if not isinstance(plain, int) or isinstance(plain, bool) or not 0 <= plain < 1 << 40:
        raise SourceError(f"the bill's {name} is no whole number")
    return plain


def _decimal(document: Mapping[str, Any], name: str) -> Decimal:
    text = _text(document, name)
    if not _DECIMAL.fullmatch(text):
        raise SourceError(f"the bill's {name} is no decimal number: {text[:40]!r}")
    return Decimal(text)
