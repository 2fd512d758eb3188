"""`messwerk e750` as a user types it: run a rack, read it on every way, kill it, go on."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from messwerk import sml
from messwerk.cli import main
from messwerk.sml.xml import from_xml

MAIN = "from messwerk.cli import main; main()"


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def messwerk(*words: str) -> Done:
    """Run `messwerk e750 …` in this process."""
    before, sys.argv = sys.argv, ["messwerk", "e750", *words]
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
    """A rack in a process of its own, until it is reached by `tell`; killed in the end if still alive."""
    (folder / "control").unlink(missing_ok=True)
    command = [sys.executable, "-c", MAIN, "e750", "run", "--data", str(folder), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"})
    for _ in range(400):
        if (folder / "control").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def show(folder: Path) -> dict[str, Any]:
    return dict(json.loads(messwerk("show", "--data", str(folder)).stdout))


def where(folder: Path) -> str:
    return f"tcp://127.0.0.1:{show(folder)['communication_module']['pull_port']}"


def read(source: str, *words: str) -> list[dict[str, Any]]:
    done = messwerk("read", source, *words, "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def step(folder: Path, seconds: int) -> None:
    """Let simulated seconds pass and wait until they have."""
    before = show(folder)["utc"]
    messwerk("tell", json.dumps({"do": "step", "seconds": seconds}), "--data", str(folder))
    for _ in range(200):
        if show(folder)["utc"] >= before + seconds:
            return
        time.sleep(0.05)
    raise AssertionError("the seconds did not pass")


STILL = ("--speed", "0", "--port", "0")


def test_every_reading(tmp_path: Path) -> None:
    """Each of the seven readings answers as JSON, as XML our own reader takes, and as a table."""
    options = ("--base-modules", "2", "--kind", "direct", "--kind", "ct", "--pulse-modules", "1", "--nodes", "1",
               "--history-days", "0.25", "--load", "constant:1000,2000,-300")  # fmt: skip
    with running(tmp_path, *STILL, *options):
        step(tmp_path, 2)
        source = where(tmp_path)
        cm, first, second = read(source, "time")
        assert cm["utc"]
        assert first["seconds_index"] == second["seconds_index"] == 21_602
        classes = {one["device_class"] for one in read(source, "identity")}
        assert classes == {f"8181c782{last}ff" for last in ("41", "42", "45", "48", "49")}
        (current, *_) = read(source, "tuple", "--module", "0")[0]["tuples"]
        assert current["what"] == "current tuple"
        assert current["signature"] == "valid"
        assert float(current["import_wh"]) == pytest.approx(2700 * 21_602 / 3600, abs=0.1)
        (profile,) = read(source, "profile", "--module", "1", "--rows", "5")
        assert len(profile["rows"]) == 5
        assert all(row["signature"] == "valid" and row["start_of_interval"] for row in profile["rows"])
        values = {one["name"]: one for one in read(source, "list", "--module", "0")[0]["values"]}
        assert values["power"]["value"] == "2700.0"
        events = {entry["event"] for entry in read(source, "log", "--module", "cm")[0]["entries"]}
        assert {"power returned", "device appeared"} <= events
        trees = {tree["name"] for tree in read(source, "parameters", "--module", "0")[0]["trees"]}
        assert {"identification", "settings", "monitoring"} <= trees
        xml = messwerk("read", source, "tuple", "--xml").stdout
        bodies = [message.body for file in from_xml(xml) for message in file]
        assert any(isinstance(body, sml.GetProcParameterResponse) for body in bodies)
        for what in ("time", "identity", "tuple", "profile", "list", "log", "parameters"):
            assert messwerk("read", source, what).stdout, what


def test_refusals_in_words(tmp_path: Path) -> None:
    """A wrong password, an unknown module, an unknown reading and a deaf port each end in one sentence."""
    with running(tmp_path, *STILL):
        source = where(tmp_path)
        wrong = messwerk("read", source, "--password", "wrong")
        assert wrong.returncode == 1
        assert "FE 02" in wrong.stderr
        assert "password wrong" in wrong.stderr
        assert "no module 'deadbeef'" in messwerk("read", source, "--module", "deadbeef").stderr
        assert "known are time" in messwerk("read", source, "weather").stderr
        again = messwerk("run", "--data", str(tmp_path))
        assert again.returncode == 1
        assert "is held by another" in again.stderr
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        nobody = messwerk("read", f"tcp://127.0.0.1:{deaf.getsockname()[1]}")
    assert nobody.returncode == 1
    assert "nothing listens" in nobody.stderr


def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 the rack goes on: no index twice, registers and log stay, the time in between was a power cut."""
    options = ("--speed", "50", "--port", "0", "--base-modules", "3", "--load", "constant:9000,9000,9000")
    highest = 0
    for _ in range(3):
        with running(tmp_path, *options) as process:
            before = [read(where(tmp_path), "tuple", "--module", str(n))[0]["tuples"][0] for n in range(3)]
            assert all(one["seconds_index"] > highest for one in before)
            highest = max(one["seconds_index"] for one in before)
            process.kill()
    with running(tmp_path, *STILL, "--base-modules", "3"):
        step(tmp_path, 1)
        for number, earlier in enumerate(before):
            found = {one["what"]: one for one in read(where(tmp_path), "tuple", "--module", str(number))[0]["tuples"]}
            assert found["current tuple"]["seconds_index"] > earlier["seconds_index"]
            assert float(found["current tuple"]["import_wh"]) >= float(earlier["import_wh"])
            assert all(one["signature"] == "valid" for one in found.values())
        log = read(where(tmp_path), "log", "--module", "cm")[0]["entries"]
        assert sum(entry["event"] == "power returned" for entry in log) == 4


def test_modules_lose_supply_and_come_later(tmp_path: Path) -> None:
    """Supply of an hour and of eight days, and a module plugged in while the rack runs."""
    data = ("--data", str(tmp_path))
    with running(tmp_path, *STILL, "--base-modules", "2"):
        step(tmp_path, 1)
        for module, outage_s in ((0, 3600), (1, 8 * 86_400)):
            assert messwerk("tell", json.dumps({"do": "cut", "module": module}), *data).returncode == 0
            restore = {"do": "restore", "module": module, "outage_s": outage_s}
            assert messwerk("tell", json.dumps(restore), *data).returncode == 0
        plugged = json.loads(messwerk("tell", '{"do": "plug", "variant": "ct", "loads": ["household"]}', *data).stdout)
        assert plugged["module"] == 2
        step(tmp_path, 1)
        source = where(tmp_path)
        short, long, new = (one["tuples"] for one in read(source, "tuple"))
        assert short[0]["seconds_index"] == 3602
        assert "tuple power restored" in {one["what"] for one in short}
        assert long[0]["seconds_index"] == 2
        assert "tuple reserve exhausted" in {one["what"] for one in long}
        assert new[0]["seconds_index"] == 1
        wrong = messwerk("tell", '{"do": "cut", "module": 9}', *data)
        assert wrong.returncode == 1
        assert "base modules 0 to 2" in wrong.stderr


def test_a_scenario_in_a_file(tmp_path: Path) -> None:
    """A rack file plans modules and events; what is wrong in one is said before anything runs."""
    file = tmp_path / "rack.toml"
    file.write_text(
        'seed = 7\ncommunication = "gprs"\nnodes = 1\n[[base_module]]\nvariant = "ct"\ncount = 2\nct_ratio = 50\n'
        'loads = ["constant:30000,30000,30000"]\n[[event]]\nat_s = 2\ndo = "cut"\nmodule = 1\n'
        '[[event]]\nat_s = 1\ndo = "link"\nup = true\nfield_strength_dbm = -81\n',
        encoding="utf-8",
    )
    folder = tmp_path / "data"
    with running(folder, *STILL, "--scenario", str(file)):
        step(folder, 4)
        first, second = show(folder)["base_modules"]
        assert (first["seconds_index"], first["powered"]) == (4, True)
        assert (second["seconds_index"], second["powered"]) == (2, False)
        assert first["import_wh"] == pytest.approx(90_000 / 50 * 4 / 3600, abs=0.1)
        trees = read(where(folder), "parameters", "--module", "cm")[0]["trees"]
        assert '"value": -81' in json.dumps(trees)
    for text, words in (
        ("seed = -1", "not below 0"), ("wind = 3", "no setting 'wind'"), ("[[event]]\nat_s = 1", "nothing to do"),
        ('[[base_module]]\nvariant = "x"', "known are direct"), ("seed =", "no TOML"),
        ('[[base_module]]\nloads = ["sun"]', "not a load"),
    ):  # fmt: skip
        file.write_text(text, encoding="utf-8")
        done = messwerk("run", "--data", str(tmp_path / "other"), "--scenario", str(file))
        assert done.returncode == 1
        assert words in done.stderr.replace("\n", " "), text


def test_the_documented_scenario_runs(tmp_path: Path) -> None:
    """The rack file of the examples plays to its end: neutral, eight days without supply, radio link."""
    example = Path(__file__).parents[2] / "examples" / "rack.toml"
    with running(tmp_path, *STILL, "--scenario", str(example)):
        step(tmp_path, 205)
        shown = show(tmp_path)
        assert len(shown["base_modules"]) == 6
        assert shown["communication_module"]["link_up"] is True
        log = read(where(tmp_path), "log", "--module", "cm")[0]["entries"]
        assert [entry["event"] for entry in log][-2:] == ["link lost", "link returned"]
        first = read(where(tmp_path), "log", "--module", shown["base_modules"][0]["server_id"])[0]["entries"]
        assert {"neutral lost", "neutral returned"} <= {entry["event"] for entry in first}
        last = read(where(tmp_path), "log", "--module", shown["base_modules"][5]["server_id"])[0]["entries"]
        assert "reserve exhausted" in {entry["event"] for entry in last}
