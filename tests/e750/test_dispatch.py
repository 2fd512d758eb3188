"""Firmware handed on by the communication module: to modules of every class, over kills, refused where it must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from e750_rack import Central, Rack, bm_id, central, leaves, powers
from messwerk import sml
from messwerk.e750 import Bus, CommunicationModule, Event, NetworkNode, PulseModule
from messwerk.e750 import object_names as names
from messwerk.e750.dispatch import ATTEMPTS_MAX, BLOCKS_PER_FILE
from messwerk.e750.firmware import BLOCK_SIZE, Manifest
from messwerk.e750.network_node import DEVICE_CLASS as NODE_CLASS
from messwerk.e750.pulse_module import DEVICE_CLASS as PULSE_CLASS
from messwerk.errors import AttentionReceived
from messwerk.signing import Curve, PrivateKey

MAKER = PrivateKey.from_seed(Curve.P256, b"maker")
IMAGE = bytes(range(256)) * 200
"""A hundred blocks: four files on the bus."""
BLOCKS = len(IMAGE) // BLOCK_SIZE


def write(station: Central, name: bytes, value: Any) -> None:
    station.set(None, (names.DEPOT, name), value)


def fill_depot(station: Central, device_class: bytes, *, legal: bool = False) -> None:
    """Bring an image to the communication module, block by block."""
    manifest = Manifest.of(IMAGE, device_class, 2, legally_relevant=legal)
    write(station, names.DOWNLOAD_START, manifest.signed(MAKER))
    for number in range(1, BLOCKS + 1):
        children = tuple(
            sml.Tree(parameter_name=name, parameter_value=sml.ValueParameter(value))
            for name, value in (
                (names.DOWNLOAD_BLOCK_NUMBER, sml.Unsigned32(number)),
                (names.DOWNLOAD_BLOCK_DATA, IMAGE[(number - 1) * BLOCK_SIZE : number * BLOCK_SIZE]),
            )
        )
        tree = sml.Tree(parameter_name=names.DEPOT, child_list=children)
        station.ask(None, sml.SetProcParameterRequest(parameter_tree_path=(names.DEPOT,), parameter_tree=tree)).answer()


def module_of(rack: Rack) -> CommunicationModule:
    return rack.communication_module(download_key=MAKER.public)


def polled(cm: CommunicationModule, times: int) -> None:
    for _ in range(times):
        cm.poll((cm.now or 0.0) + 1.0)


def events(cm: CommunicationModule) -> list[int]:
    return [entry.event for entry in cm.log.entries]


@pytest.fixture
def others() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pulse_module(rack: Rack, number: int, others: ExitStack) -> PulseModule:
    module = PulseModule(bm_id(100 + number), rack.bus, rack.folder / f"im{number}", download_key=MAKER.public)
    others.callback(module.close)
    return module


def test_one_image_goes_to_every_pulse_module(rack: Rack, others: ExitStack) -> None:
    """Taken once, sent on to all of its class over a kill in the middle, activated, written into the legal log."""
    cm, base = module_of(rack), rack.base_module()
    pulses = [pulse_module(rack, number, others) for number in range(2)]
    fill_depot(central(cm), PULSE_CLASS)
    write(central(cm), names.DISPATCH, b"")
    polled(cm, 2)
    assert pulses[0].firmware.last_good == BLOCKS_PER_FILE
    rack.pull_out(cm)
    cm = module_of(rack)
    polled(cm, 12)
    assert [pulse.firmware.last_good for pulse in pulses] == [BLOCKS, BLOCKS]
    assert events(cm).count(Event.DISPATCHED) == 2
    assert cm.dispatcher.waiting == []
    for pulse in pulses:
        central(cm).set(pulse.server_id, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(3))
    versions = []
    for _ in range(4):
        base.tick(powers(1))
        versions.append(pulses[0].firmware.version)
    assert versions == [1, 1, 2, 2]
    told = leaves(central(cm).get(pulses[1].server_id, names.IDENTIFICATION))
    assert told[names.FIRMWARE_VERSION] == b"2"
    request = sml.GetProfileListRequest(parameter_tree_path=(names.LEGAL_LOG,))
    assert len(central(cm).ask(pulses[0].server_id, request).answer()) == 1


def test_a_network_node_is_updated(rack: Rack, others: ExitStack) -> None:
    """By hand at the service interface: the node takes the image over the bus it bridges and goes on bridging."""
    cm = module_of(rack)
    at_the_device = Central(cm.service_session().receive)
    node = NetworkNode(bm_id(200), folder=rack.folder / "node", download_key=MAKER.public)
    others.callback(node.close)
    far = Bus()
    node.connect(1, rack.bus)
    node.connect(2, far)
    fill_depot(at_the_device, NODE_CLASS)
    write(at_the_device, names.DISPATCH, bytes(node.server_id))
    polled(cm, 6)
    central(cm).set(node.server_id, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(0))
    node.tick()
    assert node.firmware is not None
    assert node.firmware.version == 2
    base = rack.base_module(1, bus=far)
    assert base.server_id in cm.devices.devices


def test_the_receiver_has_the_last_word(rack: Rack) -> None:
    """A legally relevant image without consent at the base module is refused there; the log book says why."""
    cm = module_of(rack)
    base = rack.base_module(download_key=MAKER.public)
    fill_depot(central(cm), bytes(base.variant.device_class), legal=True)
    write(central(cm), names.DISPATCH, bytes(base.server_id))
    polled(cm, 2)
    assert events(cm)[-1] == Event.DISPATCH_FAILED
    assert "consent" in cm.log.entries[-1].details
    assert base.firmware.version == 1


def test_what_cannot_be_sent_on_is_refused(rack: Rack) -> None:
    """An empty depot, a stranger, an image that is not the maker's; a receiver that vanished is given up."""
    cm, base = module_of(rack), rack.base_module(download_key=MAKER.public)
    station = central(cm)
    with pytest.raises(AttentionReceived, match="no whole image"):
        write(station, names.DISPATCH, b"")
    forged = Manifest.of(IMAGE, PULSE_CLASS, 2, legally_relevant=False).signed(PrivateKey.from_seed(Curve.P256, b"x"))
    with pytest.raises(AttentionReceived, match="FE 02"):
        write(station, names.DOWNLOAD_START, forged)
    fill_depot(station, bytes(base.variant.device_class))
    with pytest.raises(AttentionReceived, match="FE 03"):
        write(station, names.DISPATCH, bytes(bm_id(77)))
    write(station, names.DISPATCH, bytes(base.server_id))
    base.cut_power()
    polled(cm, ATTEMPTS_MAX)
    assert events(cm)[-1] == Event.DISPATCH_FAILED
    assert cm.dispatcher.waiting == []
