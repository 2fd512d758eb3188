"""The local metrological network: how a gateway finds, secures and reads base meters.

HDLC frames on a half-duplex line, a key exchange, and TLS; both ends, sans I/O. Nodes on a
simulated line (`Line`) are the same that stand on a serial device.
"""

from .addressing import Record
from .channel import Closed, Opened, Reason, Received
from .hdlc import Frame, FrameDecoder, Selector
from .line import Line, Node
from .nodes import GatewayNode, MeterFound, MeterLost, MeterNode, Protocols
from .security import GatewayExchange, Leniency, MeterExchange

__all__ = [
    "Closed",
    "Frame",
    "FrameDecoder",
    "GatewayExchange",
    "GatewayNode",
    "Leniency",
    "Line",
    "MeterExchange",
    "MeterFound",
    "MeterLost",
    "MeterNode",
    "Node",
    "Opened",
    "Protocols",
    "Reason",
    "Received",
    "Record",
    "Selector",
]
