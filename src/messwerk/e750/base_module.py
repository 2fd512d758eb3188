"""The base module: measures, counts seconds, signs a tuple of every one, keeps the profile.

Nothing here knows a date, a tariff or a maximum: that is the point of a SyM² meter. Time passes
only through `tick` (one second, live) and `advance` (many seconds, signing period boundaries
alone); both give the same registers and the same profile rows, bit for bit.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import LocalError
from ..identity import ServerId
from ..metrology import FoldState, Mode, PhasePowers, PulseOutput, Registers, fold, wh_tenths
from ..metrology.accuracy import ErrorModel
from ..metrology.registers import MWS_PER_WH_TENTH
from ..metrology.signals import Phasors, Reactive
from ..seconds_index import SECONDS_INDEX_MAX, SecondsIndex
from ..signing import PrivateKey, PublicKey
from ..sml.session import SmlServer
from ..tuples import (
    STATUS_EPOCH_CHANGED,
    STATUS_FIRMWARE_CHANGED,
    STATUS_LOG_OVERFLOW,
    STATUS_NEUTRAL_MISSING,
    STATUS_PARAMETER_CHANGED,
    STATUS_POWER_RESTORED,
    STATUS_ROW_LOST,
    STATUS_SOI,
    STATUS_SYNC_TAKEN,
    STATUS_SYNCHRONOUS,
    STATUS_VOLTAGE_L1,
    SignedTuple,
)
from . import object_names as names
from .bus import Group, Segment
from .bus_application import announcement
from .bus_service import BusService, base_module_identification, tuple_file
from .firmware import Firmware
from .log_book import Event, LogBook
from .profile import SCALER, LoadProfile
from .state import StateFile
from .status import measured_status
from .variant import DIRECT, Variant
from .wiring import without_neutral

PERIOD_S: Final = 900
"""Length of a load profile period. [s]"""
RESERVE_S: Final = 7 * 86_400
"""How long the seconds index goes on counting without supply. Source: E750 brochure, 7 days."""
SYNC_TOLERANCE_S: Final = 30
"""A synchronisation this near the expected boundary moves it; a farther one shortens the period. [design]"""
ANNOUNCE_EVERY_S: Final = 60
"""A module announces itself at boot and then this often. [design]"""
REGISTER_RANGE_MWS: Final = 3_600_000_000 * 10**9
"""A register wraps at 10^9 kWh. [design: near what the internal 64 bits hold]"""
BLOCK_S: Final = 86_400
"""`advance` works in blocks of this many seconds, to bound its memory."""
SIGNED_KEPT: Final = 8
"""Signed tuples remembered: the current one and the special ones."""
STATUS_TIME_UNCERTAIN: Final = 1 << 32
"""The gateway lineage's spelling of "not synchronous"; outside the signed half of the word."""

DURABLE_EVERY_S: Final = 60
"""How often the state is forced to the disk; in between it survives a kill, not a crash of the system."""
INDEX_RESERVE_S: Final = 2 * DURABLE_EVERY_S
"""Indexes skipped when nobody knows what happened, so that none is ever used twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a tuple says, without its signatures: these are deterministic and made when asked for.

    Registers in 0.1 Wh and 0.1 varh, truncated.
    """

    index: SecondsIndex
    status: int
    import_wh: int
    export_wh: int
    r1_varh: int
    r2_varh: int
    r3_varh: int
    r4_varh: int

    @classmethod
    def of(cls, registers: Registers, index: int, status: int) -> Reading:
        return cls(
            index=SecondsIndex(index), status=status,
            import_wh=wh_tenths(registers.import_mws), export_wh=wh_tenths(registers.export_mws),
            r1_varh=wh_tenths(registers.r1_mvars), r2_varh=wh_tenths(registers.r2_mvars),
            r3_varh=wh_tenths(registers.r3_mvars), r4_varh=wh_tenths(registers.r4_mvars),
        )  # fmt: skip


_READING_FIELDS: Final = tuple(field.name for field in fields(Reading))


class BaseModule:
    """One measuring unit on the bus.

    `folder` holds its state and profile and belongs to it alone; a module that starts on the
    folder of an earlier run goes on where that one stopped. `outage_s` says how long it was
    without supply as its backup clock counted (0: it was not), None that nobody knows, which
    the module takes like an exhausted reserve. `first_index` is where a new module begins.
    Raises BusyError (folder or address in use), StoreDamaged, LocalError.
    """

    groups: Final = frozenset({Group.COMMANDS})

    def __init__(
        self,
        server_id: ServerId,
        key: PrivateKey,
        folder: Path,
        bus: Segment,
        *,
        variant: Variant = DIRECT,
        period_phase: int = 0,
        period_s: int = PERIOD_S,
        first_index: int = 0,
        outage_s: int | None = 0,
        three_wire: bool = False,
        ct_ratio: int = 1,
        vt_ratio: int = 1,
        manufacturer: bytes = b"LGZ",
        download_key: PublicKey | None = None,
        errors: ErrorModel | None = None,
    ) -> None:
        self.server_id, self.key, self.bus = server_id, key, bus
        self.variant, self.manufacturer = variant, manufacturer
        self.three_wire = three_wire
        """Connected without neutral on purpose (Aron)."""
        self.errors = errors
        """What the measuring elements get wrong; None is a perfect module."""
        self.neutral_connected = True
        """Whether the neutral terminal is wired; it may break at any time in a four-wire network."""
        self.ct_ratio, self.vt_ratio = ct_ratio, vt_ratio
        """Instrument transformers, for people: registers and tuples are always secondary."""
        self.reactive = Reactive.FUNDAMENTAL
        """What harmonics mean for the reactive registers; acts where signals are measured."""
        self.powered = True
        self.registers = Registers()
        self.seconds_index = SecondsIndex(first_index)
        """The last second measured."""
        self.period_s, self.period_phase = period_s, period_phase % period_s
        """The period boundary is where index modulo `period_s` is `period_phase`."""
        self.synchronous = False
        """Whether period boundaries fall where the central station wants them."""
        self.current: Reading | None = None
        """The reading of the last second; None before the first."""
        self.special: dict[bytes, Reading] = {}
        """Readings of special moments by the name of their tree node."""
        self.last_powers: PhasePowers | None = None
        """The latest second: source of the monitoring list. None until something was measured."""
        self.frequency_hz = 50.0
        """Grid frequency the monitoring list shows; whoever simulates the grid sets it. [Hz]"""
        self.read_up_to = -1
        """Newest profile row somebody has read; rows pushed out beyond it are reported lost."""
        self.led = {"active": PulseOutput(variant.led_imp_per_kwh), "reactive": PulseOutput(variant.led_imp_per_kwh)}
        """The optical test outputs: what they owe to the last pulse."""
        self.led_pulses = {"active": 0, "reactive": 0}
        """Pulses of the test outputs in the latest block of seconds; with `tick`, in this second."""
        self._fold = FoldState()
        self._latched = 0
        self._synchronous_after_soi = False
        self._sync_taken = False
        self._restored: bytes | None = None
        self._durable_at = -1
        self._signed: dict[Reading, SignedTuple] = {}
        self._state = StateFile(folder / "state")
        with ExitStack() as on_failure:
            on_failure.callback(self._state.close)
            self.profile = LoadProfile(folder / "profile", server_id, signature_size=2 * key.curve.size)
            on_failure.callback(self.profile.close)
            self.log = LogBook(folder)
            on_failure.callback(self.log.close)
            self.firmware = Firmware(
                folder, variant.device_class, download_key=download_key, consent_needed=True, report=self.report
            )
            on_failure.callback(self.firmware.close)
            self._resume(outage_s)
            self.server = SmlServer(BusService(self))
            bus.attach(self)
            on_failure.pop_all()
        self.announce()

    # --- time passes -----------------------------------------------------------------------

    def tick(self, powers: PhasePowers) -> SignedTuple:
        """Measure one second, store it, then broadcast its signed tuple. Returns the tuple."""
        if len(powers) != 1:
            raise LocalError(f"a tick is one second, not {len(powers)}: use advance")
        self._measure(powers)
        self._save()
        assert self.current is not None
        signed = self.sign(self.current)
        self.bus.send(tuple_file(self, signed), self.server_id, Group.TUPLES)
        if (self.seconds_index + self.server_id[-1]) % ANNOUNCE_EVERY_S == 0:
            self.announce()
        return signed

    def tick_signals(self, signals: Phasors) -> SignedTuple:
        """`tick` for voltages and currents with harmonics: reactive energy as this module is set to."""
        return self.tick(signals.powers(self.reactive))

    def advance_signals(self, signals: Phasors) -> None:
        """`advance` for voltages and currents with harmonics."""
        self.advance(signals.powers(self.reactive))

    def advance(self, powers: PhasePowers) -> None:
        """Measure n seconds at once: registers and signed profile rows, no broadcasts.

        State is stored after each block; after a kill in between the module goes on behind the
        last row it stored.
        """
        for block in powers.blocks(BLOCK_S):
            self._measure(block)
            self._save()
        self.announce()

    def _measure(self, powers: PhasePowers) -> None:
        if not self.powered:
            raise LocalError(f"base module {self.server_id} has no supply: restore its power first")
        if not self._has_neutral:
            powers = without_neutral(powers)
        if self.errors is not None:
            powers = self.errors.distort(powers)
        n, first = len(powers), self.seconds_index + 1
        if first + n > SECONDS_INDEX_MAX:
            raise LocalError("the seconds index has run out after 136 years: start a new module")
        if not n:
            return
        energies = fold(powers.p_sum_w, powers.q_sum_var, Mode.FOUR_QUADRANT, self.variant.start_power_w, self._fold)
        after = self.registers.after_each_second(energies, range_mws=REGISTER_RANGE_MWS)
        for second in self._seconds_to_keep(first, n):
            registers = Registers(**{name: int(values[second]) for name, values in after.items()})
            status = measured_status(
                powers, second, above_start=bool(energies.active[second]),
                export=bool(energies.net_mws[second] < 0), voltage_v=self.variant.voltage_v,
            )  # fmt: skip
            self._keep(Reading.of(registers, first + second, status | self._event_status(first + second)))
        self.registers = registers
        self.seconds_index = SecondsIndex(first + n - 1)
        self.last_powers = powers[n - 1 :]
        self._fold = energies.after
        self._blink("active", energies.import_mws + energies.export_mws)
        self._blink("reactive", energies.r1_mvars + energies.r2_mvars + energies.r3_mvars + energies.r4_mvars)
        if self.firmware.poll(self.seconds_index):
            self.latch(STATUS_FIRMWARE_CHANGED)

    def _blink(self, kind: str, energy_mws: NDArray[np.int64]) -> None:
        self.led[kind], pulses = self.led[kind].feed(energy_mws)
        self.led_pulses[kind] = int(pulses.sum())

    def _seconds_to_keep(self, first: int, n: int) -> list[int]:
        """Seconds of a block whose readings matter: period boundaries, special moments, the last."""
        seconds = {n - 1, *range((self.period_phase - first) % self.period_s, n, self.period_s)}
        if self._sync_taken or self._restored is not None:
            seconds.add(0)
        return sorted(seconds)

    @property
    def _has_neutral(self) -> bool:
        return self.neutral_connected and not self.three_wire

    def _event_status(self, index: int) -> int:
        status = self._latched | (0 if self._has_neutral else STATUS_NEUTRAL_MISSING)
        status |= STATUS_SOI if index % self.period_s == self.period_phase else 0
        status |= STATUS_SYNC_TAKEN if self._sync_taken else 0
        return status | (STATUS_SYNCHRONOUS if self.synchronous else STATUS_TIME_UNCERTAIN)

    def _keep(self, reading: Reading) -> None:
        """Take note of a reading; a period boundary goes into the profile, then latched bits clear."""
        if self.current is not None:
            self._report_changes(self.current.status, reading)
        self.current = reading
        if self._sync_taken:
            self.special[names.TUPLE_LAST_SYNC] = reading
            self._sync_taken = False
        if self._restored is not None:
            self.special[self._restored] = reading
            self._restored = None
        if not reading.status & STATUS_SOI:
            return
        pushed_out = self.profile.append(self.sign(reading))
        self._latched = 0
        if pushed_out is not None and pushed_out > self.read_up_to:
            self._latched = STATUS_ROW_LOST
            self.report(Event.ROW_LOST, f"#{pushed_out}", reading.index)
        if self._synchronous_after_soi:
            self.synchronous, self._synchronous_after_soi = True, False

    def _report_changes(self, before: int, reading: Reading) -> None:
        after, changed = reading.status, before ^ reading.status
        if changed & STATUS_NEUTRAL_MISSING:
            event = Event.NEUTRAL_LOST if after & STATUS_NEUTRAL_MISSING else Event.NEUTRAL_RETURNED
            self.report(event, index=reading.index)
        for phase in range(3):
            bit = STATUS_VOLTAGE_L1 << phase
            if changed & bit:
                event = Event.VOLTAGE_RETURNED if after & bit else Event.VOLTAGE_LOST
                self.report(event, f"L{phase + 1}", reading.index)

    # --- what it can prove -----------------------------------------------------------------

    def sign(self, reading: Reading) -> SignedTuple:
        """The signed tuple of a reading: always the same bytes, for nonces are deterministic."""
        signed = self._signed.get(reading)
        if signed is None:
            values = {name: getattr(reading, name) for name in _READING_FIELDS}
            signed = SignedTuple.sign(self.key, server_id=self.server_id, scaler=SCALER, **values)
            while len(self._signed) >= SIGNED_KEPT:
                del self._signed[next(iter(self._signed))]
            self._signed[reading] = signed
        return signed

    @property
    def remaining_period_s(self) -> int:
        """Seconds until the next period boundary is measured, 1 … `period_s`."""
        return (self.period_phase - self.seconds_index - 1) % self.period_s + 1

    # --- synchronisation -------------------------------------------------------------------

    def synchronise(self, period_phase: int) -> None:
        """Move the period boundary; the seconds index itself never changes.

        Near the old boundary this is an adjustment. Farther away the running period comes out
        shorter: its row says that it is not synchronous, and the next one is.
        """
        moved = (period_phase - self.period_phase) % self.period_s
        adjusted = self.synchronous and min(moved, self.period_s - moved) <= SYNC_TOLERANCE_S
        self.period_phase = period_phase % self.period_s
        self.synchronous, self._synchronous_after_soi = adjusted, not adjusted
        self._sync_taken = True
        self.report(Event.SYNCHRONISED, f"phase {self.period_phase} s, {'adjusted' if adjusted else 'shortened'}")
        self._save(durable=True)

    def synchronise_now(self) -> None:
        """A token says: this second is a boundary. The next tuple starts an interval."""
        self.synchronise((self.seconds_index + 1) % self.period_s)

    def set_period(self, period_s: int) -> None:
        """Keep a load profile of another period, which divides the hour; rows kept so far stay."""
        self.period_s, self.period_phase = period_s, self.period_phase % period_s
        self.latch(STATUS_PARAMETER_CHANGED)
        self.report(Event.PARAMETER_CHANGED, f"period {period_s} s")
        self._save(durable=True)

    def set_reactive(self, method: Reactive) -> None:
        """Count reactive energy by another definition from now on; a parameter change is reported."""
        self.reactive = method
        self.latch(STATUS_PARAMETER_CHANGED)
        self.report(Event.PARAMETER_CHANGED, f"reactive energy {method.name.lower()}")
        self._save(durable=True)

    def set_ratios(self, ct_ratio: int, vt_ratio: int) -> None:
        """Take other instrument transformers into account; a parameter change is reported."""
        self.ct_ratio, self.vt_ratio = ct_ratio, vt_ratio
        self.latch(STATUS_PARAMETER_CHANGED)
        self.report(Event.PARAMETER_CHANGED, f"CT {ct_ratio}:1, VT {vt_ratio}:1")
        self._save(durable=True)

    def report(self, event: Event, details: str = "", index: int | None = None) -> None:
        """Write an event of this second into the log; a log that loses entries is reported in the status."""
        self.log.add(event, self.seconds_index if index is None else index, details=details)
        if self.log.overflowed:
            self.log.overflowed = False
            self.latch(STATUS_LOG_OVERFLOW)

    def latch(self, bits: int) -> None:
        """Set event bits of the status word; they stand until the next period boundary is stored."""
        self._latched |= bits

    # --- supply ----------------------------------------------------------------------------

    def cut_power(self) -> None:
        """Take the supply away: the module leaves the bus, its backup clock counts on."""
        self.powered = False
        self.report(Event.POWER_FAILED)
        self.bus.detach(self)
        self._save(durable=True)

    def restore_power(self, outage_s: int | None) -> None:
        """Bring the supply back after `outage_s` seconds (None: nobody knows how long)."""
        self._power_returns(outage_s)
        self.powered = True
        self.bus.attach(self)
        self.announce()

    def _power_returns(self, outage_s: int | None) -> None:
        if outage_s == 0:
            return
        if self.current is not None:
            self.special[names.TUPLE_BEFORE_OUTAGE] = self.current
        self._latched |= STATUS_POWER_RESTORED
        if outage_s is not None and 0 < outage_s <= RESERVE_S:
            self.seconds_index = SecondsIndex(self.seconds_index + outage_s)
            self._restored = names.TUPLE_POWER_RESTORED
        else:
            self._latched |= STATUS_EPOCH_CHANGED
            self.synchronous = self._synchronous_after_soi = False
            self._restored = names.TUPLE_RESERVE_EXHAUSTED
            self.report(Event.RESERVE_EXHAUSTED)
        self.report(Event.POWER_RETURNED, f"after {outage_s} s" if outage_s is not None else "after unknown time")
        self._save(durable=True)

    # --- bus -------------------------------------------------------------------------------

    def announce(self) -> None:
        """Tell the bus who is here: plug and play."""
        self.bus.send(
            announcement(self.server_id, self.seconds_index, base_module_identification(self)),
            self.server_id,
            Group.TUPLES,
        )

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        """Answer a request to this module; take what went to everybody in silence."""
        answer = self.server.receive(frame, broadcast=group is not None)
        if answer:
            self.bus.send(answer, self.server_id, sender)

    def close(self) -> None:
        """Leave the bus and let go of the files."""
        self.bus.detach(self)
        self._state.close()
        self.profile.close()
        self.firmware.close()
        self.log.close()

    # --- memory ----------------------------------------------------------------------------

    def _save(self, *, durable: bool = False) -> None:
        due = self.seconds_index - self._durable_at >= DURABLE_EVERY_S
        if due or durable:
            self._durable_at = self.seconds_index
        self._state.save(
            {
                "index": self.seconds_index,
                "reserved": self._durable_at + INDEX_RESERVE_S,
                "registers": astuple(self.registers),
                "fold": astuple(self._fold),
                "ratios": [self.ct_ratio, self.vt_ratio],
                "reactive": int(self.reactive),
                "period": [self.period_s, self.period_phase],
                "synchronous": [self.synchronous, self._synchronous_after_soi, self._sync_taken],
                "latched": self._latched,
                "led": [self.led["active"].remainder, self.led["reactive"].remainder],
                "restored": self._restored.hex() if self._restored else None,
                "read_up_to": self.read_up_to,
                "current": astuple(self.current) if self.current else None,
                "special": {name.hex(): astuple(reading) for name, reading in self.special.items()},
            },
            durable=due or durable,
        )

    def _resume(self, outage_s: int | None) -> None:
        state = self._state.load()
        if state is not None:
            with self._state.understood():
                self._restore(state)
            if outage_s is None:
                self.seconds_index = SecondsIndex(max(self.seconds_index, state["reserved"]))
        self._catch_up_with_profile()
        if state is not None:
            self._power_returns(outage_s)
        self._save(durable=True)

    def _restore(self, state: dict[str, Any]) -> None:
        self.seconds_index = SecondsIndex(state["index"])
        self.registers = Registers(*state["registers"])
        self._fold = FoldState(*state["fold"])
        self.period_s, self.period_phase = state["period"]
        self.ct_ratio, self.vt_ratio = state["ratios"]
        self.reactive = Reactive(state.get("reactive", Reactive.FUNDAMENTAL))
        self.synchronous, self._synchronous_after_soi, self._sync_taken = state["synchronous"]
        for kind, remainder in zip(self.led, state["led"], strict=True):
            self.led[kind] = PulseOutput(self.variant.led_imp_per_kwh, remainder)
        self._latched, self.read_up_to = state["latched"], state["read_up_to"]
        self._restored = bytes.fromhex(state["restored"]) if state["restored"] else None
        self.current = _reading(state["current"]) if state["current"] else None
        self.special = {bytes.fromhex(name): _reading(values) for name, values in state["special"].items()}

    def _catch_up_with_profile(self) -> None:
        """A kill between storing a row and storing the state leaves a row that is ahead: believe it.

        Its index is used up, and no register may fall behind it.
        """
        newest = self.profile.last_index
        if newest is None or newest <= self.seconds_index:
            return
        (row,) = self.profile.rows(newest)
        ahead = (row.import_wh, row.export_wh, row.r1_varh, row.r2_varh, row.r3_varh, row.r4_varh)
        self.registers = Registers(
            *(max(own, seen * MWS_PER_WH_TENTH) for own, seen in zip(astuple(self.registers), ahead, strict=True))
        )
        self.seconds_index = newest


def _reading(values: list[int]) -> Reading:
    return Reading(**dict(zip(_READING_FIELDS, values, strict=True)))  # type: ignore[arg-type]
