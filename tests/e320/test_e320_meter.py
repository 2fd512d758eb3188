"""The E320 as a whole: start-up, pushes, power cuts, fast-forward, kill -9, independent readers."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smllib.sml_frame import SmlFrame

from messwerk import sml
from messwerk.e320 import E320, Error, FirmwareParameters, NonVolatile, RamMemory, UserSettings, Variant
from messwerk.e320.info import register_names
from messwerk.e320.nonvolatile import AREAS, COPY_SIZE
from messwerk.errors import StoreDamaged
from messwerk.identity import ServerId
from messwerk.metrology import Mode, PhasePowers
from messwerk.metrology.registers import REGISTER_RANGE_MWS
from sml import SmlBase  # type: ignore[import-untyped]

SERVER = ServerId.parse("1LGZ0063539421")
OPEN = UserSettings(pin_on=False, extended=True)


def make(mode: Mode = Mode.TWO_WAY, memory: RamMemory | NonVolatile | None = None, **parameters: object) -> E320:
    return E320(
        server_id=SERVER,
        variant=Variant(mode=mode),
        memory=memory or RamMemory(),
        parameters=FirmwareParameters(**parameters),  # type: ignore[arg-type]
        settings=OPEN,
    )


def second(p_w: tuple[float, float, float] = (1000.0, 200.0, -300.0), **rows: object) -> PhasePowers:
    return PhasePowers.constant(1, p_w, **rows)  # type: ignore[arg-type]


def entries(telegram: bytes) -> dict[str, sml.ListEntry]:
    (frame,) = sml.FrameDecoder().receive(telegram)
    assert isinstance(frame, sml.Frame)
    body = sml.decode(frame.payload, strict=True).messages[1].body
    assert isinstance(body, sml.GetListResponse)
    return {bytes(entry.obj_name).hex(): entry for entry in body.val_list}


def test_no_push_during_start_up() -> None:
    """For 23 seconds the INFO interface is silent; then one telegram a second, counters in step."""
    meter = make()
    telegrams = [meter.tick(second()) for _ in range(30)]
    assert telegrams[:23] == [None] * 23
    assert all(telegrams[23:])
    assert meter.seconds_index == 30
    assert meter.push_counter == 7
    assert telegrams[-1] is not None
    assert telegrams[-1][8:14].hex() == f"7605{3 * 7 + 1:08x}"


def test_telegram_says_what_was_measured() -> None:
    """Registers, power, status word and time of the telegram are those of the second."""
    meter = make()
    meter.advance(PhasePowers.constant(7199, (1000.0, 200.0, -300.0)))
    telegram = meter.tick(second())
    assert telegram is not None
    values = entries(telegram)
    assert values["0100010800ff"].value == 18_000
    assert values["0100020800ff"].value == 0
    assert values["0100100700ff"].value == 900
    assert values["0100010800ff"].status == 0x1C4104
    assert values["0100010800ff"].val_time == sml.SecIndex(7200)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from(Mode))
def test_advance_equals_ticks(seed: int, blocks: list[int], mode: Mode) -> None:
    """Fast-forward and single seconds end in the same state: index, registers, counters, disk, display."""
    rng = np.random.default_rng(seed)
    n = sum(blocks)
    u_v = rng.choice([230.0, 150.0, 0.0], size=(n, 3), p=[0.9, 0.05, 0.05])
    u_v[rng.random(n) < 0.05] = 0.0
    load = PhasePowers(rng.normal(0, 400, (n, 3)), rng.normal(0, 200, (n, 3)), u_v)
    stepped, forwarded = make(mode), make(mode)
    start = 0
    for size in blocks:
        forwarded.advance(load[start : start + size])
        start += size
    for block in load.blocks(1):
        stepped.tick(block)
    for name in ("seconds_index", "push_counter", "registers", "power_w", "status_word", "uptime_s", "on"):
        assert getattr(stepped, name) == getattr(forwarded, name), name
    assert stepped.display_state() == forwarded.display_state()


def test_leap_returns_the_last_telegram() -> None:
    """n seconds at once end with the telegram that n ticks would have ended with."""
    stepped, leaping = make(), make()
    load = PhasePowers.constant(60, (1000.0, 200.0, -300.0))
    telegrams = [stepped.tick(block) for block in load.blocks(1)]
    assert [leaping.leap(load[:10]), leaping.leap(load[10:])] == [None, telegrams[-1]]
    assert leaping.leap(load[:0]) is None


def test_history_days_follow_operating_seconds() -> None:
    """Fast-forward over many days and small steps leave the same day values."""
    whole, pieces = make(), make()
    days = PhasePowers.constant(3 * 86_400 + 5000, (1000.0, 0.0, 0.0))
    whole.advance(days)
    for block in days.blocks(50_000):
        pieces.advance(block)
    for meter in (whole, pieces):
        assert meter.history.complete_days == 3
        assert [meter.history.period(0, 1, age) for age in (1, 2, 3, 4)] == [86_400_000_000] * 3 + [None]


def test_power_cut_keeps_registers_and_raises_the_index() -> None:
    """After a cut the index resumes one above its last value, registers stay, the start-up runs again."""
    meter = make()
    meter.advance(PhasePowers.constant(100, (1000.0, 0.0, 0.0)))
    before, pushed = meter.registers, meter.push_counter
    meter.cut_power()
    assert not meter.display_state().on
    assert meter.tick(second()) is None
    assert meter.seconds_index == 100
    meter.restore_power()
    assert meter.seconds_index == 101
    assert meter.registers == before
    assert meter.tick(second()) is None
    assert meter.push_counter == pushed


def test_no_voltage_stops_the_index() -> None:
    """Seconds without supply do not count; one phase is enough to run."""
    meter = make()
    dark = second((0.0, 0.0, 0.0), u_v=(0.0, 0.0, 0.0))
    one_phase = second((500.0, 0.0, 0.0), u_v=(230.0, 0.0, 0.0))
    for _ in range(5):
        meter.tick(one_phase)
    assert meter.status_word & 0x1C0000 == 0x040000
    for _ in range(50):
        meter.tick(dark)
    assert (meter.seconds_index, meter.on) == (5, False)
    meter.tick(one_phase)
    assert (meter.seconds_index, meter.on) == (7, True)


def test_index_strictly_increases_over_a_thousand_cuts() -> None:
    """Any sequence of orderly and disorderly restarts: no index appears twice in what was sent or shown."""
    rng, memory, last = random.Random(7), RamMemory(), 0
    meter = make(memory=memory)
    for _ in range(1000):
        steps = rng.randrange(1, 4)
        for _ in range(steps):
            meter.tick(second())
            assert meter.seconds_index > last
            last = int(meter.seconds_index)
        if rng.random() < 0.5:
            meter.close()
        meter = make(memory=memory)
        assert meter.seconds_index > last


WRITER = """
import sys
from pathlib import Path
from messwerk.e320 import E320, NonVolatile, UserSettings, Variant
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
meter = E320(server_id=ServerId.parse("1LGZ0063539421"), variant=Variant(), memory=NonVolatile(Path(sys.argv[1])),
             settings=UserSettings(pin_on=False, extended=True))
second = PhasePowers.constant(1, (3_600_000.0, 0.0, 0.0))
meter.advance(PhasePowers.constant(24, (0.0, 0.0, 0.0)))
while True:
    meter.tick(second)
    print(meter.seconds_index, meter.registers.import_mws, meter.push_counter, flush=True)
"""


def test_kill_9_never_turns_back(tmp_path: Path) -> None:
    """A process killed at random moments: index, push counter and registers of the next run are never behind."""
    rng = random.Random(11)
    index = energy = pushed = 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        time.sleep(rng.random() * 0.4)
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().splitlines()
        writer.wait()
        writer.stdout.close()
        for line in (line for line in lines if len(line.split()) == 3):
            now = tuple(map(int, line.split()))
            assert now[0] > index
            assert now[1] >= energy
            assert now[2] > pushed
            index, energy, pushed = now
    memory = NonVolatile(tmp_path)
    meter = make(memory=memory)
    assert meter.seconds_index > index
    assert meter.registers.import_mws >= energy
    meter.close()


def test_damaged_copy_shows_in_the_error_register(tmp_path: Path) -> None:
    """A broken copy of the state is used by nobody: F.F. and status bit 17 report it until the reset command."""
    meter = make(memory=NonVolatile(tmp_path))
    meter.advance(PhasePowers.constant(100, (1000.0, 0.0, 0.0)))
    meter.close()
    file = tmp_path / "nonvolatile.bin"
    image = bytearray(file.read_bytes())
    image[40] ^= 0xFF
    file.write_bytes(image)
    meter = make(memory=NonVolatile(tmp_path))
    assert meter.error_register == Error.REGISTER_CHECKSUM
    meter.advance(PhasePowers.constant(24, (0.0, 0.0, 0.0)))
    assert meter.display_state().upper_code == "F.F."
    assert meter.display_state().upper_value == "00010000"
    assert meter.status_word & 1 << 17
    meter.heal_error(Error.REGISTER_CHECKSUM)
    assert meter.error_register == Error.REGISTER_CHECKSUM
    meter.reset_errors()
    assert meter.error_register == 0
    assert meter.seconds_index == 125
    meter.close()


def spoil(folder: Path, *offsets: int) -> None:
    """Flip a byte of the content at each offset, in both copies."""
    image = bytearray((folder / "nonvolatile.bin").read_bytes())
    for offset in offsets:
        for copy in (0, COPY_SIZE):
            image[copy + offset] ^= 0xFF
    (folder / "nonvolatile.bin").write_bytes(image)


def test_lost_registers_are_never_made_up(tmp_path: Path) -> None:
    """With both copies of the registers damaged the meter refuses to start and names the remedy."""
    meter = make(memory=NonVolatile(tmp_path))
    meter.advance(PhasePowers.constant(100, (1000.0, 0.0, 0.0)))
    meter.close()
    spoil(tmp_path, 40)
    memory = NonVolatile(tmp_path)
    with pytest.raises(StoreDamaged, match="restore a snapshot"):
        make(memory=memory)
    memory.close()


def test_lost_history_begins_anew(tmp_path: Path) -> None:
    """With both copies of the history damaged it starts over, F.F. says so, registers stay."""
    meter = make(memory=NonVolatile(tmp_path))
    meter.advance(PhasePowers.constant(200_000, (1000.0, 0.0, 0.0)))
    registers = meter.registers
    meter.close()
    spoil(tmp_path, AREAS["state"] + 500)
    meter = make(memory=NonVolatile(tmp_path))
    assert meter.error_register == Error.PARAMETER_CHECKSUM
    assert meter.history.complete_days == 0
    assert meter.registers == registers
    meter.advance(PhasePowers.constant(86_400, (0.0, 0.0, 0.0)))
    assert meter.history.complete_days == 1
    meter.close()


def test_communication_errors_heal_and_are_not_shown() -> None:
    """Communication errors stay in the register, out of the display, and go when communication is back."""
    meter = make()
    meter.advance(PhasePowers.constant(24, (0.0, 0.0, 0.0)))
    meter.raise_error(Error.TLS_HANDSHAKE)
    assert meter.display_state().upper_code == "1.8.0"
    meter.reset_errors()
    assert meter.error_register == Error.TLS_HANDSHAKE
    meter.heal_error(Error.TLS_HANDSHAKE)
    assert meter.error_register == 0


class FullMemory(RamMemory):
    """A medium that stops taking writes."""

    full = False

    def save(self, areas: dict[str, bytes], *, force: bool = False) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().save(areas, force=force)


def test_nothing_is_sent_that_is_not_saved() -> None:
    """When memory refuses to be written, F.F. says so and the telegram is held back."""
    memory = FullMemory()
    meter = make(memory=memory)
    meter.advance(PhasePowers.constant(30, (1000.0, 0.0, 0.0)))
    memory.full = True
    assert meter.tick(second()) is None
    assert meter.error_register == Error.MEMORY_WRITE
    memory.full = False
    assert meter.tick(second()) is not None


def test_settings_are_kept_or_reset_at_power_down() -> None:
    """The firmware parameter decides whether PIN and InF settings survive."""
    for keep, expected in ((True, OPEN), (False, UserSettings(pin_on=True, extended=False))):
        meter = make(keep_settings=keep)
        meter.change_settings(OPEN)
        meter.cut_power()
        meter.restore_power()
        assert meter.settings == expected


def test_balanced_meter_runs_backward_on_the_wire() -> None:
    """Mode 4 exposes its register modulo the range: net import below zero reads like a mechanical counter."""
    meter = make(Mode.BALANCED_EXPORT)
    meter.advance(PhasePowers.constant(3600, (1000.0, 0.0, 0.0)))
    assert meter.registers.export_mws == REGISTER_RANGE_MWS - 3_600_000_000
    telegram = meter.tick(second((0.0, 0.0, 0.0)))
    assert telegram is not None
    assert entries(telegram)["0100020800ff"].value == 9_999_990_000


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("extended", [True, False])
def test_independent_readers_agree(mode: Mode, extended: bool) -> None:
    """SmlLib reads every mode and set and gets the meter's own values."""
    meter = make(mode)
    meter.change_settings(UserSettings(pin_on=False, extended=extended))
    meter.advance(PhasePowers.constant(36_000, (5000.0, 3000.0, -2000.0), (900.0, 0.0, 0.0)))
    meter.advance(PhasePowers.constant(36_000, (-7000.0, 0.0, -2000.0), (-900.0, 0.0, 0.0)))
    telegram = meter.tick(second())
    assert telegram is not None
    read = {str(entry.obis): entry for entry in SmlFrame(telegram[8:-8]).get_obis()}
    tenth = Decimal("0.1") if extended else Decimal(1000)
    for name, code in zip(register_names(mode), [key for key in read if key.endswith("0800ff")], strict=True):
        exact = Decimal(getattr(meter.registers, name)) / 3_600_000
        value = Decimal(str(read[code].get_value()))
        assert 0 <= exact - value < tenth
    assert ("0100100700ff" in read) is extended
    if extended:
        assert read["0100100700ff"].get_value() == 900


def test_pysml_reads_a_stream() -> None:
    """pysml, fed byte stream that starts in mid-telegram, reads the rest and gets our values."""
    meter = make()
    meter.advance(PhasePowers.constant(7200, (1000.0, 200.0, -300.0)))
    stream = b"".join(telegram for _ in range(5) if (telegram := meter.tick(second())))
    buffer, seen = stream[100:], []
    while True:
        end, frame = SmlBase.find_frame(buffer)
        buffer = buffer[end:]
        if frame is None:
            break
        (body,) = (message["messageBody"] for message in frame if "valList" in message["messageBody"])
        seen.append({entry["objName"]: entry.get("value") for entry in body["valList"]})
    assert len(seen) == 4
    assert seen[-1]["1-0:16.7.0*255"] == 900
    assert seen[-1]["1-0:1.8.0*255"] == pytest.approx(int(meter.registers.import_mws / 360_000) / 10)
