"""A station's bill held against its tuples and against its own sums."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

import pytest

from evidence_material import KEY_P256, KEYS, MODULE, bare, framed, identity_body, pack_body, signed
from messwerk import evidence, sml
from messwerk.errors import SourceError
from messwerk.evidence import GivenKeys, Report, Verdict
from messwerk.signing import Curve
from messwerk.station.billing import BilledReading, head, make_bill, reading_rows
from messwerk.station.calendar import BERLIN, midnight_utc
from messwerk.station.tariff import DEFAULT_SHEET
from messwerk.tuples import SignedTuple

GIVEN = GivenKeys((KEY_P256.public,))


def a_day() -> tuple[dict[str, Any], list[SignedTuple]]:
    """The bill of one local day, as the station writes it, and its 97 tuples."""
    start, end = (midnight_utc(dt.date(2026, 10, day), BERLIN) for day in (1, 2))
    rng = random.Random(7)
    energy, fed, tuples = 98_765_432, 1000, []
    for place in range(97):
        tuples.append(signed(index=1000 + 900 * place, status=0x400104, import_wh=energy, export_wh=fed))
        energy, fed = energy + rng.randrange(5000), fed + rng.randrange(100)
    readings = [
        BilledReading(quarter, quarter + 0.3, 0.6, one, KEY_P256.public.fingerprint, "valid")
        for quarter, one in zip(range(start, end + 1, 900), tuples, strict=True)
    ]
    bill = make_bill(MODULE, "2026-10", start, end, readings, [DEFAULT_SHEET])
    return {**head(bill), "readings": reading_rows(bill)}, tuples


@pytest.fixture(scope="module")
def day() -> tuple[dict[str, Any], list[SignedTuple]]:
    return a_day()


def examined(document: dict[str, Any], tuples: list[SignedTuple] | None) -> Report:
    beside = None if tuples is None else framed(pack_body(*tuples), server_id=MODULE)
    return evidence.examine(json.dumps(document).encode(), GIVEN, tuples=beside)


def broken(report: Report) -> list[str]:
    return [rule.name for rule in report.broken_rules]


def test_a_bill_with_its_tuples_is_proven(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """Every reading is signed and every sum is right; what a bill cannot prove is said."""
    document, tuples = day
    report = examined(document, tuples)
    assert report.verdict is Verdict.PROVEN
    assert report.proven == 97
    assert any("tariff zone" in sentence for sentence in report.unproven)


def test_a_bill_alone_is_not_proven(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """It names its tuples by digest: without them its sums hold and nothing more."""
    report = examined(day[0], None)
    assert report.verdict is Verdict.NOT_PROVEN
    assert broken(report) == ["every reading is that of a signed tuple"]
    assert "--tuples" in report.faults[-1]


def test_a_bill_with_too_few_tuples_names_them(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """The readings without tuple are counted and the first named."""
    document, tuples = day
    report = examined(document, tuples[:-7])
    assert report.verdict is Verdict.NOT_PROVEN
    assert "90 of 97: #82000: no tuple with these signatures" in report.faults[-1]
    assert "and 2 more" in report.faults[-1]


def test_a_bill_on_forged_tuples_is_not_proven(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """Tuples that the bill names but that the key given did not sign."""
    document, tuples = day
    report = evidence.examine(
        json.dumps(document).encode(),
        GivenKeys((KEYS[Curve.BP256].public,)),
        tuples=framed(pack_body(*tuples), server_id=MODULE),
    )
    assert report.verdict is Verdict.NOT_PROVEN
    assert report.proven == 0


def change(document: dict[str, Any], path: list[Any], value: object) -> dict[str, Any]:
    """A copy of a document with one member changed."""
    copy = json.loads(json.dumps(document))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (["total_eur"], "1.00", "total"),
        (["net_eur"], "1.00", "net sum"),
        (["vat_eur"], "1.00", "tax"),
        (["energy_kwh"], "1.0000", "import is the sum of the quarter hours"),
        (["export_kwh"], "1.0000", "export is the sum of the quarter hours"),
        (["lines", 0, "quantity"], "1.0000", "energy of the zone"),
        (["lines", 0, "amount_eur"], "1.00", "HT"),
        (["lines", 0, "unit_price"], "1.00", "HT"),
        (["readings", 5, "import_kwh"], "1.0000", "every reading is that of a signed tuple"),
        (["readings", 5, "index"], 1, "every reading is that of a signed tuple"),
        (["readings", 5, "status"], "00000000", "every reading is that of a signed tuple"),
        (["readings", 5, "signature_digest"], "00", "every reading is that of a signed tuple"),
        (["readings", 5, "verdict"], "bad signature", "the station itself found every reading valid"),
        (["missing"], ["2026-10-01T00:00:00+02:00"], "no quarter hour is missing"),
        (["server_id"], "0500151122aabc", "every reading is that of a signed tuple"),
    ],
)
def test_a_changed_bill_breaks_a_rule(
    day: tuple[dict[str, Any], list[SignedTuple]], path: list[Any], value: object, rule: str
) -> None:
    """Each figure hangs together with others: a changed one is named."""
    document, tuples = day
    report = examined(change(document, path, value), tuples)
    assert report.verdict is Verdict.NOT_PROVEN
    assert any(name.startswith(rule) for name in broken(report)), broken(report)


def test_the_key_a_bill_names_must_be_the_one(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """A bill that says another key signed its readings contradicts its tuples."""
    document, tuples = day
    report = examined(change(document, ["readings", 3, "key"], "0000 0000 0000 0000"), tuples)
    assert (report.verdict, report.proven) == (Verdict.NOT_PROVEN, 96)


@pytest.mark.parametrize(
    ("path", "value"),
    [(["readings"], 5), (["lines", 0], []), (["total_eur"], 1.5), (["total_eur"], "1e999999"), (["server_id"], "zz"),
     (["readings", 0, "status"], "-1"), (["readings", 0, "index"], True), (["missing"], ["never"])],
)  # fmt: skip
def test_members_of_the_wrong_kind_are_named(
    day: tuple[dict[str, Any], list[SignedTuple]], path: list[Any], value: object
) -> None:
    """A document that is no whole bill is not understood."""
    with pytest.raises(SourceError, match=str([step for step in path if isinstance(step, str)][-1])):
        examined(change(day[0], path, value), None)


def test_tuples_may_come_from_a_pull_with_the_key(day: tuple[dict[str, Any], list[SignedTuple]]) -> None:
    """The answer of a communication module carries identity and profile: no key need be given."""
    document, tuples = day
    pull = sml.frame(bare(identity_body(), pack_body(*tuples), server_id=MODULE))
    assert evidence.examine(json.dumps(document).encode(), tuples=pull).verdict is Verdict.PROVEN
