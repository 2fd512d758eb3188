"""The station's settings: every threshold an operator may turn, with its default and reason."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import LocalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One value a line in `station.toml`, under these names."""

    time_zone: str = "Europe/Berlin"
    """Zone of calendar days and months."""
    pull_every_s: float = 900.0
    """Each module is pulled so often; a failed pull is tried again after a growing pause."""
    pull_retry_s: float = 30.0
    """First pause after a failed pull; doubles up to `pull_every_s`, plus up to a tenth of chance."""
    pull_timeout_s: float = 20.0
    """A module has so long to answer one request file."""
    pull_history_days: int = 92
    """A meter met for the first time is read back so far; its ring holds at least three months."""
    modules_at_once: int = 32
    """Modules pulled at the same time."""
    seal_every_s: float = 900.0
    """Verified rows are moved into archive files so often."""
    seal_rows: int = 200_000
    """So many unsealed rows are sealed without waiting."""
    journal_keep_days: int = 14
    """Raw batches are kept so long after they were read; evidence of refused tuples for ever."""
    sync_every_s: float = 60.0
    """Within this time one sync point of a meter is kept, the sharpest."""
    gap_grace_s: float = 1800.0
    """A quarter hour counts as missing when it ended so long ago: pushes and pulls need their time."""
    expected_interval_s: float = 900.0
    """A signed meter is late when it is silent for two of these, stale after ten."""
    expected_info_s: float = 5.0
    """The same for a meter that speaks every second."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, (int, float)) and value <= 0:
                raise LocalError(f"{entry.name} is a number above 0, not {value}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise LocalError(f"time_zone: there is no zone {self.time_zone!r}; write one like Europe/Berlin") from error

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.time_zone)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a TOML file; absent keys keep their defaults. Raises LocalError naming key and remedy."""
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LocalError(f"{path} cannot be read as TOML: {error}") from error
        known = {entry.name: type(entry.default) for entry in fields(cls)}
        for key, value in found.items():
            if key not in known:
                raise LocalError(f"{path}: unknown setting {key!r}; known are {', '.join(sorted(known))}")
            wanted = known[key]
            if wanted is float and type(value) is int:
                found[key] = float(value)
            elif type(value) is not wanted:
                raise LocalError(f"{path}: {key} is a {wanted.__name__}, not {value!r}")
        return cls(**found)
