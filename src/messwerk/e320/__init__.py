"""The E320 base meter as software: metrology, display, button, memory and the optical INFO interface.

>>> from messwerk.e320 import E320, RamMemory, Variant
>>> from messwerk.identity import ServerId
>>> from messwerk.metrology import PhasePowers
>>> meter = E320(server_id=ServerId.parse("1LGZ0063539421"), variant=Variant(), memory=RamMemory())
>>> meter.advance(PhasePowers.constant(7204, (1000.0, 0.0, 0.0)))
>>> meter.display_state().upper_code, meter.display_state().upper_value
('1.8.0', '000002')
"""

from .display import DisplayState
from .error_register import Error
from .info import InfoPush, info_telegram
from .meter import E320
from .nonvolatile import Memory, NonVolatile, RamMemory
from .snapshot import restore, snapshot
from .variant import Connection, FirmwareParameters, UserSettings, Variant

__all__ = [
    "E320",
    "Connection",
    "DisplayState",
    "Error",
    "FirmwareParameters",
    "InfoPush",
    "Memory",
    "NonVolatile",
    "RamMemory",
    "UserSettings",
    "Variant",
    "info_telegram",
    "restore",
    "snapshot",
]
