"""Verdicts: which signature fits which key, which rule holds, and what remains unproven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..edl import EdlValue
from ..errors import InvalidSignature
from ..signing import PublicKey
from ..tuples import SignedTuple
from .exhibit import Contents, Exhibit, OfferedKey, Rule, Transaction

CANNOT_TELL: Final = (
    "it does not fit: the data, the signature or the key is not the one it was made with; which of them cannot be told"
)
"""All that a signature that does not fit says, and no more."""


class Verdict(Enum):
    """What is said of a file and of each exhibit in it."""

    PROVEN = "proven"
    NOT_PROVEN = "not proven"
    NOT_UNDERSTOOD = "not understood"

    @property
    def exit_status(self) -> int:
        """0, 1 and 2."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One exhibit, judged."""

    exhibit: Exhibit
    key: PublicKey | None
    """The key it was checked with; None where there was none."""
    key_source: str
    """Where that key is from, or why there is none."""
    given: bool
    """Whether whoever asked gave the key; else the file vouches for itself."""
    faults: tuple[str, ...]
    """Why it is not proven; empty when it is."""
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Proven when nothing speaks against it."""
        return Verdict.NOT_PROVEN if self.faults else Verdict.PROVEN


@dataclass(frozen=True, slots=True)
class Report:
    """What a file proves."""

    kind: str
    findings: tuple[Finding, ...]
    transactions: tuple[Transaction, ...]
    rules: tuple[Rule, ...]
    damaged: tuple[str, ...]
    remarks: tuple[str, ...]
    unproven: tuple[str, ...]
    """What nobody can conclude from this file, whatever its signatures say."""

    @property
    def verdict(self) -> Verdict:
        """Proven when something is signed and everything that is there holds."""
        if not self.findings and not self.rules:
            return Verdict.NOT_UNDERSTOOD if self.damaged else Verdict.NOT_PROVEN
        return Verdict.NOT_PROVEN if self.faults else Verdict.PROVEN

    @property
    def proven(self) -> int:
        """Exhibits that are proven."""
        return sum(finding.verdict is Verdict.PROVEN for finding in self.findings)

    @property
    def broken_rules(self) -> tuple[Rule, ...]:
        """Rules of the file and of its transactions that do not hold."""
        rules = (*self.rules, *(rule for transaction in self.transactions for rule in transaction.rules))
        return tuple(rule for rule in rules if not rule.kept)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that speaks against the file, in sentences."""
        faults = []
        if not self.findings:
            faults.append("no signature was checked" if self.rules else "nothing in the file carries a signature")
        failed = len(self.findings) - self.proven
        if failed:
            faults.append(f"signed items that are not proven: {failed} of {len(self.findings)}")
        if self.damaged:
            faults.append(f"parts that cannot be read: {len(self.damaged)}")
        faults += [f"rule broken: {rule.name} ({rule.detail})" for rule in self.broken_rules]
        return tuple(faults)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that proved something, each once."""
        return tuple(
            dict.fromkeys(finding.key for finding in self.findings if finding.key and finding.verdict is Verdict.PROVEN)
        )


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """What whoever asks knows of the meter's key: the key itself, or its fingerprint from the plate."""

    keys: tuple[PublicKey, ...] = ()
    fingerprints: tuple[str, ...] = ()
    """Sixteen hex digits each, blanks and case do not count."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.fingerprints)

    def candidates(self, offered: Sequence[OfferedKey]) -> list[OfferedKey]:
        """Keys to check with: those given, and those of the file that have a fingerprint given."""
        if not self:
            return list(offered)
        wanted = {_plain(fingerprint) for fingerprint in self.fingerprints}
        return [OfferedKey("given by you", key) for key in self.keys] + [
            OfferedKey("from the file, with the fingerprint you gave", one.key)
            for one in offered
            if one.key is not None and _plain(one.key.fingerprint) in wanted
        ]


def _plain(fingerprint: str) -> str:
    return "".join(fingerprint.split()).upper()


NO_KEYS: Final = GivenKeys()
"""Nobody vouches for a key: the file's own are used."""


def judge(contents: Contents, given: GivenKeys = NO_KEYS) -> Report:
    """Check every signature: with the keys `given`, or with those the file carries when none are."""
    findings = tuple(_judge(exhibit, contents, given) for exhibit in contents.exhibits)
    unproven = list(contents.unproven)
    if given:
        unproven.insert(0, "that the key belongs to this meter: that is for whoever gave it to confirm")
    elif any(finding.key for finding in findings):
        unproven.insert(
            0,
            "that the key belongs to this meter: it comes from the file itself; "
            "compare its fingerprint with the meter's plate, or give the key with --key",
        )
    if any(isinstance(exhibit.content, SignedTuple) for exhibit in contents.exhibits):
        unproven += [
            "the time of day: a meter without a clock signs a seconds index",
            "that no other tuple was made: only those in the file are checked",
        ]
    if any(isinstance(exhibit.content, EdlValue) for exhibit in contents.exhibits):
        unproven.append("that the meter's clock was right: the time is signed as the meter believed it")
    if contents.unsigned:
        many = "s" if contents.unsigned > 1 else ""
        unproven.append(f"anything about the {contents.unsigned} reading{many} without signature")
    return Report(
        kind=contents.kind, findings=findings,
        transactions=tuple(_with_keys(transaction, findings) for transaction in contents.transactions),
        rules=tuple(contents.rules), damaged=tuple(contents.damaged), remarks=tuple(contents.remarks),
        unproven=tuple(unproven),
    )  # fmt: skip


def _judge(exhibit: Exhibit, contents: Contents, given: GivenKeys) -> Finding:
    offered = (*exhibit.offered, *contents.keys_by_server.get(exhibit.server_id, ()))
    candidates = given.candidates(offered)
    if not candidates:
        fault = (
            "no key in the file has the fingerprint you gave" if given
            else "no key to check with: give the meter's public key with --key"
        )  # fmt: skip
        return Finding(exhibit, None, "none", False, (*exhibit.faults, fault))
    best: Finding | None = None
    for candidate in candidates:
        finding = _check(exhibit, candidate, bool(given))
        if best is None or len(finding.faults) < len(best.faults):
            best = finding
    assert best is not None
    if given and best.faults:
        return _say_what_would_fit(best, offered)
    return best


def _check(exhibit: Exhibit, candidate: OfferedKey, given: bool) -> Finding:
    key = candidate.key
    if key is None:
        fault = f"the key beside it is none: {candidate.fault}"
        return Finding(exhibit, None, candidate.place, given, (*exhibit.faults, fault), exhibit.remarks)
    faults = list(exhibit.faults)
    for block in exhibit.blocks:
        if len(block.signature) != 2 * key.curve.size:
            faults.append(
                f"{block.name} signature: has {len(block.signature)} bytes, on {key.curve.value} it has "
                f"{2 * key.curve.size}"
            )
            continue
        try:
            key.verify(block.content, block.signature)
        except InvalidSignature:
            faults.append(f"{block.name} signature: {CANNOT_TELL}")
    if not exhibit.blocks and not faults:
        faults.append("nothing of it is signed")
    if exhibit.expected_key and exhibit.expected_key != key.fingerprint:
        faults.append(f"the file names the key {exhibit.expected_key}, this is {key.fingerprint}")
    return Finding(exhibit, key, candidate.place, given, tuple(faults), exhibit.remarks)


def _say_what_would_fit(finding: Finding, offered: Sequence[OfferedKey]) -> Finding:
    """Add that the file's own key fits, where it is another than the one given."""
    for other in offered:
        if other.key is not None and other.key != finding.key:
            checked = _check(finding.exhibit, other, False)
            if not checked.faults:
                remark = f"the key in the file ({other.key.fingerprint}) fits, but it is not the one given"
                return Finding(
                    finding.exhibit, finding.key, finding.key_source, True, finding.faults, (*finding.remarks, remark)
                )
    return finding


def _with_keys(transaction: Transaction, findings: Sequence[Finding]) -> Transaction:
    """The transaction with the rule that one key signed all of it."""
    keys = [findings[member].key for member in transaction.members]
    if len(keys) < 2:
        return transaction
    names = [key.fingerprint if key else "none" for key in keys]
    same = len(set(names)) == 1 and None not in keys
    rule = Rule("same key", same, names[0] if same else ", then ".join(names))
    return Transaction(transaction.name, transaction.members, (*transaction.rules, rule), transaction.energy)
