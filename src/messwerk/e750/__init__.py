"""The E750: modules of a SyM² metering system that plug together on a bus and sign every second.

A base module measures and signs, a communication module speaks to the world; between them runs
nothing but frames on a bus. Everything is sans I/O: time passes by `tick` and `advance`,
wall-clock time is handed in.
"""

from .base_module import BaseModule
from .bus import Bus, Group, Segment
from .communication_module import CommunicationModule
from .log_book import Event
from .variant import DIRECT, MEDIUM_VOLTAGE_2A, MEDIUM_VOLTAGE_6A, TRANSFORMER, VARIANTS, Variant

__all__ = [
    "DIRECT",
    "MEDIUM_VOLTAGE_2A",
    "MEDIUM_VOLTAGE_6A",
    "TRANSFORMER",
    "VARIANTS",
    "BaseModule",
    "Bus",
    "CommunicationModule",
    "Event",
    "Group",
    "Segment",
    "Variant",
]
