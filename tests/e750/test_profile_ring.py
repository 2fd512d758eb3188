"""The load profile ring: order, ranges, overwriting, damage, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e750_rack import bm_id
from messwerk.e750.profile import _HEADER, _ROW_SIZE, CAPACITY, LoadProfile
from messwerk.errors import LocalError, StoreDamaged
from messwerk.seconds_index import SecondsIndex
from messwerk.tuples import SignedTuple

OWNER = bm_id(1)


def row(index: int) -> SignedTuple:
    return SignedTuple(
        server_id=OWNER, index=SecondsIndex(index), status=1 << 63 | index, scaler=-1, import_wh=index * 7,
        export_wh=-index, r1_varh=2**62, r2_varh=-(2**62), r3_varh=0, r4_varh=index,
        signature_import=index.to_bytes(64, "big"), signature_export=index.to_bytes(64, "little"),
    )  # fmt: skip


def indices(profile: LoadProfile, *bounds: int | None) -> list[int]:
    return [found.index for found in profile.rows(*bounds)]


def test_three_months_of_quarter_hours_fit() -> None:
    """The brochure's minimum is three months; the longest are 92 days."""
    assert CAPACITY >= 92 * 96


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    """Every field, both signatures and any 64-bit value survive the file and a restart."""
    with LoadProfile(tmp_path / "profile", OWNER, capacity=8) as profile:
        for index in (900, 1800, 2700):
            assert profile.append(row(index)) is None
        assert profile.rows() == (row(900), row(1800), row(2700))
    with LoadProfile(tmp_path / "profile", OWNER, capacity=8) as profile:
        assert profile.rows() == (row(900), row(1800), row(2700))
        assert (profile.first_index, profile.last_index, len(profile)) == (900, 2700, 3)


def test_a_range_includes_both_ends(tmp_path: Path) -> None:
    """GetProfile asks for begin and end inclusively, either side may be open, a limit takes the oldest."""
    with LoadProfile(tmp_path / "profile", OWNER, capacity=8) as profile:
        for index in (10, 20, 30, 40):
            profile.append(row(index))
        assert indices(profile, 20, 30) == [20, 30]
        assert indices(profile, 11, 19) == []
        assert indices(profile, None, 20) == [10, 20]
        assert indices(profile, 25) == [30, 40]
        assert [found.index for found in profile.rows(15, None, limit=2)] == [20, 30]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=60), st.integers(1, 9), st.sets(st.integers(0, 59)))
def test_the_newest_rows_stay_through_any_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], capacity: int, restarts: set[int]
) -> None:
    """Wherever the program stops and starts, the ring holds the last `capacity` rows in order."""
    path = tmp_path_factory.mktemp("ring") / "profile"
    profile, written, index = LoadProfile(path, OWNER, capacity=capacity), [], 0
    for number, step in enumerate(steps):
        if number in restarts:
            profile.close()
            profile = LoadProfile(path, OWNER, capacity=capacity)
        index += step
        pushed_out = profile.append(row(index))
        written.append(index)
        assert pushed_out == (written[-capacity - 1] if len(written) > capacity else None)
        assert indices(profile) == written[-capacity:]
    profile.close()


def test_the_index_never_goes_back(tmp_path: Path) -> None:
    """A row at or before the newest would rewrite history: refused, as is another module's."""
    with LoadProfile(tmp_path / "profile", OWNER, capacity=8) as profile:
        profile.append(row(100))
        for wrong in (row(100), row(99), replace(row(200), server_id=bm_id(2)), replace(row(200), scaler=0)):
            with pytest.raises(LocalError):
                profile.append(wrong)
        assert indices(profile) == [100]


def test_a_torn_row_is_left_out_and_its_place_used_again(tmp_path: Path) -> None:
    """A kill in mid-write costs the row being written, nothing else, and nothing later."""
    path = tmp_path / "profile"
    with LoadProfile(path, OWNER, capacity=4) as profile:
        for index in (1, 2, 3, 4, 5):
            profile.append(row(index))
    content = bytearray(path.read_bytes())
    content[_HEADER.size + _ROW_SIZE + 50] ^= 0xFF  # the second slot holds row 2
    path.write_bytes(content)
    with LoadProfile(path, OWNER, capacity=4) as profile:
        assert profile.damaged == 1
        assert indices(profile) == [3, 4, 5]
        assert profile.append(row(6)) is None
        assert profile.append(row(7)) == 3
        assert indices(profile) == [4, 5, 6, 7]


def test_a_row_damaged_while_running_is_not_handed_out(tmp_path: Path) -> None:
    """What fails its own CRC is counted, not sent as evidence."""
    path = tmp_path / "profile"
    with LoadProfile(path, OWNER, capacity=4) as profile:
        for index in (1, 2):
            profile.append(row(index))
        with path.open("r+b") as file:
            file.seek(_HEADER.size + 3)
            file.write(b"\xff")
        assert indices(profile) == [2]
        assert profile.damaged == 1


def test_the_profile_of_another_module_is_refused(tmp_path: Path) -> None:
    """A folder given to the wrong module must not be mixed or overwritten."""
    LoadProfile(tmp_path / "profile", OWNER, capacity=4).close()
    with pytest.raises(StoreDamaged, match="use the folder"):
        LoadProfile(tmp_path / "profile", bm_id(2), capacity=4)
    with pytest.raises(StoreDamaged):
        LoadProfile(tmp_path / "profile", OWNER, capacity=5)


def test_a_kill_while_the_file_was_made_does_no_harm(tmp_path: Path) -> None:
    """Room without a header: nothing was stored yet, so the file is finished."""
    (tmp_path / "profile").write_bytes(bytes(_HEADER.size + 4 * _ROW_SIZE))
    with LoadProfile(tmp_path / "profile", OWNER, capacity=4) as profile:
        profile.append(row(1))
        assert indices(profile) == [1]


def test_a_file_cut_short_still_gives_its_whole_rows(tmp_path: Path) -> None:
    """A copy that was interrupted: the rows that are there are read, new ones find their place."""
    path = tmp_path / "profile"
    with LoadProfile(path, OWNER, capacity=4) as profile:
        for index in (1, 2, 3):
            profile.append(row(index))
    path.write_bytes(path.read_bytes()[: _HEADER.size + 2 * _ROW_SIZE + 17])
    with LoadProfile(path, OWNER, capacity=4) as profile:
        assert indices(profile) == [1, 2]
        profile.append(row(4))
    with LoadProfile(path, OWNER, capacity=4) as profile:
        assert indices(profile) == [1, 2, 4]
