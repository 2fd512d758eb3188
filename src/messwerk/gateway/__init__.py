"""The gateway of a metering point: discovers, pairs, reads, renews and resets meters on the wired network."""

from .gateway import Done, Failed, Found, Gateway, GatewayEvent, Lost, Task
from .memory import FileMemory, GatewayState, MeterRecord, RamMemory, read_delivery_list
from .push import MeterReading, acknowledged, push_file

__all__ = [
    "Done", "Failed", "FileMemory", "Found", "Gateway", "GatewayEvent", "GatewayState", "Lost", "MeterReading",
    "MeterRecord", "RamMemory", "Task", "acknowledged", "push_file", "read_delivery_list",
]  # fmt: skip
