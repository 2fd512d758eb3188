"""The fault catalogue: every fault can be seen from outside, is planned in TOML, and is recorded as truth."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.e320 import E320, RamMemory, UserSettings, Variant
from messwerk.e320.faults import CATALOGUE, FaultyMeter, PlannedFault, VoltageLevel, read_plan
from messwerk.e320.line_faults import BitFlips, Echo, HalfTelegram, LineFault, LostBytes, WrongBaud
from messwerk.errors import LocalError
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers

LOAD = ((1500.0, 400.0, 600.0), (300.0, 0.0, -50.0))


def make() -> E320:
    meter = E320(
        server_id=ServerId.parse("1LGZ0063539421"),
        variant=Variant(),
        memory=RamMemory(),
        settings=UserSettings(pin_on=False, extended=True),
    )
    meter.advance(PhasePowers.constant(60, *LOAD))
    return meter


EXAMPLES: dict[str, dict[str, Any]] = {  # parameters where the class has no defaults
    "phase_missing": {"phase": 1},
    "phases_swapped": {"first": 0, "second": 2},
    "voltage_missing": {"phase": 0},
    "current_missing": {"phase": 0},
    "current_reversed": {"phase": 0},
    "current_ratio": {"phase": 0, "factor": 0.5},
    "currents_swapped": {"first": 0, "second": 1},
    "bit_flips": {"rate": 0.05},
    "noise_burst": {"rate": 1.0},
    "half_telegram": {"rate": 1.0},
}


def observe(line: FaultyMeter, seconds: int) -> list[object]:
    """Everything an observer outside has: bytes, display, index."""
    seen: list[object] = []
    for _ in range(seconds):
        telegram = line.tick(PhasePowers.constant(1, *LOAD))
        seen.append((telegram, line.meter.display_state(0.1)))
    return seen


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_fault_can_be_seen(kind: str) -> None:
    """With each fault of the catalogue an observer sees something else than without it, and it is recorded."""
    lines: list[str] = []
    fault = CATALOGUE[kind](**EXAMPLES.get(kind, {}))
    faulty = FaultyMeter(make(), [PlannedFault(fault, 3, 5)], record=lines.append)
    before, during = observe(faulty, 3), observe(faulty, 5)
    sound = FaultyMeter(make())
    assert observe(sound, 3) == before
    assert observe(sound, 5) != during
    observe(faulty, 1)
    (truth,) = map(json.loads, lines)
    assert truth["meter"] == "0a014c475a0003c988dd"
    assert truth["type"] == kind
    assert truth["from"] == 63
    assert truth["to"] >= truth["from"]
    assert set(EXAMPLES.get(kind, {}).items()) <= set(truth["parameters"].items())


@pytest.mark.parametrize("kind", [kind for kind, cls in CATALOGUE.items() if hasattr(cls, "garble")])
def test_line_faults_never_forge_a_telegram(kind: str) -> None:
    """Whatever the line does, a reader gets only telegrams that were sent, and finds its way back afterwards."""
    faulty = FaultyMeter(make(), [PlannedFault(CATALOGUE[kind](), 0, 30)], seed=5)
    decoder = sml.FrameDecoder()
    sent, received = set(), []
    for _ in range(40):
        arrived = faulty.tick(PhasePowers.constant(1, *LOAD))
        sent.add(faulty.meter.seconds_index)
        received += [frame for frame in decoder.receive(arrived or b"") if isinstance(frame, sml.Frame)]
    for frame in received:
        body = sml.decode(frame.payload, strict=True).messages[1].body
        assert isinstance(body, sml.GetListResponse)
        assert isinstance(body.act_sensor_time, sml.SecIndex)
        assert body.act_sensor_time.value in sent
    assert len(received) >= 9


PLAN = """
[[fault]]
kind = "phase_missing"
phase = 2
start_s = 5
duration_s = 10

[[fault]]
kind = "bit_flips"
rate = 0.01
start_s = 8
duration_s = 20

[[fault]]
kind = "power_cut"
start_s = 30
duration_s = 40
"""


def test_plan_from_toml() -> None:
    """A scenario file gives the faults with their parameters and times."""
    plan = read_plan(PLAN)
    assert [(planned.kind, planned.start_s, planned.end_s) for planned in plan] == [
        ("phase_missing", 5, 15), ("bit_flips", 8, 28), ("power_cut", 30, 70),
    ]  # fmt: skip
    assert plan[0].parameters == {"phase": 2}
    assert read_plan("seed = 4") == ()


def test_equal_seed_equal_bytes() -> None:
    """The same plan and seed give the same bytes; another seed gives others."""
    runs = [observe(FaultyMeter(make(), read_plan(PLAN), seed=seed), 30) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_fast_forward_cuts_at_the_edges(blocks: list[int]) -> None:
    """Faults act in exactly their seconds, however the time is advanced."""
    stepped, forwarded = (FaultyMeter(make(), read_plan(PLAN)) for _ in range(2))
    for seconds in blocks:
        forwarded.advance(PhasePowers.constant(seconds, *LOAD))
    for _ in range(sum(blocks)):
        stepped.tick(PhasePowers.constant(1, *LOAD))
    assert stepped.meter.registers == forwarded.meter.registers
    assert stepped.meter.seconds_index == forwarded.meter.seconds_index
    assert stepped.meter.display_state() == forwarded.meter.display_state()


def test_faults_by_hand() -> None:
    """A fault injected from a panel begins with the next second and ends in time, or when cleared."""
    lines: list[str] = []
    faulty = FaultyMeter(make(), record=lines.append)
    faulty.inject(VoltageLevel(0.7), 3)
    observe(faulty, 1)
    assert [planned.kind for planned in faulty.active] == ["voltage_level"]
    assert faulty.meter.status_word & 0x1C0000 == 0x1C0000  # 161 V: still above 0.6 Un
    observe(faulty, 3)
    assert faulty.active == ()
    faulty.inject(VoltageLevel(0.5), 3)
    observe(faulty, 1)
    assert faulty.meter.status_word & 0x1C0000 == 0
    faulty.clear()
    observe(faulty, 1)
    assert faulty.meter.status_word & 0x1C0000 == 0x1C0000
    assert len(lines) == 2


REFUSED = [
    ("[[fault]\n", "not valid TOML"),
    ("fault = 3", "stand in tables"),
    ('[[fault]]\nkind = "fire"', "fault 1 has kind 'fire'; known are phase_missing"),
    ('[[fault]]\nkind = "phase_missing"', "needs phase"),
    ('[[fault]]\nkind = "phase_missing"\nphase = 3', "phases are 0, 1 and 2"),
    ('[[fault]]\nkind = "phase_missing"\nphase = "L1"', "phase cannot be 'L1'"),
    ('[[fault]]\nkind = "crash"\nfazse = 1', "has no 'fazse'; it has kind, start_s"),
    ('[[fault]]\nkind = "crash"\nduration_s = 0', "lasts at least 1 s"),
    ('[[fault]]\nkind = "crash"\nstart_s = true', "start_s cannot be True"),
    ('[[fault]]\nkind = "memory_damage"\narea = "rom"', "memory has the areas state"),
    ('[[fault]]\nkind = "device_error"\nerror = "FIRE"', "no error 'FIRE'"),
]


@pytest.mark.parametrize(("toml", "reason"), REFUSED)
def test_bad_plans_are_refused(toml: str, reason: str) -> None:
    """A mistake in a scenario is named with its fault and with what may stand there."""
    with pytest.raises(LocalError, match=reason):
        read_plan(toml)


@given(st.binary(max_size=400), st.integers(0, 1000), st.floats(0.4, 2.5))
def test_line_faults_take_any_bytes(content: bytes, seed: int, ratio: float) -> None:
    """No line fault fails on any content; each keeps what it promises about length."""
    rng = Random(seed)
    assert len(BitFlips(0.5).garble(content, rng)) == len(content)
    assert len(LostBytes(0.5).garble(content, rng)) <= len(content)
    assert content.startswith(HalfTelegram(1.0).garble(content, rng))
    assert Echo().garble(content, rng) == content * 2
    assert WrongBaud(1.0).garble(content, rng) == content
    assert len(WrongBaud(ratio).garble(content, rng)) <= 3 * len(content) + 1


def test_small_baud_errors_are_harmless() -> None:
    """A UART tolerates 3 % and fails at half the rate."""
    content = bytes(range(256))
    for ratio in (0.97, 1.03):
        assert WrongBaud(ratio).garble(content, Random(0)) == content
    fault: LineFault = WrongBaud(0.5)
    assert fault.garble(content, Random(0)) != content
