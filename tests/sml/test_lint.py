"""The linter: one telegram for each rule, and real meters with their known habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import sml
from messwerk.obis import ObisCode
from messwerk.sml.lint import Finding, Linter, Rule, Severity

LGZ = bytes.fromhex("0a014c475a0003403b49")
DZG = bytes.fromhex("0a01445a470002625a00")


def entry(code: str, value: Any, unit: int | None = None, scaler: int | None = None, **more: Any) -> sml.ListEntry:
    return sml.ListEntry(obj_name=bytes(ObisCode.parse(code)), value=value, unit=unit, scaler=scaler, **more)


ENERGY = entry("1.8.0", sml.Unsigned64(12345), 30, -1)
POWER = entry("16.7.0", sml.Integer64(100), 27, 0)


def messages(
    *entries: sml.ListEntry, server_id: bytes = LGZ, index: int | None = 4711, **form: Any
) -> list[sml.Message]:
    """A push telegram's messages; conforming throughout unless the arguments say otherwise."""
    time = None if index is None else sml.SecIndex(index)
    bodies: list[sml.Body] = [
        sml.PublicOpenResponse(req_file_id=b"\x01", server_id=server_id, ref_time=time),
        sml.GetListResponse(server_id=server_id, act_sensor_time=time, val_list=entries or (ENERGY, POWER)),
        sml.PublicCloseResponse(),
    ]
    return [
        sml.Message(transaction_id=bytes([number]), body=body, form=sml.MessageForm(**form))
        for number, body in enumerate(bodies)
    ]


def framed(*entries: sml.ListEntry, **more: Any) -> bytes:
    return sml.frame(sml.encode(messages(*entries, **more)))


def lint(data: bytes) -> tuple[Linter, list[Finding]]:
    linter = Linter()
    return linter, linter.receive(data) + linter.close()


def x25(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return register ^ 0xFFFF


def reframed(payload: bytes, fill: int | None = None) -> bytes:
    """A frame around any payload, with a fill count of choice."""
    fill = -len(payload) % 4 if fill is None else fill
    body = b"\x1b" * 4 + b"\x01" * 4 + payload + bytes(fill) + b"\x1b" * 4 + bytes((0x1A, fill))
    return body + x25(body).to_bytes(2, "little")


def with_kermit_frame(data: bytes) -> bytes:
    register = 0
    for byte in data[:-2]:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return data[:-2] + register.to_bytes(2, "big")


def padded_to_multiple_of_four(make: Callable[[int], bytes]) -> bytes:
    """The first payload of a family whose length is a multiple of four."""
    return next(payload for size in range(1, 9) if len(payload := make(size)) % 4 == 0)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


PAYLOAD = sml.encode(messages())
CLOSE = sml.encode([sml.Message(transaction_id=b"\x09", body=sml.PublicCloseResponse())])
FOREIGN = sml.Message(transaction_id=b"\x08", body=sml.OpaqueBody(0x0801, b"\x71\x01"))
PACK = sml.GetProfilePackResponse(
    server_id=LGZ, act_time=sml.SecIndex(1), reg_period=900, parameter_tree_path=(b"\x01" * 6,),
    header_list=(sml.ProfObjHeaderEntry(obj_name=b"\x01" * 6, unit=30, scaler=0),),
    period_list=(sml.ProfObjPeriodEntry(val_time=sml.SecIndex(1), status=0, value_list=()),),
)  # fmt: skip
FILL_FOUR = padded_to_multiple_of_four(
    lambda size: sml.encode(messages(ENERGY, POWER, entry("96.50.1*1", b"L" * size)))
)
IMPORTING = sml.Unsigned32(0x1C0104)

CASES = [
    (Rule.NOISE, framed() + b"\x55" * 5 + framed(index=4712), len(framed()), ""),
    (Rule.CUT, b"\x55" * 5 + framed(), 0, ""),
    (Rule.CUT, framed() + framed()[:50], len(framed()), ""),
    (Rule.BROKEN_FRAME, framed()[:60] + framed(), 0, ""),
    (Rule.FRAME_CRC, flipped(framed(), 40), 0, ""),
    (Rule.KERMIT_FRAME, with_kermit_frame(framed()), len(framed()) - 2, ""),
    (Rule.FILL_COUNT, reframed(FILL_FOUR, fill=4), len(FILL_FOUR) + 4 + 8 + 5, ""),
    (Rule.VERSION_2, b"\x1b\x1b\x1b\x1b\x02\x02\x02\x02" + framed(), 0, ""),
    (Rule.NO_OPEN, sml.frame(sml.encode(messages()[1:])), 8, ""),
    (Rule.NO_CLOSE, sml.frame(sml.encode(messages()[:2])), 8, ""),
    (Rule.EXTRA_ZEROS, reframed(PAYLOAD + bytes(8)), 8 + len(PAYLOAD), ""),
    (Rule.MESSAGE_CRC, reframed(flipped(PAYLOAD, 20)), 8, ""),
    (Rule.KERMIT_MESSAGE, framed(kermit=True), None, "Message.crc16"),
    (Rule.STRUCTURE, reframed(PAYLOAD[: -len(CLOSE)] + b"\x7f"), None, ""),
    (Rule.FOREIGN_BODY, sml.frame(sml.encode([*messages()[:2], FOREIGN, messages()[2]])), None, "Message.body.tag"),
    (Rule.BARE_TIME, framed(entry("1.8.0", sml.Unsigned8(1), 30, 0, val_time=sml.BareSecIndex(5)), POWER), None,
     "GetListResponse.val_list[0].val_time"),
    (Rule.MISSING_VALUE, framed(ENERGY, POWER, entry("96.50.2*6", None)), None, "GetListResponse.val_list[2].value"),
    (Rule.DUMMY_OPTIONALS, framed(ENERGY, POWER, entry("96.50.1*1", b"LGZ", 0, 0)), None,
     "GetListResponse.val_list[2]"),
    (Rule.DUMMY_TIME, framed(entry("1.8.0", sml.Unsigned8(1), 30, 0, val_time=sml.SecIndex(0)), POWER), None,
     "GetListResponse.val_list[0].val_time"),
    (Rule.UNASSIGNED_UNIT, framed(ENERGY, POWER, entry("9.9.9", sml.Unsigned8(1), 58, 0)), None,
     "GetListResponse.val_list[2].unit"),
    (Rule.NAME_LENGTH, framed(ENERGY, POWER, sml.ListEntry(obj_name=b"\x01\x02", value=True)), None,
     "GetListResponse.val_list[2].obj_name"),
    (Rule.PROFILE_WIDTH, sml.frame(sml.encode([messages()[0], sml.Message(transaction_id=b"\x07", body=PACK),
                                               messages()[2]])), None,
     "GetProfilePackResponse.period_list[0].value_list"),
    (Rule.DZG_SIGN, framed(entry("1.8.0", sml.Unsigned8(1), 30, 0, status=IMPORTING),
                           entry("16.7.0", sml.Integer16(-29912), 27, -2), server_id=DZG), None,
     "GetListResponse.val_list[1].value"),
    (Rule.DIRECTION_BIT, framed(ENERGY, entry("15.7.0", sml.Unsigned16(5), 27, 0)), None,
     "GetListResponse.val_list[1].value"),
    (Rule.SHORT_INTEGER, framed(entry("1.8.0", sml.Integer40(5), 30, -1), POWER), None,
     "GetListResponse.val_list[0].value"),
    (Rule.LOCAL_TIME, framed(entry("1.8.0", sml.Unsigned8(1), 30, 0, val_time=sml.LocalTimestamp(
        timestamp=1, local_offset=60, season_time_offset=0)), POWER), None, "GetListResponse.val_list[0].val_time"),
    (Rule.TIME_ON_TEXT, framed(ENERGY, POWER, entry("96.50.1*1", b"LGZ", val_time=sml.SecIndex(5))), None,
     "GetListResponse.val_list[2].val_time"),
    (Rule.FREE_SERVER_ID, framed(server_id=b"1001185"), None, "GetListResponse.server_id"),
    (Rule.WIDE_TAG, framed(tag_width=4), None, "Message.body.tag"),
    (Rule.LONG_LIST, framed(ENERGY, POWER, *(entry(f"9.9.{number}", True) for number in range(14))), None,
     "GetListResponse.val_list"),
    (Rule.NO_TOTAL, framed(entry("1.8.1", sml.Unsigned8(1), 30, -1), POWER), None,
     "GetListResponse.val_list[0].obj_name"),
    (Rule.OTHER_CHANNEL, framed(ENERGY, POWER, entry("1-1:1.8.5", sml.Unsigned8(1), 30, -1)), None,
     "GetListResponse.val_list[2].obj_name"),
    (Rule.NO_SENSOR_TIME, framed(index=None), None, "GetListResponse.act_sensor_time"),
    (Rule.INDEX_NOT_RISING, framed(index=5) + framed(index=5), None, "GetListResponse.act_sensor_time"),
    (Rule.REDUCED_SET, framed(entry("1.8.0", sml.Unsigned64(5), 30, 3)), None, "GetListResponse.val_list"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "data", "offset", "path"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_each_rule(rule: Rule, data: bytes, offset: int | None, path: str) -> None:
    """Each rule is found where its deviation stands, and decides whether the source conforms."""
    linter, findings = lint(data)
    found = [finding for finding in findings if finding.rule is rule]
    assert found, [str(finding) for finding in findings]
    assert found[0].path == path
    if offset is not None:
        assert found[0].offset == offset
    if rule.severity is Severity.VIOLATION:
        assert not linter.conforming
    assert rule.text in str(found[0])
    assert rule.strict in str(found[0])


def test_every_rule_has_a_case() -> None:
    """No rule is without a telegram that shows it."""
    assert {rule for rule, *_ in CASES} | {Rule.SHORT_CRC} == set(Rule)


def test_a_short_crc() -> None:
    """Q4: a CRC field that lost its leading zero byte is named with its place."""
    for number in range(2000):
        message = sml.Message(transaction_id=number.to_bytes(2, "big"), body=sml.PublicCloseResponse())
        wire = sml.encode([message])
        if wire[-3] == 0:
            short = wire[:-4] + b"\x62" + wire[-2:]
            break
    _, findings = lint(reframed(sml.encode(messages()[:2]) + short))
    assert [(one.rule, one.path) for one in findings if one.rule.severity is Severity.VIOLATION] == [
        (Rule.SHORT_CRC, "Message.crc16")
    ]


def test_every_leniency_is_a_rule() -> None:
    """What the decoder tolerates, the linter can name."""
    for leniency in sml.Leniency:
        assert Rule[leniency.name].quirk == leniency.quirk


def test_a_conforming_telegram_has_nothing_to_say() -> None:
    """A telegram that keeps every rule gives no finding at all."""
    linter, findings = lint(framed() + framed(index=4712))
    assert (findings, linter.conforming, linter.telegrams) == ([], True, 2)


def test_nothing_is_not_conforming() -> None:
    """Silence and noise are not taken for a conforming meter."""
    assert not lint(b"")[0].conforming
    assert not lint(b"noise")[0].conforming


def test_offsets_count_from_the_start_of_the_stream() -> None:
    """A finding in a later telegram points to its own bytes in the stream, behind doubled escapes too."""
    text = entry("96.50.1*1", b"\x1b" * 4)
    bad = framed(text, entry("9.9.9", sml.Unsigned8(1), 58, 0), index=4712)
    data = framed() + bad
    _, findings = lint(data)
    (finding,) = [one for one in findings if one.rule is Rule.UNASSIGNED_UNIT]
    assert data[finding.offset : finding.offset + 2] == b"\x62\x3a"


def test_habits_are_counted_per_meter() -> None:
    """What a meter repeats is kept once with its first place and a count, apart from other meters."""
    data = b"".join(framed(server_id=b"1001185", index=number) + framed(index=number) for number in range(1, 6))
    linter, _ = lint(data)
    free, good = linter.meters.values()
    assert (free.telegrams, good.telegrams) == (5, 5)
    assert [(rule, habit.count) for (rule, _), habit in free.habits.items()] == [(Rule.FREE_SERVER_ID, 5)]
    assert good.habits == {}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 97), min_size=1, max_size=20))
def test_portions_do_not_matter(sizes: list[int]) -> None:
    """However the stream is cut, the findings are the same."""
    data = b"\x55" + framed(server_id=b"1001185") + framed()[:90] + framed(index=4712, tag_width=4) + b"\x00\x0c"
    linter, at, findings = Linter(), 0, []
    for size in sizes:
        findings += linter.receive(data[at : at + size])
        at += size
    findings += linter.receive(data[at:]) + linter.close()
    assert findings == lint(data)[1]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(framed()) - 1), st.binary(min_size=1, max_size=6), st.booleans())
def test_it_never_fails(at: int, garbage: bytes, repair: bool) -> None:
    """Damaged telegrams, with and without a repaired frame CRC, are linted without an exception."""
    data = framed()
    damaged = data[:at] + garbage + data[at + len(garbage) :]
    lint(reframed(damaged[8:-8]) if repair else damaged)


@pytest.mark.parametrize(
    ("name", "violations"),
    [
        ("DZG_DVS-7412", {Rule.DZG_SIGN, Rule.DUMMY_OPTIONALS, Rule.DUMMY_TIME}),
        ("EMH_eHZ-IW8E2A5L0EK2P_with_error", {Rule.MISSING_VALUE}),
        ("HOLLEY_DTZ541-ZDBA", {Rule.BARE_TIME}),
        ("DZG_DVS-7420.2V.G2_mtr1_error", {Rule.BROKEN_FRAME}),
        ("ISKRA_MT175", set()),
        ("ITRON", set()),
    ],
)
def test_real_meters(shared: Path, name: str, violations: set[Rule]) -> None:
    """Real meters show the violations they are known for, and no others."""
    (path,) = (shared / "captures").glob(f"{name}*.bin")
    linter, findings = lint(path.read_bytes())
    assert {one.rule for one in findings if one.rule.severity is Severity.VIOLATION} == violations
    assert linter.conforming == (not violations)
