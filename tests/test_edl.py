"""What EDL40 meters hash, byte by byte, and how it is read from their lists."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import edl, sml
from messwerk.edl import BasicValue, ExtendedValue, IsaValue, SignedValue, read_list
from messwerk.errors import DecodeError, InvalidSignature
from messwerk.signing import Curve, PrivateKey

SERVER = bytes.fromhex("09014d53570000001234")
KEY = PrivateKey.from_seed(Curve.P256, b"edl")

BASIC = BasicValue(
    server_id=SERVER, time=0x01020304, status=0x88, obis=edl.SIGNED_IMPORT, unit=30, scaler=-1, value=123456,
    log_index=b"\x06\x00",
)  # fmt: skip
EXTENDED = ExtendedValue(
    server_id=SERVER, time=0x60FA9E60, status=0x88, seconds_index=17679320, pagination=4480, obis=edl.SIGNED_IMPORT,
    unit=30, scaler=-1, value=314940, log_index=b"\x01\xa6", contract_id=b"\x04\x73\xa4", contract_time=0x60FA9E57,
    compensation_base=1, compensated=2, line_resistance=3, stop_watch=4, price=0x1234,
)  # fmt: skip
ISA = IsaValue(
    server_id=SERVER, time=0x5F32456F, status=0x18, obis=edl.TOTAL_IMPORT, unit=30, scaler=-1, value=-2,
    log_index=b"\x00\xa4", value_signature=b"\x55" * 66, contract_id=b"abc", start_time=0x5F324417, esth=b"\x66" * 20,
    start_status=0x19, start_obis=edl.ISA_START, start_unit=30, start_scaler=-1, start_value=5,
    list_name=bytes.fromhex("8180816202ff"), pagination=24,
)  # fmt: skip

BASIC_BLOCK = (
    "09014d53570000001234" "04030201" "88" "0100011100ff" "1e" "ff" "40e2010000000000" "0600" + "00" * 15
)  # fmt: skip
EXTENDED_BLOCK = (
    "09014d53570000001234" "609efa60" "88" "d8c30d01" "80110000" "0100011100ff" "1e" "ff" "3cce040000000000" "01a6"
    "0473a4" + "00" * 125 + "579efa60" "0100000000000000" "0200000000000000" "0300" "04000000" "1234" + "00" * 123
)  # fmt: skip
ISA_BLOCK = (
    "09014d53570000001234" "6f45325f" "18" "0100010800ff" "1e" "ff" "feffffffffffffff" "00a4" + "55" * 66
    + "616263" + "00" * 125 + "1744325f" + "66" * 20 + "19" "010001080080" "1e" "ff" "0500000000000000"
    "8180816202ff" "18000000" + "00" * 42
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "block"),
    [(BASIC, BASIC_BLOCK), (EXTENDED, EXTENDED_BLOCK), (ISA, ISA_BLOCK)],
    ids=["basic", "extended", "isa"],
)
def test_blocks_byte_by_byte(value: edl.EdlValue, block: str) -> None:
    """Order, byte order and padding of each layout, written out by hand."""
    assert value.block == bytes.fromhex(block)


def test_blocks_are_read_back() -> None:
    """signedMeterValue containers carry the block itself: its fields must be what they were."""
    assert BasicValue.from_block(BASIC.block) == BASIC
    assert ExtendedValue.from_block(EXTENDED.block) == EXTENDED
    for wrong in (BASIC.block[:-1], BASIC.block[:-1] + b"\x01", b""):
        with pytest.raises(DecodeError, match="basic EDL40 block"):
            BasicValue.from_block(wrong)
    with pytest.raises(DecodeError, match="extended EDL40 block"):
        ExtendedValue.from_block(EXTENDED.block[:-1] + b"\x01")


@settings(max_examples=60, deadline=None)
@given(value=st.sampled_from([BASIC, EXTENDED, ISA]), at=st.integers(0, 319), flip=st.integers(1, 255))
def test_any_changed_byte_of_a_block_fails(value: edl.EdlValue, at: int, flip: int) -> None:
    """Whatever byte is changed, the signature no longer fits."""
    block = bytearray(value.block)
    signature = KEY.sign(bytes(block))
    KEY.public.verify(bytes(block), signature)
    block[at % len(block)] ^= flip
    with pytest.raises(InvalidSignature):
        KEY.public.verify(bytes(block), signature)


@pytest.mark.parametrize("value", [BASIC, EXTENDED, ISA], ids=["basic", "extended", "isa"])
def test_every_field_is_in_the_block(value: Any) -> None:
    """No field may be shown as signed that is not hashed: changing any one changes the block."""
    for field in fields(value):
        old = getattr(value, field.name)
        new = old[:-1] + bytes([old[-1] ^ 1]) if isinstance(old, bytes) else old + 1
        assert replace(value, **{field.name: new}).block != value.block, field.name


def entry(name: bytes, value: object, **more: Any) -> sml.ListEntry:
    return sml.ListEntry(obj_name=name, value=value, **more)


def extended_list(**changes: Any) -> sml.GetListResponse:
    """The list of an EDL40 meter that carries EXTENDED, without the entries set to None."""
    local = sml.LocalTimestamp(timestamp=EXTENDED.time - 7200, local_offset=60, season_time_offset=60)
    entries = {
        "register": entry(
            EXTENDED.obis, sml.Integer64(314940), status=sml.Unsigned32(0xFFFFFF88), val_time=local, unit=30, scaler=-1
        ),
        "seconds": entry(edl.SECONDS_INDEX, sml.TimeValue(sml.SecIndex(17679320))),
        "pagination": entry(edl.PAGINATION, sml.Unsigned32(4480)),
        "contract": entry(
            edl.CONTRACT_ID, b"\x04\x73\xa4", val_time=sml.Timestamp(EXTENDED.contract_time)
        ),
        "base": entry(edl.COMPENSATION_BASE, sml.Integer64(1)),
        "compensated": entry(edl.COMPENSATED, sml.Integer64(2)),
        "resistance": entry(edl.LINE_RESISTANCE, sml.Unsigned16(3)),
        "watch": entry(edl.STOP_WATCH, sml.Unsigned32(4)),
        "price": entry(edl.PRICE, sml.Unsigned16(0x1234)),
    } | changes  # fmt: skip
    return sml.GetListResponse(
        server_id=SERVER, val_list=tuple(one for one in entries.values() if one is not None),
        list_signature=bytes(48) + b"\x01\xa6",
    )  # fmt: skip


def test_a_list_gives_the_value_it_signs() -> None:
    """Local time is UTC plus both offsets; of the status word only the low byte counts."""
    assert read_list(extended_list()) == [SignedValue(EXTENDED, bytes(48))]


def test_an_fnn_status_word_is_mapped() -> None:
    """Newer meters send the 32-bit word of the FNN and hash the old byte made of it."""
    register = entry(
        EXTENDED.obis, sml.Integer64(1), status=sml.Unsigned32(0x8001_0104), val_time=sml.SecIndex(1), unit=30, scaler=0
    )
    (signed,) = read_list(extended_list(register=register, version=entry(edl.VERSION, sml.Unsigned8(4))))
    assert signed.value.status == 0b1001_1000
    assert [edl.edl_status(1 << bit) for bit in (17, 31, 16, 11, 9, 8, 0, 2)] == [1, 8, 16, 32, 64, 128, 0, 0]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"register": None}, "1-0:1.8.0"),
        ({"contract": None}, "contract ID"),
        ({"pagination": None}, "pagination"),
        ({"seconds": None}, "seconds index"),
        ({"pagination": entry(edl.PAGINATION, b"x")}, "pagination.*value"),
        ({"pagination": entry(edl.PAGINATION, sml.Integer8(-1))}, "pagination.*value"),
        ({"contract": entry(edl.CONTRACT_ID, bytes(129), val_time=sml.SecIndex(1))}, "contract ID.*value"),
        ({"contract": entry(edl.CONTRACT_ID, b"x")}, "contract ID.*val_time"),
        ({"register": entry(EXTENDED.obis, sml.Integer64(1), unit=30, scaler=0)}, "status"),
        ({"register": entry(EXTENDED.obis, sml.Integer64(1), status=sml.Unsigned8(0), unit=27, scaler=0)}, "unit"),
        ({"register": entry(EXTENDED.obis, sml.Integer64(1), status=sml.Unsigned8(0), unit=30)}, "scaler"),
        ({"register": entry(EXTENDED.obis, True, status=sml.Unsigned8(0), unit=30, scaler=0)}, "value"),
        ({"price": entry(edl.PRICE, sml.Unsigned32(70000))}, "price"),
    ],
)  # fmt: skip
def test_what_a_signed_list_lacks_is_named(changes: dict[str, Any], path: str) -> None:
    """A block that cannot be put together is never guessed at."""
    with pytest.raises(DecodeError, match=path):
        read_list(extended_list(**changes))


def test_server_ids_and_times_that_do_not_fit_are_refused() -> None:
    """struct would cut a long server ID silently and raise on a large time."""
    with pytest.raises(DecodeError, match="server_id"):
        read_list(replace(extended_list(), server_id=SERVER + b"x"))
    late = sml.LocalTimestamp(timestamp=2**32 - 1, local_offset=60, season_time_offset=0)
    with pytest.raises(DecodeError, match="four bytes"):
        edl.wall_clock(late)


def test_lists_without_signature_sign_nothing() -> None:
    """An INFO telegram is no evidence."""
    assert read_list(replace(extended_list(), list_signature=None)) == []


def test_signature_and_log_index_are_split() -> None:
    """r || s fills 48 or 64 bytes; two more are the log index, else the last two are hashed as such."""
    assert edl.split_signature(bytes(48) + b"ab") == (bytes(48), b"ab")
    assert edl.split_signature(bytes(64) + b"ab") == (bytes(64), b"ab")
    assert edl.split_signature(bytes(46) + b"ab") == (bytes(46) + b"ab", b"ab")
