"""The command `messwerk`: a thin door. Each subcommand parses, calls one function, prints.

A command lives in a module of its own that offers a Typer `app`; one line in `COMMANDS` makes
it known. Only the module of the command asked for is imported, so that each starts quickly.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Final

import typer

from .. import __version__
from ..errors import MesswerkError
from .console import complain

COMMANDS: Final = {
    "read": "messwerk.cli.read",
    "dump": "messwerk.cli.dump",
    "convert": "messwerk.cli.convert",
    "lint": "messwerk.cli.lint",
    "verify": "messwerk.cli.verify",
    "up": "messwerk.cli.up",
    "e320": "messwerk.cli.e320",
    "e750": "messwerk.cli.e750",
    "station": "messwerk.cli.station",
    "gateway": "messwerk.cli.gateway",
    "bench": "messwerk.cli.bench",
}
"""Name of each subcommand and the module whose `app` it is."""


def build(only: str | None = None) -> typer.Typer:
    """The application with all its commands, or with the one named `only`."""
    root = typer.Typer(
        name="messwerk",
        help="Electricity meters, their language SML and their central station.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(_root)
    for name, module in COMMANDS.items():
        if only in (None, name):
            root.add_typer(import_module(module).app)
    return root


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=lambda value: _version(value))
    ] = False,
) -> None:
    pass


def _version(wanted: bool) -> None:
    if wanted:
        print(f"messwerk {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: errors of ours end in one sentence on stderr and exit status 1, no traceback."""
    asked = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        build(asked if asked in COMMANDS else None)()
    except MesswerkError as error:
        complain(str(error))
        sys.exit(1)
