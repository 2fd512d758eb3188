"""What an E750 twin really sends is evidence, end to end over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e750_rack import Central, Rack, bm_id, key_of, powers
from messwerk import evidence, sml
from messwerk.e750 import object_names as names
from messwerk.evidence import Verdict


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    rack = Rack(tmp_path)
    yield rack
    rack.close()


def test_a_pull_through_the_communication_module_proves_itself(rack: Rack) -> None:
    """Identity, special tuples and profile of a base module in one file: every item is proven by its key."""
    communication, module = rack.communication_module(), rack.base_module()
    module.advance(powers(3 * 900))
    module.tick(powers(1))
    requests = (
        sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,)),
        sml.GetProcParameterRequest(parameter_tree_path=(names.SPECIAL_TUPLES,)),
        sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,)),
        sml.GetProfileListRequest(parameter_tree_path=(names.LOAD_PROFILE,)),
    )
    wire: list[bytes] = []

    def listening(request: bytes) -> bytes:
        wire.append(communication.session().receive(request))
        return wire[-1]

    Central(listening).ask(bm_id(1), *requests)
    report = evidence.examine(b"".join(wire))
    assert report.verdict is Verdict.PROVEN
    assert report.keys == (key_of(1).public,)
    titles = " ".join(finding.exhibit.title for finding in report.findings)
    assert "current tuple" in titles
    assert titles.count("profile row") == 6
