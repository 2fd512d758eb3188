"""Remote control of running twins: one JSON object a line, one answer a line, sans I/O.

    {"do": "press", "meter": 0, "press": "long"}
    {"ok": true}

Commands: show, press, light, power, fault, clear, speed, step, snapshot.
A command that cannot be carried out answers {"ok": false, "error": "…"}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from ..e320 import snapshot
from ..e320.faults import fault_of
from ..errors import LocalError, MesswerkError
from .twins import Twin, Twins

MAX_LINE: Final = 65_536
"""A longer command is refused and the rest of it skipped. [bytes]"""
SHORT_FLASH_S: Final = 0.3
LONG_FLASH_S: Final = 6.0
FLASH_LX: Final = 1000.0
GAP_S: Final = 0.4
"""Dark time kept after a flash, as menu tools do."""
MAX_STEPS: Final = 1_000_000


class CommandLines:
    """One controlling program's conversation: `carry_out` takes a command and returns what it answers.

    It may raise MesswerkError, ValueError, TypeError, KeyError, which become the answer.
    """

    def __init__(self, carry_out: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._carry_out = carry_out
        self._pending = bytearray()
        self._skipping = False

    def receive(self, data: bytes) -> bytes:
        """Carry out the commands that are complete; returns their answers."""
        self._pending += data
        answers: list[bytes] = []
        while (end := self._pending.find(b"\n")) >= 0:
            line, self._pending = bytes(self._pending[:end]), self._pending[end + 1 :]
            if self._skipping:
                self._skipping = False
            elif line.strip():
                answers.append(self._answer(line))
        if len(self._pending) > MAX_LINE:
            self._pending.clear()
            if not self._skipping:
                answers.append(_line({"ok": False, "error": f"a command has at most {MAX_LINE} bytes"}))
            self._skipping = True
        return b"".join(answers)

    def _answer(self, line: bytes) -> bytes:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise LocalError('a command is a JSON object like {"do": "show"}')
            return _line({"ok": True, **self._carry_out(command)})
        except (MesswerkError, ValueError, TypeError, KeyError, RecursionError) as error:
            reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
            return _line({"ok": False, "error": reason})


class ControlSession(CommandLines):
    """A conversation with E320 twins."""

    def __init__(self, twins: Twins) -> None:
        super().__init__(partial(carry_out, twins))


def carry_out(twins: Twins, command: dict[str, Any]) -> dict[str, Any]:
    """One command. Returns what it answers beside `ok`. Raises LocalError, ValueError, TypeError, KeyError."""
    twin = _twin(twins, command)
    match command.get("do"):
        case "show":
            return show(twin, twins.after_s)
        case "press":
            return _press(twins, twin, str(command["press"]))
        case "light":
            twin.meter.light(float(command["lux"]), twins.after_s)
        case "power":
            if command["on"]:
                twin.meter.restore_power()
            else:
                twin.meter.cut_power()
        case "fault":
            return _inject(twin, command)
        case "clear":
            twin.faulty.clear()
        case "speed":
            twins.speed = float(command["value"])
        case "step":
            seconds = int(command.get("seconds", 1))
            if not 0 < seconds <= MAX_STEPS:
                raise LocalError(f"a step is 1 to {MAX_STEPS} seconds")
            twins.step(seconds)
        case "snapshot":
            return {"snapshot": snapshot(twin.meter).decode()}
        case other:
            known = "show, press, light, power, fault, clear, speed, step, snapshot"
            raise LocalError(f"there is no command {other!r}; known are {known}")
    return {}


def show(twin: Twin, after_s: float = 0.0) -> dict[str, Any]:
    """The meter as an observer with X-ray eyes sees it."""
    meter = twin.meter
    display = asdict(meter.display_state(after_s))
    display["symbols"] = sorted(display["symbols"])
    return {
        "server_id": meter.server_id.hex(),
        "type": meter.variant.code,
        "on": meter.on,
        "seconds_index": int(meter.seconds_index),
        "uptime_s": meter.uptime_s,
        "display": display,
        "screen": meter.menu.screen.value,
        "registers_mws": asdict(meter.registers),
        "power_w": meter.power_w,
        "status_word": f"{meter.status_word:08x}",
        "error_register": f"{meter.error_register:08x}",
        "settings": asdict(meter.settings),
        "faults": [planned.kind for planned in twin.faulty.active],
        "telegrams": twin.telegrams,
        "telegram": twin.telegram.hex() if twin.telegram else None,
    }


def _twin(twins: Twins, command: dict[str, Any]) -> Twin:
    place = command.get("meter", 0)
    if not isinstance(place, int) or not 0 <= place < len(twins.twins):
        raise LocalError(f"there are meters 0 to {len(twins.twins) - 1}, not {place!r}")
    return twins.twins[place]


def _press(twins: Twins, twin: Twin, press: str) -> dict[str, Any]:
    """Flash at the optical button as a person would; it acts as the meter's time passes."""
    lengths = {"short": SHORT_FLASH_S, "long": LONG_FLASH_S}
    if press not in lengths:
        raise LocalError(f"a press is short or long, not {press!r}")
    begin_s = twin.meter.light_free_after_s(twins.after_s)
    twin.meter.light(FLASH_LX, begin_s)
    twin.meter.light(0.0, begin_s + lengths[press])
    twin.meter.light(0.0, begin_s + lengths[press] + GAP_S)
    return {"acts_in_s": round(begin_s + lengths[press] - twins.after_s, 3)}


def _inject(twin: Twin, command: dict[str, Any]) -> dict[str, Any]:
    table = {name: value for name, value in command.items() if name not in ("do", "meter", "start_s")}
    planned = fault_of({"duration_s": 60, **table}, "the fault")
    twin.faulty.inject(planned.fault, planned.duration_s)
    return {}


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
