"""`messwerk e750 read`: ask a communication module, over TCP, its service interface or a modem."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from ..e750 import object_names as names
from ..e750.bus_service import SIGNATURE_PROFILES
from ..e750.devices import BASE_MODULE_CLASSES
from ..e750.log_book import Event
from ..errors import AttentionReceived, InvalidIdentifier, InvalidSignature, LocalError
from ..fleet.rack import PASSWORD, USER
from ..identity import ServerId
from ..obis import ObisCode, obis_text
from ..seconds_index import SecondsIndex
from ..signing import PublicKey
from ..sml import (
    Attention,
    BareSecIndex,
    GetListRequest,
    GetListResponse,
    GetProcParameterRequest,
    GetProfileListRequest,
    GetProfileListResponse,
    GetProfilePackRequest,
    GetProfilePackResponse,
    SecIndex,
    TimeParameter,
    Timestamp,
    Tree,
    TupelParameter,
)
from ..sml.reading import decimal_text, octets_text
from ..sml.xml import to_xml
from ..tuples import SignedTuple
from ..units import unit_symbol
from . import pull
from .console import out
from .pull import Talk, leaves, tree_of

COMMUNICATION_MODULE: Final = "cm"
ROWS_DEFAULT: Final = 96
PERIOD_DEFAULT_S: Final = 900
REGISTERS: Final = ("import_wh", "export_wh", "r1_varh", "r2_varh", "r3_varh", "r4_varh")
REGISTER_TITLES: Final = ("+A kWh", "-A kWh", "R1 kvarh", "R2 kvarh", "R3 kvarh", "R4 kvarh")
BASE_ROOTS: Final = (
    names.IDENTIFICATION, names.SECONDS_INDEX, names.STATUS_WORD, names.REMAINING_PERIOD, names.DEVICE_TIME,
    names.SETTINGS, names.MONITORING, names.SPECIAL_TUPLES, names.DOWNLOAD, names.DOWNLOAD_KEY,
    names.DOWNLOAD_FAILURES,
)  # fmt: skip
MODULE_ROOTS: Final = (
    names.IDENTIFICATION, names.STATUS_WORD, names.DEVICE_TIME, names.NTP, names.WAN_STATUS, names.LAN_SETTINGS,
    names.PUSH_OPERATIONS, names.ACCESS_RIGHTS, names.ACTIVE_DEVICES, names.NEW_DEVICES, names.VANISHED_DEVICES,
    names.DOWNLOAD, names.DOWNLOAD_KEY, names.DOWNLOAD_FAILURES,
)  # fmt: skip
OTHER_ROOTS: Final = (names.IDENTIFICATION, names.PULSE_SETTINGS, names.NODE_PORTS)
"""Trees asked for by `parameters`; a module refuses those it has not."""
_CURVES: Final = {number: curve for curve, number in SIGNATURE_PROFILES.items()}
_WORDS: Final = {
    bytes(value): name.lower().replace("_", " ") for name, value in vars(names).items() if isinstance(value, ObisCode)
}

Answer = dict[str, Any]


class Asked:
    """One module, and what the person wants of it."""

    def __init__(self, talk: Talk, server_id: ServerId, device_class: bytes, *, own: bool, rows: int) -> None:
        self.talk, self.server_id, self.device_class = talk, server_id, device_class
        self.own = own
        """Whether it is the communication module itself."""
        self.rows = rows

    @property
    def is_base_module(self) -> bool:
        return self.device_class in BASE_MODULE_CLASSES

    async def key(self) -> PublicKey | None:
        """The public key as the module itself tells it; None where it tells none we can use."""
        told = leaves(await self.talk.tree(self.server_id, names.IDENTIFICATION))
        try:
            return PublicKey.from_point(_CURVES[told[names.SIGNATURE_PROFILE]], bytes(told[names.PUBLIC_KEY]))
        except (KeyError, TypeError, ValueError, InvalidIdentifier):
            return None


# --- what can be asked ---------------------------------------------------------------------


async def read_time(asked: Asked) -> Answer:
    """The seconds index, or the time of a communication module, and our own clock beside it."""
    begin = time.time()
    found = leaves(await asked.talk.tree(asked.server_id, names.DEVICE_TIME))
    trip_s = time.time() - begin
    index = found.get(names.SECONDS_INDEX)
    return {
        "seconds_index": _plain(index),
        "utc": _plain(found.get(names.UTC)),
        "synchronous": _plain(found.get(names.SYNC_ACTIVE)),
        "asked_at_utc": round(begin + trip_s / 2, 3),
        "round_trip_s": round(trip_s, 3),
    }


async def read_identity(asked: Asked) -> Answer:
    """Class, maker, key and firmware."""
    told = leaves(await asked.talk.tree(asked.server_id, names.IDENTIFICATION))
    return {
        _words(name).replace(" ", "_"): _plain(told[name])
        for name in (names.DEVICE_CLASS, names.MANUFACTURER, names.PUBLIC_KEY, names.FIRMWARE_NAME,
                     names.FIRMWARE_VERSION)
        if name in told
    }  # fmt: skip


async def read_tuple(asked: Asked) -> Answer:
    """The tuple of this second and the special ones, each with its verdict."""
    key = await asked.key()
    tree = await asked.talk.tree(asked.server_id, names.SPECIAL_TUPLES)
    return {
        "tuples": [
            {"what": _words(child.parameter_name), **_signed(SignedTuple.from_entry(child.parameter_value.value), key)}
            for child in tree.child_list or ()
            if isinstance(child.parameter_value, TupelParameter)
        ]
    }


async def read_profile(asked: Asked) -> Answer:
    """The newest rows of the load profile, each with its verdict."""
    key = await asked.key()
    told = leaves(await asked.talk.tree(asked.server_id, names.DEVICE_TIME))
    period = leaves(await asked.talk.tree(asked.server_id, names.SETTINGS)).get(names.PERIOD_LENGTH)
    period_s = int(period) if isinstance(period, int) and period > 0 else PERIOD_DEFAULT_S
    index = told.get(names.SECONDS_INDEX)
    now = int(getattr(index, "value", 0))
    file = await asked.talk.ask(
        asked.server_id,
        GetProfilePackRequest(
            begin_time=SecIndex(max(0, now - asked.rows * period_s + 1)), parameter_tree_path=(names.LOAD_PROFILE,)
        ),
    )
    for body in file.answer():
        if isinstance(body, GetProfilePackResponse):
            return {"period_s": int(body.reg_period), "rows": _rows(body, asked.server_id, key)}
    raise LocalError("the module answered something else than a profile")


async def read_list(asked: Asked) -> Answer:
    """The monitoring list: what is at the terminals now."""
    file = await asked.talk.ask(asked.server_id, GetListRequest(client_id=pull.CLIENT_ID))
    return {
        "values": [
            {
                "code": obis_text(entry.obj_name),
                "name": _words(entry.obj_name),
                "value": decimal_text(entry.value, int(entry.scaler or 0)),
                "unit": unit_symbol(int(entry.unit)) if entry.unit is not None else None,
            }
            for body in file.answer()
            if isinstance(body, GetListResponse)
            for entry in body.val_list
            if isinstance(entry.value, int)
        ]
    }


async def read_log(asked: Asked) -> Answer:
    """The log book, oldest first."""
    path = names.LOG_BOOK if asked.own else names.BASE_MODULE_LOG
    file = await asked.talk.ask(asked.server_id, GetProfileListRequest(parameter_tree_path=(path,)))
    return {"entries": [_log_entry(body) for body in file.answer() if isinstance(body, GetProfileListResponse)]}


async def read_parameters(asked: Asked) -> Answer:
    """Every parameter tree the module has and we may see."""
    roots = MODULE_ROOTS if asked.own else BASE_ROOTS if asked.is_base_module else OTHER_ROOTS
    file = await asked.talk.ask(
        asked.server_id, *(GetProcParameterRequest(parameter_tree_path=(root,)) for root in roots)
    )
    trees = []
    for place in range(len(roots)):
        try:
            trees.append(_node(tree_of(file.answer(place))))
        except AttentionReceived as refused:
            if refused.number == Attention.NOT_AUTHORISED.number:
                trees.append({"name": _words(roots[place]), "value": "not for this user"})
    return {"trees": trees}


READ: Final[dict[str, Callable[[Asked], Awaitable[Answer]]]] = {
    "time": read_time, "identity": read_identity, "tuple": read_tuple, "profile": read_profile, "list": read_list,
    "log": read_log, "parameters": read_parameters,
}  # fmt: skip
_BASE_MODULES_ONLY: Final = ("tuple", "profile", "list")


# --- the command ---------------------------------------------------------------------------


def read(
    source: Annotated[str, typer.Argument(help="tcp://host:port, or a serial device at 115 200 Bd.")],
    what: Annotated[str, typer.Argument(help=", ".join(READ) + ".")] = "tuple",
    module: Annotated[
        str | None,
        typer.Option(help="A server ID, its number counted from 0, or `cm` for the communication module."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="User name; empty at the service interface: then reading needs none.")
    ] = USER,
    password: Annotated[
        str | None, typer.Option(help="The password.", envvar="MESSWERK_PASSWORD", show_envvar=True)
    ] = PASSWORD,
    rows: Annotated[int, typer.Option(min=1, max=9216, help="Profile: how many rows back from now.")] = ROWS_DEFAULT,
    dial: Annotated[str | None, typer.Option(metavar="NUMBER", help="Let a modem on this line call first.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Longest wait for one answer, in seconds.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_xml: Annotated[bool, typer.Option("--xml", help="The answers as SML XML, everything in them.")] = False,
) -> None:
    """Read a SyM² system: what its modules are, measure, sign and remember.

    Without --module everything that has an answer is asked. Signatures are checked with the key
    the module tells; whether that key is the one on its plate, only a person can compare.
    """
    if what not in READ:
        raise LocalError(f"there is no {what!r} to read; known are {', '.join(READ)}")
    if as_json and as_xml:
        raise LocalError("--json or --xml, not both")
    answers, xml = asyncio.run(
        _read(source, what, module, (user or None, (password or None) if user else None), rows, dial, timeout)
    )
    if as_xml:
        print(xml)
    elif as_json:
        print(json.dumps(answers, indent=2))
    else:
        for answer in answers:
            _show(what, answer)


async def _read(
    source: str, what: str, module: str | None, who: tuple[str | None, str | None], rows: int, number: str | None,
    timeout_s: float,
) -> tuple[list[Answer], str]:  # fmt: skip
    line = await pull.open_line(source, timeout_s)
    async with Talk(line, *who) as talk:
        if number is not None:
            await pull.dial(line, number)
        answers = []
        for asked in await _chosen(talk, what, module, rows):
            try:
                answers.append({"server_id": str(asked.server_id), **await READ[what](asked)})
            except AttentionReceived as refused:
                if module is not None:
                    raise
                answers.append({"server_id": str(asked.server_id), "refused": str(refused)})
        return answers, to_xml([file.file.messages for file in talk.files])


async def _chosen(talk: Talk, what: str, module: str | None, rows: int) -> list[Asked]:
    """Whom to ask. Raises LocalError when there is no such module."""
    own = leaves(await talk.tree(None, names.IDENTIFICATION))
    own_id = ServerId(bytes(own[names.SERVER_ID]))
    itself = Asked(talk, own_id, bytes(own.get(names.DEVICE_CLASS) or b""), own=True, rows=rows)
    behind = [Asked(talk, one, kind, own=False, rows=rows) for one, kind in await talk.devices()]
    measuring = [asked for asked in behind if asked.is_base_module]
    if module is None:
        if what in _BASE_MODULES_ONLY:
            if not measuring:
                raise LocalError("no base module is in service behind this communication module")
            return measuring
        return [itself, *(behind if what in ("identity", "parameters") else measuring)]
    if module.lower() == COMMUNICATION_MODULE:
        return [itself]
    if module.isdecimal() and int(module) < len(measuring):
        return [measuring[int(module)]]
    wanted = module.replace(" ", "").replace(":", "").replace("-", "").lower()
    for asked in (itself, *behind):
        if asked.server_id.hex().endswith(wanted) and len(wanted) >= 6:
            return [asked]
    known = ", ".join(str(asked.server_id) for asked in behind) or "none"
    raise LocalError(f"there is no module {module!r} here; behind the communication module are: {known}")


# --- from messages to plain values ---------------------------------------------------------


def _words(name: bytes) -> str:
    return _WORDS.get(bytes(name)) or _listed(name) or bytes(name).hex(" ").upper()


def _listed(name: bytes) -> str | None:
    """Entries of lists, whose names carry numbers."""
    for root, words in ((names.ACTIVE_DEVICES, "device"), (names.PUSH_OPERATIONS, "push operation"),
                        (names.NODE_PORTS, "port"), (names.ACCESS_RIGHTS, "access")):  # fmt: skip
        if name[:4] == root[:4]:
            return f"{words} {name[4] if name[5] == 0xFF or root is not names.PUSH_OPERATIONS else name[5]}"
    return None


def _plain(value: object) -> Any:
    if isinstance(value, (bool, type(None))):
        return value
    if isinstance(value, bytes):
        return octets_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (SecIndex, Timestamp, BareSecIndex)):
        return int(value.value)
    return str(value)


def _signed(signed: SignedTuple, key: PublicKey | None) -> Answer:
    return {
        "seconds_index": int(signed.index),
        "status": f"{signed.status:010x}",
        "start_of_interval": signed.start_of_interval,
        **{name: decimal_text(getattr(signed, name), signed.scaler) for name in REGISTERS},
        "signature": _verdict(signed, key),
    }


def _verdict(signed: SignedTuple, key: PublicKey | None) -> str:
    if key is None:
        return "no key"
    try:
        signed.verify(key)
    except InvalidSignature as error:
        return f"INVALID: {error}"
    return "valid"


def _rows(body: GetProfilePackResponse, server_id: ServerId, key: PublicKey | None) -> list[Answer]:
    """Rows of a pack in which every register and both signatures stand."""
    columns = {bytes(head.obj_name): place for place, head in enumerate(body.header_list)}
    order = dict(zip(names.PROFILE_COLUMNS, ("import_wh", "r1_varh", "r4_varh", "signature_import", "export_wh",
                                             "r2_varh", "r3_varh", "signature_export"), strict=True))  # fmt: skip
    found = []
    for row in body.period_list:
        cells: dict[str, Any] = {
            field: row.value_list[columns[bytes(name)]].value for name, field in order.items() if bytes(name) in columns
        }
        if len(cells) != len(order) or not isinstance(row.val_time, SecIndex):
            raise LocalError("the profile has other columns than a SyM² load profile")
        signed = SignedTuple(
            server_id=server_id, index=SecondsIndex(int(row.val_time.value)), status=int(row.status),
            scaler=int(body.header_list[columns[bytes(names.PROFILE_COLUMNS[0])]].scaler), **cells,
        )  # fmt: skip
        found.append(_signed(signed, key))
    return found


def _log_entry(body: GetProfileListResponse) -> Answer:
    cells = {bytes(entry.obj_name): entry.value for entry in body.period_list}
    event = cells.get(names.EVENT)
    known = int(event) if isinstance(event, int) else 0
    return {
        "number": int(body.status or 0),
        "time": _plain(body.val_time),
        "utc": isinstance(body.val_time, Timestamp),
        "event": Event(known).name.lower().replace("_", " ") if known in set(Event) else f"{known:08x}",
        "device": octets_text(device) if isinstance(device := cells.get(names.SERVER_ID), bytes) and device else "",
        "details": details.decode("utf-8", "replace")
        if isinstance(details := cells.get(names.EVENT_DETAILS), bytes)
        else "",
    }


def _node(tree: Tree) -> Answer:
    node: Answer = {"name": _words(tree.parameter_name), "code": bytes(tree.parameter_name).hex()}
    value = tree.parameter_value
    if isinstance(value, TupelParameter):
        node["value"] = f"tuple of #{_plain(value.value.sec_index)}"
    elif isinstance(value, TimeParameter):
        node["value"] = _plain(value.value)
    elif value is not None and hasattr(value.value, "scaler"):
        entry: Any = value.value
        node["value"] = f"{decimal_text(int(entry.value), int(entry.scaler))} {unit_symbol(int(entry.unit)) or ''}"
    elif value is not None:
        node["value"] = _plain(value.value)
    if tree.child_list:
        node["children"] = [_node(child) for child in tree.child_list]
    return node


# --- tables --------------------------------------------------------------------------------


def _show(what: str, answer: Answer) -> None:
    out.print(f"[bold]{escape(answer['server_id'])}[/]")
    if "refused" in answer:
        out.print(f"  [yellow]{escape(answer['refused'])}[/]")
        return
    match what:
        case "tuple":
            for one in answer["tuples"]:
                _show_tuple(one)
        case "profile":
            _show_profile(answer["rows"])
        case "list":
            _show_rows(("", "", ""), [(one["name"], one["value"], one["unit"] or "") for one in answer["values"]])
        case "log":
            _show_rows(("", "when", "event", "device", "details"), [_log_row(one) for one in answer["entries"]])
        case "parameters":
            _show_rows(("", ""), [row for tree in answer["trees"] for row in _tree_rows(tree, 0)])
        case _:
            rows = [(name.replace("_", " "), str(value)) for name, value in answer.items() if value is not None]
            _show_rows(("", ""), rows[1:])


def _show_tuple(one: Answer) -> None:
    rows = [(title, _kilo(one[name])) for title, name in zip(REGISTER_TITLES, REGISTERS, strict=True)]
    start = ", starts an interval" if one["start_of_interval"] else ""
    out.print(f"  {one['what']}: #{one['seconds_index']}, status {one['status']}{start}", soft_wrap=True)
    _show_rows(("", ""), rows)
    out.print(f"  both signatures {_coloured(one['signature'])}", soft_wrap=True)


def _show_profile(rows: Sequence[Answer]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 1))
    for title in ("index", *REGISTER_TITLES, "signatures"):
        table.add_column(title, justify="left" if title == "signatures" else "right")
    for one in rows:
        table.add_row(
            str(one["seconds_index"]), *(_kilo(one[name]) for name in REGISTERS), _coloured(one["signature"])
        )  # fmt: skip
    out.print(table)


def _coloured(verdict: str) -> str:
    return f"[green]{verdict}[/]" if verdict == "valid" else f"[bold red]{escape(verdict)}[/]"


def _kilo(text: str) -> str:
    """Wh to kWh, all digits kept: 12345.6 is 12.3456."""
    digits, _, rest = text.partition(".")
    return decimal_text(int(digits + rest), -3 - len(rest))


def _log_row(entry: Answer) -> tuple[str, ...]:
    when = f"#{entry['time']}"
    if entry["utc"]:
        moment = datetime.fromtimestamp(entry["time"], UTC)
        when = moment.strftime("%Y-%m-%d %H:%M:%SZ") if entry["time"] else "before it had time"
    return str(entry["number"]), when, entry["event"], entry["device"], entry["details"]


def _tree_rows(node: Answer, depth: int) -> list[tuple[str, str]]:
    rows = [("  " * depth + node["name"], str(node.get("value", "")))]
    for child in node.get("children", ()):
        rows += _tree_rows(child, depth + 1)
    return rows


def _show_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), show_header=any(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)
