"""The linter: telegrams held against the specification, each deviation with its place and quirk.

    linter = Linter()
    findings = linter.receive(data) + linter.close()
    linter.conforming          # whether nothing violates the specification
    linter.meters              # what each meter does, with counts

A *violation* is what a strict reader refuses or misreads. A *note* is legal, but a reader
somewhere has stumbled over it, or a person should know. Sans-I/O: bytes in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from ..errors import ChecksumMismatch, DecodeError, SmlError
from ..units import UNIT_SYMBOLS
from .binary import SmlFile, decode
from .leniency import Leniency
from .listing import Line, listing, offset_in_stream
from .messages import (
    GetListResponse,
    GetProfilePackResponse,
    ListEntry,
    LocalTimestamp,
    OpaqueBody,
    PublicCloseRequest,
    PublicCloseResponse,
    PublicOpenRequest,
    PublicOpenResponse,
)
from .reading import TelegramReading, readings
from .transport import Frame, FrameDecoder, Rejected


class Severity(Enum):
    """How much a finding weighs."""

    VIOLATION = "violation"
    NOTE = "note"


_V, _N = Severity.VIOLATION, Severity.NOTE
_REFUSED: Final = "refuses the message"


class Rule(Enum):
    """One thing the linter looks at."""

    severity: Severity
    quirk: str
    """Row of the quirk table in `docs/protocols/sml.md`, empty where there is none."""
    text: str
    """What was found, as a sentence."""
    strict: str
    """What a strict reader does with it."""

    def __new__(cls, severity: Severity, quirk: str, text: str, strict: str) -> Rule:
        member = object.__new__(cls)
        member._value_ = text
        member.severity, member.quirk, member.text, member.strict = severity, quirk, text, strict
        return member

    # the line
    NOISE = _N, "Q11", "bytes stand outside of telegrams", "skips them"
    CUT = _N, "", "the source begins or ends within a telegram", "skips it"
    BROKEN_FRAME = _V, "Q19", "a telegram is damaged or incomplete", "rejects the telegram"
    # transport
    FRAME_CRC = _V, "", "the CRC of the frame is wrong", "rejects the telegram"
    KERMIT_FRAME = _V, "Q3", "the CRC of the frame is Kermit's, high byte first", "rejects the telegram"
    FILL_COUNT = _V, "Q9", "more fill bytes are announced than can be needed", "rejects the telegram"
    VERSION_2 = _V, "", "a transport version 2 block", "rejects the telegram: no public text defines it"
    # the file
    NO_OPEN = _V, "", "the file does not begin with an open message", "answers FE 0D or refuses the file"
    NO_CLOSE = _V, "", "the file does not end with a close message", "answers FE 14 or refuses the file"
    EXTRA_ZEROS = _V, "Q10", "zero bytes stand between or behind the messages", "loses the rest of the file"
    MESSAGE_CRC = _V, "", "the CRC of a message is wrong", _REFUSED
    KERMIT_MESSAGE = _V, "Q3", "the CRC of a message is Kermit's, high byte first", _REFUSED
    SHORT_CRC = _V, "Q4", "the CRC field lost its leading zero byte", "refuses the message where it expects two bytes"
    STRUCTURE = _V, "", "a message is not built as its table says", _REFUSED
    FOREIGN_BODY = _N, "", "the body is not in the published tables", "passes it over"
    # fields
    BARE_TIME = _V, "Q2", "a time is a bare Unsigned32 without the choice around it", _REFUSED
    MISSING_VALUE = _V, "Q12", "a list entry has no value", _REFUSED
    DUMMY_OPTIONALS = _V, "Q8", "a text carries unit 0 and scaler 0 instead of nothing", "shows a unit that is none"
    DUMMY_TIME = _V, "Q8", "the time of a value is 0 instead of nothing", "takes it for the first second, or for 1970"
    UNASSIGNED_UNIT = _V, "", "the unit code is not assigned by DLMS", "shows the value without unit"
    NAME_LENGTH = _V, "", "an object name has not the six bytes of an OBIS code", "cannot name the value"
    PROFILE_WIDTH = _V, "", "a profile row has more or fewer values than the header", "cannot assign the values"
    DZG_SIGN = _V, "Q1", "a positive power was cut until its sign bit is set", "reads a wrong negative power"
    # legal, but
    DIRECTION_BIT = (
        _N,
        "Q6",
        "the power is a magnitude; its direction stands only in the status word",
        "shows no direction",
    )
    SHORT_INTEGER = _N, "Q5", "an integer has 3, 5, 6 or 7 bytes", "reads it; careless readers lose the sign"
    LOCAL_TIME = _N, "Q7", "a local time stamp (since SML 1.04)", "reads it; readers of 1.03 refuse it"
    TIME_ON_TEXT = _N, "Q13", "a text carries a time", "reads it; fixed-offset readers stumble"
    FREE_SERVER_ID = _N, "Q14", "the server ID has a form of its own", "reads it; readers that expect ten bytes fail"
    WIDE_TAG = _N, "Q15", "the tag of a body has four bytes", "reads it; some readers expect two"
    LONG_LIST = _N, "Q16", "the list has 16 or more entries and a TL of two bytes", "reads it; some readers crash"
    NO_TOTAL = _N, "Q17", "a tariff register is sent without the total", "reads it"
    OTHER_CHANNEL = _N, "Q23", "an OBIS code has a channel (B) other than 0", "reads it; pattern readers miss it"
    NO_SENSOR_TIME = _N, "", "the list has no time", "cannot order telegrams"
    INDEX_NOT_RISING = _N, "", "the seconds index is not above that of the telegram before", "takes it for a repetition"
    REDUCED_SET = _N, "Q21", "the reduced data set: whole kWh, no power", "reads it; enter the PIN, switch InF on"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found at one place."""

    rule: Rule
    offset: int
    """Byte in the stream, counted from the first one given to the linter."""
    path: str
    """The field, e.g. `GetListResponse.val_list[2].unit`; empty for frame and file."""
    found: str
    """What stands there, for people."""

    def __str__(self) -> str:
        quirk = f" [{self.rule.quirk}]" if self.rule.quirk else ""
        where = f"{self.path} at byte {self.offset}" if self.path else f"byte {self.offset}"
        found = f" ({self.found})" if self.found else ""
        return (
            f"{self.rule.severity.value}{quirk}: {where}: {self.rule.text}{found}; a strict reader {self.rule.strict}"
        )


@dataclass(slots=True)
class Habit:
    """A finding that a meter repeats: where it was first, and how often."""

    first: Finding
    count: int = 1


MAX_HABITS: Final = 1000
"""Different findings kept per meter; later new ones are only counted into `conforming`."""
MAX_METERS: Final = 1000
"""Meters told apart; those above share one record."""


@dataclass(slots=True)
class MeterRecord:
    """What one meter does. `server_id` is empty for findings that belong to no readable telegram."""

    server_id: bytes
    name: str = ""
    manufacturer: str | None = None
    telegrams: int = 0
    habits: dict[tuple[Rule, str], Habit] = field(default_factory=dict)
    """By rule and path, in the order of their first appearance."""
    last_index: int | None = None

    @property
    def conforming(self) -> bool:
        """Whether no finding of this meter is a violation."""
        return not any(rule.severity is Severity.VIOLATION for rule, _ in self.habits)

    def count(self, finding: Finding) -> None:
        key = finding.rule, finding.path
        if key in self.habits:
            self.habits[key].count += 1
        elif len(self.habits) < MAX_HABITS:
            self.habits[key] = Habit(finding)


class Linter:
    """Checks a stream of telegrams of any number of meters."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._received = 0
        self._seen_to = 0
        self.meters: dict[bytes, MeterRecord] = {}
        """By server ID, in the order they were first heard; under `b""` what belongs to no meter."""
        self.telegrams = 0
        self.violations = 0
        """Findings that are violations, repetitions included."""

    @property
    def conforming(self) -> bool:
        """Whether there were telegrams, and nothing violated a rule."""
        return bool(self.telegrams) and not self.violations

    def receive(self, data: bytes) -> list[Finding]:
        """Check the next bytes; what they completed gives findings."""
        self._received += len(data)
        return self._check(self._decoder.receive(data))

    def close(self) -> list[Finding]:
        """Check the end of the stream."""
        findings = self._check(self._decoder.close())
        if self._received > self._seen_to:
            findings += self._note_line(Rule.NOISE, self._seen_to, f"{self._received - self._seen_to} bytes at the end")
            self._seen_to = self._received
        return findings

    def _check(self, events: list[Frame | Rejected]) -> list[Finding]:
        findings: list[Finding] = []
        for event in events:
            findings += self._check_gap(event.offset)
            if isinstance(event, Rejected):
                self._seen_to = max(self._seen_to, event.offset + event.size)
                findings += self._note_line(_rule_of_rejection(event.reason), event.offset, str(event.reason))
            else:
                self._seen_to = max(self._seen_to, event.offset + len(event.raw))
                findings += self._check_frame(event)
        return findings

    def _check_gap(self, offset: int) -> list[Finding]:
        gap = offset - self._seen_to
        if gap <= 0:
            return []
        first = self._seen_to == 0
        return self._note_line(Rule.CUT if first else Rule.NOISE, self._seen_to, f"{gap} bytes")

    def _note_line(self, rule: Rule, offset: int, found: str) -> list[Finding]:
        finding = Finding(rule, offset, "", found)
        self._keep(self._record(b""), [finding])
        return [finding]

    def _check_frame(self, frame: Frame) -> list[Finding]:
        try:
            file = decode(frame.payload)
        except SmlError as error:
            at = _Places(frame).offset(error.offset if isinstance(error, DecodeError | ChecksumMismatch) else 0)
            return self._note_line(_rule_of_drop(error), at, str(error))
        self.telegrams += 1
        telegrams = readings(file)
        record = self._record(bytes(telegrams[0].server_id or b""))
        record.telegrams += 1
        record.name = str(telegrams[0].server_id or "")
        record.manufacturer = record.manufacturer or telegrams[0].manufacturer
        findings = list(_findings(frame, file, telegrams, record.last_index))
        record.last_index = telegrams[0].seconds_index
        self._keep(record, findings)
        return findings

    def _record(self, server_id: bytes) -> MeterRecord:
        if server_id not in self.meters and len(self.meters) >= MAX_METERS:
            server_id = b""
        return self.meters.setdefault(server_id, MeterRecord(server_id))

    def _keep(self, record: MeterRecord, findings: list[Finding]) -> None:
        for finding in findings:
            record.count(finding)
            self.violations += finding.rule.severity is Severity.VIOLATION


def _rule_of_rejection(reason: SmlError) -> Rule:
    if isinstance(reason, ChecksumMismatch):
        return Rule.FRAME_CRC
    if isinstance(reason, DecodeError):
        if reason.found == "the end of the stream":
            return Rule.CUT
        if reason.expected == "transport version 1":
            return Rule.VERSION_2
    return Rule.BROKEN_FRAME


def _rule_of_drop(reason: SmlError) -> Rule:
    return Rule.MESSAGE_CRC if isinstance(reason, ChecksumMismatch) else Rule.STRUCTURE


# --- one telegram --------------------------------------------------------------------------


class _Places:
    """Where the fields of a frame stand in the stream."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.lines = listing(frame.payload)
        self._paths: dict[str, int] = {}
        for line in self.lines:
            self._paths.setdefault(line.path, line.element.offset)

    def offset(self, payload_offset: int) -> int:
        """Stream offset of a payload byte."""
        return offset_in_stream(self._frame, payload_offset)

    def of(self, path: str) -> int:
        """Stream offset of a field; the start of the file where the path names none."""
        return self.offset(self._paths.get(path, 0))


def _findings(
    frame: Frame, file: SmlFile, telegrams: tuple[TelegramReading, ...], last_index: int | None
) -> Iterator[Finding]:
    places = _Places(frame)
    for deviation in frame.deviations:
        yield Finding(Rule[deviation.leniency.name], frame.offset + deviation.offset, "", deviation.detail)
    for error in file.dropped:
        at = places.offset(error.offset if isinstance(error, DecodeError | ChecksumMismatch) else 0)
        yield Finding(_rule_of_drop(error), at, "", str(error))
    for deviation in file.deviations:
        yield Finding(Rule[deviation.leniency.name], places.offset(deviation.offset), deviation.path, deviation.detail)
    yield from _of_order(file, places)
    for line in places.lines:
        for rule, found in _of_line(line):
            yield Finding(rule, places.offset(line.element.offset), line.path, found)
    for message in file.messages:
        for rule, path, found in _of_body(message.body):
            yield Finding(rule, places.of(path), path, found)
    for telegram in telegrams:
        yield from _of_meaning(telegram, file, places, last_index)


def _of_order(file: SmlFile, places: _Places) -> Iterator[Finding]:
    if not file.messages or file.dropped:
        return
    first, last = file.messages[0].body, file.messages[-1].body
    if not isinstance(first, PublicOpenRequest | PublicOpenResponse):
        yield Finding(Rule.NO_OPEN, places.offset(0), "", type(first).__name__)
    if not isinstance(last, PublicCloseRequest | PublicCloseResponse):
        yield Finding(Rule.NO_CLOSE, places.offset(0), "", type(last).__name__)


_ODD_WIDTHS: Final = (3, 5, 6, 7)
_WIDE_TAG: Final = 4
_LONG_LIST: Final = 16
_UNITS_WITHOUT_SYMBOL: Final = (0, 253, 254)


def _of_line(line: Line) -> Iterator[tuple[Rule, str]]:
    """What the bytes of one element show, whatever they mean."""
    element = line.element
    number = element.type in ("integer", "unsigned")
    if line.name == "tag" and element.length == _WIDE_TAG:
        yield Rule.WIDE_TAG, element.hex
    elif number and element.length in _ODD_WIDTHS and line.name != "crc16":
        yield Rule.SHORT_INTEGER, f"{element.length} bytes: {element.hex}"
    if element.type == "list" and element.length >= _LONG_LIST and line.path.endswith(".val_list"):
        yield Rule.LONG_LIST, f"{element.length} entries: {element.hex}"
    if line.name == "localTimestamp":
        yield Rule.LOCAL_TIME, ""
    if number and line.name.startswith("unit"):
        unit = int.from_bytes(element.wire[-element.length :], "big")
        if unit not in UNIT_SYMBOLS and unit not in _UNITS_WITHOUT_SYMBOL:
            yield Rule.UNASSIGNED_UNIT, str(unit)


def _of_body(body: Any) -> Iterator[tuple[Rule, str, str]]:
    """What the declared values show: rule, path, found."""
    name = type(body).__name__
    match body:
        case OpaqueBody(tag, _):
            yield Rule.FOREIGN_BODY, "Message.body.tag", f"{tag:#06x}"
        case GetProfilePackResponse():
            for index, row in enumerate(body.period_list):
                if len(row.value_list) != len(body.header_list):
                    found = f"{len(row.value_list)} values under {len(body.header_list)} names"
                    yield Rule.PROFILE_WIDTH, f"{name}.period_list[{index}].value_list", found
        case GetListResponse():
            if not _is_known_form(body.server_id):
                yield Rule.FREE_SERVER_ID, f"{name}.server_id", body.server_id.hex(" ")
            if body.act_sensor_time is None:
                yield Rule.NO_SENSOR_TIME, f"{name}.act_sensor_time", ""
            codes = {entry.obj_name[:5] for entry in body.val_list}
            if _MAGNITUDE in codes and _SIGNED not in codes:
                index = next(index for index, entry in enumerate(body.val_list) if entry.obj_name[:5] == _MAGNITUDE)
                yield Rule.DIRECTION_BIT, f"{name}.val_list[{index}].value", ""
            for index, entry in enumerate(body.val_list):
                path = f"{name}.val_list[{index}]"
                yield from ((rule, path + field, found) for rule, field, found in _of_entry(entry, codes))


_MAGNITUDE: Final = bytes.fromhex("01000f0700")
_SIGNED: Final = bytes.fromhex("0100100700")
"""15.7.0 and 16.7.0 without their last part."""


def _of_entry(entry: ListEntry, codes: set[bytes]) -> Iterator[tuple[Rule, str, str]]:
    code = entry.obj_name
    if len(code) != 6:
        yield Rule.NAME_LENGTH, ".obj_name", f"{len(code)} bytes: {code.hex(' ')}"
        return
    if code[0] <= 1 and code[1] != 0:
        yield Rule.OTHER_CHANNEL, ".obj_name", code.hex(" ")
    if code[0] == 1 and code[2] in (1, 2) and code[3] == 8 and code[4] and code[:4] + b"\0" not in codes:
        yield Rule.NO_TOTAL, ".obj_name", code.hex(" ")
    if _is_zero(entry.val_time) and not isinstance(entry.value, bytes):
        yield Rule.DUMMY_TIME, ".val_time", "second 0"
    if isinstance(entry.value, bytes) and entry.val_time is not None and not _is_zero(entry.val_time):
        yield Rule.TIME_ON_TEXT, ".val_time", ""


def _is_zero(time: Any) -> bool:
    return time is not None and not isinstance(time, LocalTimestamp) and not time.value


_ID_LENGTHS: Final = {1: 9, 2: 9, 3: 10, 4: 8, 5: 7, 6: 10, 7: 8, 8: 8, 9: 10, 10: 10}
"""Bytes of a server ID of each type, its first byte included."""


def _is_known_form(server_id: bytes) -> bool:
    return bool(server_id) and _ID_LENGTHS.get(server_id[0]) == len(server_id)


def _of_meaning(telegram: TelegramReading, file: SmlFile, places: _Places, last_index: int | None) -> Iterator[Finding]:
    for deviation in telegram.deviations:
        told = deviation.leniency is Leniency.DIRECTION_BIT or any(deviation is known for known in file.deviations)
        if not told:
            yield Finding(Rule[deviation.leniency.name], places.of(deviation.path), deviation.path, deviation.detail)
    if telegram.reduced:
        yield Finding(Rule.REDUCED_SET, places.of("GetListResponse.val_list"), "GetListResponse.val_list", "")
    if telegram.seconds_index is not None and last_index is not None and telegram.seconds_index <= last_index:
        path = "GetListResponse.act_sensor_time"
        yield Finding(Rule.INDEX_NOT_RISING, places.of(path), path, f"{telegram.seconds_index} after {last_index}")


__all__ = ["Finding", "Habit", "Linter", "MeterRecord", "Rule", "Severity"]
