"""HDLC frames: every published frame both ways, and hostile bytes that must end somewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.identity import ServerId
from messwerk.lmn.addressing import Record, broadcast, records
from messwerk.lmn.hdlc import (
    GATEWAY,
    INFORMATION_MAX,
    Address,
    BadInformation,
    Broadcast,
    Frame,
    FrameDecoder,
    Kind,
    control,
    kind_of,
)

EMH = ServerId(bytes.fromhex("0a01454d4800004af1fd"))
RECORDED = "7ea02b020374031325193a190a01454d4800004af1fd000000000a01454d4800004af1fd000000000000b3887e"


def command(station: int, selector: int, kind: Kind) -> Frame:
    return Frame(Address(station, selector), Address(GATEWAY, selector), control(kind))


PUBLISHED = [
    (
        RECORDED,
        Frame(Address(1, 1), Address(0x3A, 1), 0x13, Record(0x3A, 25, EMH).to_bytes()),
        "answer of a real meter",
    ),
    ("7ea009fe030203 13842a7e", broadcast(Broadcast.ALLOCATION, []), "allocation while no meter is known"),
    ("7ea009740302039371687e", command(0x3A, 1, Kind.SET_NORMAL_RESPONSE_MODE), "SNRM for TLS"),
    (
        "7ea00902037403 7315f77e",
        Frame(Address(1, 1), Address(0x3A, 1), control(Kind.UNNUMBERED_ACKNOWLEDGE)),
        "UA back",
    ),
    ("7ea009740d020d93235c7e", command(0x3A, 6, Kind.SET_NORMAL_RESPONSE_MODE), "SNRM for the key exchange"),
    ("7ea009740302031 16bcf7e".replace(" ", ""), command(0x3A, 1, Kind.RECEIVE_READY), "RR"),
]


@pytest.mark.parametrize(("wire", "frame", "why"), PUBLISHED, ids=[row[2] for row in PUBLISHED])
def test_published_frames_both_ways(wire: str, frame: Frame, why: str) -> None:
    """Every published frame is written and read byte for byte, whole and byte by byte."""
    octets = bytes.fromhex(wire)
    assert frame.to_bytes() == octets
    assert FrameDecoder().receive(octets) == [frame]
    decoder = FrameDecoder()
    assert [found for octet in octets for found in decoder.receive(bytes([octet]))] == [frame]
    assert (decoder.frames, decoder.bytes_skipped) == (1, 0)


def test_address_check_has_the_published_checksums() -> None:
    """The address check of one listed meter begins and ends with the published checksums."""
    octets = broadcast(Broadcast.CHECK, [Record(0x3A, 1, EMH)]).to_bytes()
    assert octets.hex().startswith("7ea02bfe05020513f8b83a01")
    assert octets.hex().endswith("f9a27e")
    assert records(octets[10:-3]) == [Record(0x3A, 1, EMH)]


KINDS = [
    (0x93, Kind.SET_NORMAL_RESPONSE_MODE), (0x53, Kind.DISCONNECT), (0x73, Kind.UNNUMBERED_ACKNOWLEDGE),
    (0x1F, Kind.DISCONNECTED_MODE), (0x97, Kind.FRAME_REJECT), (0x13, Kind.UNNUMBERED_INFORMATION),
    (0xB5, Kind.RECEIVE_NOT_READY), (0xF1, Kind.RECEIVE_READY), (0x32, Kind.INFORMATION),
]  # fmt: skip


@pytest.mark.parametrize(("octet", "kind"), KINDS)
def test_control_octets(octet: int, kind: Kind) -> None:
    """Each control octet is known by its kind, with numbers and poll bit put back where they were."""
    assert kind_of(octet) is kind
    frame = Frame(Address(2, 1), Address(1, 1), octet)
    numbered = kind in (Kind.INFORMATION, Kind.RECEIVE_READY, Kind.RECEIVE_NOT_READY)
    receive = frame.receive_number if numbered else 0
    assert control(kind, receive=receive, send=frame.send_number, final=frame.final) == octet


def test_unknown_control_octets_stay_unknown() -> None:
    """What the table does not define is not taken for something else."""
    known = sum(kind_of(octet) is not Kind.UNKNOWN for octet in range(256))
    assert known == 128 + 2 * 8 * 2 + 6 * 2  # I, RR and RNR, six unnumbered ones with and without poll
    assert kind_of(0x09) is Kind.UNKNOWN


frames = st.builds(
    Frame,
    *[st.builds(Address, st.integers(0, 0x7F), st.integers(0, 0x7F))] * 2,
    st.integers(0, 255),
    st.binary(max_size=300) | st.just(b"\x7e" * 40) | st.just(bytes(INFORMATION_MAX)),
)


@given(st.lists(frames, max_size=4), st.integers(1, 40), st.binary(max_size=30).filter(lambda junk: 0x7E not in junk))
def test_any_frames_in_any_pieces(sent: list[Frame], piece: int, junk: bytes) -> None:
    """Frames are found whatever their content, however cut, with noise before them counted."""
    stream = junk + b"".join(frame.to_bytes() for frame in sent)
    decoder = FrameDecoder()
    found = [frame for at in range(0, len(stream), piece) for frame in decoder.receive(stream[at : at + piece])]
    assert found == sent
    assert decoder.bytes_skipped == len(junk)


@given(frames, frames)
def test_frames_may_share_a_flag(first: Frame, second: Frame) -> None:
    """One flag may close a frame and open the next."""
    stream = first.to_bytes() + second.to_bytes()[1:]
    assert FrameDecoder().receive(stream) in ([first, second], [first])  # a lone closing flag is not kept over pieces
    decoder = FrameDecoder()
    assert decoder.receive(stream + second.to_bytes())[-1] == second


@given(frames, st.data())
def test_one_damaged_byte_is_never_taken(frame: Frame, data: st.DataObject) -> None:
    """A frame with one wrong byte is silence, or a header whose information is asked for again."""
    octets = bytearray(frame.to_bytes())
    place = data.draw(st.integers(1, len(octets) - 2))
    octets[place] ^= data.draw(st.integers(1, 255))
    for found in FrameDecoder().receive(bytes(octets) + bytes(2100)):
        assert isinstance(found, BadInformation)
        assert place > 9
        assert found.header.control == frame.control


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_hostile_bytes_are_bounded(pieces: list[bytes]) -> None:
    """Whatever comes, at most one frame's bytes wait; a silence clears even those."""
    decoder = FrameDecoder()
    for piece in pieces:
        decoder.receive(b"\x7e\xa7\xff" + piece)
        assert len(decoder._buffer) <= 2048 + 203
    decoder.reset()
    assert not decoder.waiting


def test_limits_are_told() -> None:
    """More information than a frame holds is a mistake of ours, not a frame nobody can read."""
    with pytest.raises(ValueError, match="2036"):
        Frame(Address(2, 1), Address(1, 1), 0x10, bytes(INFORMATION_MAX + 1))
