"""`messwerk convert`: every form into every other and back, byte for byte."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from command_line import Call, telegram

from messwerk import sml

BINARY = telegram(1) + telegram(2)


@pytest.mark.parametrize("first", [".bin", ".hex", ".xml", ".json"])
@pytest.mark.parametrize("second", [".sml", ".txt", ".xml", ".json"])
def test_there_and_back(call: Call, tmp_path: Path, first: str, second: str) -> None:
    """Binary through any two forms is the same binary at the end, in silence."""
    (tmp_path / "start.bin").write_bytes(BINARY)
    names = ["start.bin", f"one{first}", f"two{second}", "end.bin"]
    for source, target in pairwise(names):
        assert call("convert", tmp_path / source, tmp_path / target) == (0, "", "")
    assert (tmp_path / "end.bin").read_bytes() == BINARY


def test_real_meters_byte_for_byte(call: Call, tmp_path: Path, shared: Path) -> None:
    """Captured telegrams come back from XML as the meter sent them; only line noise is left out."""
    for number, path in enumerate(sorted((shared / "captures").glob("*.bin"))):
        decoder = sml.FrameDecoder()
        events = decoder.receive(path.read_bytes()) + decoder.close()
        expected = b"".join(event.raw for event in events if isinstance(event, sml.Frame))
        if not expected:
            continue
        assert call("convert", path, tmp_path / f"{number}.xml")[0] == 0
        assert call("convert", tmp_path / f"{number}.xml", tmp_path / f"{number}.bin")[0] == 0
        assert (tmp_path / f"{number}.bin").read_bytes() == expected, path.name


def test_hex_is_read_as_people_write_it(call: Call, tmp_path: Path) -> None:
    """White space, colons, 0x and comments between hex digits do not matter."""
    digits = telegram(1).hex(":")
    (tmp_path / "a.hex").write_text(f"# a comment\n0x{digits[:60]}\n\n{digits[60:]}  # the rest\n")
    assert call("convert", tmp_path / "a.hex", tmp_path / "a.bin")[0] == 0
    assert (tmp_path / "a.bin").read_bytes() == telegram(1)


def test_noise_is_kept_in_hex_and_left_out_of_xml(call: Call, tmp_path: Path) -> None:
    """Hex holds every byte; the forms of messages hold messages, and the command says what it left out."""
    (tmp_path / "a.bin").write_bytes(b"noise" + BINARY)
    call("convert", tmp_path / "a.bin", tmp_path / "a.hex")
    call("convert", tmp_path / "a.hex", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == b"noise" + BINARY
    assert "5 bytes outside of telegrams are left out" in call("convert", tmp_path / "a.bin", tmp_path / "a.xml")[2]


def test_bare_files(call: Call, tmp_path: Path) -> None:
    """--bare writes SML files without transport frames, and they can be read back."""
    (tmp_path / "a.bin").write_bytes(telegram(1))
    call("convert", tmp_path / "a.bin", tmp_path / "a.json")
    call("convert", "--bare", tmp_path / "a.json", tmp_path / "bare.sml")
    assert (tmp_path / "bare.sml").read_bytes()[:1] == b"\x76"
    assert call("convert", tmp_path / "bare.sml", tmp_path / "b.json")[0] == 0
    assert (tmp_path / "b.json").read_text() == (tmp_path / "a.json").read_text()


def test_a_frame_with_quirks_is_announced(call: Call, tmp_path: Path) -> None:
    """Where a frame cannot come back byte for byte, the command says so instead of pretending."""
    (frame,) = sml.FrameDecoder().receive(telegram(1))
    assert isinstance(frame, sml.Frame)
    with_zeros = sml.frame(frame.payload + bytes(8))
    (tmp_path / "a.bin").write_bytes(with_zeros)
    assert "will not come back byte for byte" in call("convert", tmp_path / "a.bin", tmp_path / "a.xml")[2]


@pytest.mark.parametrize(
    ("source", "target", "complaint"),
    [
        ("a.pdf", "b.bin", "the ending of a.pdf"),
        ("a.bin", "b", "the ending of b "),
        ("missing.bin", "b.xml", "cannot be read"),
        ("a.bin", "no/folder/b.hex", "cannot be written"),
        ("a.bin", "a.hex", "exists"),
        ("broken.bin", "b.xml", "holds no whole telegram"),
        ("a.hex", "b.bin", "line 1 of a.hex is not hex digits"),
        ("latin.xml", "b.bin", "is not UTF-8"),
    ],
)
def test_what_cannot_be_converted(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, complaint: str
) -> None:
    """Unknown endings, missing, existing, broken and unreadable files each get their own sentence."""
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "a.pdf": b"x", "a.bin": telegram(1), "a.hex": b"xyz\n", "broken.bin": telegram(1)[:-1], "latin.xml": b"\xe4",
    }.items():  # fmt: skip
        Path(name).write_bytes(content)
    status, _, errors = call("convert", source, target)
    assert status == 1
    assert complaint in errors


def test_force_replaces(call: Call, tmp_path: Path) -> None:
    """--force replaces an existing file."""
    (tmp_path / "a.bin").write_bytes(telegram(1))
    (tmp_path / "a.hex").write_text("old")
    assert call("convert", "--force", tmp_path / "a.bin", tmp_path / "a.hex")[0] == 0
    assert (tmp_path / "a.hex").read_text() != "old"
