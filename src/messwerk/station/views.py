"""What the station shows: frozen snapshots for pages, REST and the command line.

A view is cheap to make, holds no connection to the store, and is already in the units people
read: kWh as Decimal, W as float, UTC as Unix seconds. Ages and states are computed when the
view is made. Signs: import (+A) and export (-A) are both positive; a net power is import
minus export.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from ..identity import ServerId
from .values import ValueState


class Age(Enum):
    """How old the last reading is, in expected intervals."""

    FRESH = "fresh"
    """Younger than two."""
    LATE = "late"
    """Two to ten."""
    STALE = "stale"
    """Older than ten, or never heard."""


class Severity(Enum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """Something that happened, in words."""

    event_id: int
    utc: float
    severity: Severity
    kind: str
    """Short stable word: `bad_signature`, `tamper`, `new_meter`, `key_changed`, `pull_failed`, `sealed` …"""
    server_id: ServerId | None
    text: str
    acknowledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was received and what verification said, for one meter or for all."""

    tuples_received: int = 0
    """Distinct signed tuples with a verdict; the same one sent again is not counted again."""
    tuples_archived: int = 0
    """Of these the ones verified and kept for billing."""
    signatures_valid: int = 0
    """Two signatures a tuple."""
    signatures_invalid: int = 0
    tuples_waiting: int = 0
    """Signed by a key that is unknown or not accepted yet."""
    tuples_quarantined: int = 0
    """Kept apart with their raw evidence, never billed."""
    unsigned_readings: int = 0
    """From an INFO interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRow:
    """A meter as one line of a table."""

    server_id: ServerId
    kind: str
    """`E750 base module`, `E320`, … as its telegrams say."""
    source: str
    """Where its values come from, e.g. `pull 127.0.0.1:7259`."""
    signed: bool
    key_fingerprint: str | None
    key_confirmation: str | None
    """How the key was confirmed; None without key."""
    last_index: int | None
    last_seen_utc: float | None
    age_s: float | None
    age: Age
    power_w: float | None
    """Net power now, import minus export; None when stale or unknown."""
    import_kwh: Decimal | None
    export_kwh: Decimal | None
    intervals: int
    """15-minute values present since the first reading."""
    gaps: int
    """15-minute values missing since the first reading."""
    sync_error_s: float | None
    """Largest uncertainty of an interval edge in UTC."""
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole station on one screen."""

    now_utc: float
    meters: int
    meters_heard: int
    """Heard within the last minute."""
    counts: Counts
    verified_today: int
    """Tuples verified since local midnight."""
    intervals: int
    gaps: int
    alarms: int
    """Alarms nobody has acknowledged."""
    sync_error_s_max: float | None
    import_w: float
    """Sum of the meters that import now."""
    export_w: float
    """Sum of the meters that export now."""
    journal_batches: int
    """Batches not yet read."""
    archive_files: int
    archive_rows_sealed: int
    """Rows in those files: immutable, with digests."""
    archive_rows_open: int
    """Rows that wait for the next sealing."""
    background_failures: int
    """Background work that failed and was tried again since the start; each is an event."""
    events: tuple[EventView, ...]
    """The newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterView:
    """One register of the last reading."""

    obis: str
    name: str
    value: Decimal
    unit: str
    """kWh or kvarh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapView:
    """A run of missing 15-minute values."""

    start_utc: int
    end_utc: int
    intervals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterView:
    """Everything a meter's page starts with."""

    row: MeterRow
    manufacturer: str | None
    device_class: str | None
    firmware: str | None
    public_key: str | None
    """X || Y in hex groups of four, as printed on the plate."""
    status: tuple[str, ...]
    """The set bits of the last status word, in words."""
    registers: tuple[RegisterView, ...]
    first_utc: float | None
    """Start of the first 15-minute value."""
    last_utc: float | None
    """End of the last one."""
    gaps: tuple[GapView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCurve:
    """Power over time; all lists have one element an interval."""

    server_id: ServerId
    resolution_s: int
    start_utc: tuple[int, ...]
    """Start of each interval, on UTC quarter hours (92, 96 or 100 a local day)."""
    import_w: tuple[float | None, ...]
    """Mean power of the interval; None where there is no value."""
    export_w: tuple[float | None, ...]
    state: tuple[ValueState, ...]
    gaps: tuple[GapView, ...]

    @property
    def end_utc(self) -> int | None:
        """End of the last interval."""
        return self.start_utc[-1] + self.resolution_s if self.start_utc else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPointView:
    """One observation that joins index and UTC."""

    index: int
    utc: float
    uncertainty_s: float
    residual_s: float
    """UTC observed minus UTC of the model; 0 where the model runs through the point."""
    used: bool
    """False for an outlier the model rejected."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochView:
    """A span in which the seconds index ran without interruption."""

    first_index: int
    start_utc: float
    reason: str
    drift_ppm: float | None
    """How much longer than a second the meter's second is; None with one observation."""
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """How well the station knows a meter's time."""

    server_id: ServerId
    index_now: int | None
    """The index the model expects now."""
    uncertainty_now_s: float | None
    last_sync_utc: float | None
    edge_error_s_max: float | None
    """Largest uncertainty of any 15-minute edge."""
    phase_error_s: float | None
    """How far the meter's period boundary lies from the UTC quarter hour (+ = late)."""
    epochs: tuple[EpochView, ...]
    points: tuple[SyncPointView, ...]
    """Newest last; at most the last 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A public key and why it is believed."""

    curve: str
    fingerprint: str
    public_key: str
    confirmation: str
    """`taken over from the module`, `confirmed by …`, `contested`."""
    accepted: bool
    since_utc: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """One signed tuple with everything needed to check it by hand."""

    index: int
    utc: float | None
    uncertainty_s: float | None
    received_utc: float
    status_word: int
    status: tuple[str, ...]
    registers: tuple[RegisterView, ...]
    import_block: str
    """The 96 bytes hashed for +A, R1, R4 in hex."""
    export_block: str
    signature_import: str
    """r || s in hex."""
    signature_export: str
    verdict: str
    key_fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineView:
    """A tuple that was refused."""

    index: int
    received_utc: float
    verdict: str
    reason: str
    evidence: EvidenceView


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the signatures of one meter say."""

    server_id: ServerId
    counts: Counts
    hash_layout: str
    keys: tuple[KeyView, ...]
    latest: tuple[EvidenceView, ...]
    """The newest tuples, newest first."""
    quarantine: tuple[QuarantineView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRow:
    """A bill as one line of a table."""

    bill_id: str
    server_id: ServerId
    month: str
    """Calendar month, `2026-10`."""
    start_utc: int
    end_utc: int
    from_local: str
    """First moment in local time with offset, ISO 8601."""
    to_local: str
    """End (exclusive) in local time with offset."""
    energy_kwh: Decimal
    total_eur: Decimal
    tariff: str
    complete: bool
    """False when values are missing: the document then says it is no bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One line of a bill."""

    label: str
    quantity: str
    """Exact, with unit."""
    unit_price: str
    amount_eur: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BillReading:
    """A register reading a bill stands on."""

    label: str
    """`start`, `end`."""
    index: int
    utc: float
    uncertainty_s: float
    import_kwh: Decimal
    export_kwh: Decimal
    status_word: int
    verdict: str
    signature_digest: str
    """SHA-256 over both signatures, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillView:
    """A bill as its page shows it; `Station.bill_html` and `bill_json` give the documents."""

    row: BillRow
    lines: tuple[BillLine, ...]
    net_eur: Decimal
    vat_percent: Decimal
    vat_eur: Decimal
    readings: tuple[BillReading, ...]
    key_fingerprint: str | None
    inputs_digest: str
    """SHA-256 over every reading, key and price used."""
    intervals: int
    missing: int
    remarks: tuple[str, ...]
