"""Counter-based randomness: a number is a hash of (seed, purpose, counter) and of nothing else.

Any second of any meter can be computed alone, in any order, on any number of threads, and comes
out the same. Everything here is integer arithmetic or single IEEE operations, so results agree
between platforms. Mixing function: SplitMix64.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..metrology.power import FloatArray

_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_MIX_1: Final = 0xBF58_476D_1CE4_E5B9
_MIX_2: Final = 0x94D0_49BB_1331_11EB
_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_SCALE: Final = 2.0**-53
_ROOT_3: Final = 1.7320508075688772

Times = NDArray[np.int64]


def stream(seed: int, *purpose: str | int) -> int:
    """The 64-bit key of one purpose under a seed; different purposes are independent."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def bits(key: int, counters: Times) -> NDArray[np.uint64]:
    """64 random bits for each counter, shape as given."""
    z = counters.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


def uniform(key: int, counters: Times) -> FloatArray:
    """Evenly distributed in [0, 1)."""
    return (bits(key, counters) >> np.uint64(11)).astype(np.float64) * _SCALE


def uniform_at(key: int, counter: int) -> float:
    """One number of `uniform`, without an array."""
    z = (counter * _GOLDEN + key) & _MASK
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return ((z ^ (z >> 31)) >> 11) * _SCALE


def noise(key: int, counters: Times) -> FloatArray:
    """Bell-shaped, mean 0, standard deviation 1, within ±3.47: four 16-bit uniforms added up."""
    z = bits(key, counters)
    low = np.uint64(0xFFFF)
    total = (z & low) + ((z >> np.uint64(16)) & low) + ((z >> np.uint64(32)) & low) + (z >> np.uint64(48))
    bell: FloatArray = (total.astype(np.float64) - 131_070.0) * (_ROOT_3 / 65_536.0)
    return bell


def drift(key: int, times: Times, period_s: int) -> FloatArray:
    """A value within ±1 that wanders: straight lines between random knots `period_s` apart."""
    if not len(times):
        return np.zeros(0)
    knot = times // period_s
    first = int(knot[0])
    heights = uniform(key, np.arange(first, int(knot[-1]) + 2)) * 2.0 - 1.0
    share = (times - knot * period_s) * (1.0 / period_s)
    left = heights[knot - first]
    value: FloatArray = left + (heights[knot - first + 1] - left) * share
    return value


def cosine(turns: FloatArray) -> FloatArray:
    """Cosine of an angle given in turns, error below 4e-6, from additions and products alone."""
    x = np.abs(turns - np.floor(turns) - 0.5) * 2.0  # 1 at angle 0, 0 at half a turn
    y = (x - 0.5) * np.pi  # sine of y is the cosine looked for
    square = y * y
    return y * (1.0 + square * (-1 / 6 + square * (1 / 120 + square * (-1 / 5040 + square * (1 / 362_880)))))
