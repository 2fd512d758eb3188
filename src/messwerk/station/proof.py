"""The proof package: a bill with everything needed to check it without us, and the checking.

One zip file. Whoever has it, and the meter's key fingerprint from the plate, recomputes the bill
offline: signatures, times, energies, amounts.

    bill.json, bill.html     the bill as it was sent
    readings.json            every signed reading: all hashed fields, both signatures
    keys.json                the public keys, X || Y and PEM
    sync.json                what joins seconds index and UTC
    tariff.json              the price sheets
    manifest.json            SHA-256 of each of the others
    README.txt               how to check it by hand
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ..errors import EvidenceError, InvalidIdentifier, LocalError, MesswerkError
from ..seconds_index import SecondsIndex
from ..signing import Curve, PublicKey
from ..tuples import HASH_LAYOUT, STATUS_SOI, SignedTuple
from .billing import Bill, BilledReading, head, make_bill, reading_rows
from .intervals import Readings, edges
from .roster import Key
from .tariff import PriceSheet
from .timesync import SyncPoint, TimeModel
from .verify import Verdict, Verifier

FORMAT: Final = "messwerk proof 1"
FILES: Final = ("bill.json", "bill.html", "readings.json", "keys.json", "sync.json", "tariff.json", "README.txt")
MANIFEST: Final = "manifest.json"
SIZE_MAX: Final = 64 << 20
"""Bytes one file of a package may unpack to: a month has 3 MB."""
READINGS_MAX: Final = 31 * 96 + 4 + 1
"""Readings of the longest month: October has an hour more."""
SYNC_AROUND_S: Final = 30 * 86400
"""Sync points this far around the bill's month go into its package."""
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""Same contents, same bytes."""
_FIELDS: Final = (
    "status", "scaler", "import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh",
)  # fmt: skip

README: Final = f"""\
This package proves an electricity bill.

Check it with Messwerk:        messwerk verify THIS-FILE.zip
Compare the key's fingerprint with the one printed on your meter.

By hand: each entry of readings.json is a register reading the meter signed twice, once for
+A, R1, R4 and once for -A, R2, R3. The signed bytes ({HASH_LAYOUT}, 96 bytes each) are

    server ID, zero padded to 14 | seconds index, 4, little endian | status, 4, little endian |
    three times: OBIS code 6 | unit 1 | scaler 1 | value 8, little endian | 26 zero bytes

with the codes 1-0:1.8.0*255, 1-0:5.8.0*255, 1-0:8.8.0*255 (import) and 1-0:2.8.0*255,
1-0:6.8.0*255, 1-0:7.8.0*255 (export), units 30 (Wh) and 32 (varh). A signature is r || s of
ECDSA with SHA-256. `openssl dgst -sha256 -verify key.pem -signature sig.der block` agrees.

The energy of a quarter hour is the difference of the readings at its ends, in 0.1 Wh. It belongs
to the zone of tariff.json that its beginning lies in on the local clock. sync.json says how the
meter's seconds were placed in UTC.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    what: str
    holds: bool
    detail: str


@dataclass(slots=True)
class ProofReport:
    """What checking a package found."""

    findings: list[Finding] = field(default_factory=list)
    bill: dict[str, Any] = field(default_factory=dict)
    """The bill as stated."""
    recomputed: Bill | None = None
    fingerprints: tuple[str, ...] = ()

    def add(self, what: str, holds: bool, detail: str) -> bool:
        """Note a finding; returns whether it holds."""
        self.findings.append(Finding(what, holds, detail))
        return holds

    @property
    def proven(self) -> bool:
        """Whether everything was checked and holds."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)


# --- making --------------------------------------------------------------------------------


def make_package(bill: Bill, page: str, keys: Sequence[Key], points: Sequence[SyncPoint]) -> bytes:
    """The package of a bill. Raises EvidenceError when the bill is incomplete: there is nothing to prove."""
    if not bill.complete:
        raise EvidenceError(f"bill {bill.bill_id} is not complete: only a complete one can be proven")
    used = {reading.key_fingerprint for reading in bill.readings}
    near = (bill.start_utc - SYNC_AROUND_S, bill.end_utc + SYNC_AROUND_S)
    points = [point for point in points if near[0] <= point.utc <= near[1]]
    contents = {
        "bill.json": _json({**head(bill), "readings": reading_rows(bill)}),
        "bill.html": page.encode(),
        "readings.json": _json([_reading(reading) for reading in bill.readings]),
        "keys.json": _json([_key(key) for key in keys if key.key.fingerprint in used]),
        "sync.json": _json([[point.index, point.utc, point.uncertainty_s, point.source] for point in points]),
        "tariff.json": _json([json.loads(sheet.to_json()) for sheet in bill.sheets]),
        "README.txt": README.encode(),
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = _json({"format": FORMAT, "bill_id": bill.bill_id, "sha256": digests})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, content)
    return packed.getvalue()


def _reading(reading: BilledReading) -> dict[str, Any]:
    signed = reading.signed
    return {
        "quarter_utc": reading.quarter_utc,
        "server_id": signed.server_id.hex(),
        "index": int(signed.index),
        **{name: getattr(signed, name) for name in _FIELDS},
        "signature_import": signed.signature_import.hex(),
        "signature_export": signed.signature_export.hex(),
        "key": reading.key_fingerprint,
    }


def _key(key: Key) -> dict[str, str]:
    return {
        "fingerprint": key.key.fingerprint,
        "curve": key.key.curve.value,
        "point": key.key.point.hex(),
        "pem": key.key.pem.decode(),
        "confirmation": key.confirmation,
    }


def _json(content: object) -> bytes:
    return json.dumps(content, indent=1).encode()


# --- checking ------------------------------------------------------------------------------


def check_package(package: bytes, fingerprint: str | None = None) -> ProofReport:
    """Recompute a bill from its package alone, believing nothing in it but signatures.

    `fingerprint`, from the meter's plate, must be that of the only key used. Raises LocalError
    when the bytes are no package at all; everything else is a finding.
    """
    report = ProofReport()
    files = _unpack(package, report)
    if not report.proven:
        return report
    try:
        report.bill = _object(files["bill.json"])
        keys = _keys(files["keys.json"])
        sheets = [PriceSheet.from_json(json.dumps(sheet)) for sheet in _list(files["tariff.json"])]
        points = [
            SyncPoint(int(row[0]), float(row[1]), float(row[2]), str(row[3])) for row in _list(files["sync.json"])
        ]
        rows = _list(files["readings.json"])
        signed = [_signed(row) for row in rows]
        quarters = [int(row["quarter_utc"]) for row in rows]
        report.fingerprints = tuple(sorted(keys))
        _check_key(report, keys, fingerprint)
        readings = _check_readings(report, signed, quarters, [str(row["key"]) for row in rows], keys, points)
        _check_bill(report, readings, sheets)
    except (KeyError, TypeError, ValueError, ArithmeticError, struct.error, MesswerkError) as error:
        report.add("form", False, f"the package cannot be read: {error!r}"[:300])
    return report


def _unpack(package: bytes, report: ProofReport) -> dict[str, bytes]:
    """The files, their digests checked."""
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            names = archive.namelist()
            if MANIFEST not in names:
                raise LocalError("not a proof package: it holds no manifest.json; download it from the bill's page")
            large = [info.filename for info in archive.infolist() if info.file_size > SIZE_MAX]
            if large or len(names) != len(set(names)) or len(names) > 20:
                report.add("form", False, f"files too large, too many or twice: {', '.join((large or names)[:5])}")
                return {}
            files = {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise LocalError(f"not a proof package: {error}; download it again from the bill's page") from error
    try:
        manifest = _object(files.pop(MANIFEST))
        stated = dict(manifest["sha256"])
        form = manifest["format"] == FORMAT
    except (KeyError, TypeError, ValueError) as error:
        report.add("form", False, f"its manifest cannot be read: {error!r}")
        return {}
    found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    wrong = sorted(name for name in stated.keys() | found.keys() if stated.get(name) != found.get(name))
    missing = sorted(set(FILES) - files.keys())
    report.add("form", form and not missing, f"missing {', '.join(missing)}" if missing else f"{FORMAT}")
    report.add("digests", not wrong, f"altered: {', '.join(wrong)}" if wrong else f"{len(found)} files are as packed")
    return files


def _check_key(report: ProofReport, keys: Mapping[str, PublicKey], fingerprint: str | None) -> None:
    found = ", ".join(keys) or "none"
    if fingerprint is None:
        report.add("key", bool(keys), f"{found}: compare it with the meter's plate")
        return
    wanted = fingerprint.replace(" ", "").upper()
    same = [one.replace(" ", "") for one in keys] == [wanted]
    report.add("key", same, f"{found} {'is' if same else 'is not'} the key of the plate")


def _check_readings(
    report: ProofReport,
    signed: Sequence[SignedTuple],
    quarters: Sequence[int],
    names: Sequence[str],
    keys: Mapping[str, PublicKey],
    points: Sequence[SyncPoint],
) -> list[BilledReading]:
    """Verify every signature and place every reading in time again."""
    verifier = Verifier()
    try:
        known = {name: Key(number, key, "", True, 0.0) for number, (name, key) in enumerate(keys.items())}
        work = [(one, [known[name]]) for one, name in zip(signed, names, strict=True)]
        judgements = verifier.judge_all(work)
    finally:
        verifier.close()
    bad = [one.index for one, judged in zip(signed, judgements, strict=True) if judged.verdict is not Verdict.VALID]
    report.add(
        "signatures", not bad,
        f"{len(bad)} readings are not what the meter signed, first #{bad[0]}" if bad
        else f"{2 * len(signed)} signatures of {len(signed)} readings fit",
    )  # fmt: skip
    placed = _placed(signed, points)
    wrong = [
        one.index for one, quarter in zip(signed, quarters, strict=True) if placed.get(one.index, (0,))[0] != quarter
    ]
    worst = max((uncertainty for _, _, uncertainty in placed.values()), default=0.0)
    report.add(
        "time", not wrong and len(placed) == len(signed),
        f"{len(wrong)} readings do not stand on their quarter hour, first #{wrong[0]}" if wrong
        else f"every reading stands on its quarter hour, UTC known to {worst:.1f} s",
    )  # fmt: skip
    return [
        BilledReading(
            quarter, *placed.get(one.index, (0, 0.0, 0.0))[1:], one, name,
            "valid" if judged.verdict is Verdict.VALID else judged.reason,
        )
        for one, quarter, name, judged in zip(signed, quarters, names, judgements, strict=True)
    ]  # fmt: skip


def _placed(signed: Sequence[SignedTuple], points: Sequence[SyncPoint]) -> dict[int, tuple[int, float, float]]:
    """Index to quarter hour, UTC and uncertainty, by the same rules the station has."""
    ordered = sorted({one.index: one for one in signed}.values(), key=lambda one: one.index)
    count = len(ordered)
    found = edges(
        Readings(
            np.array([one.index for one in ordered], dtype=np.int64), np.zeros((count, 6), dtype=np.int64),
            np.array([bool(one.status & STATUS_SOI) for one in ordered], dtype=np.bool_),
            np.ones(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.int64),
        ),
        TimeModel(points),
    )  # fmt: skip
    return {
        index: (quarter, utc, uncertainty)
        for index, quarter, utc, uncertainty, vague in zip(
            found.readings.index.tolist(), found.quarter.tolist(), found.utc.tolist(), found.uncertainty_s.tolist(),
            found.vague.tolist(), strict=True,
        )
        if not vague
    }  # fmt: skip


def _check_bill(report: ProofReport, readings: Sequence[BilledReading], sheets: Sequence[PriceSheet]) -> None:
    """Compute the bill again and compare what matters with what was stated."""
    stated = report.bill
    server_id = bytes.fromhex(stated["server_id"])
    report.add(
        "meter", all(reading.signed.server_id == server_id for reading in readings),
        f"all readings are of {stated['meter']}",
    )  # fmt: skip
    bill = make_bill(
        server_id, str(stated["month"]), int(stated["start_utc"]), int(stated["end_utc"]), readings, sheets
    )
    report.recomputed = bill
    computed = json.loads(json.dumps(head(bill)))
    compared = [name for name in computed if name not in ("start_reading", "end_reading")]
    differing = sorted(name for name in compared if computed[name] != stated.get(name))
    report.add(
        "calculation", bill.complete and not differing,
        f"computed again it differs in {', '.join(differing)}" if differing
        else f"{bill.quarters} quarter hours, {bill.energy_kwh} kWh, {bill.total_eur} EUR" if bill.complete
        else f"{len(bill.missing)} quarter hours have no proven value",
    )  # fmt: skip


def _keys(content: bytes) -> dict[str, PublicKey]:
    """Keys by the fingerprint computed here, never by the one stated."""
    keys = {}
    for row in _list(content):
        key = PublicKey.from_point(Curve(row["curve"]), bytes.fromhex(row["point"]))
        keys[key.fingerprint] = key
    if not keys:
        raise InvalidIdentifier("the package holds no key")
    return keys


def _signed(row: Mapping[str, Any]) -> SignedTuple:
    values = {name: int(row[name]) for name in _FIELDS}
    return SignedTuple(
        server_id=bytes.fromhex(row["server_id"]), index=SecondsIndex(int(row["index"])), **values,
        signature_import=bytes.fromhex(row["signature_import"]),
        signature_export=bytes.fromhex(row["signature_export"]),
    )  # fmt: skip


def _object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("a JSON object was expected")
    return found


def _list(content: bytes) -> list[Any]:
    found = json.loads(content)
    if not isinstance(found, list):
        raise ValueError("a JSON list was expected")
    return found
