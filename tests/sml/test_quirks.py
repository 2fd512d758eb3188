"""Every kind of stream real meters and lines produce, read in default and in strict mode."""

from __future__ import annotations

import pytest

from messwerk import sml
from messwerk.errors import SmlError
from oracle.kinds import KINDS, Kind, Outcome


def outcome(stream: bytes, *, strict: bool) -> Outcome:
    """What our reader makes of a stream."""
    decoder = sml.FrameDecoder(strict=strict)
    files, leniencies, dropped = [], [], 0
    for event in decoder.receive(stream) + decoder.close():
        if isinstance(event, sml.Rejected):
            continue
        try:
            file = sml.decode(event.payload, strict=strict)
        except SmlError:
            continue
        files.append(tuple(type(message.body).__name__ for message in file.messages))
        leniencies += [deviation.leniency for deviation in event.deviations + file.deviations]
        dropped += len(file.dropped)
    return Outcome(tuple(files), tuple(leniencies), dropped, decoder.rejected)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_default_reads_what_real_meters_send(kind: Kind) -> None:
    """Each deviation is tolerated, named and counted, and costs no message but the damaged one."""
    assert outcome(kind.stream, strict=False) == kind.default


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_strict_refuses_every_deviation(kind: Kind) -> None:
    """Strict mode accepts what the specification allows and nothing else."""
    assert outcome(kind.stream, strict=True) == (kind.strict or kind.default)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_columns_accept_the_same_kinds(kind: Kind) -> None:
    """The column path keeps the rows of exactly the lists the object path keeps."""
    for strict in (False, True):
        expected = outcome(kind.stream, strict=strict)
        table = sml.columns(kind.stream * 2, strict=strict)
        lists = sum(file.count("GetListResponse") for file in expected.files)
        assert len(table) == 2 * lists
        assert table.deviations == 2 * len(expected.leniencies)


def test_every_decoding_leniency_has_a_kind() -> None:
    """No tolerance without a stream that shows it."""
    shown = {leniency for kind in KINDS for leniency in kind.default.leniencies}
    in_meaning = {sml.Leniency.DZG_SIGN, sml.Leniency.DIRECTION_BIT, sml.Leniency.DUMMY_OPTIONALS}
    assert shown | in_meaning == set(sml.Leniency)


def test_a_deviation_says_where_and_what() -> None:
    """Deviations carry offset, path and the bytes that were found."""
    kind = next(kind for kind in KINDS if kind.name == "Q2 bare time")
    [frame] = sml.FrameDecoder().receive(kind.stream)
    assert isinstance(frame, sml.Frame)
    [deviation] = sml.decode(frame.payload).deviations
    assert deviation.path == "GetListResponse.act_sensor_time"
    assert frame.payload[deviation.offset] == 0x65
    assert deviation.detail == "65 00 bc 61 4e"
    assert "choice" in str(deviation)


def test_a_value_that_is_missing_is_none_and_returns_to_the_same_bytes() -> None:
    """Quirk Q12 keeps the list, and writing it again changes nothing."""
    kind = next(kind for kind in KINDS if kind.name == "Q12 missing value")
    [frame] = sml.FrameDecoder().receive(kind.stream)
    assert isinstance(frame, sml.Frame)
    file = sml.decode(frame.payload)
    body = file.messages[1].body
    assert isinstance(body, sml.GetListResponse)
    assert body.val_list[1].value is None
    assert sml.encode(file.messages) == frame.payload
