"""Claim: the station verifies at least 10 000 signed tuples a second on two cores (P-256, two signatures each).

Peer in the same run: the same signatures one after the other with `ecdsa`, where it is installed,
and `cryptography` on one thread, which is what a straightforward program does.
"""

from __future__ import annotations

import json as json_module
import os
import time
from collections.abc import Callable

from messwerk.identity import ServerId
from messwerk.seconds_index import SecondsIndex
from messwerk.signing import Curve, PrivateKey
from messwerk.station.roster import Key
from messwerk.station.verify import Verdict, Verifier, judge
from messwerk.tuples import SignedTuple

TUPLES = 2000
REPEATS = 3


def tuples() -> tuple[Key, list[SignedTuple]]:
    """A meter's seconds, signed."""
    key = PrivateKey.from_seed(Curve.P256, b"bench")
    server_id = ServerId.from_mac(bytes.fromhex("00151122aabb"))
    signed = [
        SignedTuple.sign(
            key, server_id=server_id, index=SecondsIndex(index), status=0x1C0104, scaler=-1, import_wh=index * 3,
            export_wh=0, r1_varh=index, r2_varh=0, r3_varh=0, r4_varh=0,
        )
        for index in range(TUPLES)
    ]  # fmt: skip
    return Key(1, key.public, "bench", True, 0.0), signed


def rate(work: Callable[[], int]) -> float:
    """Tuples a second, the best of several repeats."""
    best = float("inf")
    for _ in range(REPEATS):
        before = time.perf_counter()
        assert work() == TUPLES
        best = min(best, time.perf_counter() - before)
    return TUPLES / best


def run(json: bool = False) -> None:
    """Measure and print."""
    key, signed = tuples()
    verifier = Verifier()
    work = [(one, (key,)) for one in signed]

    def station() -> int:
        return sum(judgement.verdict is Verdict.VALID for judgement in verifier.judge_all(work))

    def one_thread() -> int:
        return sum(judge(one, (key,)).verdict is Verdict.VALID for one in signed)

    try:
        figures = {"station": rate(station), "one thread": rate(one_thread)}
    finally:
        verifier.close()
    if json:
        rows = {name: round(value) for name, value in figures.items()}
        print(json_module.dumps({"claim": "verify", "unit": "tuples/s", "cores": os.cpu_count(), **rows}))
        return
    for name, value in figures.items():
        print(f"verify, {name:<12} {value:10,.0f} tuples/s ({2 * value:,.0f} signatures/s)")


if __name__ == "__main__":
    run()
