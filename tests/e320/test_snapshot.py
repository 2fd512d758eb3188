"""Snapshots: a restored meter goes on byte for byte as the original would have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.e320 import E320, FirmwareParameters, NonVolatile, RamMemory, UserSettings, Variant, restore, snapshot
from messwerk.e320.button import Press
from messwerk.errors import StoreDamaged
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers
from messwerk.metrology.accuracy import ErrorModel


def make(mode: Mode = Mode.TWO_WAY) -> E320:
    return E320(
        server_id=ServerId.parse("1LGZ0063539421"),
        variant=Variant(mode=mode),
        memory=RamMemory(),
        parameters=FirmwareParameters(pin_protection=False),
        settings=UserSettings(pin_on=False, extended=True),
        errors=ErrorModel.drawn(4, "A"),
    )


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(Mode),
    st.integers(0, 200_000),
    st.lists(st.sampled_from([*Press, "light", "dark", "cut", "back"]), max_size=6),
    st.integers(0, 2**32),
)
def test_goes_on_as_the_original(mode: Mode, seconds: int, deeds: list[object], seed: int) -> None:
    """At any moment, in any menu, mid-press or without mains: same telegrams and display from then on."""
    original = make(mode)
    original.advance(PhasePowers.constant(seconds + 1, (700.0, -200.0, 60.0), (100.0, 0.0, 0.0)))
    for deed in deeds:
        if isinstance(deed, Press):
            original.press(deed, 0.2)
        elif deed in ("light", "dark"):
            original.light(900.0 if deed == "light" else 0.0, 0.5)
        elif deed == "cut":
            original.cut_power()
        else:
            original.restore_power()
    copy = restore(snapshot(original))
    assert snapshot(copy) == snapshot(original)
    rng = np.random.default_rng(seed)
    for _ in range(8):
        second = PhasePowers(rng.normal(0, 500, (1, 3)), rng.normal(0, 100, (1, 3)), np.full((1, 3), 230.0))
        assert copy.tick(second) == original.tick(second)
        assert copy.display_state(0.3) == original.display_state(0.3)
    for meter in (original, copy):
        meter.cut_power()
        meter.restore_power()
    assert copy.seconds_index == original.seconds_index


def test_restored_into_a_folder(tmp_path: Path) -> None:
    """A snapshot can take over a folder; what it held before is replaced for good."""
    meter = make()
    meter.advance(PhasePowers.constant(500, (1000.0, 0.0, 0.0)))
    file = snapshot(meter)
    occupied = E320(server_id=meter.server_id, variant=Variant(), memory=NonVolatile(tmp_path))
    occupied.advance(PhasePowers.constant(9, (5.0, 0.0, 0.0)))
    occupied.close()
    restored = restore(file, NonVolatile(tmp_path))
    restored.tick(PhasePowers.constant(1, (1000.0, 0.0, 0.0)))
    restored.close()
    again = E320(server_id=meter.server_id, variant=Variant(), memory=NonVolatile(tmp_path))
    assert again.seconds_index == 502
    assert again.registers == restored.registers
    again.close()


DAMAGE = ["", "[]", "{}", "not json", "3"]


@pytest.mark.parametrize("text", DAMAGE)
def test_other_files_are_refused(text: str) -> None:
    """What is no snapshot is not taken for one."""
    with pytest.raises(StoreDamaged, match="not a snapshot"):
        restore(text.encode())


def test_changed_snapshots_are_refused() -> None:
    """An edited value, even a plausible one, breaks the digest."""
    content = json.loads(snapshot(make()))
    content["moment"]["uptime_s"] += 1
    with pytest.raises(StoreDamaged, match="changed since it was made"):
        restore(json.dumps(content).encode())
