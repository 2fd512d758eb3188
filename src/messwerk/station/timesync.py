"""Seconds index to UTC: what the station knows of a meter's time, and how well.

The meter counts seconds and knows no date. Each contact gives a *sync point*: the second called
`index` began at `utc` ± `uncertainty_s`. The quantisation of the index to whole seconds is part
of that: an index read at an unknown place within its second began half a second earlier, ± 0.5 s.

Between points the model assumes only that a meter's second is steady: its length differs from a
true second by the drift of its epoch ± `WANDER_PPM`. Every point then bounds the offset
(UTC - index) everywhere by a cone; the intersection of all cones is a band. Its middle is the
answer, half its width the stated uncertainty. Between two points the band is piecewise linear,
behind the last one it opens.

An *epoch* is a span in which the index ran without interruption. Power losses longer than the
reserve, and exchanged meters, start a new one; no cone reaches across. A point that contradicts
its neighbours while they agree with each other is an outlier and is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ..seconds_index import SECONDS_INDEX_MAX

INFO_LATENCY_S: Final = 2.0
"""An INFO telegram is received at most so long after its second began: 0.3 s on the line, the
rest in adapters and schedulers. Latency asked of gateways by PTB-A 50.8. [design]"""
ANSWER_LATENCY_S: Final = 0.1
"""The index a device answers may be so late at its rollover: modules are served by a scheduler. [design]"""
WANDER_PPM: Final = 10.0
"""How far a quartz strays from the mean drift of its epoch (some 15 K of temperature). [design]"""
DRIFT_MAX_PPM: Final = 100.0
"""More is not drift but a fault, or an interrupted index. [design]"""
OUTLIERS_MAX: Final = 0.1
"""Share of points that may contradict the rest before the wander is taken to be larger. [design]"""
BASELINE_S: Final = 7 * 86400
"""Seconds a straight stretch of the drift line spans, so that seasons may bend it. [design]"""


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """The second called `index` began at `utc` ± `uncertainty_s`."""

    index: int
    utc: float
    uncertainty_s: float
    source: str = ""

    @classmethod
    def from_answer(cls, index: int, sent_utc: float, received_utc: float, source: str = "pull") -> Self:
        """A meter asked at `sent_utc` answered `index`, heard at `received_utc`.

        It read its index somewhere in between, at an unknown place within that second.
        """
        earliest, latest = sent_utc - 1.0 - ANSWER_LATENCY_S, received_utc
        return cls(index, (earliest + latest) / 2, (latest - earliest) / 2, source)

    @classmethod
    def from_telegram(
        cls, index: int, received_utc: float, latency_s: float = INFO_LATENCY_S, source: str = "info"
    ) -> Self:
        """A meter that speaks at the start of each second was heard at `received_utc`."""
        return cls(index, received_utc - latency_s / 2, latency_s / 2, source)

    @property
    def offset_s(self) -> float:
        """UTC minus index: what the model estimates."""
        return self.utc - self.index


class Epoch:
    """One uninterrupted run of the index: its points, its drift, its band."""

    def __init__(self, points: Sequence[SyncPoint], reason: str) -> None:
        self.reason = reason
        points = sorted(points, key=lambda point: (point.index, point.utc))
        self.points = tuple(points)
        index = np.array([point.index for point in points], dtype=np.float64)
        offset = np.array([point.offset_s for point in points])
        bound = np.array([point.uncertainty_s for point in points])
        self.first_index, self.last_index = int(index[0]), int(index[-1])
        self.start_utc = points[0].utc
        self._origin = index[0]
        self._line_x, self._line_y, self.rate = _baseline(index, offset, bound)
        self.used = np.ones(len(points), dtype=np.bool_)
        self._x = self._low = self._high = np.zeros(0)
        self._bound_by_cones(index, offset - self._line(index), bound)

    @property
    def drift_ppm(self) -> float | None:
        """Mean excess of a meter's second over a true second; None with one point."""
        if len(self._line_x) < 2:
            return None
        return float((self._line_y[-1] - self._line_y[0]) / (self._line_x[-1] - self._line_x[0]) * 1e6)

    def _line(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """The drift line, straight beyond its ends."""
        x, y = self._line_x, self._line_y
        if len(x) == 1:
            return np.full(index.shape, y[0])
        line = np.interp(index, x, y)
        before, after = index < x[0], index > x[-1]
        line[before] = y[0] + (index[before] - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
        line[after] = y[-1] + (index[after] - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        return line

    def _bound_by_cones(
        self, index: NDArray[np.float64], residual: NDArray[np.float64], bound: NDArray[np.float64]
    ) -> None:
        """Intersect the cones; leave out outliers, or widen the cones when there are too many."""
        while True:
            self.used[:] = True
            patient = self.rate <= DRIFT_MAX_PPM * 1e-6
            allowed = int(len(index) * OUTLIERS_MAX) if patient else len(index) - 1
            while True:
                x, r, u = index[self.used], residual[self.used], bound[self.used]
                low, high = _tighten(x, r - u, r + u, self.rate)
                conflict = low > high + 1e-9
                if not conflict.any():
                    self._x, self._low, self._high = x, low, high
                    return
                if int((~self.used).sum()) >= allowed:
                    break
                places = np.flatnonzero(self.used)[conflict]
                distance = np.abs(residual[places] - np.median(r)) / bound[places]
                self.used[places[int(np.argmax(distance))]] = False
            self.rate *= 2

    def offset(self, index: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bound of UTC - index. [s]"""
        x, line = self._x, self._line(index)
        right = np.searchsorted(x, index, side="left")
        left = np.clip(right - 1, 0, len(x) - 1)
        right = np.clip(right, 0, len(x) - 1)
        slack_left, slack_right = np.abs(index - x[left]) * self.rate, np.abs(x[right] - index) * self.rate
        low = np.maximum(self._low[left] - slack_left, self._low[right] - slack_right)
        high = np.minimum(self._high[left] + slack_left, self._high[right] + slack_right)
        return line + low, line + high


def _tighten(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of each point after every other point's cone; `x` ascending."""
    slope = rate * x
    low = np.maximum(
        np.maximum.accumulate(low + slope) - slope,
        np.maximum.accumulate((low - slope)[::-1])[::-1] + slope,
    )
    high = np.minimum(
        np.minimum.accumulate(high - slope) + slope,
        np.minimum.accumulate((high + slope)[::-1])[::-1] - slope,
    )
    return low, high


def _baseline(
    index: NDArray[np.float64], offset: NDArray[np.float64], bound: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """A drift line through the points, and the rate by which the offset may stray from it.

    The line runs through the medians of blocks of a week; within two weeks it is one straight
    line through the medians of the two halves. The rate is the wander plus what the points' own
    uncertainty leaves open of the slope.
    """
    span = index[-1] - index[0]
    leftover = 2 * float(np.median(bound)) / span if span else np.inf
    if leftover > DRIFT_MAX_PPM * 1e-6:  # too short to tell drift from uncertainty
        return index[:1], np.array([float(np.median(offset))]), DRIFT_MAX_PPM * 1e-6
    blocks = max(2, int(span // BASELINE_S))
    block = np.minimum(((index - index[0]) / span * blocks).astype(np.int64), blocks - 1)
    centres = [(np.mean(index[block == n]), np.median(offset[block == n])) for n in np.unique(block)]
    x, y = np.array([c[0] for c in centres]), np.array([c[1] for c in centres])
    limit = DRIFT_MAX_PPM * 1e-6
    slopes = np.clip(np.diff(y) / np.diff(x), -limit, limit)
    y = np.concatenate(([y[0]], y[0] + np.cumsum(slopes * np.diff(x))))
    return x, y, min(WANDER_PPM * 1e-6 + leftover, limit)


class TimeModel:
    """Index to UTC and back for one meter; immutable once made. Empty without points."""

    def __init__(self, points: Iterable[SyncPoint] = ()) -> None:
        ordered = sorted(points, key=lambda point: (point.utc, point.index))
        self.outliers: tuple[SyncPoint, ...]
        groups, self.outliers = _split(ordered)
        self.epochs = tuple(Epoch(group, reason) for group, reason in groups)
        self.last = ordered[-1] if ordered else None
        """The newest point, used or not."""

    def __bool__(self) -> bool:
        return bool(self.epochs)

    def utc_of(self, index: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """UTC at which each second began, and its uncertainty. [s; shape (n,) each]

        Between two epochs the index may have stopped anywhere: the band covers both. Without any
        point UTC is NaN and the uncertainty infinite.
        """
        x = np.asarray(index, dtype=np.float64)
        if not self.epochs:
            return np.full(x.shape, np.nan), np.full(x.shape, np.inf)
        low, high = self.epochs[0].offset(x)
        previous = self.epochs[0]
        for epoch in self.epochs[1:]:
            next_low, next_high = epoch.offset(x)
            between = (x > previous.last_index) & (x < epoch.first_index)
            inside = x >= epoch.first_index
            low = np.where(inside, next_low, np.where(between, np.minimum(low, next_low), low))
            high = np.where(inside, next_high, np.where(between, np.maximum(high, next_high), high))
            previous = epoch
        return x + (low + high) / 2, (high - low) / 2

    def index_at(self, utc: float) -> int | None:
        """The index the meter has (or had) at a moment; None without any point."""
        if not self.epochs:
            return None
        epoch = next((e for e in reversed(self.epochs) if e.start_utc <= utc), self.epochs[0])
        index = utc - epoch.points[0].offset_s
        for _ in range(3):  # the offset changes by 100 ppm at most: three rounds leave nanoseconds
            low, high = epoch.offset(np.array([index]))
            index = utc - float(low[0] + high[0]) / 2
        return min(max(int(np.floor(index)), 0), SECONDS_INDEX_MAX)

    def residuals(self) -> list[tuple[SyncPoint, float, bool]]:
        """Each point, its UTC minus the model's, and whether the model used it; oldest first."""
        rows = [(point, float("nan"), False) for point in self.outliers]
        for epoch in self.epochs:
            indices = np.array([point.index for point in epoch.points], dtype=np.float64)
            low, high = epoch.offset(indices)
            middle = (low + high) / 2
            rows += [
                (point, point.offset_s - float(at), bool(used))
                for point, at, used in zip(epoch.points, middle, epoch.used, strict=True)
            ]
        return sorted(rows, key=lambda row: (row[0].utc, row[0].index))


def agree(earlier: SyncPoint, later: SyncPoint) -> bool:
    """Whether two points can lie in one epoch: the index ran on, at a second's pace."""
    drift_s = abs(later.index - earlier.index) * DRIFT_MAX_PPM * 1e-6
    return (
        later.index >= earlier.index
        and abs(later.offset_s - earlier.offset_s) <= earlier.uncertainty_s + later.uncertainty_s + drift_s
    )


def adds(last: SyncPoint | None, point: SyncPoint, every_s: float) -> bool:
    """Whether a point is worth keeping after `last`: it is later, sharper, or contradicts it."""
    if last is None or abs(point.utc - last.utc) >= every_s or point.uncertainty_s < last.uncertainty_s:
        return True
    earlier, later = (last, point) if last.utc <= point.utc else (point, last)
    return not agree(earlier, later)


def _split(points: Sequence[SyncPoint]) -> tuple[list[tuple[list[SyncPoint], str]], tuple[SyncPoint, ...]]:
    """Cut time-ordered points into epochs and outliers."""
    groups: list[tuple[list[SyncPoint], str]] = []
    outliers = []
    for place, point in enumerate(points):
        if not groups:
            groups.append(([point], "first contact"))
            continue
        last = groups[-1][0][-1]
        if agree(last, point):
            groups[-1][0].append(point)
        elif place + 1 < len(points) and agree(last, points[place + 1]):
            outliers.append(point)
        elif point.index < last.index:
            groups.append(([point], "the index went back: another meter, or its memory was lost"))
        elif point.offset_s > last.offset_s:
            groups.append(([point], f"the index stood still for {point.offset_s - last.offset_s:.0f} s"))
        else:
            groups.append(([point], f"the index jumped ahead by {last.offset_s - point.offset_s:.0f} s"))
    return groups, tuple(outliers)
