"""What is printed on an E320: identity, ratings, public key, and a Data Matrix that says it again.

The drawing carries no approval marks and says that the device is simulated. Source: E320 manual
3.2, 5.2 (what is on the plate); the arrangement and the Data Matrix's text are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
import resvg_py
import zxingcpp
from numpy.typing import NDArray

from ..errors import InvalidIdentifier
from ..identity import DeviceId, ServerId
from ..signing import Curve, PrivateKey, PublicKey
from .meter import E320
from .variant import Variant

DATA_MATRIX_VERSION: Final = "BM1"
"""First field of the text; another arrangement gets another version."""
CALIBRATION_YEAR: Final = 2026
"""Of meters nobody gave another year."""
CURVE_LABELS: Final[dict[Curve, str]] = {Curve.P256: "NIST P-256", Curve.BP256: "BP-256"}
QUIET_MODULES: Final = 2
WIDTH: Final = 760
HEIGHT: Final = 420
PROPERTY_LENGTH: Final = 40
"""Characters of the operator's line that fit."""
KEY_GROUP: Final = 8
KEY_GROUPS_A_LINE: Final = 4


@dataclass(frozen=True, slots=True)
class Faceplate:
    """Everything on one plate."""

    device_id: DeviceId
    variant: Variant
    public_key: PublicKey
    calibration_year: int
    led_reactive: bool = False
    """The metrological LED shows reactive energy."""
    property_plate: str = ""
    """The operator's own line, cut after PROPERTY_LENGTH characters."""

    @classmethod
    def of(cls, meter: E320, calibration_year: int = CALIBRATION_YEAR) -> Faceplate | None:
        """The plate of a simulated meter, whose key pair follows from its device ID; None without such an ID."""
        identity, parameters = meter.server_id.device_id, meter.parameters
        if identity is None:
            return None
        key = PrivateKey.from_seed(parameters.curve, identity.compact.encode()).public
        return cls(identity, meter.variant, key, calibration_year, led_reactive=parameters.led_reactive)

    @property
    def data_matrix_text(self) -> str:
        """`BM1;LGZ;<serial>;<device ID>;<server ID>;<curve>;<public key>`."""
        return ";".join(
            [
                DATA_MATRIX_VERSION,
                self.device_id.maker,
                f"{self.device_id.serial:08d}",
                self.device_id.compact,
                self.device_id.server_id.hex().upper(),
                CURVE_LABELS[self.public_key.curve],
                self.public_key.point.hex().upper(),
            ]
        )

    @property
    def data_matrix(self) -> NDArray[np.bool_]:
        """The symbol's modules, True = dark, without quiet zone (ISO/IEC 16022, ECC 200)."""
        code = zxingcpp.create_barcode(self.data_matrix_text, zxingcpp.BarcodeFormat.DataMatrix)
        modules: NDArray[np.bool_] = np.array(code.to_image(scale=1, add_quiet_zones=False)) == 0
        return modules

    def svg(self) -> str:
        """The plate as a drawing of WIDTH by HEIGHT units."""
        return _svg(self)

    def png(self, zoom: float = 2.0) -> bytes:
        """The plate as an image, `zoom` pixels a unit."""
        return bytes(resvg_py.svg_to_bytes(svg_string=self.svg(), zoom=zoom))


@dataclass(frozen=True, slots=True)
class ScannedPlate:
    """What a plate's Data Matrix says."""

    device_id: DeviceId
    server_id: ServerId
    public_key: PublicKey


def read_data_matrix(text: str) -> ScannedPlate:
    """Understand the text of a scanned plate.

    Raises InvalidIdentifier: unknown version, missing field, or fields that contradict each other.
    """
    fields = text.strip().split(";")
    if fields[0] != DATA_MATRIX_VERSION or len(fields) != 7:
        raise InvalidIdentifier(
            f"not the text of an E320's Data Matrix (like {DATA_MATRIX_VERSION};LGZ;…): {text[:40]!r}"
        )
    _, maker, serial, device_text, server_text, label, key_text = fields
    device_id, server_id = DeviceId.parse(device_text), ServerId.parse(server_text)
    if device_id.server_id != server_id or (device_id.maker, f"{device_id.serial:08d}") != (maker, serial):
        raise InvalidIdentifier(f"maker, serial number, device ID and server ID of {device_text} contradict each other")
    curves = {label: curve for curve, label in CURVE_LABELS.items()}
    if label not in curves:
        raise InvalidIdentifier(f"unknown curve {label!r}; one of {', '.join(curves)}")
    try:
        point = bytes.fromhex(key_text)
    except ValueError as error:
        raise InvalidIdentifier(f"the public key is not hexadecimal: {key_text[:20]!r}") from error
    return ScannedPlate(device_id, server_id, PublicKey.from_point(curves[label], point))


# --- the drawing ---------------------------------------------------------------------------


def _svg(plate: Faceplate) -> str:
    variant, rating = plate.variant, plate.variant.rating
    accuracy = f"Cl. {variant.accuracy}" + ("   kvarh Cl. 2" if variant.mode.has_reactive else "")
    impulses = "imp/kvarh" if plate.led_reactive else "imp/kWh"
    key = plate.public_key.point.hex().upper()
    groups = [key[at : at + KEY_GROUP] for at in range(0, len(key), KEY_GROUP)]
    key_lines = [" ".join(groups[at : at + KEY_GROUPS_A_LINE]) for at in range(0, len(groups), KEY_GROUPS_A_LINE)]
    parts = [
        _text(28, 46, "E320", 30, weight="bold"),
        _text(132, 46, variant.code, 17),
        _text(28, 84, variant.mode_text, 18, weight="bold"),
        _text(28, 118, f"3x230/400 V   50 Hz   {rating.current_range}", 16),
        _text(28, 144, f"{accuracy}   {rating.pulses_per_kwh} {impulses}", 16),
        _text(28, 170, f"-25 °C … +55 °C   DIN 43856-{rating.circuit_diagram}", 16),
        _symbols(28, 186),
        _text(150, 214, f"{plate.calibration_year}", 16),
        _text(28, 262, str(plate.device_id), 24, weight="bold"),
        _text(28, 288, f"Server-ID {plate.device_id.server_id.hex(' ').upper()}", 15, mono=True),
        _text(28, 318, f"Public Key {CURVE_LABELS[plate.public_key.curve]}", 13),
        *(_text(28, 336 + 16 * line, text, 13, mono=True) for line, text in enumerate(key_lines)),
        _text(738, 46, plate.property_plate[:PROPERTY_LENGTH], 13, anchor="end"),
        _text(548, 380, "Simulated device — not for billing", 11),
        _matrix(plate.data_matrix, 548, 168, 190),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{escape(f"Faceplate of {variant.model}, {plate.device_id}")}">'
        f'<rect x="4" y="4" width="{WIDTH - 8}" height="{HEIGHT - 8}" rx="10" fill="#f4f4f0" stroke="#444"/>'
        + "".join(parts)
        + "</svg>"
    )


def _text(
    x: float, y: float, text: str, size: float, *, weight: str = "normal", mono: bool = False, anchor: str = "start"
) -> str:
    family = "DejaVu Sans Mono, monospace" if mono else "DejaVu Sans, sans-serif"
    return (
        f'<text x="{x}" y="{y}" font-family="{family}" font-size="{size}" font-weight="{weight}"'
        f' text-anchor="{anchor}" fill="#111"'
        f' xml:space="preserve">{escape(text)}</text>'
    )


def _symbols(x: float, y: float) -> str:
    """Double insulation, three measuring elements (IEC 62053-52), and the frame of the calibration year."""
    elements = "".join(f'<circle cx="{x + 56 + 14 * place}" cy="{y + 20}" r="9"/>' for place in range(3))
    return (
        '<g fill="none" stroke="#111" stroke-width="2">'
        f'<rect x="{x}" y="{y + 4}" width="32" height="32"/><rect x="{x + 7}" y="{y + 11}" width="18" height="18"/>'
        f'{elements}<rect x="{x + 114}" y="{y + 6}" width="56" height="30" rx="4"/></g>'
    )


def _matrix(modules: NDArray[np.bool_], x: float, y: float, size: float) -> str:
    """One path for all dark modules, on white with its quiet zone."""
    count = len(modules) + 2 * QUIET_MODULES
    rows, columns = np.nonzero(modules)
    squares = "".join(
        f"M{column + QUIET_MODULES} {row + QUIET_MODULES}h1v1h-1z"
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    )
    return (
        f'<g transform="translate({x} {y}) scale({size / count})" shape-rendering="crispEdges">'
        f'<rect width="{count}" height="{count}" fill="#fff"/><path d="{squares}" fill="#000"/></g>'
    )
