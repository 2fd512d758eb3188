"""Telegrams by template: byte for byte what the encoder writes."""

from __future__ import annotations

import numpy as np
import pytest

from messwerk import sml
from messwerk.errors import EncodeError


def push(transaction: int, index: int, energy: int, power: int) -> list[sml.Message]:
    """An E320-like push with the values that vary."""
    time = sml.SecIndex(index)
    entries = (
        sml.ListEntry(obj_name=bytes.fromhex("0100010800ff"), unit=30, scaler=-1, value=sml.Unsigned64(energy)),
        sml.ListEntry(obj_name=bytes.fromhex("0100100700ff"), unit=27, scaler=0, value=sml.Integer32(power)),
    )
    bodies = (
        sml.PublicOpenResponse(req_file_id=b"\0", server_id=b"0123456789", ref_time=time),
        sml.GetListResponse(server_id=b"0123456789", act_sensor_time=time, val_list=entries),
        sml.PublicCloseResponse(),
    )
    return [sml.Message(transaction_id=transaction.to_bytes(4, "big"), body=body) for body in bodies]


VARY = [
    "[0].transaction_id",
    "[0].body.ref_time",
    "[1].body.act_sensor_time",
    "[1].body.val_list[0].value",
    "[1].body.val_list[1].value",
]


def test_a_template_writes_what_the_encoder_writes() -> None:
    """Any values, also those that spell escape words, give the same bytes as encode and frame."""
    rng = np.random.default_rng(3)
    rows = 300
    energy = rng.integers(0, 2**64, rows, dtype=np.uint64)
    energy[::7] = 0x1B1B_1B1B_1B1B_1B1B
    power = rng.integers(-(2**31), 2**31, rows)
    power[::5] = 0x1B1B_1B1B
    index = rng.integers(0, 2**32, rows)
    transaction = rng.integers(0, 256, (rows, 4), dtype=np.uint8)
    template = sml.Template(push(0, 0, 0, 0), VARY)
    telegrams = template.encode(dict(zip(VARY, [transaction, index, index, energy, power], strict=True)))
    assert len(telegrams) == rows
    for row, telegram in enumerate(telegrams):
        expected = push(0, int(index[row]), int(energy[row]), int(power[row]))
        first = sml.Message(transaction_id=transaction[row].tobytes(), body=expected[0].body)
        assert telegram == sml.frame(sml.encode([first, *expected[1:]]))
    assert telegrams.octets.tobytes() == b"".join(telegrams)
    assert sml.columns(telegrams.octets.tobytes()).telegrams == rows


def test_columns_read_what_a_template_wrote() -> None:
    """A fleet's second goes out and comes in as arrays."""
    template = sml.Template(push(0, 1, 0, 0), VARY[3:])
    energy, power = np.arange(1000) * 7_777_777, np.arange(-500, 500)
    table = sml.columns(template.encode(dict(zip(VARY[3:], [energy, power], strict=True))).octets.tobytes())
    assert (table["1.8.0"].value == energy).all()
    assert (table["16.7.0"].value == power).all()
    assert table.matched >= 900


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "values for"),
        ({VARY[3]: [1, 2], VARY[4]: [1]}, "as many values of each field"),
        ({VARY[3]: [1, -1], VARY[4]: [0, 0]}, "values of at least 0"),
        ({VARY[3]: [1, 1], VARY[4]: [0, 2**31]}, "at most 4 bytes, found 2147483648"),
        ({VARY[3]: [0.5], VARY[4]: [0]}, "integers of shape"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, list[int]], words: str) -> None:
    """Nothing is written when a value is wrong, and the message says which."""
    with pytest.raises(EncodeError, match=words):
        sml.Template(push(0, 1, 0, 0), VARY[3:]).encode(values)


def test_a_template_says_what_it_cannot_be_made_of() -> None:
    """Unknown fields, and constant bytes that need escapes."""
    with pytest.raises(EncodeError, match="one of"):
        sml.Template(push(0, 0, 0, 0), ["[1].body.val_list[7].value"])
    with pytest.raises(EncodeError, match="1b 1b"):
        sml.Template(push(0, 0x1B1B, 0, 0), [])
    assert sml.Template(push(0, 0, 0, 0), VARY).fields == tuple(VARY)


def test_octets_have_the_width_of_the_template() -> None:
    """Octet fields are matrices of shape (n, width)."""
    template = sml.Template(push(0, 0, 0, 0), ["[1].body.server_id"])
    assert len(template.encode({"[1].body.server_id": np.zeros((3, 10), np.uint8)})) == 3
    for wrong in (np.zeros((3, 9), np.uint8), np.full((3, 10), 256), np.zeros(3, np.uint8)):
        with pytest.raises(EncodeError, match=r"octets of shape \(n, 10\)"):
            template.encode({"[1].body.server_id": wrong})
