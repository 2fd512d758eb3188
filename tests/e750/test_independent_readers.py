"""What the modules send is read by decoders we did not write: libsml, SmlLib, pysml."""

from __future__ import annotations

import ctypes as c
import ctypes.util
from collections.abc import Iterator
from dataclasses import replace

import pytest
from smllib import SmlStreamReader

from e750_rack import Rack, bm_id, powers
from messwerk import sml
from messwerk.e750 import Group
from messwerk.e750 import object_names as names
from messwerk.sml.session import SmlClient
from messwerk.tuples import SignedTuple
from sml import SmlBase

LIBSML = ctypes.util.find_library("sml")


class Buffer(c.Structure):
    _fields_ = (
        ("buffer", c.POINTER(c.c_ubyte)), ("length", c.c_size_t), ("cursor", c.c_int), ("error", c.c_int),
        ("error_msg", c.c_char_p),
    )  # fmt: skip


class File(c.Structure):
    _fields_ = (("messages", c.c_void_p), ("messages_len", c.c_short), ("buf", c.POINTER(Buffer)))


def through_libsml(payload: bytes) -> bytes:
    """Parse a file with libsml and let it write what it understood (it unshortens every tag)."""
    library = c.CDLL(LIBSML)
    library.sml_file_parse.restype = c.POINTER(File)
    library.sml_file_parse.argtypes = (c.c_char_p, c.c_size_t)
    for name in ("sml_file_write", "sml_file_free"):
        getattr(library, name).argtypes = (c.POINTER(File),)
    room = payload + bytes(64)
    file = library.sml_file_parse(room, len(payload))
    buffer = file.contents.buf.contents
    assert buffer.error == 0
    assert buffer.cursor == len(payload), "libsml stopped early"
    growth = 2 * file.contents.messages_len
    larger = (c.c_ubyte * (len(payload) + growth + 64))()
    own = c.cast(buffer.buffer, c.c_void_p).value
    buffer.buffer, buffer.length, buffer.cursor = c.cast(larger, c.POINTER(c.c_ubyte)), len(larger), 0
    library.sml_file_write(file)
    written = bytes(larger[: buffer.cursor])
    buffer.buffer = c.cast(own, c.POINTER(c.c_ubyte))
    library.sml_file_free(file)
    return written


class Ear:
    groups = frozenset({Group.TUPLES})
    server_id = bm_id(0xFFFF)

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def on_frame(self, frame: bytes, sender: object, group: Group | None) -> None:
        self.frames.append(frame)


@pytest.fixture
def spoken(rack: Rack) -> Iterator[dict[str, bytes]]:
    """One frame of every kind the modules send, by name."""
    ear = Ear()
    rack.bus.attach(ear)
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(2000))
    module.tick(powers(1))
    push = cm.push_file(1.0)
    assert push is not None
    requests = [
        sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,)),
        sml.GetProcParameterRequest(parameter_tree_path=(names.SPECIAL_TUPLES,)),
        sml.GetProcParameterRequest(parameter_tree_path=(names.MONITORING,)),
        sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,)),
        sml.GetProfileListRequest(parameter_tree_path=(names.LOAD_PROFILE,)),
        sml.GetListRequest(client_id=b"client"),
        sml.GetProcParameterRequest(parameter_tree_path=(bytes(6),)),
    ]
    request = SmlClient(b"client").request(module.server_id, requests, username="operator", password=b"secret")
    yield {
        "announcement": ear.frames[0], "tuple": ear.frames[-1], "push": push, "request": request,
        "answer": cm.session().receive(request),
    }  # fmt: skip
    rack.bus.detach(ear)


def payload_of(frame: bytes) -> bytes:
    (received,) = sml.FrameDecoder(max_frame=1 << 20, strict=True).receive(frame)
    assert isinstance(received, sml.Frame)
    return received.payload


@pytest.mark.skipif(LIBSML is None, reason="libsml is not installed here")
@pytest.mark.parametrize("kind", ["announcement", "tuple", "push", "answer"])
def test_libsml_understands_every_element(spoken: dict[str, bytes], kind: str) -> None:
    """Parsed and written again by libsml, tuple entry and profile pack included, nothing is lost or changed."""
    payload = payload_of(spoken[kind])
    theirs = through_libsml(payload)
    for element in sml.outline(unshortened(payload)):
        wire = element.wire
        if element.type == "list" and element.length > 15:  # libsml's writer counts these one too high
            wire = bytes((0xF0 | element.length + 1 >> 4, element.length + 1 & 15))
        elif wire == b"\x42\x01":  # and writes true as FF
            wire = b"\x42\xff"
        found, theirs = theirs[: len(wire)], theirs[len(wire) :]
        checksum = element.depth == 1 and element.type == "unsigned" and element.length == 2
        assert found == wire or checksum, f"{element} became {found.hex(' ')}"
    assert theirs == b""


def unshortened(payload: bytes) -> bytes:
    """The same messages with four-byte tags, as libsml writes them."""
    messages = sml.decode(payload, strict=True).messages
    return sml.encode(replace(message, form=sml.MessageForm(tag_width=4)) for message in messages)


@pytest.mark.parametrize("kind", ["announcement", "tuple", "push", "request", "answer"])
def test_smllib_takes_every_frame(spoken: dict[str, bytes], kind: str) -> None:
    """SmlLib finds the frame and agrees with its checksum, whatever is in it."""
    reader = SmlStreamReader()
    reader.add(b"noise" + spoken[kind])
    frame = reader.get_frame()
    assert frame is not None
    assert bytes(frame.bytes) == payload_of(spoken[kind])


def test_smllib_reads_the_monitoring_list(spoken: dict[str, bytes]) -> None:
    """The current list is an ordinary list response: the same values as in our own reading."""
    reader = SmlStreamReader()
    reader.add(spoken["answer"])
    theirs = {entry.obis: (entry.value, entry.unit, entry.scaler) for entry in reader.get_frame().get_obis()}
    (ours,) = (
        message.body
        for message in sml.decode(payload_of(spoken["answer"])).messages
        if isinstance(message.body, sml.GetListResponse)
    )
    assert theirs == {entry.obj_name.hex(): (entry.value, entry.unit, entry.scaler) for entry in ours.val_list}
    assert len(theirs) >= 15


def test_pysml_reads_the_signed_tuple(spoken: dict[str, bytes]) -> None:
    """pysml walks the 23 elements: the values in it are those our key signed."""
    _, messages = SmlBase.parse_frame(spoken["tuple"])
    text = str(messages)
    (entry,) = (
        SignedTuple.from_entry(message.body.parameter_tree.parameter_value.value)
        for message in sml.decode(payload_of(spoken["tuple"])).messages
        if isinstance(message.body, sml.GetProcParameterResponse)
    )
    assert f"value={entry.import_wh}" in text
    assert f"value={entry.index}" in text
