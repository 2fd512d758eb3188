"""What a pull asks for: holes in the readings held, once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from messwerk.station.acquire import IndexRange, _chunks
from messwerk.station.gaps import missing_ranges


def ranges(
    held: list[int], now: int, oldest: int = 0, exhausted: tuple[IndexRange, ...] = ()
) -> list[tuple[int, int | None]]:
    """As pairs."""
    found = missing_ranges(np.array(held, dtype=np.int64), now, oldest, exhausted)
    return [(one.begin, one.end) for one in found]


def test_a_new_meter_is_asked_for_everything() -> None:
    """Without readings the whole ring is wanted, up to now."""
    assert ranges([], 10_000, -500) == [(0, None)]


def test_only_new_rows_are_asked_for() -> None:
    """With all readings there, only what is newer is wanted, and nothing within a period."""
    assert ranges([0, 900, 1800], 2700) == [(1801, None)]
    assert ranges([0, 900, 1800], 2600) == []


def test_holes_are_asked_for() -> None:
    """Before the first reading, between two, after the last."""
    assert ranges([5000, 5900, 9500], 12_000) == [(0, 4999), (5901, 9499), (9501, None)]


def test_what_the_meter_does_not_have_is_not_asked_for_again() -> None:
    """A true gap costs one question; its neighbours are still asked for."""
    assert ranges([0, 10_000], 10_500, exhausted=(IndexRange(1, 9_999),)) == []
    assert ranges([0, 10_000], 10_500, exhausted=(IndexRange(3_000, 5_000),)) == [(1, 2_999), (5_001, 9_999)]


@given(st.lists(st.integers(0, 200_000), max_size=60), st.integers(200_000, 400_000))
def test_every_hole_is_covered_and_nothing_held_is_asked_for(held: list[int], now: int) -> None:
    """Any index without neighbour within a period lies in a range; no reading held does."""
    held = sorted(set(held))
    found = [(begin, now if end is None else end) for begin, end in ranges(held, now)]
    for begin, end in found:
        assert not any(begin <= index <= end for index in held)
    for index in range(0, now, 7777):
        far = not held or min(abs(index - one) for one in held) > 909
        assert not far or any(begin <= index <= end for begin, end in found)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_chunks_tile_a_range(begin: int, length: int) -> None:
    """Pieces of two days at most, without hole or overlap."""
    pieces = list(_chunks(IndexRange(begin, begin + length), begin + length))
    assert pieces[0].begin == begin
    assert pieces[-1].end == begin + length
    for first, second in pairwise(pieces):
        assert first.end is not None
        assert second.begin == first.end + 1
        assert first.end - first.begin < 2 * 86400
