"""Telegrams as tables for people, live where the source and the terminal are."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..sml.reading import Reading, TelegramReading, decimal_text
from ..units import VAR_HOUR, WATT_HOUR
from .console import out
from .formats import Output, status_names

MAX_METERS: Final = 16
"""Meters shown at once; a source that names more shows those heard last."""
FRESH_S: Final = 5.0
STALE_S: Final = 15.0
"""Ages at which the age of a telegram turns yellow and red; meters push every 1 to 4 s."""
_KILO: Final = {WATT_HOUR: "kWh", VAR_HOUR: "kvarh"}


class Meters(Output):
    """The last telegram of each meter heard, and when it came."""

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[TelegramReading, float]] = {}

    async def show(self, telegram: TelegramReading) -> None:
        key = bytes(telegram.server_id or b"")
        self._last.pop(key, None)
        self._last[key] = telegram, time.monotonic()
        if len(self._last) > MAX_METERS:
            del self._last[next(iter(self._last))]

    def panels(self, *, with_age: bool) -> list[RenderableType]:
        now = time.monotonic()
        return [
            meter_panel(telegram, now - heard if with_age else None)
            for _, (telegram, heard) in sorted(self._last.items())
        ]


class LastOfEach(Meters):
    """For files: what each meter said last, printed at the end."""

    async def finish(self, summary: Mapping[str, int]) -> None:
        for panel in self.panels(with_age=False):
            out.print(panel)
        out.print(summary_line(summary))


class EveryTelegram(Output):
    """For live sources without a terminal: each telegram as it comes."""

    async def show(self, telegram: TelegramReading) -> None:
        out.print(meter_panel(telegram, None))

    async def finish(self, summary: Mapping[str, int]) -> None:
        out.print(summary_line(summary))


class LiveTable(Meters):
    """For live sources on a terminal: one table a meter, redrawn in place with its age."""

    def __init__(self, source: str, summary: Mapping[str, int]) -> None:
        """`summary` is read at each redraw and may change meanwhile."""
        super().__init__()
        self._source = source
        self._summary = summary
        self._notice = ""
        self._live = Live(get_renderable=self._render, console=out, refresh_per_second=4)

    async def __aenter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._live.stop()

    async def show(self, telegram: TelegramReading) -> None:
        self._notice = ""
        await super().show(telegram)
        self._live.refresh()

    async def note(self, sentence: str) -> None:
        self._notice = sentence
        self._live.refresh()

    def _render(self) -> RenderableType:
        panels = self.panels(with_age=True) or [Text(f"waiting for the first telegram of {self._source} …", "dim")]
        notice = [Text(self._notice, "yellow")] if self._notice else []
        return Group(*panels, *notice, summary_line(self._summary))

    async def finish(self, summary: Mapping[str, int]) -> None:
        self._live.refresh()


def summary_line(summary: Mapping[str, int]) -> Text:
    """The counts in one dim line."""
    return Text(" · ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in summary.items()), "dim")


def meter_panel(telegram: TelegramReading, age_s: float | None) -> Panel:
    """One telegram as a framed table; `age_s` None leaves the age out."""
    table = Table(box=None, expand=True, show_header=False, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", style="bold", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, width=6)
    for entry in telegram.entries:
        value, unit = value_and_unit(entry)
        table.add_row(entry.code, entry.name or "", escape(value), unit)
    return Panel(
        Group(table, *_words(telegram)),
        title=f"[bold]{escape(str(telegram.server_id or 'unknown device'))}[/]  {escape(telegram.manufacturer or '')}",
        title_align="left",
        subtitle=_when(telegram, age_s),
        subtitle_align="right",
        border_style="blue",
    )


def value_and_unit(entry: Reading) -> tuple[str, str]:
    """A value as the meter's own display shows it: energies in kWh and kvarh, all digits kept."""
    if entry.unit in _KILO and isinstance(entry.raw, int):
        return decimal_text(entry.raw, (entry.scaler or 0) - 3), _KILO[entry.unit]
    if entry.text is None:
        return "not sent", ""
    return entry.text, entry.symbol or ""


def _words(telegram: TelegramReading) -> list[RenderableType]:
    """Direction, status and advice below the values."""
    words: list[RenderableType] = []
    power = telegram.power_w
    if power is not None:
        direction = "[yellow]▲ feeding in" if power < 0 else "[green]▼ drawing"
        words.append(f"\n{direction} {abs(power):f} W[/]")
    names = status_names(telegram)
    if names:
        shown = " · ".join(re.sub(r"\bl(?=[123]\b)", "L", name.replace("_", " ")) for name in names)
        words.append(f"[dim]{shown}[/]")
    words += [f"[yellow]{escape(hint)}[/]" for hint in telegram.hints]
    return words


def _when(telegram: TelegramReading, age_s: float | None) -> str:
    index = "no seconds index" if telegram.seconds_index is None else f"second {telegram.seconds_index:,}"
    if age_s is None:
        return index
    colour = "green" if age_s < FRESH_S else "yellow" if age_s < STALE_S else "red"
    return f"{index} · [{colour}]{age_s:.1f} s ago[/]"
