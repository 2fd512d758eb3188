"""Ranges in UTC: translated where the communication module has synchronised time, refused where not."""

from __future__ import annotations

import pytest

from e750_rack import Rack, central, powers
from messwerk import sml
from messwerk.e750 import object_names as names
from messwerk.errors import AttentionReceived

ZERO_UTC = 1_780_000_000


def rows_between(rack: Rack, begin: sml.Timestamp | None, end: sml.Timestamp | None, *, synced: bool) -> list[int]:
    """Indexes a station gets for a UTC range, from a module whose index 0 was at ZERO_UTC."""
    cm, module = rack.communication_module(), rack.base_module()
    cm.sync_enabled = synced
    module.advance(powers(9 * 900 + 100))
    cm.poll(ZERO_UTC + module.seconds_index + 1)
    module.tick(powers(1))
    request = sml.GetProfilePackRequest(begin_time=begin, end_time=end, parameter_tree_path=(names.LOAD_PROFILE,))
    (body,) = central(cm).ask(module.server_id, request).answer()
    assert isinstance(body, sml.GetProfilePackResponse)
    return [int(row.val_time.value) for row in body.period_list]  # type: ignore[union-attr]


def test_a_range_in_utc(rack: Rack) -> None:
    """Both ends of the range count; the rows come back as they were signed, in seconds index."""
    begin, end = sml.Timestamp(ZERO_UTC + 1800), sml.Timestamp(ZERO_UTC + 3600)
    assert rows_between(rack, begin, end, synced=True) == [1800, 2700, 3600]


def test_a_range_from_before_the_first_second(rack: Rack) -> None:
    """Earlier than the module exists is from its beginning; an open end stays open."""
    assert rows_between(rack, sml.Timestamp(ZERO_UTC - 10**6), None, synced=True) == [900 * n for n in range(1, 10)]


def test_without_synchronised_time_it_is_refused(rack: Rack) -> None:
    """A module that does not know the time does not guess."""
    with pytest.raises(AttentionReceived, match="FE 0F"):
        rows_between(rack, sml.Timestamp(ZERO_UTC), None, synced=False)
