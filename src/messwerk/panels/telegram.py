"""A telegram as people read it: every byte in hex, and beside it what the bytes say."""

from __future__ import annotations

from html import escape
from typing import Final

from .. import sml
from ..station.web.language import Language
from ..station.web.shell import pairs, table

BYTES_A_LINE: Final = 16
BYTES_SHOWN: Final = 2_048
"""Longer telegrams are cut in the view, and say so."""


def hex_dump(telegram: bytes, before: bytes | None) -> str:
    """Offset and sixteen bytes a line; bytes that differ from `before` are marked. Markup."""
    shown = telegram[:BYTES_SHOWN]
    known = before if before is not None and len(before) == len(telegram) else telegram
    lines = []
    for start in range(0, len(shown), BYTES_A_LINE):
        octets = shown[start : start + BYTES_A_LINE]
        cells = [
            f"{octet:02x}" if octet == known[start + at] else f"<b>{octet:02x}</b>" for at, octet in enumerate(octets)
        ]
        lines.append(f"<i>{start:04x}</i>  {' '.join(cells)}")
    if len(telegram) > BYTES_SHOWN:
        lines.append(f"… {len(telegram) - BYTES_SHOWN} more bytes")
    return f'<code class="dump">{chr(10).join(lines)}</code>'


def decoded(telegram: bytes, language: Language) -> str:
    """The values of a framed telegram with names, units and status in words. Markup."""
    say = language.say
    decoder = sml.FrameDecoder()
    frames = [found for found in (*decoder.receive(telegram), *decoder.close()) if isinstance(found, sml.Frame)]
    if not frames:
        return f'<div class="empty">{escape(say("These bytes are no SML telegram."))}</div>'
    file = sml.decode(frames[0].payload)
    parts = []
    for reading in sml.readings(file):
        facts = [(say("Message"), f"<code>{escape(reading.body)}</code>")]
        if reading.server_id is not None:
            facts.append((say("Server ID"), escape(str(reading.server_id))))
        if reading.seconds_index is not None:
            facts.append((say("Seconds index"), language.index(reading.seconds_index)))
        if reading.status is not None:
            words = ", ".join(say(flag_words(flag.name or "")) for flag in reading.status)
            facts.append((say("Status"), f"<code>{reading.status_word:#010x}</code> {escape(words)}"))
        parts.append(pairs(facts))
        rows = [
            (
                f'<code class="nowrap">{escape(entry.code)}</code>',
                escape(say(entry.name) if entry.name else "–"),
                f"{escape(entry.text or '–')} {escape(entry.symbol or '')}",
            )
            for entry in reading.entries
        ]
        parts.append(table((("OBIS", ""), (say("Meaning"), ""), (say("Value"), "num")), rows))
    counted = say(
        "{bytes} bytes on the line, {messages} messages, both checksum levels right",
        bytes=language.number(len(telegram)), messages=len(file.messages),
    )  # fmt: skip
    parts.append(f'<p class="soft small">{escape(counted)}</p>')
    return "".join(parts)


def flag_words(name: str) -> str:
    """`L1_EXPORTS` -> `L1 exports`."""
    text = name.replace("_", " ").lower()
    return text.replace("l1", "L1").replace("l2", "L2").replace("l3", "L3")
