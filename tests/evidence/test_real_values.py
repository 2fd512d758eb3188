"""Real signed meter values, valid and deliberately broken, read where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from messwerk import evidence
from messwerk.evidence import Verdict

VERDICTS = [
    ("edl-40-01.xml", Verdict.PROVEN, 1, ""),
    ("edl-40-02.xml", Verdict.PROVEN, 1, ""),
    ("isa-edl-40p-ok.xml", Verdict.PROVEN, 1, ""),
    ("isa-edl-40p-data-fail.xml", Verdict.NOT_PROVEN, 0, "cannot be put together: ESTH"),
    ("isa-edl-40p-sign-fail.xml", Verdict.NOT_PROVEN, 0, "not a point on"),
    ("mennekes-de.xml", Verdict.PROVEN, 2, ""),
]


@pytest.mark.parametrize(("name", "verdict", "proven", "why"), VERDICTS, ids=[row[0] for row in VERDICTS])
def test_real_values_get_their_verdict(shared: Path, name: str, verdict: Verdict, proven: int, why: str) -> None:
    """What other verifiers accept is proven here too, what was broken on purpose is not, and why is said."""
    report = evidence.examine((shared / "signed-values" / name).read_bytes())
    assert (report.verdict, report.proven) == (verdict, proven)
    faults = " ".join(fault for finding in report.findings for fault in finding.faults)
    assert why in faults


def test_the_changed_value_also_fails_its_check_sums(shared: Path) -> None:
    """Frame and message were damaged along with the data: both are said, neither hides the verdict."""
    report = evidence.examine((shared / "signed-values" / "isa-edl-40p-data-fail.xml").read_bytes())
    assert sum("check sum" in remark for remark in report.remarks) == 2


def test_the_charging_process_adds_up(shared: Path) -> None:
    """Start and stop are one transaction of 0.2 Wh and keep every rule."""
    report = evidence.examine((shared / "signed-values" / "mennekes-de.xml").read_bytes())
    (transaction,) = report.transactions
    assert transaction.energy == "0.2 Wh"
    assert all(rule.kept for rule in transaction.rules)
    assert {"pagination increases", "same log index", "same contract ID", "same key"} <= {
        rule.name for rule in transaction.rules
    }


def test_every_changed_digit_of_a_real_value_is_found(shared: Path) -> None:
    """One hex digit at a time, all over the signed data: never proven with other words than before."""
    text = (shared / "signed-values" / "edl-40-01.xml").read_text()
    start, end = text.index('"plain">') + 8, text.index("</signedData>")
    before = evidence.examine(text.encode()).findings[0].exhibit
    signed = [field for field in before.fields if field.signed]
    survived = 0
    for at in range(start, end, 7):
        if text[at] == " ":
            continue
        changed = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
        report = evidence.examine(changed.encode())
        if report.verdict is Verdict.PROVEN:
            survived += 1
            fields = [field for field in report.findings[0].exhibit.fields if field.signed]
            assert fields == signed, f"digit {at - start} changes what is shown as signed"
    assert survived, "digits outside of what is signed (transaction numbers, check sums) change nothing"
