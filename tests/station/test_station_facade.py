"""The facade: views stay cheap and right, background work survives, a restart knows everything."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from messwerk.errors import BusyError, LocalError
from messwerk.link.clock import RealClock, VirtualClock
from messwerk.station.calendar import midnight_utc
from messwerk.station.journal import Batch, Kind
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from messwerk.station.viewing import status_words
from messwerk.station.views import Age
from station_meters import SigningMeter, flip, import_tenths

FIRST = midnight_utc(dt.date(2026, 9, 30)) + 900
LAST = midnight_utc(dt.date(2026, 11, 2))
METER = SigningMeter(epoch_utc=FIRST - 900)


def batches() -> list[Batch]:
    """A month and three days of one meter, as daily pulls brought it."""
    made, number = [], 10
    for utc in range(FIRST, LAST + 1, 86400):
        count = min(96, (LAST - utc) // 900 + 1)
        files = (
            METER.identity(number),
            METER.time(METER.index(utc), number + 1),
            METER.pack(METER.rows(utc, count), number + 2),
        )
        made += [
            Batch(kind=Kind.PULL, source="pull here", raw=raw, received_utc=utc + 0.5, sent_utc=utc + 0.5)
            for raw in files
        ]
        number += 3
    return made


@pytest.fixture(scope="module")
def month() -> list[Batch]:
    return batches()


@pytest.fixture
async def station(tmp_path: Path, month: list[Batch]) -> Iterator[Station]:
    made = Station(tmp_path / "station", VirtualClock(LAST + 60.0), Settings())
    made.journal.append_all(month)
    await made.process()
    yield made
    await made.close()


async def test_the_overview_counts(station: Station) -> None:
    """Meters, tuples, signatures, intervals, gaps and time in one view."""
    view = station.overview()
    rows = (LAST - FIRST) // 900 + 1
    assert (view.meters, view.counts.tuples_archived, view.counts.signatures_valid) == (1, rows, 2 * rows)
    assert (view.intervals, view.gaps, view.alarms) == (rows - 1, 0, 0)
    assert view.sync_error_s_max is not None
    assert 0 < view.sync_error_s_max < 2
    assert view.events[-1].kind == "new_key"


async def test_a_finished_month_becomes_a_bill_once(station: Station) -> None:
    """October, with the hour more, is billed from the registers; made again it is the same bill."""
    (row,) = await station.make_bills()
    assert await station.make_bills() == []
    start, end = midnight_utc(dt.date(2026, 10, 1)), midnight_utc(dt.date(2026, 11, 1))
    energy = import_tenths(METER.index(end)) - import_tenths(METER.index(start))
    assert row.energy_kwh == Decimal(energy).scaleb(-4)
    assert (row.from_local, row.to_local) == ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00")
    assert (await station.make_bill(METER.server_id, "2026-10")).row == row
    assert [bill.bill_id for bill in station.bills()] == [row.bill_id]
    view = station.bill(row.bill_id)
    assert view.intervals == 31 * 96 + 4
    assert view.missing == 0
    assert [reading.verdict for reading in view.readings] == ["valid", "valid"]
    document = json.loads(station.bill_json(row.bill_id))
    assert len(document["readings"]) == view.intervals + 1
    assert document["total_eur"] == str(row.total_eur)


async def test_the_bill_is_a_page(station: Station) -> None:
    """HTML that stands alone: figures, readings, tariff, key and digest; nothing from elsewhere."""
    (row,) = await station.make_bills()
    page = station.bill_html(row.bill_id)
    document = json.loads(station.bill_json(row.bill_id))
    for text in (f"{row.total_eur}", document["inputs_digest"], document["keys"][0], "2026-10-25", "Two zones 2026.1"):
        assert text in page
    assert "src=" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<tr><td>2026-10-") == 31


async def test_a_month_with_a_hole_is_only_a_preview(tmp_path: Path, month: list[Batch]) -> None:
    """Without a day no bill is made by itself; asked for, the page says that it is none."""
    made = Station(tmp_path / "station", VirtualClock(LAST + 60.0), Settings())
    try:
        made.journal.append_all(month[:30] + month[33:])
        await made.process()
        assert await made.make_bills() == []
        view = await made.make_bill(METER.server_id, "2026-10")
        assert (view.row.complete, view.missing) == (False, 97)
        assert "Preview, not a bill" in made.bill_html(view.row.bill_id)
        assert made.summary()["bills"] == []
        (gap,) = made.meter(METER.server_id).gaps
        assert gap.intervals == 97
    finally:
        await made.close()


async def test_a_flipped_bit_is_never_billed(tmp_path: Path, month: list[Batch]) -> None:
    """One altered reading in the month: refused, and the month is no bill until the true one comes."""
    made = Station(tmp_path / "station", VirtualClock(LAST + 60.0), Settings())
    try:
        good = METER.rows(FIRST + 10 * 86400, 96)
        bad = flip(month[32].raw, good[5])
        changed = Batch(kind=Kind.PULL, source="pull here", raw=bad, received_utc=month[32].received_utc)
        made.journal.append_all([*month[:32], changed, *month[33:]])
        await made.process()
        assert await made.make_bills() == []
        assert made.overview().counts.tuples_quarantined == 1
        made.journal.append_all([month[32]])
        await made.process()
        assert len(await made.make_bills()) == 1
    finally:
        await made.close()


async def test_a_restart_knows_everything(station: Station) -> None:
    """Closed and opened again, sealed or not, the station says the same."""
    await station.make_bills()
    before = station.summary(), station.meter(METER.server_id), station.bills()
    curve = station.load_curve(METER.server_id, FIRST, LAST)
    await station.close()
    for _ in range(2):
        again = Station(station.folder, VirtualClock(LAST + 60.0), Settings())
        try:
            assert (again.summary(), again.meter(METER.server_id), again.bills()) == before
            assert again.load_curve(METER.server_id, FIRST, LAST) == curve
            await again.seal()
        finally:
            await again.close()


async def test_only_what_is_overdue_is_missing(tmp_path: Path, month: list[Batch]) -> None:
    """A running month ends with its last value; a quarter hour becomes missing when it should be here by now."""
    clock = VirtualClock(LAST + 60.0)
    made = Station(tmp_path / "station", clock, Settings())
    try:
        made.journal.append_all(month)
        await made.process()
        newest = int(made.meter(METER.server_id).last_utc or 0)
        assert made.load_curve(METER.server_id, FIRST, newest + 40 * 900).start_utc[-1] == newest - 900
        clock.set(newest + 2 * 900 + made.settings.gap_grace_s)
        curve = made.load_curve(METER.server_id, FIRST, newest + 40 * 900)
        assert [state.value for state in curve.state[-3:]][1:] == ["missing", "missing"]
        assert made.load_curve(METER.server_id, newest + 4000, newest + 9000).state == ()
    finally:
        await made.close()


async def test_views_are_cheap(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page shows every second is in memory: once warm, no view reads the archive."""

    def views() -> None:
        station.overview()
        station.meters()
        station.meter(METER.server_id)

    views()
    monkeypatch.setattr(station.archive, "sql", lambda *_, **__: pytest.fail("a view read the archive"))
    views()


async def test_the_load_curve_is_that_of_the_registers(station: Station) -> None:
    """Mean powers times a quarter hour add up to the register difference; a summer day has 96."""
    start = midnight_utc(dt.date(2026, 10, 25))
    end = midnight_utc(dt.date(2026, 10, 26))
    curve = station.load_curve(METER.server_id, start, end)
    assert len(curve.start_utc) == 100
    energy = sum(power for power in curve.import_w if power is not None) * 900 / 3600
    assert energy == pytest.approx((import_tenths(METER.index(end)) - import_tenths(METER.index(start))) / 10)
    assert curve.end_utc == end
    assert station.load_curve(METER.server_id, LAST + 900, LAST + 1800).import_w == (), "the future is no gap"


async def test_evidence_can_be_checked_by_hand(station: Station) -> None:
    """The shown blocks and signatures are those that were signed."""
    evidence = station.verification(METER.server_id).latest[0]
    METER.key.public.verify(bytes.fromhex(evidence.import_block), bytes.fromhex(evidence.signature_import))
    METER.key.public.verify(bytes.fromhex(evidence.export_block), bytes.fromhex(evidence.signature_export))
    assert evidence.key_fingerprint == METER.key.public.fingerprint


async def test_the_sync_state_says_how_well_time_is_known(station: Station) -> None:
    """One epoch, residuals within their uncertainty, and where the meter's index stands now."""
    state = station.sync_state(METER.server_id)
    (epoch,) = state.epochs
    assert epoch.drift_ppm == pytest.approx(0, abs=1)
    assert all(abs(point.residual_s) <= point.uncertainty_s for point in state.points)
    assert state.index_now is not None
    assert abs(state.index_now - METER.index(LAST + 60)) <= 2


async def test_a_silent_meter_grows_old(station: Station) -> None:
    """Age goes from fresh to late to stale, stale power is not shown, and missing values are counted."""
    clock = station.clock
    assert isinstance(clock, VirtualClock)
    seen = []
    for _ in range(4):
        row = station.meter(METER.server_id).row
        seen.append(row.age)
        clock.advance(3600)
    assert seen == [Age.LATE, Age.LATE, Age.LATE, Age.STALE] or Age.STALE in seen
    row = station.meter(METER.server_id).row
    assert row.power_w is None
    assert row.gaps > 0


async def test_unknown_things_are_named(station: Station) -> None:
    """A wrong meter, month or bill is a clear error."""
    with pytest.raises(LocalError, match="no meter"):
        station.meter(b"\x05nobody")
    with pytest.raises(LocalError, match="no bill"):
        station.bill("2026-10-nothing")
    with pytest.raises(LocalError, match="no day"):
        await station.make_bill(METER.server_id, "2025-01")


async def test_two_stations_on_one_folder(station: Station) -> None:
    """The second one is refused with the remedy."""
    with pytest.raises(BusyError, match="folder of its own"):
        Station(station.folder, RealClock(), Settings())


async def test_background_work_survives_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is counted, told once, and started again."""
    monkeypatch.setattr("messwerk.station.station.FAILURE_PAUSE_S", 0.01)
    async with Station(tmp_path / "station", RealClock(), Settings()) as made:
        run, failures = made.ingest.run, 0

        def flaky() -> object:
            nonlocal failures
            failures += 1
            if failures < 4:
                raise RuntimeError("a defect")
            return run()

        monkeypatch.setattr(made.ingest, "run", flaky)
        await made.journal.append(
            Batch(kind=Kind.PULL, source="pull here", raw=METER.identity(), received_utc=0.0, sent_utc=0.0)
        )
        made._arrived.set()
        async with asyncio.timeout(5):
            while made.overview().meters == 0:  # noqa: ASYNC110 (nothing to wait on: it is background work)
                await asyncio.sleep(0.01)
        assert made.failures >= 3
        assert [event.kind for event in made.events(9)].count("processing_failed") == 1


async def test_acknowledged_alarms_are_not_counted(tmp_path: Path) -> None:
    """An operator takes an alarm off the count; it stays in the list."""
    async with Station(tmp_path / "station", RealClock(), Settings()) as made:
        made._refused_push("a push was damaged on the line")
        assert made.overview().alarms == 1
        made.acknowledge(made.events(1)[0].event_id)
        assert made.overview().alarms == 0
        assert made.events(1)[0].acknowledged


def test_status_words_say_what_a_fitter_would() -> None:
    """Bits of the status word in words."""
    assert status_words(0x1C0104) == ("load above start-up", "voltage L1", "voltage L2", "voltage L3")
    assert "fatal error" in status_words(1 << 17)
    assert status_words(0) == ()


def test_settings_come_from_one_file(tmp_path: Path) -> None:
    """Known keys are taken, wrong ones named, absent ones keep their defaults."""
    path = tmp_path / "station.toml"
    assert Settings.load(path) == Settings()
    path.write_text('pull_every_s = 60\ntime_zone = "Europe/Vienna"\n')
    assert Settings.load(path) == Settings(pull_every_s=60.0, time_zone="Europe/Vienna")
    for text, says in [
        ("pull_evry_s = 60", "pull_every_s"),
        ('pull_every_s = "often"', "float"),
        ("pull_every_s = 0", "above 0"),
        ('time_zone = "Berlin"', "Europe/Berlin"),
        ("pull_every_s = [", "TOML"),
    ]:
        path.write_text(text)
        with pytest.raises(LocalError, match=says):
            Settings.load(path)
