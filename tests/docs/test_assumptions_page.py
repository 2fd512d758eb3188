"""The page of assumptions must name what the code really has, and every choice the code marks."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "assumptions.md"
SOURCES = ROOT / "src" / "messwerk"


def named() -> list[str]:
    """Every constant the page names, like `e750.push.BACK_OFF_S`."""
    return re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_page_is_not_empty() -> None:
    """An emptied page would make the other checks pass silently."""
    assert len(named()) > 50
    assert len(set(named())) == len(named())


@pytest.mark.parametrize("name", named())
def test_constant_exists(name: str) -> None:
    """A renamed or removed constant must take its row along."""
    module, _, constant = name.rpartition(".")
    assert hasattr(importlib.import_module(f"messwerk.{module}"), constant)


def test_every_module_with_a_marked_choice_is_on_the_page() -> None:
    """A choice marked [design] in the code is explained on the page."""
    modules = {name.rpartition(".")[0] for name in named()}
    for path in SOURCES.rglob("*.py"):
        if "[design" in path.read_text(encoding="utf-8"):
            module = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
            assert module in modules, f"{module} marks a choice [design]; add its row to docs/assumptions.md"
