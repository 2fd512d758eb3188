"""Instantaneous values: each quantity by its name, unit and sign, as tree and as list."""

from __future__ import annotations

import math

import numpy as np
import pytest

from e750_rack import Rack, central, powers
from messwerk import sml
from messwerk.e750 import object_names as names
from messwerk.e750.monitoring import instantaneous
from messwerk.errors import AttentionReceived
from messwerk.metrology import PhasePowers


def shown(load: PhasePowers) -> dict[bytes, float]:
    return {value.name: value.raw * 10**value.scaler for value in instantaneous(load, 50.02)}


def test_a_resistive_load_on_three_phases() -> None:
    """Powers, currents and voltages of each phase; symmetric currents leave none in the neutral."""
    values = shown(PhasePowers.constant(1, (2300, 2300, 2300)))
    assert values[names.POWER] == 6900
    assert [values[name] for name in names.CURRENT_PHASES] == [10, 10, 10]
    assert [values[name] for name in names.VOLTAGE_PHASES] == [230, 230, 230]
    assert values[names.CURRENT_NEUTRAL] == 0
    assert (values[names.ANGLE_U2_U1], values[names.ANGLE_U3_U1]) == (240, 120)
    assert [values[name] for name in names.ANGLE_CURRENTS] == [0, 0, 0]
    assert values[names.FREQUENCY] == pytest.approx(50.02)


def test_angles_tell_inductive_capacitive_and_export() -> None:
    """An inductive current lags (330°), a capacitive one leads (30°), an exported one stands opposite (180°)."""
    q = 1000 * math.tan(math.radians(30))
    values = shown(PhasePowers.constant(1, (1000, 1000, -1000), (q, -q, 0)))
    assert [values[name] for name in names.ANGLE_CURRENTS] == pytest.approx([330, 30, 180])


def test_the_neutral_carries_what_does_not_cancel() -> None:
    """One phase alone returns through the neutral, two equal phases add to one at 60°."""
    assert shown(PhasePowers.constant(1, (2300, 0, 0)))[names.CURRENT_NEUTRAL] == pytest.approx(10)
    assert shown(PhasePowers.constant(1, (2300, 2300, 0)))[names.CURRENT_NEUTRAL] == pytest.approx(10)


def test_a_phase_without_voltage_or_current_has_no_angle() -> None:
    """An angle of nothing would be noise: the entry is left out."""
    values = shown(PhasePowers.constant(1, (2300, 0, 0), u_v=(230, 0, 230)))
    assert names.ANGLE_U2_U1 not in values
    assert names.ANGLE_CURRENTS[0] in values
    assert names.ANGLE_CURRENTS[2] not in values


def test_a_reversed_field_swaps_the_voltage_angles() -> None:
    """L2 leads L1 when two phases are swapped."""
    load = PhasePowers.constant(1, (1, 1, 1))
    swapped = PhasePowers(load.p_w, load.q_var, load.u_v, np.array([True]))
    values = shown(swapped)
    assert (values[names.ANGLE_U2_U1], values[names.ANGLE_U3_U1]) == (120, 240)


def test_the_station_reads_them_as_tree_and_as_list(rack: Rack) -> None:
    """The same values through the bus in both shapes, with units; a list of another name is refused."""
    cm, module = rack.communication_module(), rack.base_module()
    module.tick(powers(1))
    station = central(cm)
    tree = station.get(module.server_id, names.MONITORING)
    entries = [child.parameter_value.value for child in tree.child_list]
    asked = sml.GetListRequest(client_id=b"c", list_name=names.CURRENT_LIST)
    (body,) = station.ask(module.server_id, asked).answer()
    assert [(e.obj_name, e.unit, e.scaler, e.value) for e in entries] == [
        (e.obj_name, e.unit, e.scaler, e.value) for e in body.val_list
    ]
    assert body.act_sensor_time == sml.SecIndex(1)
    (alone,) = station.ask(
        module.server_id, sml.GetProcParameterRequest(parameter_tree_path=(names.MONITORING, names.POWER))
    ).answer()
    assert alone.parameter_tree.parameter_value.value == entries[0]
    with pytest.raises(AttentionReceived, match="FE 0A"):
        station.ask(module.server_id, sml.GetListRequest(client_id=b"c", list_name=bytes(6))).answer()


def test_before_the_first_second_there_is_nothing_to_show(rack: Rack) -> None:
    """A module that has measured nothing answers with an empty list, not with invented zeros."""
    cm, module = rack.communication_module(), rack.base_module()
    (body,) = central(cm).ask(module.server_id, sml.GetListRequest(client_id=b"c")).answer()
    assert body.val_list == ()


def test_ratios_can_be_set_where_there_are_transformers(rack: Rack) -> None:
    """A direct module refuses (FE 05), a transformer module keeps them over a restart and reports the change."""
    from messwerk.e750 import MEDIUM_VOLTAGE_6A
    from messwerk.tuples import STATUS_PARAMETER_CHANGED

    cm = rack.communication_module()
    direct, medium = rack.base_module(1), rack.base_module(2, variant=MEDIUM_VOLTAGE_6A)
    station = central(cm)
    path = (names.SETTINGS, names.CT_RATIO)
    with pytest.raises(AttentionReceived, match="FE 05"):
        station.set(direct.server_id, path, sml.Unsigned32(100))
    station.set(medium.server_id, path, sml.Unsigned32(400))
    station.set(medium.server_id, (names.SETTINGS, names.VT_RATIO), sml.Unsigned32(200))
    with pytest.raises(AttentionReceived, match="FE 09"):
        station.set(medium.server_id, path, sml.Unsigned32(0))
    assert medium.tick(powers(1)).status & STATUS_PARAMETER_CHANGED
    rack.pull_out(medium)
    again = rack.base_module(2, variant=MEDIUM_VOLTAGE_6A)
    assert (again.ct_ratio, again.vt_ratio) == (400, 200)
