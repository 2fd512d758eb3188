"""`messwerk e320` as a user types it: run, touch, go on, and clear words when something is wrong."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from messwerk.cli import main

MAIN = "from messwerk.cli import main; main()"


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def messwerk(*words: str) -> Done:
    """Run a command in this process."""
    before, sys.argv = sys.argv, ["messwerk", "e320", *words]
    out, err, status = io.StringIO(), io.StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def running(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MAIN, "e320", "run", "--data", str(folder), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(200):
        if (folder / "control").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def show(folder: Path, meter: int = 0) -> dict[str, object]:
    return dict(json.loads(messwerk("show", "--data", str(folder), "--meter", str(meter)).stdout))


def test_run_touch_and_go_on(tmp_path: Path) -> None:
    """A twin runs, is pressed and faulted, leaves a snapshot and its truth, and goes on where it was."""
    truth, saved = tmp_path / "truth.jsonl", tmp_path / "meter.json"
    data = str(tmp_path)
    with running(tmp_path, "--speed", "0", "--load", "constant:1000,0,0", "--truth", str(truth)):
        assert messwerk("tell", '{"do": "step", "seconds": 30}', "--data", data).returncode == 0
        time.sleep(0.3)
        assert show(tmp_path)["seconds_index"] == 30
        assert messwerk("press", "short", "--data", data).returncode == 0
        fault = '{"do": "fault", "kind": "phase_missing", "phase": 0, "duration_s": 2}'
        assert json.loads(messwerk("tell", fault, "--data", data).stdout) == {"ok": True}
        messwerk("tell", '{"do": "step", "seconds": 4}', "--data", data)
        time.sleep(0.3)
        shown = show(tmp_path)
        assert shown["screen"] == "test lower"
        assert messwerk("snapshot", str(saved), "--data", data).returncode == 0
    assert json.loads(truth.read_text(encoding="utf-8"))["type"] == "phase_missing"
    assert not (tmp_path / "control").exists()
    with running(tmp_path, "--speed", "0"):
        assert show(tmp_path)["seconds_index"] == 35
    other = tmp_path / "other"
    with running(other, "--speed", "0", "--from-snapshot", str(saved)):
        assert show(other)["seconds_index"] == 34
        assert show(other)["screen"] == "test lower"


def test_several_meters(tmp_path: Path) -> None:
    """--count gives meters of their own: serial numbers count up, each can be asked for."""
    with running(tmp_path, "--count", "3", "--speed", "0", "--pty", str(tmp_path / "head"), "--volatile"):
        assert [str(show(tmp_path, place)["server_id"])[-2:] for place in range(3)] == ["dd", "de", "df"]
        assert sorted(path.name for path in tmp_path.glob("head*")) == ["head-0", "head-1", "head-2"]


def test_two_on_one_folder(tmp_path: Path) -> None:
    """The second twin on a folder is refused in words, the first is not disturbed."""
    with running(tmp_path, "--speed", "0"):
        second = messwerk("run", "--data", str(tmp_path), "--speed", "0")
        assert second.returncode == 1
        assert "in use by another meter" in " ".join(second.stderr.split())
        assert show(tmp_path)["on"] is True


REFUSED = [
    (["run", "--type", "E32-AM9D.A3A.A0-S1B-S1"], "maximum current"),
    (["run", "--load", "house"], "not a load"),
    (["run", "--tcp", "nowhere"], "not an address"),
    (["run", "--pin", "12"], "four digits"),
    (["run", "--start", "noon"], "ISO 8601"),
    (["run", "--count", "2", "--serial", "/dev/null"], "for one meter"),
    (["run", "--count", "2", "--device-id", "1LGZ0099999999"], "do not fit into eight digits"),
    (["run", "--faults", "missing.toml"], "cannot be read"),
    (["run", "--from-snapshot", "missing.json"], "cannot be read"),
    (["show"], "no twin runs in"),
    (["tell", "{"], "not JSON"),
    (["faceplate", "plate.gif"], ".svg or .png"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_mistakes_are_explained(tmp_path: Path, words: list[str], reason: str) -> None:
    """One sentence on stderr and exit status 1, no traceback."""
    data = ["--data", str(tmp_path / "data")] if words[0] in ("run", "show", "tell") else []
    done = messwerk(*words, *data)
    assert done.returncode == 1
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_stale_control_address(tmp_path: Path) -> None:
    """A control file left by a killed twin leads to a clear sentence."""
    (tmp_path / "control").write_text("127.0.0.1:9\n", encoding="utf-8")
    done = messwerk("show", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "is it still running?" in " ".join(done.stderr.split())


def test_testbench_and_faceplate(tmp_path: Path) -> None:
    """The bench prints its table; the plate is written in both forms."""
    done = messwerk("testbench", "--specimen", "2")
    assert done.returncode == 0
    assert "0 outside their limits" in done.stdout
    for name, begin in (("plate.svg", b"<svg"), ("plate.png", b"\x89PNG")):
        assert messwerk("faceplate", str(tmp_path / name)).returncode == 0
        assert (tmp_path / name).read_bytes().startswith(begin)
