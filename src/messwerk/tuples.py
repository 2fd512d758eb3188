"""The signed tuple of the SyM² system: what is hashed, signed, sent and archived.

Every second the base module signs its six registers in two groups, the import half plane
(+A, R1, R4) and the export half plane (-A, R2, R3). Each group is one 96-byte block:

    offset  0  server ID, left aligned, zero padded            14
           14  seconds index, little endian                     4
           18  status, low 32 bits, little endian               4
           22  first register:  OBIS 6, unit 1, scaler 1, value 8 little endian
           38  second register  "
           54  third register   "
           70  zero                                            26

ECDSA over SHA-256 of the block. The block always uses the names 1-0:x.8.0*255, so one
signature serves the tuple, the profile row and the archive.
Layout: that of the FNN base meter for registered power [design, see docs/assumptions.md].
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Self

from .errors import DecodeError, InvalidSignature
from .obis import ObisCode
from .seconds_index import SecondsIndex
from .signing import PrivateKey, PublicKey
from .sml.messages import SecIndex, TupelEntry
from .units import VAR_HOUR, WATT_HOUR

HASH_LAYOUT: Final = "FNN-BZ-RLM-96"
"""Name of the block layout, stored beside every verdict."""

IMPORT_REGISTERS: Final = (ObisCode.parse("1.8.0"), ObisCode.parse("5.8.0"), ObisCode.parse("8.8.0"))
"""+A, R1, R4 in block order."""
EXPORT_REGISTERS: Final = (ObisCode.parse("2.8.0"), ObisCode.parse("6.8.0"), ObisCode.parse("7.8.0"))
"""-A, R2, R3 in block order."""
REGISTER_UNITS: Final = (WATT_HOUR, VAR_HOUR, VAR_HOUR)
"""Unit codes of the three registers of either group."""

# Bits of the tuple's status word [design]: 0..20 are the FNN base-meter word.
STATUS_IDENTIFICATION: Final = 1 << 2
STATUS_ABOVE_START: Final = 1 << 8
STATUS_EXPORT: Final = 1 << 11
STATUS_EXPORT_L1, STATUS_EXPORT_L2, STATUS_EXPORT_L3 = 1 << 12, 1 << 13, 1 << 14
STATUS_ROTATION: Final = 1 << 15
STATUS_FATAL: Final = 1 << 17
STATUS_VOLTAGE_L1, STATUS_VOLTAGE_L2, STATUS_VOLTAGE_L3 = 1 << 18, 1 << 19, 1 << 20
STATUS_NEUTRAL_MISSING: Final = 1 << 21
STATUS_SOI: Final = 1 << 22
"""Start of interval: this tuple is the register reading at a period boundary."""
STATUS_POWER_RESTORED: Final = 1 << 23
STATUS_EPOCH_CHANGED: Final = 1 << 24
STATUS_SYNC_TAKEN: Final = 1 << 25
STATUS_ROW_LOST: Final = 1 << 26
STATUS_PARAMETER_CHANGED: Final = 1 << 27
STATUS_FIRMWARE_CHANGED: Final = 1 << 28
STATUS_LOG_OVERFLOW: Final = 1 << 29
STATUS_SELF_TEST_FAULT: Final = 1 << 30
STATUS_SYNCHRONOUS: Final = 1 << 31

_BLOCK: Final = struct.Struct("<14sII" + "6sBbq" * 3 + "26x")
_NAMES_AND_UNITS: Final = {
    registers: tuple(zip(registers, REGISTER_UNITS, strict=True)) for registers in (IMPORT_REGISTERS, EXPORT_REGISTERS)
}


def hash_block(
    server_id: bytes,
    index: int,
    status: int,
    scaler: int,
    registers: tuple[ObisCode, ObisCode, ObisCode],
    values: tuple[int, int, int],
) -> bytes:
    """The 96 bytes one group's signature covers. Values are raw x 10**scaler in Wh or varh."""
    parts: list[bytes | int] = []
    for (name, unit), value in zip(_NAMES_AND_UNITS[registers], values, strict=True):
        parts += [name, unit, scaler, value]
    return _BLOCK.pack(server_id, index, status & 0xFFFF_FFFF, *parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTuple:
    """One second of one meter, able to prove itself anywhere.

    Register values are integers, raw x 10**`scaler` in Wh (+A, -A) and varh (R1 … R4).
    """

    server_id: bytes
    index: SecondsIndex
    status: int
    scaler: int
    import_wh: int
    export_wh: int
    r1_varh: int
    r2_varh: int
    r3_varh: int
    r4_varh: int
    signature_import: bytes
    """r || s over the block of +A, R1, R4."""
    signature_export: bytes
    """r || s over the block of -A, R2, R3."""

    @classmethod
    def sign(
        cls,
        key: PrivateKey,
        *,
        server_id: bytes,
        index: SecondsIndex,
        status: int,
        scaler: int,
        import_wh: int,
        export_wh: int,
        r1_varh: int,
        r2_varh: int,
        r3_varh: int,
        r4_varh: int,
    ) -> Self:
        """Make the tuple of one second with both signatures."""
        import_block = hash_block(server_id, index, status, scaler, IMPORT_REGISTERS, (import_wh, r1_varh, r4_varh))
        export_block = hash_block(server_id, index, status, scaler, EXPORT_REGISTERS, (export_wh, r2_varh, r3_varh))
        return cls(
            server_id=bytes(server_id), index=index, status=status, scaler=scaler,
            import_wh=import_wh, export_wh=export_wh,
            r1_varh=r1_varh, r2_varh=r2_varh, r3_varh=r3_varh, r4_varh=r4_varh,
            signature_import=key.sign(import_block), signature_export=key.sign(export_block),
        )  # fmt: skip

    @property
    def import_block(self) -> bytes:
        """The 96 bytes `signature_import` covers."""
        values = (self.import_wh, self.r1_varh, self.r4_varh)
        return hash_block(self.server_id, self.index, self.status, self.scaler, IMPORT_REGISTERS, values)

    @property
    def export_block(self) -> bytes:
        """The 96 bytes `signature_export` covers."""
        values = (self.export_wh, self.r2_varh, self.r3_varh)
        return hash_block(self.server_id, self.index, self.status, self.scaler, EXPORT_REGISTERS, values)

    @property
    def start_of_interval(self) -> bool:
        """Whether this is a register reading at a period boundary."""
        return bool(self.status & STATUS_SOI)

    def verify(self, key: PublicKey) -> None:
        """Check both signatures; raises InvalidSignature naming the group that fails."""
        for group, block, signature in (
            ("import", self.import_block, self.signature_import),
            ("export", self.export_block, self.signature_export),
        ):
            try:
                key.verify(block, signature)
            except InvalidSignature as error:
                raise InvalidSignature(f"{group} group of #{self.index}: {error}") from None

    def to_entry(self) -> TupelEntry:
        """The tuple as SML carries it (SML_TupelEntry, 23 elements)."""
        return TupelEntry(
            server_id=self.server_id, sec_index=SecIndex(self.index), status=self.status,
            unit_pa=WATT_HOUR, scaler_pa=self.scaler, value_pa=self.import_wh,
            unit_r1=VAR_HOUR, scaler_r1=self.scaler, value_r1=self.r1_varh,
            unit_r4=VAR_HOUR, scaler_r4=self.scaler, value_r4=self.r4_varh,
            signature_pa_r1_r4=self.signature_import,
            unit_ma=WATT_HOUR, scaler_ma=self.scaler, value_ma=self.export_wh,
            unit_r2=VAR_HOUR, scaler_r2=self.scaler, value_r2=self.r2_varh,
            unit_r3=VAR_HOUR, scaler_r3=self.scaler, value_r3=self.r3_varh,
            signature_ma_r2_r3=self.signature_export,
        )  # fmt: skip

    @classmethod
    def from_entry(cls, entry: TupelEntry) -> Self:
        """Read the tuple SML carried. Raises DecodeError where it is no SyM² tuple.

        All six scalers must be equal, the units Wh and varh, the time a seconds index: else the
        hashed block could not be rebuilt from the fields we keep.
        """
        units = (entry.unit_pa, entry.unit_r1, entry.unit_r4, entry.unit_ma, entry.unit_r2, entry.unit_r3)
        scalers = {
            int(scaler)
            for scaler in (
                entry.scaler_pa, entry.scaler_r1, entry.scaler_r4, entry.scaler_ma, entry.scaler_r2, entry.scaler_r3,
            )
        }  # fmt: skip
        if units != REGISTER_UNITS * 2:
            raise _not_a_tuple("units", "Wh and varh", units)
        if len(scalers) != 1:
            raise _not_a_tuple("scalers", "one scaler for all six", sorted(scalers))
        if not isinstance(entry.sec_index, SecIndex):
            raise _not_a_tuple("sec_index", "a seconds index", entry.sec_index)
        if len(entry.server_id) > 14:
            raise _not_a_tuple("server_id", "at most 14 bytes", entry.server_id.hex())
        return cls(
            server_id=entry.server_id, index=SecondsIndex(int(entry.sec_index.value)), status=int(entry.status),
            scaler=scalers.pop(), import_wh=int(entry.value_pa), export_wh=int(entry.value_ma),
            r1_varh=int(entry.value_r1), r2_varh=int(entry.value_r2),
            r3_varh=int(entry.value_r3), r4_varh=int(entry.value_r4),
            signature_import=entry.signature_pa_r1_r4, signature_export=entry.signature_ma_r2_r3,
        )  # fmt: skip


def _not_a_tuple(field: str, expected: str, found: object) -> DecodeError:
    return DecodeError(offset=0, path=f"TupelEntry.{field}", expected=expected, found=str(found))
