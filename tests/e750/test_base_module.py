"""A base module measures, signs, remembers, answers, and never counts a second twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e750_rack import Rack, bm_id, key_of, leaves, powers
from messwerk import sml
from messwerk.e750 import Group
from messwerk.e750 import object_names as names
from messwerk.e750.base_module import PERIOD_S, RESERVE_S, BaseModule
from messwerk.e750.variant import VARIANTS
from messwerk.errors import BusyError, LocalError
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve
from messwerk.sml.session import ResponseFile, SmlClient
from messwerk.tuples import (
    STATUS_ABOVE_START,
    STATUS_EPOCH_CHANGED,
    STATUS_EXPORT,
    STATUS_EXPORT_L1,
    STATUS_PARAMETER_CHANGED,
    STATUS_POWER_RESTORED,
    STATUS_ROTATION,
    STATUS_ROW_LOST,
    STATUS_SOI,
    STATUS_SYNC_TAKEN,
    STATUS_SYNCHRONOUS,
    STATUS_VOLTAGE_L2,
    SignedTuple,
)


def ask(module: BaseModule, *requests: sml.Body, server_id: bytes | None = None) -> ResponseFile:
    client = SmlClient(b"test")
    (answer,) = client.receive(module.server.receive(client.request(server_id or module.server_id, requests)))
    return answer


def get(module: BaseModule, *path: bytes) -> sml.Tree:
    (body,) = ask(module, sml.GetProcParameterRequest(parameter_tree_path=path)).answer()
    assert isinstance(body, sml.GetProcParameterResponse)
    return body.parameter_tree


class Listener:
    """Hears what a base module broadcasts."""

    groups = frozenset({Group.TUPLES})
    server_id = bm_id(0xFFFF)

    def __init__(self) -> None:
        self.bodies: list[sml.Body] = []
        self.largest = 0

    def on_frame(self, frame: bytes, sender: object, group: Group | None) -> None:
        (received,) = sml.FrameDecoder().receive(frame)
        assert isinstance(received, sml.Frame)
        self.largest = max(self.largest, len(frame))
        self.bodies += [message.body for message in sml.decode(received.payload, strict=True).messages]

    @property
    def tuples(self) -> list[SignedTuple]:
        return [
            SignedTuple.from_entry(body.parameter_tree.parameter_value.value)
            for body in self.bodies
            if isinstance(body, sml.GetProcParameterResponse)
            and isinstance(body.parameter_tree.parameter_value, sml.TupelParameter)
        ]


# --- measuring and signing -----------------------------------------------------------------


def test_every_second_brings_a_tuple_that_proves_itself(rack: Rack) -> None:
    """Broadcast each second: index one higher, both signatures right, below the bus's 512 bytes."""
    ear = Listener()
    rack.bus.attach(ear)
    module = rack.base_module()
    returned = [module.tick(powers(1, seed)) for seed in range(5)]
    assert ear.tuples == returned
    assert [one.index for one in returned] == [1, 2, 3, 4, 5]
    assert ear.largest <= 512
    for one in returned:
        one.verify(module.key.public)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 59), st.integers(0, 3), st.lists(st.integers(1, 70), min_size=1, max_size=6))
def test_fast_forward_and_ticking_give_the_same_history(
    tmp_path_factory: pytest.TempPathFactory, phase: int, seed: int, blocks: list[int]
) -> None:
    """Registers, signed profile rows and the current tuple agree bit for bit, however time was cut."""
    rack = Rack(tmp_path_factory.mktemp("rack"))
    load = powers(sum(blocks), seed)
    slow = rack.base_module(1, period_phase=phase, period_s=60)
    fast = Rack(rack.folder / "fast").base_module(1, period_phase=phase, period_s=60)
    for second in range(len(load)):
        slow.tick(load[second : second + 1])
    start = 0
    for n in blocks:
        fast.advance(load[start : start + n])
        start += n
    assert fast.registers == slow.registers
    assert fast.current == slow.current
    assert fast.profile.rows() == slow.profile.rows()
    fast.close()
    rack.close()


def test_a_day_at_once_leaves_96_signed_rows(rack: Rack) -> None:
    """Fast-forward signs period boundaries alone; each row is a register reading and verifies."""
    module = rack.base_module(period_phase=123)
    module.advance(powers(86_400))
    rows = module.profile.rows()
    assert len(rows) == 96
    assert all(row.status & STATUS_SOI and row.index % PERIOD_S == 123 for row in rows)
    for row in rows[::24]:
        row.verify(module.key.public)
    assert [row.import_wh for row in rows] == sorted(row.import_wh for row in rows)
    assert module.registers.import_mws // 360_000 >= rows[-1].import_wh > 0


@pytest.mark.parametrize("curve", [Curve.P192, Curve.P256, Curve.BP256])
def test_every_curve_signs_and_remembers(rack: Rack, curve: Curve) -> None:
    """Signature width follows the curve, in the tuple and in the ring; the number of the curve is announced."""
    module = rack.base_module(key=key_of(1, curve), period_s=60, period_phase=1)
    module.tick(powers(1)).verify(module.key.public)
    (row,) = module.profile.rows()
    row.verify(module.key.public)
    assert len(row.signature_import) == 2 * curve.size
    told = leaves(get(module, names.IDENTIFICATION))
    assert told[names.PUBLIC_KEY] == module.key.public.point
    assert told[names.SIGNATURE_PROFILE] == {Curve.P192: 1, Curve.P256: 2, Curve.BP256: 3}[curve]


@pytest.mark.parametrize(
    ("p_w", "q_var", "register"),
    [
        ((400, 300, 300), (100, 100, 100), "import_mws r1_mvars"),
        ((-400, -300, -300), (100, 100, 100), "export_mws r2_mvars"),
        ((-400, -300, -300), (-100, -100, -100), "export_mws r3_mvars"),
        ((400, 300, 300), (-100, -100, -100), "import_mws r4_mvars"),
        ((1000, -400, -300), (0, 0, 0), "import_mws"),
    ],
)
def test_the_sum_over_the_phases_decides_register_and_quadrant(
    rack: Rack, p_w: tuple[float, float, float], q_var: tuple[float, float, float], register: str
) -> None:
    """Vectorial summation: +A and -A never run together, reactive energy goes to one quadrant."""
    module = rack.base_module()
    module.advance(PhasePowers.constant(10, p_w, q_var))
    running = [name for name in type(module.registers).__slots__ if getattr(module.registers, name)]
    assert " ".join(running) == register
    assert getattr(module.registers, running[0]) == round(abs(sum(p_w))) * 10_000


def test_the_status_word_says_what_the_terminals_see(rack: Rack) -> None:
    """Direction of the sum and of each phase, voltages, rotation, start-up: bits of the second itself."""
    module = rack.base_module()
    quiet = module.tick(PhasePowers.constant(1, (0, 0, 0))).status
    assert not quiet & STATUS_ABOVE_START
    status = module.tick(PhasePowers.constant(1, (-900, 100, 100), u_v=(230.0, 0.0, 230.0))).status
    assert status & STATUS_ABOVE_START
    assert status & STATUS_EXPORT
    assert status & STATUS_EXPORT_L1
    assert not status & STATUS_VOLTAGE_L2
    assert not status & STATUS_ROTATION


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_every_variant_starts_at_its_own_power(rack: Rack, variant: object) -> None:
    """Below the start current nothing is counted, at it everything is."""
    module = rack.base_module(variant=variant)
    third = module.variant.start_power_w / 3
    volts = (module.variant.voltage_v,) * 3
    module.advance(PhasePowers.constant(100, (third * 0.99,) * 3, u_v=volts))
    assert module.registers.import_mws == 0
    module.advance(PhasePowers.constant(100, (third * 1.01,) * 3, u_v=volts))
    assert module.registers.import_mws > 0
    assert leaves(get(module, names.IDENTIFICATION))[names.DEVICE_CLASS] == module.variant.device_class


# --- synchronisation -----------------------------------------------------------------------


def set_phase(module: BaseModule, value: object) -> sml.AttentionResponse:
    path = (names.SETTINGS, names.PERIOD_PHASE)
    tree = sml.Tree(parameter_name=names.PERIOD_PHASE, parameter_value=sml.ValueParameter(value))
    (body,) = ask(module, sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)).attentions
    return body


def test_the_station_puts_the_period_on_its_quarter_hours(rack: Rack) -> None:
    """The first re-phase shortens a period, whose row says so; from then on rows are synchronous."""
    module = rack.base_module()
    module.advance(powers(1000))
    assert set_phase(module, sml.Unsigned16(250)).attention_no == sml.Attention.ACKNOWLEDGED.number
    taken = module.tick(powers(1))
    assert taken.status & STATUS_SYNC_TAKEN
    assert taken.status & STATUS_PARAMETER_CHANGED
    assert module.special[names.TUPLE_LAST_SYNC].index == taken.index == 1001
    module.advance(powers(2000))
    rows = module.profile.rows()
    assert [row.index for row in rows] == [900, 1150, 2050, 2950]
    assert [bool(row.status & STATUS_SYNCHRONOUS) for row in rows] == [False, False, True, True]
    assert [bool(row.status & STATUS_PARAMETER_CHANGED) for row in rows] == [False, True, False, False]


def test_a_small_correction_keeps_the_rows_synchronous(rack: Rack) -> None:
    """Within 30 s of the expected boundary the period is adjusted, not broken."""
    module = rack.base_module()
    set_phase(module, sml.Unsigned16(100))
    module.advance(powers(1500))
    set_phase(module, sml.Unsigned16(110))
    module.advance(powers(1500))
    assert [(row.index, bool(row.status & STATUS_SYNCHRONOUS)) for row in module.profile.rows()] == [
        (100, False), (1000, True), (1910, True), (2810, True)
    ]  # fmt: skip


def test_a_token_makes_the_next_second_a_boundary(rack: Rack) -> None:
    """The broadcast token is executed by every module in silence: the next tuple starts an interval."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(500))
    cm.send_token(1_700_000_100)
    tuple_of_token = module.tick(powers(1))
    assert tuple_of_token.index == 501
    assert tuple_of_token.status & STATUS_SYNC_TAKEN
    assert tuple_of_token.start_of_interval
    module.advance(powers(900))
    assert [row.index for row in module.profile.rows()] == [501, 1401]


def test_another_period_can_be_chosen(rack: Rack) -> None:
    """Five minutes instead of fifteen: rows from then on, the registers' own history stays; odd lengths refused."""
    module = rack.base_module(period_phase=450)
    module.advance(powers(500))
    path = (names.SETTINGS, names.PERIOD_LENGTH)

    def set_length(seconds: int) -> bytes:
        tree = sml.Tree(parameter_name=names.PERIOD_LENGTH, parameter_value=sml.ValueParameter(sml.Unsigned16(seconds)))
        request = sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)
        return ask(module, request).attentions[0].attention_no[-2:]

    assert set_length(420).hex() == "fe09"
    assert set_length(300).hex() == "fd00"
    module.advance(powers(700))
    assert [row.index for row in module.profile.rows()] == [450, 750, 1050]
    (body,) = pack(module, None, None).answer()
    assert body.reg_period == 300


@pytest.mark.parametrize(
    ("value", "attention"),
    [(sml.Unsigned16(900), "fe09"), (b"\x00", "fe0f"), (True, "fe0f"), (sml.Integer16(-1), "fe09")],
)
def test_a_wrong_phase_is_refused_and_changes_nothing(rack: Rack, value: object, attention: str) -> None:
    """Out of range and wrong type have their attentions."""
    module = rack.base_module(period_phase=5)
    assert set_phase(module, value).attention_no[-2:].hex() == attention
    assert module.period_phase == 5
    assert not module.tick(powers(1)).status & STATUS_SYNC_TAKEN


# --- power ---------------------------------------------------------------------------------


def test_a_short_outage_is_counted_through(rack: Rack) -> None:
    """Seven days of reserve: the index goes on as if nothing had been, the special tuples tell."""
    module = rack.base_module()
    before = [module.tick(powers(1)) for _ in range(3)][-1]
    module.cut_power()
    with pytest.raises(LocalError, match="no supply"):
        module.tick(powers(1))
    module.restore_power(RESERVE_S)
    after = module.tick(powers(1))
    assert after.index == before.index + RESERVE_S + 1
    assert after.status & STATUS_POWER_RESTORED
    assert not after.status & STATUS_EPOCH_CHANGED
    special = leaves(get(module, names.SPECIAL_TUPLES))
    assert SignedTuple.from_entry(special[names.TUPLE_BEFORE_OUTAGE]) == before
    assert SignedTuple.from_entry(special[names.TUPLE_POWER_RESTORED]) == after
    assert names.TUPLE_RESERVE_EXHAUSTED not in special
    for entry in special.values():
        SignedTuple.from_entry(entry).verify(module.key.public)


@pytest.mark.parametrize("outage_s", [RESERVE_S + 1, None])
def test_beyond_the_reserve_a_new_epoch_begins(rack: Rack, outage_s: int | None) -> None:
    """The index still only grows, but says that it no longer joins what was before."""
    module = rack.base_module()
    set_phase(module, sml.Unsigned16(0))
    module.advance(powers(1000))
    assert module.synchronous
    module.cut_power()
    module.restore_power(outage_s)
    after = module.tick(powers(1))
    assert after.index == 1001
    assert after.status & STATUS_EPOCH_CHANGED
    assert not after.status & STATUS_SYNCHRONOUS
    assert after.status >> 32 == 1, "time base uncertain"
    special = leaves(get(module, names.SPECIAL_TUPLES))
    assert SignedTuple.from_entry(special[names.TUPLE_RESERVE_EXHAUSTED]) == after
    module.advance(powers(900))
    assert module.profile.rows()[-1].status & STATUS_EPOCH_CHANGED, "latched until a boundary is stored"
    assert not module.tick(powers(1)).status & STATUS_EPOCH_CHANGED


def test_a_module_goes_on_where_it_stopped(rack: Rack) -> None:
    """Index, registers, period, special tuples and profile survive closing and opening."""
    module = rack.base_module()
    set_phase(module, sml.Unsigned16(77))
    module.advance(powers(1234))
    kept = (module.seconds_index, module.registers, module.period_phase, module.special, module.current)
    rows = module.profile.rows()
    rack.pull_out(module)
    again = rack.base_module()
    assert (again.seconds_index, again.registers, again.period_phase, again.special, again.current) == kept
    assert again.profile.rows() == rows
    assert again.tick(powers(1)).index == 1235


def test_a_restart_that_knows_how_long_it_took_keeps_the_clock_right(rack: Rack) -> None:
    """The system tells the module how long it was off; unknown is treated like an exhausted reserve."""
    rack.pull_out(rack.base_module())
    module = rack.base_module(outage_s=3600)
    assert module.tick(powers(1)).index == 3601
    rack.pull_out(module)
    module = rack.base_module(outage_s=None)
    first = module.tick(powers(1))
    assert first.index > 3602
    assert first.status & STATUS_EPOCH_CHANGED


def test_two_programs_cannot_be_one_meter(rack: Rack) -> None:
    """The second module on one folder is refused, as is the second of one address on the bus."""
    rack.base_module()
    with pytest.raises(BusyError):
        rack.base_module()


KILLED = textwrap.dedent("""
    import sys
    from pathlib import Path
    from e750_rack import bm_id, key_of, powers
    from messwerk.e750 import BaseModule, Bus
    module = BaseModule(bm_id(1), key_of(1), Path(sys.argv[1]), Bus(), period_s=60)
    for second in range(100_000):
        one = module.tick(powers(1, module.seconds_index))
        print(one.index, one.import_wh, one.export_wh, one.r1_varh, flush=True)
""")


def test_kill_9_at_any_moment_repeats_no_index(tmp_path: Path) -> None:
    """Ten kills: the indexes that went out are strictly increasing, no register ever falls."""
    seen: list[list[int]] = []
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    for kill in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "bm")], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        for _ in range(20 + kill * 7):
            seen.append([int(word) for word in process.stdout.readline().split()])
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.wait()
        process.stdout.close()
        seen += [[int(word) for word in line.split()] for line in rest.splitlines(True) if line.endswith("\n")]
    columns = list(zip(*seen, strict=True))
    assert list(columns[0]) == sorted(set(columns[0]))
    for register in columns[1:]:
        assert list(register) == sorted(register)
    assert max(columns[0]) - len(seen) <= 10, "a kill skips at most the second it interrupted"


def test_a_row_stored_before_its_state_is_believed(rack: Rack) -> None:
    """A kill between both writes: the row's index is used up and no register falls behind it."""
    module = rack.base_module(period_s=60)
    module.advance(powers(59))
    old = (rack.folder / "bm1" / "state").read_bytes()
    module.advance(powers(31, seed=2))
    (row,) = module.profile.rows()
    rack.pull_out(module)
    (rack.folder / "bm1" / "state").write_bytes(old)
    again = rack.base_module(period_s=60)
    assert again.seconds_index == row.index == 60
    after = again.tick(powers(1))
    assert after.index == 61
    assert after.import_wh >= row.import_wh


# --- answers -------------------------------------------------------------------------------


def test_who_it_is_and_what_time_it_has(rack: Rack) -> None:
    """Identification, seconds index, status word and remaining period by their names."""
    module = rack.base_module()
    module.advance(powers(100))
    told = leaves(get(module, names.IDENTIFICATION))
    assert told[names.SERVER_ID] == module.server_id
    assert told[names.MANUFACTURER] == b"LGZ"
    assert get(module, names.SECONDS_INDEX).parameter_value == sml.TimeParameter(sml.SecIndex(100))
    assert leaves(get(module, names.STATUS_WORD))[names.STATUS_WORD] == module.current.status
    assert leaves(get(module, names.REMAINING_PERIOD))[names.REMAINING_PERIOD] == 800
    answer = ask(module)
    assert answer.open.ref_time == sml.SecIndex(100)


def test_the_current_tuple_answers_under_its_path(rack: Rack) -> None:
    """The path that is broadcast also answers a request; before the first second it has no value."""
    module = rack.base_module()
    refused = ask(module, sml.GetProcParameterRequest(parameter_tree_path=(names.SPECIAL_TUPLES, names.CURRENT_TUPLE)))
    assert refused.attentions[0].attention_no == sml.Attention.NOT_READABLE.number
    one = module.tick(powers(1))
    tree = get(module, names.SPECIAL_TUPLES, names.CURRENT_TUPLE)
    assert SignedTuple.from_entry(tree.parameter_value.value) == one


PROFILE = (names.LOAD_PROFILE,)


def pack(module: BaseModule, begin: int | None, end: int | None, **more: object) -> ResponseFile:
    times = [None if time is None else sml.SecIndex(time) for time in (begin, end)]
    fields = {"parameter_tree_path": PROFILE, "begin_time": times[0], "end_time": times[1]} | more
    return ask(module, sml.GetProfilePackRequest(**fields))


def test_the_profile_comes_as_a_pack_that_proves_itself(rack: Rack) -> None:
    """Header and rows rebuild every hashed block: the archive needs nothing else from the meter."""
    module = rack.base_module()
    module.advance(powers(5000))
    (body,) = pack(module, 900, 3600).answer()
    assert body.reg_period == 900
    assert body.act_time == sml.SecIndex(5000)
    assert [entry.obj_name for entry in body.header_list] == list(names.PROFILE_COLUMNS)
    assert [row.val_time.value for row in body.period_list] == [900, 1800, 2700, 3600]
    for row in body.period_list:
        import_wh, r1, r4, signature_import, export_wh, r2, r3, signature_export = (
            cell.value for cell in row.value_list
        )
        SignedTuple(
            server_id=body.server_id, index=row.val_time.value, status=row.status, scaler=body.header_list[0].scaler,
            import_wh=import_wh, export_wh=export_wh, r1_varh=r1, r2_varh=r2, r3_varh=r3, r4_varh=r4,
            signature_import=signature_import, signature_export=signature_export,
        ).verify(module.key.public)  # fmt: skip


def test_the_profile_comes_row_by_row_too(rack: Rack) -> None:
    """GetProfileList answers one request with a message for each row, the same values."""
    module = rack.base_module()
    module.advance(powers(3000))
    rows = ask(module, sml.GetProfileListRequest(parameter_tree_path=PROFILE)).answer()
    assert [row.val_time.value for row in rows] == [900, 1800, 2700]
    (body,) = pack(module, None, None).answer()
    for row, packed in zip(rows, body.period_list, strict=True):
        assert [entry.value for entry in row.period_list] == [cell.value for cell in packed.value_list]
        assert row.status == packed.status


REFUSED_RANGES = [
    ("begin after end", {"begin": 2000, "end": 1000}, "fe12"),
    ("nothing in the range", {"begin": 901, "end": 1799}, "fe13"),
    ("nothing yet", {"begin": 10**6, "end": None}, "fe13"),
    ("a date", {"begin": None, "end": None, "begin_time": sml.Timestamp(1_700_000_000)}, "fe0f"),
    ("an unknown column", {"begin": None, "end": None, "object_list": (bytes(6),)}, "fe0e"),
    ("an unknown profile", {"begin": None, "end": None, "parameter_tree_path": (bytes(6),)}, "fe0a"),
]


@pytest.mark.parametrize(("case", "asked", "number"), REFUSED_RANGES, ids=[case for case, _, _ in REFUSED_RANGES])
def test_a_range_that_cannot_be_served_is_refused_by_name(
    rack: Rack, case: str, asked: dict[str, object], number: str
) -> None:
    """Empty and inverted ranges, dates and unknown names each have their attention."""
    module = rack.base_module()
    module.advance(powers(2000))
    assert pack(module, **asked).attentions[0].attention_no[-2:].hex() == number


def test_an_empty_profile_says_so(rack: Rack) -> None:
    """A new meter has no row at all: FE 11, not an empty list."""
    assert pack(rack.base_module(), None, None).attentions[0].attention_no[-2:].hex() == "fe11"


def test_some_columns_in_the_order_asked_for(rack: Rack) -> None:
    """object_List selects and orders; a pack of the import group alone is still verifiable."""
    module = rack.base_module()
    module.advance(powers(1000))
    columns = (names.PROFILE_COLUMNS[3], names.PROFILE_COLUMNS[0])
    (body,) = pack(module, None, None, object_list=columns).answer()
    assert tuple(entry.obj_name for entry in body.header_list) == columns
    assert body.period_list[0].value_list[0].value == module.profile.rows()[0].signature_import


def test_rows_nobody_fetched_are_reported_lost(rack: Rack) -> None:
    """The ring overwrites its oldest row; if nobody had read it, the status word says so once it happens."""
    module = rack.base_module(period_s=60)
    module.advance(powers(60 * 9216 + 30))
    assert not module.current.status & STATUS_ROW_LOST
    module.advance(powers(60))
    assert module.current.status & STATUS_ROW_LOST
    pack(module, 60 * 9000, None)
    module.advance(powers(60))
    assert not module.current.status & STATUS_ROW_LOST


def test_requests_for_others_and_unknown_names_are_refused(rack: Rack) -> None:
    """FE 03 for another server ID, FE 0A for a path that leads nowhere, FE 05 for what is read-only."""
    module = rack.base_module()
    assert ask(module, server_id=bm_id(9)).attentions[0].attention_no[-2:].hex() == "fe03"
    asked = sml.GetProcParameterRequest(server_id=bm_id(9), parameter_tree_path=(names.IDENTIFICATION,))
    assert ask(module, asked).attentions[0].attention_no[-2:].hex() == "fe03"
    asked = sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION, bytes(6)))
    assert ask(module, asked).attentions[0].attention_no[-2:].hex() == "fe0a"
    asked = sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,), attribute=b"x")
    assert ask(module, asked).attentions[0].attention_no[-2:].hex() == "fe10"
    tree = sml.Tree(parameter_name=names.SECONDS_INDEX, parameter_value=sml.ValueParameter(sml.Unsigned32(1)))
    asked = sml.SetProcParameterRequest(parameter_tree_path=(names.SECONDS_INDEX,), parameter_tree=tree)
    assert ask(module, asked).attentions[0].attention_no[-2:].hex() == "fe05"


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_on_the_bus_harms_no_module(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    """Any bytes in a frame, whole or not: the module goes on measuring and answering."""
    rack = Rack(tmp_path_factory.mktemp("noise"))
    module = rack.base_module()
    for group in (None, Group.COMMANDS):
        module.on_frame(noise, bm_id(7), group)
        module.on_frame(sml.frame(noise), bm_id(7), group)
    module.tick(powers(1))
    assert ask(module).closed
    rack.close()
