"""Where the commands write: results on stdout, everything about them on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the program with status 1; `until_output_closes` decides instead."""
        raise BrokenPipeError


out: Final = _Console(highlight=False)
err: Final = _Console(stderr=True, highlight=False)


def complain(sentence: str) -> None:
    """One red sentence on stderr; `sentence` is plain text."""
    err.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)


def remark(sentence: str) -> None:
    """One dim sentence on stderr about how the work goes; `sentence` is plain text."""
    err.print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)


@contextmanager
def until_output_closes() -> Iterator[None]:
    """End a command quietly, with status 0, when the reader of its output (`head`) has had enough."""
    try:
        yield
    except BrokenPipeError:
        # Python flushes stdout once more at exit and would stumble over the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
