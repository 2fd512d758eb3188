"""From journal to evidence: the same whatever the order, repetition or interruption."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.link.clock import VirtualClock
from messwerk.signing import Curve, PrivateKey
from messwerk.station.contents import Contents, read
from messwerk.station.journal import Batch, Kind
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from station_meters import INFO_METER, MODULE_ID, SigningMeter, flip, info_telegram, with_crc

METER = SigningMeter()
START = METER.utc(0)


@pytest.fixture
async def station(tmp_path: Path) -> Iterator[Station]:
    """A station without background work."""
    made = Station(tmp_path / "station", VirtualClock(START + 86400.0), Settings())
    yield made
    await made.close()


def push(raw: bytes, at: float = 0.0) -> Batch:
    return Batch(kind=Kind.PUSH, source=f"push {MODULE_ID}", raw=raw, received_utc=START + 86400 + at)


def pulled(raw: bytes, at: float = 0.0) -> Batch:
    when = START + 86400 + at
    return Batch(kind=Kind.PULL, source="pull here", raw=raw, received_utc=when + 0.1, sent_utc=when)


async def take(station: Station, *batches: Batch) -> None:
    station.journal.append_all(batches)
    await station.process()


def counts(station: Station) -> dict[str, int]:
    """All counts of the station that must not depend on order or repetition."""
    return dataclasses.asdict(station.overview().counts)


def state_of(station: Station) -> tuple[object, ...]:
    """Everything the station concluded: kept rows, quarantine, disputes, counts."""
    meter_id = station.roster.find(METER.server_id)
    rows = []
    if meter_id is not None:
        table = station.archive.rows(meter_id).drop_columns(["received_us"])
        rows = [tuple(row.values()) for row in table.to_pylist()]
    quarantine = sorted(station.store.rows("SELECT idx, verdict, digest FROM quarantine"))
    return rows, quarantine, sorted(station.store.rows("SELECT idx FROM dispute")), counts(station)


async def test_valid_tuples_are_kept(station: Station) -> None:
    """Ten tuples with their key: ten rows, twenty valid signatures, nothing apart."""
    rows = METER.rows(START, 10)
    await take(station, pulled(METER.identity()), pulled(METER.pack(rows)))
    found = counts(station)
    assert (found["tuples_archived"], found["signatures_valid"], found["signatures_invalid"]) == (10, 20, 0)
    assert station.verification(METER.server_id).latest[0].verdict == "valid"


async def test_the_same_data_twice_changes_nothing(station: Station) -> None:
    """The same batch, the same tuples in another batch, pushed and pulled: counts stay."""
    rows = METER.rows(START, 10)
    await take(station, pulled(METER.identity()), pulled(METER.pack(rows)))
    before = state_of(station)
    await take(station, pulled(METER.pack(rows)), pulled(METER.pack(rows, number=2)), push(METER.push(rows[:5], 3)))
    assert state_of(station) == before
    await station.seal()
    await take(station, pulled(METER.pack(rows, number=4)))
    assert state_of(station) == before
    assert station.duplicates == 25


async def test_a_flipped_bit_is_set_apart_and_reported(station: Station) -> None:
    """An altered tuple is quarantined with its raw batch, is an alarm, and the true one still counts."""
    signed = METER.tuple_at(900)
    await take(station, pulled(METER.identity()), push(flip(METER.push([signed]), signed)))
    found = counts(station)
    assert (found["tuples_archived"], found["tuples_quarantined"]) == (0, 1)
    assert (found["signatures_valid"], found["signatures_invalid"]) == (1, 1)
    (event,) = [one for one in station.events(10) if one.kind == "bad_signature"]
    assert event.severity.value == "alarm"
    assert "import group" in event.text
    batch_id = int(event.text.rpartition("batch ")[2])
    assert station.journal.batch(batch_id) is not None
    await take(station, push(METER.push([signed])))
    assert counts(station)["tuples_archived"] == 1
    (refused,) = station.verification(METER.server_id).quarantine
    assert refused.index == 900
    assert refused.evidence.import_block != signed.import_block.hex()


async def test_two_valid_contents_of_one_second_are_disputed(station: Station) -> None:
    """Same index, both validly signed, different content: a tamper event, both kept, neither billed."""
    rows = METER.rows(START, 4)
    other = METER.tuple_at(900, extra_wh=5)
    await take(station, pulled(METER.identity()), pulled(METER.answer(86400)), pulled(METER.pack(rows)))
    assert [state.value for state in station.load_curve(METER.server_id, START, START + 900).state] == ["preliminary"]
    await take(station, pulled(METER.answer(90_000), 3600), pulled(METER.answer(172_800), 86_400))
    assert station.overview().intervals == 3
    await take(station, push(METER.push([other])))
    assert counts(station)["tuples_quarantined"] == 1
    assert [event.kind for event in station.events(1)] == ["tampered"]
    states = [state.value for state in station.load_curve(METER.server_id, START, START + 2700).state]
    assert states == ["refused", "refused", "measured_verified"]
    reopened = station.live._load(station.roster.require(METER.server_id))
    assert reopened.derived().intervals.state.tolist()[:3] == [5, 5, 0]


async def test_tuples_wait_for_their_key(station: Station) -> None:
    """Pushed before the identity is known: durable, unjudged, counted as waiting; then judged."""
    rows = METER.rows(START, 6)
    await take(station, push(METER.push(rows)))
    assert (counts(station)["tuples_waiting"], counts(station)["tuples_archived"]) == (6, 0)
    assert any(event.kind == "unknown_key" for event in station.events(5))
    await take(station, pulled(METER.identity()))
    assert (counts(station)["tuples_waiting"], counts(station)["tuples_archived"]) == (0, 6)


async def test_a_changed_key_is_contested_until_confirmed(station: Station) -> None:
    """Nothing signed with a second key counts until a person has compared its fingerprint."""
    await take(station, pulled(METER.identity()), pulled(METER.pack(METER.rows(START, 2))))
    exchanged = SigningMeter(seed=b"after the repair")
    later = exchanged.rows(START + 1800, 3)
    await take(station, pulled(METER.identity(2, exchanged.key)), pulled(exchanged.pack(later, 3)))
    assert any(event.kind == "key_changed" and event.severity.value == "alarm" for event in station.events(5))
    assert (counts(station)["tuples_archived"], counts(station)["tuples_waiting"]) == (2, 3)
    station.confirm_key(METER.server_id, exchanged.key.public.fingerprint, "Data Matrix")
    await station.process()
    assert (counts(station)["tuples_archived"], counts(station)["tuples_waiting"]) == (5, 0)
    keys = station.verification(METER.server_id).keys
    assert [key.confirmation for key in keys] == ["taken over from the module", "confirmed by Data Matrix"]


async def test_what_was_refused_for_want_of_a_key_is_judged_again(station: Station) -> None:
    """Tuples of an exchanged meter that came before its identity leave the quarantine when the key is confirmed."""
    exchanged = SigningMeter(seed=b"after the repair")
    await take(station, pulled(METER.identity()), pulled(exchanged.pack(exchanged.rows(START, 3))))
    assert counts(station)["tuples_quarantined"] == 3
    await take(station, pulled(METER.identity(2, exchanged.key)))
    station.confirm_key(METER.server_id, exchanged.key.public.fingerprint)
    await station.process()
    found = counts(station)
    assert (found["tuples_archived"], found["tuples_quarantined"]) == (3, 0)
    assert (found["signatures_valid"], found["signatures_invalid"]) == (6, 0)


async def test_a_wrong_fingerprint_confirms_nothing(station: Station) -> None:
    """A typing error at the plate is told, and changes nothing."""
    await take(station, pulled(METER.identity()))
    other = PrivateKey.from_seed(Curve.P256, b"typo").public.fingerprint
    with pytest.raises(Exception, match="digit by digit"):
        station.confirm_key(METER.server_id, other)


async def test_unsigned_readings_are_marked(station: Station) -> None:
    """An INFO telegram is kept, shown, dated by its arrival, and not verified."""
    for second in range(0, 1801):
        if second % 900 in (0, 1, 899):
            batch = Batch(
                kind=Kind.INFO, source="tcp://here:1", raw=info_telegram(second, second * 4, 0, 400),
                received_utc=START + second + 0.4,
            )  # fmt: skip
            station.journal.append_all([batch])
    await station.process()
    curve = station.load_curve(INFO_METER, START, START + 1800)
    assert [state.value for state in curve.state] == ["measured_unsigned"] * 2
    assert curve.import_w == pytest.approx((1440.0, 1440.0), abs=3.2), "an edge is a second early or late at most"
    assert counts(station)["unsigned_readings"] == 7
    assert counts(station)["tuples_received"] == 0
    row = station.meter(INFO_METER).row
    assert (row.signed, row.key_fingerprint) == (False, None)


async def test_a_defect_of_ours_holds_up_nobody_else(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch our code fails on is set aside with an alarm; those before and behind it are processed."""
    poison = pulled(METER.pack(METER.rows(START, 2), 7))

    def failing(raw: bytes) -> Contents:
        if raw == poison.raw:
            raise ZeroDivisionError("a defect")
        return read(raw)

    monkeypatch.setattr("messwerk.station.ingest.read", failing)
    await take(station, pulled(METER.identity()), poison, pulled(METER.pack(METER.rows(START + 1800, 2), 8)))
    assert counts(station)["tuples_archived"] == 2
    assert station.journal.count() == 0
    assert any(event.kind == "set_aside" and event.severity.value == "alarm" for event in station.events(5))
    assert station.journal.prune(2e9) == 1, "the identity only: the rest is still needed"
    assert station.journal.batch(2) is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_files_are_processed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Files with right checksums and altered contents end in rows, quarantine or problems, never in a defect."""
    whole = [METER.identity(), METER.pack(METER.rows(START, 2), 2), info_telegram(5, 7), METER.answer(900, 3)]
    batches = []
    for raw in whole:
        (frame,) = sml.FrameDecoder(max_frame=1 << 20).receive(raw)
        assert isinstance(frame, sml.Frame)
        payload = bytearray(frame.payload)
        messages = [bytearray(sml.encode([message])[:-4]) for message in sml.decode(bytes(payload)).messages]
        for message in messages:
            for _ in range(data.draw(st.integers(0, 3))):
                message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
        batches.append(pulled(sml.frame(b"".join(with_crc(bytes(message)) for message in messages))))

    async def run() -> None:
        station = Station(tmp_path_factory.mktemp("station"), VirtualClock(START + 86400.0), Settings())
        try:
            await take(station, *batches)
            station.overview()
            assert not [event for event in station.events(50) if event.kind == "set_aside"]
            assert (await station.check()).faults == []
        finally:
            await station.close()

    asyncio.run(run())


ROWS = METER.rows(START, 12)
BATCHES = [
    pulled(METER.identity()),
    pulled(METER.answer(86400, 9), 0),
    pulled(METER.answer(172_800, 10), 86_400),
    pulled(METER.pack(ROWS[:6]), 2),
    pulled(METER.pack(ROWS[4:], 2), 3),
    push(METER.push(ROWS[2:9], 3), 4),
    push(METER.push([METER.tuple_at(1800, extra_wh=3)], 4), 5),
    push(flip(METER.push([ROWS[3]], 5), ROWS[3]), 6),
    push(METER.push([METER.tuple_at(60_000)], 6), 7),
]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(BATCHES))), seed=st.integers(0, 1000))
def test_any_order_gives_the_same_evidence(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], seed: int
) -> None:
    """Batches in any order, some twice, processed and sealed at random moments: one and the same result."""

    async def run(order: list[int], seed: int | None) -> tuple[object, ...]:
        rng = random.Random(seed)
        station = Station(tmp_path_factory.mktemp("station"), VirtualClock(START + 86400.0), Settings())
        try:
            for place in order:
                station.journal.append_all([BATCHES[place]] * (1 if seed is None else rng.randint(1, 2)))
                if seed is not None and rng.random() < 0.5:
                    await station.process()
                if seed is not None and rng.random() < 0.3:
                    await station.seal()
            await station.process()
            kept, quarantine, disputes, found = state_of(station)
            meter_id = station.roster.require(METER.server_id)
            derived = station.live._load(meter_id).derived()
            assert derived.intervals.state.tolist() == station.live.state(meter_id).derived().intervals.state.tolist()
            assert isinstance(kept, list)
            # Which of two disputed contents stands in the archive is chance; that both are kept is not.
            undisputed = [row for row in kept if row[1] != 1800]
            apart = [row[:2] for row in quarantine]  # type: ignore[attr-defined]
            return undisputed, apart, disputes, found, derived.intervals.state.tolist()
        finally:
            await station.close()

    expected = asyncio.run(run(list(range(len(BATCHES))), None))
    assert asyncio.run(run(order, seed)) == expected
