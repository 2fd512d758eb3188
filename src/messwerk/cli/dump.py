"""`messwerk dump`: a file of SML element by element, with offsets, names and meanings."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.text import Text

from .. import sml
from ..sml.json import to_json
from ..sml.listing import Line, listing, offset_in_stream
from ..sml.recognise import recognise
from ..sml.xml import to_xml
from .console import out, remark, until_output_closes
from .material import FORMS, Material, find_files, load, to_binary

app = typer.Typer()

SHOWN_BYTES: Final = 12
"""Bytes of an element shown in a line; a public key has 50."""


@app.command()
def dump(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file in binary, hex, XML or JSON; - for stdin.")],
    as_xml: Annotated[bool, typer.Option("--xml", help="The messages as XML (docs/protocols/sml.xsd).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The messages as JSON.")] = False,
    first: Annotated[int | None, typer.Option("-n", help="Only so many telegrams.", min=1, show_default=False)] = None,
) -> None:
    """Show the structure of telegrams: every element with its offset, bytes, name and meaning."""
    if as_xml and as_json:
        raise typer.BadParameter("choose one of --xml and --json")
    data = load(file)
    material = find_files(to_binary(data, _form(file, data), file), file)
    with until_output_closes():
        if as_xml or as_json:
            files = [sml.decode(frame.payload).messages for frame in material.frames[:first]]
            print((to_xml if as_xml else to_json)(files), end="", flush=True)
        else:
            _print_structure(material, first)
    if material.bytes_skipped:
        remark(f"{material.bytes_skipped} bytes outside of telegrams were skipped")


def _form(path: str, data: bytes) -> str:
    """The form by ending where it is known and the content agrees, else by content."""
    found = recognise(data)
    if found is not None and found[0] in ("SML in hex digits", "XML"):
        return "hex" if found[0] == "SML in hex digits" else "xml"
    known = FORMS.get(path[path.rfind(".") :].lower() if "." in path else "", "binary")
    return "binary" if known in ("hex", "xml") and found is None else known


def _print_structure(material: Material, first: int | None) -> None:
    shown = 0
    for event in material.events:
        if isinstance(event, sml.Rejected):
            out.print(Text(f"rejected at byte {event.offset}, {event.size} bytes: {event.reason}", "red"))
            continue
        shown += 1
        if first is not None and shown > first:
            return
        crc = ", frame CRC right" if material.framed else ", without transport frame"
        out.print(Text(f"telegram {shown} at byte {event.offset}, {len(event.raw)} bytes{crc}", "bold"))
        for deviation in event.deviations:
            out.print(Text(f"{deviation}", "yellow"))
        if material.framed:
            out.print(_transport(event.offset, event.raw[:8], "start of the frame"))
        for line in listing(event.payload):
            at = line.element.offset
            out.print(_row(offset_in_stream(event, at) if material.framed else at, line), soft_wrap=True)
        if material.framed:
            end = event.raw[-8 - event.raw[-3] :]
            out.print(_transport(event.offset + len(event.raw) - len(end), end, f"{end[-3]} fill bytes, end, CRC"))


def _transport(offset: int, wire: bytes, meaning: str) -> Text:
    return Text(f"{offset:7}  {wire.hex(' '):{3 * SHOWN_BYTES + 1}}  {meaning}", "dim")


def _row(offset: int, line: Line) -> Text:
    """One element: offset in the file, bytes, name by depth, meaning."""
    wire = line.element.wire
    shown = wire[:SHOWN_BYTES].hex(" ") + (" …" if len(wire) > SHOWN_BYTES else "")
    meaning = line.meaning
    if line.element.type == "list" and not meaning:
        meaning = f"list of {line.element.length}"
    style = "red" if line.element.type == "malformed" else "cyan"
    return Text.assemble(
        (f"{offset:7}  ", "dim"),
        f"{shown:{3 * SHOWN_BYTES + 1}}  ",
        "  " * line.element.depth,
        (line.name or line.element.type, style),
        ("  " + meaning if meaning else "", "dim" if line.element.type == "list" else "bold"),
    )
