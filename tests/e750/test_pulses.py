"""Pulse outputs: the number of pulses is the energy, under gaps, restarts, replacement and forgery."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e750_rack import Rack, bm_id, central, key_of, leaves
from messwerk import sml
from messwerk.e750 import BaseModule, Group
from messwerk.e750 import object_names as names
from messwerk.e750.bus_service import tuple_file
from messwerk.e750.pulse_module import OUTPUTS, PulseModule, PulseSecond
from messwerk.e750.pulses import BACKLOG_MAX_S, CATCH_UP_S, LENGTH_MS, PAUSE_MS, Channel
from messwerk.errors import AttentionReceived
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.tuples import STATUS_FATAL, SignedTuple

IM_ID = ServerId.parse("00:15:11:00:00:45")
MOST = 1000 // (LENGTH_MS + PAUSE_MS)


# --- one channel ---------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 100)), min_size=1, max_size=80),
    st.integers(1, 100_000),
    st.sampled_from([-3, -1, 0, 1]),
    st.integers(30, 500),
)
def test_pulses_given_and_owed_are_the_energy_to_the_last_one(
    steps: list[tuple[int, int]], per_kwh: int, scaler: int, length_ms: int
) -> None:
    """Exact integers: pulses/K equals the register difference to less than one pulse, at any rate."""
    channel, value, given_out = Channel(), 0, 0
    channel.feed(0, per_kwh, scaler, 1)
    for energy, seconds in steps:
        value += energy
        assert channel.feed(value, per_kwh, scaler, seconds)
        given_out += len(channel.give(length_ms))
    exact = value * per_kwh * 10.0**scaler / 1000
    assert channel.total == given_out
    assert channel.total + channel.owed <= exact + 1e-9 < channel.total + channel.owed + 1 + 1e-9


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 500), st.integers(1, 60))
def test_pulses_of_a_second_fit_into_it(owed: int, length_ms: int, spread_s: int) -> None:
    """Even spacing, at least 30 ms pulse and 30 ms pause, the last one ends within the second."""
    channel = Channel(last_value=0, owed=owed, spread_s=spread_s)
    starts = channel.give(length_ms)
    assert all(later - earlier >= length_ms + PAUSE_MS for earlier, later in itertools.pairwise(starts))
    assert not starts or starts[-1] + length_ms + PAUSE_MS <= 1000
    assert channel.owed + len(starts) == owed


def test_the_first_reading_makes_no_burst_and_a_backward_one_is_ignored() -> None:
    """A register of years is no energy of this second."""
    channel = Channel()
    assert channel.feed(10**9, 500, -1, 1)
    assert channel.give(LENGTH_MS) == []
    assert not channel.feed(10**9 - 1, 500, -1, 1)
    assert channel.feed(10**9 + 20, 500, -1, 1)
    assert channel.give(LENGTH_MS) == [0]


def test_the_energy_of_a_gap_is_spread() -> None:
    """Ten missed minutes come within a minute, evenly, not all at once."""
    channel = Channel(last_value=0)
    channel.feed(610 * 20, 500, -1, 600)
    counts = [len(channel.give(LENGTH_MS)) for _ in range(CATCH_UP_S)]
    assert sum(counts) == 610
    assert set(counts) == {10, 11}


def test_an_overload_is_reported_and_nothing_dropped() -> None:
    """More energy than the output can count: it lags behind and says so."""
    channel = Channel(last_value=0)
    channel.feed(20 * MOST * (BACKLOG_MAX_S + 2), 500, -1, 1)
    assert channel.overloaded(LENGTH_MS)
    while channel.owed:
        channel.give(LENGTH_MS)
    assert channel.total == MOST * (BACKLOG_MAX_S + 2)


# --- the module on the bus -----------------------------------------------------------------


def load(n: int, seed: int = 1) -> PhasePowers:
    rng = np.random.default_rng(seed)
    return PhasePowers(rng.normal(0, 20_000, (n, 3)), rng.normal(0, 9_000, (n, 3)), np.full((n, 3), 230.0))


def pulse_module(rack: Rack, **options: object) -> PulseModule:
    module = PulseModule(IM_ID, rack.bus, rack.folder / "im", **options)
    rack.open.append(module)
    return module


def totals(seconds: list[PulseSecond]) -> list[int]:
    return [sum(len(second.pulses[channel]) for second in seconds) for channel in range(len(OUTPUTS))]


def expected(first: SignedTuple, last: SignedTuple, per_kwh: int) -> list[int]:
    return [(getattr(last, name) - getattr(first, name)) * per_kwh // 10_000 for name in OUTPUTS]


def test_it_configures_itself_and_counts_the_energy(rack: Rack) -> None:
    """Plugged in beside a base module: constant and key read over the bus, every pulse accounted for."""
    rack.communication_module()
    pulses = pulse_module(rack)
    module = rack.base_module()
    made = [module.tick(load(1, seed)) for seed in range(40)]
    seconds = pulses.take()
    assert pulses.source == module.server_id
    assert pulses.constants == {"active": 500, "reactive": 500}
    assert [second.index for second in seconds] == [one.index for one in made]
    for found, wanted in zip(totals(seconds), expected(made[0], made[-1], 500), strict=True):
        assert abs(found - wanted) <= 1
    assert sum(totals(seconds)) > 20


def test_the_period_output_switches_at_each_boundary(rack: Rack) -> None:
    """One second for each tuple with SOI, and no other."""
    pulses, module = pulse_module(rack), rack.base_module(period_s=60)
    for _ in range(130):
        module.tick(load(1))
    assert [second.index for second in pulses.take() if second.period] == [60, 120]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["tick", "tick", "tick", "miss", "forge", "restart", "advance"]), max_size=30))
def test_the_invariant_holds_under_gaps_restarts_and_forgeries(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Whatever happens between the first and the last good tuple: pulses/K = energy, to one pulse."""
    rack = Rack(tmp_path_factory.mktemp("pulses"))
    pulses, module = pulse_module(rack), rack.base_module()
    first = last = module.tick(load(1))
    seconds = pulses.take()
    for number, step in enumerate([*steps, *["tick"] * 3]):
        if step == "tick":
            last = module.tick(load(1, number))
        elif step == "miss":
            rack.bus.detach(pulses)
            module.tick(load(1, number))
            rack.bus.attach(pulses)
        elif step == "advance":
            module.advance(load(50, number))
        elif step == "forge":
            forged = replace(module.sign(module.current), index=module.seconds_index + 1, import_wh=10**12)
            pulses.on_frame(tuple_file(module, forged), module.server_id, Group.TUPLES)
        else:
            seconds += pulses.take()
            rack.pull_out(pulses)
            pulses = pulse_module(rack)
    seconds += pulses.take()
    owed = [channel.owed for channel in pulses.channels.values()]
    for found, wanted in zip(
        [made + due for made, due in zip(totals(seconds), owed, strict=True)],
        expected(first, last, 500),
        strict=True,
    ):
        assert abs(found - wanted) <= 1
    assert pulses.invalid_signatures == 0 or "forge" in steps
    rack.close()


def test_a_forged_tuple_moves_no_output(rack: Rack) -> None:
    """A signature that does not fit is counted; the outputs hold, the next good tuple catches up."""
    pulses, module = pulse_module(rack), rack.base_module()
    one = module.tick(load(1))
    pulses.take()
    forged = replace(one, index=one.index + 1, import_wh=one.import_wh + 10**6)
    pulses.on_frame(tuple_file(module, forged), module.server_id, Group.TUPLES)
    assert pulses.take() == []
    assert pulses.invalid_signatures == 1


def test_a_base_module_in_fault_holds_the_outputs(rack: Rack) -> None:
    """Fatal error or self-test fault in the status word: its values are not trusted."""
    pulses, module = pulse_module(rack), rack.base_module()
    module.tick(load(1))
    pulses.take()
    module.latch(STATUS_FATAL)
    module.tick(load(1))
    assert pulses.take() == []
    assert pulses.held == 1


def test_a_replaced_base_module_starts_from_its_own_reading(rack: Rack) -> None:
    """Another meter with other registers: no burst, the key is read anew, what was owed stays owed."""
    pulses, old = pulse_module(rack), rack.base_module(1)
    for seed in range(10):
        old.tick(load(1, seed))
    pulses.take()
    rack.pull_out(old)
    new = rack.base_module(2)
    new.advance(load(5000))
    new.tick(load(1))
    assert pulses.take() == [], "bound to the old one"
    owed = [channel.owed for channel in pulses.channels.values()]
    pulses.bind(new.server_id)
    assert pulses.key == key_of(2).public
    first = new.tick(load(1, 1))
    last = new.tick(load(1, 2))
    for found, wanted, due in zip(totals(pulses.take()), expected(first, last, 500), owed, strict=True):
        assert wanted - 1 <= found <= wanted + due + 1


def test_the_constant_can_be_set_by_hand(rack: Rack) -> None:
    """Over the station and the bus: manual constant and pulse length with their ranges, zero brings automatic back."""
    cm, pulses, module = rack.communication_module(), pulse_module(rack), rack.base_module()
    pulses.announce()
    module.tick(load(1))
    station = central(cm)
    told = leaves(station.get(IM_ID, names.IDENTIFICATION))
    assert told[names.DEVICE_CLASS].hex() == "8181c78245ff"
    station.set(IM_ID, (names.PULSE_SETTINGS, names.PULSE_ACTIVE), sml.Unsigned32(1000))
    assert leaves(station.get(IM_ID, names.PULSE_SETTINGS))[names.PULSE_ACTIVE] == 1000
    for value in (29, 501):
        with pytest.raises(AttentionReceived, match="FE 09"):
            station.set(IM_ID, (names.PULSE_SETTINGS, names.PULSE_LENGTH), sml.Unsigned16(value))
    station.set(IM_ID, (names.PULSE_SETTINGS, names.PULSE_LENGTH), sml.Unsigned16(100))
    assert (pulses.constants["active"], pulses.length_ms, pulses.manual) == (1000, 100, True)
    station.set(IM_ID, (names.PULSE_SETTINGS, names.PULSE_ACTIVE), sml.Unsigned32(0))
    assert (pulses.constants["active"], pulses.manual) == (500, False)


def test_other_modules_do_not_count_as_base_modules(rack: Rack) -> None:
    """A pulse module is listed and reachable but takes none of the 32 places and is not pushed from."""
    cm = rack.communication_module()
    pulse_module(rack)
    assert [device.server_id for device in cm.devices.active()] == [IM_ID]
    assert cm.devices.base_modules() == []
    assert cm.push_file(1.0) is None


def test_noise_does_not_reach_the_outputs(rack: Rack) -> None:
    """Frames of any content from anybody: no pulses, no crash."""
    pulses = pulse_module(rack)
    for noise in (b"", b"\x1b" * 40, sml.frame(b""), sml.frame(bytes(50))):
        for group in (None, Group.TUPLES, Group.COMMANDS):
            pulses.on_frame(noise, bm_id(1), group)
    assert pulses.take() == []
    assert isinstance(rack.base_module(), BaseModule)
