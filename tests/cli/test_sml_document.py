"""The examples in docs/protocols/sml.md are what the bytes and the commands really say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import Call

from messwerk import sml
from messwerk.sml.lint import Linter
from messwerk.sml.messages import BODY_TAGS
from messwerk.sml.names import BODY_NAMES
from messwerk.sml.xml import to_xml

TEXT = (Path(__file__).parents[2] / "docs" / "protocols" / "sml.md").read_text()


def block(language: str) -> str:
    """The content of the one fenced block of this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example telegram of the document."""
    path = tmp_path / "example.bin"
    path.write_bytes(bytes.fromhex(block("hex")))
    return path


def test_the_telegram_is_what_the_commands_say(call: Call, file: Path) -> None:
    """Dump and JSON of the example stand in the document word for word."""
    assert call("dump", file) == (0, block("dump"), "")
    assert call("read", "--json", file) == (0, block("json"), "")


def test_the_telegram_conforms(file: Path) -> None:
    """The example shown to newcomers is one that the linter has nothing to say about."""
    linter = Linter()
    assert linter.receive(file.read_bytes()) + linter.close() == []
    assert linter.conforming


def test_the_xml_example(file: Path) -> None:
    """The XML example is the close message of the telegram."""
    (frame,) = sml.FrameDecoder().receive(file.read_bytes())
    assert isinstance(frame, sml.Frame)
    inside = "".join(to_xml([sml.decode(frame.payload).messages[-1:]]).split())
    assert "".join(block("xml").split()) in inside


@pytest.mark.parametrize(("wire", "words"), re.findall(r"^\| `([0-9a-f ]+)` \| (.*?) \|$", TEXT, re.MULTILINE))
def test_each_element_of_the_table(wire: str, words: str) -> None:
    """Each row of the table of elements is what the walk over its bytes finds."""
    octets = bytes.fromhex(wire)
    if words.startswith("list"):
        octets += b"\x01" * 30
    element = sml.outline(octets)[0]
    counted = "" if element.type in ("boolean", "end of message") else f" of {element.length}"
    assert words.startswith(f"{element.type}{counted}"), element
    if ": " in words:
        value = octets[len(octets) - element.length :]
        said = words.rpartition(": ")[2]
        if element.type == "octet string":
            assert value == said.encode()
        else:
            assert int.from_bytes(value, "big", signed=element.type == "integer") == int(said)


def test_every_body_is_listed_with_its_tag() -> None:
    """The table of messages knows every body, and gives its tag."""
    for name in BODY_NAMES.values():
        assert f"`{name}`" in TEXT
    for tag, cls in BODY_TAGS.items():
        assert f"`{BODY_NAMES[cls]}` {tag:04X}" in TEXT


def test_every_leniency_names_a_quirk_of_the_table() -> None:
    """A quirk number in the code leads to a row of the document."""
    for leniency in sml.Leniency:
        assert f"| {leniency.quirk} |" in TEXT
