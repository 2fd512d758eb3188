"""What an E320 must not forget, as one record of fixed size, and what is gone with the mains."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from ..errors import StoreDamaged
from ..metrology import FoldState, Registers
from .info import Phases
from .variant import UserSettings

_RECORD: Final = struct.Struct(">BQIQ6Q6sQBI4Q")
RECORD_VERSION: Final = 1
RECORD_SIZE: Final = _RECORD.size


@dataclass(slots=True)
class State:
    """Survives power cuts, crashes and damage to one copy. Mutable: the meter's only memory."""

    seconds_index: int = 0
    push_counter: int = 0
    """File counter F of the INFO pushes; it misses the seconds of every start-up."""
    anchor: int = 0
    """Seconds index from which history counts its days."""
    registers: Registers = field(default_factory=Registers)
    fold: FoldState = field(default_factory=FoldState)
    settings: UserSettings = field(default_factory=UserSettings)
    secured: bool = False
    """Operation in a secured SMGw environment: history is frozen and not shown."""
    orderly: bool = True
    """The last power-down was recorded; False while the meter runs."""
    pulse_remainder: int = 0
    disk: int = 0
    """Bar of the rotating disk, 0 … 3."""
    error_register: int = 0
    day_marks: tuple[int, int] = (0, 0)
    """+A and -A when the running day of history began. [mWs]"""
    reset_marks: tuple[int, int] = (0, 0)
    """+A and -A at the last reset of E. [mWs]"""

    def to_bytes(self) -> bytes:
        """`RECORD_SIZE` bytes."""
        registers = self.registers
        flags = bytes(
            [
                self.fold.active, self.fold.reactive, self.fold.p_sign > 0,
                self.settings.pin_on | self.settings.extended << 1, self.secured, self.orderly,
            ]
        )  # fmt: skip
        return _RECORD.pack(
            RECORD_VERSION, self.seconds_index, self.push_counter, self.anchor,
            registers.import_mws, registers.export_mws,
            registers.r1_mvars, registers.r2_mvars, registers.r3_mvars, registers.r4_mvars,
            flags, self.pulse_remainder, self.disk, self.error_register, *self.day_marks, *self.reset_marks,
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, record: bytes) -> State:
        """Raises StoreDamaged when the record is of another size or version."""
        if len(record) != RECORD_SIZE or record[0] != RECORD_VERSION:
            raise StoreDamaged(
                f"the meter's state has {len(record)} bytes of version {record[:1].hex()}, expected"
                f" {RECORD_SIZE} of version {RECORD_VERSION:02x}; it was written by another release"
            )
        _, index, push_counter, anchor, *rest = _RECORD.unpack(record)
        flags, pulse_remainder, disk, error_register, *marks = rest[6:]
        return cls(
            seconds_index=index,
            push_counter=push_counter,
            anchor=anchor,
            registers=Registers(*rest[:6]),
            fold=FoldState(bool(flags[0]), bool(flags[1]), 1 if flags[2] else -1),
            settings=UserSettings(pin_on=bool(flags[3] & 1), extended=bool(flags[3] & 2)),
            secured=bool(flags[4]),
            orderly=bool(flags[5]),
            pulse_remainder=pulse_remainder,
            disk=disk,
            error_register=error_register,
            day_marks=(marks[0], marks[1]),
            reset_marks=(marks[2], marks[3]),
        )


@dataclass(slots=True)
class Moment:
    """What the last second looked like. Begins anew whenever mains come."""

    uptime_s: int = 0
    """Whole seconds since mains came."""
    net_mws: int = 0
    """Signed energy of the second over all phases, + = import, counted or not."""
    phase_power_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voltage_present: Phases = (False, False, False)
    field_reversed: bool = False
    return_stop: bool = False
    pulses: int = 0
    """Pulses of the metrological LED in the second."""
    pulse_total: int = 0
    """... and since mains came."""
