"""Where telegrams go, and two of the ways: lines of JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from typing import Any, Final, Self

from ..sml.reading import Reading, TelegramReading
from .console import remark

COLUMNS: Final = ("server_id", "seconds_index", "obis", "name", "value", "unit", "raw", "scaler", "status")
"""Columns of `--csv`, one row a value."""


class Output:
    """Where telegrams go: entered before the first, finished with the counts after the last."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def show(self, telegram: TelegramReading) -> None:
        """Take one telegram."""

    async def note(self, sentence: str) -> None:
        """Say something about the source, such as that it was lost."""
        remark(sentence)

    async def finish(self, summary: Mapping[str, int]) -> None:
        """Take the counts at the end."""


class JsonLines(Output):
    """One line of JSON a telegram, and one for the summary."""

    async def show(self, telegram: TelegramReading) -> None:
        print(json.dumps(as_data(telegram), ensure_ascii=False), flush=True)

    async def finish(self, summary: Mapping[str, int]) -> None:
        print(json.dumps({"summary": dict(summary)}), flush=True)


class Csv(Output):
    """A header line, then one row a value; the summary goes to stderr."""

    def __init__(self) -> None:
        self._writer = csv.writer(sys.stdout, lineterminator="\n")

    async def __aenter__(self) -> Self:
        self._row(COLUMNS)
        return self

    async def show(self, telegram: TelegramReading) -> None:
        server = telegram.server_id.hex() if telegram.server_id else ""
        for entry in telegram.entries:
            data = entry_as_data(entry)
            self._row((server, telegram.seconds_index, *(data[name] for name in COLUMNS[2:])))

    def _row(self, cells: tuple[object, ...]) -> None:
        self._writer.writerow(cells)
        sys.stdout.flush()

    async def finish(self, summary: Mapping[str, int]) -> None:
        remark(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in summary.items()))


def as_data(telegram: TelegramReading) -> dict[str, Any]:
    """One telegram as plain data: `value` an exact decimal string, octets in `raw` as hex."""
    power = telegram.power_w
    return {
        "server_id": telegram.server_id.hex() if telegram.server_id else None,
        "device": str(telegram.server_id) if telegram.server_id else None,
        "manufacturer": telegram.manufacturer,
        "seconds_index": telegram.seconds_index,
        "timestamp": telegram.timestamp,
        "power_w": None if power is None else f"{power:f}",
        "flags": status_names(telegram),
        "hints": list(telegram.hints),
        "entries": [entry_as_data(entry) for entry in telegram.entries],
    }


def entry_as_data(entry: Reading) -> dict[str, Any]:
    """One value as plain data."""
    return {
        "obis": entry.code,
        "name": entry.name,
        "value": entry.text,
        "unit": entry.symbol,
        "raw": entry.raw.hex() if isinstance(entry.raw, bytes) else entry.raw,
        "scaler": entry.scaler,
        "status": entry.status,
    }


def status_names(telegram: TelegramReading) -> list[str] | None:
    """Names of the status flags that are set; None where the meter's status is not understood."""
    if telegram.status is None:
        return None
    return [flag.name.lower() for flag in telegram.status if flag.name is not None]
