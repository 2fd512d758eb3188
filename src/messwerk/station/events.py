"""What happened, in words: the list an operator reads, alarms on top."""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

from ..identity import ServerId
from .store import Store, microseconds
from .views import EventView, Severity

log = logging.getLogger(__name__)

_LEVELS: Final = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ALARM: logging.ERROR}
REPEAT_S: Final = 600
"""The same event of the same meter within this time is not written again: a faulty peer must not
fill the list. [design]"""


class Events:
    """The event list of a station."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self, utc: float, severity: Severity, kind: str, text: str, *, meter_id: int | None = None, once: bool = False
    ) -> None:
        """Write an event. With `once`, not if the same kind stands for the meter since `REPEAT_S`."""
        with self._store.transaction() as write:
            if once and _stands(write, utc, kind, meter_id):
                return
            write.execute(
                "INSERT INTO event (utc_us, severity, kind, meter_id, text) VALUES (?, ?, ?, ?, ?)",
                (microseconds(utc), severity.value, kind, meter_id, text),
            )
        log.log(_LEVELS[severity], "%s: %s", kind, text)

    def acknowledge(self, event_id: int) -> None:
        """Take an alarm off the count; it stays in the list."""
        with self._store.transaction() as write:
            write.execute("UPDATE event SET acknowledged = 1 WHERE event_id = ?", (event_id,))

    def alarms(self) -> int:
        """Alarms nobody has acknowledged."""
        row = self._store.one("SELECT count(*) FROM event WHERE severity = 'alarm' AND acknowledged = 0")
        return int(row[0]) if row else 0

    def newest(self, limit: int) -> tuple[EventView, ...]:
        """The newest events, newest first."""
        rows = self._store.rows(
            "SELECT event_id, utc_us, severity, kind, server_id, text, acknowledged"
            " FROM event LEFT JOIN meter USING (meter_id) ORDER BY event_id DESC LIMIT ?",
            (limit,),
        )
        return tuple(
            EventView(
                event_id=event_id, utc=utc_us / 1e6, severity=Severity(severity), kind=kind,
                server_id=ServerId(server_id) if server_id else None, text=text, acknowledged=bool(acknowledged),
            )
            for event_id, utc_us, severity, kind, server_id, text, acknowledged in rows
        )  # fmt: skip


def _stands(write: sqlite3.Connection, utc: float, kind: str, meter_id: int | None) -> bool:
    return (
        write.execute(
            "SELECT 1 FROM event WHERE kind = ? AND meter_id IS ? AND utc_us > ? LIMIT 1",
            (kind, meter_id, microseconds(utc - REPEAT_S)),
        ).fetchone()
        is not None
    )
