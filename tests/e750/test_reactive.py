"""Reactive energy where there are harmonics: of the fundamental by default, by quarter-period shift as an option."""

from __future__ import annotations

import pytest

from e750_rack import Rack, central, leaves
from messwerk.e750 import object_names as names
from messwerk.errors import AttentionReceived
from messwerk.metrology.signals import Phasors, Reactive, synthesise
from messwerk.sml import Attention, Unsigned8

HOUR = 3600


def distorted(n: int) -> Phasors:
    """10 A at 60° lagging, with a fifth harmonic in voltage and current that are in phase with each other."""
    clean = Phasors.steady(n, i_a=(10.0, 10.0, 10.0), phi_deg=(60.0, 60.0, 60.0))
    return clean.with_harmonic(5, u_share=0.1, i_share=0.4 * (0.6 + 0.8j))


def test_both_definitions_against_the_waveform() -> None:
    """The shifted value is the mean of i(t) and u a quarter period before, as sampled; the other the fundamental's."""
    signals = distorted(1)
    u_v, i_a = synthesise(signals, 0)
    quarter = len(u_v) // 50 // 4
    delayed = u_v.take(range(-quarter, len(u_v) - quarter), axis=0, mode="wrap")
    sampled = (delayed * i_a).mean(axis=0)
    assert signals.powers(Reactive.SHIFTED).q_var[0] == pytest.approx(sampled, rel=1e-9)
    clean = Phasors.steady(1, i_a=(10.0, 10.0, 10.0), phi_deg=(60.0, 60.0, 60.0))
    assert signals.powers().q_var[0] == pytest.approx(clean.powers().q_var[0])
    assert abs(sampled - clean.powers().q_var[0]).max() > 10.0
    assert clean.powers(Reactive.SHIFTED).q_var[0] == pytest.approx(clean.powers().q_var[0])


def test_the_option_is_a_parameter(rack: Rack) -> None:
    """Set over the bus, it changes what R1 counts from then on, is logged, survives a restart, and has two values."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance_signals(distorted(HOUR))
    fundamental = module.registers.r1_mvars
    path = (names.SETTINGS, names.REACTIVE_METHOD)
    station = central(cm)
    with pytest.raises(AttentionReceived, match="0 to 1, not 2"):
        station.set(module.server_id, path, Unsigned8(2))
    assert station.set(module.server_id, path, Unsigned8(1)).attention_no == Attention.ACKNOWLEDGED.number
    assert leaves(station.get(module.server_id, *path)) == {names.REACTIVE_METHOD: 1}
    module.advance_signals(distorted(HOUR))
    shifted = module.registers.r1_mvars - fundamental
    expected = distorted(1).powers(Reactive.SHIFTED).q_sum_var[0] / distorted(1).powers().q_sum_var[0]
    assert shifted / fundamental == pytest.approx(expected, rel=1e-6)
    assert module.tick_signals(distorted(1)).r1_varh == pytest.approx(module.registers.r1_mvars / 360_000, abs=1)
    rack.pull_out(module)
    assert rack.base_module().reactive is Reactive.SHIFTED
