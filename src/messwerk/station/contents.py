"""What a batch says: signed tuples, unsigned readings, identities, times.

Telegrams are read tolerantly here and nowhere else: whatever is no tuple, no reading and no
identity is left out and named in `problems`; nothing a peer sends can raise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from .. import sml
from ..errors import SmlError
from ..seconds_index import SecondsIndex
from ..tuples import SignedTuple
from ..units import VAR_HOUR, WATT_HOUR

FRAME_MAX: Final = 1 << 20
"""Largest frame read from a batch. A GetProfilePack of two days has 45 kB. [bytes]"""
PROBLEMS_MAX: Final = 20
"""Problems named a batch; more are only counted. [design]"""

IDENTIFICATION: Final = bytes.fromhex("8181c78201ff")
DEVICE_CLASS: Final = bytes.fromhex("8181c78202ff")
MANUFACTURER: Final = bytes.fromhex("8181c78203ff")
SERVER_ID: Final = bytes.fromhex("8181c78204ff")
PUBLIC_KEY: Final = bytes.fromhex("8181c78205ff")
FIRMWARE_VERSION: Final = bytes.fromhex("818100020000")
UTC: Final = bytes.fromhex("010000090b00")
SIGNATURE_IMPORT: Final = bytes.fromhex("8181c78402ff")
SIGNATURE_EXPORT: Final = bytes.fromhex("8181c78403ff")
VISIBLE_MODULES: Final = bytes.fromhex("81811006ffff")
ACTIVE_MODULES: Final = bytes.fromhex("81811106ffff")
POWER: Final = bytes.fromhex("0100100700ff")

_SPELLINGS: Final = ((1, 0, 8, 0), (1, 1, 8, 0), (1, 0, 8, 1))
"""A, B, D, E of an energy register: base-meter name, SyM² tuple name, SyM² profile column."""
_COLUMNS: Final = {1: "import_wh", 5: "r1_varh", 8: "r4_varh", 2: "export_wh", 6: "r2_varh", 7: "r3_varh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedReading:
    """Registers of an INFO telegram; None where the meter does not send one."""

    server_id: bytes
    index: int
    status: int
    scaler: int
    """Registers are raw x 10**scaler Wh or varh."""
    import_wh: int
    export_wh: int | None = None
    r1_varh: int | None = None
    r2_varh: int | None = None
    r3_varh: int | None = None
    r4_varh: int | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a module says of itself."""

    server_id: bytes
    manufacturer: str | None = None
    device_class: bytes | None = None
    public_key: bytes | None = None
    firmware: str | None = None


@dataclass(slots=True)
class Contents:
    """Everything found in one batch, in its order."""

    tuples: list[SignedTuple] = field(default_factory=list)
    readings: list[UnsignedReading] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    ref_times: list[tuple[bytes, int]] = field(default_factory=list)
    """(server ID, index) of each open response: the meter's time when it answered."""
    dated_rows: list[tuple[bytes, int, int]] = field(default_factory=list)
    """(server ID, index, UTC) of pushed rows that carry both."""
    modules: list[bytes] = field(default_factory=list)
    """Server IDs that a communication module lists behind it."""
    attentions: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(server ID, number) of each attention."""
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def problem(self, text: str) -> None:
        """Count something unreadable and keep the first few in words."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(text)


def read(raw: bytes) -> Contents:
    """Read the frames of a batch. Never raises for what they hold."""
    contents = Contents()
    decoder = sml.FrameDecoder(max_frame=FRAME_MAX)
    for event in (*decoder.receive(raw), *decoder.close()):
        if isinstance(event, sml.Rejected):
            contents.problem(f"frame at byte {event.offset}: {event.reason}")
        else:
            read_payload(event.payload, contents)
    if decoder.bytes_skipped and not contents.problem_count:
        contents.problem(f"{decoder.bytes_skipped} bytes outside any frame")
    return contents


def read_payload(payload: bytes, contents: Contents) -> None:
    """Read one SML file (no transport frame) into `contents`."""
    try:
        file = sml.decode(payload)
    except SmlError as error:
        contents.problem(str(error))
        return
    for dropped in file.dropped:
        contents.problem(str(dropped))
    for message in file.messages:
        try:
            _read_body(message.body, contents)
        except (SmlError, ValueError, OverflowError) as error:
            contents.problem(str(error))


def _read_body(body: sml.Body, contents: Contents) -> None:
    match body:
        case sml.PublicOpenResponse(server_id=server_id, ref_time=sml.SecIndex(value=index)):
            contents.ref_times.append((server_id, index))
        case sml.GetProcParameterResponse():
            _read_tree(body, contents)
        case sml.GetProfilePackResponse():
            _read_pack(body, contents)
        case sml.GetProfileListResponse():
            _read_row(body, contents)
        case sml.GetListResponse():
            _read_list(body, contents)
        case sml.AttentionResponse(server_id=server_id, attention_no=number):
            contents.attentions.append((server_id, number))


# --- parameter trees: special tuples, identities, module lists -----------------------------


def _walk(tree: sml.Tree) -> Iterator[sml.Tree]:
    yield tree
    for child in tree.child_list or ():
        yield from _walk(child)


def _octets(node: sml.Tree) -> bytes | None:
    match node.parameter_value:
        case sml.ValueParameter(value=bytes() as octets):
            return octets
    return None


def _read_tree(body: sml.GetProcParameterResponse, contents: Contents) -> None:
    for node in _walk(body.parameter_tree):
        if isinstance(node.parameter_value, sml.TupelParameter):
            try:
                contents.tuples.append(_plausible(SignedTuple.from_entry(node.parameter_value.value)))
            except SmlError as error:
                contents.problem(str(error))
    path = body.parameter_tree_path
    if IDENTIFICATION in path:
        leaves = {node.parameter_name: node for node in _walk(body.parameter_tree)}
        contents.identities.append(_identity(body.server_id, leaves))
    elif any(name in path for name in (VISIBLE_MODULES, ACTIVE_MODULES)):
        for node in _walk(body.parameter_tree):
            if node.parameter_name == SERVER_ID and (octets := _octets(node)) and len(octets) <= 32:
                contents.modules.append(octets)


def _identity(server_id: bytes, leaves: Mapping[bytes, sml.Tree]) -> Identity:
    def octets(name: bytes, longest: int) -> bytes | None:
        value = _octets(leaves[name]) if name in leaves else None
        return value if value is not None and len(value) <= longest else None

    def text(name: bytes) -> str | None:
        value = octets(name, 64)
        return value.decode("ascii", "replace") if value is not None else None

    return Identity(
        server_id=server_id,
        manufacturer=text(MANUFACTURER),
        device_class=octets(DEVICE_CLASS, 6),
        public_key=octets(PUBLIC_KEY, 64),
        firmware=text(FIRMWARE_VERSION),
    )


# --- profiles ------------------------------------------------------------------------------


def _column(name: bytes) -> str | None:
    """Which part of a tuple a profile column holds, by any of the spellings in use."""
    if name == SIGNATURE_IMPORT:
        return "signature_import"
    if name == SIGNATURE_EXPORT:
        return "signature_export"
    if len(name) == 6 and (name[0], name[1], name[3], name[4]) in _SPELLINGS:
        return _COLUMNS.get(name[2])
    return None


def _read_pack(body: sml.GetProfilePackResponse, contents: Contents) -> None:
    columns = [_column(header.obj_name) for header in body.header_list]
    scalers = [
        header.scaler for header, column in zip(body.header_list, columns, strict=True) if column in _COLUMNS.values()
    ]
    units = {
        column: header.unit for header, column in zip(body.header_list, columns, strict=True) if column is not None
    }
    for row in body.period_list:
        if len(row.value_list) != len(columns):
            contents.problem(f"a profile row of {len(row.value_list)} values under {len(columns)} headers")
            continue
        values = {
            column: entry.value for column, entry in zip(columns, row.value_list, strict=True) if column is not None
        }
        try:
            contents.tuples.append(_row_tuple(body.server_id, row.val_time, row.status, scalers, units, values))
        except (SmlError, ValueError) as error:
            contents.problem(str(error))


def _read_row(body: sml.GetProfileListResponse, contents: Contents) -> None:
    values, units, scalers, utc = {}, {}, [], None
    for entry in body.period_list:
        column = _column(entry.obj_name)
        if column is not None:
            values[column], units[column] = entry.value, entry.unit
            if column in _COLUMNS.values():
                scalers.append(entry.scaler)
        elif entry.obj_name == UTC and isinstance(entry.value, sml.Unsigned):
            utc = int(entry.value)
    found = _row_tuple(body.server_id, body.val_time, body.status, scalers, units, values)
    contents.tuples.append(found)
    if utc is not None:
        contents.dated_rows.append((found.server_id, found.index, utc))


def _row_tuple(
    server_id: bytes,
    val_time: object,
    status: int,
    scalers: list[int],
    units: Mapping[str, int],
    values: Mapping[str, object],
) -> SignedTuple:
    """The tuple a profile row is. Raises ValueError naming what is missing or of the wrong kind."""
    if not isinstance(val_time, sml.SecIndex):
        raise ValueError("a profile row without seconds index")
    missing = [
        name for name in (*_COLUMNS.values(), "signature_import", "signature_export") if values.get(name) is None
    ]
    if missing:
        raise ValueError(f"profile row #{val_time.value} lacks {', '.join(missing)}: it cannot be verified")
    if len(set(scalers)) != 1:
        raise ValueError(f"profile row #{val_time.value} has several scalers: {sorted(set(scalers))}")
    for name in _COLUMNS.values():
        if units.get(name) != (WATT_HOUR if name.endswith("_wh") else VAR_HOUR):
            raise ValueError(f"profile row #{val_time.value}: {name} in unit {units.get(name)}")
    registers = {name: values[name] for name in _COLUMNS.values()}
    signature_import, signature_export = values["signature_import"], values["signature_export"]
    if not isinstance(signature_import, bytes) or not isinstance(signature_export, bytes):
        raise ValueError(f"profile row #{val_time.value}: a signature is no octet string")
    whole = {name: value for name, value in registers.items() if isinstance(value, int) and not isinstance(value, bool)}
    if len(whole) != len(registers):
        raise ValueError(f"profile row #{val_time.value}: a register is no integer")
    return _plausible(
        SignedTuple(
            server_id=server_id, index=SecondsIndex(int(val_time.value)), status=int(status), scaler=int(scalers[0]),
            signature_import=signature_import, signature_export=signature_export,
            **{name: int(value) for name, value in whole.items()},
        )
    )  # fmt: skip


def _plausible(found: SignedTuple) -> SignedTuple:
    """Refuse what the store and the hashed block cannot hold. Raises ValueError."""
    if not 1 <= len(found.server_id) <= 14:
        raise ValueError(f"tuple #{found.index}: a server ID of {len(found.server_id)} bytes")
    if max(len(found.signature_import), len(found.signature_export)) > 132:
        raise ValueError(f"tuple #{found.index}: a signature longer than 132 bytes")
    if not -6 <= found.scaler <= 6:
        raise ValueError(f"tuple #{found.index}: scaler {found.scaler}")
    values = (found.import_wh, found.export_wh, found.r1_varh, found.r2_varh, found.r3_varh, found.r4_varh)
    if max(abs(value) for value in values) >= 1 << 53:
        raise ValueError(f"tuple #{found.index}: a register beyond 2**53")
    return found


# --- INFO telegrams ------------------------------------------------------------------------


def _read_list(body: sml.GetListResponse, contents: Contents) -> None:
    registers: dict[str, tuple[int, int]] = {}
    status, power_w, index = 0, None, None
    if isinstance(body.act_sensor_time, sml.SecIndex | sml.BareSecIndex):
        index = int(body.act_sensor_time.value)
    for entry in body.val_list:
        column = _column(entry.obj_name)
        if column is not None and isinstance(entry.value, int) and not isinstance(entry.value, bool):
            registers[column] = (int(entry.value), entry.scaler or 0)
            status = int(entry.status) if entry.status is not None else status
            if isinstance(entry.val_time, sml.SecIndex):
                index = int(entry.val_time.value)
        elif entry.obj_name == POWER and isinstance(entry.value, int):
            power_w = int(entry.value) * 10.0 ** (entry.scaler or 0)
    if not registers and power_w is None:
        return
    if index is None:
        raise ValueError("a list without seconds index: this meter's time cannot be placed")
    if not 1 <= len(body.server_id) <= 32:
        raise ValueError(f"a list with a server ID of {len(body.server_id)} bytes")
    scaler = min((scaler for _, scaler in registers.values()), default=-1)
    if not -6 <= scaler <= 6:
        raise ValueError(f"scaler {scaler}")
    values = {name: raw * 10 ** (own - scaler) for name, (raw, own) in registers.items() if own - scaler <= 12}
    if max((abs(value) for value in values.values()), default=0) >= 1 << 53:
        raise ValueError("a register beyond 2**53")
    contents.readings.append(
        UnsignedReading(
            server_id=body.server_id, index=index, status=status, scaler=scaler, power_w=power_w,
            import_wh=values.pop("import_wh", 0), **values,
        )
    )  # fmt: skip
