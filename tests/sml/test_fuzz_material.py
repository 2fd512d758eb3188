"""The files the fuzz driver works from are those the code would write today."""

from __future__ import annotations

from pathlib import Path

from messwerk.sml.binary import plan_text
from oracle.kinds import KINDS

FUZZ = Path(__file__).parents[2] / "rust" / "fuzz"
SEEDS = "".join(f"{kind.name}: {kind.stream.hex()}\n" for kind in KINDS)


def test_the_plan_of_the_fuzz_targets_is_the_declarations() -> None:
    """Rust is fuzzed with the types Python declares; `python tests/sml/test_fuzz_material.py` renews both files."""
    assert (FUZZ / "plan.txt").read_text(encoding="utf-8") == plan_text()


def test_the_seeds_are_the_synthetic_kinds() -> None:
    """Fuzzing begins with every kind of stream we know."""
    assert (FUZZ / "seeds.txt").read_text(encoding="utf-8") == SEEDS


if __name__ == "__main__":
    (FUZZ / "plan.txt").write_text(plan_text(), encoding="utf-8")
    (FUZZ / "seeds.txt").write_text(SEEDS, encoding="utf-8")
