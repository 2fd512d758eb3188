"""`messwerk station` and `messwerk verify`: an operator's day, and a customer's question."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import signal
import socket
import time
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_line import MESSWERK, Call

from messwerk.station.archive import signed_tuple
from messwerk.station.calendar import month_bounds
from messwerk.station.tariff import DEFAULT_SHEET
from station_meters import SigningMeter, bill_month

START, END = month_bounds("2026-02")
METER = SigningMeter(epoch_utc=START - 1800)


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a station that has billed February."""
    folder = tmp_path_factory.mktemp("billed")
    asyncio.run(bill_month(folder, METER, START, END))
    return folder


@pytest.fixture
def data(billed: Path, tmp_path: Path) -> Path:
    """A copy of it to work on."""
    return Path(shutil.copytree(billed, tmp_path / "station"))


def test_meters_and_bills_are_listed(call: Call, data: Path) -> None:
    """As a table for people and as JSON for programs."""
    status, output, _ = call("station", "meters", "--data", data, "--json")
    (meter,) = json.loads(output)
    assert (status, meter["signed"], meter["signatures_invalid"]) == (0, True, 0)
    assert meter["key"] == METER.key.public.fingerprint
    assert str(METER.server_id) in call("station", "meters", "--data", data)[1]
    (bill,) = json.loads(call("station", "bills", "--data", data, "--json")[1])
    assert bill["from"].startswith("2026-02-01T00:00:00")
    assert bill["total_eur"] in call("station", "bills", "--data", data)[1]
    assert "taken over" in call("station", "events", "--data", data)[1]


def test_a_bill_proves_itself_to_its_customer(call: Call, data: Path, tmp_path: Path) -> None:
    """The package verifies with nothing but itself and the plate; an altered one does not, and says where."""
    (bill,) = json.loads(call("station", "bills", "--data", data, "--json")[1])
    package = tmp_path / "bill.zip"
    assert call("station", "bill", bill["bill_id"], "--as", "proof", "--to", package, "--data", data)[0] == 0
    shutil.rmtree(data)
    status, output, _ = call("verify", package, "--key", METER.key.public.fingerprint)
    assert status == 0
    assert f"{bill['total_eur']} EUR" in output
    status, output, _ = call("verify", package, "--key", "0000 0000 0000 0000", "--json")
    report = json.loads(output)
    assert (status, report["verdict"]) == (1, "not proven")
    assert [finding["what"] for finding in report["findings"] if not finding["holds"]] == ["key"]
    content = bytearray(package.read_bytes())
    content[len(content) // 3] ^= 1
    package.write_bytes(bytes(content))
    status, output, errors = call("verify", package)
    assert (status, "not proven" in output) == (1, True) or (status, "not a proof package" in errors) == (2, True)


def test_a_bill_is_a_page_and_data(call: Call, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML and JSON under the bill's own name; another form is refused."""
    monkeypatch.chdir(tmp_path)
    (bill,) = json.loads(call("station", "bills", "--data", data, "--json")[1])
    for form in ("html", "json"):
        assert call("station", "bill", bill["bill_id"], "--as", form, "--data", data)[0] == 0
        assert bill["total_eur"] in (tmp_path / f"{bill['bill_id']}.{form}").read_text()
    status, _, errors = call("station", "bill", bill["bill_id"], "--as", "pdf", "--data", data)
    assert (status, "html, json or proof" in errors) == (1, True)
    assert "no bill" in call("station", "bill", "nothing", "--data", data)[2]


def test_a_month_is_exported(call: Call, data: Path, tmp_path: Path) -> None:
    """CSV, JSON lines and Parquet agree with the bill; a missing value is an empty field with its state."""
    meter = METER.server_id.hex()
    (bill,) = json.loads(call("station", "bills", "--data", data, "--json")[1])
    paths = {form: tmp_path / f"month.{form}" for form in ("csv", "json", "parquet")}
    for form, path in paths.items():
        asked = ("--month", "2026-02", "--as", form, "--to", path, "--data", data)
        assert call("station", "export", meter, *asked)[0] == 0
    rows = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    assert len(rows) == 28 * 96
    assert sum(Decimal(row["import_kwh"]) for row in rows) == Decimal(bill["energy_kwh"])
    assert {(row["state"], row["mscons"], row["espi"]) for row in rows} == {("measured_verified", "220", "18")}
    assert rows[0]["start_utc"] == "2026-01-31T23:00:00Z"
    assert rows[1]["first_index"] == rows[0]["last_index"]
    lines = [json.loads(line) for line in paths["json"].read_text().splitlines()]
    assert [line["import_kwh"] for line in lines] == [row["import_kwh"] for row in rows]
    evidence = pq.read_table(paths["parquet"]).to_pylist()
    assert len(evidence) == 28 * 96 + 1
    signed_tuple(evidence[7]).verify(METER.key.public)
    _, output, _ = call("station", "export", meter, "--month", "2026-03", "--as", "json", "--data", data)
    *_, last = output.splitlines()
    assert (json.loads(last)["state"], json.loads(last)["import_kwh"]) == ("missing", None)
    assert "csv or json" in call("station", "export", meter, "--month", "2026-02", "--as", "xls", "--data", data)[2]


def test_the_check_finds_a_lost_file(call: Call, data: Path) -> None:
    """A whole folder gives status 0, a damaged one 1 and the fault."""
    assert "2,976" not in call("station", "seal", "--data", data)[2]
    status, output, _ = call("station", "check", "--data", data, "--json")
    report = json.loads(output)
    assert (status, report["whole"], report["bills"]) == (0, True, 1)
    next(iter((data / "archive").rglob("*.parquet"))).unlink()
    status, output, _ = call("station", "check", "--data", data)
    assert status == 1
    assert "No such file" in output


def test_a_price_sheet_is_added(call: Call, data: Path, tmp_path: Path) -> None:
    """Sheets go in and come out as JSON; nonsense is refused with a sentence."""
    sheet = tmp_path / "sheet.json"
    sheet.write_text(DEFAULT_SHEET.to_json().replace("2026.1", "2026.7").replace("2000-01-01", "2026-07-01"))
    status, output, _ = call("station", "tariff", sheet, "--data", data)
    assert (status, json.loads(output)["version"]) == (0, "2026.7")
    sheet.write_text("{}")
    assert "not a price sheet" in call("station", "tariff", sheet, "--data", data)[2]
    assert "cannot be read" in call("station", "tariff", tmp_path / "none.json", "--data", data)[2]


def test_modules_and_keys(call: Call, data: Path) -> None:
    """Wrong addresses, modules that are away and wrong fingerprints end in one sentence."""
    assert "HOST:PORT" in call("station", "add", "somewhere", "--data", data)[2]
    assert "enter one" in call("station", "pull", "--data", data)[2]
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert call("station", "add", f"127.0.0.1:{port}", "--user", "u", "--password", "pw", "--data", data)[0] == 0
    status, _, errors = call("station", "pull", "--data", data)
    assert (status, "nothing listens" in errors) == (1, True)
    assert call("station", "add", "--info", "tcp://127.0.0.1:9", "--data", data)[0] == 0
    meter = METER.server_id.hex()
    assert call("station", "confirm-key", meter, METER.key.public.fingerprint, "--how", "plate", "--data", data)[0] == 0
    assert "digit by digit" in call("station", "confirm-key", meter, "0000000000000000", "--data", data)[2]


def test_a_missing_folder_is_named(call: Call, tmp_path: Path) -> None:
    """A check of nothing is an error, not a whole folder."""
    status, _, errors = call("station", "check", "--data", tmp_path / "nothing")
    assert (status, "--data" in errors) == (1, True)
    assert "cannot be read" in call("verify", tmp_path / "nothing.zip")[2]


async def test_the_station_serves_until_it_is_told_to_stop(data: Path) -> None:
    """It takes pushes, holds its folder against a second one, and ends on SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    options = ["station", "serve", "--data", str(data), "--push-port", str(port), "--port", "0"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*MESSWERK, *options, stdout=pipe, stderr=pipe)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                assert time.monotonic() < until
                assert process.returncode is None
                await asyncio.sleep(0.05)
        writer.write(METER.push([METER.tuple_at(5)], number=3))
        assert await asyncio.wait_for(reader.read(8), 10) == bytes.fromhex("1b1b1b1b01010101")
        writer.close()
        second = await asyncio.create_subprocess_exec(*MESSWERK, *options, stdout=pipe, stderr=pipe)
        _, errors = await asyncio.wait_for(second.communicate(), 20)
        assert second.returncode == 1
        assert b"folder of its own" in errors.replace(b"\n", b" ")
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0, errors
        assert b"nothing acknowledged is lost" in errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
