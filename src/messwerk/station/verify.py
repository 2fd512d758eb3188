"""Verdicts on signed tuples: many at once, each with its reason, never a bare yes or no."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..errors import InvalidSignature
from ..signing import PublicKey
from ..tuples import SignedTuple
from .roster import Key

CHUNK: Final = 32
"""Tuples one thread takes at a time: some milliseconds of work, so that threads share it evenly."""


class Verdict(Enum):
    """What verification says of a tuple."""

    VALID = "valid"
    """Both signatures fit an accepted key."""
    BAD_SIGNATURE = "bad signature"
    """One signature or both fit no key known for this meter."""
    UNKNOWN_KEY = "unknown key"
    """The meter has no accepted key, or only a contested one fits: not billed until confirmed."""
    TAMPERED = "tampered"
    """Validly signed, but another content with a valid signature claims the same index."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one tuple, and why."""

    verdict: Verdict
    key: Key | None
    """The key that fits; None where none does."""
    signatures_valid: int
    """0, 1 or 2."""
    reason: str


def judge(signed: SignedTuple, keys: Sequence[Key]) -> Judgement:
    """Verify both signatures of a tuple against the keys of its meter, accepted ones first."""
    ordered = sorted(keys, key=lambda key: (not key.accepted, -key.key_id))
    if not ordered:
        return Judgement(Verdict.UNKNOWN_KEY, None, 0, "no key of this meter is known")
    best: Judgement | None = None
    for key in ordered:
        faults = _faults(signed, key.key)
        if not faults and key.accepted:
            return Judgement(Verdict.VALID, key, 2, "both signatures fit")
        if not faults:
            return Judgement(
                Verdict.UNKNOWN_KEY, key, 0, f"key {key.key.fingerprint} is not accepted: {key.confirmation}"
            )
        judgement = Judgement(Verdict.BAD_SIGNATURE, None, 2 - len(faults), "; ".join(faults))
        if best is None or judgement.signatures_valid > best.signatures_valid:
            best = judgement
    assert best is not None
    if not any(key.accepted for key in ordered):
        return Judgement(Verdict.UNKNOWN_KEY, None, 0, "no key of this meter is accepted")
    return best


def _faults(signed: SignedTuple, key: PublicKey) -> list[str]:
    """Which of the two signatures do not fit, in words."""
    faults = []
    for group, block, signature in (
        ("import", signed.import_block, signed.signature_import),
        ("export", signed.export_block, signed.signature_export),
    ):
        try:
            key.verify(block, signature)
        except InvalidSignature as error:
            faults.append(f"{group} group: {error}")
    return faults


class Verifier:
    """Judges many tuples on all cores; `cryptography` lets go of the interpreter while it computes."""

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="verify")

    def judge_all(self, work: Sequence[tuple[SignedTuple, Sequence[Key]]]) -> list[Judgement]:
        """The judgement of each tuple, in order."""
        if len(work) <= CHUNK:
            return [judge(signed, keys) for signed, keys in work]
        chunks = [work[start : start + CHUNK] for start in range(0, len(work), CHUNK)]
        return [
            judgement
            for judged in self._pool.map(lambda chunk: [judge(signed, keys) for signed, keys in chunk], chunks)
            for judgement in judged
        ]

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def digest(signed: SignedTuple) -> bytes:
    """What makes two tuples the same: both hashed blocks, the whole status, both signatures."""
    status = (signed.status & (1 << 64) - 1).to_bytes(8, "little")
    content = signed.import_block + signed.export_block + status + signed.signature_import + signed.signature_export
    return hashlib.sha256(content).digest()


def content_digest(signed: SignedTuple) -> bytes:
    """What a tuple says, without who signed it: equal for two valid signatures on the same content."""
    return hashlib.sha256(signed.import_block + signed.export_block).digest()


def signature_digest(signature_import: bytes, signature_export: bytes) -> str:
    """SHA-256 over both signatures in hex: the short name of a signed reading on a bill."""
    return hashlib.sha256(signature_import + signature_export).hexdigest()
