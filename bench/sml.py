"""SML: telegrams a second, with libsml, SmlLib and pysml in the same run.

Claims: columns at least 5 x libsml on the mixed captures and 20 x on a fleet-like stream, objects
at least 100 000 telegrams/s and 15 x SmlLib, templates at least 5 million/s written.

CPU time of one core, the best of several repeats over data in memory. Everybody checks the frame's
CRC; SmlLib does not check those of the messages. Streams: the captures where they lie beside the
checkout, else three kinds of synthetic meters; and a fleet of E320-like meters, each with its own
server ID, index, registers and power.

How near the limit: a study put telegrams of 300 bytes at 16 million/s a core, with six values and no
validity. Columns reach about half of that. A row of eight numbers takes 130 bytes of result, and
touching that memory costs a quarter of the time; a fifth is the checksums (each byte once, the
frame's follows from its messages'), a tenth each the comparison with the form, the loads and stores.
"""

from __future__ import annotations

import ctypes
import json as json_module
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from messwerk import sml

HERE = Path(__file__).parent
CAPTURES = HERE.parent.parent / "shared" / "captures"
REPEATS = 5
MIXED_BYTES = 15_000_000
FLEET = 50_000
"""Meters in the fleet: 17 MB a second. Beyond 32 MB a call the allocator takes fresh memory from the
system each time, and touching it costs as much again as decoding or encoding."""
CHUNK = 4096
"""Bytes fed to a stream decoder at once."""


@dataclass(frozen=True)
class Figure:
    """One row of the result; a peer that is not installed has a note and no rate."""

    what: str
    stream: str
    telegrams_per_s: float | None
    ns_per_telegram: float | None
    telegrams: int = 0
    note: str = ""


def measure(what: str, stream: str, work: Callable[[], int], *, repeats: int = REPEATS) -> Figure:
    """The best rate of `work`, which returns how many telegrams it did."""
    best, telegrams = float("inf"), 0
    for _ in range(repeats):
        before = time.process_time()
        telegrams = work()
        best = min(best, time.process_time() - before)
    return Figure(what, stream, telegrams / best, best / telegrams * 1e9, telegrams)


# --- streams -------------------------------------------------------------------------------


def captured() -> list[bytes]:
    """The captures, one stream a meter; synthetic meters where there are none."""
    if CAPTURES.is_dir():
        return [path.read_bytes() for path in sorted(CAPTURES.glob("*.bin"))]
    forms = [fleet(20, entries) for entries in (3, 5, 8)]
    return [template.encode(values).octets.tobytes() for template, values in forms]


def fleet(meters: int, entries: int = 8) -> tuple[sml.Template, dict[str, ArrayLike]]:
    """A second of a fleet: the form every meter's telegram has, and all their values."""
    rng = np.random.default_rng(meters)
    server_id = bytes.fromhex("0a014c475a0003c988dd")
    index = sml.SecIndex(1)

    def entry(code: str, value: sml.Integer | sml.Unsigned | bytes, **fields: object) -> sml.ListEntry:
        return sml.ListEntry(obj_name=bytes.fromhex(code), value=value, **fields)  # type: ignore[arg-type]

    energies = [
        entry(code, sml.Unsigned64(0), unit=30, scaler=-1, status=status, val_time=index)
        for code, status in (("0100010800ff", sml.Unsigned32(0x1C0104)), ("0100020800ff", None))
    ]
    powers = [entry(f"0100{code:02x}0700ff", sml.Integer64(0), unit=27, scaler=0) for code in (16, 36, 56, 76)]
    named = [entry("010060320101", b"LGZ"), entry("0100600100ff", server_id)]
    listed = (*named, *energies, *powers)[:entries]
    bodies = (
        sml.PublicOpenResponse(client_id=b"\xff" * 6, req_file_id=bytes(4), server_id=server_id, ref_time=index),
        sml.GetListResponse(
            client_id=b"\xff" * 6, server_id=server_id, list_name=bytes.fromhex("0100620affff"),
            act_sensor_time=index, val_list=listed,
        ),
        sml.PublicCloseResponse(),
    )  # fmt: skip
    messages = [sml.Message(transaction_id=bytes([0, 0, 0, at]), body=body) for at, body in enumerate(bodies)]
    transaction = rng.integers(0, 256, (meters, 4), dtype=np.uint8)
    serials = rng.integers(0, 256, (meters, 10), dtype=np.uint8)
    serials[:, :6] = np.frombuffer(server_id[:6], np.uint8)
    values: dict[str, ArrayLike] = {
        "[0].transaction_id": transaction,
        "[1].transaction_id": transaction,
        "[0].body.server_id": serials,
        "[1].body.server_id": serials,
        "[1].body.val_list[1].value": serials,
        "[1].body.act_sensor_time": rng.integers(1, 2**31, meters),
        **{
            f"[1].body.val_list[{at}].value": rng.integers(0, 2**30, meters)
            for at, item in enumerate(listed)
            if isinstance(item.value, int)
        },
    }
    return sml.Template(messages, values), values


# --- ours ----------------------------------------------------------------------------------


def columns_of(stream: bytes) -> Callable[[], int]:
    return lambda: sml.columns(stream).telegrams


def objects_of(stream: bytes) -> Callable[[], int]:
    def work() -> int:
        decoder = sml.FrameDecoder()
        for at in range(0, len(stream), CHUNK):
            for event in decoder.receive(stream[at : at + CHUNK]):
                if isinstance(event, sml.Frame):
                    sml.decode(event.payload)
        return decoder.telegrams

    return work


def written_from_objects(stream: bytes) -> Callable[[], int]:
    decoder = sml.FrameDecoder()
    frames = [event for event in decoder.receive(stream) if isinstance(event, sml.Frame)]
    files = [sml.decode(found.payload).messages for found in frames]

    def work() -> int:
        for file in files:
            sml.frame(sml.encode(file))
        return len(files)

    return work


# --- peers ---------------------------------------------------------------------------------


def libsml(stream: bytes, name: str) -> Figure:
    """libsml behind a small C loop, compiled here; needs libsml1 and a C compiler."""
    what = "libsml (C)"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return Figure(what, name, None, None, note="no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libsml_driver.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(HERE / "libsml_driver.c")]
        built = subprocess.run([*command, "-l:libsml.so.1"], capture_output=True, check=False)
        if built.returncode:
            built = subprocess.run([*command, "-lsml"], capture_output=True, check=False)
        if built.returncode:
            return Figure(what, name, None, None, note="not installed: apt install libsml1")
        driver = ctypes.CDLL(str(library))
        driver.telegrams.restype = ctypes.c_long
        driver.telegrams.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        with _quiet():
            return measure(what, name, lambda: int(driver.telegrams(stream, len(stream))))


@contextmanager
def _quiet() -> Iterator[None]:
    """libsml writes warnings to the standard error of the process; they go where they cost least."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def smllib(stream: bytes, name: str) -> Figure:
    what = "SmlLib (Python)"
    try:
        from smllib import SmlStreamReader
    except ImportError:
        return Figure(what, name, None, None, note="not installed: pip install smllib")

    def work() -> int:
        telegrams = 0
        reader = SmlStreamReader()
        for at in range(0, len(stream), CHUNK):
            reader.add(stream[at : at + CHUNK])
            while True:
                try:
                    frame = reader.get_frame()
                    if frame is None:
                        break
                    frame.parse_frame()
                    telegrams += 1
                except Exception:  # noqa: S112 - telegrams it refuses cost it time and count for nothing
                    continue
        return telegrams

    return measure(what, name, work, repeats=3)


def pysml(stream: bytes, name: str) -> Figure:
    what = "pysml (Python)"
    try:
        from sml import SmlBase
    except ImportError:
        return Figure(what, name, None, None, note="not installed: pip install pysml")

    def work() -> int:
        telegrams, rest = 0, stream
        while True:
            try:
                end, frame = SmlBase.find_frame(rest[:CHUNK])
            except Exception:  # it raises on some real telegrams; go on behind them
                end, frame = 256, None
            if not end:
                return telegrams
            telegrams += frame is not None
            rest = rest[end:]

    return measure(what, name, work, repeats=2)


# --- the run -------------------------------------------------------------------------------


def figures() -> list[Figure]:
    once = b"".join(captured())
    mixed = once * max(1, MIXED_BYTES // len(once))
    template, values = fleet(FLEET)
    meters = template.encode(values).octets.tobytes()
    return [
        measure("messwerk columns", "mixed", columns_of(mixed)),
        libsml(mixed, "mixed"),
        measure("messwerk columns", "fleet", columns_of(meters)),
        libsml(meters, "fleet"),
        measure("messwerk objects", "mixed", objects_of(once * 20)),
        smllib(once, "mixed"),
        pysml(once, "mixed"),
        measure("messwerk objects", "fleet", objects_of(meters[:3_000_000])),
        smllib(meters[:200_000], "fleet"),
        pysml(meters[:60_000], "fleet"),
        measure("messwerk encode objects", "mixed", written_from_objects(once * 20)),
        measure("messwerk template", "fleet", lambda: len(template.encode(values))),
    ]


def ratios(found: list[Figure]) -> dict[str, float]:
    """What the claims are about: how many times a peer's rate ours is."""
    rates = {(figure.what, figure.stream): figure.telegrams_per_s for figure in found}
    pairs = {
        "columns / libsml, mixed": ("messwerk columns", "libsml (C)", "mixed"),
        "columns / libsml, fleet": ("messwerk columns", "libsml (C)", "fleet"),
        "objects / SmlLib, mixed": ("messwerk objects", "SmlLib (Python)", "mixed"),
        "objects / SmlLib, fleet": ("messwerk objects", "SmlLib (Python)", "fleet"),
        "objects / pysml, mixed": ("messwerk objects", "pysml (Python)", "mixed"),
    }
    return {
        name: rates[ours, stream] / rates[theirs, stream]  # type: ignore[operator]
        for name, (ours, theirs, stream) in pairs.items()
        if rates[ours, stream] and rates[theirs, stream]
    }


def run(json: bool = False) -> None:
    """Measure and print: a table, or one JSON line a figure and one with the ratios."""
    found = figures()
    if json:
        for figure in found:
            print(json_module.dumps({"bench": "sml"} | asdict(figure)))
        print(json_module.dumps({"bench": "sml", "ratios": ratios(found)}))
        return
    table = Table("what", "stream", "telegrams/s", "ns a telegram", "telegrams", "note", title="SML, one core")
    for figure in found:
        rate = f"{figure.telegrams_per_s:,.0f}" if figure.telegrams_per_s else "-"
        duration = f"{figure.ns_per_telegram:,.0f}" if figure.ns_per_telegram else "-"
        table.add_row(figure.what, figure.stream, rate, duration, f"{figure.telegrams:,}", figure.note)
    console = Console()
    console.print(table)
    for name, ratio in ratios(found).items():
        console.print(f"{name}: {ratio:,.1f} times")
