"""Verdicts: each tuple's, with its reason."""

from __future__ import annotations

import dataclasses

import pytest

from messwerk.signing import Curve, PrivateKey, PublicKey
from messwerk.station.roster import Key
from messwerk.station.verify import Verdict, Verifier, content_digest, digest, judge
from messwerk.tuples import SignedTuple
from station_meters import SigningMeter

METER = SigningMeter()
OTHER = PrivateKey.from_seed(Curve.P256, b"another")
GOOD = METER.tuple_at(900)


def key(public: PublicKey, *, accepted: bool = True, number: int = 1) -> Key:
    return Key(number, public, "taken over from the module" if accepted else "contested", accepted, 0.0)


OWN, STRANGE = key(METER.key.public), key(OTHER.public, number=2)
CONTESTED = key(METER.key.public, accepted=False, number=3)

TABLE = [
    (GOOD, [OWN], Verdict.VALID, 2, "both signatures fit"),
    (GOOD, [STRANGE, OWN], Verdict.VALID, 2, "one of two keys fits"),
    (GOOD, [], Verdict.UNKNOWN_KEY, 0, "no key at all"),
    (GOOD, [STRANGE], Verdict.BAD_SIGNATURE, 0, "signed by somebody else"),
    (GOOD, [STRANGE, CONTESTED], Verdict.UNKNOWN_KEY, 0, "only a contested key fits"),
    (dataclasses.replace(GOOD, import_wh=GOOD.import_wh + 1), [OWN], Verdict.BAD_SIGNATURE, 1, "import altered"),
    (dataclasses.replace(GOOD, r3_varh=1), [OWN], Verdict.BAD_SIGNATURE, 1, "export group altered"),
    (dataclasses.replace(GOOD, index=901), [OWN], Verdict.BAD_SIGNATURE, 0, "another second"),
    (dataclasses.replace(GOOD, signature_import=b""), [OWN], Verdict.BAD_SIGNATURE, 1, "signature missing"),
    (dataclasses.replace(GOOD, signature_export=bytes(64)), [OWN], Verdict.BAD_SIGNATURE, 1, "signature zero"),
]


@pytest.mark.parametrize(("signed", "keys", "verdict", "valid", "why"), TABLE, ids=[row[4] for row in TABLE])
def test_verdicts(signed: SignedTuple, keys: list[Key], verdict: Verdict, valid: int, why: str) -> None:
    """A verdict is never a bare yes or no, and counts the signatures that fit."""
    found = judge(signed, keys)
    assert (found.verdict, found.signatures_valid) == (verdict, valid), why
    assert found.reason


def test_many_are_judged_in_order() -> None:
    """Threads change nothing: the judgements come in the order of the tuples."""
    rows = METER.rows(METER.utc(0), 70)
    rows[33] = dataclasses.replace(rows[33], import_wh=1)
    verifier = Verifier(threads=3)
    try:
        verdicts = [one.verdict for one in verifier.judge_all([(row, [OWN]) for row in rows])]
    finally:
        verifier.close()
    assert [place for place, verdict in enumerate(verdicts) if verdict is not Verdict.VALID] == [33]


def test_digests_tell_tuples_and_contents_apart() -> None:
    """Another signature on the same content is another tuple, and the same content."""
    other = dataclasses.replace(GOOD, signature_import=b"x" * 64)
    assert digest(GOOD) != digest(other)
    assert content_digest(GOOD) == content_digest(other)
    assert content_digest(GOOD) != content_digest(METER.tuple_at(900, extra_wh=1))
