"""`messwerk station`: the central station from the command line."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from ..errors import LocalError
from ..identity import ServerId
from ..link.clock import RealClock
from ..link.endpoint import parse_source
from ..station import PriceSheet, Station
from ..station.calendar import month_bounds
from ..station.views import Age, BillRow, MeterRow
from .console import err, out, until_output_closes
from .interrupt import cancel_on_signal

T = TypeVar("T")
app = typer.Typer(name="station", help="The central station: meters in, bills out.", no_args_is_help=True)

DataFolder = Annotated[Path, typer.Option("--data", help="Folder of the station.")]
Meter = Annotated[str, typer.Argument(help="Device ID, MAC address or server ID in hex.")]
BillId = Annotated[str, typer.Argument(help="As `messwerk station bills` lists it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_FOLDER: Final = Path("station")
PUSH_PORT: Final = 7260
"""Where modules push to unless told otherwise. [design]"""


def _with(data: Path, work: Callable[[Station], Awaitable[T]]) -> T:
    """Open the station of a folder, without background work, do something, close it."""

    async def run() -> T:
        station = Station(data, RealClock())
        try:
            return await work(station)
        finally:
            await station.close()

    return asyncio.run(run())


# --- operating -----------------------------------------------------------------------------


@app.command()
def serve(
    data: DataFolder = DEFAULT_FOLDER,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    push_port: Annotated[int, typer.Option(help="Port modules push to; 0 takes no pushes.")] = PUSH_PORT,
    port: Annotated[int, typer.Option(help="Port of the pages; 0 shows none.")] = 8080,
) -> None:
    """Run the station: pull its modules, take pushes, listen, seal, bill, show the pages. Ctrl-C stops it."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    with suppress(asyncio.CancelledError):
        asyncio.run(_serve(data, host, push_port, port))
    err.print("stopped; nothing acknowledged is lost", style="dim")


async def _serve(data: Path, host: str, push_port: int, port: int) -> None:
    cancel_on_signal()
    async with Station(data, RealClock()) as station:
        if push_port:
            server = await station.serve_push(host, push_port)
            err.print(f"pushes  SML over TCP on {host}:{server.port}")
        err.print(f"pulls   {len(station.modules())} modules   INFO {len(station.roster.sources())} sources")
        if port:
            await _pages(station, host, port)
        else:
            await asyncio.Event().wait()


async def _pages(station: Station, host: str, port: int) -> None:
    # Imported here: NiceGUI takes a second to load, and the other commands need none of it.
    import uvicorn
    from fastapi import FastAPI

    from ..station import web
    from ..system import listen

    pages = FastAPI(title="Messwerk station", docs_url=None, redoc_url=None)
    web.mount(pages, station, panels=[], zone=station.settings.zone)
    with listen(host, port) as listening:
        err.print(f"pages   http://{host}:{port}")
        server = uvicorn.Server(uvicorn.Config(pages, log_level="warning", timeout_graceful_shutdown=3))
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # Ctrl-C ends the station
        await server.serve(sockets=[listening])


@app.command()
def add(
    module: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A communication module, or an INFO source.")],
    username: Annotated[str | None, typer.Option("--user", help="As the module knows it.")] = None,
    password: Annotated[
        str | None, typer.Option(help="Asked for when --user is given without it.", show_default=False)
    ] = None,
    info: Annotated[bool, typer.Option("--info", help="It is an unsigned meter's INFO interface (a source).")] = False,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Enter a communication module to pull, or with --info a source such as tcp://host:port to listen to."""
    if username is not None and password is None:
        password = typer.prompt("password", hide_input=True)

    async def enter(station: Station) -> None:
        if info:
            station.add_info_source(parse_source(module), keep=True)
        else:
            station.add_module(*_address(module), username, password)

    _with(data, enter)


@app.command()
def pull(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Pull every module once, now."""

    async def work(station: Station) -> None:
        if not station.modules():
            raise LocalError("no module to pull: enter one with `messwerk station add HOST:PORT`")
        for report in await station.pull_once():
            heard = ", ".join(str(one) for one in report.meters) or "no base module"
            out.print(f"{report.module}: {heard}; {report.bytes_received} bytes", soft_wrap=True)
            for refused in report.refused:
                err.print(f"refused: {escape(refused)}", soft_wrap=True)

    _with(data, work)


# --- looking -------------------------------------------------------------------------------


@app.command()
def meters(data: DataFolder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """List the meters, how old their last reading is, what is missing."""

    async def rows(station: Station) -> list[MeterRow]:
        return station.meters()

    found = _with(data, rows)
    if as_json:
        print(json.dumps([_meter_json(row) for row in found]))
        return
    table = Table(box=None)
    for name in ("meter", "kind", "age", "import kWh", "intervals", "gaps", "key"):
        table.add_column(name, no_wrap=name in ("meter", "age", "key"))
    for row in found:
        age = "never" if row.age_s is None else f"{row.age_s:,.0f} s"
        style = {Age.FRESH: "", Age.LATE: "yellow", Age.STALE: "red"}[row.age]
        table.add_row(
            escape(str(row.server_id)), row.kind, f"[{style}]{age}[/]" if style else age, str(row.import_kwh or "–"),
            f"{row.intervals:,}", f"{row.gaps:,}", row.key_fingerprint or "unsigned",
        )  # fmt: skip
    out.print(table)


def _meter_json(row: MeterRow) -> dict[str, object]:
    return {
        "meter": str(row.server_id), "server_id": row.server_id.hex(), "kind": row.kind, "source": row.source,
        "signed": row.signed, "key": row.key_fingerprint, "last_index": row.last_index,
        "last_seen_utc": row.last_seen_utc, "import_kwh": None if row.import_kwh is None else str(row.import_kwh),
        "export_kwh": None if row.export_kwh is None else str(row.export_kwh), "intervals": row.intervals,
        "gaps": row.gaps, "tuples_archived": row.counts.tuples_archived,
        "signatures_invalid": row.counts.signatures_invalid,
    }  # fmt: skip


@app.command()
def events(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """List what happened, newest first."""

    async def work(station: Station) -> None:
        for event in station.events(limit):
            when = dt.datetime.fromtimestamp(event.utc, station.settings.zone)
            out.print(f"{when:%Y-%m-%d %H:%M:%S}  {event.severity.value:<8} {escape(event.text)}", soft_wrap=True)

    _with(data, work)


@app.command("confirm-key")
def confirm_key(
    meter: Meter,
    fingerprint: Annotated[str, typer.Argument(help="The sixteen hex digits on the meter's plate.")],
    how: Annotated[str, typer.Option(help="What it was compared with.")] = "hand",
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Accept a meter's key because its fingerprint was compared; waiting tuples are judged again."""

    async def work(station: Station) -> None:
        station.confirm_key(ServerId.parse(meter), fingerprint, how)
        await station.process()

    _with(data, work)


# --- tariffs and bills ---------------------------------------------------------------------


@app.command()
def tariff(
    file: Annotated[
        Path | None, typer.Argument(help="A price sheet as JSON to add; none lists the ones there.")
    ] = None,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """List the price sheets as JSON lines, or add one; a sheet applies from its `valid_from` on."""

    async def work(station: Station) -> None:
        if file is not None:
            try:
                station.add_price_sheet(PriceSheet.from_json(file.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError) as error:
                raise LocalError(f"{file} cannot be read: {error}") from error
        for sheet in station.invoicing.sheets():
            print(sheet.to_json())

    _with(data, work)


@app.command()
def bills(data: DataFolder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Make the bills of all finished months, and list them all."""

    async def work(station: Station) -> list[BillRow]:
        await station.process()
        await station.make_bills()
        return station.bills()

    found = _with(data, work)
    if as_json:
        print(json.dumps([_bill_json(row) for row in found]))
        return
    table = Table(box=None)
    for name in ("bill", "meter", "kWh", "EUR"):  # the month is in the bill's number
        table.add_column(name, no_wrap=True, justify="right" if name in ("kWh", "EUR") else "left")
    for row in found:
        total = str(row.total_eur) if row.complete else "preview"
        table.add_row(row.bill_id, str(row.server_id), str(row.energy_kwh), total)
    out.print(table)


def _bill_json(row: BillRow) -> dict[str, object]:
    return {
        "bill_id": row.bill_id, "meter": str(row.server_id), "from": row.from_local, "to": row.to_local,
        "energy_kwh": str(row.energy_kwh), "total_eur": str(row.total_eur), "complete": row.complete,
    }  # fmt: skip


@app.command()
def bill(
    bill_id: BillId,
    form: Annotated[
        str, typer.Option("--as", metavar="html|json|proof", help="Page, data, or proof package.")
    ] = "html",
    to: Annotated[Path | None, typer.Option("--to", help="File to write; a name is made up without it.")] = None,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Write a bill as a page that prints on A4, as JSON, or as a zip that proves it."""

    async def work(station: Station) -> bytes:
        match form:
            case "html":
                return station.bill_html(bill_id).encode()
            case "json":
                return station.bill_json(bill_id).encode()
            case "proof":
                return await station.bill_proof(bill_id)
        raise LocalError(f"--as is html, json or proof, not {form!r}")

    content = _with(data, work)
    path = to or Path(f"{bill_id}.{'zip' if form == 'proof' else form}")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror or error}") from error
    out.print(str(path), soft_wrap=True)


@app.command()
def export(
    meter: Meter,
    month: Annotated[str, typer.Option(help="Calendar month, like 2026-10.")],
    form: Annotated[str, typer.Option("--as", metavar="csv|json|parquet", help="Values, or evidence.")] = "csv",
    to: Annotated[Path | None, typer.Option("--to", help="File to write; standard output without it.")] = None,
    data: DataFolder = DEFAULT_FOLDER,
) -> None:
    """Write a month of a meter: 15-minute values as CSV or JSON lines, signed tuples as Parquet."""

    async def work(station: Station) -> bytes:
        span = month_bounds(month, station.settings.zone)
        if form == "parquet":
            return await station.export_evidence(ServerId.parse(meter), *span)
        return station.export_values(ServerId.parse(meter), *span, form).encode()

    content = _with(data, work)
    if to is None:
        with until_output_closes():
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        return
    try:
        to.write_bytes(content)
    except OSError as error:
        raise LocalError(f"{to} cannot be written: {error.strerror or error}") from error


# --- care ----------------------------------------------------------------------------------


@app.command()
def check(data: DataFolder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Prove the folder whole: every digest, signature, count and bill. Exit status 1 when something is wrong."""
    if not (data / "station.db").is_file():
        raise LocalError(f"{data} is no folder of a station: name it with --data")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        report = _with(data, lambda station: station.check(progress))
    if as_json:
        print(
            json.dumps(
                {
                    "whole": report.whole, "files": report.files, "rows": report.rows, "signatures": report.signatures,
                    "batches": report.batches, "bills": report.bills, "faults": report.faults,
                    "fault_count": report.fault_count,
                }
            )
        )  # fmt: skip
    else:
        for fault in report.faults:
            out.print(f"[red]✕[/] {escape(fault)}", soft_wrap=True)
        seen = f"{report.files} files, {report.rows:,} rows, {report.signatures:,} signatures, {report.bills} bills"
        out.print(f"{'whole' if report.whole else f'{report.fault_count} faults'}: {seen}", soft_wrap=True)
    raise typer.Exit(0 if report.whole else 1)


@app.command()
def seal(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Move all verified rows into archive files now."""
    report = _with(data, lambda station: station.seal())
    out.print(f"{report.rows:,} rows into {report.files} files")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise LocalError(f"a module is written HOST:PORT, like 192.168.1.5:7259, not {text!r}")
    return host.strip("[]"), int(port)
