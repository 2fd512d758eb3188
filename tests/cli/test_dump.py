"""`messwerk dump`: structure, XML and JSON of files in any form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Call, run, telegram

from messwerk import sml
from messwerk.sml.xml import from_xml

ESCAPED = sml.frame(
    sml.encode([sml.Message(transaction_id=b"\x1b" * 4, body=sml.PublicCloseResponse(global_signature=b"after"))])
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "meter.bin"
    path.write_bytes(b"noise" + telegram(1) + telegram(2)[:60] + telegram(3))
    return path


def test_structure_with_offsets_of_the_file(call: Call, file: Path) -> None:
    """Each element stands with its offset in the file, its bytes, name and meaning; rejections too."""
    status, shown, remarks = call("dump", file)
    assert status == 0
    assert "telegram 1 at byte 5" in shown
    assert "rejected at byte" in shown
    assert "telegram 2 at byte" in shown
    assert "65 bytes outside of telegrams" in remarks
    data = file.read_bytes()
    for line in shown.splitlines():
        cells = line.split()
        if len(cells) > 2 and cells[0].isdigit() and "objName" in line:
            wire = bytes.fromhex(" ".join(cells[1:8]))
            assert data[int(cells[0]) :].startswith(wire), line
    assert "123457 Wh" not in shown
    assert "12345.7 Wh" in shown


def test_offsets_count_escapes(call: Call, tmp_path: Path) -> None:
    """A doubled escape before an element shifts its offset in the file, and the dump knows."""
    path = tmp_path / "escaped.bin"
    path.write_bytes(ESCAPED)
    line = next(line for line in call("dump", path)[1].splitlines() if "globalSignature" in line)
    assert ESCAPED[int(line.split()[0]) :].startswith(b"\x06after")


def test_only_so_many(call: Call, file: Path) -> None:
    """-n ends the dump after so many telegrams."""
    shown = call("dump", "-n", 1, file)[1]
    assert "telegram 1 at" in shown
    assert "telegram 2 at" not in shown


def test_xml_and_json(call: Call, file: Path) -> None:
    """--xml and --json print the documented forms of all telegrams."""
    xml = call("dump", "--xml", file)[1]
    document = json.loads(call("dump", "--json", file)[1])
    assert len(from_xml(xml)) == len(document["files"]) == 2
    assert call("dump", "--xml", "--json", file)[0] == 2


@pytest.mark.parametrize("ending", [".hex", ".xml", ".json", ".bin", "", ".weird"])
def test_any_form_is_understood(call: Call, tmp_path: Path, file: Path, ending: str) -> None:
    """Hex, XML and JSON files are dumped like the binary they stand for, also under odd names."""
    if ending in ("", ".weird"):
        path = tmp_path / f"input{ending}"
        path.write_text(telegram(1).hex())
    else:
        path = tmp_path / f"input{ending}"
        assert call("convert", file, path)[0] == 0
    assert "SML_GetList.Res" in call("dump", path)[1]


def test_a_bare_file(call: Call, tmp_path: Path) -> None:
    """An SML file without transport frame, as LMN carries it, is dumped as well."""
    path = tmp_path / "bare.sml"
    (frame,) = sml.FrameDecoder().receive(telegram(1))
    assert isinstance(frame, sml.Frame)
    path.write_bytes(frame.payload)
    status, shown, _ = call("dump", path)
    assert status == 0
    assert "without transport frame" in shown
    assert "SML_GetList.Res" in shown


def test_standard_input() -> None:
    """`dump -` reads a pipe."""
    assert "SML_GetList.Res" in run("dump", "-", input=telegram(1)).stdout


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"just a note", "is not SML (text)"),
        (b"\x00" * 100, "is not SML (unknown)"),
        (b"1b1b1b1b01010101zz", "is not hex digits"),
        (b"<?xml version='1.0'?><html/>", "not SML in XML"),
    ],
)
def test_bad_files_are_named(call: Call, tmp_path: Path, content: bytes, complaint: str) -> None:
    """What cannot be dumped is an error with the reason, and status 1."""
    path = tmp_path / "input"
    path.write_bytes(content)
    status, _, errors = call("dump", path)
    assert status == 1
    assert complaint in errors


def test_a_truncated_message_is_shown_to_its_end(call: Call, tmp_path: Path) -> None:
    """A frame with the right CRC around a broken file is shown as far as it makes sense."""
    path = tmp_path / "broken.bin"
    path.write_bytes(sml.frame(b"\x76\x05\x01\x02\x03\x04\x62\x00\x3f\xff"))
    status, shown, _ = call("dump", path)
    assert status == 0
    assert "the bytes make no sense from here on" in shown
