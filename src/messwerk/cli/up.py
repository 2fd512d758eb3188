"""`messwerk up`: the whole system on this machine, live."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..system import Options, System
from .console import err
from .interrupt import cancel_on_signal

app = typer.Typer()

DAY_S = 86_400


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Folder of everything that is kept: meters, station, archive.")] = Path(
        "data"
    ),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port of the pages; the next three are the E320's INFO, the E750's pull, the push.")
    ] = 8080,
    headless: Annotated[bool, typer.Option("--headless", help="Serve no pages.")] = False,
    for_seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0, help="Stop by itself and print one line of JSON."),
    ] = None,
    history_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Days simulated before a new system goes live; from 31 on, back to the last full month.",
        ),
    ] = 35,
    seed: Annotated[int, typer.Option(min=0, help="What the loads of a new system are drawn from.")] = 1,
) -> None:
    """Run meters, communication, central station and pages together.

    A household behind an E320 and a workshop behind an E750 are measured every second; the
    station reads both, verifies every signature and bills each full month. Ctrl-C stops it;
    started again on the same --data it goes on where it was.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    options = Options(data=data, host=host, port=port, history_days=history_days, seed=seed, headless=headless)
    summary = asyncio.run(_run(options, for_seconds))
    if for_seconds is not None and summary is not None:
        print(json.dumps(summary), flush=True)


async def _run(options: Options, seconds: float | None) -> dict[str, object] | None:
    """Bring the system up, live, and down again; the summary, or None when interrupted before it was up."""
    cancel_on_signal()
    summary: dict[str, object] | None = None
    try:
        async with System(options) as system:
            _greet(system)
            await _catch_up(system)
            _say_where(system)
            try:
                await system.live(seconds)
            finally:
                summary = system.summary()
    except asyncio.CancelledError:
        err.print("stopped; start again with the same --data to go on", style="dim")
    return summary


def _greet(system: System) -> None:
    options, world = system.options, system.world
    if system.resumed:
        reached = datetime.fromtimestamp(world.utc, system.station.settings.zone)
        err.print(
            f"going on in {options.data} where it stopped at {reached:%Y-%m-%d %H:%M:%S}, "
            f"{_span(system.behind_s)} ago (second #{world.base_module.seconds_index} of the base module)"
        )
    else:
        err.print(f"a new system in {options.data}, seed {world.origin.seed}")


async def _catch_up(system: System) -> None:
    if system.behind_s <= 1:
        await system.catch_up(lambda done, total: None)
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeRemainingColumn(),
        console=err, transient=sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        work = bar.add_task("simulating what was measured since", total=round(system.behind_s / DAY_S, 1))
        await system.catch_up(
            lambda done, total: bar.update(work, completed=round(done / DAY_S, 1), total=round(total / DAY_S, 1))
        )


def _say_where(system: System) -> None:
    options = system.options
    if not options.headless:
        err.print(f"pages              [bold]http://{_address(options.host, options.port)}[/]")
    err.print(f"E320 INFO          messwerk read tcp://{_address(options.host, options.info_port)}")
    if system.pty is not None:
        err.print(f"                   messwerk read {system.pty.path}")
    err.print(f"E750 pull          SML over TCP on {_address(options.host, options.pull_port)}")
    err.print(f"station, push      SML over TCP on {_address(options.host, options.push_port)}")
    err.print("live; Ctrl-C stops", style="dim")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, DAY_S)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"
