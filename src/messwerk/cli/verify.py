"""`messwerk verify`: what a file with signed meter data proves, by which key, and what it does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.text import Text

from .. import evidence
from ..errors import InvalidIdentifier, MesswerkError, SourceError
from ..evidence import Finding, GivenKeys, Report, Rule, Verdict
from ..signing import Curve, PublicKey
from .console import complain, out, remark, until_output_closes
from .material import load

app = typer.Typer()

ZIP: Final = b"PK\x03\x04"
FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{4}\s?){4}")
SHOWN_FINDINGS: Final = 10
"""Signed items shown in full without --all; the others are counted, and those that fail always shown."""
SHOWN_DAMAGED: Final = 20
"""Unreadable parts named one by one."""


@app.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="SML, signed values in XML, JSON, a bill; - for stdin.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="HEX|FILE",
            help="The meter's public key in hex, PEM or DER, or its fingerprint. May be repeated.",
        ),
    ] = None,
    curve: Annotated[
        Curve | None, typer.Option(help="Curve of --key, where it cannot be told from the key.", show_default=False)
    ] = None,
    tuples: Annotated[
        str | None, typer.Option("--tuples", metavar="FILE", help="The signed tuples that a bill names.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every signed item in full.")] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export-openssl", metavar="DIR", help="Write blocks, signatures and keys for openssl."),
    ] = None,
) -> None:
    """Check the signatures of meter data. Status 0: all proven; 1: not proven; 2: not understood.

    Reads tuples and profiles of SyM² modules (SML in binary, hex, XML, JSON), signed values of EDL40,
    ISA-EDL-40P and MENNEKES meters, bills of the station and their proof packages. Without --key the key in the file is
    used, which proves that the file fits together and not whose meter it is.
    """
    try:
        keys = _given(key or [], curve)
        data = load(file)
        if data.startswith(ZIP):
            if tuples:
                raise SourceError("a proof package carries its tuples: leave --tuples out")
            if export is not None:
                raise SourceError("the README.txt in a proof package tells how to check it by hand with openssl")
            raise typer.Exit(_verify_package(data, file, keys, as_json=as_json))
        report = evidence.examine(data, keys, tuples=load(tuples) if tuples else None)
        if export is not None:
            _export(export, report)
    except MesswerkError as error:
        if as_json:
            print(json.dumps({"file": file, "verdict": Verdict.NOT_UNDERSTOOD.value, "faults": [str(error)]}))
        else:
            complain(str(error))
        raise typer.Exit(Verdict.NOT_UNDERSTOOD.exit_status) from error
    with until_output_closes():
        if as_json:
            print(json.dumps({"file": file, **_as_data(report)}, ensure_ascii=False), flush=True)
        else:
            _print(report, file, every=every)
    raise typer.Exit(report.verdict.exit_status)


def _verify_package(data: bytes, file: str, keys: GivenKeys, *, as_json: bool) -> int:
    """Check the proof package of a bill; returns the exit status. Raises LocalError where it is none."""
    from .proof import verify_package  # NumPy and the station take a second that other files need not pay

    fingerprints = [*keys.fingerprints, *(key.fingerprint for key in keys.keys)]
    if len(fingerprints) > 1:
        raise SourceError("a proof package is of one meter: give one --key")
    return verify_package(data, file, fingerprints[0] if fingerprints else None, as_json=as_json)


def _given(texts: list[str], curve: Curve | None) -> GivenKeys:
    """What --key says. Raises MesswerkError."""
    fingerprints = tuple(text for text in texts if FINGERPRINT.fullmatch(text.strip()))
    keys = tuple(_key(text, curve) for text in texts if text not in fingerprints)
    return GivenKeys(keys, fingerprints)


def _key(text: str, curve: Curve | None) -> PublicKey:
    """A key given as digits or as the name of a file that holds it. Raises MesswerkError."""
    try:
        return evidence.parse_key(text, curve)
    except InvalidIdentifier as error:
        try:
            found = Path(text).is_file()
        except (OSError, ValueError):
            found = False
        if not found:
            raise InvalidIdentifier(f"--key {text[:60]}: {error}, and no file of that name") from error
        return evidence.parse_key(load(text), curve)


def _export(folder: Path, report: Report) -> None:
    files = evidence.export_openssl(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with (folder / name).open("xb") as file:
                file.write(content)
    except FileExistsError as error:
        raise SourceError(f"{error.filename} exists: export into a new folder") from error
    except OSError as error:
        raise SourceError(f"{folder} cannot be written: {error.strerror or error}") from error
    remark(f"{sum(name.endswith('.bin') for name in files)} blocks written; check them with: sh {folder}/check.sh")


# --- for people ----------------------------------------------------------------------------

_STYLES: Final = {Verdict.PROVEN: "bold green", Verdict.NOT_PROVEN: "bold red", Verdict.NOT_UNDERSTOOD: "bold red"}


def _print(report: Report, file: str, *, every: bool) -> None:
    left_out = 0
    for number, finding in enumerate(report.findings, 1):
        if every or number <= SHOWN_FINDINGS or finding.faults:
            _print_finding(number, finding)
        else:
            left_out += 1
    if left_out:
        out.print(Text(f"{left_out} more are proven just so; --all shows them", "dim"))
    for transaction in report.transactions:
        energy = f": {transaction.energy}" if transaction.energy else ""
        values = ", ".join(str(member + 1) for member in transaction.members)
        out.print(
            Text.assemble(
                (f"{transaction.name}{energy}", "bold"),
                f" (item{'s' if len(transaction.members) > 1 else ''} {values})",
            ),
            soft_wrap=True,
        )
        _print_rules(transaction.rules)
    if report.rules:
        out.print(Text(report.kind, "bold"))
        _print_rules(report.rules)
    for part in report.damaged[:SHOWN_DAMAGED]:
        out.print(Text(f"cannot be read: {part}", "red"), soft_wrap=True)
    if len(report.damaged) > SHOWN_DAMAGED:
        out.print(Text(f"and {len(report.damaged) - SHOWN_DAMAGED} more", "red"))
    for sentence in report.remarks:
        out.print(Text(f"note: {sentence}", "yellow"), soft_wrap=True)
    _print_verdict(report, file)


def _print_finding(number: int, finding: Finding) -> None:
    exhibit = finding.exhibit
    style = _STYLES[finding.verdict]
    out.print(
        Text.assemble((f"{number} ", "dim"), (exhibit.title, "bold"), "  ", (finding.verdict.value, style)),
        soft_wrap=True,
    )
    for field in exhibit.fields:
        mark = "" if field.signed else "  [dim](not covered by the signature)[/]"
        out.print(f"    {escape(field.name):34} {escape(field.value)}{mark}", soft_wrap=True)
    if finding.key is not None:
        words = f"{finding.key.fingerprint} on {finding.key.curve.value}, {finding.key_source}"
        out.print(f"    {'key':34} {escape(words)}", soft_wrap=True)
    out.print(f"    {'layout':34} {escape(exhibit.layout)}; {escape(exhibit.place)}", soft_wrap=True)
    for fault in finding.faults:
        out.print(Text(f"    {fault}", "red"), soft_wrap=True)
    for sentence in finding.remarks:
        out.print(Text(f"    note: {sentence}", "yellow"), soft_wrap=True)


def _print_rules(rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        mark, style = ("holds ", "green") if rule.kept else ("broken", "bold red")
        out.print(Text.assemble("    ", (mark, style), f"  {rule.name}: {rule.detail}"), soft_wrap=True)


def _print_verdict(report: Report, file: str) -> None:
    out.print()
    words = report.verdict.value.upper()
    out.print(Text.assemble((words, _STYLES[report.verdict]), f"  {file}: {_summary(report)}"), soft_wrap=True)
    for fault in report.faults:
        out.print(Text(f"  {fault}", "red"), soft_wrap=True)
    for public in report.keys:
        out.print(f"  by the key {public.fingerprint} ({public.curve.value})", soft_wrap=True)
    for sentence in report.unproven:
        out.print(Text(f"  not proven: {sentence}", "dim"), soft_wrap=True)


def _summary(report: Report) -> str:
    count = len(report.findings)
    return f"{report.kind}; {report.proven} of {count} signed item{'' if count == 1 else 's'} proven"


# --- for programs --------------------------------------------------------------------------


def _as_data(report: Report) -> dict[str, Any]:
    """The report as plain data; bytes as hex."""
    return {
        "verdict": report.verdict.value,
        "kind": report.kind,
        "proven": report.proven,
        "items": [_finding_as_data(finding) for finding in report.findings],
        "transactions": [
            {
                "name": transaction.name,
                "energy": transaction.energy,
                "items": [member + 1 for member in transaction.members],
                "findings": [_rule_as_data(rule) for rule in transaction.rules],
            }
            for transaction in report.transactions
        ],
        "findings": [_rule_as_data(rule) for rule in report.rules],
        "faults": list(report.faults),
        "damaged": list(report.damaged),
        "notes": list(report.remarks),
        "not_proven": list(report.unproven),
    }


def _finding_as_data(finding: Finding) -> dict[str, Any]:
    exhibit, public = finding.exhibit, finding.key
    return {
        "title": exhibit.title,
        "verdict": finding.verdict.value,
        "server_id": exhibit.server_id.hex(),
        "layout": exhibit.layout,
        "place": exhibit.place,
        "stage": exhibit.stage.value if exhibit.stage else None,
        "fields": [{"name": field.name, "value": field.value, "signed": field.signed} for field in exhibit.fields],
        "key": {"fingerprint": public.fingerprint, "curve": public.curve.value, "point": public.point.hex()}
        if public
        else None,
        "key_source": finding.key_source,
        "key_given": finding.given,
        "blocks": [
            {"name": block.name, "content": block.content.hex(), "signature": block.signature.hex()}
            for block in exhibit.blocks
        ],
        "faults": list(finding.faults),
        "notes": list(finding.remarks),
    }


def _rule_as_data(rule: Rule) -> dict[str, Any]:
    return {"what": rule.name, "holds": rule.kept, "detail": rule.detail}
