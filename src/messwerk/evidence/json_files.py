"""Evidence in JSON: our SML in JSON, and a station's bill."""

from __future__ import annotations

import json
from typing import Any, Final

from ..errors import SourceError
from ..sml.json import from_json
from ..sml.names import NAMESPACE
from .bills import is_bill, read_bill
from .exhibit import Contents
from .sml_files import KIND, read_files

MAX_BYTES: Final = 16 << 20
"""Largest JSON file: its objects take up to 26 times its size in memory. A bill has 1 MB, three months of
signed quarter hours 9 MB. [bytes]"""


def read_json(data: bytes, beside: Contents) -> Contents:
    """Everything signed in a JSON file; `beside` holds the tuples given along with a bill.

    Raises SourceError, or EncodeError naming the field of a message that is wrong.
    """
    if len(data) > MAX_BYTES:
        raise SourceError(f"the JSON file is larger than {MAX_BYTES >> 20} MiB")
    text = data.decode("utf-8-sig", "replace")
    document = _parse(text)
    if is_bill(document):
        return read_bill(document, beside)
    if isinstance(document, dict) and document.get("sml") == NAMESPACE:
        contents = Contents(f"{KIND} in JSON")
        read_files(from_json(text), contents)
        return contents
    raise SourceError(
        f'JSON, but no evidence that is known: neither SML ("sml": "{NAMESPACE}") nor a bill of a station'
    )


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SourceError(f"not JSON: {reason}") from error
