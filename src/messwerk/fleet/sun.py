"""A photovoltaic plant: the sun's place in the sky, clouds, and an inverter that feeds in."""

from __future__ import annotations

import math

import numpy as np

from ..metrology.power import FloatArray
from .model import Load
from .randomness import Times, cosine, drift, stream

SOLSTICE_UTC = 977_405_820
"""Winter solstice of 2000."""
TROPICAL_YEAR_S = 31_556_925.2
OBLIQUITY_SINE = 0.39779
SINGLE_PHASE_LIMIT_KW = 4.6
"""A larger inverter feeds all three phases (VDE-AR-N 4105)."""
SYSTEM_EFFICIENCY = 0.82
"""Wiring, inverter, temperature and dirt."""
STANDBY_W = 3.0
"""What the inverter draws when there is no sun."""


class Photovoltaic(Load):
    """`kwp` of modules facing south. Power is negative: the plant exports."""

    def __init__(
        self,
        *,
        seed: int,
        kwp: float,
        latitude_deg: float = 51.0,
        longitude_deg: float = 10.0,
        tilt_deg: float = 30.0,
        phase: int = 1,
    ) -> None:
        self.seed, self.kwp, self.phase = seed, kwp, phase
        self.longitude_turns = longitude_deg / 360.0
        self._latitude = _sine_and_cosine(latitude_deg)
        self._plane = _sine_and_cosine(latitude_deg - tilt_deg)

    def power(self, start_utc: int, n: int) -> tuple[FloatArray, FloatArray]:
        times = np.arange(start_utc, start_utc + n)
        peak_w = self.kwp * 1000.0
        generated_w = np.minimum(peak_w * SYSTEM_EFFICIENCY * self._irradiance(times) * self._clouds(times), peak_w)
        p_w = np.zeros((n, 3))
        fed_in_w = np.where(generated_w > STANDBY_W, -generated_w, STANDBY_W)
        if self.kwp > SINGLE_PHASE_LIMIT_KW:
            p_w += (fed_in_w / 3.0)[:, np.newaxis]
        else:
            p_w[:, self.phase] = fed_in_w
        return p_w, np.zeros((n, 3))

    def _irradiance(self, times: Times) -> FloatArray:
        """Under a clear sky on the modules' plane, as a share of 1000 W/m², shape (n,)."""
        sin_declination = -OBLIQUITY_SINE * cosine((times - SOLSTICE_UTC) / TROPICAL_YEAR_S)
        cos_declination = np.sqrt(1.0 - sin_declination * sin_declination)
        cos_hour = cosine(times / 86_400.0 + self.longitude_turns - 0.5)
        elevation = self._latitude[0] * sin_declination + self._latitude[1] * cos_declination * cos_hour
        incidence = self._plane[0] * sin_declination + self._plane[1] * cos_declination * cos_hour
        height = np.maximum(elevation, 0.0)
        beam = height / (height + 0.16)  # falls as the path through the air grows
        diffuse = 0.10 * np.minimum(height * 4.0, 1.0)
        return np.where(elevation > 0.0, beam * np.maximum(incidence, 0.0) + diffuse, 0.0)

    def _clouds(self, times: Times) -> FloatArray:
        """Share of the clear sky's light that comes through: days of weather, minutes of passing clouds."""
        weather = drift(stream(self.seed, "weather"), times, 40_000)
        fields = drift(stream(self.seed, "cloud fields"), times, 900)
        passing = drift(stream(self.seed, "passing clouds"), times, 75)
        cover = np.clip(0.52 + 0.75 * weather + 0.28 * fields + 0.3 * passing, 0.0, 1.0)
        return 1.0 - 0.82 * cover


def _sine_and_cosine(angle_deg: float) -> tuple[float, float]:
    angle = math.radians(angle_deg)
    return round(math.sin(angle), 9), round(math.cos(angle), 9)
