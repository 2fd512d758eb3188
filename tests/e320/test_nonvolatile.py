"""Memory with two copies: whole after any cut, never silently damaged, held by one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320.nonvolatile import AREAS, COPY_SIZE, Memory, NonVolatile, RamMemory
from messwerk.errors import BusyError


def reopen(folder: Path) -> NonVolatile:
    return NonVolatile(folder)


@pytest.mark.parametrize("make", [RamMemory, None])
def test_what_was_saved_is_there(tmp_path: Path, make: type[RamMemory] | None) -> None:
    """Areas are kept apart; the newest content of each comes back with its save number."""
    memory: Memory = make() if make else NonVolatile(tmp_path)
    assert memory.load().areas == {}
    memory.save({"state": b"one", "history": b"days"})
    memory.save({"state": b"two"}, force=True)
    if not make:
        memory.close()
        memory = reopen(tmp_path)
    loaded = memory.load()
    assert loaded.areas == {"state": b"two", "history": b"days"}
    assert loaded.sequence["state"] > loaded.sequence["history"]
    assert loaded.damaged == ()
    memory.close()


def test_sequence_goes_on_after_reopening(tmp_path: Path) -> None:
    """Save numbers never start over, so the newest copy stays the newest."""
    for content in (b"a", b"b", b"c"):
        memory = reopen(tmp_path)
        memory.load()
        memory.save({"state": content})
        memory.close()
    memory = reopen(tmp_path)
    loaded = memory.load()
    memory.close()
    assert (loaded.areas["state"], loaded.sequence["state"]) == (b"c", 3)


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 330), st.binary(min_size=1, max_size=40))
def test_damage_to_one_copy_is_found(
    tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes, at: int, noise: bytes
) -> None:
    """Any bytes over one copy: the other one is used and, unless nothing changed, the damage is named."""
    folder = tmp_path_factory.mktemp("nv")
    memory = NonVolatile(folder, sync_every=100)
    memory.save({"state": old})
    memory.save({"state": new})
    memory.close()
    image = bytearray((folder / "nonvolatile.bin").read_bytes())
    changed = bytearray(image)
    changed[at : at + len(noise)] = noise
    (folder / "nonvolatile.bin").write_bytes(changed)
    memory = reopen(folder)
    loaded = memory.load()
    memory.close()
    assert loaded.areas["state"] == new
    whole = slice(0, 22 + len(new))
    assert loaded.damaged in ((), ("state copy A",))
    assert bool(loaded.damaged) == (changed[whole] != image[whole])


@pytest.mark.parametrize("written", range(0, 26, 5))
def test_a_cut_write_leaves_the_previous_copy(tmp_path: Path, written: int) -> None:
    """A save cut in copy A after any number of bytes leaves the previous content usable."""
    memory = NonVolatile(tmp_path)
    memory.save({"state": b"safe"})
    memory.close()
    memory = NonVolatile(tmp_path)
    memory.load()
    before = (tmp_path / "nonvolatile.bin").read_bytes()
    memory.save({"state": b"next"})
    after = (tmp_path / "nonvolatile.bin").read_bytes()
    memory.close()
    cut = after[:written] + before[written:]
    (tmp_path / "nonvolatile.bin").write_bytes(cut)
    memory = reopen(tmp_path)
    loaded = memory.load()
    memory.close()
    assert loaded.areas["state"] in (b"safe", b"next")


def test_both_copies_damaged_is_lost(tmp_path: Path) -> None:
    """With no trustworthy copy an area is named as lost and gives no content; the others stay."""
    memory = NonVolatile(tmp_path)
    memory.save({"state": b"value", "history": b"days"})
    memory.close()
    image = bytearray((tmp_path / "nonvolatile.bin").read_bytes())
    image[25] ^= 1
    image[COPY_SIZE + 25] ^= 1
    (tmp_path / "nonvolatile.bin").write_bytes(image)
    memory = reopen(tmp_path)
    loaded = memory.load()
    memory.close()
    assert loaded.areas == {"history": b"days"}
    assert loaded.lost == ("state",)
    assert loaded.damaged == ("state copy A", "state copy B")


@given(st.binary(max_size=3 * 4096))
def test_any_file_is_survived(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A memory file of arbitrary bytes loads nothing and crashes nothing."""
    folder = tmp_path_factory.mktemp("nv")
    (folder / "nonvolatile.bin").write_bytes(content)
    memory = reopen(folder)
    assert memory.load().areas == {}
    memory.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two meters on one folder: the second is told so."""
    first = NonVolatile(tmp_path)
    with pytest.raises(BusyError, match="in use by another meter"):
        NonVolatile(tmp_path)
    first.close()
    NonVolatile(tmp_path).close()


def test_too_large_an_area_is_our_mistake(tmp_path: Path) -> None:
    """Content larger than its area is refused before anything is written."""
    memory = NonVolatile(tmp_path)
    with pytest.raises(ValueError, match="area 'state' holds"):
        memory.save({"state": bytes(AREAS["state"])})
    memory.close()
