"""Every list of the Smart Message Language, declared once in the specification's order.

Optional fields stand with `| None`; all other fields must be given. Names follow the
specification in Python spelling (`valTime` is `val_time`). Field order, tags and element
counts: SML 1.03/1.04 as agreed by independent implementations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Union

from .types import (
    I8,
    I16,
    I64,
    U8,
    U32,
    U64,
    Boolean,
    ChoiceRule,
    Integer,
    ListRule,
    OctetString,
    Status,
    Unsigned,
    ValueRule,
    sml_alternative,
    sml_list,
)

# --- time ----------------------------------------------------------------------------------


@sml_alternative
class SecIndex:
    """SML_Time choice 01: a seconds index. Not a date."""

    value: U32


@sml_alternative
class Timestamp:
    """SML_Time choice 02: seconds since 1970-01-01T00:00:00Z."""

    value: U32


@sml_list
class LocalTimestamp:
    """SML_Time choice 03 (since 1.04): UTC seconds and two offsets in minutes.

    Local wall time = timestamp + (local_offset + season_time_offset) minutes.
    """

    timestamp: U32
    local_offset: I16
    season_time_offset: I16


@sml_alternative
class BareSecIndex:
    """Quirk Q2: a time sent as a bare Unsigned32 without the choice around it (Holley)."""

    value: U32


Time = Annotated[
    Union[SecIndex, Timestamp, LocalTimestamp, BareSecIndex],
    ChoiceRule(alternatives=((1, SecIndex), (2, Timestamp), (3, LocalTimestamp)), bare_u32=BareSecIndex),
]

# --- values --------------------------------------------------------------------------------


@sml_list
class ScalerUnit:
    """SML_CosemValue choice 01: scaler and unit."""

    scaler: I8
    unit: U8


@sml_alternative
class CosemValue:
    """SML_ListType choice 03 (since 1.05)."""

    value: Annotated[ScalerUnit, ChoiceRule(alternatives=((1, ScalerUnit),))]


SimpleValue = Annotated[Union[bool, bytes, Integer, Unsigned], ValueRule(lists=False)]
"""Boolean, octet string or sized integer."""


@sml_list
class TimestampedValue:
    """SML_ListType choice 02 (since 1.05): a value with its time and status."""

    sml_time: Time = field(metadata={"asn1": "smlTime"})
    status: Status
    simple_value: SimpleValue


@sml_alternative
class TimeValue:
    """SML_ListType choice 01 (since 1.04): a time as the value."""

    value: Time


LIST_TYPE: Final = ChoiceRule(alternatives=((1, TimeValue), (2, TimestampedValue), (3, CosemValue)))
"""SML_ListType, the explicit choice a list-typed SML_Value holds."""

Value = Annotated[Union[bool, bytes, Integer, Unsigned, TimeValue, TimestampedValue, CosemValue], ValueRule(lists=True)]
"""SML_Value: told apart by its own TL byte. Integers must be sized: `Unsigned64(5)`."""

# --- list entries --------------------------------------------------------------------------


@sml_list
class ListEntry:
    """One value of a list response: seven elements."""

    obj_name: OctetString
    status: Status | None = None
    val_time: Time | None = None
    unit: U8 | None = None
    scaler: I8 | None = None
    value: Value | None = field(metadata={"lenient_missing": True})
    value_signature: OctetString | None = None


@sml_list
class PeriodEntry:
    """One value of one registration period (GetProfileList)."""

    obj_name: OctetString
    unit: U8
    scaler: I8
    value: Value
    value_signature: OctetString | None = None


@sml_list
class TupelEntry:
    """The SyM² signed tuple: 23 elements, nothing optional, two signatures.

    Import half plane first (+A, R1, R4, signature), then export (-A, R2, R3, signature).
    """

    server_id: OctetString
    sec_index: Time
    status: U64
    unit_pa: U8 = field(metadata={"asn1": "unit_pA"})
    scaler_pa: I8 = field(metadata={"asn1": "scaler_pA"})
    value_pa: I64 = field(metadata={"asn1": "value_pA"})
    unit_r1: U8 = field(metadata={"asn1": "unit_R1"})
    scaler_r1: I8 = field(metadata={"asn1": "scaler_R1"})
    value_r1: I64 = field(metadata={"asn1": "value_R1"})
    unit_r4: U8 = field(metadata={"asn1": "unit_R4"})
    scaler_r4: I8 = field(metadata={"asn1": "scaler_R4"})
    value_r4: I64 = field(metadata={"asn1": "value_R4"})
    signature_pa_r1_r4: OctetString = field(metadata={"asn1": "signature_pA_R1_R4"})
    unit_ma: U8 = field(metadata={"asn1": "unit_mA"})
    scaler_ma: I8 = field(metadata={"asn1": "scaler_mA"})
    value_ma: I64 = field(metadata={"asn1": "value_mA"})
    unit_r2: U8 = field(metadata={"asn1": "unit_R2"})
    scaler_r2: I8 = field(metadata={"asn1": "scaler_R2"})
    value_r2: I64 = field(metadata={"asn1": "value_R2"})
    unit_r3: U8 = field(metadata={"asn1": "unit_R3"})
    scaler_r3: I8 = field(metadata={"asn1": "scaler_R3"})
    value_r3: I64 = field(metadata={"asn1": "value_R3"})
    signature_ma_r2_r3: OctetString = field(metadata={"asn1": "signature_mA_R2_R3"})


@sml_list
class ProfObjHeaderEntry:
    """Name, unit and scaler of one profile column."""

    obj_name: OctetString
    unit: U8
    scaler: I8


@sml_list
class ValueEntry:
    """One cell of a profile row."""

    value: Value
    value_signature: OctetString | None = None


@sml_list
class ProfObjPeriodEntry:
    """One row of a profile pack; `value_list` is as long as the pack's `header_list`."""

    val_time: Time
    status: U64
    value_list: tuple[ValueEntry, ...] = field(metadata={"asn1": "value_List"})
    period_signature: OctetString | None = None


# --- parameter trees -----------------------------------------------------------------------


@sml_alternative
class ValueParameter:
    """SML_ProcParValue choice 01."""

    value: Value


@sml_alternative
class PeriodParameter:
    """SML_ProcParValue choice 02."""

    value: Annotated[PeriodEntry, ListRule(PeriodEntry)]


@sml_alternative
class TupelParameter:
    """SML_ProcParValue choice 03."""

    value: Annotated[TupelEntry, ListRule(TupelEntry)]


@sml_alternative
class TimeParameter:
    """SML_ProcParValue choice 04."""

    value: Time


@sml_alternative
class ListEntryParameter:
    """SML_ProcParValue choice 05 (since 1.04)."""

    value: Annotated[ListEntry, ListRule(ListEntry)]


ProcParValue = Annotated[
    Union[ValueParameter, PeriodParameter, TupelParameter, TimeParameter, ListEntryParameter],
    ChoiceRule(
        alternatives=(
            (1, ValueParameter), (2, PeriodParameter), (3, TupelParameter), (4, TimeParameter),
            (5, ListEntryParameter),
        )
    ),
]  # fmt: skip


@sml_list
class Tree:
    """A parameter: a leaf has a value, a node has children, both are allowed."""

    parameter_name: OctetString
    parameter_value: ProcParValue | None = None
    child_list: tuple[Tree, ...] | None = field(default=None, metadata={"asn1": "child_List"})


TreePath = tuple[OctetString, ...]
"""Object names from the root down."""

# --- message bodies ------------------------------------------------------------------------


@sml_list
class PublicOpenRequest:
    codepage: OctetString | None = None
    client_id: OctetString
    req_file_id: OctetString
    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    sml_version: U8 | None = None


@sml_list
class PublicOpenResponse:
    codepage: OctetString | None = None
    client_id: OctetString | None = None
    req_file_id: OctetString
    server_id: OctetString
    ref_time: Time | None = None
    sml_version: U8 | None = None


@sml_list
class PublicCloseRequest:
    global_signature: OctetString | None = None


@sml_list
class PublicCloseResponse:
    global_signature: OctetString | None = None


@sml_list
class GetProfilePackRequest:
    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    with_rawdata: Boolean | None = None
    begin_time: Time | None = None
    end_time: Time | None = None
    parameter_tree_path: TreePath
    object_list: tuple[OctetString, ...] | None = field(default=None, metadata={"asn1": "object_List"})
    das_details: Tree | None = None


@sml_list
class GetProfilePackResponse:
    server_id: OctetString
    act_time: Time
    reg_period: U32
    parameter_tree_path: TreePath
    header_list: tuple[ProfObjHeaderEntry, ...] = field(metadata={"asn1": "header_List"})
    period_list: tuple[ProfObjPeriodEntry, ...] = field(metadata={"asn1": "period_List"})
    rawdata: OctetString | None = None
    profile_signature: OctetString | None = None


@sml_list
class GetProfileListRequest:
    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    with_rawdata: Boolean | None = None
    begin_time: Time | None = None
    end_time: Time | None = None
    parameter_tree_path: TreePath
    object_list: tuple[OctetString, ...] | None = field(default=None, metadata={"asn1": "object_List"})
    das_details: Tree | None = None


@sml_list
class GetProfileListResponse:
    server_id: OctetString
    act_time: Time
    reg_period: U32
    parameter_tree_path: TreePath
    val_time: Time
    status: U64
    period_list: tuple[PeriodEntry, ...] = field(metadata={"asn1": "period_List"})
    rawdata: OctetString | None = None
    period_signature: OctetString | None = None


@sml_list
class GetProcParameterRequest:
    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    parameter_tree_path: TreePath
    attribute: OctetString | None = None


@sml_list
class GetProcParameterResponse:
    server_id: OctetString
    parameter_tree_path: TreePath
    parameter_tree: Tree


@sml_list
class SetProcParameterRequest:
    """Answered by an AttentionResponse (FD 00 on success)."""

    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    parameter_tree_path: TreePath
    parameter_tree: Tree


@sml_list
class GetListRequest:
    client_id: OctetString
    server_id: OctetString | None = None
    username: OctetString | None = None
    password: OctetString | None = None
    list_name: OctetString | None = None


@sml_list
class GetListResponse:
    client_id: OctetString | None = None
    server_id: OctetString
    list_name: OctetString | None = None
    act_sensor_time: Time | None = None
    val_list: tuple[ListEntry, ...]
    list_signature: OctetString | None = None
    act_gateway_time: Time | None = None


@sml_list
class AttentionResponse:
    server_id: OctetString
    attention_no: OctetString
    attention_msg: OctetString | None = None
    attention_details: Tree | None = None


@dataclass(frozen=True, slots=True)
class OpaqueBody:
    """A message body this table does not know (COSEM services of 1.04, future tags).

    `content` is the body's TLV, byte-exact, so the message can be passed on unharmed.
    """

    tag: int
    content: bytes


BODY_TAGS: Final[dict[int, type]] = {
    0x0100: PublicOpenRequest,
    0x0101: PublicOpenResponse,
    0x0200: PublicCloseRequest,
    0x0201: PublicCloseResponse,
    0x0300: GetProfilePackRequest,
    0x0301: GetProfilePackResponse,
    0x0400: GetProfileListRequest,
    0x0401: GetProfileListResponse,
    0x0500: GetProcParameterRequest,
    0x0501: GetProcParameterResponse,
    0x0600: SetProcParameterRequest,
    0x0700: GetListRequest,
    0x0701: GetListResponse,
    0xFF01: AttentionResponse,
}
"""Choice tag of each body."""

COSEM_TAGS: Final[dict[int, str]] = {
    0x0800: "GetCosem.Req", 0x0801: "GetCosem.Res", 0x0900: "SetCosem.Req",
    0x0901: "SetCosem.Res", 0x0A00: "ActionCosem.Req", 0x0A01: "ActionCosem.Res",
}  # fmt: skip
"""Tags of 1.04 whose bodies no public text gives: carried as OpaqueBody."""

Body = Union[
    PublicOpenRequest, PublicOpenResponse, PublicCloseRequest, PublicCloseResponse,
    GetProfilePackRequest, GetProfilePackResponse, GetProfileListRequest, GetProfileListResponse,
    GetProcParameterRequest, GetProcParameterResponse, SetProcParameterRequest, GetListRequest,
    GetListResponse, AttentionResponse, OpaqueBody,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How a message was written where the language leaves a choice.

    Kept so that writing a message that was read gives the same bytes.
    """

    tag_width: int = 2
    """Bytes of the choice tag: `63 07 01` is 2, `65 00 00 07 01` is 4."""
    crc_width: int = 2
    """Bytes of the CRC field: 1 where a leading zero was dropped (quirk Q4)."""
    kermit: bool = False
    """CRC-16/Kermit, high byte first, instead of X-25 (quirk Q3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: envelope and body. CRC and end mark are made when it is written."""

    transaction_id: OctetString
    group_no: U8 = 0
    abort_on_error: U8 = 0
    body: Body
    form: MessageForm = MessageForm()


__all__ = [
    "BODY_TAGS",
    "COSEM_TAGS",
    "LIST_TYPE",
    "AttentionResponse",
    "BareSecIndex",
    "Body",
    "CosemValue",
    "GetListRequest",
    "GetListResponse",
    "GetProcParameterRequest",
    "GetProcParameterResponse",
    "GetProfileListRequest",
    "GetProfileListResponse",
    "GetProfilePackRequest",
    "GetProfilePackResponse",
    "ListEntry",
    "ListEntryParameter",
    "LocalTimestamp",
    "Message",
    "MessageForm",
    "OpaqueBody",
    "PeriodEntry",
    "PeriodParameter",
    "ProcParValue",
    "ProfObjHeaderEntry",
    "ProfObjPeriodEntry",
    "PublicCloseRequest",
    "PublicCloseResponse",
    "PublicOpenRequest",
    "PublicOpenResponse",
    "ScalerUnit",
    "SecIndex",
    "SetProcParameterRequest",
    "SimpleValue",
    "Time",
    "TimeParameter",
    "TimeValue",
    "Timestamp",
    "TimestampedValue",
    "Tree",
    "TreePath",
    "TupelEntry",
    "TupelParameter",
    "Value",
    "ValueEntry",
    "ValueParameter",
]  # fmt: skip
