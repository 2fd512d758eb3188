"""`messwerk lint`: reports, exit status, JSON and the table of the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Call, command, connected, finish, meter_hangs_up, telegram

from messwerk import sml
from messwerk.link.tcp import Broadcast

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "sml.md"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.bin"
    path.write_bytes(telegram(1) + telegram(2))
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A telegram with a list entry that has no value, and half a telegram."""
    empty = sml.ListEntry(obj_name=bytes.fromhex("0100600100ff"), value=None)
    body = sml.GetListResponse(server_id=b"\x0a\x01LGZ\x00\x00\x00\x00\x01", val_list=(empty,))
    bodies = [sml.PublicOpenResponse(req_file_id=b"\x01", server_id=b"\x01"), body, sml.PublicCloseResponse()]
    file = sml.encode([sml.Message(transaction_id=bytes([number]), body=one) for number, one in enumerate(bodies)])
    path = tmp_path / "bad.bin"
    path.write_bytes(sml.frame(file) + telegram(1)[:60])
    return path


def test_a_conforming_file(call: Call, good: Path) -> None:
    """Status 0 and a plain word for a source that keeps the rules."""
    status, shown, errors = call("lint", good)
    assert (status, errors) == (0, "")
    assert "nothing to say" in shown
    assert "conforming" in shown
    assert "2 telegrams, 0 violations" in shown


def test_a_violation(call: Call, bad: Path) -> None:
    """Status 1, with the offset, the field, the quirk and what a strict reader does."""
    status, shown, _ = call("lint", bad)
    assert status == 1
    for word in ("violation", "Q12", "a list entry has no value", "val_list[0].value", "a strict reader refuses"):
        assert word in shown
    assert "not conforming" in shown


def test_json(call: Call, good: Path, bad: Path) -> None:
    """--json gives one object a source with every kind of finding; several sources share one status."""
    status, shown, _ = call("lint", "--json", good, bad)
    assert status == 1
    first, second = map(json.loads, shown.splitlines())
    assert (first["conforming"], first["telegrams"], first["meters"][0]["findings"]) == (True, 2, [])
    assert (second["conforming"], second["violations"]) == (False, 1)
    (finding,) = [one for one in second["meters"][0]["findings"] if one["rule"] == "missing_value"]
    assert finding["quirk"] == "Q12"
    assert finding["severity"] == "violation"
    assert bad.read_bytes()[finding["offset"]] == 0x01
    assert finding["count"] == 1


def test_all_findings(call: Call, bad: Path) -> None:
    """--all prints each finding as a sentence of its own."""
    shown = call("lint", "--all", bad)[1]
    assert "violation [Q12]: GetListResponse.val_list[0].value at byte" in shown


def test_only_so_many_telegrams(call: Call, good: Path) -> None:
    """-n ends the check after so many telegrams."""
    assert json.loads(call("lint", "--json", "-n", 1, good)[1])["telegrams"] >= 1


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "is empty"), (b"just a note", "not SML but text"), (telegram(1)[:50], "no whole")]
)
def test_what_cannot_be_checked(call: Call, tmp_path: Path, content: bytes, complaint: str) -> None:
    """A source without a readable telegram is an error, not a conforming meter."""
    path = tmp_path / "input"
    path.write_bytes(content)
    status, _, errors = call("lint", path)
    assert status == 1
    assert complaint in errors


async def test_a_live_meter() -> None:
    """A TCP meter is checked until it hangs up."""
    async with Broadcast("127.0.0.1", 0) as meter, command("lint", f"tcp://127.0.0.1:{meter.port}") as linter:
        await connected(meter)
        meter.send(telegram(1))
        await meter_hangs_up(meter)
        status, shown, _ = await finish(linter)
    assert status == 0
    assert "1 telegram, 0 violations" in shown


def test_the_documented_table_is_current(call: Call, shared: Path) -> None:
    """The table of real meters in docs/protocols/sml.md is what `messwerk lint --table` prints."""
    _, table, _ = call("lint", "--table", *sorted((shared / "captures").glob("*.bin")))
    assert table in DOCUMENT.read_text()
