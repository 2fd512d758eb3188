"""What every test may ask for: the recorded material beside the repository, and the oracles."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # `import oracle`: the slow readable twins of the Rust parts


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded material that lies beside a checkout; skips where it is absent."""
    folder = TESTS.parent.parent / "shared"
    if not (folder / "captures").is_dir():
        pytest.skip("the recorded captures lie in ../shared, which this machine does not have")
    return folder
