"""Synthetic streams, one for each thing real meters and lines do, written byte by byte.

Nothing here uses the encoder under test. Each kind says what a reader must make of it in default
and in strict mode. Quirk numbers are those of `messwerk.sml.Leniency`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from messwerk.sml import Leniency

from .binary import wire_kermit, wire_x25

SERVER = bytes.fromhex("0a014c475a0003c988dd")
DZG = bytes.fromhex("0a01445a47000289b7d1")
ESCAPE = b"\x1b" * 4


def octets(content: bytes) -> bytes:
    """An octet string with as few TL bytes as it takes."""
    for count in (1, 2, 3):
        length = len(content) + count
        if length < 16**count:
            nibbles = [length >> 4 * at & 15 for at in reversed(range(count))]
            return bytes(nibble | (0x80 if at < count - 1 else 0) for at, nibble in enumerate(nibbles)) + content
    raise ValueError(len(content))


def many(*elements: bytes) -> bytes:
    """A list of any length up to 255."""
    count = len(elements)
    head = bytes([0x70 | count]) if count < 16 else bytes([0xF0 | count >> 4, count & 15])
    return head + b"".join(elements)


ABSENT = b"\x01"
INDEX = bytes.fromhex("72 6201 65 00bc614e")
WH, W = b"\x62\x1e", b"\x62\x1b"


def entry(
    obis: str,
    value: bytes,
    *,
    status: bytes = ABSENT,
    time: bytes = ABSENT,
    unit: bytes = ABSENT,
    scaler: bytes = ABSENT,
) -> bytes:
    return many(octets(bytes.fromhex(obis)), status, time, unit, scaler, value, ABSENT)


STATUS = bytes.fromhex("65 001c0104")
ENERGY = entry("0100010800ff", bytes.fromhex("69 0000000000bc614e"), status=STATUS, unit=WH, scaler=b"\x52\xff")
POWER = entry("0100100700ff", bytes.fromhex("59 0000000000000142"), unit=W, scaler=b"\x52\x00")


def message(transaction: int, tag: str, body: bytes, *, crc: str = "x25", wide: bool = False) -> bytes:
    tag_wire = (b"\x65" if wide else b"\x63") + bytes.fromhex(tag if wide else tag[4:])
    covered = b"\x76" + octets(transaction.to_bytes(4, "big")) + b"\x62\x00\x62\x00" + b"\x72" + tag_wire + body
    wire = {"x25": wire_x25(covered), "kermit": wire_kermit(covered), "wrong": wire_x25(covered) ^ 0x0100}[crc]
    return covered + b"\x63" + wire.to_bytes(2, "big") + b"\x00"


def opening(server: bytes = SERVER, **form: object) -> bytes:
    body = many(ABSENT, octets(b"\xff" * 6), octets(b"\x00\x01"), octets(server), INDEX, ABSENT)
    return message(1, "00000101", body, **form)  # type: ignore[arg-type]


def values(*entries: bytes, server: bytes = SERVER, time: bytes = INDEX, transaction: int = 2, **form: object) -> bytes:
    name = octets(bytes.fromhex("0100620affff"))
    body = many(ABSENT, octets(server), name, time, many(*entries), ABSENT, ABSENT)
    return message(transaction, "00000701", body, **form)  # type: ignore[arg-type]


def closing(**form: object) -> bytes:
    return message(3, "00000201", b"\x71\x01", **form)  # type: ignore[arg-type]


def wire(file: bytes, *, more_fill: int = 0, crc: str = "x25", escape: str = "anywhere") -> bytes:
    """The transport frame; `escape` says which runs of 1b are doubled."""
    body = bytearray(ESCAPE + b"\x01" * 4)
    at = 0
    while at < len(file):
        if file.startswith(ESCAPE, at):
            doubled = escape == "anywhere" or (escape == "aligned" and len(body) % 4 == 0)
            if doubled:
                body += ESCAPE + ESCAPE
                at += 4
                continue
        body.append(file[at])
        at += 1
    fill = -len(body) % 4 + more_fill
    body += bytes(fill) + ESCAPE + bytes([0x1A, fill])
    check = {"x25": wire_x25, "kermit": wire_kermit}.get(crc, lambda data: wire_x25(data) ^ 0x0101)
    return bytes(body) + check(bytes(body)).to_bytes(2, "big")


def push(*entries: bytes, **options: object) -> bytes:
    """An ordinary push file: open, list, close."""
    return opening() + values(*(entries or (ENERGY, POWER)), **options) + closing()  # type: ignore[arg-type]


PUSH = ("PublicOpenResponse", "GetListResponse", "PublicCloseResponse")


@dataclass(frozen=True)
class Outcome:
    """What a reader makes of a stream."""

    files: tuple[tuple[str, ...], ...] = (PUSH,)
    """Names of the message bodies of each telegram accepted."""
    leniencies: tuple[Leniency, ...] = ()
    dropped: int = 0
    """Messages dropped from the files that are kept."""
    rejected: int = 0


@dataclass(frozen=True)
class Kind:
    name: str
    stream: bytes
    default: Outcome = field(default_factory=Outcome)
    strict: Outcome | None = None
    """None: the same as default."""


REFUSED = Outcome(files=())
"""A good frame whose file a strict reader refuses."""
NO_FRAME = Outcome(files=(), rejected=1)


def _with_run(offset: int) -> bytes:
    """A push file whose manufacturer entry holds four 1b at `offset` mod 4 of the frame."""
    for stuffing in range(1, 10):
        file = push(entry("010060320101", octets(b"A" * stuffing + ESCAPE + b"Z" * 8)))
        if (file.index(ESCAPE) + 8) % 4 == offset:
            return file
    raise AssertionError(offset)


def _short_crc() -> bytes:
    """A close message whose CRC begins with 00 on the wire, sent without it."""
    for transaction in range(100_000):
        close = message(transaction, "00000201", b"\x71\x01")
        if close[-3] == 0:
            return close[:-4] + b"\x62" + close[-2:]
    raise AssertionError


def _kinds() -> tuple[Kind, ...]:
    plain = wire(push())
    bare = bytes.fromhex("65 00bc614e")
    dzg_list = entry(
        "0100010800ff", bytes.fromhex("64 ee4e01"), status=b"\x64\x1c\x01\x04", unit=WH, scaler=b"\x52\xff"
    )
    dzg_power = entry("0100100700ff", bytes.fromhex("53 8b28"), unit=W, scaler=b"\x52\xfe")
    edl = entry("0100010800ff", bytes.fromhex("56 0000123456"), status=b"\x63\x01\xa2", unit=WH, scaler=b"\x52\xff")
    magnitude = entry("01000f0700ff", bytes.fromhex("55 00000142"), unit=W, scaler=b"\x52\xff")
    dummy = entry(
        "010060320101", octets(b"DZG"), time=bytes.fromhex("72 6201 6200"), unit=b"\x62\x00", scaler=b"\x52\x00"
    )
    missing = entry("010060320206", ABSENT, time=INDEX)
    attention = message(7, "0000ff01", many(octets(SERVER), octets(bytes.fromhex("8181c7c7fe03")), ABSENT, ABSENT))
    request = (
        message(1, "00000100", many(*([ABSENT] * 2), octets(b"11311862"), *([ABSENT] * 4)), wide=True)
        + message(2, "00000700", many(*([ABSENT] * 5)), wide=True)
        + message(3, "00000200", b"\x71\x01", wide=True)
    )
    numbered = [entry(f"0100{at:02x}0700ff", b"\x52\x01", unit=W) for at in range(1, 31)]
    kermit = {"crc": "kermit"}
    all_kermit = opening(**kermit) + values(ENERGY, POWER, **kermit) + closing(**kermit)
    unknown = opening() + message(5, "00000901", many(b"\x62\x07", octets(b"cosem"))) + closing()
    three_tl = entry("8181c78205ff", octets(b"K" * 300))
    local = bytes.fromhex("72 6203 73 65 5b6d3c18 53 003c 53 003c")
    zeros = opening() + b"\0\0\0" + values(ENERGY, POWER) + closing()
    one_wrong = opening() + values(ENERGY, crc="wrong") + values(ENERGY, POWER, transaction=9) + closing()
    kermit_marks = (Leniency.KERMIT_MESSAGE,) * 3
    return (
        Kind("plain", plain),
        Kind("Q1 sign bit set by cutting", wire(opening(DZG) + values(dzg_list, dzg_power, server=DZG) + closing())),
        Kind("Q2 bare time", wire(push(time=bare)), Outcome(leniencies=(Leniency.BARE_TIME,)), REFUSED),
        Kind(
            "Q3 Kermit everywhere",
            wire(all_kermit, crc="kermit"),
            Outcome(leniencies=(Leniency.KERMIT_FRAME, *kermit_marks)),
            NO_FRAME,
        ),
        Kind("Q3 Kermit in messages", wire(all_kermit), Outcome(leniencies=kermit_marks), REFUSED),
        Kind(
            "Q4 one-byte CRC",
            wire(opening() + values(ENERGY, POWER) + _short_crc()),
            Outcome(leniencies=(Leniency.SHORT_CRC,)),
            REFUSED,
        ),
        Kind("Q5 widths of three and five bytes", wire(push(dzg_list, edl, time=bytes.fromhex("72 6201 64 bc614e")))),
        Kind("Q6 magnitude and direction bit", wire(push(edl, magnitude))),
        Kind("Q7 timestamp", wire(push(time=bytes.fromhex("72 6202 65 5b6d3c18")))),
        Kind("Q7 local timestamp", wire(push(time=local))),
        Kind("Q8 dummy optionals", wire(push(dummy, ENERGY))),
        Kind(
            "Q9 four fill bytes",
            wire(_multiple_of_four(), more_fill=4),
            Outcome(leniencies=(Leniency.FILL_COUNT,)),
            NO_FRAME,
        ),
        Kind("Q10 zeros between messages", wire(zeros), Outcome(leniencies=(Leniency.EXTRA_ZEROS,)), REFUSED),
        Kind("Q10 zeros before the end", wire(push() + b"\0\0"), Outcome(leniencies=(Leniency.EXTRA_ZEROS,)), REFUSED),
        Kind("Q11 noise before the start", b"\x00\x0c" + plain),
        Kind("Q12 missing value", wire(push(ENERGY, missing)), Outcome(leniencies=(Leniency.MISSING_VALUE,)), REFUSED),
        Kind("Q15 tag of four bytes", wire(opening(wide=True) + values(ENERGY, wide=True) + closing(wide=True))),
        Kind("Q16 sixteen entries, F1 00", wire(push(*numbered[:16]))),
        Kind("Q16 twenty-one entries, F1 05", wire(push(*numbered[:21]))),
        Kind("three TL bytes", wire(push(ENERGY, three_tl))),
        Kind("boolean value", wire(push(entry("0100600500ff", b"\x42\x01")))),
        Kind("time as value (1.04)", wire(push(entry("0100010000ff", b"\x72\x62\x01" + INDEX)))),
        Kind(
            "attention in a response file",
            wire(opening() + attention + closing()),
            Outcome(files=(("PublicOpenResponse", "AttentionResponse", "PublicCloseResponse"),)),
        ),
        Kind(
            "request file",
            wire(request),
            Outcome(files=(("PublicOpenRequest", "GetListRequest", "PublicCloseRequest"),)),
        ),
        Kind(
            "unknown tag",
            wire(unknown),
            Outcome(files=(("PublicOpenResponse", "OpaqueBody", "PublicCloseResponse"),)),
        ),
        Kind("aligned run of 1b, doubled", wire(_with_run(0))),
        Kind("unaligned run of 1b, doubled", wire(_with_run(1))),
        Kind("unaligned run of 1b, not doubled", wire(_with_run(2), escape="aligned")),
        Kind("stray 1b before the start", b"\x1b" + plain),
        Kind("truncated, then good", plain[:77] + plain, Outcome(rejected=1)),
        Kind("wrong frame CRC", wire(push(), crc="wrong"), NO_FRAME),
        Kind(
            "wrong message CRC in a good frame",
            wire(one_wrong),
            Outcome(dropped=1),
            REFUSED,
        ),
        Kind("transport version 2", ESCAPE + b"\x02\x02\x02\x02" + bytes(8), NO_FRAME),
    )


def _multiple_of_four() -> bytes:
    """A push file that needs no fill bytes."""
    for length in range(1, 10):
        file = push(entry("010060320101", octets(b"M" * length)))
        if len(file) % 4 == 0:
            return file
    raise AssertionError


KINDS = _kinds()
