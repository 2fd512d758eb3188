"""The signed tuple: canonical bytes, both signatures, and openssl reading the exported block.

The vectors were computed for this project by two independent libraries: server ID 05 00 15 11
22 AA BB, index 123456789, status 0x100, scaler -1, +A 9876543210, R1 1234567890, R4 42, -A 1000,
R2 7, R3 0, RFC 6979 nonces.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk import tuples
from messwerk.errors import DecodeError, InvalidSignature
from messwerk.seconds_index import SecondsIndex
from messwerk.signing import Curve, PrivateKey, signature_der
from messwerk.sml.messages import Timestamp
from messwerk.tuples import SignedTuple

SERVER_ID = bytes.fromhex("0500151122aabb")
IMPORT_BLOCK = (
    "0500151122aabb0000000000000015cd5b07000100000100010800ff1effea16b04c02000000"
    "0100050800ff20ffd2029649000000000100080800ff20ff2a00000000000000" + "00" * 26
)
EXPORT_BLOCK = (
    "0500151122aabb0000000000000015cd5b07000100000100020800ff1effe803000000000000"
    "0100060800ff20ff07000000000000000100070800ff20ff0000000000000000" + "00" * 26
)
IMPORT_DIGEST = "05ab8ccd02e299b1d28d47ba6242dafb73bd99b7e4e6e3f0ff44f1961e5fb13a"
EXPORT_DIGEST = "7e9452905377fb35b00325c896526b75846be6ef94fabd4be8a142fb73c9ac81"
VECTORS = [
    (
        Curve.P192,
        0xAE8BE75047B994665407D127FA811D4D28BB780EFCC7BA52,
        "51f34578814e052923be4dbe141cbf259d1bc4af5948923baba0828d6f5fc3dc0d2e8180053ce4593c48fabf2938441f",
        "7f30c8a4af920e855628ac0b453d66b2ff32b2162d9920586cdceca470d000cc124a3693fd013f9e1df8cc47eefa38ef",
        "92f757825cee33d769b74f31192f94357e7c004edba612cd1dbaff6ac61c7de5001a450148faa6ac50ae8cce0bf670a8",
    ),
    (
        Curve.P256,
        0xB1254E78A8E96171D330F1F5E050EC935CA7BA575A85CB714CE8236A70473908,
        "30863ac8bfb2b87400c07aabb0c107590600b134811567e3528e70609c3502e9"
        "33c7fcd9b11decd44aeded4630284c84bf82305d832c232587e178e9217d5148",
        "42bf3ab5fdc438d9d5126386dfa83313c04fecd857964d00c21757ac5537c896"
        "04e555edfc86f76c7aa8bff02f8f2623473692f1105ed4aa9d81a936fb5d79c5",
        "3237c420f40d7b33816e5bec226a557f5f0531c534c4c8b1b36eab62bed32783"
        "f59085b8e3bae9567cf8d1341f10837a9ad6c06785529e1bf4c58564df207942",
    ),
    (
        Curve.BP256,
        0xA7C8402C3F65C692D18B18520B8B0045DBEBD2B0CDDFF8F0C4501D78277525DC,
        "a689ea558c6b496e603bbb9f074fa161b376058b690cbe8a7c1cbdf7335c52d5"
        "1b239c4f4a68a88aebc7d2c73a78d83c84aa7a659318ccb7369db6e169421a7c",
        "3b359c545d861e405fcd2157e14dfdbe31d7b56c229fd18e3845d6a29290fe81"
        "032fa0d2d5c21954c00c16c92a71c1275735fa2ec78d7c725dc6f947cc538a10",
        "304c0f081dc32b5b9dba3765ff96eb5af112ee92f62c1a1e5c70ecf1fd0a748e"
        "7e2c3c865fb22646562b009bc8b8257d9230022020c7a05e26d1ea80772f9066",
    ),
]


def signed(key: PrivateKey, **changes: int) -> SignedTuple:
    """The tuple of the vectors, signed with `key`, with some fields changed."""
    fields = {
        "index": 123456789, "status": 0x100, "scaler": -1, "import_wh": 9876543210, "export_wh": 1000,
        "r1_varh": 1234567890, "r2_varh": 7, "r3_varh": 0, "r4_varh": 42,
    } | changes  # fmt: skip
    index = SecondsIndex(fields.pop("index"))
    return SignedTuple.sign(key, server_id=SERVER_ID, index=index, **fields)


def test_the_hashed_blocks_are_those_of_the_vectors() -> None:
    """Byte order, padding and register names of the block are what every verifier rebuilds."""
    one = signed(PrivateKey.from_seed(Curve.P256, b"any"))
    assert one.import_block.hex() == IMPORT_BLOCK
    assert one.export_block.hex() == EXPORT_BLOCK
    assert hashlib.sha256(one.import_block).hexdigest() == IMPORT_DIGEST
    assert hashlib.sha256(one.export_block).hexdigest() == EXPORT_DIGEST


@pytest.mark.parametrize(("curve", "scalar", "point", "import_hex", "export_hex"), VECTORS)
def test_the_signatures_are_those_of_the_vectors(
    curve: Curve, scalar: int, point: str, import_hex: str, export_hex: str
) -> None:
    """Curve, hash, truncation, nonce and r || s encoding match two other implementations."""
    key = PrivateKey.from_scalar(curve, scalar)
    assert key.public.point.hex() == point
    one = signed(key)
    assert one.signature_import.hex() == import_hex
    assert one.signature_export.hex() == export_hex
    one.verify(key.public)


@pytest.mark.parametrize(
    "field", ["index", "status", "import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh"]
)
def test_changing_any_hashed_field_is_noticed(field: str) -> None:
    """A reading cannot be improved after the fact: each field is under at least one signature."""
    key = PrivateKey.from_seed(Curve.P256, b"tamper")
    one = signed(key)
    forged = replace(one, **{field: getattr(one, field) ^ 1})
    with pytest.raises(InvalidSignature, match=r"(import|export) group of #\d+"):
        forged.verify(key.public)


def test_signatures_of_two_seconds_and_two_groups_cannot_be_swapped() -> None:
    """A valid signature of another second, or of the other direction, proves nothing here."""
    key = PrivateKey.from_seed(Curve.P256, b"swap")
    one, other = signed(key), signed(key, index=123456790)
    with pytest.raises(InvalidSignature):
        replace(one, signature_import=other.signature_import).verify(key.public)
    with pytest.raises(InvalidSignature, match="import"):
        replace(one, signature_import=one.signature_export, signature_export=one.signature_import).verify(key.public)


registers = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=50, deadline=None)
@given(
    st.binary(min_size=1, max_size=14), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1),
    st.integers(-128, 127), st.tuples(*[registers] * 6),
)  # fmt: skip
def test_the_wire_entry_carries_everything_that_is_signed(
    server_id: bytes, index: int, status: int, scaler: int, values: tuple[int, int, int, int, int, int]
) -> None:
    """SML_TupelEntry there and back is the identity, for every value the wire can hold."""
    names = ("import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh")
    one = SignedTuple(
        server_id=server_id, index=SecondsIndex(index), status=status, scaler=scaler,
        signature_import=b"i" * 64, signature_export=b"e" * 64, **dict(zip(names, values, strict=True)),
    )  # fmt: skip
    back = SignedTuple.from_entry(one.to_entry())
    assert back == one
    assert back.import_block == one.import_block
    assert back.start_of_interval == bool(status & tuples.STATUS_SOI)


@pytest.mark.parametrize(
    "change",
    [
        {"unit_pa": 32}, {"unit_r3": 30}, {"scaler_r2": 0}, {"sec_index": Timestamp(123456789)},
        {"server_id": bytes(15)},
    ],
)  # fmt: skip
def test_an_entry_whose_block_cannot_be_rebuilt_is_no_tuple(change: dict[str, object]) -> None:
    """Foreign units, mixed scalers or a date would be hashed wrongly: refused, with the field named."""
    entry = signed(PrivateKey.from_seed(Curve.P256, b"odd")).to_entry()
    with pytest.raises(DecodeError, match=f"TupelEntry.{next(iter(change)).split('_')[0]}"):
        SignedTuple.from_entry(replace(entry, **change))


def test_openssl_verifies_a_tuple_from_its_exported_bytes(tmp_path: Path) -> None:
    """Key as PEM, block as a file, signature as DER: the proof needs none of our code."""
    key = PrivateKey.from_scalar(Curve.P256, VECTORS[1][1])
    one = signed(key)
    (tmp_path / "meter.pem").write_bytes(key.public.pem)
    for group, block, signature in (
        ("import", one.import_block, one.signature_import),
        ("export", one.export_block, one.signature_export),
    ):
        (tmp_path / f"{group}.block").write_bytes(block)
        (tmp_path / f"{group}.der").write_bytes(signature_der(signature))
    for group, block, expected in [("import", "import", 0), ("export", "export", 0), ("import", "export", 1)]:
        checked = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", "meter.pem", "-signature", f"{group}.der", f"{block}.block"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == expected, checked.stderr
