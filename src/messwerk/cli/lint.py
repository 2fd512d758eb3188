"""`messwerk lint`: telegrams of files and live meters held against the specification."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from ..link.endpoint import SILENCE_S, FileSource, Source, parse_source
from ..link.serial import BAUD
from ..sml.lint import Finding, Habit, Linter, MeterRecord, Rule, Severity
from .console import complain, out, until_output_closes
from .intake import HEAD, why_unreadable
from .live import pump, run_interruptible

app = typer.Typer()


@app.command()
def lint(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE…", help="Files, -, serial devices, tcp://host:port or http://….")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a source.")] = False,
    as_table: Annotated[bool, typer.Option("--table", help="One row of Markdown a meter.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every finding, not only the first of each kind.")] = False,
    telegrams: Annotated[
        int | None, typer.Option("-n", help="Stop after so many telegrams of a source.", min=1, show_default=False)
    ] = None,
    silence: Annotated[float, typer.Option(help="Seconds after which a silent live source is given up.", min=0)] = (
        SILENCE_S
    ),
    baud: Annotated[int, typer.Option(help="Speed of a serial device; always 8N1.", min=50)] = BAUD,
) -> None:
    """Check telegrams against the specification: status 0 when they conform, 1 when not.

    Each deviation comes with its byte offset, what was found, what a strict reader does, and the
    quirk it is known as. Notes are legal and do not change the status.
    """
    conforming = True
    with until_output_closes():
        if as_table:
            print("| source | meter | telegrams | violations | notes |\n|---|---|---|---|---|", flush=True)
        for text in sources:
            check = Check(parse_source(text, baud=baud), every=every and not (as_json or as_table), limit=telegrams)
            interrupted = run_interruptible(check.run(silence or None))
            if as_json:
                print(json.dumps(check.as_data(), ensure_ascii=False), flush=True)
            elif as_table:
                print("\n".join(check.rows()), flush=True)
            elif check.linter.telegrams or check.first_rejection is not None:
                check.print_report()
            conforming &= check.linter.conforming
            if not check.linter.telegrams:
                error = why_unreadable(check.source, check.received, check.head, check.first_rejection)
                if len(sources) == 1 and not interrupted:
                    raise error
                complain(str(error))
    if not conforming:
        raise typer.Exit(1)


@dataclass
class Check:
    """One source and its linter."""

    source: Source
    every: bool = False
    limit: int | None = None
    linter: Linter = field(default_factory=Linter)
    received: int = 0
    head: bytes = b""
    first_rejection: str | None = None

    async def run(self, silence_s: float | None) -> None:
        """Check until the source ends or the wanted telegrams have come."""
        await pump(self.source, self._take, silence_s=silence_s)
        if self.limit is None or self.linter.telegrams < self.limit:
            self._show(self.linter.close())

    async def _take(self, piece: bytes) -> bool:
        self.received += len(piece)
        self.head += piece[: HEAD - len(self.head)]
        self._show(self.linter.receive(piece))
        return self.limit is not None and self.linter.telegrams >= self.limit

    def _show(self, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.rule in (Rule.BROKEN_FRAME, Rule.FRAME_CRC, Rule.CUT) and self.first_rejection is None:
                self.first_rejection = finding.found
            if self.every:
                out.print(Text(str(finding), _STYLES[finding.rule.severity]), soft_wrap=True)

    def print_report(self) -> None:
        """Findings by meter, then the verdict."""
        linter = self.linter
        for record in linter.meters.values():
            _print_record(record)
        words = "[bold green]conforming" if linter.conforming else "[bold red]not conforming"
        out.print(
            f"{words}[/]  {escape(str(self.source))}: {_many(linter.telegrams, 'telegram')}, "
            f"{_many(linter.violations, 'violation')}",
            soft_wrap=True,
        )

    def as_data(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "source": str(self.source),
            "conforming": self.linter.conforming,
            "telegrams": self.linter.telegrams,
            "violations": self.linter.violations,
            "meters": [
                {
                    "server_id": record.server_id.hex() or None,
                    "device": record.name or None,
                    "manufacturer": record.manufacturer,
                    "telegrams": record.telegrams,
                    "conforming": record.conforming,
                    "findings": [_habit_as_data(habit) for habit in record.habits.values()],
                }
                for record in self.linter.meters.values()
            ],
        }

    def rows(self) -> list[str]:
        """One row of a Markdown table a meter; findings of the line stand with the first meter."""
        line = self.linter.meters.get(b"")
        meters = [record for record in self.linter.meters.values() if record is not line] or [MeterRecord(b"")]
        name = self.source.path.name if isinstance(self.source, FileSource) else str(self.source)
        rows = []
        for number, record in enumerate(meters):
            records = [record] + ([line] if line is not None and number == 0 else [])
            cells = (_named(records, severity) for severity in (Severity.VIOLATION, Severity.NOTE))
            rows.append(f"| {Path(name).stem} | {record.name or '–'} | {record.telegrams} | {' | '.join(cells)} |")
        return rows


_STYLES = {Severity.VIOLATION: "red", Severity.NOTE: "yellow"}


def _print_record(record: MeterRecord) -> None:
    title = record.name or "the line"
    maker = f" ({record.manufacturer})" if record.manufacturer else ""
    counted = f", {_many(record.telegrams, 'telegram')}" if record.telegrams else ""
    out.print(f"[bold]{escape(title + maker)}[/]{counted}")
    if not record.habits:
        out.print("  [green]nothing to say[/]")
    for rule, habits in _by_rule(record).items():
        out.print(
            f"  [{_STYLES[rule.severity]}]{rule.severity.value:9}[/] [bold]{rule.quirk or '':4}[/] {escape(rule.text)}"
        )
        for habit in habits:
            first = habit.first
            repeated = f"  x{habit.count}" if habit.count > 1 else ""
            place = Text(f"    byte {first.offset:6}  {first.path}  {first.found}{repeated}".rstrip())
            out.print(place, soft_wrap=True)
        out.print(Text(f"    a strict reader {rule.strict}", "dim"), soft_wrap=True)


def _by_rule(record: MeterRecord) -> dict[Rule, list[Habit]]:
    """Habits by rule, violations first."""
    grouped: dict[Rule, list[Habit]] = {}
    for (rule, _), habit in sorted(record.habits.items(), key=lambda item: item[0][0].severity is Severity.NOTE):
        grouped.setdefault(rule, []).append(habit)
    return grouped


def _named(records: list[MeterRecord], severity: Severity) -> str:
    """The rules of one severity that records show, each with its quirk and how often."""
    counts: dict[Rule, int] = {}
    for record in records:
        for (rule, _), habit in record.habits.items():
            if rule.severity is severity:
                counts[rule] = counts.get(rule, 0) + habit.count
    names = (f"{rule.name.lower().replace('_', ' ')}{f' {rule.quirk}' if rule.quirk else ''}" for rule in counts)
    return ", ".join(f"{name} ×{count}" for name, count in zip(names, counts.values(), strict=True)) or "–"


def _habit_as_data(habit: Habit) -> dict[str, Any]:
    rule, first = habit.first.rule, habit.first
    return {
        "rule": rule.name.lower(),
        "severity": rule.severity.value,
        "quirk": rule.quirk or None,
        "offset": first.offset,
        "path": first.path or None,
        "found": first.found,
        "text": rule.text,
        "strict": rule.strict,
        "count": habit.count,
    }


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
