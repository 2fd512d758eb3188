"""Values and evidence for other programs: CSV, JSON lines, Parquet.

15-minute values name their start and end, both in UTC, their state with its MSCONS and GreenButton
codes, and the indices of the two readings they are the difference of. Evidence is the archive's
own rows. Energies are exact decimals in kWh and kvarh.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from ..identity import ServerId
from .calendar import QUARTER_S
from .intervals import REGISTERS, Intervals
from .values import ESPI_QUALITY, MSCONS_STATUS, STATE_CODES, ValueState

UNITS = ("kwh", "kwh", "kvarh", "kvarh", "kvarh", "kvarh")
COLUMNS = (
    "meter", "start_utc", "end_utc", *(f"{name}_{unit}" for name, unit in zip(REGISTERS, UNITS, strict=True)),
    "state", "mscons", "espi", "first_index", "last_index", "uncertainty_s",
)  # fmt: skip
"""Of CSV and JSON lines, in this order."""


def rows(server_id: ServerId, values: Intervals) -> Iterator[dict[str, str | int | float | None]]:
    """One row a quarter hour; energies are None where there is no value."""
    for place in range(len(values)):
        start = int(values.start_utc[place])
        state = STATE_CODES[values.state[place]]
        there = state not in (ValueState.MISSING, ValueState.REFUSED)
        energies = [str(Decimal(int(energy)).scaleb(-4)) if there else None for energy in values.energy[place].tolist()]
        first, last = int(values.first_index[place]), int(values.last_index[place])
        yield dict(
            zip(
                COLUMNS,
                (
                    str(server_id), _iso(start), _iso(start + QUARTER_S), *energies, state.value,
                    MSCONS_STATUS[state], ESPI_QUALITY[state], first if first >= 0 else None,
                    last if last >= 0 else None, round(float(values.uncertainty_s[place]), 3) if there else None,
                ),
                strict=True,
            )
        )  # fmt: skip


def to_csv(server_id: ServerId, values: Intervals) -> str:
    """The values as CSV (RFC 4180: comma, CRLF, header), empty where there is no value."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows(server_id, values))
    return text.getvalue()


def to_json_lines(server_id: ServerId, values: Intervals) -> str:
    """The values as one JSON object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows(server_id, values))


def to_parquet(table: pa.Table) -> bytes:
    """Archive rows as one Parquet file, with the archive's own schema."""
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def _iso(utc: int) -> str:
    return dt.datetime.fromtimestamp(utc, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
