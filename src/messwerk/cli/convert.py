"""`messwerk convert`: SML between binary, hex, XML and JSON, byte-exact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import sml
from ..errors import SourceError
from ..sml.json import to_json
from ..sml.xml import to_xml
from .console import remark
from .material import find_files, form_of, load, to_binary

app = typer.Typer()


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file; its ending tells its form.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help=".bin .sml .raw .dat, .hex .txt, .xml or .json.")],
    bare: Annotated[
        bool, typer.Option("--bare", help="Write SML files without transport frames (from XML and JSON).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUT when it exists.")] = False,
) -> None:
    """Convert SML between binary, hex digits, XML and JSON; the endings of the names tell which."""
    data, wanted = load(source), form_of(target)
    binary = to_binary(data, form_of(source), source, bare=bare)
    match wanted:
        case "binary":
            _save(target, binary, force=force)
        case "hex":
            lines = [binary[at : at + 32].hex(" ") for at in range(0, len(binary), 32)]
            _save(target, "\n".join([*lines, ""]).encode("ascii"), force=force)
        case _:
            _save(target, _as_document(binary, source, wanted).encode("utf-8"), force=force)


def _as_document(binary: bytes, source: str, form: str) -> str:
    material = find_files(binary, source)
    if not material.frames:
        raise SourceError(f"{source} holds no whole telegram: see messwerk read --verbose {source}")
    files = []
    for frame in material.frames:
        decoded = sml.decode(frame.payload)
        files.append(decoded.messages)
        for lost in decoded.dropped:
            remark(f"dropped from the telegram at byte {frame.offset}: {lost}")
        written = sml.encode(decoded.messages)
        if (sml.frame(written) if material.framed else written) != frame.raw:
            remark(f"the telegram at byte {frame.offset} will not come back byte for byte: its frame has quirks")
    if material.bytes_skipped:
        remark(f"{material.bytes_skipped} bytes outside of telegrams are left out")
    return (to_xml if form == "xml" else to_json)(files)


def _save(path: str, data: bytes, *, force: bool) -> None:
    try:
        with Path(path).open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise SourceError(f"{path} exists: choose another name, or --force to replace it") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror or error}") from error
