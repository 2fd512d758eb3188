"""Object names of the SyM² trees, profiles and lists.

Names from published OBIS tables of the SyM² specification 1.03 and of its gateway lineage; the
tree 81 81 C7 8B is ours [design].
"""

from __future__ import annotations

from typing import Final

from ..obis import ObisCode


def _code(digits: str) -> ObisCode:
    return ObisCode(bytes.fromhex(digits))


# Device identification
IDENTIFICATION: Final = _code("8181c78201ff")
DEVICE_CLASS: Final = _code("8181c78202ff")
MANUFACTURER: Final = _code("8181c78203ff")
SERVER_ID: Final = _code("8181c78204ff")
PUBLIC_KEY: Final = _code("8181c78205ff")
FIRMWARE: Final = _code("8181c78206ff")
FIRMWARE_ENTRY: Final = _code("8181c7820701")
FIRMWARE_NAME: Final = _code("8181c78208ff")
FIRMWARE_VERSION: Final = _code("818100020000")
FIRMWARE_ACTIVE: Final = _code("8181c7820eff")

# Attributes
SECONDS_INDEX: Final = _code("0000600800ff")
STATUS_WORD: Final = _code("810060050000")
REMAINING_PERIOD: Final = _code("8181c78484ff")

# Tuples
SPECIAL_TUPLES: Final = _code("8181c78401ff")
CURRENT_TUPLE: Final = _code("8181c78404ff")
TUPLE_POWER_RESTORED: Final = _code("8181c78405ff")
TUPLE_RESERVE_EXHAUSTED: Final = _code("8181c78406ff")
TUPLE_BEFORE_OUTAGE: Final = _code("8181c78407ff")
TUPLE_LAST_SYNC: Final = _code("8181c78408ff")

# Load profile
LOAD_PROFILE: Final = _code("0100630100ff")
PROFILE_15_MINUTES: Final = _code("8181c78611ff")
"""The gateway lineage's name of the quarter-hour profile; answered like LOAD_PROFILE."""
SIGNATURE_IMPORT: Final = _code("8181c78402ff")
SIGNATURE_EXPORT: Final = _code("8181c78403ff")
PROFILE_COLUMNS: Final = (
    _code("0100010801ff"), _code("0100050801ff"), _code("0100080801ff"), SIGNATURE_IMPORT,
    _code("0100020801ff"), _code("0100060801ff"), _code("0100070801ff"), SIGNATURE_EXPORT,
)  # fmt: skip
"""+A, R1, R4, their signature, -A, R2, R3, their signature [order: design]."""

# Instantaneous values
MONITORING: Final = _code("8181c78501ff")
CURRENT_LIST: Final = _code("990000000003")
POWER: Final = _code("01000f0700ff")
POWER_PHASES: Final = (_code("0100230700ff"), _code("0100370700ff"), _code("01004b0700ff"))
CURRENT_PHASES: Final = (_code("01001f0700ff"), _code("0100330700ff"), _code("0100470700ff"))
CURRENT_NEUTRAL: Final = _code("01005b0700ff")
VOLTAGE_PHASES: Final = (_code("0100200700ff"), _code("0100340700ff"), _code("0100480700ff"))
ANGLE_U2_U1: Final = _code("0100510701ff")
ANGLE_U3_U1: Final = _code("0100510702ff")
ANGLE_CURRENTS: Final = (_code("0100510704ff"), _code("010051070fff"), _code("010051071aff"))
FREQUENCY: Final = _code("01000e0700ff")

# Time and synchronisation
DEVICE_TIME: Final = _code("8181c78810ff")
UTC: Final = _code("010000090b00")
ZONE_OFFSET: Final = _code("810000090b01")
SYNC_ACTIVE: Final = _code("810000090b02")
NTP: Final = _code("8181c78801ff")
NTP_SERVERS: Final = _code("8181c78802ff")
NTP_SERVER: Final = _code("8181c7880201")
NTP_PORT: Final = _code("8181c78803ff")
SYNC_PERIOD: Final = _code("8181c78804ff")
SYNC_OFFSET: Final = _code("8181c78805ff")
NTP_ENABLED: Final = _code("8181c78806ff")

# The base module's own settings [design]
SETTINGS: Final = _code("8181c78b00ff")
PERIOD_PHASE: Final = _code("8181c78b02ff")
PERIOD_LENGTH: Final = _code("8181c78b03ff")
SIGNATURE_PROFILE: Final = _code("8181c78b04ff")
REACTIVE_METHOD: Final = _code("8181c78b06ff")
CT_RATIO: Final = _code("0101000402ff")
VT_RATIO: Final = _code("0101000403ff")
LED_ACTIVE: Final = _code("0000600300ff")
LED_REACTIVE: Final = _code("0000600301ff")

# The pulse module's settings [design], pulse value and length from the gateway lineage
PULSE_SETTINGS: Final = _code("8181c78d00ff")
PULSE_SOURCE: Final = _code("8181c78d01ff")
PULSE_ACTIVE: Final = _code("8181c78d02ff")
PULSE_REACTIVE: Final = _code("8181c78d03ff")
PULSE_PERIOD_OUTPUT: Final = _code("8181c78d04ff")
PULSE_COUNTS: Final = _code("8181c78d05ff")
PULSE_HELD: Final = _code("8181c78d06ff")
PULSE_LENGTH: Final = _code("0100000303ff")

# The network node's ports [design]
NODE_PORTS: Final = _code("8181c78e00ff")
NODE_STATE: Final = _code("8181c78e10ff")
NODE_LOAD: Final = _code("8181c78e11ff")
NODE_BUDGET: Final = _code("8181c78e12ff")
NODE_PROBE: Final = _code("8181c78e13ff")


def node_port(number: int) -> ObisCode:
    """Name of port `number`, from 1, in the tree of a network node."""
    return ObisCode(NODE_PORTS[:4] + bytes((number, 0xFF)))


# Device lists of the communication module
VISIBLE_DEVICES: Final = _code("81811006ffff")
NEW_DEVICES: Final = _code("81811016ffff")
VANISHED_DEVICES: Final = _code("81811026ffff")
ACTIVE_DEVICES: Final = _code("81811106ffff")
ACTIVATE_DEVICE: Final = _code("81811106fbff")
DEACTIVATE_DEVICE: Final = _code("81811106fcff")
DELETE_DEVICE: Final = _code("81811106fdff")


def list_entry(root: ObisCode, number: int) -> ObisCode:
    """Name of entry `number` (from 0) of a device list: `81 81 10 06 qq ss`, 254 entries a list."""
    return ObisCode(root[:4] + bytes((number // 254 + 1, number % 254 + 1)))


# Settings of the communication module, from the gateway lineage
ACCESS_RIGHTS: Final = _code("81818160ffff")
USER_NAME: Final = _code("81818161ffff")
USER_PASSWORD: Final = _code("81818162ffff")
REBOOT: Final = _code("8181c7838201")
LAN_SETTINGS: Final = _code("81481707" + "00ff")
WAN_STATUS: Final = _code("8104000600ff")
LINK_UP: Final = _code("81480d0600ff")
FIELD_STRENGTH: Final = _code("81042b070000")
LAN_ADDRESS: Final = _code("814817070000")
LAN_MASK: Final = _code("814817070100")
LAN_GATEWAY: Final = _code("814817070200")
LAN_DNS: Final = tuple(_code(f"814817070{digit}00") for digit in (4, 5, 6))
LAN_PPPOE: Final = _code("814800320101")
LAN_DHCP: Final = _code("814800320201")
LAN_DSL: Final = _code("814800320301")
PPPOE_USER: Final = _code("8104623c0101")
PPPOE_PASSWORD: Final = _code("8104623c0201")
PPPOE_MODE: Final = _code("8104623c0301")
PUSH_OPERATIONS: Final = _code("8181c78a01ff")
PUSH_INTERVAL: Final = _code("8181c78a02ff")
PUSH_DELAY: Final = _code("8181c78a03ff")
PUSH_SOURCE: Final = _code("8181c78a04ff")
PUSH_SOURCE_PROFILE: Final = _code("8181c78a42ff")
PUSH_SOURCE_TUPLES: Final = _code("8181c78a45ff")
"""Live tuples as a source [design]: the lineage has profile, install data and device list."""
PUSH_TARGET: Final = _code("8147170700ff")
PUSH_SERVICE: Final = _code("8149000010ff")
PUSH_SERVICE_SML: Final = _code("8181c78a22ff")


def access_role(role: int) -> ObisCode:
    """Name of a role in the tree of access rights."""
    return ObisCode(ACCESS_RIGHTS[:4] + bytes((role, 0xFF)))


def access_user(role: int, number: int) -> ObisCode:
    """Name of a user in the tree of access rights."""
    return ObisCode(ACCESS_RIGHTS[:4] + bytes((role, number)))


def push_operation(number: int) -> ObisCode:
    """Name of push operation `number`, from 1."""
    return ObisCode(PUSH_OPERATIONS[:5] + bytes((number,)))


# Firmware download
DOWNLOAD: Final = _code("8181c78101ff")
DOWNLOAD_START: Final = _code("818100020001")
DOWNLOAD_BLOCKS: Final = _code("818100020003")
DOWNLOAD_LAST_GOOD: Final = _code("818100020004")
DOWNLOAD_BLOCK_NUMBER: Final = _code("8181000202ff")
DOWNLOAD_BLOCK_DATA: Final = _code("8181000203ff")
DEPOT: Final = _code("8181c7810eff")
"""Where a communication module takes images for other modules [use: design]."""
DISPATCH: Final = _code("818100030001")
DOWNLOAD_KEY: Final = _code("8181c78482ff")
DOWNLOAD_FAILURES: Final = _code("8181c78481ff")
ACTIVATE_FIRMWARE: Final = _code("8181c783820e")
LEGAL_LOG: Final = _code("8181c78107ff")

# Log book
LOG_BOOK: Final = _code("8181c789e1ff")
BASE_MODULE_LOG: Final = _code("8181c784e1ff")
EVENT: Final = _code("8181c789e2ff")
EVENT_DETAILS: Final = _code("8181c78123ff")
