"""Firmware: signed, resumable, with a way back, written into a log nobody erases; measuring goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from e750_rack import Central, Rack, central, leaves, powers
from messwerk import sml
from messwerk.e750 import DIRECT, LAN, BaseModule, Event
from messwerk.e750 import object_names as names
from messwerk.e750.firmware import BLOCK_SIZE, BOOTS_TRIED, LEGAL_LOG_ENTRIES, Firmware, LegalLog, Manifest
from messwerk.errors import AttentionReceived, StoreDamaged
from messwerk.signing import Curve, PrivateKey
from messwerk.tuples import STATUS_FIRMWARE_CHANGED

MAKER = PrivateKey.from_seed(Curve.P256, b"maker")
IMAGE = bytes(range(256)) * 9 + b"end"
"""Five blocks, the last one short."""
BM_CLASS = bytes(DIRECT.device_class)


def manifest(version: int = 2, image: bytes = IMAGE, device_class: bytes = BM_CLASS, *, legal: bool = True) -> bytes:
    return Manifest.of(image, device_class, version, legally_relevant=legal).signed(MAKER)


def write(station: Central, server_id: bytes | None, name: bytes, value: object) -> None:
    station.set(server_id, (names.DOWNLOAD, name), value)


def block(number: int, image: bytes = IMAGE) -> bytes:
    return image[(number - 1) * BLOCK_SIZE : number * BLOCK_SIZE]


def send_block(station: Central, server_id: bytes | None, number: int, content: bytes | None = None) -> None:
    children = (
        sml.Tree(
            parameter_name=names.DOWNLOAD_BLOCK_NUMBER,
            parameter_value=sml.ValueParameter(sml.Unsigned32(number)),
        ),
        sml.Tree(
            parameter_name=names.DOWNLOAD_BLOCK_DATA,
            parameter_value=sml.ValueParameter(content or block(number)),
        ),
    )
    tree = sml.Tree(parameter_name=names.DOWNLOAD, child_list=children)
    request = sml.SetProcParameterRequest(parameter_tree_path=(names.DOWNLOAD,), parameter_tree=tree)
    station.ask(server_id, request).answer()


def progress(station: Central, server_id: bytes | None) -> tuple[int, int]:
    told = leaves(station.get(server_id, names.DOWNLOAD))
    return told[names.DOWNLOAD_LAST_GOOD], told[names.DOWNLOAD_BLOCKS]


def consenting(rack: Rack, number: int = 1) -> BaseModule:
    module = rack.base_module(number, download_key=MAKER.public)
    module.firmware.give_consent()
    return module


def test_a_base_module_is_updated_over_the_bus_while_it_measures(rack: Rack) -> None:
    """Download block by block through the communication module, activation at an index, events, log, status bit."""
    cm, module = rack.communication_module(), consenting(rack)
    station, server_id = central(cm), module.server_id
    write(station, server_id, names.DOWNLOAD_START, manifest())
    for number in range(1, 6):
        assert progress(station, server_id) == (number - 1, 5)
        send_block(station, server_id, number)
        module.tick(powers(1))
    station.set(server_id, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(8))
    ticks = [module.tick(powers(1)) for _ in range(4)]
    assert [bool(one.status & STATUS_FIRMWARE_CHANGED) for one in ticks] == [False, False, False, True]
    assert [one.index for one in ticks] == [6, 7, 8, 9]
    assert leaves(station.get(server_id, names.IDENTIFICATION))[names.FIRMWARE_VERSION] == b"2"
    request = sml.GetProfileListRequest(parameter_tree_path=(names.LEGAL_LOG,))
    (row,) = station.ask(server_id, request).answer()
    cells = {entry.obj_name: entry.value for entry in row.period_list}
    assert cells[names.EVENT] == Event.FIRMWARE_ACTIVATED
    assert cells[names.FIRMWARE_VERSION] == 2
    assert row.val_time == sml.SecIndex(8)


@pytest.mark.parametrize("killed_after", range(8))
def test_a_download_killed_anywhere_resumes_and_the_old_version_measures_on(rack: Rack, killed_after: int) -> None:
    """After each step the program ends: same index, same registers, old version, and the download goes on."""
    cm, module = rack.communication_module(), consenting(rack)
    station, server_id = central(cm), module.server_id
    steps = [lambda: write(station, server_id, names.DOWNLOAD_START, manifest())]
    steps += [lambda number=number: send_block(station, server_id, number) for number in range(1, 6)]
    steps += [lambda: station.set(server_id, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(0))]
    for step in steps[:killed_after]:
        step()
    before = module.tick(powers(1)) if killed_after < len(steps) else None
    rack.pull_out(module)
    module = rack.base_module(download_key=MAKER.public)
    if before is not None:
        assert module.firmware.version == 1
        assert module.tick(powers(1)).index == before.index + 1
    for step in steps[killed_after:]:
        step()
    module.tick(powers(1))
    assert module.firmware.version == 2


def test_the_last_block_repeated_after_a_kill_finishes_the_download(tmp_path: Path) -> None:
    """Killed after storing the last block and before checking the digest: sending it again completes."""
    firmware = Firmware(tmp_path, BM_CLASS, download_key=MAKER.public)
    firmware.begin(manifest())
    for number in range(1, 6):
        firmware.choose_block(number)
        if number == 5:
            firmware._write_block(number, block(number))
        else:
            firmware.store_block(block(number))
    firmware.close()
    again = Firmware(tmp_path, BM_CLASS, download_key=MAKER.public)
    again.begin(manifest())
    again.choose_block(5)
    again.store_block(block(5))
    again.activate(0)
    assert again.poll(1)
    again.close()


REFUSED = [
    ("not signed by the maker", Manifest.of(IMAGE, BM_CLASS, 2, legally_relevant=True).signed(
        PrivateKey.from_seed(Curve.P256, b"somebody")), "fe02"),
    ("for another kind of module", manifest(device_class=LAN.device_class), "fe09"),
    ("not newer", manifest(version=1), "fe09"),
    ("cut short", manifest()[:50], "fe02"),
    ("nonsense", b"x" * 40, "fe09"),
    ("a bit flipped", bytes([manifest()[0] ^ 1]) + manifest()[1:], "fe02"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "begun", "number"), REFUSED, ids=[what for what, _, _ in REFUSED])
def test_a_manifest_that_may_not_be_is_refused(rack: Rack, what: str, begun: bytes, number: str) -> None:
    """Authenticity, kind and version are checked before the first block is taken."""
    cm, module = rack.communication_module(), consenting(rack)
    station = central(cm)
    with pytest.raises(AttentionReceived) as refused:
        write(station, module.server_id, names.DOWNLOAD_START, begun)
    assert refused.value.number[-2:].hex() == number
    assert progress(station, module.server_id) == (0, 0)
    failures = leaves(station.get(module.server_id, names.DOWNLOAD_FAILURES))[names.DOWNLOAD_FAILURES]
    assert failures == (number == "fe02")


def test_a_legally_relevant_update_needs_a_hand_at_the_module(rack: Rack) -> None:
    """Without consent FE 02; what is not legally relevant needs none, and may go back a version."""
    cm, module = rack.communication_module(), rack.base_module(download_key=MAKER.public)
    station = central(cm)
    with pytest.raises(AttentionReceived, match="consent"):
        write(station, module.server_id, names.DOWNLOAD_START, manifest())
    write(station, module.server_id, names.DOWNLOAD_START, manifest(version=1, legal=False))
    assert progress(station, module.server_id) == (0, 5)


@pytest.mark.parametrize(("number", "size"), [(2, 512), (0, 512), (6, 512), (1, 511), (1, 513)])
def test_a_block_out_of_order_or_size_is_refused(rack: Rack, number: int, size: int) -> None:
    """The sender learns which block comes next; nothing is stored."""
    cm, module = rack.communication_module(), consenting(rack)
    station = central(cm)
    write(station, module.server_id, names.DOWNLOAD_START, manifest())
    with pytest.raises(AttentionReceived, match="FE 09"):
        send_block(station, module.server_id, number, bytes(size))
    assert progress(station, module.server_id) == (0, 5)


def test_an_image_with_another_digest_is_dropped(rack: Rack) -> None:
    """Blocks arrive whole but are not what was signed: checksum attention, counted, nothing to activate."""
    cm, module = rack.communication_module(), consenting(rack)
    station, forged = central(cm), IMAGE[:-1] + b"!"
    write(station, module.server_id, names.DOWNLOAD_START, manifest())
    for number in range(1, 5):
        send_block(station, module.server_id, number)
    with pytest.raises(AttentionReceived, match="FE 0B"):
        send_block(station, module.server_id, 5, block(5, forged))
    assert progress(station, module.server_id) == (0, 0)
    with pytest.raises(AttentionReceived, match="FE 0A"):
        station.set(module.server_id, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(0))


def downloaded(folder: Path, starts: list[bool], events: list[Event]) -> Firmware:
    firmware = Firmware(
        folder, BM_CLASS, download_key=MAKER.public, starts=lambda image: image == IMAGE and starts.pop(0),
        report=lambda event, details: events.append(event),
    )  # fmt: skip
    firmware.begin(manifest())
    for number in range(1, 6):
        firmware.choose_block(number)
        firmware.store_block(block(number))
    firmware.activate(100)
    return firmware


def test_a_version_that_does_not_start_gives_way_to_the_old_one(tmp_path: Path) -> None:
    """Three tries, then the old version goes on; both outcomes are in the log."""
    events: list[Event] = []
    firmware = downloaded(tmp_path / "bad", [False] * BOOTS_TRIED, events)
    assert not firmware.poll(99)
    assert not firmware.poll(100)
    assert firmware.version == 1
    assert [entry.event for entry in firmware.log.entries] == [Event.FIRMWARE_NOT_WORKING]
    firmware.close()
    firmware = downloaded(tmp_path / "late", [False, False, True], events)
    assert firmware.poll(100)
    assert firmware.version == 2
    firmware.close()
    assert events == [
        Event.FIRMWARE_UPLOADED, Event.FIRMWARE_NOT_WORKING, Event.FIRMWARE_UPLOADED, Event.FIRMWARE_ACTIVATED,
    ]  # fmt: skip


def test_starts_are_counted_over_kills(tmp_path: Path) -> None:
    """A version that kills its processor in starting is tried three times in all, not for ever."""
    tries = 0

    def dies(image: bytes) -> bool:
        nonlocal tries
        tries += 1
        raise KeyboardInterrupt

    firmware = downloaded(tmp_path, [], [])
    firmware.close()
    for _ in range(BOOTS_TRIED):
        firmware = Firmware(tmp_path, BM_CLASS, download_key=MAKER.public, starts=dies)
        with pytest.raises(KeyboardInterrupt):
            firmware.poll(100)
        firmware.close()
    firmware = Firmware(tmp_path, BM_CLASS, download_key=MAKER.public, starts=dies)
    assert not firmware.poll(100)
    assert (tries, firmware.version) == (BOOTS_TRIED, 1)
    firmware.close()


def test_the_legal_log_cannot_be_changed_unnoticed(tmp_path: Path) -> None:
    """A changed, removed or reordered line breaks the chain; a line torn by a kill is left out."""
    path = tmp_path / "log"
    log = LegalLog(path)
    for version in range(2, 6):
        log.add(version, Event.FIRMWARE_ACTIVATED, version - 1, version, bytes(32))
    log.close()
    good = path.read_bytes()
    lines = good.splitlines(keepends=True)
    for forged in (
        good.replace(b'"version": 3', b'"version": 9'), b"".join(lines[1:]), lines[1] + lines[0] + b"".join(lines[2:]),
        good.replace(b"{", b"[", 1),
    ):  # fmt: skip
        path.write_bytes(forged)
        with pytest.raises(StoreDamaged, match="keep it as evidence"):
            LegalLog(path)
    path.write_bytes(good + lines[3][:30])
    log = LegalLog(path)
    assert len(log.entries) == 4
    log.close()
    assert path.read_bytes() == good


def test_a_full_legal_log_ends_downloads(tmp_path: Path) -> None:
    """What can't be recorded may not happen."""
    firmware = Firmware(tmp_path, BM_CLASS, download_key=MAKER.public)
    for number in range(LEGAL_LOG_ENTRIES):
        firmware.log.add(number, Event.FIRMWARE_ACTIVATED, 1, 2, bytes(32))
    with pytest.raises(Exception, match="legal log is full"):
        firmware.begin(manifest())
    firmware.close()


def test_the_makers_key_is_set_once(rack: Rack) -> None:
    """A module without key takes one, and never another; a point off the curve is refused."""
    cm, module = rack.communication_module(), rack.base_module()
    station = central(cm)
    with pytest.raises(AttentionReceived, match="FE 0A"):
        write(station, module.server_id, names.DOWNLOAD_START, manifest())
    with pytest.raises(AttentionReceived, match="FE 09"):
        station.set(module.server_id, (names.DOWNLOAD_KEY,), bytes(64))
    station.set(module.server_id, (names.DOWNLOAD_KEY,), MAKER.public.point)
    with pytest.raises(AttentionReceived, match="FE 05"):
        station.set(module.server_id, (names.DOWNLOAD_KEY,), PrivateKey.from_seed(Curve.P256, b"x").public.point)
    assert leaves(station.get(module.server_id, names.DOWNLOAD_KEY))[names.DOWNLOAD_KEY] == MAKER.public.point


def test_a_communication_module_updates_itself_and_reboots(rack: Rack) -> None:
    """Remote upgrade of the CM: new version in its identity, upload and activation in its log book."""
    cm = rack.communication_module(download_key=MAKER.public)
    station = central(cm)
    write(station, None, names.DOWNLOAD_START, manifest(7, device_class=LAN.device_class, legal=False))
    for number in range(1, 6):
        send_block(station, None, number)
    station.set(None, (names.ACTIVATE_FIRMWARE,), sml.Unsigned32(0))
    cm.poll(1_700_000_000.0)
    assert leaves(station.get(None, names.IDENTIFICATION))[names.FIRMWARE_VERSION] == b"7"
    events = [entry.event for entry in cm.log.entries]
    assert {Event.FIRMWARE_UPLOADED, Event.FIRMWARE_ACTIVATED, Event.REBOOT} <= set(events)
