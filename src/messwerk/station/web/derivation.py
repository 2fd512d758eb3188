"""How a bill's figures follow from its readings, taken from the bill's own JSON document.

Everything shown is computed here again from the readings listed, so a line whose parts do not
make its whole would be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

QUARTER_S: Final = 900
ALL_WEEK: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(slots=True)
class DayPart:
    """What one local day adds to one line."""

    day: date
    quarters: int
    energy_kwh: Decimal
    first_index: int
    """Index of the first reading used."""
    last_index: int


@dataclass(frozen=True, slots=True)
class EnergyLine:
    """An energy line taken apart."""

    quarters: int
    windows: tuple[str, ...]
    """When the price applies, e.g. `Mon–Fri 06:00–22:00`; empty: whenever no other price does."""
    sheet: str
    sheet_digest: str
    days: tuple[DayPart, ...]

    @property
    def energy_kwh(self) -> Decimal:
        """Sum of the days; equals the quantity billed."""
        return sum((part.energy_kwh for part in self.days), Decimal(0))


class BillDocument:
    """A bill's JSON, as `Station.bill_json` gives it."""

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self._document: dict[str, Any] = json.loads(text)
        self._zone = zone
        self._sheets = sorted(self._document.get("tariff", ()), key=lambda sheet: str(sheet["valid_from"]))

    @property
    def rounding(self) -> str:
        """The rule of rounding in words; empty when the document states none."""
        return str(self._document.get("rounding", ""))

    def energy_line(self, label: str) -> EnergyLine | None:
        """The derivation of the line with this label; None where it is no energy line of a price zone."""
        for sheet in self._sheets:
            for zone in sheet["zones"]:
                if label == f"{zone['name']} {sheet['name']} {sheet['version']}":
                    days = tuple(self._days(zone["name"], sheet))
                    return EnergyLine(
                        quarters=sum(part.quarters for part in days),
                        windows=tuple(window_text(window) for window in zone["windows"]),
                        sheet=f"{sheet['name']} {sheet['version']}",
                        sheet_digest=str(sheet["digest"]),
                        days=days,
                    )
        return None

    def _days(self, zone_name: str, sheet: dict[str, Any]) -> Iterator[DayPart]:
        part: DayPart | None = None
        for first, last in self._quarters():
            day = datetime.fromtimestamp(first["quarter_utc"], self._zone).date()
            if first["zone"] != zone_name or self._sheet_of(day) is not sheet:
                continue
            energy_kwh = Decimal(last["import_kwh"]) - Decimal(first["import_kwh"])
            if part is None or part.day != day:
                if part is not None:
                    yield part
                part = DayPart(day, 0, Decimal(0), first["index"], last["index"])
            part.quarters += 1
            part.energy_kwh += energy_kwh
            part.last_index = last["index"]
        if part is not None:
            yield part

    def _quarters(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Both readings of every quarter hour that was billed."""
        readings: list[dict[str, Any]] = self._document.get("readings", [])
        missing = {datetime.fromisoformat(start).timestamp() for start in self._document.get("missing", ())}
        for first, last in pairwise(readings):
            start = first["quarter_utc"]
            if last["quarter_utc"] - start == QUARTER_S and start not in missing and first["zone"] is not None:
                yield first, last

    def _sheet_of(self, day: date) -> dict[str, Any] | None:
        """The price sheet in force on a day."""
        valid = [sheet for sheet in self._sheets if str(sheet["valid_from"]) <= day.isoformat()]
        return valid[-1] if valid else None


def window_text(window: dict[str, Any]) -> str:
    """`Mon–Fri 06:00–22:00`; days that follow each other are joined."""
    runs: list[list[str]] = []
    for name in ALL_WEEK:
        if name not in window["days"]:
            continue
        if runs and ALL_WEEK.index(runs[-1][-1]) + 1 == ALL_WEEK.index(name):
            runs[-1].append(name)
        else:
            runs.append([name])
    days = ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else run[0] for run in runs)
    return f"{days} {window['start']}–{window['end']}"
