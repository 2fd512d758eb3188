"""The rack in the pytest plugin, used as a stranger would use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_a_head_end.py"


def test_the_documented_rack_example_passes(tmp_path: Path) -> None:
    """The example runs in a project of its own, with nothing but the installed package."""
    (tmp_path / EXAMPLE.name).write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "messwerk.fleet.pytest_plugin", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
