"""`messwerk verify`: is this what the meter signed, and is the bill right? Offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import LocalError
from ..station.proof import ProofReport, check_package
from .console import out

app = typer.Typer()


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A bill's proof package (zip).")],
    key: Annotated[
        str | None, typer.Option(help="Fingerprint of the key printed on the meter, sixteen hex digits.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a bill from its proof package alone; the exit status says whether everything holds.

    Every signature is verified and the bill computed again. Only the key's fingerprint has to be
    compared with the meter's plate: give it with --key, or read it in the output.
    """
    try:
        package = file.read_bytes()
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror or error}") from error
    report = check_package(package, key)
    if as_json:
        print(json.dumps(_as_json(report)))
    else:
        _show(file, report)
    raise typer.Exit(0 if report.proven else 1)


def _show(file: Path, report: ProofReport) -> None:
    for finding in report.findings:
        mark = "[green]●[/]" if finding.holds else "[red]✕[/]"
        out.print(f"{mark} {finding.what:<12} {escape(finding.detail)}", soft_wrap=True)
    if report.proven:
        bill = report.bill
        out.print(f"[bold]proven:[/] {escape(bill['meter'])}, {bill['month']}: {bill['total_eur']} EUR", soft_wrap=True)
    else:
        out.print(f"[bold red]not proven:[/] {escape(str(file))}", soft_wrap=True)


def _as_json(report: ProofReport) -> dict[str, object]:
    return {
        "proven": report.proven,
        "keys": report.fingerprints,
        "findings": [
            {"what": finding.what, "holds": finding.holds, "detail": finding.detail} for finding in report.findings
        ],
        "bill_id": report.bill.get("bill_id"),
        "total_eur": report.bill.get("total_eur"),
    }
