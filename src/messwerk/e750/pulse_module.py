"""The pulse module: six energy outputs and a period output, driven by signed tuples alone.

It binds itself to the first base module it hears, reads that module's key and constants over
the bus, and believes only tuples whose both signatures fit.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .. import sml
from ..errors import DecodeError, InvalidIdentifier, InvalidSignature, SmlError
from ..identity import ServerId
from ..signing import PublicKey
from ..sml.messages import ProcParValue
from ..sml.session import SmlClient, SmlServer
from ..tuples import (
    STATUS_EPOCH_CHANGED,
    STATUS_FATAL,
    STATUS_FIRMWARE_CHANGED,
    STATUS_PARAMETER_CHANGED,
    STATUS_SELF_TEST_FAULT,
    SignedTuple,
)
from . import object_names as names
from .bus import Group, Segment
from .bus_application import BusApplication, announcement, identification
from .bus_service import SIGNATURE_PROFILES
from .devices import BASE_MODULE_CLASSES
from .firmware import Firmware
from .firmware_tree import firmware_parameters
from .parameters import Change, Parameter, flag, octets, to_flag, to_int, to_octets, u16, u32
from .pulses import LENGTH_MAX_MS, LENGTH_MS, Channel
from .state import StateFile

DEVICE_CLASS: Final = bytes.fromhex("8181c78245ff")
OUTPUTS: Final = ("import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh")
"""Channels in the order of the terminals: +A, -A, R1 … R4."""
CONSTANT_MAX: Final = 1_000_000
SECONDS_KEPT: Final = 3600
"""Seconds of pulses that wait to be taken; older ones are dropped from the stream, not from the counts."""
ANNOUNCE_EVERY: Final = 60
"""Tuples between two announcements. [design]"""
_CURVES: Final = {number: curve for curve, number in SIGNATURE_PROFILES.items()}


@dataclass(frozen=True, slots=True)
class PulseSecond:
    """What the outputs do in the second after a tuple."""

    index: int
    """Of the tuple."""
    pulses: tuple[tuple[int, ...], ...]
    """Starting times in ms, for each of OUTPUTS."""
    length_ms: int
    period: bool
    """Whether the period output switches for this second: a period has ended."""


class PulseModule:
    """One pulse module. `source` binds it to a base module; without one it takes the first it hears.

    `take()` hands over the seconds of pulses made since the last call. State in `folder`
    survives a kill; at most the second in which it happens loses its pulses, none comes twice.
    Raises BusyError, StoreDamaged, LocalError.
    """

    groups: Final = frozenset({Group.TUPLES, Group.COMMANDS})

    def __init__(
        self,
        server_id: ServerId,
        bus: Segment,
        folder: Path,
        *,
        source: ServerId | None = None,
        download_key: PublicKey | None = None,
    ) -> None:
        self.server_id, self.bus = server_id, bus
        self.source = source
        self.key: PublicKey | None = None
        self.constants = {"active": 0, "reactive": 0}
        """imp/kWh and imp/kvarh in use; 0 until they are known."""
        self.manual = False
        """Whether the constants were set by hand and are not read from the base module."""
        self.length_ms = LENGTH_MS
        self.period_opens = True
        """Polarity of the period output: closed at rest and open for one second, or the other way round."""
        self.channels = {name: Channel() for name in OUTPUTS}
        self.invalid_signatures = self.backward = self.overloads = self.held = 0
        """Readings not used, by reason; `held` counts faults the base module itself reported."""
        self._last_index: int | None = None
        self._epoch_changed = False
        self._seconds: deque[PulseSecond] = deque(maxlen=SECONDS_KEPT)
        self._client = SmlClient(server_id)
        self._asked = False
        self._heard = 0
        self._state = StateFile(folder / "state")
        with ExitStack() as on_failure:
            on_failure.callback(self._state.close)
            self._resume()
            self.firmware = Firmware(folder, DEVICE_CLASS, download_key=download_key)
            on_failure.callback(self.firmware.close)
            self.server = SmlServer(BusApplication(server_id, self._parameters, self.firmware))
            bus.attach(self)
            on_failure.pop_all()
        self.announce()

    def take(self) -> list[PulseSecond]:
        """The seconds made since the last call, oldest first."""
        taken = list(self._seconds)
        self._seconds.clear()
        return taken

    def announce(self) -> None:
        """Tell the bus who is here."""
        frame = announcement(self.server_id, None, self._identification())
        self.bus.send(frame, self.server_id, Group.TUPLES)

    # --- bus -------------------------------------------------------------------------------

    def on_frame(self, frame: bytes, sender: ServerId, group: Group | None) -> None:
        """Take a tuple or an announcement; answer requests; read the answer to our own."""
        if group is Group.TUPLES:
            self._broadcast(frame, sender)
        elif group is None and sender == self.source and self._asked:
            self._learn(frame)
        else:
            answer = self.server.receive(frame, broadcast=group is not None)
            if answer:
                self.bus.send(answer, self.server_id, sender)

    def _broadcast(self, frame: bytes, sender: ServerId) -> None:
        if self.source is not None and sender != self.source:
            return
        for received in sml.FrameDecoder(max_frame=65536).receive(frame):
            if not isinstance(received, sml.Frame):
                continue
            try:
                messages = sml.decode(received.payload).messages
            except SmlError:
                continue
            for message in messages:
                if isinstance(message.body, sml.GetProcParameterResponse):
                    self._hear(message.body.parameter_tree, sender)

    def _hear(self, tree: sml.Tree, sender: ServerId) -> None:
        if tree.parameter_name == names.IDENTIFICATION:
            if self.source is None and _value(tree, names.DEVICE_CLASS) in BASE_MODULE_CLASSES:
                self.source = sender
            if self.source == sender and self.key is None:
                self._ask()
        elif isinstance(tree.parameter_value, sml.TupelParameter):
            if self.source is None:
                self.source = sender
            if self.key is None or not all(self.constants.values()):
                self._ask()
            try:
                self._tuple(SignedTuple.from_entry(tree.parameter_value.value))
            except DecodeError:
                self.invalid_signatures += 1

    def _ask(self) -> None:
        """Read key and constants from the base module: zero configuration."""
        if self.source is None:
            return
        self._asked = True
        self._client = SmlClient(self.server_id)
        requests = [
            sml.GetProcParameterRequest(parameter_tree_path=(path,)) for path in (names.IDENTIFICATION, names.SETTINGS)
        ]
        self.bus.send(self._client.request(self.source, requests), self.server_id, self.source)

    def _learn(self, frame: bytes) -> None:
        """Take key and constants from the base module's answer; anything unusable is asked for again."""
        self._asked = False
        for answer in self._client.receive(frame):
            trees = [
                body.parameter_tree
                for bodies in answer.responses.values()
                for body in bodies
                if isinstance(body, sml.GetProcParameterResponse)
            ]
            values = {name: value for tree in trees for name, value in _leaves(tree)}
            point, curve = values.get(names.PUBLIC_KEY), values.get(names.SIGNATURE_PROFILE)
            try:
                if isinstance(point, bytes) and isinstance(curve, int) and curve in _CURVES and self.key is None:
                    self.key = PublicKey.from_point(_CURVES[curve], point)
            except InvalidIdentifier:
                self.invalid_signatures += 1
            if not self.manual:
                for kind, name in (("active", names.LED_ACTIVE), ("reactive", names.LED_REACTIVE)):
                    found = values.get(name)
                    if isinstance(found, int) and 0 < found <= CONSTANT_MAX:
                        self.constants[kind] = int(found)
            self._save()

    # --- pulses ----------------------------------------------------------------------------

    def _tuple(self, signed: SignedTuple) -> None:
        """Turn one tuple into the pulses of the next second."""
        if self.key is None or signed.server_id != self.source or not all(self.constants.values()):
            return
        if self._last_index is not None and signed.index <= self._last_index:
            return
        try:
            signed.verify(self.key)
        except InvalidSignature:
            self.invalid_signatures += 1
            return
        if signed.status & (STATUS_FATAL | STATUS_SELF_TEST_FAULT):
            self.held += 1
            return
        self._feed(signed)
        pulses = tuple(tuple(channel.give(self.length_ms)) for channel in self.channels.values())
        self._last_index = signed.index
        self._save()
        self._seconds.append(PulseSecond(signed.index, pulses, self.length_ms, signed.start_of_interval))
        self.overloads += any(channel.overloaded(self.length_ms) for channel in self.channels.values())
        if signed.status & (STATUS_PARAMETER_CHANGED | STATUS_FIRMWARE_CHANGED) and not self.manual:
            self._ask()
        self._heard += 1
        if self.firmware.poll(signed.index) or self._heard % ANNOUNCE_EVERY == 0:
            self.announce()

    def _feed(self, signed: SignedTuple) -> None:
        epoch_changed = bool(signed.status & STATUS_EPOCH_CHANGED)
        if epoch_changed and not self._epoch_changed:
            for channel in self.channels.values():
                channel.restart(None)
        self._epoch_changed = epoch_changed
        seconds = signed.index - self._last_index if self._last_index is not None else 1
        for name, channel in self.channels.items():
            constant = self.constants["active" if name.endswith("_wh") else "reactive"]
            if not channel.feed(getattr(signed, name), constant, signed.scaler, seconds):
                self.backward += 1

    def bind(self, source: ServerId | None) -> None:
        """Follow another base module (None: the next one heard). What is owed is still given out."""
        self.source, self.key, self._last_index, self._asked = source, None, None, False
        for channel in self.channels.values():
            channel.restart(None)
        self._save()
        self._ask()

    # --- parameters ------------------------------------------------------------------------

    def _identification(self) -> Parameter:
        return identification(self.server_id, DEVICE_CLASS, b"LGZ", b"E75M IM", lambda: self.firmware.version)

    def _parameters(self) -> tuple[Parameter, ...]:
        children = (
            Parameter(names.PULSE_SOURCE, self._source, self._set_source),
            Parameter(names.PULSE_ACTIVE, lambda: u32(self.constants["active"]), self._set_constant("active")),
            Parameter(names.PULSE_REACTIVE, lambda: u32(self.constants["reactive"]), self._set_constant("reactive")),
            Parameter(names.PULSE_LENGTH, lambda: u16(self.length_ms), self._set_length),
            Parameter(names.PULSE_PERIOD_OUTPUT, lambda: flag(self.period_opens), self._set_polarity),
            Parameter(
                names.PULSE_COUNTS,
                children=tuple(
                    Parameter(names.PROFILE_COLUMNS[column], _reader(self.channels[name]))
                    for name, column in zip(OUTPUTS, (0, 4, 1, 5, 6, 2), strict=True)
                ),
            ),
            Parameter(names.PULSE_HELD, lambda: u32(self.invalid_signatures + self.backward + self.held)),
        )
        settings = Parameter(names.PULSE_SETTINGS, children=children)
        return (self._identification(), settings, *firmware_parameters(self.firmware))

    def _source(self) -> ProcParValue | None:
        return octets(self.source) if self.source is not None else None

    def _set_source(self, value: ProcParValue) -> Change:
        chosen = to_octets(value, 0, 32)
        return lambda: self.bind(ServerId(chosen) if chosen else None)

    def _set_constant(self, kind: str) -> Any:
        def write(value: ProcParValue) -> Change:
            constant = to_int(value, 0, CONSTANT_MAX)

            def change() -> None:
                self.manual = bool(constant)
                self.constants[kind] = constant
                self._save()
                if not constant:
                    self._ask()

            return change

        return write

    def _set_length(self, value: ProcParValue) -> Change:
        length = to_int(value, LENGTH_MS, LENGTH_MAX_MS)

        def change() -> None:
            self.length_ms = length
            self._save()

        return change

    def _set_polarity(self, value: ProcParValue) -> Change:
        opens = to_flag(value)

        def change() -> None:
            self.period_opens = opens
            self._save()

        return change

    # --- memory ----------------------------------------------------------------------------

    def _save(self) -> None:
        self._state.save(
            {
                "source": self.source.hex() if self.source is not None else None,
                "key": [SIGNATURE_PROFILES[self.key.curve], self.key.point.hex()] if self.key is not None else None,
                "constants": self.constants,
                "settings": [self.manual, self.length_ms, self.period_opens],
                "last_index": self._last_index,
                "epoch_changed": self._epoch_changed,
                "channels": {
                    name: [one.last_value, one.remainder, one.owed, one.spread_s, one.total]
                    for name, one in self.channels.items()
                },
            }
        )

    def _resume(self) -> None:
        state = self._state.load()
        if state is None:
            return
        with self._state.understood():
            self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        if self.source is None and state["source"] is not None:
            self.source = ServerId(bytes.fromhex(state["source"]))
        same = self.source is not None and self.source.hex() == state["source"]
        if state["key"] is not None and same:
            number, point = state["key"]
            self.key = PublicKey.from_point(_CURVES[number], bytes.fromhex(point))
        self.constants = state["constants"]
        self.manual, self.length_ms, self.period_opens = state["settings"]
        self._epoch_changed = state["epoch_changed"]
        self.channels = {name: Channel(*state["channels"][name]) for name in OUTPUTS}
        if same:
            self._last_index = state["last_index"]
        else:
            for channel in self.channels.values():
                channel.restart(None)

    def close(self) -> None:
        """Leave the bus and let go of the state."""
        self.bus.detach(self)
        self._state.close()
        self.firmware.close()


def _reader(channel: Channel) -> Any:
    return lambda: u32(channel.total & 0xFFFF_FFFF)


def _value(tree: sml.Tree, name: bytes) -> object:
    return next((value for found, value in _leaves(tree) if found == name), None)


def _leaves(tree: sml.Tree) -> list[tuple[bytes, object]]:
    """Name and value of every node that has one, whatever is nested how."""
    found: list[tuple[bytes, object]] = []
    if isinstance(tree.parameter_value, sml.ValueParameter):
        found.append((tree.parameter_name, tree.parameter_value.value))
    for child in tree.child_list or ():
        found += _leaves(child)
    return found
