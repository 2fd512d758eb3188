"""Index to UTC: stated bounds hold, outliers and epochs are told apart."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.station.timesync import SyncPoint, TimeModel, adds, agree

BASE = 1_790_000_000.0


class TrueMeter:
    """A meter whose time is known: drift, daily temperature, stops of the index."""

    def __init__(self, rng: random.Random, *, stops: int = 0, days: int = 30) -> None:
        self.drift = rng.uniform(-60, 60) * 1e-6
        self.swing = rng.uniform(0, 6) * 1e-6
        self.phase = rng.uniform(0, math.tau)
        self.stops = sorted((rng.uniform(1, days) * 86400, rng.choice([30.0, 600.0, 9000.0])) for _ in range(stops))

    def utc(self, index: float) -> float:
        swing = self.swing * 86400 / math.tau * math.sin(math.tau * index / 86400 + self.phase)
        stopped = sum(length for at, length in self.stops if index >= at)
        return BASE + index * (1 + self.drift) + swing + stopped

    def asked(self, index: int, rng: random.Random) -> SyncPoint:
        """An observation as a pull makes it."""
        read = self.utc(index) + rng.random() * 0.999
        sent = read - rng.uniform(0.0, 0.3)
        return SyncPoint.from_answer(index, sent, read + rng.uniform(0.0, 0.3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_true_times_lie_within_the_stated_bounds(seed: int, stops: int) -> None:
    """With drift, temperature, quantisation and interruptions, every true time is inside its band."""
    rng = random.Random(seed)
    meter = TrueMeter(rng, stops=stops)
    points = [meter.asked(day * 86400 + rng.randrange(7200), rng) for day in range(31)]
    index = np.arange(0, points[-1].index, 900)
    utc, uncertainty = TimeModel(points).utc_of(index)
    true = np.array([meter.utc(float(one)) for one in index])
    assert (np.abs(utc - true) <= uncertainty + 1e-6).all()


def test_daily_pulls_place_every_quarter_hour_within_two_seconds() -> None:
    """A meter asked once a day is known to better than 2 s everywhere between the contacts."""
    rng = random.Random(7)
    meter = TrueMeter(rng)
    model = TimeModel([meter.asked(day * 86400, rng) for day in range(36)])
    assert model.utc_of(np.arange(0, 35 * 86400, 900))[1].max() < 2.0


def test_answers_say_when_their_second_began() -> None:
    """An index is read somewhere within its second: half a second early, plus or minus half a second."""
    point = SyncPoint.from_answer(100, 1000.0, 1000.2)
    assert point.utc == pytest.approx(999.55)
    assert point.uncertainty_s == pytest.approx(0.65)


def test_one_wild_observation_is_left_out() -> None:
    """A point that contradicts neighbours that agree is an outlier, not an epoch."""
    points = [SyncPoint(day * 86400, BASE + day * 86400, 0.6, "pull") for day in range(10)]
    points[4] = SyncPoint(points[4].index - 400, points[4].utc, 0.6, "pull")
    model = TimeModel(points)
    assert len(model.epochs) == 1
    assert model.outliers == (points[4],)
    assert abs(float(model.utc_of([4 * 86400])[0][0]) - (BASE + 4 * 86400)) < 0.6


def test_an_index_that_stood_still_starts_an_epoch() -> None:
    """Where the index stopped, the band covers both sides; on either side it is narrow again."""
    before = [SyncPoint(i * 3600, BASE + i * 3600, 0.6, "pull") for i in range(10)]
    after = [SyncPoint(i * 3600, BASE + i * 3600 + 500, 0.6, "pull") for i in range(12, 22)]
    model = TimeModel(before + after)
    assert [epoch.reason for epoch in model.epochs] == ["first contact", "the index stood still for 500 s"]
    uncertainty = model.utc_of([5 * 3600, 11 * 3600, 15 * 3600])[1]
    assert uncertainty[0] < 1 < 200 < uncertainty[1]
    assert uncertainty[2] < 1


def test_another_meter_under_the_same_name_starts_an_epoch() -> None:
    """An index that goes back is no drift."""
    model = TimeModel([SyncPoint(5000, BASE, 0.6), SyncPoint(9000, BASE + 4000, 0.6), SyncPoint(10, BASE + 5000, 0.6)])
    assert len(model.epochs) == 2
    assert "went back" in model.epochs[1].reason


def test_without_points_nothing_is_known() -> None:
    """An empty model is honest: no UTC, infinite uncertainty."""
    model = TimeModel()
    utc, uncertainty = model.utc_of([1, 2])
    assert not model
    assert np.isnan(utc).all()
    assert np.isinf(uncertainty).all()
    assert model.index_at(BASE) is None


def test_uncertainty_grows_behind_the_last_contact() -> None:
    """Nothing is known of the future but that quartzes wander slowly."""
    model = TimeModel([SyncPoint(i * 86400, BASE + i * 86400, 0.6) for i in range(10)])
    index = np.array([9, 10, 20, 40]) * 86400
    uncertainty = model.utc_of(index)[1]
    assert (np.diff(uncertainty) > 0).all()


@given(st.floats(-90, 90), st.integers(0, 30 * 86400))
@settings(max_examples=50, deadline=None)
def test_index_and_utc_are_inverse(ppm: float, index: int) -> None:
    """`index_at(utc_of(index))` is the index, up to the second it began in."""
    points = [SyncPoint(i * 43200, BASE + i * 43200 * (1 + ppm * 1e-6), 0.6) for i in range(60)]
    model = TimeModel(points)
    found = model.index_at(float(model.utc_of([index])[0][0]) + 1e-3)
    assert found is not None
    assert abs(found - index) <= 1


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 2e6), st.floats(0.01, 5)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_points_give_a_model(raw: list[tuple[int, float, float]]) -> None:
    """Contradictory observations never hang or crash the model, and its bands are never negative."""
    model = TimeModel([SyncPoint(index, utc, uncertainty) for index, utc, uncertainty in raw])
    uncertainty = model.utc_of(np.arange(0, 10**6, 50_000))[1]
    assert (uncertainty >= -1e-6).all()
    assert len(model.residuals()) == len(raw)


def test_only_points_that_add_something_are_kept() -> None:
    """A meter heard every second gives a point a minute, unless one is sharper or contradicts."""
    last = SyncPoint(100, BASE + 100, 1.0, "info")
    assert not adds(last, SyncPoint(101, BASE + 101, 1.0, "info"), 60)
    assert adds(last, SyncPoint(160, BASE + 160, 1.0, "info"), 60)
    assert adds(last, SyncPoint(101, BASE + 101, 0.6, "pull"), 60)
    assert adds(last, SyncPoint(131, BASE + 101, 1.0, "info"), 60)
    assert adds(None, last, 60)
    assert agree(last, SyncPoint(160, BASE + 160.5, 1.0))
