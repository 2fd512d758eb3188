"""Pushing: nothing lost from the profile, nothing acknowledged sent as new, over any restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from e750_rack import CENTRAL, Rack, acknowledgement, powers
from messwerk import sml
from messwerk.e750 import BaseModule, CommunicationModule, Event
from messwerk.e750 import object_names as names
from messwerk.e750.push import ACKNOWLEDGE_WITHIN_S, BACK_OFF_S, FILE_BYTES_MAX, LIVE_TUPLES_MAX
from messwerk.tuples import SignedTuple

NOW = 1_700_000_000.0


def read(file: bytes) -> tuple[list[int], list[int]]:
    """Indexes of live tuples and of profile rows in a push file; every message strictly valid."""
    (frame,) = sml.FrameDecoder(max_frame=65536).receive(file)
    assert isinstance(frame, sml.Frame)
    bodies = [message.body for message in sml.decode(frame.payload, strict=True).messages]
    assert isinstance(bodies[0], sml.PublicOpenResponse)
    assert isinstance(bodies[-1], sml.PublicCloseResponse)
    tuples = [
        SignedTuple.from_entry(body.parameter_tree.parameter_value.value).index
        for body in bodies
        if isinstance(body, sml.GetProcParameterResponse)
    ]
    rows = [body.val_time.value for body in bodies if isinstance(body, sml.GetProfileListResponse)]
    return tuples, rows


def drain(cm: CommunicationModule, now: float = NOW) -> tuple[list[int], list[int]]:
    """Fetch and acknowledge until nothing is new."""
    tuples, rows = [], []
    while (file := cm.push_file(now)) is not None:
        more_tuples, more_rows = read(file)
        tuples += more_tuples
        rows += more_rows
        assert cm.push_received(acknowledgement(file))
    return tuples, rows


def rows_of(module: BaseModule) -> list[int]:
    return [row.index for row in module.profile.rows()]


def test_what_is_new_is_pushed_and_what_is_acknowledged_is_not_pushed_again(rack: Rack) -> None:
    """Tuples of every second and rows of every period, once each, in order."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(3000))
    for _ in range(5):
        module.tick(powers(1))
    assert drain(cm) == ([3001, 3002, 3003, 3004, 3005], [900, 1800, 2700])
    assert cm.push_file(NOW) is None
    module.tick(powers(1))
    assert drain(cm) == ([3006], [])


def test_the_row_message_is_the_base_modules_own(rack: Rack) -> None:
    """Eight entries with both signatures: what the station gets verifies against the announced key."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(1000))
    (frame,) = sml.FrameDecoder(max_frame=65536).receive(cm.push_file(NOW))
    row = next(m.body for m in sml.decode(frame.payload).messages if isinstance(m.body, sml.GetProfileListResponse))
    assert row.server_id == module.server_id
    assert row.parameter_tree_path == (names.LOAD_PROFILE,)
    assert [entry.obj_name for entry in row.period_list] == list(names.PROFILE_COLUMNS)
    stored = module.profile.rows()[0]
    assert [entry.value for entry in row.period_list] == [
        stored.import_wh, stored.r1_varh, stored.r4_varh, stored.signature_import,
        stored.export_wh, stored.r2_varh, stored.r3_varh, stored.signature_export,
    ]  # fmt: skip


def test_a_month_goes_out_in_files_a_small_receiver_takes(rack: Rack) -> None:
    """35 days of two modules: every row once, no file above the bound."""
    cm, modules = rack.communication_module(), [rack.base_module(number) for number in (1, 2)]
    for day in range(35):
        for module in modules:
            module.advance(powers(86_400, day))
    sizes, rows = [], []
    while (file := cm.push_file(NOW)) is not None:
        sizes.append(len(file))
        rows += read(file)[1]
        cm.push_received(acknowledgement(file))
    assert max(sizes) <= FILE_BYTES_MAX + 200
    assert sorted(rows) == sorted(rows_of(modules[0]) + rows_of(modules[1]))
    assert len(rows) == 2 * 35 * 96


def test_one_file_is_on_its_way_at_a_time(rack: Rack) -> None:
    """Until the acknowledgement, nothing else goes out; a foreign or repeated one changes nothing."""
    cm, module = rack.communication_module(), rack.base_module()
    module.tick(powers(1))
    file = cm.push_file(NOW)
    assert file is not None
    assert cm.push_file(NOW + 1) is None
    module.tick(powers(1))
    foreign = sml.AttentionResponse(
        server_id=CENTRAL, attention_no=sml.Attention.ACKNOWLEDGED.number, attention_msg=b"\0\0\0\x63"
    )
    refused = sml.AttentionResponse(
        server_id=CENTRAL, attention_no=sml.Attention.BUSY.number, attention_msg=b"\0\0\0\1"
    )
    for wrong in (foreign, refused):
        wire = sml.frame(sml.encode([sml.Message(transaction_id=b"x", body=wrong)]))
        assert not cm.push_received(wire)
    assert not cm.push_received(b"garbage \x1b\x1b\x1b\x1b\x01\x01\x01\x01 more")
    answer = acknowledgement(file)
    assert not any(cm.push_received(answer[at : at + 1]) for at in range(len(answer) - 1))
    assert cm.push_received(answer[-1:])
    assert not cm.push_received(answer)
    assert drain(cm) == ([2], [])


def test_without_acknowledgement_everything_comes_again_later(rack: Rack) -> None:
    """Time-out and broken connections: same content, growing pauses, an event each time."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(1000))
    module.tick(powers(1))
    now = NOW
    first = cm.push_file(now)
    now += ACKNOWLEDGE_WITHIN_S
    assert cm.push_file(now) is None
    for pause in (*BACK_OFF_S, BACK_OFF_S[-1]):
        assert cm.push_file(now + pause - 1) is None
        again = cm.push_file(now + pause)
        assert again is not None
        assert read(again) == read(first) == ([1001], [900])
        assert again != first, "a new file has a new number"
        now += pause
        cm.push_failed(now)
    assert [entry.event for entry in cm.log.entries].count(Event.PUSH_FAILED) == 5
    assert drain(cm, now + BACK_OFF_S[-1]) == ([1001], [900])
    assert cm.push.failures == 0


def test_a_long_absence_costs_live_tuples_but_no_profile_row(rack: Rack) -> None:
    """The live queue is bounded and says what it lost; the profile has every period reading."""
    cm, module = rack.communication_module(), rack.base_module(period_s=300)
    for _ in range(LIVE_TUPLES_MAX + 100):
        module.tick(powers(1))
    assert cm.push.tuples_lost == 100
    assert Event.TUPLES_LOST in [entry.event for entry in cm.log.entries]
    tuples, rows = drain(cm)
    assert tuples == list(range(101, LIVE_TUPLES_MAX + 101))
    assert rows == rows_of(module) == [300, 600, 900]


def test_positions_survive_a_restart(rack: Rack) -> None:
    """After a restart the unacknowledged rows come, the acknowledged do not, and numbers go on."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(2000))
    drain(cm)
    module.advance(powers(2000))
    lost = cm.push_file(NOW)
    rack.pull_out(cm)
    again = rack.communication_module()
    file = again.push_file(NOW)
    assert file is not None
    assert file != lost
    assert read(file) == ([], [2700, 3600])


def test_a_dead_base_module_does_not_hold_up_the_others(rack: Rack) -> None:
    """What is there goes out; the rows of the silent one follow when it is back."""
    cm, dead, alive = rack.communication_module(), rack.base_module(1), rack.base_module(2)
    dead.advance(powers(1000))
    alive.advance(powers(2000))
    dead.cut_power()
    assert drain(cm) == ([], [900, 1800])
    dead.restore_power(60)
    assert drain(cm) == ([], [900])


KILLED = textwrap.dedent("""
    import sys
    from pathlib import Path
    from e750_rack import Rack, acknowledgement, powers
    from test_push import read
    rack = Rack(Path(sys.argv[1]))
    cm, module = rack.communication_module(), rack.base_module(period_s=5)
    module.announce()
    for second in range(100_000):
        module.tick(powers(1, second))
        while (file := cm.push_file(1e9)) is not None:
            tuples, rows = read(file)
            print("sent", *tuples, "rows", *rows, flush=True)
            cm.push_received(acknowledgement(file))
            print("done", flush=True)
""")


def test_kill_9_loses_no_row_and_sends_nothing_acknowledged_again(tmp_path: Path) -> None:
    """Eight kills at any step: after each acknowledgement its content never comes again, and every row came."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(__file__).parents[up]) for up in (0, 1))}
    acknowledged: set[tuple[str, int]] = set()
    on_its_way: set[tuple[str, int]] = set()
    ever_sent: set[tuple[str, int]] = set()
    for kill in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(25 + 9 * kill)]
        process.send_signal(signal.SIGKILL)
        lines += [line for line in process.stdout.read().splitlines(True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        for line in lines:
            kind, *words = line.split()
            if kind == "done":
                acknowledged |= on_its_way
                continue
            split = words.index("rows")
            on_its_way = {("tuple", int(word)) for word in words[:split]}
            on_its_way |= {("row", int(word)) for word in words[split + 1 :]}
            ever_sent |= on_its_way
            assert not on_its_way & acknowledged
    rack = Rack(tmp_path)
    cm, module = rack.communication_module(), rack.base_module(period_s=5)
    module.announce()
    rest = {("row", index) for index in drain(cm)[1]}
    assert {index for kind, index in ever_sent | rest if kind == "row"} == set(rows_of(module))
    rack.close()
