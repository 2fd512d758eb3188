"""Telegrams as lines for programs: JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..sml.reading import TelegramReading


@dataclass(slots=True)
class JsonLines:
    """One line of JSON a telegram, and one for the summary."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def show(self, telegram: TelegramReading) -> None:
        print(json.dumps(as_data(telegram), ensure_ascii=False), flush=True)

    def finish(self, summary: Mapping[str, int]) -> None:
        print(json.dumps({"summary": dict(summary)}), flush=True)


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
        "entries": [
            {
                "obis": entry.code,
                "name": entry.name,
                "value": entry.text,
                "unit": entry.symbol,
                "raw": entry.raw.hex() if isinstance(entry.raw, bytes) else entry.raw,
                "scaler": entry.scaler,
                "status": entry.status,
            }
            for entry in telegram.entries
        ],
    }


def status_names(telegram: TelegramReading) -> list[str] | None:
    """Names of the status flags that are set; None where the meter's status is not understood."""
    if telegram.status is None:
        return None
    return [flag.name.lower() for flag in telegram.status if flag.name is not None]
