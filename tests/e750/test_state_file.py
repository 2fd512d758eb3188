"""Module state: always one whole copy, whatever a kill interrupts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from messwerk.e750.state import SLOT_SIZE, StateFile
from messwerk.errors import BusyError, LocalError, StoreDamaged


def reopened(path: Path) -> object:
    with StateFile(path) as state:
        return state.load()


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """The newest document comes back, through any number of saves and restarts."""
    path = tmp_path / "deep" / "state"
    assert reopened(path) is None
    for number in range(5):
        with StateFile(path) as state:
            state.load()
            state.save({"number": number}, durable=number % 2 == 0)
            state.save({"number": number, "again": True})
    assert reopened(path) == {"number": 4, "again": True}


def test_a_write_cut_anywhere_leaves_the_copy_before(tmp_path: Path) -> None:
    """Torn after any byte: the state is the new one or the one before, never none, never a mixture."""
    path, torn = tmp_path / "state", tmp_path / "torn"
    with StateFile(path) as state:
        for number in range(4):
            state.save({"number": number, "fill": "x" * 40})
    before = path.read_bytes()
    with StateFile(path) as state:
        state.load()
        state.save({"number": 4, "fill": "y" * 40})
    after = path.read_bytes()
    first = next(at for at in range(len(after)) if before[at : at + 1] != after[at : at + 1])
    last = max(at for at in range(len(after)) if before[at : at + 1] != after[at : at + 1])
    for cut in range(first, last + 1):
        torn.write_bytes(after[:cut] + before[cut:])
        found = reopened(torn)
        assert isinstance(found, dict)
        assert found["number"] in (3, 4)
    assert reopened(path) == {"number": 4, "fill": "y" * 40}


def test_a_file_without_a_whole_copy_is_named_as_damaged(tmp_path: Path) -> None:
    """Both copies gone is no new module: it says so and how to go on."""
    path = tmp_path / "state"
    path.write_bytes(os.urandom(2 * SLOT_SIZE))
    with pytest.raises(StoreDamaged, match="restore"):
        reopened(path)


def test_one_file_has_one_owner(tmp_path: Path) -> None:
    """Two programs on one folder would count the same seconds twice."""
    with StateFile(tmp_path / "state"), pytest.raises(BusyError, match="held by another"):
        StateFile(tmp_path / "state")
    StateFile(tmp_path / "state").close()


def test_a_document_too_large_is_refused(tmp_path: Path) -> None:
    """Better an error than a copy that runs into the other."""
    with StateFile(tmp_path / "state") as state:
        state.save({"small": 1})
        with pytest.raises(LocalError, match="bytes"):
            state.save({"large": "x" * SLOT_SIZE})
    assert reopened(tmp_path / "state") == {"small": 1}


def test_a_copied_folder_opens_like_the_original(tmp_path: Path) -> None:
    """Backup is a copy."""
    with StateFile(tmp_path / "state") as state:
        state.save({"a": 1})
    shutil.copy(tmp_path / "state", tmp_path / "copy")
    assert reopened(tmp_path / "copy") == {"a": 1}
