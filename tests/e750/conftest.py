"""Fixtures of the E750 tests; what they are made of stands in `e750_rack`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e750_rack import Rack


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    """An empty rack whose modules are closed in the end."""
    rack = Rack(tmp_path)
    yield rack
    rack.close()
