"""Recordings of a line and their replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from messwerk.errors import SourceError
from messwerk.link.clock import VirtualClock
from messwerk.link.endpoint import ReplaySource, chunks, is_live
from messwerk.link.trace import Recorder, is_recording, replay

HEAD = '{"recording": "urn:messwerk:recording:1", "source": "x", "utc": 0}\n'


def record(path: Path) -> None:
    """Three pieces at 0.5 s, 0.5 s and 60 s."""
    clock = VirtualClock(1_700_000_000.0)
    with Recorder(path, "tcp://meter:7000", clock=clock) as recorder:
        clock.advance(0.5)
        recorder.write(b"one")
        recorder.write(b"two")
        clock.advance(59.5)
        recorder.write(bytes(range(256)))


async def test_pieces_and_times_are_kept(tmp_path: Path) -> None:
    """A replay gives the pieces back one by one at the moments they came."""
    path = tmp_path / "line.rec"
    record(path)
    clock, heard = VirtualClock(), []

    async def listen() -> None:
        async for piece in replay(path, clock=clock):
            heard.append((clock.monotonic(), piece))

    task = asyncio.create_task(listen())
    for _ in range(700):
        await asyncio.sleep(0)
        clock.advance(0.125)
    await task
    assert [piece for _, piece in heard] == [b"one", b"two", bytes(range(256))]
    assert [moment for moment, _ in heard] == [0.5, 0.5, 60.0]


async def test_speed(tmp_path: Path) -> None:
    """A replay may run faster than life, or without waiting at all."""
    path = tmp_path / "line.rec"
    record(path)
    assert len(b"".join([piece async for piece in replay(path, speed=0)])) == 262
    start = asyncio.get_running_loop().time()
    source = ReplaySource(path, speed=200.0)
    assert len(b"".join([piece async for piece in chunks(source)])) == 262
    assert 0.29 < asyncio.get_running_loop().time() - start < 5
    assert not is_live(source)


def test_a_recording_is_recognised(tmp_path: Path) -> None:
    """Recordings are told from other files by their first bytes."""
    path = tmp_path / "line.rec"
    record(path)
    assert is_recording(path)
    assert not is_recording(tmp_path)
    assert not is_recording(tmp_path / "nothing")
    assert path.read_text().startswith(
        '{"recording": "urn:messwerk:recording:1", "source": "tcp://meter:7000", "utc": 1700000000.0}'
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no recording"),
        ("not json\n", "is no recording"),
        ('{"recording": "urn:messwerk:recording:2"}\n', "is no recording"),
        (HEAD + "noise\n", "line 2 of .* is damaged"),
        (HEAD + '{"t": 1, "data": "0g"}\n', "line 2 of .* is damaged"),
        (HEAD + '{"t": 1, "data": "00"}\n{"t": 0.5, "data": "00"}\n', "line 3 of .* its time runs back"),
        (HEAD + '{"t": "inf", "data": "00"}\n', "line 2"),
        (HEAD + '{"t": NaN, "data": "00"}\n', "line 2"),
    ],
)
async def test_a_damaged_recording_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """Files that are no recordings, and damaged lines, are errors with the line's number."""
    path = tmp_path / "line.rec"
    path.write_text(text)
    with pytest.raises(SourceError, match=complaint):
        [piece async for piece in replay(path, speed=0)]


def test_a_recording_goes_nowhere_impossible(tmp_path: Path) -> None:
    """A missing folder is an error with the reason; an existing file is never overwritten."""
    with pytest.raises(SourceError, match="cannot be written"):
        Recorder(tmp_path / "no" / "folder", "x")
    record(tmp_path / "line.rec")
    with pytest.raises(SourceError, match="never overwrites"):
        Recorder(tmp_path / "line.rec", "x")
