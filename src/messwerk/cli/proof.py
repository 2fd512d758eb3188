"""Proof packages of bills on the screen: what is said of a zip file."""

from __future__ import annotations

import json

from rich.markup import escape

from ..station.proof import ProofReport, check_package
from .console import out


def verify_package(package: bytes, name: str, fingerprint: str | None = None, *, as_json: bool = False) -> int:
    """Check a package, print what holds and what does not; returns the exit status, 0 when all holds.

    Raises LocalError when the bytes are no package.
    """
    report = check_package(package, fingerprint)
    if as_json:
        print(json.dumps({"file": name, **_as_data(report)}, ensure_ascii=False), flush=True)
    else:
        _print(report, name)
    return 0 if report.proven else 1


def _print(report: ProofReport, name: str) -> None:
    for finding in report.findings:
        mark = "[green]●[/]" if finding.holds else "[red]✕[/]"
        out.print(f"{mark} {finding.what:<12} {escape(finding.detail)}", soft_wrap=True)
    if report.proven:
        bill = report.bill
        stated = f"{bill['meter']}, {bill['month']}: {bill['total_eur']} EUR"
        out.print(f"[bold green]proven:[/] {escape(stated)}", soft_wrap=True)
    else:
        out.print(f"[bold red]not proven:[/] {escape(name)}", soft_wrap=True)


def _as_data(report: ProofReport) -> dict[str, object]:
    return {
        "verdict": "proven" if report.proven else "not proven",
        "keys": report.fingerprints,
        "findings": [
            {"what": finding.what, "holds": finding.holds, "detail": finding.detail} for finding in report.findings
        ],
        "bill_id": report.bill.get("bill_id"),
        "total_eur": report.bill.get("total_eur"),
    }
