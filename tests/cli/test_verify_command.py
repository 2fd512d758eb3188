"""`messwerk verify`: words, JSON, exit status, and files that openssl checks without us."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Call, run, telegram

from evidence_material import (
    KEY_BP256,
    KEY_P192,
    KEY_P256,
    container,
    extended,
    extended_list,
    framed,
    identity_body,
    signed,
    tuple_body,
)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A tuple with the key it is signed with."""
    path = tmp_path / "good.bin"
    path.write_bytes(framed(identity_body(), tuple_body(signed())))
    return path


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """The same with one register changed."""
    path = tmp_path / "forged.bin"
    path.write_bytes(framed(identity_body(), tuple_body(replace(signed(), import_wh=1))))
    return path


def test_a_proven_file_says_what_and_by_which_key(call: Call, good: Path) -> None:
    """Status 0; every field, the key with curve and fingerprint, and what is not proven."""
    status, output, _ = call("verify", good)
    assert status == 0
    for words in (
        "PROVEN", "1 of 1 signed item", "987654321.0 Wh", "123456789", KEY_P256.public.fingerprint, "secp256r1",
        "not proven: that the key belongs to this meter", "05 00 15 11 22 AA BB (00:15:11:22:AA:BB)",
    ):  # fmt: skip
        assert words in output


def test_a_forged_file_says_that_it_cannot_tell_what_was_changed(call: Call, forged: Path) -> None:
    """Status 1; the group is named, the other one is not blamed."""
    status, output, _ = call("verify", forged)
    assert status == 1
    assert "NOT PROVEN" in output
    assert "import signature: it does not fit" in output
    assert "cannot be told" in output
    assert "export signature" not in output


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"hello", "text"), (b"", "empty"), (b"<x/>", "<x>"), (b"PK\x03\x04zip", "not a proof package")],
)  # fmt: skip
def test_what_is_not_understood_is_status_2(call: Call, tmp_path: Path, content: bytes, words: str) -> None:
    """One sentence on stderr, or one object with --json."""
    path = tmp_path / "file"
    path.write_bytes(content)
    status, output, errors = call("verify", path)
    assert (status, output) == (2, "")
    assert words in errors
    status, output, errors = call("verify", path, "--json")
    report = json.loads(output)
    assert (status, report["verdict"], errors) == (2, "not understood", "")
    assert words in report["faults"][0]


def test_a_missing_file_is_named(call: Call, tmp_path: Path) -> None:
    """Not there is not understood, not unproven."""
    status, _, errors = call("verify", tmp_path / "nothing.xml")
    assert (status, "cannot be read" in errors) == (2, True)


def test_json_holds_everything_the_words_say(call: Call, good: Path, forged: Path) -> None:
    """Fields with their mark, blocks and signatures in hex, key, faults."""
    status, output, _ = call("verify", good, "--json")
    report = json.loads(output)
    assert (status, report["verdict"], report["proven"]) == (0, "proven", 1)
    (item,) = report["items"]
    assert bytes.fromhex(item["blocks"][0]["content"]) == signed().import_block
    assert item["key"] == {
        "fingerprint": KEY_P256.public.fingerprint,
        "curve": "secp256r1",
        "point": KEY_P256.public.point.hex(),
    }
    assert {"name": "seconds index", "value": "123456789", "signed": True} in item["fields"]
    status, output, _ = call("verify", forged, "--json")
    report = json.loads(output)
    assert (status, report["verdict"], report["items"][0]["verdict"]) == (1, "not proven", "not proven")
    assert report["faults"] == ["signed items that are not proven: 1 of 1"]


def test_the_key_may_be_digits_a_file_or_a_fingerprint(call: Call, good: Path, tmp_path: Path) -> None:
    """And the right one among several; a wrong one is not proven, none at all a clear error."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(KEY_P256.public.pem)
    digits = tmp_path / "key.hex"
    digits.write_text(KEY_P256.public.point.hex(" "))
    for key in (KEY_P256.public.point.hex(), pem, digits, KEY_P256.public.fingerprint):
        status, output, _ = call("verify", good, "--key", key)
        assert (status, "you gave" in output or "given by you" in output) == (0, True)
    assert call("verify", good, "--key", KEY_BP256.public.point.hex())[0] == 1
    assert call("verify", good, "--key", KEY_BP256.public.point.hex(), "--key", pem)[0] == 0
    assert call("verify", good, "--key", "0000 0000 0000 0000")[0] == 1
    status, _, errors = call("verify", good, "--key", "nonsense")
    assert (status, "no file of that name" in errors) == (2, True)
    assert call("verify", good, "--key", pem, "--curve", "secp256r1")[0] == 0
    assert call("verify", good, "--key", digits, "--curve", "brainpoolP256r1")[0] == 2


def test_a_pair_that_breaks_a_rule_names_it(call: Call, tmp_path: Path) -> None:
    """Two right signatures, one broken rule, status 1."""
    point = KEY_P192.public.point
    path = tmp_path / "pair.xml"
    path.write_bytes(
        container(
            (framed(extended_list(extended())), point, "1", "Start"),
            (framed(extended_list(extended(log_index=b"\x01\xa7", pagination=8))), point, "1", "Stop"),
        )
    )
    status, output, _ = call("verify", path)
    assert status == 1
    assert "rule broken: same log index (01 A6, then 01 A7)" in output
    assert "holds   pagination increases: 7, then 8" in output
    assert "2 of 2 signed items proven" in output


def test_many_items_are_counted_and_failures_always_shown(call: Call, tmp_path: Path) -> None:
    """A month of tuples must not bury the one that fails."""
    bodies = [tuple_body(signed(index=number)) for number in range(20)]
    bodies[17] = tuple_body(replace(signed(index=17), export_wh=5))
    path = tmp_path / "many.bin"
    path.write_bytes(framed(identity_body(), *bodies))
    status, output, _ = call("verify", path)
    assert status == 1
    assert "current tuple #17 of" in output
    assert "current tuple #16 of" not in output
    assert "9 more are proven just so" in output
    assert "current tuple #16 of" in call("verify", path, "--all")[1]


def test_readings_without_signature_are_no_evidence(call: Call, tmp_path: Path) -> None:
    """A real meter's INFO telegram is understood and proves nothing."""
    path = tmp_path / "info.bin"
    path.write_bytes(telegram(1))
    status, output, _ = call("verify", path)
    assert status == 1
    assert "nothing in the file carries a signature" in output


def test_options_that_do_not_fit_the_file_are_refused(call: Call, good: Path, tmp_path: Path) -> None:
    """An option that would be ignored could make somebody believe in a check that never was."""
    package = tmp_path / "bill.zip"
    package.write_bytes(b"PK\x03\x04zip")
    for options, words in (
        ((good, "--tuples", good), "only a bill"),
        ((package, "--tuples", good), "carries its tuples"),
        ((package, "--export-openssl", tmp_path / "x"), "by hand"),
        ((package, "--key", KEY_P256.public.fingerprint, "--key", "0000 0000 0000 0000"), "give one --key"),
    ):
        status, _, errors = call("verify", *options)
        assert (status, words in errors) == (2, True)


def test_it_reads_from_a_pipe(good: Path) -> None:
    """`-` is standard input, and the exit status is the program's own."""
    done = run("verify", "-", input=good.read_bytes())
    assert done.returncode == 0
    assert "PROVEN" in done.stdout


@pytest.mark.parametrize("key", [KEY_P192, KEY_P256, KEY_BP256], ids=["P-192", "P-256", "brainpool"])
def test_openssl_checks_what_was_exported(call: Call, tmp_path: Path, key: object) -> None:
    """Block, DER signature and PEM key of each group, accepted by the real openssl; a forged one is not."""
    path, folder = tmp_path / "tuples.bin", tmp_path / "proof"
    path.write_bytes(framed(identity_body(key), tuple_body(signed(key)), tuple_body(signed(key, index=7))))
    status, _, errors = call("verify", path, "--export-openssl", folder)
    assert (status, "4 blocks written" in errors) == (0, True)
    assert (folder / "0001-import.bin").read_bytes() == signed(key).import_block
    (pem,) = folder.glob("key-*.pem")
    checked = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", pem, "-signature", folder / "0002-export.der",
         folder / "0002-export.bin"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert "Verified OK" in checked.stdout
    everything = subprocess.run(["sh", folder / "check.sh"], capture_output=True, check=True, text=True)
    assert everything.stdout.count("Verified OK") == 4
    block = folder / "0001-import.bin"
    block.write_bytes(bytes([block.read_bytes()[0] ^ 1]) + block.read_bytes()[1:])
    assert subprocess.run(["sh", folder / "check.sh"], capture_output=True, check=False).returncode == 1
    status, _, errors = call("verify", path, "--export-openssl", folder)
    assert (status, "export into a new folder" in errors) == (2, True)


def test_real_values_have_their_exit_status(call: Call, shared: Path) -> None:
    """Valid files 0, broken ones 1, and openssl agrees with each that is proven."""
    for path in sorted((shared / "signed-values").glob("*.xml")):
        assert call("verify", path)[0] == (1 if "fail" in path.name else 0), path.name


def test_openssl_agrees_on_real_values(call: Call, shared: Path, tmp_path: Path) -> None:
    """The blocks put together from real telegrams are what the meters signed, openssl says too."""
    for path in sorted((shared / "signed-values").glob("*.xml")):
        if "fail" not in path.name:
            folder = tmp_path / path.stem
            call("verify", path, "--export-openssl", folder)
            done = subprocess.run(["sh", folder / "check.sh"], capture_output=True, check=False, text=True)
            assert (done.returncode, done.stdout.count("Verified OK")) == (0, 2 if "mennekes" in path.name else 1)
