"""Frames out of streams: any portions, any damage, at most the damaged telegram lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import ChecksumMismatch, DecodeError, LocalError
from messwerk.sml.transport import LARGEST_MAX_FRAME
from oracle import strategies
from oracle import transport as oracle
from oracle.kinds import KINDS, closing, opening, push, wire


def events(decoder: object, stream: bytes, sizes: Iterable[int] = ()) -> list[tuple[object, ...]]:
    """What a decoder, ours or the oracle's, says about a stream fed in portions of `sizes`."""
    found, at = [], 0
    for size in sizes:
        found += decoder.receive(stream[at : at + size])  # type: ignore[attr-defined]
        at += size
    found += decoder.receive(stream[at:]) + decoder.close()  # type: ignore[attr-defined]
    return [comparable(event) for event in found]


def comparable(event: sml.Frame | sml.Rejected) -> tuple[object, ...]:
    if isinstance(event, sml.Frame):
        return (event.payload, event.raw, event.offset, [deviation.leniency for deviation in event.deviations])
    return (type(event.reason), event.offset, event.size)


def counters(decoder: object) -> tuple[int, int, int]:
    return decoder.telegrams, decoder.rejected, decoder.bytes_skipped  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("payload", "framed"),
    [
        ("", "1b1b1b1b01010101 1b1b1b1b1a00361a"),
        ("76", "1b1b1b1b01010101 76000000 1b1b1b1b1a03"),
        ("1b1b1b1b", "1b1b1b1b01010101 1b1b1b1b1b1b1b1b 1b1b1b1b1a00"),
        ("aa1b1b1b1bbb", "1b1b1b1b01010101 aa1b1b1b1b1b1b1b1bbb0000 1b1b1b1b1a02"),
        ("1b1b1b", "1b1b1b1b01010101 1b1b1b00 1b1b1b1b1a01"),
    ],
)
def test_frames_byte_by_byte(payload: str, framed: str) -> None:
    """Start, doubled runs of 1b, fill and end stand where the specification puts them."""
    raw = sml.frame(bytes.fromhex(payload))
    expected = bytes.fromhex(framed)
    assert raw[: min(len(expected), len(raw) - 2)] == expected[: len(raw) - 2]
    decoder = sml.FrameDecoder(strict=True)
    [found] = decoder.receive(raw)
    assert isinstance(found, sml.Frame)
    assert (found.payload, found.raw, found.offset) == (bytes.fromhex(payload), raw, 0)
    assert counters(decoder) == (1, 0, 0)


@given(st.binary(max_size=60), st.integers(0, 20), st.binary(max_size=10))
def test_any_payload_comes_back(before: bytes, run: int, after: bytes) -> None:
    """Framing and decoding are inverse, whatever runs of 1b the payload holds."""
    payload = before + b"\x1b" * run + after
    decoder = sml.FrameDecoder(strict=True)
    [found] = decoder.receive(sml.frame(payload))
    assert isinstance(found, sml.Frame)
    assert found.payload == payload


# --- captures ------------------------------------------------------------------------------


def captures(shared: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((shared / "captures").glob("*.bin"))]


def test_every_whole_telegram_of_the_captures_is_found_and_no_corrupt_one(shared: Path) -> None:
    """What trying every start against every end finds is what the decoder finds: 108 telegrams."""
    total = 0
    for stream in captures(shared):
        decoder = sml.FrameDecoder()
        found = decoder.receive(stream) + decoder.close()
        frames = {(event.offset, event.offset + len(event.raw)) for event in found if isinstance(event, sml.Frame)}
        assert frames == oracle.every_frame(stream)
        assert decoder.telegrams == len(frames)
        assert decoder.bytes_skipped == len(stream) - sum(end - start for start, end in frames)
        total += len(frames)
    assert total == 108


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_portions_do_not_matter(shared: Path, size: int) -> None:
    """A serial port and a file give the same events."""
    for stream in captures(shared):
        whole, cut = sml.FrameDecoder(), sml.FrameDecoder()
        assert events(cut, stream, [size] * (len(stream) // size)) == events(whole, stream)
        assert counters(cut) == counters(whole)


def test_a_lost_byte_costs_at_most_the_telegram_it_hit(shared: Path) -> None:
    """Every position of every capture, one byte lost: all other telegrams are still read."""
    for stream in captures(shared):
        whole = sml.columns(stream).telegrams
        for lost in range(len(stream)):
            assert sml.columns(stream[:lost] + stream[lost + 1 :]).telegrams >= whole - 1


def test_a_flipped_bit_is_never_read_as_another_value(shared: Path) -> None:
    """Every bit of every capture telegram flipped: rejected, or the same values.

    X-25 finds every single flip. A frame can still pass by accident as CRC-16/Kermit (quirk Q3),
    with probability 2**-16 a flip; then its message checksums do not fit. Both are counted.
    """
    flips = collisions = 0
    for stream in captures(shared):
        decoder = sml.FrameDecoder()
        for event in decoder.receive(stream):
            if not isinstance(event, sml.Frame):
                continue
            original = set(sml.decode(event.payload).messages)
            raw, many = int.from_bytes(event.raw, "big"), []
            for bit in range(8 * len(event.raw)):
                many.append((raw ^ 1 << bit).to_bytes(len(event.raw), "big"))
            table = sml.columns(b"".join(many))
            flips += len(many)
            collisions += table.telegrams
            for offset in table.offset:
                again = sml.FrameDecoder()
                [found] = again.receive(many[int(offset) // len(event.raw)])
                assert isinstance(found, sml.Frame)
                assert set(sml.decode(found.payload).messages) <= original
    assert flips > 200_000
    assert collisions < 40


# --- damage, against the oracle ------------------------------------------------------------


@given(st.data())
@settings(max_examples=200)
def test_damaged_streams_give_the_events_of_the_oracle(data: st.DataObject) -> None:
    """Frames, rejections and counters agree with the slow readable twin, in any portions."""
    kinds = st.sampled_from([kind.stream for kind in KINDS if len(kind.stream) < 500])
    stream = b"".join(data.draw(st.lists(st.one_of(kinds, st.binary(max_size=9)), min_size=1, max_size=4)))
    stream = data.draw(strategies.mutated(stream, most=4))
    sizes = data.draw(st.lists(st.integers(0, 100), max_size=6))
    for strict in (False, True):
        bound = data.draw(st.sampled_from([64, 300, 8192]))
        ours = sml.FrameDecoder(max_frame=bound, strict=strict)
        theirs = oracle.FrameDecoder(max_frame=bound, strict=strict)
        assert events(ours, stream, sizes) == events(theirs, stream)
        assert counters(ours) == counters(theirs)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_truncated_telegram_does_not_swallow_the_next(cut: int) -> None:
    """Also where it ends in four 1b, which with the next start word look like a doubled run."""
    whole = wire(push())
    decoder = sml.FrameDecoder()
    found = decoder.receive(whole[:cut] + whole + whole[: len(whole) - 4] + whole)
    assert [event.raw for event in found if isinstance(event, sml.Frame)] == [whole, whole]


def test_rejections_say_why_and_where() -> None:
    """Noise, restart, version 2 and a wrong CRC each have their own words."""
    whole = wire(push())
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    cases = [
        (broken, ChecksumMismatch, "frame at byte 0: CRC"),
        (whole[:50] + whole, DecodeError, "found the start of another frame"),
        (whole[:50], DecodeError, "found the end of the stream"),
        (whole[:48] + bytes.fromhex("1b1b1b1b 02000010") + whole[48:], DecodeError, "version 2 word 02000010"),
        (whole[:48] + bytes.fromhex("1b1b1b1b 07000010") + whole[48:], DecodeError, "escape word 07000010"),
        (bytes.fromhex("1b1b1b1b 02020202"), DecodeError, "the start word of version 2"),
        (bytes.fromhex("1b1b1b1b 01010101") + bytes(9000), DecodeError, "the end word within 8192 bytes"),
    ]
    for stream, error, words in cases:
        decoder = sml.FrameDecoder()
        rejected = [event for event in decoder.receive(stream) + decoder.close() if isinstance(event, sml.Rejected)]
        assert type(rejected[0].reason) is error
        assert words in str(rejected[0].reason)


def test_a_frame_is_bounded_to_the_byte() -> None:
    """`max_frame` counts bytes on the wire, and is itself bounded."""
    whole = wire(push())
    for bound, telegrams in [(len(whole), 1), (len(whole) - 1, 0)]:
        decoder = sml.FrameDecoder(max_frame=bound)
        decoder.receive(whole)
        assert decoder.telegrams == telegrams
    for wrong in (15, LARGEST_MAX_FRAME + 1):
        with pytest.raises(LocalError, match="max_frame is 16 to 4194304 bytes"):
            sml.FrameDecoder(max_frame=wrong)


def test_endless_noise_is_skipped_in_bounded_memory_and_linear_time() -> None:
    """Hostile streams cost what their length says, and are counted."""
    for noise in (b"\x1b" * 10, bytes.fromhex("1b1b1b1b 1b1b1b1b 01010101"), bytes.fromhex("1b1b1b1b 01010101"), b"\0"):
        decoder = sml.FrameDecoder(max_frame=LARGEST_MAX_FRAME)
        stream = noise * (2_000_000 // len(noise))
        decoder.receive(stream)
        decoder.close()
        assert decoder.telegrams == 0
        assert decoder.bytes_skipped == len(stream)


def test_a_decoder_goes_on_after_close() -> None:
    """A reopened port uses the same decoder and counters; offsets go on."""
    whole = wire(opening() + closing())
    decoder = sml.FrameDecoder()
    decoder.receive(whole[:40])
    [cut] = decoder.close()
    assert isinstance(cut, sml.Rejected)
    [found] = decoder.receive(whole)
    assert found.offset == 40
    assert counters(decoder) == (1, 1, 40)
