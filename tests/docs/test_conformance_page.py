"""The conformance page must stay true: every claim names code and a test that exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
STATES = {"done", "partly", "not yet", "not applicable"}


def rows() -> list[list[str]]:
    """The cells of every table row: feature, source, state, where, proof."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and cells[0] != "feature" and not set(cells[0]) <= set("-: "):
            found.append(cells)
    return found


def in_backticks(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names_in(path: Path) -> set[str]:
    """Names of test functions and state machines in one file, classes included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return names | {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_page_has_rows_for_both_documents() -> None:
    """An emptied or renamed table would make every other check here pass silently."""
    text = PAGE.read_text(encoding="utf-8")
    assert len(rows()) >= 60
    assert "## E320" in text
    assert "## E750" in text


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:50])
def test_row_names_real_code_and_real_tests(row: list[str]) -> None:
    """A feature called done or partly done points at modules and tests that exist."""
    feature, source, state, where, proof = row
    assert source, f"{feature}: say which part of which document it comes from"
    assert state in STATES, f"{feature}: state is one of {sorted(STATES)}, not {state!r}"
    if state in {"not yet", "not applicable"}:
        return
    modules, proofs = in_backticks(where), in_backticks(proof)
    assert modules, f"{feature}: names no module"
    assert proofs, f"{feature}: names no test"
    for module in modules:
        assert importlib.util.find_spec(f"messwerk.{module}"), f"{feature}: no module messwerk.{module}"
    for name in proofs:
        file, _, test = name.partition("::")
        path = ROOT / "tests" / file
        assert path.is_file(), f"{feature}: no test file tests/{file}"
        assert not test or test in names_in(path), f"{feature}: tests/{file} has no {test}"
