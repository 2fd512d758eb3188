"""Smart Message Language: messages, binary encoding, transport framing.

>>> from messwerk import sml
>>> close = sml.Message(transaction_id=b"\\x01", body=sml.PublicCloseResponse())
>>> sml.decode(sml.encode([close])).messages == (close,)
True
"""

from .attention import Attention, attention_text
from .binary import SmlFile, decode, encode
from .columns import Column, Columns, columns
from .leniency import Deviation, Leniency
from .messages import (
    AttentionResponse,
    BareSecIndex,
    Body,
    CosemValue,
    GetListRequest,
    GetListResponse,
    GetProcParameterRequest,
    GetProcParameterResponse,
    GetProfileListRequest,
    GetProfileListResponse,
    GetProfilePackRequest,
    GetProfilePackResponse,
    ListEntry,
    ListEntryParameter,
    LocalTimestamp,
    Message,
    MessageForm,
    OpaqueBody,
    PeriodEntry,
    PeriodParameter,
    ProfObjHeaderEntry,
    ProfObjPeriodEntry,
    PublicCloseRequest,
    PublicCloseResponse,
    PublicOpenRequest,
    PublicOpenResponse,
    ScalerUnit,
    SecIndex,
    SetProcParameterRequest,
    TimeParameter,
    Timestamp,
    TimestampedValue,
    TimeValue,
    Tree,
    TupelEntry,
    TupelParameter,
    ValueEntry,
    ValueParameter,
)
from .outline import Element, outline
from .reading import Reading, TelegramReading, readings
from .status import EdlStatus, FnnStatus
from .template import Telegrams, Template
from .transport import Frame, FrameDecoder, Rejected, frame
from .types import (
    Integer,
    Integer8,
    Integer16,
    Integer24,
    Integer32,
    Integer40,
    Integer48,
    Integer56,
    Integer64,
    Unsigned,
    Unsigned8,
    Unsigned16,
    Unsigned24,
    Unsigned32,
    Unsigned40,
    Unsigned48,
    Unsigned56,
    Unsigned64,
)

__all__ = [
    "Attention", "AttentionResponse", "BareSecIndex", "Body", "Column", "Columns", "CosemValue", "Deviation",
    "EdlStatus", "Element", "FnnStatus", "Frame", "FrameDecoder", "GetListRequest", "GetListResponse",
    "GetProcParameterRequest", "GetProcParameterResponse", "GetProfileListRequest", "GetProfileListResponse",
    "GetProfilePackRequest", "GetProfilePackResponse", "Integer", "Integer8", "Integer16", "Integer24", "Integer32",
    "Integer40", "Integer48", "Integer56", "Integer64", "Leniency", "ListEntry", "ListEntryParameter",
    "LocalTimestamp", "Message", "MessageForm", "OpaqueBody", "PeriodEntry", "PeriodParameter",
    "ProfObjHeaderEntry", "ProfObjPeriodEntry", "PublicCloseRequest", "PublicCloseResponse", "PublicOpenRequest",
    "PublicOpenResponse", "Reading", "Rejected", "ScalerUnit", "SecIndex", "SetProcParameterRequest", "SmlFile",
    "TelegramReading", "Telegrams", "Template", "TimeParameter", "TimeValue", "Timestamp", "TimestampedValue",
    "Tree", "TupelEntry", "TupelParameter", "Unsigned", "Unsigned8", "Unsigned16", "Unsigned24", "Unsigned32",
    "Unsigned40", "Unsigned48", "Unsigned56", "Unsigned64", "ValueEntry", "ValueParameter", "attention_text",
    "columns", "decode", "encode", "frame", "outline", "readings",
]  # fmt: skip
