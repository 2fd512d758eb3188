"""The E320: three phases in, registers, display and a telegram each second out."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import ceil
from typing import Final

import numpy as np

from ..errors import StoreDamaged
from ..identity import ServerId
from ..metrology import Energies, Mode, PhasePowers, PulseOutput, Registers, fold
from ..metrology.accuracy import ErrorModel
from ..metrology.power import NOMINAL_VOLTAGE_V, BoolArray, FloatArray
from ..metrology.registers import REGISTER_RANGE_MWS
from ..metrology.threshold import hysteresis
from ..seconds_index import SECONDS_INDEX_MAX, SecondsIndex
from .button import THRESHOLD_LX, OpticalButton, Press, Pressed, lit_by_bytes
from .display import DISK_BARS, START_UP_S, DisplayState
from .error_register import AREA_ERRORS, CRITICAL, Error, is_critical
from .face import show
from .history import DAY_S, PERIOD_DAYS, History
from .info import InfoPush, Phases, info_telegram, register_names, status_word
from .keys import CLOSED_S, KeyStore
from .lmn_status import LmnStatus
from .menu import Action, Menu, Rules
from .nonvolatile import Memory
from .state import RECORD_SIZE, Moment, State
from .variant import FirmwareParameters, UserSettings, Variant

PHASE_ON_V: Final = 0.8 * NOMINAL_VOLTAGE_V
"""A phase's symbol and status bit come on."""
PHASE_OFF_V: Final = 0.6 * NOMINAL_VOLTAGE_V
"""... and go off again."""
SUPPLY_V: Final = 0.5 * NOMINAL_VOLTAGE_V
"""One phase at this voltage keeps the electronics running."""
LIGHT_PLAN: Final = 256
"""Changes of light that may lie ahead; even a flood of bytes into the optical interface ends here."""
START_MARGIN: Final = 0.95
"""Share of the nominal start-up power from which it counts: a specimen that reads low must start too."""
BLOCK_S: Final = DAY_S
"""Seconds folded at once when time is fast-forwarded."""


class E320:
    """One base meter. Time passes only by `tick` and `advance`; nothing here knows a calendar.

    A new object is a meter whose mains have just come: it goes on from what `memory` holds and
    runs its start-up sequence, pushing nothing until that is over. While no phase carries
    voltage the meter is off and its seconds index stands still.
    """

    def __init__(
        self,
        *,
        server_id: ServerId,
        variant: Variant,
        memory: Memory,
        parameters: FirmwareParameters = FirmwareParameters(),  # noqa: B008 (frozen)
        settings: UserSettings | None = None,
        errors: ErrorModel | None = None,
        keys: KeyStore | None = None,
    ) -> None:
        """`settings`: user settings of a meter that starts for the first time; later ones are remembered.

        `keys`: likewise, the key store of delivery. `errors`: how this specimen errs; None measures
        perfectly. Raises StoreDamaged when memory holds no trustworthy state.
        """
        self.server_id: Final = server_id
        self.variant: Final = variant
        self.parameters: Final = parameters
        self.errors: Final = errors
        self._memory = memory
        self._names = register_names(variant.mode)
        self._plugged = True
        self._state = State(settings=settings or UserSettings(pin_on=parameters.pin_protection))
        self._history = History()
        self.keys = keys or KeyStore()
        """Keys and certificates for the wired interface; `save_keys` after changing them."""
        self._boot()
        if keys is not None and self._first_start:
            self.save_keys()

    # --- time ------------------------------------------------------------------------------

    def tick(self, powers: PhasePowers) -> bytes | None:
        """One second. Returns the framed INFO telegram, or None while starting up or without mains.

        Registers and index are in non-volatile memory before the telegram is returned; should
        memory refuse to be written, F.F. says so and nothing is sent.
        """
        if len(powers) != 1:
            raise ValueError(f"a tick is one second, not {len(powers)}")
        return self.leap(powers)

    def leap(self, powers: PhasePowers) -> bytes | None:
        """n seconds at once, saved once; returns the telegram of the last one as `tick` would."""
        if not len(powers):
            return None  # the last second has been told already
        for block in powers.blocks(BLOCK_S):
            self._run(block)
        if not self._save() or not self._on or self._now.uptime_s < START_UP_S:
            return None
        if self._state.error_register & Error.SECONDS_INDEX:
            return None
        return info_telegram(self.info_push())

    def advance(self, powers: PhasePowers) -> None:
        """n seconds at once: the same state as n ticks, without telegrams, saved at the end."""
        for block in powers.blocks(BLOCK_S):
            self._run(block)
        self._save(force=True)

    def cut_power(self) -> None:
        """Pull the plug: the power-fail interrupt saves, and the display goes dark."""
        self._plugged = False
        self._power_down()

    def restore_power(self) -> None:
        """Mains are back (as far as the phases carry voltage): the start-up sequence begins."""
        self._plugged = True
        if not self._on:
            self._boot()

    def crash(self) -> None:
        """The processor resets: what was not saved is lost, and the start-up sequence begins."""
        if self._on:
            self._boot()

    def damage_memory(self, area: str, copy: int) -> None:
        """Turn over a byte of one copy (0, 1) of a memory area; found at the next start."""
        self._memory.damage(area, copy)

    def close(self) -> None:
        """Power down in an orderly way and let go of the memory."""
        self._power_down()
        self._memory.close()

    # --- what can be read ------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """The electronics have supply."""
        return self._on

    @property
    def uptime_s(self) -> int:
        """Whole seconds since mains came."""
        return self._now.uptime_s

    @property
    def seconds_index(self) -> SecondsIndex:
        return SecondsIndex(self._state.seconds_index)

    @property
    def push_counter(self) -> int:
        """File counter of the last push."""
        return self._state.push_counter

    @property
    def registers(self) -> Registers:
        return self._state.registers

    @property
    def settings(self) -> UserSettings:
        return self._state.settings

    @property
    def error_register(self) -> int:
        """F.F."""
        return self._state.error_register

    @property
    def power_w(self) -> int:
        """Net active power of the last second, + = import, truncated toward zero."""
        return int(self._now.net_mws / 1000)

    @property
    def phase_power_w(self) -> tuple[float, float, float]:
        """Active power of each phase in the last second."""
        return self._now.phase_power_w

    @property
    def voltage_present(self) -> Phases:
        """Phases whose voltage symbol is lit."""
        return self._now.voltage_present

    @property
    def pulses(self) -> int:
        """Pulses of the metrological LED in the last second."""
        return self._now.pulses

    @property
    def pulse_total(self) -> int:
        """Pulses of the metrological LED since mains came."""
        return self._now.pulse_total

    @property
    def counting(self) -> bool:
        """Summed power is above start-up: direction symbol and disk are on, the LED pulses."""
        return self._state.fold.active

    @property
    def exporting(self) -> bool:
        """Energy direction of the sum is -A."""
        return self._now.net_mws < 0

    @property
    def disk(self) -> int:
        """Bar of the rotating disk, 0 … 3 from the left."""
        return self._state.disk

    @property
    def energy_since_reset(self) -> tuple[int, int]:
        """E: +A and -A since the customer's last reset. [mWs]"""
        return self._since(self._state.reset_marks, self._directed_registers())

    @property
    def menu(self) -> Menu:
        """Where the user is; to be read, not changed."""
        return self._menu

    @property
    def history(self) -> History:
        return self._history

    @property
    def status_word(self) -> int:
        """The 32 status bits as pushed."""
        floor_w = self.variant.start_power_w / 3
        l1, l2, l3 = (power_w <= -floor_w for power_w in self._now.phase_power_w)
        return status_word(
            above_start_up=self._state.fold.active,
            sum_exports=self._state.fold.active and self._now.net_mws < 0,
            phase_exports=(l1, l2, l3),
            field_reversed=self._now.field_reversed,
            return_stop=self._now.return_stop,
            fatal_error=is_critical(self._state.error_register),
            voltage_present=self._now.voltage_present,
        )

    def info_push(self) -> InfoPush:
        """What the INFO interface says in this second."""
        return InfoPush(
            server_id=self.server_id,
            seconds_index=self.seconds_index,
            push_counter=self._state.push_counter,
            status_word=self.status_word,
            registers=self._state.registers,
            names=self._names if self.parameters.info_reactive else self._names[:2],
            extended=self._state.settings.extended,
            power_w=self.power_w if self.parameters.active_power_shown else None,
        )

    # --- commands --------------------------------------------------------------------------

    def light(self, lux: float, after_s: float = 0.0) -> None:
        """The light on the optical interface becomes `lux`, `after_s` seconds after the last whole second.

        It may lie ahead: the change takes effect when the meter's time gets there. Light during
        the start-up sequence is ignored, and so is more than LIGHT_PLAN changes ahead.
        """
        if self._on and len(self._light_plan) < LIGHT_PLAN:
            latest_s = self._light_plan[-1][0] if self._light_plan else 0.0
            self._light_plan.append((max(self._now.uptime_s + after_s, latest_s), lux))

    def light_free_after_s(self, after_s: float = 0.0) -> float:
        """When light that is to come can end and other light begin: `after_s`, or behind what is planned."""
        return max(after_s, self._light_plan[-1][0] - self._now.uptime_s) if self._light_plan else after_s

    def light_by_bytes(self, octets: bytes, after_s: float = 0.0, baud: int = 9600) -> None:
        """An infrared head transmits these bytes onto the optical interface, behind what it still sends."""
        lit_s = lit_by_bytes(octets, baud)
        if lit_s and len(self._light_plan) + 2 <= LIGHT_PLAN:  # on and off together, or the light would stay on
            begin_s = self.light_free_after_s(after_s)
            self.light(THRESHOLD_LX, begin_s)
            self.light(0.0, begin_s + lit_s)

    def press(self, press: Press, after_s: float = 0.0) -> None:
        """A press of the optical button that takes effect at once."""
        at_s = self._now.uptime_s + after_s
        if self._on and at_s >= START_UP_S:
            self._pass_time(at_s)
            self._press([Pressed(at_s, press)])

    def clear_energy(self) -> None:
        """Reset E, the energy since the last reset."""
        self._state.reset_marks = self._directed_registers()
        self._save()

    def clear_history(self) -> None:
        """Forget all past days; a new one begins now."""
        if not self._state.secured:
            self._begin_history()
            self._save()

    def change_settings(self, settings: UserSettings) -> None:
        """Set the user's data-protection settings, as the menu does."""
        self._state.settings = settings
        self._save()

    def raise_error(self, error: Error) -> None:
        """Set bits of F.F."""
        self._state.error_register |= error
        self._save()

    def heal_error(self, error: Error) -> None:
        """Communication is back: clear such bits. Critical bits stay."""
        self._state.error_register &= ~(error & ~CRITICAL)
        self._save()

    def reset_errors(self) -> None:
        """The reset command that clears critical errors."""
        self._state.error_register &= ~CRITICAL
        self._save()

    def save_keys(self) -> None:
        """Write the key store. Raises OSError when memory refuses: nothing may rest on unsaved keys."""
        self._memory.save({"keys": self.keys.to_bytes()}, force=True)

    def enter_secured_operation(self) -> None:
        """A gateway reads the meter over TLS from now on: history is frozen and no longer shown."""
        self._state.secured = True
        self._save(force=True)

    @property
    def secured_operation(self) -> bool:
        """The state "operation in a secured SMGw environment", which survives power cuts."""
        return self._state.secured

    def crypto_reset(self, *, over_tls: bool) -> bool:
        """Reset the cryptographic parameters to delivery; False where the conditions are not met.

        Over TLS it is always allowed. In plain text no secured channel may be open, and the last
        one, or power-up, must be CLOSED_S back.
        """
        quiet_s = self._now.uptime_s - self.lmn.closed_s
        if not self._on or (not over_tls and (self.lmn.secured or quiet_s < CLOSED_S)):
            return False
        self.keys.reset()
        self.save_keys()
        self.lmn.close_secured(self._now.uptime_s)
        if self._state.secured:
            self._state.secured = False
            self._begin_history()
        self._save(force=True)
        return True

    # --- display ---------------------------------------------------------------------------

    def display_state(self, after_s: float = 0.0) -> DisplayState:
        """What the display shows `after_s` seconds after the last whole second, 0 ≤ after_s < 1."""
        if self._on:
            self._pass_time(self._now.uptime_s + after_s)
        return show(self, after_s)

    # --- inside ----------------------------------------------------------------------------

    def _boot(self) -> None:
        loaded = self._memory.load()
        self._on = True
        self._now = Moment()
        self._history_changed = False
        self._button = OpticalButton()
        self._light_plan: deque[tuple[float, float]] = deque()
        self._menu = Menu()
        self.lmn = LmnStatus()
        """State of the wired interface, told by whoever speaks on it."""
        if "state" in loaded.lost:
            raise StoreDamaged(
                f"no copy of the registers of {self.server_id} passes its checksum; restore a snapshot, or give"
                " another folder to begin as a new meter"
            )
        self._first_start = "state" not in loaded.areas
        if "keys" in loaded.areas:
            self.keys = KeyStore.from_bytes(loaded.areas["keys"])
        elif "keys" in loaded.lost:
            self.keys = KeyStore()
        if not self._first_start:
            self._recall(loaded.areas, loaded.sequence)
            skipped = 0 if self._state.orderly else self._memory.reserve_s
            self._state.seconds_index += 1 + skipped
            if not self.parameters.keep_settings:
                self._state.settings = UserSettings(pin_on=self.parameters.pin_protection, extended=False)
        if "history" in loaded.lost:
            self._begin_history()
        for copy in loaded.damaged:
            self._state.error_register |= AREA_ERRORS[copy.split()[0]]
        self._state.orderly = False
        self._save()

    def _recall(self, areas: dict[str, bytes], sequence: dict[str, int]) -> None:
        """Take the newest state; the history area carries the state of the moment it was written."""
        state, history = areas["state"], areas.get("history")
        if history is not None:
            self._history = History.from_bytes(history[RECORD_SIZE:])
            if sequence["history"] > sequence["state"]:
                state = history[:RECORD_SIZE]
        self._state = State.from_bytes(state)

    def _adopt(self, memory: Memory) -> None:
        """Keep the present state in another memory from now on."""
        memory.load()  # its save numbers go on from what it holds
        self._memory = memory
        record = self._state.to_bytes()
        areas = {"state": record, "history": record + self._history.to_bytes(), "keys": self.keys.to_bytes()}
        self._memory.save(areas, force=True)

    def _power_down(self) -> None:
        if self._on:
            self._state.orderly = True
            self._save(force=True)
            self._on = False

    def _save(self, *, force: bool = False) -> bool:
        """Write what must survive; True when it is written."""
        if not self._on:
            return True
        record = self._state.to_bytes()
        areas = {"state": record}
        if self._history_changed:
            areas["history"] = record + self._history.to_bytes()
        try:
            self._memory.save(areas, force=force)
        except OSError:
            self._state.error_register |= Error.MEMORY_WRITE
            return False
        self._history_changed = False
        return True

    def _run(self, powers: PhasePowers) -> None:
        """Let these seconds pass, with and without supply."""
        supplied: BoolArray = np.max(powers.u_v, axis=1) >= (SUPPLY_V if self._plugged else np.inf)
        edges = (np.flatnonzero(np.diff(supplied)) + 1).tolist()
        for start, end in zip([0, *edges], [*edges, len(powers)], strict=True):
            if start == end:
                continue
            if not supplied[start]:
                self._power_down()
                continue
            if not self._on:
                self._boot()
            self._live(powers[start:end])

    def _live(self, powers: PhasePowers) -> None:
        """Seconds with supply, cut where the button acts so that its action falls into its second."""
        while (edge_s := self._next_touch_s) is not None:
            cut = max(1, ceil(edge_s) - self._now.uptime_s)
            if cut >= len(powers):
                break
            self._measure(powers[:cut])
            powers = powers[cut:]
        self._measure(powers)

    @property
    def _next_touch_s(self) -> float | None:
        """When light changes or a held button acts next."""
        deadline_s = self._button.next_deadline_s
        if not self._light_plan:
            return deadline_s
        light_s = self._light_plan[0][0]
        return light_s if deadline_s is None else min(light_s, deadline_s)

    def _pass_time(self, until_s: float) -> None:
        """Let light fall as planned, and the button and the menu know how late it is."""
        while self._light_plan and self._light_plan[0][0] <= until_s:
            at_s, lux = self._light_plan.popleft()
            if at_s >= START_UP_S:
                self._press(self._button.light(lux, at_s))
                if self._button.lit:
                    self._menu.touch(at_s)
        self._press(self._button.pass_time(until_s))
        deadline_s = self._menu.next_deadline_s
        if deadline_s is not None and deadline_s <= until_s:
            self._menu.pass_time(until_s, self._rules())

    def _press(self, presses: list[Pressed]) -> None:
        for pressed in presses:
            match self._menu.press(pressed.press, pressed.at_s, self._rules()):
                case Action.CLEAR_ENERGY:
                    self.clear_energy()
                case Action.CLEAR_HISTORY:
                    self.clear_history()
                case Action.TOGGLE_DATA_SET:
                    self.change_settings(replace(self.settings, extended=not self.settings.extended))
                case Action.TOGGLE_PIN:
                    self.change_settings(replace(self.settings, pin_on=not self.settings.pin_on))

    def _measure(self, powers: PhasePowers) -> None:
        """Seconds with supply: count, keep history, pulse, and note what the last one looked like."""
        state, n = self._state, len(powers)
        if self.errors is not None:
            powers = self.errors.distort(powers)
        start_power_w = START_MARGIN * self.variant.start_power_w
        energies = fold(powers.p_sum_w, powers.q_sum_var, self.variant.mode, start_power_w, state.fold)
        self._close_days(energies, n)
        state.registers = state.registers.add(energies)
        state.fold = energies.after
        self._turn_disk(energies)
        self._count_seconds(n)
        self._now.net_mws = int(energies.net_mws[-1])
        self._now.return_stop = bool(energies.return_stop[-1])
        l1, l2, l3 = powers.p_w[-1].tolist()
        self._now.phase_power_w = (l1, l2, l3)
        self._now.field_reversed = powers.field_reversed is not None and bool(powers.field_reversed[-1])
        u1, u2, u3 = (
            self._voltage_stands(powers.u_v[:, phase], before) for phase, before in enumerate(self._now.voltage_present)
        )
        self._now.voltage_present = (u1, u2, u3)
        self._pass_time(self._now.uptime_s)

    @staticmethod
    def _voltage_stands(u_v: FloatArray, before: bool) -> bool:
        """Whether a phase's symbol is lit after these seconds; the last one mostly decides alone."""
        if not PHASE_OFF_V <= u_v[-1] < PHASE_ON_V:
            return bool(u_v[-1] >= PHASE_ON_V)
        return bool(hysteresis(u_v, PHASE_ON_V, PHASE_OFF_V, before)[-1])

    def _count_seconds(self, n: int) -> None:
        state, before_s = self._state, self._now.uptime_s
        self._now.uptime_s += n
        state.seconds_index += n
        if state.seconds_index > SECONDS_INDEX_MAX:  # after 136 years of operation
            state.seconds_index = SECONDS_INDEX_MAX
            state.error_register |= Error.SECONDS_INDEX
        pushes = max(0, self._now.uptime_s - max(before_s, START_UP_S - 1))
        state.push_counter = (state.push_counter + pushes) & 0xFFFF_FFFF

    def _turn_disk(self, energies: Energies) -> None:
        """One step of the disk a pulse of the metrological LED."""
        if self.parameters.led_reactive and self.variant.mode.has_reactive:
            energy = energies.r1_mvars + energies.r2_mvars + energies.r3_mvars + energies.r4_mvars
        else:
            energy = energies.import_mws + energies.export_mws
        output, pulses = PulseOutput(self.variant.rating.pulses_per_kwh, self._state.pulse_remainder).feed(energy)
        self._state.pulse_remainder = output.remainder
        total = int(pulses.sum())
        self._now.pulse_total += total
        self._state.disk = (self._state.disk + total) % DISK_BARS
        self._now.pulses = int(pulses[-1])

    def _close_days(self, energies: Energies, n: int) -> None:
        """Put every day of history that ends within these seconds into the ring."""
        state = self._state
        if state.secured:
            return
        first = DAY_S - (state.seconds_index - state.anchor) % DAY_S
        if first > n:
            return
        running = state.registers.after_each_second(energies)
        for second in range(first - 1, n, DAY_S):
            marks = int(running["import_mws"][second]), int(running["export_mws"][second])
            self._history.close_day(*self._since(state.day_marks, marks))
            state.day_marks = marks
        self._history_changed = True

    def _rules(self) -> Rules:
        """What the menu may offer at this moment."""
        parameters, mode = self.parameters, self.variant.mode
        return Rules(
            pin=parameters.pin,
            ask_pin=parameters.pin_protection and self._state.settings.pin_on,
            pin_setting=parameters.pin_protection,
            power=parameters.active_power_shown,
            history=not self._state.secured,
            directions=2 if mode.has_import and mode.has_export else 1,
            periods={days: self._history.periods(days) for days in PERIOD_DAYS},
        )

    def _begin_history(self) -> None:
        self._history.clear()
        self._state.anchor = self._state.seconds_index
        self._state.day_marks = self._directed_registers()
        self._history_changed = True

    def _directed_registers(self) -> tuple[int, int]:
        return self._state.registers.import_mws, self._state.registers.export_mws

    def _since(self, before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
        """Energy between two readings of +A and -A, across a wrap; a balanced -A may come out negative."""
        imported, exported = ((b - a) % REGISTER_RANGE_MWS for a, b in zip(before, after, strict=True))
        if self.variant.mode is Mode.BALANCED_EXPORT and exported > REGISTER_RANGE_MWS // 2:
            exported -= REGISTER_RANGE_MWS
        return imported, exported
