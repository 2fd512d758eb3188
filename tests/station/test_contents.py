"""What a batch says: every message a module sends, and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk import sml
from messwerk.station.contents import read
from messwerk.tuples import SignedTuple
from station_meters import INFO_METER, SigningMeter, file, flip, info_telegram

METER = SigningMeter()


def row_message(row: SignedTuple, *, utc: int | None = None) -> sml.Body:
    """A pushed profile row, one message of its own."""
    pack = METER.pack_body([row])
    entries = [
        sml.PeriodEntry(obj_name=header.obj_name, unit=header.unit, scaler=header.scaler, value=cell.value)
        for header, cell in zip(pack.header_list, pack.period_list[0].value_list, strict=True)
    ]
    if utc is not None:
        entries.append(
            sml.PeriodEntry(obj_name=bytes.fromhex("010000090b00"), unit=7, scaler=0, value=sml.Unsigned32(utc))
        )
    return sml.GetProfileListResponse(
        server_id=METER.server_id, act_time=sml.SecIndex(0), reg_period=900,
        parameter_tree_path=(bytes.fromhex("0100630100ff"),), val_time=sml.SecIndex(row.index), status=row.status,
        period_list=tuple(entries),
    )  # fmt: skip


def test_a_tuple_comes_out_as_it_went_in() -> None:
    """Current tuple, profile pack and pushed row all give the very tuple that was signed."""
    rows = METER.rows(METER.utc(0), 3)
    assert read(METER.push(rows)).tuples == rows
    assert read(METER.pack(rows)).tuples == rows
    assert read(file(1, METER.server_id, [row_message(row) for row in rows])).tuples == rows
    for found in read(METER.pack(rows)).tuples:
        found.verify(METER.key.public)


def test_identity_times_and_dated_rows() -> None:
    """Key, seconds index of the answer, and a row that carries UTC."""
    contents = read(METER.identity())
    assert [one.public_key for one in contents.identities] == [METER.key.public.point]
    assert read(METER.answer(123)).ref_times == [(METER.server_id, 123)]
    dated = read(file(1, METER.server_id, [row_message(METER.tuple_at(900), utc=METER.utc(900))]))
    assert dated.dated_rows == [(METER.server_id, 900, METER.utc(900))]


def test_an_info_telegram_is_an_unsigned_reading() -> None:
    """Registers, status, power and index of a base meter without signature."""
    (reading,) = read(info_telegram(77, 1234, 56, -300)).readings
    assert (reading.server_id, reading.index, reading.import_wh, reading.export_wh) == (INFO_METER, 77, 1234, 56)
    assert (reading.scaler, reading.status, reading.power_w) == (-1, 0x1C0104, -300.0)


def test_a_row_that_cannot_be_verified_is_a_problem() -> None:
    """A pack without its signature columns yields no tuple and says why."""
    pack = METER.pack_body(METER.rows(METER.utc(0), 1))
    cut = sml.GetProfilePackResponse(
        server_id=pack.server_id, act_time=pack.act_time, reg_period=900, parameter_tree_path=pack.parameter_tree_path,
        header_list=pack.header_list[:3],
        period_list=tuple(
            sml.ProfObjPeriodEntry(val_time=row.val_time, status=row.status, value_list=row.value_list[:3])
            for row in pack.period_list
        ),
    )  # fmt: skip
    contents = read(file(1, METER.server_id, [cut]))
    assert contents.tuples == []
    assert "signature_import" in contents.problems[0]


def test_a_flipped_bit_with_good_checksums_is_still_a_tuple() -> None:
    """Only the signature can tell: the altered tuple is read, and does not verify."""
    signed = METER.tuple_at(900)
    (found,) = read(flip(METER.push([signed]), signed)).tuples
    assert found.import_wh == signed.import_wh ^ 1
    with pytest.raises(Exception, match="import group"):
        found.verify(METER.key.public)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_raising(noise: bytes) -> None:
    """Noise, alone or around a good frame, is counted and harms nothing."""
    read(noise)
    contents = read(noise + METER.push([METER.tuple_at(900)]))
    assert contents.tuples == [METER.tuple_at(900)] or contents.problem_count


@given(st.data())
def test_damaged_files_are_read_without_raising(data: st.DataObject) -> None:
    """Files that pass the frame's checksum but hold altered messages give problems, not exceptions."""
    decoder = sml.FrameDecoder(max_frame=1 << 20)
    (frame,) = decoder.receive(METER.pack(METER.rows(METER.utc(0), 2)))
    assert isinstance(frame, sml.Frame)
    payload = bytearray(frame.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    read(sml.frame(bytes(payload)))
