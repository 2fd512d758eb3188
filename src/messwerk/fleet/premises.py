"""People and machines behind a meter: appliances that are used, cycle, or run in the background.

A day of use is drawn from hashes of (seed, appliance, day, opportunity), so any day can be drawn
alone. Days are local calendar days; weekday, season and hour decide how likely a use is. Energies
are scaled so that the expected year matches the figure asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import numpy as np

from ..metrology.power import FloatArray
from .model import Load
from .randomness import Times, cosine, drift, noise, stream, uniform, uniform_at

ALL_PHASES = 3
DAY_S = 86_400
LONGEST_USE_S = 12 * 3600
"""No single use lasts longer; earlier days need not be looked at."""
KEPT_DAYS = 64
"""Drawn days kept for the next block; a day more is drawn again when asked for."""

Week = tuple[float, float, float, float, float, float, float]
EVERY_DAY: Week = (1, 1, 1, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of a program: so long, so much power, so much reactive power per active."""

    seconds: int
    power_w: float
    tan_phi: float = 0.0


@dataclass(frozen=True, slots=True)
class Appliance:
    """Something that is used now and then."""

    name: str
    phase: int
    """0, 1, 2 for L1, L2, L3; ALL_PHASES for a balanced three-phase load."""
    uses_per_day: float
    """Mean over a week and a year."""
    program: tuple[Step, ...]
    hours: tuple[float, ...]
    """Weight of each local hour for a use to begin, 24 values."""
    week: Week = EVERY_DAY
    """Weight of each day from Monday, any scale."""
    winter: float = 0.0
    """Share more in midwinter and less in midsummer."""

    @property
    def energy_per_use_ws(self) -> float:
        return sum(step.seconds * step.power_w for step in self.program)


@dataclass(frozen=True, slots=True)
class Cycler:
    """Something that switches itself on and off all day, like a refrigerator."""

    name: str
    phase: int
    power_w: float
    period_s: int
    duty: float
    tan_phi: float = 0.6


@dataclass(frozen=True, slots=True)
class Background:
    """What is always on, more in some hours than in others."""

    phase: int
    power_w: float
    """Mean over a day."""
    hours: tuple[float, ...]
    """Weight of each local hour, 24 values."""
    week: Week = EVERY_DAY
    unrest: float = 0.15
    """Standard deviation of what neighbouring minutes differ by, as a share."""
    winter: float = 0.0
    tan_phi: float = 0.1


@dataclass(frozen=True, slots=True)
class Use:
    """One stretch of constant power that begins at `start_utc`."""

    start_utc: int
    end_utc: int
    phase: int
    power_w: float
    tan_phi: float


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A calendar day where people live."""

    ordinal: int
    midnight_utc: int
    weekday: int
    year_turn: float
    """0 on 1 January, 1 on the next; cosine of it is + in winter."""


@cache
def local_day(ordinal: int, zone: str) -> LocalDay:
    """The day of proleptic ordinal `ordinal` in a time zone."""
    day = date.fromordinal(ordinal)
    midnight = datetime.combine(day, time(), ZoneInfo(zone))
    length = 366 if day.year % 4 == 0 and (day.year % 100 or day.year % 400 == 0) else 365
    return LocalDay(ordinal, int(midnight.timestamp()), day.weekday(), (day.timetuple().tm_yday - 1) / length)


class Premises(Load):
    """Appliances, cyclers and background of one place, scaled to a yearly energy."""

    def __init__(
        self,
        *,
        seed: int,
        yearly_kwh: float,
        appliances: tuple[Appliance, ...],
        cyclers: tuple[Cycler, ...] = (),
        background: tuple[Background, ...] = (),
        zone: str = "Europe/Berlin",
    ) -> None:
        self.seed, self.zone = seed, zone
        self.appliances, self.cyclers, self.background = appliances, cyclers, background
        fixed_w = sum(cycler.power_w * cycler.duty for cycler in cyclers)
        scaled_w = sum(item.power_w for item in background) + sum(
            item.uses_per_day * item.energy_per_use_ws / DAY_S for item in appliances
        )
        wanted_w = yearly_kwh * 1000 / (365.25 * 24)
        self.scale = max(0.0, wanted_w - fixed_w) / scaled_w
        """How much more this place uses than the appliance tables say."""
        self._drawn: dict[int, tuple[Use, ...]] = {}

    def power(self, start_utc: int, n: int) -> tuple[FloatArray, FloatArray]:
        times = np.arange(start_utc, start_utc + n)
        p_w, q_var = np.zeros((n, 3)), np.zeros((n, 3))
        days = self._days(start_utc, n)
        for place, item in enumerate(self.background):
            self._add_background(place, item, times, days, p_w, q_var)
        for cycler in self.cyclers:
            self._add_cycler(cycler, times, p_w, q_var)
        for day in days:
            for use in self._uses(day):
                begin, end = max(use.start_utc - start_utc, 0), min(use.end_utc - start_utc, n)
                if begin < end:
                    _paint(p_w, q_var, slice(begin, end), use.phase, use.power_w, use.tan_phi)
        return p_w, q_var

    def _days(self, start_utc: int, n: int) -> list[LocalDay]:
        """Every local day a use in these seconds may have begun on."""
        first = datetime.fromtimestamp(start_utc - LONGEST_USE_S, UTC).date() - timedelta(days=1)
        last = datetime.fromtimestamp(start_utc + n, UTC).date() + timedelta(days=1)
        return [local_day(ordinal, self.zone) for ordinal in range(first.toordinal(), last.toordinal() + 1)]

    def _uses(self, day: LocalDay) -> tuple[Use, ...]:
        """Everything that is switched on during a day, in a fixed order."""
        if day.ordinal not in self._drawn:
            if len(self._drawn) >= KEPT_DAYS:
                self._drawn.clear()
            self._drawn[day.ordinal] = tuple(use for appliance in self.appliances for use in self._draw(appliance, day))
        return self._drawn[day.ordinal]

    def _draw(self, appliance: Appliance, day: LocalDay) -> list[Use]:
        expected = appliance.uses_per_day * self.scale
        expected *= appliance.week[day.weekday] * 7 / sum(appliance.week)
        expected *= _season(appliance.winter, day.year_turn)
        opportunities = max(1, int(expected * 2) + 1)
        key = stream(self.seed, appliance.name, day.ordinal)
        uses: list[Use] = []
        for opportunity in range(opportunities):
            happens, when, length, strength = (uniform_at(key, 4 * opportunity + k) for k in range(4))
            if happens * opportunities >= expected:
                continue
            start = day.midnight_utc + _second_of_day(appliance.hours, when)
            for step in appliance.program:
                end = start + max(1, int(step.seconds * (0.8 + 0.4 * length)))
                if step.power_w:
                    power_w = step.power_w * (0.9 + 0.2 * strength)
                    uses.append(Use(start, end, appliance.phase, power_w, step.tan_phi))
                start = end
        return uses

    def _add_cycler(self, cycler: Cycler, times: Times, p_w: FloatArray, q_var: FloatArray) -> None:
        key = stream(self.seed, cycler.name)
        period_s = int(cycler.period_s * (0.85 + 0.3 * uniform_at(key, -1)))
        shifted = times + int(period_s * uniform_at(key, -2))
        cycle = shifted // period_s
        first = int(cycle[0]) if len(cycle) else 0
        duties = cycler.duty * (0.8 + 0.4 * uniform(key, np.arange(first, first + len(times) // period_s + 2)))
        on = shifted - cycle * period_s < duties[cycle - first] * period_s
        _paint(p_w, q_var, slice(None), cycler.phase, np.where(on, cycler.power_w, 0.0), cycler.tan_phi)

    def _add_background(
        self, place: int, item: Background, times: Times, days: list[LocalDay], p_w: FloatArray, q_var: FloatArray
    ) -> None:
        shape = np.zeros(len(times))
        mean_hour, mean_day = sum(item.hours) / 24, sum(item.week) / 7
        hours = np.asarray([*item.hours, item.hours[0]]) / mean_hour
        for day, after in zip(days, [*days[1:], None], strict=True):
            begin = day.midnight_utc - int(times[0])
            end = after.midnight_utc - int(times[0]) if after else len(times)
            run = slice(max(begin, 0), max(min(end, len(times)), 0))
            hour = np.minimum((times[run] - day.midnight_utc) / 3600.0, 23.999)
            whole = hour.astype(np.int64)
            level = hours[whole] + (hours[whole + 1] - hours[whole]) * (hour - whole)
            factor = item.week[day.weekday] / mean_day * _season(item.winter, day.year_turn)
            shape[run] = level * factor
        minutes = drift(stream(self.seed, "minutes", place), times, 60)
        seconds = noise(stream(self.seed, "seconds", place), times)
        unrest = 1.0 + item.unrest * minutes + 0.01 * seconds
        _paint(p_w, q_var, slice(None), item.phase, item.power_w * self.scale * shape * unrest, item.tan_phi)


def _season(winter: float, year_turn: float) -> float:
    """Factor of a day of the year: 1 + `winter` at new year, 1 - `winter` in midsummer."""
    return 1.0 + winter * float(cosine(np.array([year_turn]))[0])


def _second_of_day(hours: tuple[float, ...], share: float) -> int:
    """The second that `share` of all uses begin before, by the hours' weights."""
    total = list(accumulate(hours))
    wanted = share * total[-1]
    hour = min(bisect_right(total, wanted), 23)
    before = total[hour - 1] if hour else 0.0
    return int(3600 * (hour + (wanted - before) / hours[hour]))


def _paint(
    p_w: FloatArray, q_var: FloatArray, run: slice, phase: int, power_w: float | FloatArray, tan_phi: float
) -> None:
    """Add a power to one phase, or a third of it to each."""
    if phase == ALL_PHASES:
        third = power_w / 3.0
        for each in range(3):
            p_w[run, each] += third
            q_var[run, each] += third * tan_phi
    else:
        p_w[run, phase] += power_w
        q_var[run, phase] += power_w * tan_phi
