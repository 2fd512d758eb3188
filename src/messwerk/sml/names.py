"""The names that XML, JSON and dumps use for bodies, alternatives and integer widths.

They are the specification's own where it has one (`SML_GetList.Res`, `secIndex`, `valList`); the
fields' names stand in their declarations.
"""

from __future__ import annotations

from typing import Final

from .messages import (
    BODY_TAGS,
    BareSecIndex,
    CosemValue,
    ListEntryParameter,
    LocalTimestamp,
    PeriodParameter,
    ScalerUnit,
    SecIndex,
    TimeParameter,
    Timestamp,
    TimestampedValue,
    TimeValue,
    TupelParameter,
    ValueParameter,
)
from .types import INTEGERS, UNSIGNEDS, Integer, Unsigned


def _body_name(cls: type) -> str:
    name = cls.__name__
    for long, short in (("Request", ".Req"), ("Response", ".Res")):
        if name.endswith(long):
            return f"SML_{name.removesuffix(long)}{short}"
    raise AssertionError(f"a body is a request or a response: {name}")


BODY_NAMES: Final[dict[type, str]] = {cls: _body_name(cls) for cls in BODY_TAGS.values()}
"""Name of each message body, e.g. `SML_GetList.Res`."""
BODIES: Final[dict[str, type]] = {name: cls for cls, name in BODY_NAMES.items()}

ALTERNATIVE_NAMES: Final[dict[type, str]] = {
    SecIndex: "secIndex",
    Timestamp: "timestamp",
    LocalTimestamp: "localTimestamp",
    BareSecIndex: "bareSecIndex",
    TimeValue: "smlTime",
    TimestampedValue: "smlTimestampedValue",
    CosemValue: "smlCosemValue",
    ScalerUnit: "scalerUnit",
    ValueParameter: "smlValue",
    PeriodParameter: "smlPeriodEntry",
    TupelParameter: "smlTupelEntry",
    TimeParameter: "smlTime",
    ListEntryParameter: "smlListEntry",
}
"""Name of each alternative of a choice. `bareSecIndex` is ours: it is a quirk (Q2)."""

WIDTHS: Final[dict[str, type[Integer] | type[Unsigned]]] = {
    **{f"i{8 * cls.width}": cls for cls in INTEGERS},
    **{f"u{8 * cls.width}": cls for cls in UNSIGNEDS},
}
"""Sign and width of an integer on the wire, `i8` … `i64` and `u8` … `u64`."""
WIDTH_NAMES: Final = {cls: name for name, cls in WIDTHS.items()}

NAMESPACE: Final = "urn:messwerk:sml:1"
"""Of our XML and JSON forms. No public text defines any; a change that breaks readers counts it up. [design]"""

__all__ = ["ALTERNATIVE_NAMES", "BODIES", "BODY_NAMES", "NAMESPACE", "WIDTHS", "WIDTH_NAMES"]
