"""What a base meter can be asked on the wired network: object names of nine bytes, and attributes.

A name is OBIS code, COSEM class and version; an attribute has two bytes. Source: recorded
requests, a gateway program, another maker's manual of the same class; codes marked [design] are
ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .. import sml
from ..obis import ObisCode
from ..signing import PrivateKey, PublicKey

DATA: Final = 0x0001
REGISTER: Final = 0x0003
SIGNED_REGISTER: Final = 0x8002
"""Class of the energies: value with status, seconds index and signature."""
REGISTER_SCALER: Final = -1
"""Energies in 0.1 Wh and 0.1 varh. [design: as a gateway program reads them]"""

LOGICAL_NAME: Final = b"\x00\x01"
VALUE: Final = b"\x00\x02"
SCALER_UNIT: Final = b"\x00\x03"
"""[design]"""
STATUS: Final = b"\x00\x04"
"""[design]"""
SECONDS_INDEX: Final = b"\x00\x05"
"""[design]"""
SIGNATURE: Final = b"\x00\x06"


@dataclass(frozen=True, slots=True)
class ObjectName:
    """Nine bytes on the wire."""

    code: ObisCode
    cosem_class: int = DATA
    version: int = 0

    def to_bytes(self) -> bytes:
        return bytes(self.code) + self.cosem_class.to_bytes(2, "big") + bytes([self.version])

    @classmethod
    def of(cls, octets: bytes) -> ObjectName | None:
        """Read nine bytes, or the bare OBIS code of six, which means class DATA; else None."""
        if len(octets) not in (6, 9):
            return None
        code = ObisCode(octets[:6])
        return cls(code, int.from_bytes(octets[6:8], "big"), octets[8]) if len(octets) == 9 else cls(code)


def _data(octets: str) -> ObjectName:
    return ObjectName(ObisCode(bytes.fromhex(octets)))


def energy(code: ObisCode) -> ObjectName:
    """An energy register."""
    return ObjectName(code, SIGNED_REGISTER)


IMPORT: Final = energy(ObisCode.parse("1.8.0"))
EXPORT: Final = energy(ObisCode.parse("2.8.0"))
POWER: Final = ObjectName(ObisCode.parse("16.7.0"), REGISTER)
POWER_PLUS: Final = ObjectName(ObisCode.parse("1.7.0"), REGISTER)
STATUS_WORD: Final = _data("01 00 60 05 00 FF")
SERVER_ID: Final = _data("01 00 60 01 00 FF")
MANUFACTURER: Final = _data("01 00 60 32 01 01")
FIRMWARE_VERSION: Final = _data("01 00 00 02 00 00")
FIRMWARE_CHECKSUM: Final = _data("01 00 00 02 00 01")
INDEX: Final = _data("01 00 5E 31 00 01")
CRYPTO_RESET: Final = _data("01 00 5E 31 00 07")
OPERATIONAL_KEY: Final = _data("01 00 5E 31 00 08")
"""[design]"""
METER_CERTIFICATE: Final = _data("01 00 5E 31 00 09")
"""Certificate, or certificate and key, of the next TLS session. [design]"""
GATEWAY_CERTIFICATE: Final = _data("01 00 5E 31 00 0A")
"""[design]"""
PUBLIC_KEY: Final = _data("01 00 5E 31 00 0B")
"""X || Y of the key that signs energies, as printed on the plate. [design]"""
INFO_EXTENDED: Final = _data("01 00 5E 31 01 02")
PIN_PROTECTION: Final = _data("01 00 5E 31 01 07")
SETTINGS_KEPT: Final = _data("01 00 5E 31 01 0E")
ERROR_REGISTER: Final = _data("01 00 61 61 00 FF")


def leaf(attribute: bytes, value: sml.ValueParameter | sml.TimeParameter) -> sml.Tree:
    """One attribute."""
    return sml.Tree(parameter_name=attribute, parameter_value=value)


def node(name: ObjectName, *attributes: sml.Tree) -> sml.Tree:
    """An object with its logical name and attributes."""
    logical = leaf(LOGICAL_NAME, sml.ValueParameter(bytes(name.code)))
    return sml.Tree(parameter_name=name.to_bytes(), child_list=(logical, *attributes))


def assignment(name: ObjectName, value: bool | bytes | sml.Unsigned | sml.Integer) -> sml.SetProcParameterRequest:
    """The request that sets an object's value."""
    tree = sml.Tree(parameter_name=name.to_bytes(), child_list=(leaf(VALUE, sml.ValueParameter(value)),))
    return sml.SetProcParameterRequest(parameter_tree_path=(name.to_bytes(),), parameter_tree=tree)


def question(name: ObjectName) -> sml.GetProcParameterRequest:
    """The request for an object with all its attributes."""
    return sml.GetProcParameterRequest(parameter_tree_path=(name.to_bytes(),))


def assigned(tree: sml.Tree) -> object:
    """The value a set request carries: at the root, or at its attribute 0002; None without one."""
    holder = tree
    if tree.parameter_value is None:
        holder = next((child for child in tree.child_list or () if child.parameter_name == VALUE), tree)
    return holder.parameter_value.value if isinstance(holder.parameter_value, sml.ValueParameter) else None


@dataclass(frozen=True, slots=True)
class EnergyValue:
    """What one energy register says at one second."""

    name: ObjectName
    raw: int
    """Times 10**scaler, in `unit`."""
    scaler: int
    unit: int
    status: int
    seconds_index: int
    signature: bytes = b""
    """r || s over `content`; empty where the meter signs nothing."""

    def content(self, server_id: bytes) -> bytes:
        """The bytes that are signed: server ID, name, index, status, scaler, unit, value. [design]"""
        return (
            server_id
            + self.name.to_bytes()
            + self.seconds_index.to_bytes(4, "big")
            + self.status.to_bytes(8, "big")
            + self.scaler.to_bytes(1, "big", signed=True)
            + bytes([self.unit])
            + self.raw.to_bytes(8, "big")
        )

    def signed(self, key: PrivateKey, server_id: bytes) -> EnergyValue:
        """With the signature of this key."""
        signature = key.sign(self.content(server_id))
        return EnergyValue(self.name, self.raw, self.scaler, self.unit, self.status, self.seconds_index, signature)

    def verify(self, key: PublicKey, server_id: bytes) -> None:
        """Return nothing if the signature is right, raise InvalidSignature if not."""
        key.verify(self.content(server_id), self.signature)

    def tree(self) -> sml.Tree:
        attributes = [
            leaf(VALUE, sml.ValueParameter(sml.Unsigned64(self.raw))),
            leaf(SCALER_UNIT, sml.ValueParameter(sml.CosemValue(sml.ScalerUnit(scaler=self.scaler, unit=self.unit)))),
            leaf(STATUS, sml.ValueParameter(sml.Unsigned32(self.status))),
            leaf(SECONDS_INDEX, sml.TimeParameter(sml.SecIndex(self.seconds_index))),
        ]
        if self.signature:
            attributes.append(leaf(SIGNATURE, sml.ValueParameter(self.signature)))
        return node(self.name, *attributes)

    @classmethod
    def of(cls, tree: sml.Tree) -> EnergyValue | None:
        """Read an answer's tree; None where it is no energy with index and status."""
        name = ObjectName.of(tree.parameter_name)
        values = {child.parameter_name: child.parameter_value for child in tree.child_list or ()}
        index = values.get(SECONDS_INDEX)
        if name is None or not isinstance(index, sml.TimeParameter) or not isinstance(index.value, sml.SecIndex):
            return None
        raw, status, scale, signature = (
            found.value if isinstance(found := values.get(attribute), sml.ValueParameter) else None
            for attribute in (VALUE, STATUS, SCALER_UNIT, SIGNATURE)
        )
        if not (
            isinstance(raw, sml.Unsigned) and isinstance(status, sml.Unsigned) and isinstance(scale, sml.CosemValue)
        ):
            return None
        octets = signature if isinstance(signature, bytes) else b""
        unit = scale.value
        return cls(name, int(raw), int(unit.scaler), int(unit.unit), int(status), int(index.value.value), octets)


def data_value(tree: sml.Tree) -> object:
    """The value of a data object's answer; None without one."""
    return assigned(sml.Tree(parameter_name=tree.parameter_name, child_list=tree.child_list))
