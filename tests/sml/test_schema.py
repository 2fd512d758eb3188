"""The schema files in the documentation are the ones the declarations give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from messwerk.sml.messages import BODY_TAGS
from messwerk.sml.schema import json_schema, xsd

PROTOCOLS = Path(__file__).parents[2] / "docs" / "protocols"


@pytest.mark.parametrize(("name", "make"), [("sml.xsd", xsd), ("sml.schema.json", json_schema)])
def test_the_documented_schema_is_current(name: str, make: Callable[[], str]) -> None:
    """A changed declaration must change the schema file too:
    python -c 'from messwerk.sml.schema import *; print(xsd(), end="")' > docs/protocols/sml.xsd"""
    assert (PROTOCOLS / name).read_text() == make()


def test_every_body_is_described() -> None:
    """Both schemas are well formed and know every message body."""
    definitions = json.loads(json_schema())["$defs"]
    types = {element.get("name") for element in ElementTree.fromstring(xsd())}  # noqa: S314, our own text
    for cls in BODY_TAGS.values():
        assert cls.__name__ in definitions
        assert cls.__name__ in types


def test_references_lead_somewhere() -> None:
    """No `$ref` of the JSON Schema points to a definition that is not there."""
    text = json_schema()
    for name in {part.split('"')[0] for part in text.split("#/$defs/")[1:]}:
        assert name in json.loads(text)["$defs"]
