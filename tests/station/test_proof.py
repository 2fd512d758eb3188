"""The proof package: proves its bill offline, and nothing altered slips through."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.errors import EvidenceError, LocalError
from messwerk.link.clock import VirtualClock
from messwerk.signing import signature_der
from messwerk.station.calendar import month_bounds
from messwerk.station.proof import check_package
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from station_meters import SigningMeter, bill_month

START, END = month_bounds("2026-02")
METER = SigningMeter(epoch_utc=START - 1800)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station that has billed February."""
    path = tmp_path_factory.mktemp("proof")
    asyncio.run(bill_month(path, METER, START, END))
    return path


@pytest.fixture(scope="module")
def package(folder: Path) -> bytes:
    async def make() -> bytes:
        station = Station(folder, VirtualClock(END + 7200.0), Settings())
        try:
            (bill,) = [bill for bill in station.bills() if bill.month == "2026-02"]
            first = await station.bill_proof(bill.bill_id)
            assert await station.bill_proof(bill.bill_id) == first, "the same contents are the same bytes"
            return first
        finally:
            await station.close()

    return asyncio.run(make())


def unpacked(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes], *, honest_manifest: bool = True) -> bytes:
    """A package again; with its digests made right for what it holds now."""
    if honest_manifest:
        manifest = json.loads(files["manifest.json"])
        manifest["sha256"] = {
            name: sha256(content).hexdigest() for name, content in files.items() if name != "manifest.json"
        }
        files = {**files, "manifest.json": json.dumps(manifest).encode()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def altered(package: bytes, name: str, change: Callable[[Any], Any]) -> bytes:
    files = unpacked(package)
    content = json.loads(files[name])
    content = change(content) or content
    return packed({**files, name: json.dumps(content).encode()})


def failed(package: bytes, fingerprint: str | None = None) -> list[str]:
    return [finding.what for finding in check_package(package, fingerprint).findings if not finding.holds]


def test_an_honest_package_is_proven(package: bytes) -> None:
    """Signatures, times and amounts are recomputed from the package alone and agree."""
    report = check_package(package, METER.key.public.fingerprint)
    assert [finding.what for finding in report.findings] == [
        "form", "digests", "key", "signatures", "time", "meter", "calculation",
    ]  # fmt: skip
    assert report.proven, report.findings
    assert report.recomputed is not None
    assert str(report.recomputed.total_eur) == report.bill["total_eur"]
    assert report.recomputed.bill_id == report.bill["bill_id"]


def edit_first_reading(rows: list[dict[str, Any]]) -> None:
    rows[7]["import_wh"] += 1


def shift_time(rows: list[list[Any]]) -> list[list[Any]]:
    return [[index, utc + 900, uncertainty, source] for index, utc, uncertainty, source in rows]


def cheaper(sheets: list[dict[str, Any]]) -> None:
    sheets[0]["zones"][0]["price_ct_per_kwh"] = "0.01"


FORGERIES = [
    ("bill.json", lambda bill: bill.update(total_eur="1.00"), "calculation", "another total"),
    ("bill.json", lambda bill: bill["lines"][0].update(amount_eur="1.00"), "calculation", "another amount"),
    ("bill.json", lambda bill: bill.update(month="2026-03"), "calculation", "another month"),
    ("bill.json", lambda bill: bill.update(inputs_digest="0" * 64), "calculation", "another digest"),
    ("readings.json", edit_first_reading, "signatures", "an altered register"),
    ("readings.json", lambda rows: rows[7].update(status=0), "signatures", "an altered status"),
    ("readings.json", lambda rows: rows[7].update(quarter_utc=rows[7]["quarter_utc"] + 900), "time", "a moved reading"),
    ("readings.json", lambda rows: rows[:-1], "calculation", "a missing reading"),
    ("sync.json", shift_time, "time", "a shifted clock"),
    ("sync.json", lambda rows: rows[:0] or [[0, 0.0, 1.0, ""]], "time", "no clock"),
    ("tariff.json", cheaper, "calculation", "other prices"),
    ("readings.json", lambda rows: {"no": "list"}, "form", "nonsense"),
    ("readings.json", lambda rows: rows[0].update(index=10**30), "form", "an impossible index"),
    ("keys.json", lambda keys: keys[0].update(point="00" * 64), "form", "no key"),
    ("bill.json", lambda bill: bill.update(start_utc=bill["start_utc"] + 1), "form", "not a midnight"),
]


@pytest.mark.parametrize(("name", "change", "finding", "why"), FORGERIES, ids=[row[3] for row in FORGERIES])
def test_a_forger_who_repairs_the_digests_is_found(
    package: bytes, name: str, change: Callable[[Any], Any], finding: str, why: str
) -> None:
    """Every alteration breaks a signature, a time or the calculation, however well the manifest fits."""
    assert finding in failed(altered(package, name, change)), why


def test_an_altered_file_breaks_its_digest(package: bytes) -> None:
    """Also the page, which nothing else covers."""
    files = unpacked(package)
    files["bill.html"] = files["bill.html"].replace(b"bill", b"gift")
    assert failed(packed(files, honest_manifest=False)) == ["digests"]


def test_another_key_is_not_the_plates(package: bytes) -> None:
    """A package signed throughout with a key of its maker's falls only to the plate: so the plate is asked for."""
    forger = SigningMeter(seed=b"forger")
    assert failed(package, forger.key.public.fingerprint) == ["key"]
    assert failed(package, METER.key.public.fingerprint.replace(" ", "").lower()) == []


def survives(content: bytes) -> None:
    """The check ends in a report or in one sentence of ours."""
    try:
        check_package(content)
    except LocalError as error:
        told = str(error)
        assert "not a proof package" in told


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_is_no_package(noise: bytes) -> None:
    """Any bytes are refused in words."""
    survives(noise)


@settings(max_examples=15, deadline=None)
@given(place=st.floats(0, 1), noise=st.binary(min_size=1, max_size=300))
def test_no_damaged_package_crashes_the_check(package: bytes, place: float, noise: bytes) -> None:
    """Cut off, or overwritten anywhere, a package is refused or found wanting."""
    at = int(place * (len(package) - len(noise)))
    survives(package[:at])
    survives(package[:at] + noise + package[at + len(noise) :])


def test_openssl_agrees(package: bytes, tmp_path: Path) -> None:
    """Somebody with nothing but openssl and the README checks a reading's signature."""
    files = unpacked(package)
    row, key = json.loads(files["readings.json"])[5], json.loads(files["keys.json"])[0]
    signed = METER.tuple_at(row["index"])
    (tmp_path / "key.pem").write_text(key["pem"])
    (tmp_path / "sig.der").write_bytes(signature_der(bytes.fromhex(row["signature_import"])))
    (tmp_path / "block").write_bytes(signed.import_block)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig.der", "block"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "Verified OK"


async def test_an_incomplete_bill_has_no_proof(folder: Path) -> None:
    """What is no bill cannot be proven; and a bill the archive no longer gives is not proven either."""
    station = Station(folder, VirtualClock(END + 7200.0), Settings())
    try:
        (complete,) = [bill for bill in station.bills() if bill.month == "2026-02"]
        view = await station.make_bill(METER.server_id, "2026-03")
        with pytest.raises(EvidenceError, match="complete"):
            await station.bill_proof(view.row.bill_id)
        with station.store.transaction() as write:
            write.execute("DELETE FROM hot WHERE idx = ?", (METER.index(START + 86400),))
        station.live._states.clear()
        with pytest.raises(EvidenceError, match="station check"):
            await station.bill_proof(complete.bill_id)
    finally:
        await station.close()
