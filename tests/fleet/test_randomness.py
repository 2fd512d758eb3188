"""Counter-based randomness: equal everywhere, independent by purpose, decent in distribution."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from messwerk.fleet.randomness import bits, cosine, drift, noise, stream, uniform, uniform_at

SPLITMIX64 = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
"""First outputs of SplitMix64 from state 0, as its author publishes them."""


def test_mixing_function() -> None:
    """The hash is SplitMix64: counter k gives the k-th output of the generator."""
    assert bits(0, np.array([1, 2, 3])).tolist() == SPLITMIX64


def test_streams_are_pinned() -> None:
    """Keys derive from seed and purpose alone and never change between releases."""
    assert stream(42, "voltage", 1) == 14_234_513_477_292_428_084
    assert stream(42, "voltage", 1) != stream(42, "voltage", 11) != stream(421, "voltage", 1)


@given(st.integers(0, 2**64 - 1), st.integers(-(2**40), 2**40))
def test_scalar_and_array_agree(key: int, counter: int) -> None:
    """One number drawn alone is the number the array holds."""
    assert uniform_at(key, counter) == uniform(key, np.array([counter]))[0]


@given(st.integers(0, 2**64 - 1), st.integers(-(2**33), 2**33), st.integers(1, 5000), st.integers(1, 300))
def test_drift_at_any_second_alone(key: int, start: int, period: int, n: int) -> None:
    """A wandering value does not depend on where the block begins, and stays within ±1."""
    times = np.arange(start, start + n)
    whole = drift(key, times, period)
    assert drift(key, times[-1:], period)[0] == whole[-1]
    assert (np.abs(whole) <= 1).all()


def test_distributions() -> None:
    """Uniform and bell-shaped numbers have the moments they promise."""
    u, g = uniform(1, np.arange(200_000)), noise(2, np.arange(200_000))
    assert abs(u.mean() - 0.5) < 0.003
    assert abs(g.mean()) < 0.01
    assert abs(g.std() - 1) < 0.01


@given(st.floats(-1000, 1000))
def test_cosine(turns: float) -> None:
    """The polynomial cosine stays within its stated error."""
    assert abs(cosine(np.array([turns]))[0] - math.cos(2 * math.pi * turns)) < 4e-6
