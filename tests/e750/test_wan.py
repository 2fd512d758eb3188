"""LAN, GPRS, PSTN: what each communication module is, allows, and does when its link breaks."""

from __future__ import annotations

import pytest

from e750_rack import Rack, acknowledgement, central, leaves, powers
from messwerk import sml
from messwerk.e750 import GPRS, LAN, PSTN, WAN_VARIANTS, Event, WanVariant
from messwerk.e750 import object_names as names
from messwerk.errors import AttentionReceived

NOW = 1_700_000_000.0


@pytest.mark.parametrize("variant", WAN_VARIANTS, ids=[variant.name for variant in WAN_VARIANTS])
def test_each_variant_names_its_class_and_has_its_own_trees(rack: Rack, variant: WanVariant) -> None:
    """Classes 46, 47, 48; network settings only with a LAN, push operations only where it may push."""
    cm = rack.communication_module(variant=variant)
    station = central(cm)
    told = leaves(station.get(None, names.IDENTIFICATION))
    assert told[names.DEVICE_CLASS][4] == {LAN: 0x48, GPRS: 0x47, PSTN: 0x46}[variant]
    for root, there in ((names.LAN_SETTINGS, variant is LAN), (names.PUSH_OPERATIONS, variant.pushes)):
        if there:
            station.get(None, root)
        else:
            with pytest.raises(AttentionReceived, match="FE 0A"):
                station.get(None, root)


def test_the_telephone_module_only_answers(rack: Rack) -> None:
    """Pull only: it never has a push file, and loses nothing by it."""
    cm, module = rack.communication_module(variant=PSTN), rack.base_module()
    module.advance(powers(2000))
    module.tick(powers(1))
    assert cm.push_file(NOW) is None
    assert cm.push.tuples_lost == 0
    request = sml.GetProfileListRequest(parameter_tree_path=(names.LOAD_PROFILE,))
    assert len(central(cm).ask(module.server_id, request).answer()) == 2


def test_a_radio_link_that_breaks_holds_the_push_and_nothing_is_lost(rack: Rack) -> None:
    """Down: no file, status bit, log; up again: everything not acknowledged comes, with the field strength shown."""
    cm, module = rack.communication_module(variant=GPRS), rack.base_module()
    cm.poll(NOW)
    module.advance(powers(1000))
    assert cm.push_file(NOW) is not None
    cm.link_changed(False)
    module.advance(powers(1000))
    assert cm.push_file(NOW + 100) is None
    station = central(cm)
    assert leaves(station.get(None, names.STATUS_WORD))[names.STATUS_WORD] & 1 << 11
    cm.link_changed(True, -71)
    told = leaves(station.get(None, names.WAN_STATUS))
    assert (told[names.LINK_UP], told[names.FIELD_STRENGTH]) == (True, -71)
    rows = []
    while (file := cm.push_file(NOW + 100)) is not None:
        (frame,) = sml.FrameDecoder(max_frame=65536).receive(file)
        bodies = [message.body for message in sml.decode(frame.payload).messages]
        rows += [body.val_time.value for body in bodies if isinstance(body, sml.GetProfileListResponse)]
        cm.push_received(acknowledgement(file))
    assert rows == [900, 1800]
    events = [entry.event for entry in cm.log.entries]
    assert events.count(Event.LINK_LOST) == events.count(Event.LINK_RETURNED) == 1
