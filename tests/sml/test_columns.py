"""Columns: the same telegrams, the same values as the object path, with and without known forms."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import LocalError, SmlError
from messwerk.sml.columns import Columns, _columns
from messwerk.sml.messages import BareSecIndex, GetListResponse, LocalTimestamp, PublicOpenResponse, SecIndex, Timestamp
from oracle import binary as oracle_binary
from oracle import strategies
from oracle import transport as oracle_transport
from oracle.kinds import KINDS, STATUS, WH, W, closing, entry, octets, opening, push, values, wire

Row = tuple[Any, ...]


def row_of(body: GetListResponse, opened: PublicOpenResponse | None, offset: int) -> Row:
    """What a row must hold, from the objects."""
    times = [body.act_sensor_time, opened.ref_time if opened else None, *(entry.val_time for entry in body.val_list)]
    time, kind = 0, 0
    for found in times:
        match found:
            case SecIndex(value) | BareSecIndex(value) if value:
                time, kind = value, 1
            case Timestamp(value) if value:
                time, kind = value, 2
            case LocalTimestamp() if found.timestamp:
                time, kind = found.timestamp, 2
        if kind:
            break
    status = next((entry.status for entry in body.val_list if entry.status is not None), None)
    numbers = {}
    for item in body.val_list:
        if isinstance(item.value, int) and not isinstance(item.value, bool) and len(item.obj_name) == 6:
            numbers.setdefault(item.obj_name, (int(item.value), int(item.scaler or 0)))
    return offset, body.server_id, time, kind, status, numbers


def rows_from_objects(stream: bytes, decoder: Any, decode: Any, *, strict: bool) -> tuple[list[Row], int, int]:
    """Rows, telegrams and dropped messages by the object path (ours or the oracle's)."""
    rows, dropped = [], 0
    for event in decoder.receive(stream) + decoder.close():
        if not isinstance(event, sml.Frame):
            continue
        try:
            file = decode(event.payload, strict=strict)
        except SmlError:
            dropped += bool(event.payload.strip(b"\0"))  # an empty file holds nothing to drop
            continue
        dropped += len(file.dropped)
        bodies = [message.body for message in file.messages]
        opened = next((body for body in bodies if isinstance(body, PublicOpenResponse)), None)
        rows += [row_of(body, opened, event.offset) for body in bodies if isinstance(body, GetListResponse)]
    return rows, decoder.telegrams, dropped


def rows_of(table: Columns) -> list[Row]:
    server_ids = table.server_ids().to_pylist()
    rows = []
    for row in range(len(table)):
        status = int(table.status[row]) if table.status_valid[row] else None
        numbers = {
            bytes(column.obis): (int(column.value[row]), int(column.scaler[row]))
            for column in table
            if column.valid[row]
        }
        time, kind = int(table.time[row]), int(table.time_kind[row])
        rows.append((int(table.offset[row]), server_ids[row], time, kind, status, numbers))
    return rows


def agree(stream: bytes, *, oracle: bool = False) -> Columns:
    """All paths accept the same telegrams and read the same values from them."""
    result = None
    for strict in (True, False):
        fast = _columns(stream, 8192, strict, forms=True)
        plain = _columns(stream, 8192, strict, forms=False)
        rows = rows_of(fast)
        assert rows == rows_of(plain)
        for name in ("telegrams", "rejected", "bytes_skipped", "dropped", "deviations", "left_out"):
            assert getattr(fast, name) == getattr(plain, name), name
        decoder, decode = sml.FrameDecoder(strict=strict), sml.decode
        if oracle:
            decoder, decode = oracle_transport.FrameDecoder(strict=strict), oracle_binary.decode
        expected, telegrams, dropped = rows_from_objects(stream, decoder, decode, strict=strict)
        if not fast.left_out:
            assert rows == expected
        assert len(rows) == len(expected)
        assert (fast.telegrams, fast.rejected, fast.bytes_skipped) == (
            telegrams, decoder.rejected, decoder.bytes_skipped,
        )  # fmt: skip
        assert (fast.dropped > 0) == (dropped > 0)
        result = fast
    assert result is not None
    return result


# --- the same telegrams --------------------------------------------------------------------


def test_captures_on_every_path(shared: Path) -> None:
    """Every meter of the captures, each by itself and all mixed, on all three paths."""
    streams = [path.read_bytes() for path in sorted((shared / "captures").glob("*.bin"))]
    for stream in streams:
        agree(stream, oracle=True)
    table = agree(b"".join(streams) * 3)
    assert table.telegrams == 3 * 108
    assert table.matched > 280  # known forms did the work


def test_every_synthetic_kind_on_every_path() -> None:
    """Deviations too: twice each, so that their forms become known."""
    for kind in KINDS:
        agree(kind.stream * 3, oracle=True)
    agree(b"".join(kind.stream for kind in KINDS) * 3)


@given(st.data())
@settings(max_examples=60)
def test_damaged_streams_on_every_path(data: st.DataObject) -> None:
    """A known form must not let anything pass that the reader would refuse, nor refuse what it takes."""
    stream = b"".join(data.draw(st.lists(st.sampled_from([kind.stream for kind in KINDS]), min_size=1, max_size=3)))
    agree(stream + data.draw(strategies.mutated(stream)) + stream)


@given(strategies.files)
@settings(max_examples=40)
def test_generated_files_on_every_path(file: tuple[sml.Message, ...]) -> None:
    """Whatever the language can say, repeated so that its form becomes known."""
    agree(sml.frame(sml.encode(file)) * 3)


def test_mutations_of_one_meter_on_every_path() -> None:
    """Ten thousand telegrams of one form: values that change, structure that breaks, 1b in values."""
    rng = random.Random(20)
    whole = wire(push())
    stream = bytearray()
    for _ in range(2500):
        energy, power = rng.getrandbits(64), rng.getrandbits(64)
        if rng.random() < 0.1:
            energy = 0x1B1B_1B1B_1B1B_1B1B >> rng.choice([0, 4, 8, 32])
        file = opening() + values(
            entry("0100010800ff", b"\x69" + energy.to_bytes(8, "big"), status=STATUS, unit=WH, scaler=b"\x52\xff"),
            entry("0100100700ff", b"\x59" + power.to_bytes(8, "big"), unit=W, scaler=b"\x52\x00"),
            transaction=rng.getrandbits(31),
        ) + closing()  # fmt: skip
        telegram = bytearray(wire(file))
        if rng.random() < 0.3:
            telegram[rng.randrange(len(telegram))] ^= 1 << rng.randrange(8)
        stream += telegram
        if rng.random() < 0.1:
            stream += rng.choice([b"\x1b", b"\0\x0c", whole[: rng.randrange(len(whole))]])
    table = agree(bytes(stream))
    assert table.matched > 800
    assert table.left_out > 0  # numbers beyond 63 bits


# --- what a table offers -------------------------------------------------------------------


def test_a_table_by_code_row_and_arrow() -> None:
    """Columns are reached by OBIS code, exact, with their validity."""
    first = push(time=bytes.fromhex("72 6201 65 00000007"))
    second = push(entry("0100100700ff", b"\x53\xff\xf6", unit=W, scaler=b"\x52\xff"))
    table = sml.columns(wire(first) + b"noise" + wire(second))
    assert len(table) == table.telegrams == 2
    assert table.bytes_skipped == 5
    assert table.time.tolist() == [7, 0x00BC614E]
    assert table.index_valid.tolist() == [True, True]
    assert table.index.tolist() == table.time.tolist()
    assert table.status_valid.tolist() == [True, False]
    energy, power = table["1.8.0"], table["1-0:16.7.0*255"]
    assert energy.value.tolist() == [0xBC614E, 0]
    assert energy.valid.tolist() == [True, False]
    assert power.value.tolist() == [322, -10]
    assert power.scaler.tolist() == [0, -1]
    assert power.unit == 27
    assert power.as_float().tolist() == [322.0, -1.0]
    assert np.isnan(energy.as_float()[1])
    assert str(table.server_id(-1)) == "1 LGZ 00 6353 9421"
    with pytest.raises(KeyError):
        table["2.8.0"]
    with pytest.raises(IndexError):
        table.server_id(2)
    arrow = table.to_arrow()
    assert arrow.column("1-0:1.8.0*255").to_pylist() == [0xBC614E, None]
    assert arrow.column("server_id").to_pylist() == [bytes.fromhex("0a014c475a0003c988dd")] * 2
    assert arrow.column("utc").null_count == 2


def test_arrays_are_read_only_and_outlive_the_table() -> None:
    """The arrays lie in the memory Rust filled; nobody can change or free it under them."""
    value = sml.columns(wire(push()))["1.8.0"].value
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1
    assert value.tolist() == [0xBC614E]


def test_nothing_is_an_empty_table() -> None:
    """No telegram, no rows, and no error: a file of noise is counted, not refused."""
    table = sml.columns(b"\0" * 1000)
    assert (len(table), table.telegrams, table.bytes_skipped, len(list(table))) == (0, 0, 1000, 0)
    assert table.to_arrow().num_rows == 0
    with pytest.raises(LocalError, match="max_frame"):
        sml.columns(b"", max_frame=3)


def test_numbers_without_a_place_are_counted() -> None:
    """A second number of one code, another unit, a name that is no OBIS code, more than 63 bits."""
    one = entry("0100010800ff", b"\x69" + bytes(8), unit=WH)
    lists = [
        [one, one],
        [entry("0100010800ff", b"\x52\x01", unit=W)],
        [entry("0100", b"\x52\x01")],
        [entry("0100010800ff", b"\x69" + b"\xff" * 8, unit=WH)],
    ]
    table = sml.columns(b"".join(wire(push(*entries)) for entries in lists) * 3)
    assert table.left_out == 12
    assert table["1.8.0"].valid.tolist() == [True, False, False, False] * 3


def test_object_names_are_bounded() -> None:
    """Hostile telegrams cannot make columns without end."""
    numbered = [entry(f"0100{at:04x}00ff", b"\x52\x01") for at in range(300)]
    file = opening() + values(*numbered[:150]) + values(*numbered[150:]) + closing()
    table = sml.columns(wire(file))
    assert len(table.columns) == 256
    assert table.left_out == 44
    assert len(table) == 2


def test_many_kinds_of_meters_share_a_stream() -> None:
    """Forms of equal length, and of different ones, are told apart by their structure."""
    kinds = [
        wire(push(entry(f"0100{code:02x}0700ff", b"\x55" + bytes([0, 0, 0, code]), unit=W), server=bytes([code]) * 9))
        for code in range(1, 60)
    ]
    stream = b"".join(kinds * 5)
    table = agree(stream)
    assert len(table.columns) == 59
    assert [table[f"{code}.7.0"].value.sum() for code in range(1, 60)] == [5 * code for code in range(1, 60)]


def test_octets_as_values_are_no_numbers() -> None:
    """Texts and truth values stay with the object path."""
    table = sml.columns(wire(push(entry("010060320101", octets(b"LGZ")), entry("0100600500ff", b"\x42\x01"))))
    assert (len(table), len(table.columns), table.left_out) == (1, 0, 0)
