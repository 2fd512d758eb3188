"""The meter's only clock: a count of seconds without calendar, zone or summer time."""

from __future__ import annotations

from typing import NewType

SecondsIndex = NewType("SecondsIndex", int)
"""Seconds counted since the firmware first ran. [s, 0 … 2**32 - 1, strictly increasing]

Not a date: joining it with UTC is the central station's work and nobody else's.
Source: E320 manual 2.4.1 (seconds counter); E750 brochure (no conventional clock).
"""

SECONDS_INDEX_MAX = 2**32 - 1
"""Largest index the wire carries (SML_Time choice 01 is an Unsigned32): 136 years."""
