"""Claim: at least 50 000 tuples a second from pushed SML bytes to the durable journal on one core.

Each push file holds 60 tuples and is found in the stream, opened, committed and acknowledged as
the push intake does it; many connections share a commit. Peer in the same run: the same tuples
as rows of a plain SQLite table with the same durability, one commit a file.
"""

from __future__ import annotations

import asyncio
import json as json_module
import sqlite3
import tempfile
import time
from pathlib import Path

from messwerk import sml
from messwerk.identity import ServerId
from messwerk.link.clock import RealClock
from messwerk.seconds_index import SecondsIndex
from messwerk.station.acquire import PushSession
from messwerk.station.contents import read
from messwerk.station.journal import Journal
from messwerk.station.store import Store
from messwerk.tuples import SignedTuple

FILES = 400
TUPLES_A_FILE = 60
CONNECTIONS = 20
MODULE = ServerId.from_mac(bytes.fromhex("00151122aa01"))
PATH = (bytes.fromhex("8181c78401ff"), bytes.fromhex("8181c78404ff"))


def push_file(number: int) -> bytes:
    """A push of a minute of one meter; the signatures are not looked at here."""
    server_id = ServerId.from_mac(b"\x00\x15\x11" + (number % 32).to_bytes(3, "big"))
    bodies: list[sml.Body] = [sml.PublicOpenResponse(req_file_id=number.to_bytes(4, "big"), server_id=MODULE)]
    for place in range(TUPLES_A_FILE):
        index = number * TUPLES_A_FILE + place
        signed = SignedTuple(
            server_id=server_id, index=SecondsIndex(index), status=0x1C0104, scaler=-1, import_wh=index, export_wh=0,
            r1_varh=0, r2_varh=0, r3_varh=0, r4_varh=0,
            signature_import=index.to_bytes(8, "big") * 8, signature_export=bytes(64),
        )  # fmt: skip
        tree = sml.Tree(parameter_name=PATH[1], parameter_value=sml.TupelParameter(signed.to_entry()))
        bodies.append(sml.GetProcParameterResponse(server_id=server_id, parameter_tree_path=PATH, parameter_tree=tree))
    bodies.append(sml.PublicCloseResponse())
    messages = (sml.Message(transaction_id=place.to_bytes(2, "big"), body=body) for place, body in enumerate(bodies))
    return sml.frame(sml.encode(messages))


async def intake(folder: Path, files: list[bytes]) -> float:
    """Seconds until every file is acknowledged; each connection waits for its own before it sends on."""
    with Store(folder) as store:
        journal = Journal(store)

        async def connection(mine: list[bytes]) -> None:
            session = PushSession(journal, RealClock(), lambda: None, print)
            acknowledged = asyncio.Event()
            session.attach(lambda _: acknowledged.set())
            for file in mine:
                session.receive(file)
                await acknowledged.wait()
                acknowledged.clear()

        began = time.perf_counter()
        await asyncio.gather(*(connection(files[place::CONNECTIONS]) for place in range(CONNECTIONS)))
        took = time.perf_counter() - began
        assert journal.count() == len(files)
        return took


def plain_table(folder: Path, files: list[bytes]) -> float:
    """The peer: decode each file, one row a tuple, one commit a file."""
    table = sqlite3.connect(folder / "plain.db", isolation_level=None)
    table.execute("PRAGMA journal_mode=WAL")
    table.execute("PRAGMA synchronous=FULL")
    table.execute("CREATE TABLE tuple (server_id, idx, a, b, PRIMARY KEY (server_id, idx)) WITHOUT ROWID")
    began = time.perf_counter()
    for file in files:
        rows = [(one.server_id, one.index, one.signature_import, one.signature_export) for one in read(file).tuples]
        table.execute("BEGIN")
        table.executemany("INSERT OR IGNORE INTO tuple VALUES (?, ?, ?, ?)", rows)
        table.execute("COMMIT")
    took = time.perf_counter() - began
    table.close()
    return took


def run(json: bool = False) -> None:
    """Measure and print."""
    files = [push_file(number) for number in range(FILES)]
    tuples = FILES * TUPLES_A_FILE
    with tempfile.TemporaryDirectory() as folder:
        journal_s = min(asyncio.run(intake(Path(folder) / str(turn), files)) for turn in range(3))
        plain_s = plain_table(Path(folder), files)
    if json:
        rows = {"journal": round(tuples / journal_s), "plain table": round(tuples / plain_s)}
        print(json_module.dumps({"claim": "journal", "unit": "tuples/s", **rows}))
        return
    print(f"journal, push intake   {tuples / journal_s:10,.0f} tuples/s  (claim: at least 50 000)")
    print(f"plain SQLite table     {tuples / plain_s:10,.0f} tuples/s")


if __name__ == "__main__":
    run()
