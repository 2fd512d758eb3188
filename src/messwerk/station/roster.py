"""Who is known: meters, the keys they sign with, the modules they are reached through.

A key is taken over from the module's own identity at first contact and marked so. A second key
of the same meter is contested: an alarm, and nothing signed with it is billed, until a person
confirms its fingerprint against the plate, a Data Matrix or a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import InvalidIdentifier, LocalError
from ..identity import ServerId
from ..signing import Curve, PublicKey
from .store import Store, microseconds
from .views import Counts

TAKEN_OVER: Final = "taken over from the module"
CONTESTED: Final = "contested: differs from the key known before"

DEVICE_CLASSES: Final = {
    bytes.fromhex("8181c78241ff"): "E750 base module, direct",
    bytes.fromhex("8181c78242ff"): "E750 base module, current transformer",
    bytes.fromhex("8181c78243ff"): "E750 base module, current and voltage transformer",
    bytes.fromhex("8181c78244ff"): "E750 base module, current and voltage transformer",
    bytes.fromhex("8181c78245ff"): "E750 pulse module",
    bytes.fromhex("8181c78246ff"): "E750 communication module, PSTN",
    bytes.fromhex("8181c78247ff"): "E750 communication module, GPRS",
    bytes.fromhex("8181c78248ff"): "E750 communication module, LAN",
    bytes.fromhex("8181c78249ff"): "E750 network node",
}
"""Device classes of SyM² modules in words."""
_ALL_METERS: Final = """
    SELECT meter_id, server_id, source, first_seen_us, last_seen_us, manufacturer, device_class, firmware,
        (SELECT coalesce(sum(tuples), 0) FROM waiting WHERE waiting.server_id = meter.server_id),
        tuples_archived, signatures_valid, signatures_invalid, tuples_quarantined, unsigned_readings
    FROM meter ORDER BY server_id
"""
_ONE_METER: Final = _ALL_METERS.replace("FROM meter ORDER", "FROM meter WHERE meter_id = ? ORDER")


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of a meter."""

    key_id: int
    key: PublicKey
    confirmation: str
    accepted: bool
    since_utc: float


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter as the roster knows it."""

    meter_id: int
    server_id: ServerId
    source: str
    first_seen_utc: float
    last_seen_utc: float
    manufacturer: str | None
    device_class: bytes | None
    firmware: str | None
    counts: Counts

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.device_class is not None:
            return DEVICE_CLASSES.get(self.device_class, "SyM² module")
        return "base meter" if self.server_id.device_id is not None else "meter"


@dataclass(frozen=True, slots=True)
class Module:
    """A communication module the station pulls from. Its repr keeps the password."""

    module_id: int
    host: str
    port: int
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"Module({self.host}:{self.port})"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Roster:
    """Meters, keys and modules, kept in the store; keys also in memory for verification."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: dict[bytes, int] = {
            bytes(server_id): meter_id for meter_id, server_id in store.rows("SELECT meter_id, server_id FROM meter")
        }
        self._keys: dict[int, tuple[Key, ...]] = {}
        for meter_id in self._ids.values():
            self._load_keys(meter_id, store.rows(*_keys_query(meter_id)))

    def _load_keys(self, meter_id: int, rows: Sequence[tuple[int, str, bytes, str, int, int]]) -> None:
        self._keys[meter_id] = tuple(
            Key(key_id, PublicKey.from_point(Curve(curve), point), confirmation, bool(accepted), since_us / 1e6)
            for key_id, curve, point, confirmation, accepted, since_us in rows
        )

    def find(self, server_id: bytes) -> int | None:
        """The meter's number in the store, or None."""
        return self._ids.get(bytes(server_id))

    def require(self, server_id: bytes) -> int:
        """The meter's number in the store. Raises LocalError for an unknown one."""
        meter_id = self.find(server_id)
        if meter_id is None:
            raise LocalError(f"no meter {ServerId(server_id)}: `messwerk station meters` lists the ones known")
        return meter_id

    def enter(self, write: sqlite3.Connection, server_id: bytes, utc: float, source: str) -> tuple[int, bool]:
        """Number of a meter, entered when new; the flag says whether it was."""
        known = self._ids.get(bytes(server_id))
        if known is not None:
            return known, False
        row = write.execute(
            "INSERT INTO meter (server_id, source, first_seen_us, last_seen_us) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (server_id) DO UPDATE SET last_seen_us = excluded.last_seen_us RETURNING meter_id",
            (bytes(server_id), source, microseconds(utc), microseconds(utc)),
        ).fetchone()
        return int(row[0]), True

    def remember(self, server_id: bytes, meter_id: int) -> None:
        """Take a meter into memory once the transaction that entered it is durable."""
        self._ids[bytes(server_id)] = meter_id
        self._load_keys(meter_id, self._store.rows(*_keys_query(meter_id)))

    def meter(self, meter_id: int) -> Meter:
        """One meter by number. Raises LocalError when there is none."""
        for row in self._store.rows(_ONE_METER, (meter_id,)):
            return _meter(row)
        raise LocalError(f"no meter number {meter_id}")

    def meters(self) -> list[Meter]:
        """All meters, by server ID."""
        return [_meter(row) for row in self._store.rows(_ALL_METERS)]

    # --- keys ------------------------------------------------------------------------------

    def keys(self, meter_id: int) -> tuple[Key, ...]:
        """All keys of a meter, oldest first."""
        return self._keys.get(meter_id, ())

    def accepted_keys(self, meter_id: int) -> tuple[Key, ...]:
        """The keys whose signatures count, newest first: the newest signs nearly everything."""
        return tuple(key for key in reversed(self.keys(meter_id)) if key.accepted)

    def fingerprints(self) -> dict[int, str]:
        """Fingerprint of every key by its number."""
        return {key.key_id: key.key.fingerprint for keys in list(self._keys.values()) for key in keys}

    def meet_key(self, write: sqlite3.Connection, meter_id: int, key: PublicKey, utc: float) -> str | None:
        """Take note of the key a module shows. Returns its confirmation when it is new, else None.

        The first key of a meter is accepted, every further one contested. Call `reload_keys`
        once the transaction is durable.
        """
        known = write.execute("SELECT curve, point FROM public_key WHERE meter_id = ?", (meter_id,)).fetchall()
        if (key.curve.value, key.point) in [(curve, bytes(point)) for curve, point in known]:
            return None
        confirmation = CONTESTED if known else TAKEN_OVER
        _insert_key(write, meter_id, key, confirmation, accepted=not known, utc=utc)
        return confirmation

    def confirm_key(self, meter_id: int, key: PublicKey, how: str, utc: float) -> None:
        """Accept a key because a person compared it; `how` is kept: `Data Matrix`, `file`, `by hand` …"""
        with self._store.transaction() as write:
            _insert_key(write, meter_id, key, f"confirmed by {how}", accepted=True, utc=utc)
        self.reload_keys(meter_id)

    def confirm_fingerprint(self, meter_id: int, fingerprint: str, how: str, utc: float) -> None:
        """Accept the known key with this fingerprint. Raises LocalError when none has it."""
        wanted = fingerprint.replace(" ", "").upper()
        for key in self.keys(meter_id):
            if key.key.fingerprint.replace(" ", "") == wanted:
                self.confirm_key(meter_id, key.key, how, utc)
                return
        raise LocalError(f"no key of this meter has the fingerprint {fingerprint}: compare it digit by digit")

    def reload_keys(self, meter_id: int) -> None:
        """Read a meter's keys again after a transaction changed them."""
        self._load_keys(meter_id, self._store.rows(*_keys_query(meter_id)))

    # --- modules ---------------------------------------------------------------------------

    def add_module(self, host: str, port: int, username: str | None, password: str | None) -> Module:
        """Enter a communication module, or renew its credentials."""
        if not 0 < port < 65536:
            raise LocalError(f"a TCP port is 1 to 65535, not {port}")
        with self._store.transaction() as write:
            write.execute(
                "INSERT INTO module (host, port, username, password) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (host, port) DO UPDATE SET username = excluded.username, password = excluded.password",
                (host, port, username, password),
            )
        return next(module for module in self.modules() if (module.host, module.port) == (host, port))

    def remove_module(self, module: Module) -> None:
        """Forget a communication module; its meters and their readings stay."""
        with self._store.transaction() as write:
            write.execute("DELETE FROM module WHERE module_id = ?", (module.module_id,))

    def add_source(self, source: str) -> None:
        """Enter an INFO source, as `link.parse_source` reads it."""
        with self._store.transaction() as write:
            write.execute("INSERT INTO info_source (source) VALUES (?) ON CONFLICT DO NOTHING", (source,))

    def remove_source(self, source: str) -> None:
        """Forget an INFO source. Raises LocalError when it is not known."""
        with self._store.transaction() as write:
            if not write.execute("DELETE FROM info_source WHERE source = ?", (source,)).rowcount:
                raise LocalError(f"no INFO source {source!r}; known are {', '.join(self.sources()) or 'none'}")

    def sources(self) -> list[str]:
        """The INFO sources entered, by name."""
        return [source for (source,) in self._store.rows("SELECT source FROM info_source ORDER BY source")]

    def modules(self) -> list[Module]:
        """All communication modules, in order of entry."""
        rows = self._store.rows("SELECT module_id, host, port, username, password FROM module ORDER BY module_id")
        return [Module(*row) for row in rows]


def _meter(row: tuple[Any, ...]) -> Meter:
    (
        meter_id, server_id, source, first_us, last_us, manufacturer, device_class, firmware, waiting,
        archived, valid, invalid, quarantined, unsigned,
    ) = row  # fmt: skip
    return Meter(
        meter_id, ServerId(server_id), source, first_us / 1e6, last_us / 1e6, manufacturer, device_class, firmware,
        Counts(
            tuples_received=archived + quarantined, tuples_archived=archived, signatures_valid=valid,
            signatures_invalid=invalid, tuples_quarantined=quarantined, tuples_waiting=waiting,
            unsigned_readings=unsigned,
        ),
    )  # fmt: skip


def public_key_of(point: bytes) -> PublicKey:
    """The key a module's identity carries: 48 bytes lie on P-192, 64 on P-256 or Brainpool.

    A point lies on one of the two 256-bit curves only. Raises InvalidIdentifier.
    """
    for curve in Curve:
        if len(point) == 2 * curve.size:
            try:
                return PublicKey.from_point(curve, point)
            except InvalidIdentifier:
                continue
    raise InvalidIdentifier(f"{len(point)} bytes that are no public key on a curve of metering: {point.hex()[:64]}")


def _insert_key(
    write: sqlite3.Connection, meter_id: int, key: PublicKey, confirmation: str, *, accepted: bool, utc: float
) -> None:
    write.execute(
        "INSERT INTO public_key (meter_id, curve, point, confirmation, accepted, since_us) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (meter_id, curve, point)"
        " DO UPDATE SET confirmation = excluded.confirmation, accepted = excluded.accepted",
        (meter_id, key.curve.value, key.point, confirmation, accepted, microseconds(utc)),
    )


def _keys_query(meter_id: int) -> tuple[str, tuple[int]]:
    return (
        "SELECT key_id, curve, point, confirmation, accepted, since_us FROM public_key WHERE meter_id = ?"
        " ORDER BY key_id",
        (meter_id,),
    )
