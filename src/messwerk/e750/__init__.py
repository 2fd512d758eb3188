"""The E750: modules of a SyM² metering system that plug together on a bus and sign every second.

A base module measures and signs, a communication module speaks to the world; between them runs
nothing but frames on a bus. Everything is sans I/O: time passes by `tick` and `advance`,
wall-clock time is handed in.
"""

from .base_module import BaseModule
from .bus import Bus, Group, Segment
from .communication_module import CommunicationModule
from .log_book import Event
from .modem import Modem, Modulation, TelephoneNetwork
from .network_node import NetworkNode
from .pulse_module import PulseModule
from .variant import DIRECT, MEDIUM_VOLTAGE_2A, MEDIUM_VOLTAGE_6A, TRANSFORMER, VARIANTS, Variant
from .wan import GPRS, LAN, PSTN, WAN_VARIANTS, WanVariant

__all__ = [
    "DIRECT",
    "GPRS",
    "LAN",
    "MEDIUM_VOLTAGE_2A",
    "MEDIUM_VOLTAGE_6A",
    "PSTN",
    "TRANSFORMER",
    "VARIANTS",
    "WAN_VARIANTS",
    "BaseModule",
    "Bus",
    "CommunicationModule",
    "Event",
    "Group",
    "Modem",
    "Modulation",
    "NetworkNode",
    "PulseModule",
    "Segment",
    "TelephoneNetwork",
    "Variant",
    "WanVariant",
]
