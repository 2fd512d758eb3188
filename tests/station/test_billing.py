"""The bill: checked by an independent slow sum, traceable, the same from the same inputs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest

from messwerk.errors import LocalError
from messwerk.seconds_index import SecondsIndex
from messwerk.station.billing import Bill, BilledReading, head, make_bill, reading_rows
from messwerk.station.calendar import BERLIN, midnight_utc, month_bounds
from messwerk.station.tariff import DEFAULT_SHEET, PriceSheet
from messwerk.tuples import SignedTuple

SERVER = bytes.fromhex("0500151122aabb")


def readings(start: int, end: int, seed: int = 1) -> list[BilledReading]:
    """Readings on every quarter hour, with random consumption; signatures are not looked at here."""
    rng = random.Random(seed)
    energy, fed = 98_765_432, 0
    rows = []
    for place, quarter in enumerate(range(start, end + 1, 900)):
        signed = SignedTuple(
            server_id=SERVER, index=SecondsIndex(1000 + 900 * place), status=0x400104, scaler=-1, import_wh=energy,
            export_wh=fed, r1_varh=0, r2_varh=0, r3_varh=0, r4_varh=0,
            signature_import=rng.randbytes(64), signature_export=rng.randbytes(64),
        )  # fmt: skip
        rows.append(BilledReading(quarter, quarter + 0.3, 0.6, signed, "AAAA BBBB CCCC DDDD", "valid"))
        energy += rng.randrange(5000)
        fed += rng.randrange(100)
    return rows


def slow_total(rows: list[BilledReading], start: int, end: int, sheet: PriceSheet) -> Decimal:
    """The amount as a careful person with a calculator and a clock finds it: one quarter hour at a time."""
    energy = {"HT": Decimal(0), "NT": Decimal(0)}
    by_utc = {row.quarter_utc: Decimal(row.signed.import_wh) / 10 / 1000 for row in rows}
    fed = {row.quarter_utc: Decimal(row.signed.export_wh) / 10 / 1000 for row in rows}
    moment, days = start, set()
    while moment < end:
        local = dt.datetime.fromtimestamp(moment, BERLIN)
        zone = "HT" if 6 <= local.hour < 22 else "NT"
        energy[zone] += by_utc[moment + 900] - by_utc[moment]
        days.add(local.date())
        moment += 900

    def cents(amount: Decimal) -> Decimal:
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)

    prices = {zone.name: zone.price_ct_per_kwh / 100 for zone in sheet.zones}
    net = sum((cents(energy[zone] * prices[zone]) for zone in energy), Decimal(0))
    net += cents(sheet.standing_charge_eur_per_day * len(days))
    tax = cents(net * sheet.vat_percent / 100)
    return net + tax - cents((fed[end] - fed[start]) * sheet.feed_in_ct_per_kwh / 100)


@pytest.mark.parametrize("month", ["2026-01", "2026-02", "2026-03", "2026-07", "2026-10", "2024-02"])
def test_an_independent_slow_sum_agrees(month: str) -> None:
    """To the cent, in months with 28 to 31 days and with either change of the clocks."""
    start, end = month_bounds(month)
    rows = readings(start, end, seed=hash(month) % 1000)
    bill = make_bill(SERVER, month, start, end, rows, [DEFAULT_SHEET])
    assert bill.complete
    assert bill.total_eur == slow_total(rows, start, end, DEFAULT_SHEET)
    assert bill.import_tenths == rows[-1].import_tenths - rows[0].import_tenths
    assert "equals" in bill.remarks[-1]
    assert sum(line.quarters for line in bill.lines) == bill.quarters == (end - start) // 900


OCTOBER = month_bounds("2026-10")


def october(change: object = None) -> Bill:
    rows = readings(*OCTOBER)
    if change is not None:
        rows = change(rows)  # type: ignore[operator]
    return make_bill(SERVER, "2026-10", *OCTOBER, rows, [DEFAULT_SHEET])


def without(place: int) -> object:
    return lambda rows: rows[:place] + rows[place + 1 :]


def changed(place: int, **what: object) -> object:
    def change(rows: list[BilledReading]) -> list[BilledReading]:
        rows[place] = dataclasses.replace(rows[place], **what)  # type: ignore[arg-type]
        return rows

    return change


def backwards(rows: list[BilledReading]) -> list[BilledReading]:
    rows[100] = dataclasses.replace(rows[100], signed=dataclasses.replace(rows[100].signed, import_wh=1))
    return rows


UNUSABLE = [
    (without(100), 2, "a reading is missing"),
    (without(0), 1, "the first reading is missing"),
    (changed(100, verdict="import group: signature does not fit"), 2, "a signature does not fit"),
    (changed(100, disputed=True), 2, "a reading is disputed"),
    (changed(100, utc=OCTOBER[0] + 900 * 100 + 9.9), 2, "a period is too long and the next too short"),
    (backwards, 1, "a register runs backwards, then jumps"),
]


@pytest.mark.parametrize(("change", "missing", "why"), UNUSABLE, ids=[row[2] for row in UNUSABLE])
def test_what_cannot_be_proven_is_not_billed(change: object, missing: int, why: str) -> None:
    """An unusable reading takes its quarter hours off the bill, which then says that it is none."""
    bill = october(change)
    assert len(bill.missing) == missing, why
    assert not bill.complete
    assert "no bill" in bill.remarks[0]


def test_the_digest_covers_every_input() -> None:
    """Another reading, signature, key, verdict or price is another bill; a time known better is the same one."""
    digests = [
        october().inputs_digest,
        october(changed(5, key_fingerprint="EEEE")).inputs_digest,
        october(changed(5, disputed=True)).inputs_digest,
        october(lambda rows: readings(*OCTOBER, seed=2)).inputs_digest,
        make_bill(
            SERVER, "2026-10", *OCTOBER, readings(*OCTOBER), [dataclasses.replace(DEFAULT_SHEET, version="b")]
        ).inputs_digest,
    ]
    assert len(set(digests)) == len(digests)
    assert october(changed(5, uncertainty_s=0.5)).inputs_digest == october().inputs_digest == digests[0]
    assert october().bill_id == f"2026-10-{SERVER.hex()}-{digests[0][:8]}"


def test_prices_change_at_local_midnight() -> None:
    """A sheet valid from the 15th prices the second half; each half has its own lines."""
    later = dataclasses.replace(
        DEFAULT_SHEET, version="2026.2", valid_from=dt.date(2026, 10, 15), standing_charge_eur_per_day=Decimal(1)
    )
    rows = readings(*OCTOBER)
    middle = midnight_utc(dt.date(2026, 10, 15))
    both = make_bill(SERVER, "2026-10", *OCTOBER, rows, [later, DEFAULT_SHEET])
    first = make_bill(SERVER, "2026-10", OCTOBER[0], middle, rows, [DEFAULT_SHEET])
    second = make_bill(SERVER, "2026-10", middle, OCTOBER[1], rows, [later])
    assert both.net_eur == first.net_eur + second.net_eur
    assert [line.quantity for line in both.lines if line.unit == "days"] == [14, 17]


def test_finer_registers_are_truncated_once() -> None:
    """A meter of 0.01 Wh is billed on registers cut to 0.1 Wh: nothing is lost between quarter hours."""

    def finer(rows: list[BilledReading]) -> list[BilledReading]:
        return [
            dataclasses.replace(
                row, signed=dataclasses.replace(row.signed, scaler=-2, import_wh=row.signed.import_wh * 10 + 7)
            )
            for row in rows
        ]

    assert october(finer).lines[0].quantity == october().lines[0].quantity


def test_a_bill_runs_over_whole_local_days() -> None:
    """Any other span is refused: a standing charge of half a day has no meaning here."""
    start, end = OCTOBER
    for span in [(start + 900, end), (start, end - 900), (start, start)]:
        with pytest.raises(LocalError, match="midnight"):
            make_bill(SERVER, "2026-10", *span, [], [DEFAULT_SHEET])
    with pytest.raises(LocalError, match="price sheet"):
        make_bill(SERVER, "2026-10", start, end, [], [])


def test_every_figure_can_be_followed() -> None:
    """The document's rows, added up by zone, give its lines: figure to quarter hour to signed reading."""
    bill = october()
    rows = reading_rows(bill)
    assert len(rows) == bill.quarters + 1
    energy: dict[str, Decimal] = {}
    for first, last in pairwise(rows):
        gained = Decimal(last["import_kwh"]) - Decimal(first["import_kwh"])
        energy[first["zone"]] = energy.get(first["zone"], Decimal(0)) + gained
    assert [energy["HT"], energy["NT"]] == [line.quantity for line in bill.lines[:2]]
    document = head(bill)
    assert document["start_reading"]["index"] == bill.readings[0].signed.index
    assert all(len(row["signature_digest"]) == 64 for row in rows)
    assert document["tariff"][0]["digest"] == DEFAULT_SHEET.digest
