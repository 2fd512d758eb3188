"""A meter's life at random: loads, power cuts, crashes, damage, presses, snapshots; what must always hold."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from messwerk import sml
from messwerk.e320 import E320, FirmwareParameters, RamMemory, UserSettings, Variant, restore, snapshot
from messwerk.e320.button import Press
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers
from messwerk.metrology.registers import REGISTER_RANGE_MWS
from messwerk.panels import lcd

watts = st.integers(-20_000, 20_000)


class MeterLife(RuleBasedStateMachine):
    """Energies are added up beside the meter in plain integers; nothing may ever disagree."""

    @initialize(mode=st.sampled_from(Mode), keep=st.booleans())
    def begin(self, mode: Mode, keep: bool) -> None:
        self.mode, self.memory = mode, RamMemory()
        self.parameters = FirmwareParameters(pin="0000", keep_settings=keep)
        self.meter = self.make()
        self.imported = self.exported = 0
        self.last_index, self.last_sent, self.last_push = -1, -1, 0
        self.active = False

    def make(self) -> E320:
        return E320(
            server_id=ServerId.parse("1LGZ0063539421"),
            variant=Variant(mode=self.mode),
            memory=self.memory,
            parameters=self.parameters,
            settings=UserSettings(pin_on=False, extended=True),
        )

    def expect(self, seconds: int, p_w: tuple[int, int, int], supplied: bool) -> None:
        """The measurement rules again, second by second, without arrays."""
        total = sum(p_w) * 1000
        if not supplied:
            return
        if abs(total) >= 16_387:  # 95 % of 17.25 W
            self.active = True
        elif abs(total) < 13_110:  # 80 % of that
            self.active = False
        if not self.active:
            return
        energy = total * seconds
        if self.mode is Mode.BALANCED_EXPORT:
            self.exported -= energy
        elif energy > 0 and self.mode.has_import:
            self.imported += energy
        elif energy < 0 and self.mode.has_export:
            self.exported -= energy

    @rule(p_w=st.tuples(watts, watts, watts), seconds=st.integers(1, 4), u_v=st.sampled_from([230.0, 100.0]))
    def seconds_pass(self, p_w: tuple[int, int, int], seconds: int, u_v: float) -> None:
        supplied = u_v > 115 and self.meter._plugged
        l1, l2, l3 = map(float, p_w)
        second = PhasePowers.constant(1, (l1, l2, l3), u_v=(u_v, u_v, u_v))
        for _ in range(seconds):
            self.expect(1, p_w, supplied)
            self.check_telegram(self.meter.tick(second))

    @rule(p_w=st.tuples(watts, watts, watts), seconds=st.sampled_from([1, 30, 5000, 100_000]))
    def time_flies(self, p_w: tuple[int, int, int], seconds: int) -> None:
        self.expect(seconds, p_w, self.meter._plugged)
        l1, l2, l3 = map(float, p_w)
        self.meter.advance(PhasePowers.constant(seconds, (l1, l2, l3)))

    @rule(cut=st.booleans())
    def mains(self, cut: bool) -> None:
        if cut:
            self.meter.cut_power()
        else:
            self.meter.restore_power()

    # While it is off nothing repairs a copy, and a second one damaged then is beyond any memory.
    @precondition(lambda self: self.meter.on)
    @rule(area=st.sampled_from(["state", "history"]), copy=st.integers(0, 1))
    def memory_ages(self, area: str, copy: int) -> None:
        self.meter.damage_memory(area, copy)
        self.meter.crash()

    @rule()
    def process_dies(self) -> None:
        plugged = self.meter._plugged
        self.meter = self.make()
        if not plugged:
            self.meter.cut_power()

    @rule()
    def moves_through_a_file(self) -> None:
        self.memory = RamMemory()
        self.meter = restore(snapshot(self.meter), self.memory)

    @rule(press=st.sampled_from(Press), after_s=st.floats(0, 0.9))
    def user_presses(self, press: Press, after_s: float) -> None:
        self.meter.press(press, after_s)

    def check_telegram(self, telegram: bytes | None) -> None:
        if telegram is None:
            return
        (frame,) = sml.FrameDecoder().receive(telegram)
        assert isinstance(frame, sml.Frame)
        opened, listed, _ = (message.body for message in sml.decode(frame.payload, strict=True).messages)
        assert isinstance(opened, sml.PublicOpenResponse)
        assert isinstance(listed, sml.GetListResponse)
        assert isinstance(listed.act_sensor_time, sml.SecIndex)
        assert listed.act_sensor_time.value > self.last_sent
        assert int.from_bytes(opened.req_file_id, "big") > self.last_push
        self.last_sent = listed.act_sensor_time.value
        self.last_push = int.from_bytes(opened.req_file_id, "big")

    @invariant()
    def energy_is_conserved(self) -> None:
        assert self.meter.registers.import_mws == self.imported % REGISTER_RANGE_MWS
        assert self.meter.registers.export_mws == self.exported % REGISTER_RANGE_MWS

    @invariant()
    def index_never_turns_back(self) -> None:
        assert self.meter.seconds_index >= self.last_index
        self.last_index = int(self.meter.seconds_index)

    @invariant()
    def display_can_be_drawn(self) -> None:
        lcd.segments(self.meter.display_state())
        assert np.isfinite(self.meter.power_w)


MeterLife.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
test_a_meters_life = MeterLife.TestCase
