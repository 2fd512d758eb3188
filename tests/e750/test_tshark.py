"""What the modules send is read by Wireshark's SML dissector: every message, nothing malformed.

The bytes go into a capture file written here, as TCP from the port of a communication module;
`tshark -d tcp.port==7259,sml` reads it.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from e750_rack import Rack, bm_id, powers
from messwerk import sml
from messwerk.e750 import Group
from messwerk.e750 import object_names as names
from messwerk.sml.session import SmlClient
from messwerk.tuples import SignedTuple

TSHARK = shutil.which("tshark")
PORT = 7259
SEGMENT_MAX = 60_000
LINKTYPE_RAW = 101

pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed here: `apt-get install tshark`")


def internet_checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def capture(frames: list[bytes]) -> bytes:
    """A pcap file in which 127.0.0.1:7259 sends each frame as one IP packet, or several in a row."""
    file = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, LINKTYPE_RAW))
    address, sequence = bytes((127, 0, 0, 1)), 1
    for number, frame in enumerate(frames):
        cuts = [*range(0, len(frame), SEGMENT_MAX), len(frame)]
        for begin, end in pairwise(cuts):
            tcp = struct.pack(">HHIIBBHHH", PORT, 40_000, sequence, 1, 5 << 4, 0x18, 65_535, 0, 0)
            sequence += end - begin
            total = 20 + len(tcp) + end - begin
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, number, 0, 64, 6, 0, address, address)
            ip = ip[:10] + internet_checksum(ip).to_bytes(2, "big") + ip[12:]
            file += struct.pack("<IIII", number, 0, total, total) + ip + tcp + frame[begin:end]
    return bytes(file)


def dissected(frames: list[bytes], folder: Path) -> list[dict[str, Any]]:
    """What tshark makes of each packet, as its JSON layers."""
    path = folder / "sml.pcap"
    path.write_bytes(capture(frames))
    assert TSHARK is not None
    command = [
        TSHARK,
        "-r",
        str(path),
        "-d",
        f"tcp.port=={PORT},sml",
        "-o",
        "sml.crc:TRUE",
        "-T",
        "json",
        "--no-duplicate-keys",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


def complaints(layers: object) -> Iterator[str]:
    """Every field by which Wireshark says that something is wrong."""
    if isinstance(layers, dict):
        for name, value in layers.items():
            if "malformed" in name or "unreassembled" in name or name == "_ws.expert":
                yield f"{name}: {json.dumps(value)[:300]}"
            yield from complaints(value)
    elif isinstance(layers, list):
        for value in layers:
            yield from complaints(value)


def words(layers: object) -> str:
    return json.dumps(layers)


class Ear:
    groups = frozenset({Group.TUPLES})
    server_id = bm_id(0xFFFF)

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def on_frame(self, frame: bytes, sender: object, group: Group | None) -> None:
        self.frames.append(frame)


@pytest.fixture
def spoken(rack: Rack) -> dict[str, bytes]:
    """One frame of each kind."""
    ear = Ear()
    rack.bus.attach(ear)
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(5000))
    module.tick(powers(1))
    session = cm.session()

    def answer(*requests: Any) -> bytes:
        client = SmlClient(b"client")
        return session.receive(client.request(module.server_id, requests, username="operator", password=b"secret"))

    push = cm.push_file(1.0)
    assert push is not None
    return {
        "announcement": ear.frames[0],
        "tuple": ear.frames[-1],
        "push": push,
        "special tuples": answer(sml.GetProcParameterRequest(parameter_tree_path=(names.SPECIAL_TUPLES,))),
        "identification": answer(sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,))),
        "settings": answer(sml.GetProcParameterRequest(parameter_tree_path=(names.SETTINGS,))),
        "monitoring": answer(sml.GetProcParameterRequest(parameter_tree_path=(names.MONITORING,))),
        "pack": answer(sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,))),
        "profile": answer(sml.GetProfileListRequest(parameter_tree_path=(names.LOAD_PROFILE,))),
        "list": answer(sml.GetListRequest(client_id=b"client")),
        "refusal": answer(sml.GetProcParameterRequest(parameter_tree_path=(bytes(6),))),
    }


KINDS = ("announcement", "tuple", "push", "special tuples", "identification", "settings", "monitoring", "pack",
         "profile", "list", "refusal")  # fmt: skip


def test_wireshark_finds_nothing_wrong(spoken: dict[str, bytes], tmp_path: Path) -> None:
    """Tuples, trees, both forms of the profile, lists and attentions: read to the end, no complaint."""
    assert tuple(spoken) == KINDS
    packets = dissected(list(spoken.values()), tmp_path)
    assert len(packets) == len(spoken)
    for kind, layers in zip(spoken, packets, strict=True):
        assert "sml" in layers, f"{kind}: {words(layers)[:500]}"
        assert list(complaints(layers)) == [], kind


def test_wireshark_reads_the_tuple(spoken: dict[str, bytes], tmp_path: Path) -> None:
    """Registers and both signatures stand in its fields as our key signed them; its checksums agree."""
    (frame,) = sml.FrameDecoder().receive(spoken["tuple"])
    assert isinstance(frame, sml.Frame)
    (signed,) = (
        SignedTuple.from_entry(message.body.parameter_tree.parameter_value.value)
        for message in sml.decode(frame.payload).messages
        if isinstance(message.body, sml.GetProcParameterResponse)
        and isinstance(message.body.parameter_tree.parameter_value, sml.TupelParameter)
    )
    (layers,) = dissected([spoken["tuple"]], tmp_path)
    for field, value in (("valuepA", signed.import_wh), ("valueR4", signed.r4_varh), ("valuemA", signed.export_wh)):
        assert f'"sml.{field}": "0x{value & (1 << 64) - 1:016x}"' in words(layers)
    for signature in (signed.signature_import, signed.signature_export):
        assert signature.hex(":") in words(layers)
    assert set(re.findall(r'"sml.crc.status": "(\d)"', words(layers))) == {"1"}


def test_wireshark_says_so_when_something_is_wrong(spoken: dict[str, bytes], tmp_path: Path) -> None:
    """The check above can fail: a tuple whose list is longer than told is complained about."""
    broken = spoken["tuple"].replace(b"\xf1\x07", b"\xf3\x0f", 1)
    assert broken != spoken["tuple"]
    (layers,) = dissected([broken], tmp_path)
    assert list(complaints(layers))
