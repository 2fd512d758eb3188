"""The faceplate: what it says, that its Data Matrix reads back, and that contradictions are refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from messwerk.e320.faceplate import Faceplate, ScannedPlate, read_data_matrix
from messwerk.e320.variant import Connection, Variant
from messwerk.errors import InvalidIdentifier
from messwerk.identity import DeviceId
from messwerk.metrology import Mode
from messwerk.signing import Curve, PrivateKey


def plate(curve: Curve = Curve.P256, device: str = "1LGZ0063539421", variant: Variant | None = None) -> Faceplate:
    return Faceplate(
        device_id=DeviceId.parse(device),
        variant=variant or Variant(mode=Mode.FOUR_QUADRANT),
        public_key=PrivateKey.from_seed(curve, device.encode()).public,
        calibration_year=2026,
        property_plate='Stadtwerke "Nord" & Süd',
    )


def test_plate_says_what_the_manual_lists() -> None:
    """Type, mode, ratings, class, constant, diagram number, IDs and the whole public key are on the drawing."""
    face = plate(variant=Variant(Connection.TRANSFORMER_6A, Mode.FOUR_QUADRANT, "B"))
    drawing = ElementTree.fromstring(face.svg())  # noqa: S314 (our own)
    said = " | ".join(node.text or "" for node in drawing.iter() if node.text)
    for words in (
        "E32-AMCD.C5A.B2-S1B-S1", "4-Quadranten-Zähler", "3x230/400 V", "0,05-1(6) A", "Cl. B", "kvarh Cl. 2",
        "10000 imp/kWh", "DIN 43856-4010", "1 LGZ 00 6353 9421", "0A 01 4C 47 5A 00 03 C9 88 DD", "NIST P-256",
        "2026", 'Stadtwerke "Nord" & Süd', "Simulated device",
    ):  # fmt: skip
        assert words in said
    assert said.replace(" ", "").replace("|", "").count(face.public_key.point.hex().upper()) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99_999_999), st.sampled_from([Curve.P256, Curve.BP256]))
def test_data_matrix_reads_back(serial: int, curve: Curve) -> None:
    """Whatever the identity and curve, the symbol's text gives it back."""
    face = plate(curve, DeviceId("LGZ", serial).compact)
    image = np.kron(np.pad(~face.data_matrix, 2, constant_values=True), np.ones((4, 4), dtype=bool))
    (seen,) = zxingcpp.read_barcodes(
        image.astype(np.uint8) * 255, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.DataMatrix])
    )
    assert seen.text == face.data_matrix_text
    scanned = ScannedPlate(face.device_id, face.device_id.server_id, face.public_key)
    assert read_data_matrix(seen.text) == scanned


def test_an_independent_reader_decodes_the_image(tmp_path: Path) -> None:
    """libdmtx finds and reads the symbol on the PNG of the whole plate."""
    if (dmtxread := shutil.which("dmtxread")) is None:
        pytest.skip("dmtxread (Debian package dmtx-utils) is not installed")
    face = plate()
    image = tmp_path / "plate.png"
    image.write_bytes(face.png())
    seen = subprocess.run([dmtxread, "-N1", str(image)], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == face.data_matrix_text


def test_png_is_the_drawing() -> None:
    """The image has the drawing's size times the zoom."""
    face = plate()
    png = face.png(zoom=2.0)
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1520, 840)


GOOD = plate().data_matrix_text
BAD = [
    ("", "not the text"),
    ("BM2" + GOOD[3:], "not the text"),
    (GOOD.rsplit(";", 1)[0], "not the text"),
    (GOOD.replace("0A014C", "09014C"), "contradict each other"),
    (GOOD.replace(";63539421;", ";63539422;"), "contradict each other"),
    (GOOD.replace("NIST P-256", "P-521"), "unknown curve 'P-521'"),
    (GOOD[:-2] + "zz", "not hexadecimal"),
    (GOOD[:-2] + ("00" if GOOD[-2:] != "00" else "01"), "not a point"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_bad_scans_are_refused(text: str, reason: str) -> None:
    """A scan of something else, damaged or contradicting itself says what is wrong."""
    with pytest.raises(InvalidIdentifier, match=reason):
        read_data_matrix(text)
