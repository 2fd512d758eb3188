"""The user's page: its pictures are what the code draws, its commands exist, its program runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from messwerk.cli.e320 import app
from messwerk.e320 import DisplayState, Variant
from messwerk.e320.faceplate import Faceplate
from messwerk.e320.faults import CATALOGUE
from messwerk.identity import DeviceId
from messwerk.panels import lcd
from messwerk.signing import Curve, PrivateKey

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "e320.md").read_text(encoding="utf-8")


def faceplate() -> str:
    device = DeviceId.parse("1LGZ0063539421")
    key = PrivateKey.from_seed(Curve.P256, device.compact.encode()).public
    return Faceplate(device, Variant(), key, 2026).svg()


def display() -> str:
    state = DisplayState(
        upper_code="1.8.0",
        upper_value="007349",
        upper_unit="kWh",
        lower_code="P",
        lower_value="-1500",
        lower_unit="W",
        symbols=frozenset({"L1", "L2", "L3", "-A", "arrow_left", "INFO"}),
        disk=2,
    )
    return lcd.svg(lcd.segments(state), label=lcd.spoken(state))


@pytest.mark.parametrize(("name", "draw"), [("e320-faceplate.svg", faceplate), ("e320-display.svg", display)])
def test_pictures_are_current(name: str, draw: object) -> None:
    """The page shows what the code draws today."""
    assert callable(draw)
    drawn = draw()
    assert (DOCS / "images" / name).read_text(encoding="utf-8") == drawn, "draw it again: the code has changed"


def test_commands_and_options_exist() -> None:
    """Every subcommand and option the page names is known to the program."""
    runner = CliRunner()
    helps = {}
    for line in re.findall(r"^messwerk e320 (.+)$", PAGE, re.MULTILINE):
        command = line.split()[0]
        helps[command] = runner.invoke(app, [command, "--help"], env={"COLUMNS": "300"}, terminal_width=300).output
        for option in re.findall(r"--[a-z-]+", line):
            assert option in helps[command], f"{command} has no {option}"
    assert set(helps) == {"run", "press", "show", "snapshot", "tell", "testbench", "faceplate"}
    for option in re.findall(r"^\| (`--.+?) \|", PAGE, re.MULTILINE):
        for name in re.findall(r"--[a-z-]+", option):
            assert name in helps["run"], f"run has no {name}"


def test_every_fault_is_on_the_page() -> None:
    """The catalogue on the page is the catalogue of the code."""
    table = PAGE.split("| where | kinds |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(CATALOGUE)


def test_the_program_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python of the page does what it says."""
    (program,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"folder": tmp_path}
    exec(program, names)  # noqa: S102 (our own page)
    assert capsys.readouterr().out.split()[0] == "000039"
    telegram = names["telegram"]
    assert isinstance(telegram, bytes)
    assert len(telegram) == 276
